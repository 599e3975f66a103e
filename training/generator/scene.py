# SPDX-License-Identifier: Apache-2.0
"""Plans a clip: draws all random choices in relative units and checks them on small index maps before drawing images.

Lengths are in shorter sides of the frame, so the same draws give the same scene at every size.
"""
from dataclasses import dataclass, field

import cv2
import numpy as np

from .motion import Camera, Excursion, Path, Pose, Wave
from .objects import Surround, Thing, make_look
from .render import draw_ids, draw_part
from .shapes import blob, ellipse, rectangle
from .textures import TEXTURE_SIZE, TextureBank, lab_samples

SCENARIOS = ("plain", "scale", "fast", "occlusion", "lookalike", "leave", "crowd", "vanish", "twins")
CHECK_SIDE = 96  # shorter side of the index maps that check a plan
MIN_START_AREA, MIN_AREA, MIN_START_VISIBLE = 0.008, 0.003, 0.6  # of the frame, of the frame, of the object
ABSENT_AREA = 12 / 256 ** 2  # fewer visible pixels than this (in squared shorter sides) count as absent


@dataclass
class Features:
    """What a clip contains. Drawn once and kept when a plan is refused, so that hard features are not filtered out."""
    occluder: bool = False
    full_occlusion: bool = False
    lookalike: bool = False
    leave: bool = False
    camera: bool = False
    crowd: bool = False
    fast: bool = False
    scale: bool = False
    vanish: bool = False  # targets leave or are hidden while things like them are in sight
    twins: bool = False  # every target has a look-alike
    count: int = 2

    @staticmethod
    def draw(rng, difficulty: float, objects: int, scenario: str | None) -> "Features":
        def chance(easy: float, hard: float) -> bool:
            return bool(rng.random() < easy + (hard - easy) * difficulty)
        f = Features(occluder=chance(0.06, 0.37), full_occlusion=chance(0.3, 0.62), lookalike=chance(0, 0.35),
                     leave=chance(0.02, 0.21), camera=chance(0.2, 0.6), crowd=chance(0, 0.12), fast=chance(0, 0.06),
                     scale=chance(0, 0.06), count=int(rng.integers(2, 4 + round(2 * difficulty))))
        if scenario is not None:
            f.occluder = f.full_occlusion = scenario == "occlusion"
            f.lookalike, f.leave, f.crowd = scenario == "lookalike", scenario == "leave", scenario == "crowd"
            f.fast, f.scale = scenario == "fast", scenario == "scale"
            f.vanish, f.twins = scenario == "vanish", scenario == "twins"
            f.count = int(rng.integers(3, 6)) if f.crowd else min(f.count, 3)
        f.full_occlusion &= f.occluder
        f.count = max(f.count, objects, 3 if f.crowd else 1)
        return f


@dataclass
class Effects:
    """Changes of whole frames; per-frame values are lists over time."""
    blur: float = 0.0  # sigma in pixels at 256
    shutter: float = 0.0  # share of a frame's time that smears
    noise: float = 0.0  # standard deviation, grey levels
    light: bool = False
    flicker: bool = False
    gain: np.ndarray = field(default_factory=lambda: np.ones(1))
    lift: np.ndarray = field(default_factory=lambda: np.zeros(1))
    noise_place: np.ndarray = field(default_factory=lambda: np.zeros((1, 2)))

    @staticmethod
    def draw(rng, d: float, times: np.ndarray, stride: float) -> "Effects":
        n, out = len(times), Effects()
        if rng.random() < 0.1 + 0.2 * d:
            out.blur = rng.uniform(0.4, 0.7 + 0.6 * d)
        elif rng.random() < 0.05 + 0.3 * d:
            out.shutter = rng.uniform(0.2, 0.7) * stride
        if rng.random() < 0.2 + 0.35 * d:
            out.noise = rng.uniform(1, 3 + 6 * d)
        out.light, out.flicker = bool(rng.random() < 0.1 + 0.3 * d), bool(rng.random() < 0.15 * d)
        gain, lift = Wave.draw(rng, rng.uniform(0.05, 0.2)), Wave.draw(rng, rng.uniform(0, 20))
        shake = rng.normal(0, 0.04, n)
        out.gain = 1 + out.light * np.array([gain.at(t) for t in times]) + out.flicker * shake
        out.lift = out.light * np.array([lift.at(t) for t in times])
        out.noise_place = rng.random((n, 2))
        return out


@dataclass
class Scene:
    things: list[Thing]
    leads: list[Thing]
    camera: Camera
    ground: np.ndarray
    ground_map: np.ndarray
    times: np.ndarray
    effects: Effects
    features: Features
    half: np.ndarray  # half extents of the frame (x, y)
    targets: list[int] = field(default_factory=list)  # indices into things


class Planner:
    """Draws one scene. d: difficulty, span: time from the first to the last frame."""

    def __init__(self, rng, bank: TextureBank, times, aspect: float, objects: int, d: float, motion: float,
                 features: Features):
        self.rng, self.bank, self.times, self.objects, self.d, self.motion = rng, bank, times, objects, d, motion
        self.f, self.span = features, float(times[-1])
        self.half = np.array([max(aspect, 1), max(1 / aspect, 1)]) / 2
        self.frame_area = float(4 * self.half.prod())

    # background

    def ground(self) -> tuple[np.ndarray, np.ndarray]:
        """A background image and its map from texture pixels to the frame [2, 3]."""
        rng, d = self.rng, self.d
        soft = rng.uniform(2, 10) if rng.random() < 0.95 - 0.8 * d else 0.0
        ground = self.bank.background(rng, soft)
        if rng.random() < 0.45 * d:
            identity = np.eye(2, 3)
            for _ in range(int(rng.integers(1, 6))):
                pose = Pose(rng.uniform(20, 80), rng.uniform(0, 6.28))
                path = Path(rng.uniform(0, TEXTURE_SIZE, 2), np.zeros(2))
                thing = Thing(make_look(rng, self.bank, d, simple=True), path, pose)
                for part, place in thing.placed_parts(0, identity):
                    draw_part(ground, None, part, place, 0)
        side = 2 * self.half.max() * rng.uniform(1.0, 1.5)
        corner = -side / 2 + rng.uniform(-0.5, 0.5, 2) * (side - 2 * self.half)
        unit = side / TEXTURE_SIZE
        return ground, np.array([[unit, 0, corner[0] + unit / 2], [0, unit, corner[1] + unit / 2]])

    def _behind(self, p: np.ndarray, radius: float) -> np.ndarray:
        """Lab samples of the background around a place."""
        unit = self.ground_map[0, 0] * TEXTURE_SIZE / 48
        middle, reach = (p - self.ground_map[:, 2]) / unit, max(1.6 * radius / unit, 3)
        low = np.clip(middle - reach, 0, 44).astype(int)
        high = np.maximum(np.clip(middle + reach, 0, 48).astype(int), low + 3)
        return lab_samples(np.ascontiguousarray(self._small[low[1]:high[1], low[0]:high[0]]), 4)

    def _surround(self, p, radius, skip=()) -> Surround:
        others = [t.look.colors.mean(0) for t in self.things if t not in skip]
        return Surround(self._behind(p, radius), others, self.d)

    # ordinary objects

    def _free_place(self, radius: float) -> np.ndarray:
        """A start inside the frame, away from the things placed so far."""
        best, best_gap = None, -np.inf
        reach = np.maximum(self.half - 0.75 * radius, 0.05)
        for _ in range(8):
            p = self.rng.uniform(-reach, reach)
            gap = min([np.linalg.norm(p - t.path.at(0)) - t.pose.radius - radius for t in self.things], default=0.0)
            if gap > best_gap:
                best, best_gap = p, gap
            if gap > -0.02:
                break
        return best

    def _velocity(self) -> np.ndarray:
        rng = self.rng
        if self.f.fast:
            speed = rng.uniform(0.035, 0.06)
        else:
            speed = min(abs(rng.normal(0, 0.007 + 0.008 * self.d)), 0.06)
        a = rng.uniform(0, 2 * np.pi)
        return speed * self.motion * np.array([np.cos(a), np.sin(a)])

    def _path(self, start) -> Path:
        rng = self.rng
        path = Path(start, self._velocity(), np.maximum(self.half - 0.08, 0.1))
        if rng.random() < 0.2 + 0.4 * self.d:
            path.wave_x, path.wave_y = (self._wobble() for _ in range(2))
            path.start = path.start - (path.wave_x.at(0), path.wave_y.at(0))
        return path

    def _wobble(self) -> Wave:
        wave = Wave.draw(self.rng, self.rng.uniform(0.01, 0.08) * self.motion)
        wave.amplitude = min(wave.amplitude, 0.02 * self.motion / wave.rate)  # limits the speed
        return wave

    def _pose(self, radius: float) -> Pose:
        rng, m, d = self.rng, self.motion, 0.3 + 0.7 * self.d
        def wave(limit, share, low=0.1, high=0.5):
            return Wave.draw(rng, rng.uniform(0, limit) * m * d * (rng.random() < share), low, high)
        angle, spin = rng.uniform(0, 2 * np.pi), float(np.clip(rng.normal(0, 0.06), -0.15, 0.15)) * (rng.random() < 0.7)
        pose = Pose(radius, angle, spin * m * d, wave(0.3, 0.5), rng.normal(0, 0.008) * m * d,
                    wave(0.25, 0.5, 0.08, 0.25),
                    wave(0.2, 0.5, 0.2, 0.6), wave(0.2, 0.5, 0.2, 0.6))
        if self.f.scale:  # one swing from small to large or back within the clip
            rate, sign = np.pi / max(self.span, 6), 1 if rng.random() < 0.5 else -1
            pose.growth, pose.pulse = 0.0, Wave(sign * rng.uniform(0.4, 0.55), rate, -np.pi / 2)
        return pose

    def _radius(self, largest: float = 0.26) -> float:
        return float(np.exp(self.rng.uniform(np.log(0.08), np.log(largest))))

    def _lead(self, largest: float) -> Thing:
        """An object that may become a target: large enough, unlike what is behind it and the other objects."""
        radius = self._radius(largest)
        start = self._free_place(radius)
        look = make_look(self.rng, self.bank, self.d, self._surround(start, radius))
        start_area = 1.5 * MIN_START_AREA * self.frame_area
        pose = self._pose(radius)
        grown = pose.scale(0) / pose.radius
        pose.radius = max(radius, np.sqrt(start_area / look.area) / min(grown, 1.0))
        return Thing(look, self._path(start), pose)

    def _crowd(self, leads: list[Thing]) -> None:
        """Makes the objects pass each other near the middle of the clip."""
        for thing in leads:
            tm = self.span * self.rng.uniform(0.35, 0.65)
            goal = self.rng.uniform(-0.12, 0.12, 2)
            way = goal - thing.path.start
            thing.path.velocity = way * min(1 / max(tm, 1), 0.06 / max(np.linalg.norm(way), 1e-6))

    # events

    def _leave(self, thing: Thing, tm: float) -> None:
        """Sends a thing over the nearest edge around the time tm and lets it come back."""
        rng, span = self.rng, self.span
        stay = min(rng.uniform(3, 12), max(0.28 * span, 1.0))
        if span < 30:  # starts close to an edge, so that a short clip has time for the way out and back
            axis, side = int(rng.integers(2)), 1 if rng.random() < 0.5 else -1
            path = thing.path
            path.velocity, path.wave_x, path.wave_y = path.velocity * 0.3, Wave(), Wave()
            path.start[axis] = side * (self.half[axis] - thing.pose.scale(0) * rng.uniform(0.7, 1.5))
        p = thing.path.at(tm)
        gaps = self.half - np.abs(p)
        axis = int(np.argmin(gaps))
        distance = gaps[axis] + 1.15 * thing.pose.scale(tm) + 0.05 + (0.1 if self.f.camera else 0)
        offset = rng.normal(0, 0.05, 2)
        offset[axis] = np.sign(p[axis]) * distance
        rise = max(distance / rng.uniform(0.025, 0.05), 3.0)
        rise = min(rise, max(0.36 * span, 2.0))
        thing.path.excursions.append(Excursion(offset, tm - stay / 2 + 0.2 * rise, tm + stay / 2 - 0.2 * rise, rise))

    def _occluder(self, target: Thing, tm: float, full: bool) -> Thing:
        """A thing that crosses the target at time tm; `full`: large enough to hide it for 3..12 frames."""
        rng = self.rng
        r = target.pose.scale(tm) * 1.08
        a = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(a), np.sin(a)])
        if full:
            stay = min(rng.uniform(3, 12), max(0.31 * self.span, 1.0))
            way_in = max(tm - stay / 2, 1.0)
            speed = np.clip(max(rng.uniform(0.025, 0.055), 1.25 * r / way_in), 0.02, 0.1)
            thick = min(r + speed * stay / 2, max(0.36, r + 0.04))
            outline, radius = self._cover(r, thick)
            miss = np.zeros(2)
        else:
            speed, outline = rng.uniform(0.02, 0.055), None
            radius = r * rng.uniform(0.5, 0.9)
            miss = np.array([-along[1], along[0]]) * r * rng.uniform(-0.8, 0.8)
        drift = (target.path.at(tm + 2) - target.path.at(tm - 2)) / 4
        velocity = along * speed + drift
        path = Path(target.path.at(tm) + miss - velocity * tm, velocity)
        surround = self._surround(target.path.at(tm), radius)
        look = make_look(rng, self.bank, self.d, surround, outline=outline, simple=True)
        return Thing(look, path, Pose(radius, a), "occluder")

    def _cover(self, r: float, thick: float) -> tuple[np.ndarray, float]:
        """Outline and radius of a thing that is at least `thick` along its path and hides a radius r."""
        rng = self.rng
        if rng.random() < 0.6:
            tall = min(r * rng.uniform(1.3, 3), 0.5)
            radius = max(thick, tall)
            return rectangle(thick / radius, max(tall, r * 1.2) / radius), radius
        outline = ellipse() if rng.random() < 0.4 else blob(rng, 0.08)
        smallest = float(np.linalg.norm(outline, axis=1).min())
        return outline, (thick + 0.15 * r) / smallest

    def _lookalike(self, target: Thing) -> Thing:
        """The target's texture on the same or another shape; half of them cross the target's way."""
        rng, same = self.rng, self.rng.random() < 0.5
        radius = target.pose.radius * np.exp(rng.normal(0, 0.15))
        start = self._free_place(radius)
        look = target.look if same else make_look(rng, self.bank, self.d, texture=target.look.texture, simple=True)
        path = self._path(start)
        if rng.random() < 0.5 or self.must_cross:
            tm = self.span * rng.uniform(0.35, 0.75)
            way = target.path.at(tm) + rng.uniform(-0.7, 0.7, 2) * target.pose.radius - start
            speed = min(1 / max(tm, 1), 0.06 / max(np.linalg.norm(way), 1e-6))
            path = Path(start, way * speed, path.bounds)
        return Thing(look, path, self._pose(radius), "lookalike")

    def _event_times(self, period: float) -> list[float]:
        count = max(1, round(self.span / period))
        edges = np.linspace(0.22 * self.span if count == 1 else 0, self.span * (0.78 if count == 1 else 1), count + 1)
        return [float(self.rng.uniform(0.7 * a + 0.3 * b, 0.3 * a + 0.7 * b)) for a, b in zip(edges[:-1], edges[1:])]

    def _event_target(self, leads, first: bool) -> Thing:
        pool = leads[:max(self.objects, 1)]
        return leads[0] if first or self.rng.random() < 0.5 else pool[int(self.rng.integers(len(pool)))]

    def _vanish(self, targets: list[Thing]) -> list[Thing]:
        """Hides or sends away the first of the targets and half of the others; most have something like them in sight.
        Returns the occluders."""
        rng, occluders = self.rng, []
        for i, thing in enumerate(targets):
            if rng.random() < 0.6:
                self.things.append(self._lookalike(thing))
            if i > 0 and rng.random() < 0.5:
                continue
            tm = self.span * rng.uniform(0.3, 0.9)
            if rng.random() < 0.45:
                self._leave(thing, tm)
            else:
                occluders.append(self._occluder(thing, tm, True))
        return occluders

    def plan(self, scenario: str | None, stride: float, ground: np.ndarray, ground_map: np.ndarray) -> Scene:
        rng, f = self.rng, self.f
        self.must_cross, self.ground_map, self.things = scenario in ("lookalike", "twins"), ground_map, []
        self._small = cv2.resize(ground, (48, 48), interpolation=cv2.INTER_AREA)
        small_first = f.leave or f.full_occlusion  # a short clip has time to hide or send away only a small thing
        usual = 0.16 if f.crowd or f.scale or f.vanish else 0.2 if f.twins else 0.26
        for i in range(f.count):
            self.things.append(self._lead(0.16 if small_first and i == 0 else usual))
        leads = list(self.things)
        targets = leads[:self.objects]
        if f.crowd:
            self._crowd(leads)
        if self.span > 0 and f.leave:
            for i, tm in enumerate(self._event_times(30)):
                self._leave(self._event_target(leads, i == 0), tm)
        hiders = self._vanish(targets) if self.span > 0 and f.vanish else []
        if f.lookalike:
            self.things.append(self._lookalike(leads[0]))
        if f.twins:
            self.things += [self._lookalike(target) for target in targets]
        self.things = [self.things[i] for i in rng.permutation(len(self.things))] + hiders
        if f.occluder:
            full = f.full_occlusion and self.span > 0
            for i, tm in enumerate(self._event_times(26)):
                self.things.append(self._occluder(self._event_target(leads, i == 0), tm, full))
        camera = Camera.draw(rng, self.motion * (0.4 + 0.6 * self.d)) if f.camera else Camera()
        effects = Effects.draw(rng, self.d, self.times, stride)
        if f.fast and not effects.blur:
            effects.shutter = effects.shutter or 0.5 * stride
        return Scene(self.things, leads, camera, ground, ground_map, self.times, effects, f, self.half)


def _counts(scene: Scene) -> np.ndarray:
    """Visible area of every thing in every frame in squared shorter sides, float [things, T], from small index maps."""
    width, height = (np.round(2 * scene.half * CHECK_SIDE)).astype(int)
    n = len(scene.things) + 1
    rows = [np.bincount(draw_ids(scene, t, height, width).ravel(), minlength=n)[1:n] for t in scene.times]
    return np.array(rows, float).T / CHECK_SIDE ** 2


def _choose_targets(scene: Scene, area: np.ndarray, objects: int) -> list[int] | None:
    """The first lead and then other good objects; None when there are not enough."""
    frame, start = float(4 * scene.half.prod()), []
    lead_order = [next(i for i, t in enumerate(scene.things) if t is lead) for lead in scene.leads]
    order = lead_order + [i for i, t in enumerate(scene.things) if t.kind == "lookalike"]
    for i in order:
        full = scene.things[i].area(scene.times[0], scene.camera)
        present = area[i] > ABSENT_AREA
        tiny = present & (area[i] < MIN_AREA * frame)
        # a little above the limits, because a small index map counts areas to a few percent
        least = 1.08 * max(MIN_START_VISIBLE * full, MIN_START_AREA * frame)
        good = least <= area[i, 0] < 0.45 * frame
        if good and present.mean() > 0.4 and tiny.sum() <= 0.2 * len(present) + 1:
            start.append(i)
    if len(start) < objects or start[0] != lead_order[0]:
        return None
    return start[:objects]


def _has_event(scene: Scene, area: np.ndarray, scenario: str | None) -> bool:
    """Whether the planned features really happen."""
    f, last = scene.features, len(scene.times) - 1
    first = next(i for i, t in enumerate(scene.things) if t is scene.leads[0])
    gone = area[first] <= ABSENT_AREA / 4
    if (f.leave or f.full_occlusion or f.vanish) and last >= 3:
        if not gone.any():
            return False
        if scenario in ("occlusion", "leave", "vanish") and gone.sum() < 2:
            return False
        if scenario in ("occlusion", "leave") and gone[-1]:
            return False
    elif gone.any() and scenario is not None:
        return False
    lead = scene.leads[0]
    if scenario == "scale":
        sizes = [lead.pose.scale(t) for t in scene.times]
        return last < 3 or max(sizes) > 1.5 * min(sizes)
    if scenario == "fast":
        return last < 1 or np.mean([np.linalg.norm(lead.path.speed(t)) for t in scene.times]) > 0.025
    if scenario in ("lookalike", "twins"):
        return last < 3 or passes(scene, lead, next(t for t in scene.things if t.kind == "lookalike"))
    if scenario == "crowd":
        pairs = [(a, b) for i, a in enumerate(scene.leads) for b in scene.leads[i + 1:]]
        return last < 3 or sum(passes(scene, a, b) for a, b in pairs) >= 2
    return True


def passes(scene: Scene, a: Thing, b: Thing) -> bool:
    """Whether two things come so near that they touch or overlap."""
    def gap(t: float) -> float:
        return np.linalg.norm(a.path.at(t) - b.path.at(t)) - 0.85 * (a.pose.scale(t) + b.pose.scale(t))
    return any(gap(t) < 0 for t in scene.times)


def plan_scene(rng, bank, frames: int, aspect: float, objects: int, difficulty: float, scenario: str | None,
               motion: float, stride: float) -> tuple[Scene, int]:
    """A checked scene and the number of refused plans."""
    times, refused = np.arange(frames) * float(stride), 0
    for _ in range(8):
        features = Features.draw(rng, difficulty, objects, scenario)
        planner = Planner(rng, bank, times, aspect, objects, difficulty, motion, features)
        ground, ground_map = planner.ground()
        for _ in range(12):
            scene = planner.plan(scenario, stride, ground, ground_map)
            area = _counts(scene)
            targets = _choose_targets(scene, area, objects)
            if targets is not None and _has_event(scene, area, scenario):
                scene.targets = targets
                return scene, refused
            refused += 1
    raise RuntimeError(f"no valid clip in {refused} plans: {frames} frames, {objects} targets, scenario {scenario}")

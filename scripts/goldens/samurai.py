# SPDX-License-Identifier: Apache-2.0
"""What the published SAMURAI code does with a clip, frame by frame: which hypothesis it takes, what its Kalman filter
says, which memories it reads, the box it reports. Its checkout brings a changed package sam2 of its own, so these
goldens are made in a process of their own, without the official package."""
import functools
import json
import os

import numpy as np
import torch

import cases
import frames as seeded_frames
import official

N_FRAMES = 40
N_KALMAN = 60
KALMAN_SEED = 5

# C name of a parameter (trk_motion_params) -> name in the model
PARAMETERS = {"weight": "kf_score_weight", "stable_frames": "stable_frames_threshold",
              "stable_iou": "stable_ious_threshold", "memory_iou": "memory_bank_iou_threshold",
              "memory_object_score": "memory_bank_obj_score_threshold",
              "memory_motion": "memory_bank_kf_score_threshold", "min_object_score": "min_obj_score_logits"}
# The published configuration of all models but the large one; given to the demo model, which is in no configuration.
PUBLISHED = {"samurai_mode": True, "kf_score_weight": 0.25, "stable_frames_threshold": 15,
             "stable_ious_threshold": 0.3, "min_obj_score_logits": -1, "memory_bank_iou_threshold": 0.5,
             "memory_bank_obj_score_threshold": 0.0, "memory_bank_kf_score_threshold": 0.0}

_box = {"frame": 0, "box": [50, 52, 85, 65]}
_shape = {"frame": 0, "points": [[226, 158, 1]]}
CASES = {c["name"]: c for c in [
    {"name": "box", "prompt": _box},
    # every phase of the filter, on and off again, and frames that are no memories
    {"name": "phases", "prompt": _box, "motion": {"stable_frames": 4, "stable_iou": "middle", "memory_iou": "middle"}},
    # three hypotheses on the prompted frame too: the filter starts there
    {"name": "click", "prompt": {"frame": 0, "points": [[92, 84, 1]]}},
    # the object is out of sight for two frames: a score between presence (-1) and memory (0)
    {"name": "blank", "blank": True, "prompt": _shape},
    # the same taken for absence: empty masks, which the filter measures as boxes in the corner
    {"name": "absent", "blank": True, "prompt": _shape, "motion": {"stable_frames": 4, "min_object_score": -0.1}},
    # the last frame that the published code can begin on
    {"name": "late", "prompt": {"frame": 1, "box": [53, 53, 85, 65]}},
]}
# Holes: see cases.py. Masks of generated weights reach over the whole frame, so boxes and filter are the demo model's
# to test; presence, phases and memories both.
MODELS = [
    dict(name="demo", family=None, options={}, cases=["box", "phases", "click"]),
    dict(name="sam2.1-tiny-256", family="sam2.1", size="tiny", image_size=256, seed=cases.SEEDS["tiny"],
         options={"fill_holes": False}, cases=["box", "phases", "blank", "absent", "late"]),
]


class Entry(dict):
    """What the predictor keeps of a frame; says when its memory is taken."""

    def __init__(self, kept, frame, reads):
        super().__init__(kept)
        self.frame, self.reads = frame, reads

    def __getitem__(self, key):
        if key == "maskmem_features":
            self.reads.append([self.frame, None])
        return super().__getitem__(key)


class Codes:
    """The temporal codes; says which one is added to the memory taken last."""

    def __init__(self, codes, reads):
        self.codes, self.reads = codes, reads

    def __getitem__(self, index):
        self.reads[-1][1] = index
        return self.codes[index]


def box_of(mask):
    """x0, y0, x1, y1, inclusive, of a boolean map; zeros if it is empty."""
    y, x = np.nonzero(np.asarray(mask))
    return [int(x.min()), int(y.min()), int(x.max()), int(y.max())] if len(x) else [0, 0, 0, 0]


def lead_of(values):
    first, second = sorted(values)[:-3:-1]
    return first - second


class Watch:
    """Notes of every frame what the predictor does not tell: by wrapping its methods, which run unchanged."""

    def __init__(self, model):
        self.model, self.rows, self.frame, self.motion, self.reads = model, {}, None, None, []
        decoder, kf = model.sam_mask_decoder, model.kf
        step, heads, predict = model.track_step, model._forward_sam_heads, decoder.predict_masks
        prepare, compare = model._prepare_memory_conditioned_features, kf.compute_iou
        codes = Codes(model.maskmem_tpos_enc, self.reads)

        def track_step(**kwargs):
            self.frame, self.motion = kwargs["frame_idx"], None
            self.reads.clear()
            return step(**kwargs)

        def prepare_features(**kwargs):
            kwargs["output_dict"] = {kind: {frame: Entry(kept, frame, self.reads) for frame, kept in stored.items()}
                                     for kind, stored in kwargs["output_dict"].items()}
            return prepare(**kwargs)

        def predict_masks(**kwargs):
            self.raw = predict(**kwargs)
            return self.raw

        def compute_iou(*args):
            self.motion = compare(*args)
            return self.motion

        def forward_heads(**kwargs):
            out = heads(**kwargs)
            self.note(out, kwargs["multimask_output"])
            return out

        model.__dict__.update(track_step=track_step, _forward_sam_heads=forward_heads, maskmem_tpos_enc=codes,
                              _prepare_memory_conditioned_features=prepare_features)
        decoder.__dict__["predict_masks"] = predict_masks
        kf.compute_iou = compute_iou

    def single(self):
        """Choice (0 unless the single mask is unstable) and lead of a head that gives one mask."""
        decoder, masks, ious = self.model.sam_mask_decoder, self.raw[0], self.raw[1][0, 1:].tolist()
        score = float(decoder._get_stability_scores(masks[:, :1])[0, 0])
        if score >= decoder.dynamic_multimask_stability_thresh:
            return 0, 1.0
        return 1 + int(np.argmax(ious)), lead_of(ious)

    def several(self, out):
        """Choice 1..3 and lead, from the masks that came out."""
        weight, ious = self.model.kf_score_weight, out[2][0].tolist()
        same = [i for i in range(3) if torch.equal(out[0][:, i:i + 1], out[3]) and ious[i] == float(out[7])]
        weighted = ious if self.motion is None else [weight * m + (1 - weight) * u for m, u in zip(self.motion, ious)]
        return 1 + same[0], lead_of(weighted)

    def note(self, out, multimask):
        model = self.model
        choice, lead = self.several(out) if multimask else self.single()
        self.rows[self.frame] = {
            "choice": choice, "lead": float(f"{lead:.3g}"),
            "ious": [round(v, 6) for v in self.raw[1][0, 1:].tolist()], "score": round(float(out[6]), 5),
            "motion": None if out[8] is None else float(out[8]), "stable": model.stable_frames,
            "mask_box": box_of(out[4][0, 0] > 0), "memories": [list(r) for r in self.reads],
            "mean": None if model.kf_mean is None else [float(v) for v in model.kf_mean]}


def prompt(model, state, call):
    if "box" in call:
        x, y, w, h = call["box"]
        model.add_new_points_or_box(state, call["frame"], 1, box=[x, y, x + w, y + h])
    else:
        model.add_new_points_or_box(state, call["frame"], 1, points=[p[:2] for p in call["points"]],
                                    labels=[p[2] for p in call["points"]])


@functools.lru_cache(maxsize=None)
def clip_of(blank):
    return [seeded_frames.frame(cases.FRAME_SEED, t, blank) for t in range(N_FRAMES)]


def run(model, case, noise=0.0):
    """Rows of the frames from the prompted one on."""
    watch = Watch(model)
    if noise:
        encode, generator = model.forward_image, torch.Generator().manual_seed(1)
        model.__dict__["forward_image"] = lambda image: encode(
            image * (1 + noise * torch.randn(image.shape, generator=generator)))
    state = model.init_state(clip_of(case.get("blank", False)))
    prompt(model, state, case["prompt"])
    rows = []
    for frame, _, logits in model.propagate_in_video(state):
        x0, y0, x1, y1 = box_of(logits[0, 0] > 0)
        rows.append({"frame": frame, **watch.rows[frame], "box": [x0, y0, x1 - x0, y1 - y0],
                     "area": int((logits > 0).sum())})
    return rows


def chosen_iou(row):
    return row["ious"][row["choice"] - 1] if row["choice"] else None


def middle_gap(rows):
    """A threshold half-way through the widest gap of the middle half of the chosen IoUs."""
    ious = sorted(chosen_iou(r) for r in rows[1:])
    part = ious[len(ious) // 4:3 * len(ious) // 4]
    low, high = max(zip(part, part[1:]), key=lambda pair: pair[1] - pair[0])
    return round((low + high) / 2, 6)


def choose_thresholds(build, case):
    """Those of the case; "middle": what makes about half of the frames good, by a trial with the published value."""
    motion = case.get("motion", {})
    given = {n: value for n, value in motion.items() if value != "middle"}
    if len(given) == len(motion):
        return given
    found = middle_gap(run(prepared(build, given), case))
    return {n: given.get(n, found) for n in motion}


def prepared(build, motion):
    torch.manual_seed(0)
    model = build()
    for name, value in motion.items():
        setattr(model, PARAMETERS[name], value)
    return model


def box_iou(a, b):
    """Of boxes x, y, w, h whose ends are inclusive."""
    overlap = [max(0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1)]
    areas = [(v[2] + 1) * (v[3] + 1) for v in (a, b)]
    return overlap[0] * overlap[1] / (sum(areas) - overlap[0] * overlap[1])


def report(name, rows, noisy, motion):
    """How near the case is to going another way: a golden must be far from it (README.md)."""
    def margin(threshold, values):
        return min((abs(v - threshold) for v in values if v is not None), default=1.0)

    tracked = [r for r in rows if r["choice"] and r["frame"] > rows[0]["frame"]]
    ious, leads = [chosen_iou(r) for r in tracked], [r["lead"] for r in tracked]
    print(f"{name}: choices {''.join(str(r['choice']) for r in rows)}, stable {[r['stable'] for r in rows]}")
    print(f"    motion scores {sum(r['motion'] is not None for r in rows)}, lowest lead {min(leads):.5f}; margins: "
          f"stable_iou {margin(motion['stable_iou'], ious):.5f}, memory_iou {margin(motion['memory_iou'], ious):.5f}, "
          f"scores {margin(motion['memory_object_score'], [r['score'] for r in tracked]):.4f}, "
          f"presence {margin(motion['min_object_score'], [r['score'] for r in tracked]):.4f}, "
          f"memories of a frame {min(len(r['memories']) for r in rows[1:])}..{max(len(r['memories']) for r in rows)}")
    same = sum(a["choice"] == b["choice"] and a["memories"] == b["memories"] and a["stable"] == b["stable"]
               for a, b in zip(rows, noisy))
    ious = [box_iou(a["box"], b["box"]) for a, b in zip(rows, noisy)]
    print(f"    with noise of 1e-5 on the input: {same} of {len(rows)} frames alike, lowest box IoU {min(ious):.5f}")


def tracking(build, name, case, folder, compact_json):
    motion = choose_thresholds(build, case)
    model = prepared(build, motion)
    rows = run(model, case)
    about = {"prompt": case["prompt"], "options": case["options"], "blank": case.get("blank", False),
             "frame_seed": cases.FRAME_SEED, "n_frames": N_FRAMES,
             "motion": {c: getattr(model, python) for c, python in PARAMETERS.items()}, "frames": rows}
    path = os.path.join(folder, f"{name}-{case['name']}.json")
    with open(path, "w") as f:
        f.write(compact_json(about))
    noisy = run(prepared(build, motion), case, noise=1e-5)
    report(path, rows, noisy, about["motion"])


def kalman_boxes(side=256):
    """Inclusive boxes that drift, jump, have no height, or are empty; the first is none of these."""
    random = np.random.default_rng(KALMAN_SEED)
    x, y, w, h = 60.0, 80.0, 44.0, 30.0
    boxes = []
    for t in range(N_KALMAN):
        x, y = x + 1.7 + random.normal(), y - 0.6 + random.normal()
        w, h = w * (1 + 0.03 * random.normal()), h * (1 + 0.03 * random.normal())
        if t in (23, 41):
            x, y = random.uniform(20, side - 90), random.uniform(20, side - 90)
        boxes.append([int(x), int(y), int(x + w), int(y + (0 if t == 17 else h))])
    boxes[31] = [0, 0, 0, 0]
    return boxes


def kalman(folder):
    """The filter by itself: started by the first box, then predicted and, but for every 9th, updated with each."""
    from sam2.utils.kalman_filter import KalmanFilter

    kf, mean, covariance, steps = KalmanFilter(), None, None, []
    for t, box in enumerate(kalman_boxes()):
        measured = t == 0 or t % 9 != 0
        if t == 0:
            mean, covariance = kf.initiate(kf.xyxy_to_xyah(box))
        else:
            mean, covariance = kf.predict(mean, covariance)
            if measured:
                mean, covariance = kf.update(mean, covariance, kf.xyxy_to_xyah(box))
        steps.append({"box": box, "measured": measured, "mean": mean.tolist(),
                      "variance": np.diag(covariance).tolist()})
    path = os.path.join(folder, "samurai-kalman.json")
    with open(path, "w") as f:
        f.write('{\n "steps": [\n  ' + ",\n  ".join(json.dumps(s) for s in steps) + "\n ]\n}\n")
    print(f"{path}: {len(steps)} steps")


def make(args, folder, compact_json):
    """All cases whose name contains args.only, and the filter's."""
    official.use_checkout(os.path.join(args.samurai, "sam2"))
    with torch.inference_mode():
        for model in MODELS:
            if args.only not in model["name"]:
                continue

            def build():
                options = model["options"]
                if model["family"] is None:
                    return official.build_from_file(args.demo, **options, **PUBLISHED)
                return official.build_seeded(model["family"], model["size"], model["image_size"], model["seed"],
                                             group="samurai", **options)

            for name in model["cases"]:
                if args.case in ("", name):
                    tracking(build, f"samurai-{model['name']}", {**CASES[name], "options": model["options"]}, folder,
                             compact_json)
        if not args.only and not args.case:
            kalman(folder)

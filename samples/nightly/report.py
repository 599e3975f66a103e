# SPDX-License-Identifier: Apache-2.0
"""The night as one HTML file that needs nothing else: style, charts and pictures are inside."""
from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import charts
import compare
import measure
import pictures as png
import truth
from charts import Chart, Line
from compare import REGRESSION, Finding

NIGHTS = 90  # in the trends
FRAMES_PER_CLIP = 2  # pictures
CLOSE = 25  # frames: a clip's pictures are at least so far apart, where it is long enough


@dataclass(frozen=True)
class Night:
    when: str
    commit: str
    measured: list[dict]  # see measure.py
    used: dict[str, dict | None]  # the baseline's entry, by backend
    findings: list[Finding]
    commands: dict[tuple[str, str], list[str]]  # (backend, clip): to run it again, to look at it
    absent: dict[str, str]  # backend: why it did not run
    stage_lines: list[str]
    nights: list[dict]  # the history, this night last if it ran all clips

    def regressions(self) -> list[Finding]:
        return compare.regressions(self.findings)

    def verdict(self) -> str:
        found = self.regressions()
        if not found:
            compared = sum(e is not None for e in self.used.values())
            return (f"no regression on {compared} of {len(self.measured)} backends" if compared < len(self.measured)
                    else "no regression")
        clips = {f.clip for f in found if f.clip}
        where = f" on {plural(len(clips), 'clip')}" if clips else ""
        return plural(len(found), "regression") + where

    def before(self, backend: str, clip: str) -> dict | None:
        entry = self.used.get(backend)
        return entry["clips"].get(clip) if entry else None

    def clip_names(self) -> list[str]:
        return list(dict.fromkeys(name for m in self.measured for name in m["clips"]))

    def is_bad(self, clip: str) -> bool:
        return any(f.clip == clip for f in self.regressions())


def plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


# --- the table ---


def number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def change(old: float | None, new: float | None, form: str, scale: float, relative: bool) -> str:
    if old is None or new is None or (relative and not old):
        return "–"
    text = form.format(scale * ((new - old) / old if relative else new - old))
    return text.replace("-", "+", 1) if not re.search("[1-9]", text) else text


def same_masks(night: Night, measured: dict, before: dict | None, clip: dict) -> str:
    entry = night.used.get(measured["backend"])
    if not before or entry["machine"] != measured["machine"] or entry["weights"] != measured["weights"] or \
            entry["options"] != measured["options"]:
        return "–"
    return "same" if before["mask_hash"] == clip["mask_hash"] else "changed"


def cell(text: str, worse: bool) -> str:
    return f'<td class="worse">{text}</td>' if worse else f"<td>{text}</td>"


def row(night: Night, measured: dict, name: str, clip: dict) -> str:
    before = night.before(measured["backend"], name)
    bad = {f.kind for f in night.regressions() if (f.backend, f.clip) == (measured["backend"], name)}
    head = f'<tr><td>{escape(name)}</td>'
    if clip.get("error"):
        return f'{head}<td class="failed worse" colspan="10">{escape(clip["error"])}</td></tr>'
    old = before or {}
    entry = night.used.get(measured["backend"])
    same_unit = entry and clip.get("quiet", True) and all(entry[k] == measured[k] for k in ("machine", "calibration"))
    masks = same_masks(night, measured, before, clip)
    cells = [f'<td class="text">{escape(clip["tests"] or "")}</td>',
             *(f"<td>{number(clip[k], '{:.3f}')}</td>" for k in ("J", "F", "J&F")),
             cell(change(old.get("J&F"), clip["J&F"], "{:+.2f}", 100, False), "quality" in bad),
             f"<td>{number(clip['peak_bytes'] and clip['peak_bytes'] / 1e6, '{:.1f}')}</td>",
             cell(change(old.get("peak_bytes"), clip["peak_bytes"], "{:+.1f} %", 100, True), "memory" in bad),
             f"<td>{number(clip['time_ratio'], '{:.1f}')}</td>",
             cell(change(old.get("time_ratio") if same_unit else None, clip["time_ratio"], "{:+.0f} %", 100, True),
                  "time" in bad),
             cell(masks, masks == "changed")]
    return head + "".join(cells) + "</tr>"


def table(night: Night, measured: dict) -> str:
    entry = night.used.get(measured["backend"])
    base = "no baseline" if entry is None else \
        "baseline of this kind of machine" if entry["machine"] == measured["machine"] else \
        f"baseline of {entry['machine']}"
    rows = "".join(row(night, measured, name, clip) for name, clip in measured["clips"].items())
    return (f'<h3>{escape(measured["backend"])} <span class="soft">{escape(base)}</span></h3>'
            '<div class="card scroll"><table><thead><tr><th>Clip</th><th class="text">What it tests</th><th>J</th>'
            "<th>F</th><th>J&amp;F</th><th>points</th><th>peak MB</th><th>change</th><th>time</th><th>change</th>"
            f"<th>masks</th></tr></thead><tbody>{rows}</tbody></table></div>")


# --- trends ---


def trend(night: Night, field: str, title: str, y_text: str, least: float, scale: float = 1.0) -> str:
    nights = night.nights[-NIGHTS:]
    names = sorted({name for n in nights for name in n["backends"]})
    lines = []
    for i, name in enumerate(names):
        points = [(float(x), n["backends"].get(name, {}).get(field)) for x, n in enumerate(nights)]
        lines.append(Line(name, points, i))
    known = [y for line in lines for _, y in line.points if y is not None]
    if not known:
        return ""
    low, high = charts.around(known, least)
    marks = tuple(float(x) for x, n in enumerate(nights) if n.get("regressions"))
    return charts.figure(Chart(title, lines, low, high, y_text, nights[0]["time"][:10], nights[-1]["time"][:10], marks,
                               scale))


def trends(night: Night) -> str:
    figures = [trend(night, "J&F", "J&F, mean of all clips", "{:.1f}", 0.04, 100),
               trend(night, "time_ratio", "Time, mean of all clips, in calibration units", "{:.0f}", 2),
               trend(night, "peak_bytes", "Accounted peak, largest of all clips, MB", "{:.1f}", 4e6, 1e-6)]
    shown = "".join(f'<div class="card">{f}</div>' for f in figures if f)
    if not shown:
        return ""
    n = len(night.nights[-NIGHTS:])
    return (f'<h2>Past nights</h2><p class="soft">{plural(n, "night")}; a dotted upright line is a night with a '
            f'regression.</p><div class="grid2">{shown}</div>')


# --- clips ---


def j_chart(night: Night, measured: dict, name: str, clip: dict) -> str:
    before = night.before(measured["backend"], name) or {"objects": []}
    lines = []
    for i, o in enumerate(clip["objects"]):
        old = next((b for b in before["objects"] if b["id"] == o["id"]), None)
        if old:
            lines.append(Line(f"object {o['id']}, baseline", list(zip(map(float, old["index"]), old["J"])), i, True))
        lines.append(Line(f"object {o['id']}", list(zip(map(float, o["index"]), o["J"])), i))
    frames = {f.frame for f in night.regressions() if (f.backend, f.clip) == (measured["backend"], name)} - {None}
    scored = [x for line in lines for x, _ in line.points] or [0]  # not the frames before a prompt that comes late
    return charts.figure(Chart(f"J per frame, {measured['backend']}", lines, 0, 1, "{:.0f}", f"frame {min(scored):.0f}",
                               f"frame {max(scored):.0f}", tuple(map(float, sorted(frames))), 100))


def memory_chart(measured: dict, clip: dict) -> str:
    if not clip["bytes"]:
        return ""
    line = Line("accounted bytes after each frame", [(float(i), float(b)) for i, b in enumerate(clip["bytes"])], 3)
    return charts.figure(Chart(f"Memory per frame, {measured['backend']}, MB", [line], 0,
                               1.1 * max(clip["bytes"]) or 1, "{:.1f}", "frame 0", f"frame {len(clip['bytes']) - 1}",
                               scale=1e-6))


def clip_section(night: Night, name: str, shown: list[tuple[str, str]]) -> str:
    figures, failures = [], []
    for m in night.measured:
        clip = m["clips"].get(name)
        if clip and clip.get("error"):
            failures.append(f'<p class="worse">{escape(m["backend"])}: {escape(clip["error"])}</p>')
        elif clip:
            figures += [j_chart(night, m, name, clip), memory_chart(m, clip)]
    images = "".join(f'<figure><img src="{uri}" alt="{escape(caption)}" loading="lazy"><figcaption>{escape(caption)}'
                     "</figcaption></figure>" for caption, uri in shown)
    images = f'<div class="pictures">{images}</div>' if images else ""
    tests = next((m["clips"][name].get("tests") for m in night.measured if name in m["clips"]), "") or ""
    bad = night.is_bad(name)
    mark = '<span class="worse"> regression</span>' if bad else ""
    return (f'<details{" open" if bad else ""}><summary>{escape(name)}{mark} <span class="soft">{escape(tests)}</span>'
            f'</summary><div class="inside">{"".join(failures)}<div class="grid2">{"".join(figures)}</div>{images}'
            "</div></details>")


# --- worst frames ---


@dataclass(frozen=True)
class Worst:
    backend: str
    clip: str
    frame: int
    rank: tuple  # least first
    caption: str
    masks: str


def worst_of_clip(night: Night, measured: dict, name: str, clip: dict) -> list[Worst]:
    """Its worst frames: of a regression those that lost most, and the frame it names; else those of the least J."""
    old = {o["id"]: dict(zip(o["index"], o["J"]))
           for o in (night.before(measured["backend"], name) or {"objects": []})["objects"]}
    named = {f.frame for f in night.regressions() if (f.backend, f.clip) == (measured["backend"], name)}
    out = []
    for o in clip["objects"]:
        for frame, j in zip(o["index"], o["J"]):
            if j is None:
                continue
            was = old.get(o["id"], {}).get(frame)
            lost = (was - j if was is not None else 0) if night.is_bad(name) else 1 - j
            text = f"{name}, {measured['backend']}, frame {frame}, object {o['id']}: J {100 * j:.1f}" + \
                   (f", was {100 * was:.1f}" if was is not None else "")
            out.append(Worst(measured["backend"], name, frame, (not night.is_bad(name), frame not in named, -lost),
                             text, clip["masks"]))
    return spread(sorted(out, key=lambda w: w.rank), clip["frames"])


def spread(worst: list[Worst], n_frames: int) -> list[Worst]:
    """The first FRAMES_PER_CLIP that are not neighbours of one another."""
    apart, out = min(CLOSE, n_frames // 4), []
    for w in worst:
        if len(out) < FRAMES_PER_CLIP and all(abs(w.frame - o.frame) >= apart for o in out):
            out.append(w)
    return out


def worst_frames(night: Night, most: int) -> list[Worst]:
    """Of every clip, on the backend where it is worst; clips with a regression first."""
    best_of: dict[str, list[Worst]] = {}
    for m in night.measured:
        for name, clip in m["clips"].items():
            found = [] if clip.get("error") else worst_of_clip(night, m, name, clip)
            if found and (name not in best_of or found[0].rank < best_of[name][0].rank):
                best_of[name] = found
    return sorted((w for found in best_of.values() for w in found), key=lambda w: w.rank)[:max(most, 0)]


def worst_pictures(night: Night, clips: measure.Clips, tool: Path, most: int) -> dict[str, list[tuple[str, str]]]:
    """By clip: captions and addresses. What can not be drawn is left out."""
    out: dict[str, list[tuple[str, str]]] = {}
    worst = worst_frames(night, most)
    for name in dict.fromkeys(w.clip for w in worst):
        with png.Frames(tool, clips.video(name)) as frames:
            for w in (w for w in worst if w.clip == name):
                file = f"{w.frame:05}.png"
                try:
                    picture = png.overlay(frames.frame(w.frame), png.read_png(Path(w.masks) / file),
                                          truth.read(clips.manifest.parent, clips.clips[name], w.frame))
                except png.PictureError as error:
                    print(f"no picture of {name}, frame {w.frame}: {error}")
                    continue
                out.setdefault(name, []).append((w.caption, png.address(picture)))
    return out


# --- the page ---


def finding(night: Night, f: Finding) -> str:
    commands = night.commands.get((f.backend, f.clip), [])
    code = f"<pre>{escape(chr(10).join(commands))}</pre>" if commands else ""
    return (f'<div class="card finding {f.severity}"><span class="tag">{escape(f.severity)}</span> '
            f"<strong>{escape(f'{f.backend} {f.clip}'.strip())}</strong><p>{escape(f.text)}</p>{code}</div>")


def notes(night: Night) -> str:
    told = [(f"{f.backend} {f.clip}".strip(), f.text) for f in night.findings if f.severity != REGRESSION]
    told += [(name, f"did not run: {why}") for name, why in night.absent.items()]
    items = "".join(f"<li><strong>{escape(who)}</strong>: {escape(text)}</li>" for who, text in told)
    return f'<div class="card finding"><span class="tag">Notes</span><ul>{items}</ul></div>' if items else ""


def findings(night: Night) -> str:
    out = "".join(finding(night, f) for f in night.regressions()) + notes(night)
    if night.stage_lines:
        out += f"<h2>Stage tests of this build</h2><pre>{escape(chr(10).join(night.stage_lines))}</pre>"
    return out


def about(night: Night) -> str:
    first = night.measured[0] if night.measured else {}
    parts = [night.when, f"commit {night.commit}", first.get("version"), first.get("machine"),
             f"model {first['model']} ({first['weights']})" if first.get("model") else None]
    return " · ".join(escape(str(p)) for p in parts if p)


def page(night: Night, shown: dict[str, list[tuple[str, str]]]) -> str:
    style = re.sub(r"\s+", " ", (measure.HERE / "report.css").read_text(encoding="utf-8"))
    bad = bool(night.regressions())
    clips = "".join(clip_section(night, name, shown.get(name, [])) for name in
                    sorted(night.clip_names(), key=lambda n: not night.is_bad(n)))
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>track, nightly: {escape(night.verdict())}</title><style>{style}</style></head><body>"
            f'<div class="verdict {"bad" if bad else "good"}"><h1>{"✗" if bad else "✓"} '
            f"{escape(night.verdict())}</h1>"
            f"<p>{about(night)}</p></div>{findings(night)}<h2>Clips</h2>"
            '<p class="soft">points: change of J&amp;F of 100; peak: accounted memory; time: in units of the '
            f'calibration; masks: bit for bit those of the baseline or not.</p>'
            f"{''.join(table(night, m) for m in night.measured)}{trends(night)}<h2>Frame by frame</h2>"
            f'<p class="soft">Dashed: the baseline. On pictures: found outlines {png.FOUND_NAME}, true ones '
            f"{png.TRUE_NAME}.</p>{clips}</body></html>\n")

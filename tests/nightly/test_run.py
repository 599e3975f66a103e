# SPDX-License-Identifier: Apache-2.0
"""Whole nights with a stand-in for the command: exit status, message, report, history, baseline."""
import base64
import contextlib
import io
import json
import re
import shutil
import tempfile
import unittest
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

from synthetic import FRAMES, make_dump_frames, make_samples, make_track

import measure
import pictures
import run

VOID = {"meta", "img", "path", "br"}  # elements of the page without an end


class Page(HTMLParser):
    """Elements are closed in order; keeps what is needed to look at."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.images, self.words, self.metas, self.tags = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_startendtag(self, tag, attributes):
        self.note(tag, dict(attributes))

    def handle_starttag(self, tag, attributes):
        self.note(tag, dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> is in the wrong place"

    def note(self, tag, attributes):
        self.tags.append(tag)
        self.links += [attributes[k] for k in ("src", "href", "xlink:href") if attributes.get(k)]
        if tag == "img":
            self.images.append(attributes["src"])
        if tag == "meta":
            self.metas.append(attributes)

    def handle_data(self, data):
        self.words.append(data)


def fixed_unit(share):
    """In place of Calibration.make: a unit of 20 ms."""
    class Fixed(measure.Calibration):
        def unit(self):
            return measure.Unit(0.02, share)

    return mock.patch.object(measure.Calibration, "make", lambda folder, threads: Fixed(name="fixed"))


class Nights(unittest.TestCase):
    said = ""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "clips").mkdir()
        self.manifest = make_samples(self.folder / "clips")
        self.out = self.folder / "out"
        self.baseline = self.folder / "baseline.json"

    def night(self, plan, *options, times=False):
        track = make_track(self.folder, plan)
        words = ["--track", str(track), "--manifest", str(self.manifest), "--baseline", str(self.baseline), "--out",
                 str(self.out), "--repeats", "1", "--pictures", "2", *options]
        words += [] if times else ["--no-times"]
        words += [] if "--build-dir" in options else ["--no-stage-tests"]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = run.main(words)
        self.said = said.getvalue()
        return status

    def page(self):
        self.html = (self.out / "report.html").read_text()
        return Page(self.html)

    def make_baseline(self, plan=None):
        self.assertEqual(self.night(plan or {}, "--update-baseline"), 0, self.said)

    def test_quiet_night(self):
        self.make_baseline()
        self.assertEqual(self.night({}), 0, self.said)
        self.assertIn("no regression", self.said)
        self.assertIn("NOTE cuda-f32: did not run: track: device cuda", self.said)

    def test_fall_names_clip_frame_and_commands(self):
        self.make_baseline()
        plan = {"clips": {"box": {"J": [0.9] * 7 + [0.3] * (FRAMES - 7), "hash": "00000000000000ab"}}}
        self.assertEqual(self.night(plan), 1)
        line = next(x for x in self.said.splitlines() if x.startswith("REGRESSION"))
        self.assertRegex(line, r"^REGRESSION cpu-f32 box: J&F 90\.00 -> 51\.00, -39\.00 points .* on frame 7, object 1")
        self.assertRegex(self.said, r"again: \S*track eval \S*manifest.json --clip box --device cpu --dtype f32 "
                                    r"--threads 2 --out box.json --masks masks")
        self.assertRegex(self.said, r"look : \S*track \S*box.mp4 --box 1@0:0,16,16,16 --device cpu --dtype f32 "
                                    r"--threads 2 --sheet box.png")
        self.assertEqual(self.said.count("REGRESSION"), 1)
        self.assertEqual((self.out / "findings.txt").read_text().count("REGRESSION"), 1)

    def test_report_is_whole_and_needs_nothing(self):
        self.make_baseline()
        self.assertEqual(self.night({"clips": {"box": {"J": [0.9] * 7 + [0.3] * (FRAMES - 7)}}}), 1)
        page = self.page()
        words = " ".join(page.words)
        for text in ("1 regression on 1 clip", "disc", "a disc that moves", "frame 7", "--sheet box.png", "51.0",
                     "J per frame, cpu-f32", "Memory per frame", "Past nights", "2 nights"):
            self.assertIn(text, words)
        self.assertNotRegex(self.html, r"https?:|<script|@import|url\(")
        self.assertTrue(all(link.startswith("data:image/png;base64,") for link in page.links))
        self.assertGreaterEqual(len(page.images), 2)
        self.assertGreaterEqual(page.tags.count("svg"), 4)
        self.assertTrue(any(m.get("name") == "viewport" for m in page.metas))
        self.assertIn("prefers-color-scheme: dark", self.html)
        sizes = [float(s) for s in re.findall(r"font(?:-size)?: (?:\w+ )*([0-9.]+)px", self.html)]
        self.assertGreaterEqual(min(sizes), 12)

    def test_worst_frames_are_pictures(self):
        colour, plan = (10, 200, 90), {"clips": {"box": {"J": [0.9] * 7 + [0.3] * (FRAMES - 7)}}}

        def ground():
            (self.folder / "first.png").write_bytes(base64.b64decode(self.page().images[0].split(",")[1]))
            picture = pictures.read_png(self.folder / "first.png")
            return Counter(bytes(row[3 * x:3 * x + 3]) for row in picture.rows for x in range(picture.width))

        self.make_baseline()
        self.assertEqual(self.night(plan), 1)
        self.assertIn("NOTE pictures: masks on gray", self.said)
        self.assertEqual(ground().most_common(1)[0][0], bytes([pictures.EMPTY] * 3))
        make_dump_frames(self.folder, colour)
        self.assertEqual(self.night(plan), 1)
        self.assertNotIn("NOTE pictures", self.said)
        self.assertEqual(ground().most_common(1)[0][0], bytes(colour))

    def test_prompt_that_comes_late(self):
        samples = json.loads(self.manifest.read_text())
        samples["clips"][0]["objects"][0]["frame"] = 5
        self.manifest.write_text(json.dumps(samples))
        self.make_baseline({"clips": {"disc": {"first": 6}}})
        plan = {"clips": {"disc": {"first": 6, "J": [0.9] * 3 + [0.2] * (FRAMES - 9)}}}
        self.assertEqual(self.night(plan), 1)
        self.assertIn("on frame 9, object 1", self.said)
        self.assertRegex(self.said, r"look : \S*track \S*disc.mp4 --box 1@5:0,16,16,16 ")
        words = self.page().words
        self.assertIn("frame 6", words)
        self.assertTrue(any("frame 9, object 1: J 20.0, was 90.0" in word for word in words))

    def test_names_are_escaped(self):
        self.manifest = make_samples(self.folder / "clips", ("a<b>&c",))
        self.make_baseline()
        self.assertIn("a<b>&c", self.page().words)

    def test_clip_that_fails(self):
        self.make_baseline()
        plan = {"clips": {"disc": {"error": "object 1 has no result on frame 3"}}}
        self.assertEqual(self.night(plan), 1)
        self.assertIn("REGRESSION cpu-f32 disc: failed: exit status 1: object 1 has no result on frame 3",
                      self.said)
        self.page()
        before = self.baseline.read_bytes()
        self.assertEqual(self.night(plan, "--update-baseline"), 2)
        self.assertIn("the baseline stays as it is: cpu-f32 disc failed", self.said)
        self.assertEqual(self.baseline.read_bytes(), before)

    def test_results_of_another_backend(self):
        self.make_baseline()
        for plan, found in (({"precision": "bf16"}, "cpu bf16"), ({"device": "reference"}, "reference f32")):
            self.assertEqual(self.night(plan), 1)
            self.assertIn("REGRESSION cpu-f32 disc: failed: disc.json: expected results of cpu f32, found " + found,
                          self.said)

    def test_masks_alone_differ(self):
        self.make_baseline()
        self.assertEqual(self.night({"clips": {"disc": {"hash": "00000000000000ab"}}}), 1)
        self.assertRegex(self.said, "REGRESSION cpu-f32 disc: masks are not the baseline's")

    def test_masks_differ_from_run_to_run(self):
        self.make_baseline()
        plan = {"clips": {"disc": {"hashes": ["00000000000000aa", "00000000000000ab"]}}}
        self.assertEqual(self.night(plan, "--repeats", "2"), 1)
        self.assertIn("REGRESSION cpu-f32 disc: failed: two runs give different masks", self.said)

    def test_slow_clip_is_measured_again(self):
        with fixed_unit(1.0):
            self.assertEqual(self.night({}, "--update-baseline", times=True), 0, self.said)
            self.assertEqual(self.night({"clips": {"box": {"seconds": 1.2}}}, times=True), 1)
        self.assertEqual(self.said.count("again: time"), run.TIME_RETRIES)
        self.assertIn("REGRESSION cpu-f32 box: time 50.00 -> 60.00 calibration units, +20.0 %", self.said)

    def test_times_of_a_busy_machine(self):
        """They are neither compared nor kept."""
        slow = {"clips": {"box": {"seconds": 9.0}}}
        with fixed_unit(1.0):
            self.assertEqual(self.night({}, "--update-baseline", times=True), 0, self.said)
        with fixed_unit(0.79):
            self.assertEqual(self.night(slow, times=True), 0, self.said)
            self.assertIn("NOTE cpu-f32: others used the machine: times of 2 of 2 clips are not compared", self.said)
            self.assertEqual(self.night(slow, "--update-baseline", times=True), 0, self.said)
        with fixed_unit(0.8):
            self.assertEqual(self.night({"clips": {"box": {"seconds": 99.0}}}, times=True), 0, self.said)

    def test_calibration(self):
        if not shutil.which("cc"):
            self.skipTest("no C compiler")
        unit = measure.Calibration.make(self.folder, 2)
        self.assertGreater(unit.unit().seconds, 0)
        self.assertTrue(0 < unit.unit().share < 1.1)
        self.assertRegex(unit.name, "^[0-9a-f]{12}$")

    def test_no_baseline(self):
        self.assertEqual(self.night({}), 2)
        self.assertIn("no baseline; --update-baseline makes one", self.said)

    def test_faults_are_no_regressions(self):
        self.make_baseline()
        reports = [self.out / name for name in (run.REPORT, run.FINDINGS)]
        self.assertTrue(all(path.exists() for path in reports))
        with mock.patch.object(run, "compare_all", side_effect=KeyError("x")):
            self.assertEqual(self.night({}), 2)
        self.assertIn("nightly: KeyError", self.said)
        self.assertFalse(any(path.exists() for path in reports))  # those of the night before

    def test_a_manifest_of_ones_own(self):
        """Prompts by the true mask where no box is said or asked for, on the first frame where none is said; and what is no
        manifest."""
        manifest = self.folder / "own.json"
        clip = {"name": "own", "video": "own.mp4", "truth": "own", "objects": [{"id": 1, "prompt": "mask"}, {
            "id": 2, "frame": 3, "box": [1, 2, 3, 4.5]}]}
        manifest.write_text(json.dumps({"format": "track-samples-1", "clips": [clip]}))
        self.assertEqual(measure.read_manifest(manifest).prompts("own"),
                         ["--mask", f"1@0:{self.folder}/own/00000.png", "--box", "2@3:1,2,3,4.5"])
        clip["objects"][1].pop("box")
        manifest.write_text(json.dumps({"format": "track-samples-1", "clips": [clip]}))
        self.assertEqual(measure.read_manifest(manifest).prompts("own")[2:], ["--mask", f"2@3:{self.folder}/own/00003.png"])
        clip["truth"] = {"rle": "own.json"}
        manifest.write_text(json.dumps({"format": "track-samples-1", "clips": [clip]}))
        runner = run.Runner(Path("track"), measure.read_manifest(manifest), self.folder, None, measure.Calibration())
        self.assertIsNone(runner.clips.prompts("own"))
        self.assertEqual(len(runner.repeat_commands(measure.BACKENDS[0], "own")), 1)  # nothing to type for a look
        for rest in ("", ', "clips": []', ', "clips": [{"name": "a"}]'):
            manifest.write_text('{"format": "track-samples-1"' + rest + "}")
            with self.assertRaisesRegex(measure.NightlyError, "expected clips, each with name"):
                measure.read_manifest(manifest)

    def test_names_that_lead_elsewhere(self):
        """They become names of files that are removed before `track eval` sees them."""
        manifest = self.folder / "own.json"
        for name in ("/tmp/x", "../x", "a/../../x", "", "a//b", ".", "a\nb", 7, None):
            clip = {"name": name, "video": "own.mp4", "truth": "own", "objects": []}
            manifest.write_text(json.dumps({"format": "track-samples-1", "clips": [clip]}))
            with self.assertRaisesRegex(measure.NightlyError, "no path out of its folder"):
                measure.read_manifest(manifest)
        manifest.write_text(json.dumps({"format": "track-samples-1", "clips": [clip | {"name": "a..b/c.d"}]}))
        self.assertEqual(list(measure.read_manifest(manifest).clips), ["a..b/c.d"])

    def test_several_backends(self):
        self.make_baseline({"backends": ["cpu f32", "cuda bf16"]})
        self.assertEqual(self.night({"backends": ["cpu f32", "cuda bf16"]}), 0)
        self.assertIn("cuda-bf16", " ".join(self.page().words))
        self.assertEqual(self.night({}), 1)
        self.assertIn("REGRESSION cuda-bf16: did not run, the baseline has it of this machine", self.said)
        self.assertEqual(self.night({}, "--backend", "cpu-f32"), 0)
        self.assertEqual(self.night({}, "--backend", "cuda-bf16"), 2)

    def test_one_clip(self):
        self.make_baseline()
        self.assertEqual(self.night({"clips": {"disc": {"J": [0.1] * FRAMES}}}, "--clip", "box"), 0)
        self.assertIn("1 night;", " ".join(self.page().words))
        self.assertEqual(self.night({}, "--clip", "box", "--history", str(self.folder / "none.jsonl")), 0)
        self.assertNotIn("Past nights", self.page().words)
        self.assertEqual(self.night({}, "--clip", "none"), 2)
        self.assertIn("--clip none", self.said)
        self.assertEqual(len((self.out / "history.jsonl").read_text().splitlines()), 1)  # of the baseline's run

    def test_history_elsewhere(self):
        path = self.folder / "h.jsonl"
        self.make_baseline()
        self.night({}, "--history", str(path))
        self.assertEqual(len(path.read_text().splitlines()), 1)

    def test_stage_tests_are_listed(self):
        self.make_baseline()
        build = self.folder / "build"
        build.mkdir()
        (build / "CTestTestfile.cmake").write_text('add_test(unit.positions false)\nadd_test(golden.ok true)\n'
                                                   'set_tests_properties(unit.positions PROPERTIES LABELS unit)\n'
                                                   'set_tests_properties(golden.ok PROPERTIES LABELS golden)\n')
        self.assertEqual(self.night({"clips": {"box": {"J": [0.3] * FRAMES}}}, "--build-dir", str(build)), 1)
        self.assertIn("unit.positions failed: positional tables: RoPE", self.said)
        self.assertIn("2 stage tests ran, 1 failed", self.said)
        self.assertIn("positional tables", " ".join(self.page().words))


if __name__ == "__main__":
    unittest.main()

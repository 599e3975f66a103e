# SPDX-License-Identifier: Apache-2.0
"""The baseline and the history: what is kept, what is refused."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from synthetic import clip, measured

import baseline
import history


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Baseline(InFolder):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "baseline.json"

    def names(self):
        return [(e["backend"], e["machine"]) for e in baseline.read(self.path)]

    def test_round_trip(self):
        baseline.update(self.path, [measured({"disc": clip([0.12345, 0.98765])})])
        entry = baseline.entry_for(baseline.read(self.path), "cpu-f32", measured()["machine"])
        self.assertEqual(entry["clips"]["disc"]["objects"], [{"id": 1, "index": [0, 1], "J": [0.123, 0.988]}])
        self.assertEqual(entry["clips"]["disc"]["mask_hash"], "00000000000000aa")
        self.assertNotIn("bytes", entry["clips"]["disc"])

    def test_others_are_kept_and_its_own_replaced(self):
        baseline.update(self.path, [measured(machine="a"), measured(machine="b"), measured(backend="cpu-bf16",
                                                                                           machine="a")])
        baseline.update(self.path, [measured({"disc": clip()}, machine="a")])
        self.assertEqual(self.names(), [("cpu-bf16", "a"), ("cpu-f32", "a"), ("cpu-f32", "b")])
        sizes = [len(e["clips"]) for e in baseline.read(self.path)]
        self.assertEqual(sizes, [2, 1, 2])

    def test_a_new_model_leaves_nothing_of_the_one_before(self):
        baseline.update(self.path, [measured(machine="a"), measured(machine="b")])
        baseline.update(self.path, [measured(machine="a", weights="fedcba9876543210")])
        self.assertEqual(self.names(), [("cpu-f32", "a")])

    def test_refused_while_a_clip_failed(self):
        baseline.update(self.path, [measured()])
        before = self.path.read_bytes()
        with self.assertRaisesRegex(baseline.BaselineError, "disc failed: out of luck"):
            baseline.update(self.path, [measured({"disc": {"error": "out of luck"}})])
        with self.assertRaises(baseline.BaselineError):
            baseline.update(self.path, [])
        self.assertEqual(self.path.read_bytes(), before)

    def test_whole_or_absent(self):
        with self.assertRaises(baseline.BaselineError):
            baseline.update(self.folder / "no folder" / "baseline.json", [measured()])
        baseline.update(self.path, [measured()])
        self.assertEqual([p.name for p in self.folder.iterdir()], ["baseline.json"])

    def test_written_in_utf_8_whatever_the_locale(self):
        path = self.folder / "page.html"
        program = f"import pathlib, measure; measure.write_whole(pathlib.Path({str(path)!r}), '\\u2717')"
        environment = dict(os.environ, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0",
                           PYTHONPATH=os.pathsep.join(sys.path))
        subprocess.run([sys.executable, "-B", "-c", program], env=environment, check=True)
        self.assertEqual(path.read_bytes(), "\u2717".encode())
        self.assertEqual(os.listdir(self.folder), ["page.html"])

    def test_not_a_baseline(self):
        self.path.write_text("[]")
        with self.assertRaisesRegex(baseline.BaselineError, "expected format track-baseline-1"):
            baseline.read(self.path)
        whole = json.dumps({field: "x" for field in baseline.ENTRY_FIELDS})[:-1]
        for rest in ("", ', "entries": [{}]', ', "entries": {"a": 1}', f', "entries": [{whole}, "clips": []}}]',
                     f', "entries": [{whole}, "clips": {{"a": 1}}}}]'):
            self.path.write_text('{"format": "track-baseline-1"' + rest + "}")
            with self.assertRaisesRegex(baseline.BaselineError, "expected entries with backend"):
                baseline.read(self.path)

    def test_entry_of_this_machine_first(self):
        entries = [measured(machine="a"), measured(machine="b")]
        self.assertEqual(baseline.entry_for(entries, "cpu-f32", "b")["machine"], "b")
        self.assertEqual(baseline.entry_for(entries, "cpu-f32", "c")["machine"], "a")
        self.assertIsNone(baseline.entry_for(entries, "cuda-f32", "a"))


class History(InFolder):
    def test_lines(self):
        path = self.folder / "deep" / "history.jsonl"
        self.assertEqual(history.read(path), [])
        for n in range(2):
            history.append(path, history.line_of([measured()], n, f"2026-01-0{n + 1} 01:00 UTC", "abc"))
        nights = history.read(path)
        self.assertEqual([n["regressions"] for n in nights], [0, 1])
        self.assertAlmostEqual(nights[0]["backends"]["cpu-f32"]["J&F"], 0.9)
        self.assertEqual(nights[0]["backends"]["cpu-f32"]["peak_bytes"], 100_000_000)

    def test_an_unfinished_line_costs_one_night(self):
        path = self.folder / "history.jsonl"
        path.write_text('{"time": "2026-01-01 01:00 UTC", "ba')
        history.append(path, history.line_of([measured({"disc": {"error": "x"}})], 1, "2026-01-02 01:00 UTC", "abc"))
        nights = history.read(path)
        self.assertEqual([n["time"] for n in nights], ["2026-01-02 01:00 UTC"])
        self.assertIsNone(nights[0]["backends"]["cpu-f32"]["J&F"])
        json.dumps(nights)

    def test_lines_that_are_no_nights_are_passed_over(self):
        path = self.folder / "history.jsonl"
        path.write_bytes(b'\xff\xfe\n{"backends": {}}\n{"backends": {}, "time": 7}\n[]\n')
        history.append(path, history.line_of([measured()], 0, "2026-01-02 01:00 UTC", "abc"))
        self.assertEqual([n["time"] for n in history.read(path)], ["2026-01-02 01:00 UTC"])


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""The rules: each trips at its limit and not before, and says where to look."""
import unittest

from synthetic import FRAMES, clip, measured

import baseline
import compare


def findings(after, before=None, **kinds):
    return compare.compare_backend(after, baseline.entry_of(before or measured()), **kinds)


def only(found):
    assert len(found) == 1, found
    return found[0]


def with_clip(**changes):
    """A night on which the clip "disc" differs."""
    j = changes.pop("j", None)
    return measured({"disc": clip(j, **changes), "box": clip()})


class Rules(unittest.TestCase):
    def test_same_night_is_quiet(self):
        self.assertEqual(findings(measured()), [])

    def test_quality(self):
        self.assertEqual(findings(with_clip(**{"J&F": 0.895001})), [])
        found = only(findings(with_clip(**{"J&F": 0.895})))
        self.assertEqual((found.kind, found.severity, found.clip), ("quality", "regression", "disc"))
        self.assertIn("90.00 -> 89.50, -0.50 points (limit -0.5)", found.text)
        self.assertEqual(findings(with_clip(**{"J&F": 0.95})), [])

    def test_memory(self):
        self.assertEqual(findings(with_clip(peak_bytes=104_999_999)), [])
        found = only(findings(with_clip(peak_bytes=105_000_000)))
        self.assertEqual(found.kind, "memory")
        self.assertIn("100000000 -> 105000000 bytes, +5.0 %", found.text)
        self.assertIn("100000000 bytes -> not told", only(findings(with_clip(peak_bytes=0))).text)

    def test_time(self):
        self.assertEqual(findings(with_clip(time_ratio=59.999)), [])
        found = only(findings(with_clip(time_ratio=60.0)))
        self.assertEqual(found.kind, "time")
        self.assertIn("50.00 -> 60.00 calibration units, +20.0 %", found.text)

    def test_masks(self):
        found = only(findings(with_clip(mask_hash="00000000000000ab")))
        self.assertEqual((found.kind, found.frame), ("masks", None))
        self.assertIn("J of every frame is the same", found.text)

    def test_lower_quality_is_one_finding(self):
        found = only(findings(with_clip(mask_hash="00000000000000ab", **{"J&F": 0.8})))
        self.assertEqual(found.kind, "quality")

    def test_clip_without_masks_is_compared_by_the_rest(self):
        before = with_clip(**{"J&F": None})
        after = with_clip(peak_bytes=200_000_000, **{"J&F": None})
        self.assertEqual(only(findings(after, before)).kind, "memory")

    def test_quality_that_is_no_more(self):
        found = only(findings(with_clip(**{"J&F": None})))
        self.assertEqual((found.kind, found.severity), ("quality", "regression"))
        self.assertIn("J&F 90.00 -> none", found.text)

    def test_other_frames(self):
        found = only(findings(with_clip(frames=FRAMES - 1)))
        self.assertEqual((found.kind, found.severity), ("quality", "regression"))
        self.assertIn(f"{FRAMES} -> {FRAMES - 1} frames", found.text)


class Frames(unittest.TestCase):
    def curve(self, **frames):
        j = [0.9] * FRAMES
        for frame, value in frames.items():
            j[int(frame[1:])] = value
        return j

    def test_first_fall_of_more_than_five_points(self):
        found = only(findings(with_clip(j=self.curve(f3=0.89, f7=0.85, f9=0.849, f11=0.1))))
        self.assertEqual(found.frame, 9)
        self.assertIn("first fall of more than 5 points on frame 9, object 1: J 90.0 -> 84.9", found.text)

    def test_without_such_a_fall_the_first_difference(self):
        j = [v - 0.02 if i >= 4 else v for i, v in enumerate(self.curve(f6=0.89))]
        found = only(findings(with_clip(j=j)))
        self.assertEqual(found.frame, 4)
        self.assertIn("J differs first on frame 4, object 1: J 90.0 -> 88.0, most on frame 6", found.text)

    def test_frames_that_do_not_count(self):
        j = [None if i == 2 else v for i, v in enumerate(self.curve())]
        after = clip()
        after["objects"][0]["J"] = j
        self.assertEqual(compare.frame_changes(clip(), after), [])

    def test_frame_of_an_error(self):
        after = measured({"disc": {"error": "exit status 1: track: object 1 has no result on frame 12"},
                          "box": clip()})
        found = only(findings(after))
        self.assertEqual((found.kind, found.clip, found.frame), ("failed", "disc", 12))


class Sets(unittest.TestCase):
    def kinds(self, found):
        return sorted((f.kind, f.severity) for f in found)

    def test_other_machine(self):
        after = with_clip(mask_hash="00000000000000ab", time_ratio=500.0)
        after["machine"] = "another"
        self.assertEqual(self.kinds(findings(after)), [("machine", "note")])
        after["clips"]["disc"] |= {"J&F": 0.5, "peak_bytes": 200_000_000}
        self.assertEqual(self.kinds(findings(after)),
                         [("machine", "note"), ("memory", "regression"), ("quality", "regression")])

    def test_a_build_that_lost_something(self):
        whole = "A processor (family 1); cpu (oneDNN 2.6.3, avx512, bf16), ref"
        before = measured(machine=whole)
        for builds, lost in (("cpu (oneDNN 2.6.3, avx512), ref", "no bf16 any more"),
                             ("cpu (avx512, bf16), ref", "no oneDNN any more"),
                             ("cuda (13.0), cpu (oneDNN 2.6.3, avx2), ref", "no avx512, bf16 any more")):
            found = only(findings(measured(machine=f"A processor (family 1); {builds}"), before))
            self.assertEqual((found.kind, found.severity), ("build", "regression"))
            self.assertIn(lost, found.text)
        for machine in ("A processor (family 1); cuda (13.0), cpu (oneDNN 3.1, avx512, bf16), ref",
                        "B processor (family 1); cpu (), ref", "B"):
            self.assertEqual(self.kinds(findings(measured(machine=machine), before)), [("machine", "note")])
        before = measured(machine="A processor (family 1); cpu (oneDNN 2.6.3, avx2), ref")
        self.assertEqual(self.kinds(findings(measured(machine=whole), before)), [("machine", "note")])

    def test_other_calibration(self):
        self.assertEqual(self.kinds(findings(with_clip(time_ratio=500.0) | {"calibration": "other"})),
                         [("machine", "note")])

    def test_missing_and_new(self):
        after = measured({"disc": clip(), "ring": clip()})
        self.assertEqual(self.kinds(findings(after)), [("missing", "regression"), ("new", "note")])
        self.assertEqual(self.kinds(findings(after, chosen={"disc", "ring"})), [("new", "note")])

    def test_new_clip_that_fails(self):
        self.assertEqual(self.kinds(findings(measured({"disc": clip(), "box": clip(), "ring": {"error": "x"}}))),
                         [("failed", "regression")])

    def test_all_clips_fail(self):
        after = measured({"disc": {"error": "x"}, "box": {"error": "y"}}, machine="", weights=None, options=[])
        self.assertEqual(self.kinds(findings(after)), [("failed", "regression")] * 2)

    def test_weights_and_options(self):
        for field, value in (("weights", "fedcba9876543210"), ("options", ["--no-binarize"])):
            after = with_clip(mask_hash="00000000000000ab") | {field: value}
            found = only(findings(after))
            self.assertEqual((found.kind, found.severity), (field, "regression"))
            self.assertIn("--update-baseline", found.text)

    def test_backend_without_baseline(self):
        found = compare.compare_backend(measured(), None)
        self.assertEqual(self.kinds(found), [("new", "note")])

    def test_backend_that_did_not_run(self):
        entries = [baseline.entry_of(measured(backend=name)) for name in ("cpu-f32", "cuda-f32")]
        found = only(compare.missing_backends(entries, measured()["machine"], {"cpu-f32"}))
        self.assertEqual((found.kind, found.backend), ("backend", "cuda-f32"))
        self.assertEqual(compare.missing_backends(entries, "another", {"cpu-f32"}), [])
        entries = [baseline.entry_of(measured(backend=name, machine="A; cpu (bf16), ref"))
                   for name in ("cpu-f32", "cpu-bf16")]
        found = only(compare.missing_backends(entries * 2, "A; cpu (), ref", {"cpu-f32"}))
        self.assertEqual(found.backend, "cpu-bf16")
        entries = baseline.merged(entries, [measured(machine="A; cpu (), ref")])  # it was meant
        self.assertEqual(compare.missing_backends(entries, "A; cpu (), ref", {"cpu-f32"}), [])

    def test_entry_of_the_same_hardware(self):
        entries = [baseline.entry_of(measured(machine=m)) for m in ("B; cpu ()", "A; cpu (bf16)", "A; cpu ()")]
        for machine, entry in (("A; cpu ()", 2), ("A; cpu (avx2)", 1), ("C; cpu ()", 0)):
            self.assertIs(baseline.entry_for(entries, "cpu-f32", machine), entries[entry])
        self.assertIsNone(baseline.entry_for(entries, "cuda-f32", "A; cpu ()"))


if __name__ == "__main__":
    unittest.main()

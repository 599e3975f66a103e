# SPDX-License-Identifier: Apache-2.0
"""Reading ctest's output, whole or broken off."""
import tempfile
import unittest
from pathlib import Path

import synthetic  # noqa: F401  (finds samples/nightly)

import cause

OUTPUT = """Test project build
      Start  1: unit.log
      Start  2: golden.stages-demo
 1/4 Test  #1: unit.log .........................   Passed    0.05 sec
 2/4 Test  #2: golden.stages-demo ...............***Failed    0.51 sec
box      trunk.stage0               [ 4096,   32]  largest    6.2802  error  1.71e-07  ok
track    attention.layer0           [  256,  256]  largest    6.2802  error  3.10e-01  FAILED
track    attention.layer1           [  256,  256]  largest    6.2802  error  5.10e-01  FAILED

      Start  3: unit.bank
 3/4 Test  #3: unit.bank ........................***Not Run   0.00 sec
 4/4 Test #14: unit.positions ...................***Timeout  60.00 sec
"""


class Parsing(unittest.TestCase):
    def test_failed_ones(self):
        found = cause.parse(OUTPUT)
        self.assertEqual([(t.name, t.how) for t in found.failed],
                         [("golden.stages-demo", "Failed"), ("unit.positions", "Timeout")])
        self.assertIn("attention.layer0", found.failed[0].first_line)
        self.assertIn("memory attention", found.failed[0].covers)
        self.assertIn("RoPE", found.failed[1].covers)
        self.assertEqual(found.note, "3 stage tests ran, 2 failed, 1 not built")

    def test_broken_off(self):
        self.assertEqual(len(cause.parse(OUTPUT[:OUTPUT.index("box ")]).failed), 1)

    def test_no_tests_there(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("did not run", cause.run(Path(folder), 1, 1).note)


if __name__ == "__main__":
    unittest.main()

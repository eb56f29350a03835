#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""table.py.

Receives: lines of logs. Hands on: verdicts. Owns: a temporary folder.
"""
import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import table

LOG = """
[ RUN      ] OutageRow.One
contract: outage measured 80.2 ms, bound 100 ms
contract: memory measured 1.5 MiB, bound 32 MiB
 contract: not_at_the_begin measured 1 ms, bound 1 ms
contract: other units measured 1 ms, bound 1 ms
contract: mixed measured 1 ms, bound 1 MiB
contract: outage measured 120.0 ms, bound 110 ms
6.1  | contract: unload measured 30 ms, bound 1000 ms
6.12 | contract: outage measured 7 ms, bound 100 ms, simulated time
"""


class Rows(unittest.TestCase):
    def setUp(self):
        self.rows = table.longest(table.rows_of("here", LOG))

    def test_the_longest_of_each_place(self):
        self.assertEqual([(r["key"], r["place"], r["measured"], r["bound"], r["times"]) for r in self.rows],
                         [("outage", "here", 120, 110, 2), ("memory", "here", 1.5, 32, 1), ("unload", "6.1", 30, 1000, 1),
                          ("outage", "6.12", 7, 100, 1)])

    def test_what_is_beyond_its_bound_is_said(self):
        text = table.as_table(self.rows)
        self.assertEqual([line.endswith("BEYOND") for line in text.splitlines()], [False, True, False, False, False])
        self.assertIn("simulated time", text)

    def test_a_document_gets_the_longest_of_all_places(self):
        self.assertEqual(table.fill("| `outage` 1 ms; `memory` 9.9 MiB | `unknown` 3 ms | `outage` 4 |", self.rows),
                         "| `outage` 120 ms; `memory` 1.5 MiB | `unknown` 3 ms | `outage` 4 |")

    def test_files_and_the_verdict(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out, \
                contextlib.redirect_stderr(io.StringIO()) as errors:
            folder = pathlib.Path(folder)
            (folder / "log").write_text(LOG)
            self.assertEqual(table.main(["--to", str(folder), f"here={folder}/log", f"there={folder}/none"]), 0)
            self.assertTrue((folder / "contract.txt").read_text().endswith(out.getvalue()))
            self.assertRegex((folder / "contract.txt").read_text(), r"^failure contract: .*, commit \S+, \d+ processors")
            self.assertEqual(json.loads((folder / "contract.json").read_text())["rows"], self.rows)
            self.assertIn("none", errors.getvalue())
            (folder / "log").write_text("nothing")
            self.assertEqual(table.main([f"here={folder}/log"]), 1)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: the program farlane-bench and plot.py. Hands on: proof of --compare, its exit codes, usage, and the plots.
# Owns: results made up for it, in a folder that goes away. Measures nothing.
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

PROGRAM, PLOT = sys.argv.pop(1), sys.argv.pop(1)


def row(ours, limit=None, better="lower", spread=0.0):
    ratio = None if limit is None else ours / limit
    more = {"better": better}
    if ratio is not None:
        more.update(ratio_min=ratio * (1 - spread), ratio_max=ratio * (1 + spread))
    return {"ours": ours, "limit": limit, "ratio": ratio, "unit": "us", "min": ours * (1 - spread), "median": ours,
            "max": ours * (1 + spread), "repeats": 3, "reach": None, "ok": None, "more": more}


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, name, rows):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(json.dumps({"rows": rows}))
        return str(path)

    def compare(self, old, new, *more):
        command = [PROGRAM, "--compare", self.file("old", old), "--with", self.file("new", new), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_the_same_is_no_regression(self):
        self.assertEqual(self.compare({"a": row(1, 2)}, {"a": row(1, 2)})[0], 0)

    def test_a_worse_ratio_is_one(self):
        code, text = self.compare({"a": row(1, 2)}, {"a": row(1.3, 2)})
        self.assertEqual(code, 3)
        self.assertIn("REGRESSION", text)

    def test_the_machine_moves_both(self):
        self.assertEqual(self.compare({"a": row(1, 2)}, {"a": row(3, 6)})[0], 0)

    def test_what_is_better_is_none(self):
        self.assertEqual(self.compare({"a": row(1, 2, "higher")}, {"a": row(1.9, 2, "higher")})[0], 0)
        self.assertEqual(self.compare({"a": row(1.9, 2, "higher")}, {"a": row(1, 2, "higher")})[0], 3)

    def test_within_the_spread_of_the_old_run_is_none(self):
        self.assertEqual(self.compare({"a": row(1, 2, spread=0.5)}, {"a": row(1.3, 2)})[0], 0)

    def test_without_a_limit_the_figure_counts(self):
        self.assertEqual(self.compare({"a": row(100)}, {"a": row(120)})[0], 3)
        self.assertEqual(self.compare({"a": row(100)}, {"a": row(120)}, "--tolerance", "30")[0], 0)

    def test_a_figure_that_is_gone_is_one(self):
        gone = dict(row(1, 2), ours=None, ratio=None)
        self.assertEqual(self.compare({"a": row(1, 2)}, {"a": gone})[0], 3)

    def test_nothing_in_common_is_no_verdict(self):
        code, text = self.compare({"a": row(1, 2)}, {"b": row(1, 2)})
        self.assertEqual(code, 2)
        self.assertIn("no row in common", text)

    def test_what_is_no_result(self):
        good = self.file("good", {"a": row(1, 2)})
        for bad in ("", "{", "[]", '{"rows": []}', '{"rows": {"a": 5}}', '{"rows": {"a": {"unit": 1}}}',
                    '{"rows": {"a": {"more": []}}}', '{"rows": {}, "cacheline_ns": "x"}', self.folder.name):
            path = pathlib.Path(self.folder.name) / "bad"
            path.write_text(bad)
            for old, new in ((good, path), (path, good), (good, self.folder.name)):
                done = subprocess.run([PROGRAM, "--compare", str(old), "--with", str(new)], capture_output=True,
                                      text=True, timeout=60)
                self.assertEqual(done.returncode, 2, (bad, done.stderr))
                self.assertRegex(done.stderr, r"\Afarlane-bench: .*\n\Z")

    # Minutes would be lost otherwise: part `cycles` would take seconds here.
    def test_where_it_can_not_be_written_is_said_before(self):
        for out in (f"{self.folder.name}/nowhere/x.json", self.folder.name):
            done = subprocess.run([PROGRAM, "--only", "cycles", "--out", out], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stdout, "", "nothing was measured")
            self.assertIn("--out", done.stderr)

    def test_usage(self):
        for arguments in (["--with", "x"], ["--only", "nothing"], ["--ports", "carrier-pigeon"], ["--repeats", "0"],
                          ["--compare", "/nowhere.json"], ["--no-such-option"]):
            done = subprocess.run([PROGRAM, "--out", "", *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))
        self.assertEqual(subprocess.run([PROGRAM, "--help"], capture_output=True, timeout=60).returncode, 0)


class Plots(unittest.TestCase):
    def test_all_four_are_drawn(self):
        percentiles = [{"percentile": p, "ours_ns": 900 + p, "raw_ns": 500 + p} for p in (1, 50, 99, 99.9)]
        result = {
            "rows": {key: row(9, 10) for key in
                     ["loss_0p01", "loss_0p1", "loss_1", "loss_5"] + [f"distance_{t}ms" for t in (1, 15, 30, 100)]},
            "plots": {"latency_vhost": percentiles,
                      "throughput_udp": [{"bytes": b, "gb_per_s": b / 1e5} for b in (8, 4096, 65536)]}}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "result.json"
            path.write_text(json.dumps(result))
            subprocess.run([sys.executable, PLOT, str(path), "--out", folder], check=True, capture_output=True)
            for name in ("latency", "throughput", "loss", "distance"):
                drawn = xml.dom.minidom.parse(str(pathlib.Path(folder) / f"{name}.svg"))
                self.assertTrue(drawn.getElementsByTagName("polyline"), name)

    def test_nothing_to_draw(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "result.json"
            path.write_text('{"rows": {}}')
            subprocess.run([sys.executable, PLOT, str(path), "--out", folder], check=True, capture_output=True)
            self.assertEqual(list(pathlib.Path(folder).glob("*.svg")), [])


if __name__ == "__main__":
    unittest.main()

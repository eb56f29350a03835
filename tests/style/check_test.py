#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: trees made here, each with one breach. Hands on: verdicts on check.py.
# Owns: temporary folders.
import pathlib
import tempfile
import unittest

import check

HEAD = "// SPDX-License-Identifier: Apache-2.0\n// Receives: a. Hands on: b.\n// Owns: c.\n"


class Tree(unittest.TestCase):
    def breaches(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return list(check.check_tree(root))

    def only(self, files, part):
        found = self.breaches(files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_a_good_tree(self):
        self.assertEqual(self.breaches({"sdk/a.cpp": HEAD, "README.md": "[a](sdk/a.cpp)\n"}), [])

    def test_licence(self):
        self.only({"sdk/a.cpp": HEAD.replace("Apache-2.0", "MIT")}, "SPDX")
        self.only({"kmod/main.c": HEAD}, "GPL-2.0")
        self.only({"kmod/include/uapi/farlane/a.h": HEAD}, "syscall-note")
        self.only({"x/CMakeLists.txt": "project(x)\n"}, "SPDX")

    def test_head(self):
        self.only({"sdk/a.hpp": HEAD.replace("Hands on", "Gives")}, "Hands on:")
        self.only({"tests/a.cpp": "// SPDX-License-Identifier: Apache-2.0\n#include <x>\n"}, "what it is about")

    def test_length(self):
        self.only({"sdk/a.cpp": HEAD + "\n" * 798}, "801 lines")
        self.only({"README.md": "\n" * 151}, "151 lines")

    def test_paths_of_a_machine(self):
        self.only({"sdk/a.cpp": HEAD + '// see /ho' + 'me/me/x\n'}, "path of one machine")
        self.assertEqual(self.breaches({"sdk/a.cpp": HEAD + "// at /run/farlane\n"}), [])

    def test_unfinished(self):
        self.only({"sdk/a.cpp": HEAD + "// TO" + "DO: later\n"}, "unfinished")

    def test_links(self):
        self.only({"docs/a.md": "[b](b.md)\n"}, "no such file")
        self.only({"docs/a.md": "[b](b.md#two)\n", "docs/b.md": "# One\n"}, "no such heading")
        self.assertEqual(self.breaches({"docs/a.md": "[b](b.md#one-of-it) [c](https://x)\n", "docs/b.md": "## One `of` it\n"}), [])

    def test_verbs_and_codes(self):
        program = HEAD + 'Verb a() {\n    return {.name = "list",\n'
        status = "/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */\n" \
                 '\tX(SC, ok, 0, 0, 0, "x")\n\tX(B, busy, 17, EBUSY, 4, "x")\n'
        tree = {"sdk/tools/cli/farlane_program.cpp": program, "kmod/include/uapi/farlane/status.h": status}
        good = "`farlane list`\n\n| 0 | fine |\n| 4 | busy |\n"
        self.assertEqual(self.breaches({**tree, "docs/getting-started.md": good}), [])
        self.only({**tree, "docs/getting-started.md": good.replace("list", "show")}, "farlane list")
        self.only({**tree, "docs/getting-started.md": good.replace("| 4 |", "| 5 |")}, "exit codes")

    def test_decisions_are_listed(self):
        self.only({"docs/decisions/0001-x.md": "# x\n", "docs/decisions/README.md": "# none\n"}, "does not list")

    def test_failures_name_tests_that_exist(self):
        tests = {"tests/a/a_test.cpp": HEAD + "TEST_F(Suite, happens) {}\n"}
        self.assertEqual(self.breaches({**tests, "docs/failures.md": "`Suite.happens`\n"}), [])
        self.only({**tests, "docs/failures.md": "`Suite.doesNot`\n"}, "no test Suite.doesNot")

    def test_failures_say_what_was_measured(self):
        log = {"docs/logs/contract.txt": "row  measured  bound  where\ncut  80.2 ms  100 ms  here\ncut  81 ms  100 ms  6.1\n"}
        self.assertEqual(self.breaches({**log, "docs/failures.md": "`cut` 81 ms of 100; `stats` 7\n"}), [])
        self.only({**log, "docs/failures.md": "`cut` 80.2 ms\n"}, "and 81 ms in")
        self.only({"docs/failures.md": "`cut` 80.2 ms\n"}, "no row cut")

    def test_packages(self):
        packages = "sdk/tools/setup/packages.txt"
        self.assertEqual(self.breaches({packages: "# all\n\ng++  # builds\nlibfmt-dev # text\n"}), [])
        self.only({packages: "ucx-utils x\n"}, "what for")
        self.only({packages: "man-db # reading\nman-db # tests\n"}, "twice")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Receives: the program hot_path. Hands on: instructions of our own code per operation, counted by callgrind.
# Owns: callgrind's files, in a folder that goes away.
"""Counts instructions per posted write, per read and per no-op of an accelerator, both ends together, and holds the
first two to a budget.

Counted is what was compiled into hot_path: Farlane and what it takes from headers. Not counted are libc, ISA-L and
the dynamic linker, which choose their code by the processor. Repeats within a thousandth.

Exit codes: 0 within the budget (or no --check), 1 over it or the measurement failed, 77 cannot be judged here
(no valgrind, or another compiler than the budget's)."""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

OPERATIONS = {"posted_write": "farlane::bench::count_posted_writes(*", "read": "farlane::bench::count_reads(*",
              "accel_noop": "farlane::bench::count_noops(*"}
BUDGETED = ("posted_write", "read")  # how many acknowledgements a no-op takes depends on time: it is only stated
TARGET_TURN = "Beside::turn("
COUNT = 20000
SKIP = 77
RECURSION = re.compile(r"'\d+$")
NAME = re.compile(r"^(c?(?:fn|ob|fi|fe|fl|file))=\((\d+)\)(?: (.*))?$")


class Profile:
    """Own cost of each function of one object, and the inclusive cost of the target's turns."""

    def __init__(self, path, program):
        self.own = {}
        self.target = 0
        self.names = {}
        self.program = program
        ob = fn = callee = ""
        inclusive = False
        for line in pathlib.Path(path).read_text(errors="replace").splitlines():
            name = NAME.match(line)
            if name:
                kind, number, text = name.groups()
                table = "fn" if kind.endswith("fn") else "ob" if kind.endswith("ob") else "file"
                if text is not None:
                    self.names[table, number] = text
                value = RECURSION.sub("", self.names[table, number])
                if kind == "ob":
                    ob = value
                elif kind == "fn":
                    fn = value
                elif kind == "cfn":
                    callee = value
            elif line.startswith("calls="):
                inclusive = True
            elif line[:1].isdigit() or line[:1] in "+-*":
                fields = line.split()
                cost = int(fields[1]) if len(fields) > 1 else 0
                if inclusive and TARGET_TURN in callee and TARGET_TURN not in fn:
                    self.target += cost
                elif not inclusive and ob == program:
                    self.own[fn] = self.own.get(fn, 0) + cost
                inclusive = False


def count(program, operation, folder, operations):
    out = folder / operation
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--toggle-collect={OPERATIONS[operation]}",
               f"--callgrind-out-file={out}", str(program), str(operations)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Profile(out, str(program))


def measure(program, operations):
    result = {}
    with tempfile.TemporaryDirectory(prefix="farlane-cycles-") as folder:
        for operation in OPERATIONS:
            profile = count(program, operation, pathlib.Path(folder), operations)
            total = sum(profile.own.values())
            top = sorted(profile.own.items(), key=lambda item: -item[1])
            result[operation] = {
                "instructions": round(total / operations, 1),
                "target_with_libraries": round(profile.target / operations, 1),
                "top": [{"function": name, "instructions": round(cost / operations, 1)} for name, cost in top[:20]],
            }
            if total < 50 * operations:
                raise RuntimeError(f"{operation}: {total} instructions of {operations} operations: nothing was counted")
    return result


def short(name):
    """Without the arguments, which fill the line."""
    depth = 0
    for at, c in enumerate(name):
        depth += c == "<"
        depth -= c == ">"
        if c == "(" and depth == 0 and at > 0 and not name[at:].startswith("(anonymous"):
            return name[:at]
    return name


def show(result, full):
    for operation, counted in result.items():
        print(f"{operation}: {counted['instructions']} instructions of our own code, both ends; "
              f"with libraries {counted['target_with_libraries']} of them at the target")
        for entry in counted["top"] if full else []:
            print(f"  {entry['instructions']:8.1f}  {short(entry['function'])}")


def check(result, budget, tolerance):
    over = 0
    for operation, allowed in budget["instructions"].items():
        counted = result[operation]
        change = counted["instructions"] / allowed - 1
        verdict = "within the budget"
        if change > tolerance:
            verdict = f"OVER the budget by more than {tolerance:.0%}"
            over += 1
        elif change < -tolerance:
            verdict = "far below: lower the budget with --update"
        print(f"{operation}: {counted['instructions']} instructions, budget {allowed} ({change:+.1%}): {verdict}")
    return 1 if over else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", required=True, type=pathlib.Path, help="build/release/bench/hot_path")
    p.add_argument("--operations", type=int, default=COUNT)
    p.add_argument("--compiler", default="", help="compiler and build type of the program; must be the budget's")
    p.add_argument("--check", metavar="BUDGET", type=pathlib.Path, help="fail when it takes 5 %% more than this file says")
    p.add_argument("--update", metavar="BUDGET", type=pathlib.Path, help="write what was counted as the new budget")
    p.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    p.add_argument("--top", action="store_true", help="the 20 dearest functions of each as well")
    o = p.parse_args()
    if shutil.which("valgrind") is None:
        print("cycles: valgrind is not installed (Debian package valgrind)", file=sys.stderr)
        return SKIP
    budget = json.loads(o.check.read_text()) if o.check else None
    if budget and o.compiler != budget["compiler"]:
        print(f"cycles: the budget is for '{budget['compiler']}', this program was built by '{o.compiler}'",
              file=sys.stderr)
        return SKIP
    try:
        result = measure(o.program.resolve(), o.operations)
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        print(f"cycles: {e}", file=sys.stderr)
        return 1
    if o.json:
        print(json.dumps(result, indent=2))
    else:
        show(result, o.top)
    if o.update:
        entry = {"compiler": o.compiler, "tolerance": 0.05, "operations": o.operations,
                 "instructions": {name: result[name]["instructions"] for name in BUDGETED}}
        o.update.write_text(json.dumps(entry, indent=2) + "\n")
    return check(result, budget, budget["tolerance"]) if budget else 0


if __name__ == "__main__":
    sys.exit(main())

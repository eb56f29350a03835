#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measured rows of the failure contract.

Receives: logs of tests, as PLACE=FILE. Hands on: a table on stdout and in contract.txt and contract.json of a folder.
Owns: nothing. Lines are `contract: KEY measured N UNIT, bound N UNIT[, note]` (row.hpp, tests/testbed/guest/lib.sh);
what a guest says comes with its kernel in front of a bar, which is the place then. Of several measurements of a row in
a place the longest counts. In a document every "`KEY` N UNIT" gets the value of these logs, the longest of all places;
tests/style/check.py compares docs/failures.md with docs/logs/contract.txt.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

LINE = re.compile(r"^(?:(?P<kernel>[\w.-]+)\s*\| )?contract: (?P<key>\w+) measured (?P<measured>[\d.]+) (?P<unit>\w+), "
                  r"bound (?P<bound>[\d.]+) (?P=unit)(?:, (?P<note>[^\n]+))?$", re.MULTILINE)


def rows_of(place, text):
    for m in LINE.finditer(text):
        yield {"key": m["key"], "place": m["kernel"] or place, "measured": float(m["measured"]),
               "bound": float(m["bound"]), "unit": m["unit"], "note": m["note"] or "", "times": 1}


def longest(rows):
    """One for each key and place, in the order they came first."""
    found = {}
    for row in rows:
        known = found.setdefault((row["key"], row["place"]), row)
        if known is not row:
            known["times"] += 1
            if row["measured"] > known["measured"]:
                known.update({name: row[name] for name in ("measured", "bound", "note")})
    return list(found.values())


def number(value):
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def as_table(rows):
    width = max([len(row["key"]) for row in rows] + [3])
    lines = [f"{'row':<{width}}  {'measured':>12}  {'bound':>10}  where"]
    for row in rows:
        where = row["place"] + (f" ({row['times']} times)" if row["times"] > 1 else "")
        where += f", {row['note']}" if row["note"] else ""
        where += ", BEYOND" if row["measured"] > row["bound"] else ""
        lines.append(f"{row['key']:<{width}}  {number(row['measured']) + ' ' + row['unit']:>12}  "
                     f"{number(row['bound']) + ' ' + row['unit']:>10}  {where}")
    return "\n".join(lines) + "\n"


def heading():
    """What the rows below it are about, for logs that are kept."""
    return (f"failure contract: {time.strftime('%Y-%m-%d %H:%M')}, commit {commit()}, "
            f"{len(os.sched_getaffinity(0))} processors, Linux {platform.release()}\n")


def fill(text, rows):
    """The document with the values of these rows."""
    value = {}
    for row in sorted(rows, key=lambda row: row["measured"]):
        value[row["key"]] = f"{number(row['measured'])} {row['unit']}"
    return re.sub(r"`(\w+)` [\d.]+ (?:ms|MiB)\b",
                  lambda m: f"`{m[1]}` {value[m[1]]}" if m[1] in value else m[0], text)


def commit():
    try:
        done = subprocess.run(["git", "-C", pathlib.Path(__file__).parent, "describe", "--always", "--dirty"],
                              capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def main(arguments):
    parser = argparse.ArgumentParser(description="the measured rows of the failure contract, as a table")
    parser.add_argument("--to", type=pathlib.Path, help="folder for contract.txt and contract.json")
    parser.add_argument("--document", type=pathlib.Path, help="a document whose values are brought up to date")
    parser.add_argument("logs", nargs="+", metavar="PLACE=FILE")
    given = parser.parse_args(arguments)
    rows = []
    for each in given.logs:
        place, _, name = each.partition("=")
        if not name:
            parser.error(f"'{each}' is not PLACE=FILE")
        try:
            rows += rows_of(place, pathlib.Path(name).read_text(errors="replace"))
        except OSError as error:
            print(f"table.py: {error}", file=sys.stderr)
    rows = longest(rows)
    table = as_table(rows)
    print(table, end="")
    if given.to:
        (given.to / "contract.txt").write_text(heading() + table)
        (given.to / "contract.json").write_text(json.dumps({"commit": commit(), "rows": rows}, indent=1) + "\n")
    if given.document:
        given.document.write_text(fill(given.document.read_text(), rows))
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

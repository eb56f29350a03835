#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# docs/opencl.md against the source: every entry point of the dispatch table is in the document's table, as it is.
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
source = (root / "sdk/opencl/dispatch.cpp").read_text()
document = (root / "docs/opencl.md").read_text()

there = {}
for name, value in re.findall(r"^    \.(cl\w+) =(.+?)(?=^    \.cl|^\};)", source, re.MULTILINE | re.DOTALL):
    code = re.search(r"absent<.*?(CL_\w+)>\(\)", value, re.DOTALL)
    there[name] = code[1] if code else "not there" if "nullptr" in value else "yes"
# Those that are entry points of their own only to say no.
own = (root / "sdk/opencl").glob("*.cpp")
text = "\n".join(p.read_text() for p in own)
told = dict(re.findall(r"^\| `(cl\w+)` \| ([^|]+?) \|", document, re.MULTILINE))

wrong = []
for name, value in sorted(there.items()):
    if name not in told:
        wrong.append(f"{name}: not in the document")
    elif value != "yes" and value not in told[name]:
        wrong.append(f"{name}: the document says '{told[name]}', the table has {value}")
    elif value == "yes" and "CL_" in told[name].split(";")[0] and not re.search(
            rf"\b{name}\(.*?^}}", text, re.MULTILINE | re.DOTALL)[0].count(re.search(r"CL_\w+", told[name])[0]):
        wrong.append(f"{name}: the document says '{told[name]}', which its source does not")
wrong += [f"{name}: in the document, not in the table" for name in told if name not in there]
if len(there) < 140:
    wrong.append(f"only {len(there)} entry points found in the source")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# clpeak, which knows nothing of Farlane, on the remote device and on the same device here: both finish and give the
# same kinds of figures. The figures are for people; only that they are there is checked.
import os
import re
import shutil
import subprocess
import sys

if shutil.which("clpeak") is None:
    print("clpeak is not installed")
    sys.exit(77)


def figures(env):
    out = subprocess.run(["clpeak", "--global-bandwidth", "--kernel-latency"], env=env, capture_output=True, text=True,
                         timeout=280, check=False)
    found = dict(re.findall(r"^\s*([\w ]+?)\s*:\s*([\d.]+)(?: us)?$", out.stdout, re.MULTILINE))
    if out.returncode != 0:
        print(out.stdout, out.stderr)
    return out.returncode, out.stdout, found


code, text, remote = figures(dict(os.environ))
_, _, local = figures(dict(os.environ, OCL_ICD_VENDORS="/etc/OpenCL/vendors/pocl.icd"))
for name in local:
    print(f"{name:24} remote {remote.get(name, 'missing'):>10}   here {local[name]:>10}")
good = code == 0 and "Platform: Farlane" in text and set(remote) == set(local) and len(remote) >= 6
good = good and all(float(v) > 0 for v in remote.values())
sys.exit(0 if good else 1)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# What clinfo says of the remote device, and what it says of the same device here: the same but for what Farlane adds
# and takes away.
import os
import shutil
import subprocess
import sys

if shutil.which("clinfo") is None:
    print("clinfo is not installed")
    sys.exit(77)


def lines(env):
    out = subprocess.run(["clinfo", "--raw"], env=env, check=True, capture_output=True, text=True, timeout=100)
    if out.stderr:
        sys.exit(f"clinfo complains: {out.stderr}")
    values = {}
    for line in out.stdout.splitlines():
        parts = line.strip().split(None, 2)
        if len(parts) == 3 and parts[0].startswith("["):  # [P/0] CL_DEVICE_NAME value
            values.setdefault(parts[1], parts[2].strip())
        elif len(parts) >= 2 and parts[0].startswith("CL_"):
            values.setdefault(parts[0], line.strip()[len(parts[0]):].strip())
    return values


remote = lines(dict(os.environ))
local = lines(dict(os.environ, OCL_ICD_VENDORS="/etc/OpenCL/vendors/pocl.icd"))
wrong = []


def same(name):
    if name not in local or remote.get(name) != local[name]:
        wrong.append(f"{name}: {remote.get(name)!r} is not the device's own {local.get(name)!r}")


def tells(name, *words):
    for word in words:
        if word not in remote.get(name, ""):
            wrong.append(f"{name}: {remote.get(name)!r} has no {word!r}")


for name in ("CL_DEVICE_VENDOR", "CL_DEVICE_VENDOR_ID", "CL_DEVICE_TYPE", "CL_DRIVER_VERSION", "CL_DEVICE_MAX_COMPUTE_UNITS",
             "CL_DEVICE_MAX_WORK_GROUP_SIZE", "CL_DEVICE_LOCAL_MEM_SIZE", "CL_DEVICE_DOUBLE_FP_CONFIG",
             "CL_DEVICE_OPENCL_C_VERSION", "CL_DEVICE_ADDRESS_BITS", "CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT"):
    same(name)
tells("CL_PLATFORM_NAME", "Farlane")
tells("CL_PLATFORM_VERSION", "OpenCL 3.0 Farlane")
tells("CL_DEVICE_NAME", local["CL_DEVICE_NAME"], "(Farlane: accel0 at target)")
tells("CL_DEVICE_VERSION", "OpenCL 3.0", "Farlane", local["CL_DEVICE_VERSION"])
tells("CL_DEVICE_EXTENSIONS", "cl_khr_fp64", "cl_khr_byte_addressable_store", "cl_khr_global_int32_base_atomics")
for name in ("CL_DEVICE_IMAGE_SUPPORT", "CL_DEVICE_HOST_UNIFIED_MEMORY", "CL_DEVICE_PIPE_SUPPORT"):
    tells(name, "CL_FALSE")
for gone in ("cl_khr_spir", "cl_khr_3d_image_writes", "cl_khr_subgroups", "cl_khr_command_buffer"):
    if gone in remote["CL_DEVICE_EXTENSIONS"]:
        wrong.append(f"extension {gone} does not work through a fabric")
print("\n".join(wrong) or f"{len(remote)} values")
sys.exit(1 if wrong else 0)

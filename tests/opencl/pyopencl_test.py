#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# pyopencl, as Debian has it, on a remote device: its arrays, reductions, scans, random numbers and complex numbers
# against NumPy's. The last two are built of headers of this machine that include each other. Run by with_accelerator.py.
import os
import subprocess
import sys

DEBIANS = "/usr/bin/python3"  # that has Debian's modules; another may be the first in PATH
SKIP = 77


def program():
    import numpy as np
    import pyopencl as cl
    import pyopencl.array as cl_array
    import pyopencl.clrandom as clrandom
    from pyopencl.scan import GenericScanKernel

    platforms = [p for p in cl.get_platforms() if p.name == "Farlane"]
    assert len(platforms) == 1, cl.get_platforms()
    context = cl.Context(platforms[0].get_devices())
    queue = cl.CommandQueue(context)
    rng = np.random.default_rng(7)
    x = rng.standard_normal(100_000).astype(np.float32)
    y = rng.standard_normal(100_000).astype(np.float32)
    dx, dy = cl_array.to_device(queue, x), cl_array.to_device(queue, y)
    assert np.allclose((3 * dx + dy).get(), 3 * x + y, atol=1e-5)
    assert abs(float(cl_array.dot(dx, dy).get()) - float(np.dot(x.astype(np.float64), y))) < 0.1
    assert float(cl_array.max(dx).get()) == x.max()
    numbers = rng.integers(0, 100, 50_000).astype(np.int32)
    scan = GenericScanKernel(context, np.int32, arguments="__global int *ary", input_expr="ary[i]", scan_expr="a+b",
                             neutral="0", output_statement="ary[i] = item;")
    summed = cl_array.to_device(queue, numbers)
    scan(summed)
    assert np.array_equal(summed.get(), np.cumsum(numbers, dtype=np.int32))
    random = clrandom.PhiloxGenerator(context, seed=3).uniform(queue, 100_000, np.float32).get()
    assert 0 <= random.min() and random.max() <= 1 and abs(random.mean() - 0.5) < 0.01
    z = (x + 1j * y).astype(np.complex64)
    dz = cl_array.to_device(queue, z)
    assert np.allclose((dz * dz.conj()).get().real, x * x + y * y, atol=1e-4)
    # It releases a program that did not link twice.
    part = cl.Program(context, "int none(int); kernel void k(global int *x) { x[0] = none(1); }").compile()
    try:
        cl.link_program(context, [part])
        raise AssertionError("it linked")
    except cl.RuntimeError as e:
        assert "LINK_PROGRAM_FAILURE" in str(e), e
    print("ok:", cl.VERSION_TEXT, context.devices[0].name)


def main():
    if sys.argv[1:] == ["program"]:
        return program()
    there = subprocess.run([DEBIANS, "-c", "import pyopencl, mako"], capture_output=True, check=False)
    if there.returncode != 0:
        print("no pyopencl: install python3-pyopencl and python3-mako", file=sys.stderr)
        return SKIP
    return subprocess.run([DEBIANS, __file__, "program"], env=dict(os.environ, PYOPENCL_NO_CACHE="1"),
                          check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

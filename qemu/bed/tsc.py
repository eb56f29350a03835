# SPDX-License-Identifier: Apache-2.0
"""The frequency of this machine's time stamp counter, which is a TCG guest's as well.

Receives: nothing. Hands on: kHz. Owns: nothing.

A guest that measures it by itself against an emulated timer, while this machine is busy, can be wrong
by a factor of ten and keeps that; its clock then runs ten times too fast and every timeout with it.
"""
import ctypes
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
CODE = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"
MEASURE_NS = 50_000_000
TRIES = 50


def _counter():
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    read.page = page  # lives as long as the function
    return read


def _pair(read):
    """Time and counter of the same moment: of several tries the one that nothing interrupted."""
    best = None
    for _ in range(TRIES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        ticks = read()
        took = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - before
        if best is None or took < best[0]:
            best = (took, before + took // 2, ticks)
    return best[1:]


def khz():
    read = _counter()
    begin_ns, begin = _pair(read)
    while time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - begin_ns < MEASURE_NS:
        time.sleep(MEASURE_NS / 1e9)
    end_ns, end = _pair(read)
    return round((end - begin) * 1_000_000 / (end_ns - begin_ns))

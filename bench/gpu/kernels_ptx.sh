#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes kernels.ptx out of kernels.cu; needs nvcc. For compute capability 8.0 and later (bf16), drivers of CUDA 11.0 and
# later: the version of PTX is taken down to the first that knows all of it, and ptxas looks at the result.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nvcc --ptx -O3 -std=c++17 -arch=compute_80 -o "$work/made.ptx" "$here/kernels.cu"
{
    echo "// Made by kernels_ptx.sh out of kernels.cu."
    sed -e 's/^\.version .*/.version 7.0/' -e '/^[[:space:]]*\/\//d' -e '/^$/d' "$work/made.ptx"
} > "$work/kernels.ptx"
ptxas -arch=sm_80 -o "$work/kernels.cubin" "$work/kernels.ptx"
cp "$work/kernels.ptx" "$here/kernels.ptx"

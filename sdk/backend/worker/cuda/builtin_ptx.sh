#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes builtin.ptx out of the built-in kernels' source (builtin/source.cpp). Needs g++ and nvcc; run it after a change
# there (`--check` says whether that was done, and needs no nvcc). What comes out works on compute capability 7.5 and later, with drivers of CUDA 10.2 and later: the code is plain,
# so the version of PTX that nvcc puts on it is taken down to one that all of them know, and ptxas looks at the result.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sdk=$here/../../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/main.cpp" <<'END'
#include <cstdio>
#include "backend/worker/builtin/source.hpp"
int main() { std::fputs(farlane::backend::worker::builtin_source_cuda().c_str(), stdout); }
END
g++ -std=c++20 -I"$sdk" -o "$work/source" "$work/main.cpp" "$sdk/backend/worker/builtin/source.cpp"
"$work/source" > "$work/builtin.cu"
sum=$(sha256sum < "$work/builtin.cu" | cut -d' ' -f1)
if [ "${1:-}" = --check ]; then
    grep -q "^// $sum\$" "$here/builtin.ptx" || { echo "builtin.ptx is not of this builtin/source.cpp: run $0" >&2; exit 1; }
    exit 0
fi
# NVRTC knows none of the names that nvcc brings along from the host's headers.
{ echo '#define ulong farlane_ulong'; echo '#define uint farlane_uint'; cat "$work/builtin.cu"; } > "$work/made.cu"
nvcc --ptx -O3 -arch=compute_75 -o "$work/made.ptx" "$work/made.cu"
{
    echo "// Made by builtin_ptx.sh out of builtin/source.cpp; sha256 of that source:"
    echo "// $sum"
    sed -e 's/^\.version .*/.version 6.5/' -e '/^\/\//d' -e '/^[[:space:]]*\/\//d' -e '/^$/d' "$work/made.ptx"
} > "$work/builtin.ptx"
ptxas -arch=sm_75 -o "$work/builtin.cubin" "$work/builtin.ptx"
cp "$work/builtin.ptx" "$here/builtin.ptx"

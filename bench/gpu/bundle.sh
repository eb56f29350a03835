#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the run on a GPU here and puts it into one folder, for a machine that has an NVIDIA driver and nothing to build
# with: bundle.sh BUILD FOLDER. There: FOLDER/run.sh [OUT]. It needs glibc of this machine's version or later.
set -euo pipefail
build=$1 folder=$2
jobs=${JOBS:-$(nproc)}
static='-static-libstdc++ -static-libgcc'
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFARLANE_DPDK=OFF \
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g1 -DNDEBUG" "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g1 -DNDEBUG" \
    "-DCMAKE_EXE_LINKER_FLAGS=$static" "-DCMAKE_SHARED_LINKER_FLAGS=$static" "-DCMAKE_BUILD_RPATH=\$ORIGIN" > "$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }
cmake --build "$build" --parallel "$jobs" --target farlane_bench_gpu accel_cuda_test farlane-accel-worker \
    farlane-accel-worker-free
rm -rf "$folder"
mkdir -p "$folder"
programs=("$build/bench/farlane-bench-gpu" "$build/tests/accel_cuda_test" "$build/bin/farlane-accel-worker"
    "$build/bench/farlane-accel-worker-free")
cp "${programs[@]}" bench/gpu/run.sh "$folder"
for stand_in in fake_cuda fake_cuda_12_3; do
    mkdir "$folder/$stand_in"
    cp "$build/tests/$stand_in"/lib*.so.1 "$folder/$stand_in"
done
# What is not glibc's comes along.
ldd "${programs[@]}" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -Ev '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv))\.so' | while read -r library; do
    cp -L "$library" "$folder/$(basename "$library")"
done
find "$folder" -type f ! -name '*.sh' -exec strip --strip-debug {} +
git rev-parse --short HEAD > "$folder/commit" 2> /dev/null || true
du -sh "$folder"

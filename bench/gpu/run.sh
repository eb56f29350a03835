#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The run on a GPU, out of the folder that bundle.sh made: run.sh [OUT]. What it finds is in OUT: log, check.txt, probe.json,
# gpu.json. Under ten minutes; needs no root. Exit code: of the benchmark, or of the first of the others that failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/out}
mkdir -p "$out"
export PATH=$PATH:/sbin:/usr/sbin
# Where containers have the driver, and the loader may not look.
for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/lib/wsl/lib; do
    [ ! -d "$folder" ] || export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
code=0
part() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2 got
    shift 2
    echo "=== $name" >&3
    timeout -k 10 "$seconds" "$@"
    got=$?
    [ $got -eq 0 ] || { echo "=== $name: exit code $got" >&3; [ $code -ne 0 ] || code=$got; }
}
# The first of both lives in check.txt came to its end.
free_works() {
    sed '/^confined/,$d' "$1" | grep -q '^  freeing .* ok$'
}
about() {
    uname -a
    [ ! -e "$here/commit" ] || echo "commit $(cat "$here/commit")"
    grep -m 1 'model name' /proc/cpuinfo
    nproc
    cat /sys/kernel/security/lsm /proc/driver/nvidia/version 2>&1
    ls -l /dev/nvidia* 2>&1
    id
    ulimit -a
    nvidia-smi 2>&1
    ldconfig -p 2> /dev/null | grep -E 'libcuda|nvrtc|ptxjit|nvidia-ml'
    ip link set lo up 2> /dev/null
    ip addr show lo 2>&1
}
{
    exec 3>&1 # headings go to the log, not into the file of a part
    echo '=== machine'
    about
    part probe 60 "$here/farlane-accel-worker" --probe cuda > >(tee "$out/probe.json")
    part 'a worker, step by step' 90 "$here/farlane-accel-worker" --check cuda > >(tee "$out/check.txt") 2>&1
    sleep 1 # for tee
    # Figures of a free worker are better than none; they say what they are.
    bench=$here note='workers are confined'
    if [ $code -ne 0 ] && free_works "$out/check.txt"; then
        note='the driver does not start in a confined worker (check.txt): workers are free here'
        echo "=== $note"
        bench=$(mktemp -d)
        trap 'rm -rf "$bench"' EXIT
        cp "$here"/farlane-bench-gpu "$here"/lib*.so* "$bench"
        cp "$here/farlane-accel-worker-free" "$bench/farlane-accel-worker"
    fi
    part 'checks and figures' 300 "$bench/farlane-bench-gpu" --out "$out/gpu.json" --note "$note"
    # Last: it says nothing about the GPU.
    part 'executor on the stand-in' 90 "$here/accel_cuda_test" --gtest_brief=1
    echo "=== exit code $code"
    exit $code
} > >(tee "$out/log") 2>&1

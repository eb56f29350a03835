#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: names of stages (none = all). Hands on: one sum of all tests, in ctest's form.
# Owns: build/<preset> and build/test-results. Run by `make test` and `make test-long`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

stages_all=(style release fuzz asan tsan nodpdk)
fuzz_seconds=10
long=no
stages=()
for argument in "$@"; do
    case "$argument" in
        --long) long=yes; fuzz_seconds=60 ;;
        style | release | fuzz | asan | tsan | nodpdk) stages+=("$argument") ;;
        *) echo "tests/run.sh: unknown stage '$argument'; there are: ${stages_all[*]}" >&2; exit 2 ;;
    esac
done
[ ${#stages[@]} -gt 0 ] || stages=("${stages_all[@]}")

jobs=${FARLANE_JOBS:-$(nproc)}
results=build/test-results
mkdir -p "$results"
passed=0
failed=0
failures=()

say() { printf '\n== %s == %s\n' "$(date +%H:%M:%S)" "$*"; }
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); failures+=("$1"); echo "FAILED: $1"; }

# build PRESET [TARGET...]: configures and builds; a failure counts as one failed test.
build() {
    local preset=$1; shift
    local targets=()
    [ $# -eq 0 ] || targets=(--target "$@")
    say "$preset: configure and build"
    if ! cmake --preset "$preset" >"$results/$preset-configure.log" 2>&1; then
        tail -n 30 "$results/$preset-configure.log"
        fail "$preset/configure"
        return 1
    fi
    if ! nice cmake --build --preset "$preset" --parallel "$jobs" "${targets[@]}"; then
        fail "$preset/build"
        return 1
    fi
}

# run PRESET CTEST-ARGUMENT...: runs ctest and adds what it counted.
run() {
    local preset=$1; shift
    local log="$results/$preset.log" line bad total name
    say "$preset: tests"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --parallel 1 \
        --output-junit "$PWD/$results/$preset.xml" "$@" 2>&1 | tee "$log"
    line=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$log" | tail -n 1)
    if [ -z "$line" ]; then
        fail "$preset/ctest"
        return
    fi
    bad=$(sed -E 's/.*, ([0-9]+) tests failed.*/\1/' <<<"$line")
    total=$(sed -E 's/.*out of ([0-9]+).*/\1/' <<<"$line")
    passed=$((passed + total - bad))
    failed=$((failed + bad))
    while read -r name; do
        failures+=("$preset/$name")
    done < <(sed -nE 's/^[[:space:]]*[0-9]+ - ([^ ]+) \((Failed|Timeout|Not Run|SEGFAULT|Subprocess.*|.*)\)$/\1/p' "$log")
}

stage_style() {
    say "style: the tree"
    if python3 tests/style/check.py; then pass; else fail "style/tree"; fi
}

# Elsewhere the fuzz targets only replay their corpora; stage_fuzz gives them time.
export FARLANE_FUZZ_SECONDS=1

stage_release() {
    build release || return
    if [ "$long" = yes ]; then run release; else run release --label-exclude '^long$'; fi
}

# Each libFuzzer target from its corpus for a fixed time (tests/fuzz).
stage_fuzz() {
    local targets
    say "fuzz: configure"
    if ! cmake --preset fuzz >"$results/fuzz-configure.log" 2>&1; then
        tail -n 30 "$results/fuzz-configure.log"
        fail "fuzz/configure"
        return
    fi
    mapfile -t targets < <(ctest --test-dir build/fuzz -N -L fuzz | sed -nE 's/^ *Test +#[0-9]+: (fuzz_.*)$/\1/p')
    [ ${#targets[@]} -gt 0 ] || { fail "fuzz/no-targets"; return; }
    build fuzz "${targets[@]}" || return
    FARLANE_FUZZ_SECONDS=$fuzz_seconds run fuzz --label-regex '^fuzz$'
}

# Unit tests under address and undefined-behaviour sanitizers.
stage_asan() {
    build asan || return
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1
    export UBSAN_OPTIONS=print_stacktrace=1
    run asan --label-exclude '^(long|process|release)$'
}

# What threads share: rings, channels, the loop and lane tests.
stage_tsan() {
    build tsan || return
    export TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1
    run tsan --label-regex '^tsan$' --label-exclude '^long$'
}

stage_nodpdk() {
    build nodpdk farlaned farlane || return
    say "nodpdk: smoke test"
    if build/nodpdk/bin/farlane version && build/nodpdk/bin/farlaned --version; then pass; else fail "nodpdk/smoke"; fi
}

start=$SECONDS
for stage in "${stages[@]}"; do
    before=$SECONDS
    "stage_$stage"
    echo "-- $stage took $((SECONDS - before)) s"
done

total=$((passed + failed))
say "all stages took $((SECONDS - start)) s; logs and JUnit files are in $results"
if [ "$failed" -gt 0 ]; then
    printf 'failed: %s\n' "${failures[@]}"
fi
[ "$total" -gt 0 ] || { echo "no test ran"; exit 1; }
echo "$((100 * passed / total))% tests passed, $failed tests failed out of $total"
[ "$failed" -eq 0 ]

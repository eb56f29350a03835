#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: names of stages, `all`, or none: those that two cores do in about 40 minutes from nothing; with --long
# all. Hands on: one sum of all tests, in ctest's form.
# Owns: build/<preset> and build/test-results. Run by `make test` and `make test-long`. While guests run, which wait
# half of their time, what the stages after them need is built (build_ahead).
# shellcheck disable=SC2317  # stages are called by name
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

all_stages=(style release testbed nodpdk fuzz asan tsan)
short_stages=(style release testbed fuzz)
fuzz_seconds=10
fuzz_runs=20000 # the same inputs everywhere; --long looks for new ones
long=no
stages=()
for argument in "$@"; do
    case "$argument" in
        --long) long=yes; fuzz_seconds=60; fuzz_runs= ;;
        all) stages=("${all_stages[@]}") ;;
        style | release | testbed | nodpdk | fuzz | asan | tsan) stages+=("$argument") ;;
        *) echo "tests/run.sh: unknown stage '$argument'; there are: ${all_stages[*]}, all" >&2; exit 2 ;;
    esac
done
[ ${#stages[@]} -gt 0 ] || { [ "$long" = yes ] && stages=("${all_stages[@]}"); } || stages=("${short_stages[@]}")

jobs=${FARLANE_JOBS:-$(nproc)}
results=build/test-results
mkdir -p "$results"
passed=0
failed=0
failures=()
ahead= # the process group that builds for later stages
trap '[ -z "$ahead" ] || kill -- "-$ahead" 2>/dev/null' EXIT
contract_logs=() # in which tests/failures/table.py finds measured rows of the failure contract
# Outside stage_fuzz the fuzz targets only replay their corpora.
export FARLANE_FUZZ_SECONDS=1
# Labels of tests that a sanitizer makes meaningless (memory, speed) or far too slow, or that stage_fuzz runs with one.
not_with_sanitizers='^(long|slow|process|release|speed|memory|fuzz)$'
# What threads share: ports, lanes, channels, the API, executors.
tsan_tests='transport|lane|sdk|capi|daemon|accel_executor'
[ "$long" = no ] || tsan_tests+='|provider' # all devices are built for it

say() { printf '\n== %s == %s\n' "$(date +%H:%M:%S)" "$*"; }
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); failures+=("$1"); echo "FAILED: $1"; }

# configure PRESET: a failure counts as one failed test.
configure() {
    say "$1: configure"
    if cmake --preset "$1" >"$results/$1-configure.log" 2>&1; then return 0; fi
    tail -n 30 "$results/$1-configure.log"
    fail "$1/configure"
    return 1
}

# programs_of PRESET CTEST-ARGUMENT...: build targets of the tests that are chosen so.
programs_of() {
    local preset=$1
    shift
    comm -12 <(ctest --test-dir "build/$preset" -N "$@" | sed -nE 's/^ *Test +#[0-9]+: (.*)$/\1/p' | sort) \
        <(ninja -C "build/$preset" -t targets all | sed -nE 's/^([A-Za-z0-9_-]+): phony$/\1/p' | sort)
}

# targets_of PRESET: what its stage needs of it.
targets_of() {
    case "$1" in
        fuzz) programs_of fuzz --label-regex '^fuzz$' ;;
        tsan) programs_of tsan --tests-regex "^($tsan_tests)" --label-exclude "$not_with_sanitizers" ;;
        nodpdk) printf '%s\n' farlaned farlane ;;
        *) echo all ;;
    esac
}

# build PRESET: configures it and builds what its stage needs. A failure counts as one failed test.
build() {
    local targets
    configure "$1" || return
    mapfile -t targets < <(targets_of "$1")
    [ ${#targets[@]} -gt 0 ] || { fail "$1/no-targets"; return 1; }
    say "$1: build ${targets[*]}"
    if nice cmake --build --preset "$1" --parallel "$jobs" --target "${targets[@]}"; then return 0; fi
    fail "$1/build"
    return 1
}

# build_ahead LOG: begins to build for the stages after testbed, with what the machine has left. It counts nothing: what
# fails here fails again in its own stage, and is said there.
build_ahead() {
    local stage after=no presets=()
    for stage in "${stages[@]}"; do
        [ $after = no ] || [ "$stage" = style ] || presets+=("$stage")
        [ "$stage" != testbed ] || after=yes
    done
    [ ${#presets[@]} -gt 0 ] || return 0
    say "${presets[*]}: built meanwhile; $1"
    set -m # a process group of its own, so that it can be ended
    (
        set +m
        renice -n 19 -p "$BASHPID" >/dev/null
        for stage in "${presets[@]}"; do build "$stage"; done
    ) >"$1" 2>&1 </dev/null &
    ahead=$!
    set +m
}

# count LOG NAME: adds the sum in a log; a log without one is the failure NAME.
count() {
    local line bad total
    line=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$1" | tail -n 1)
    if [ -z "$line" ]; then
        fail "$2"
        return 1
    fi
    bad=$(sed -E 's/.*, ([0-9]+) tests failed.*/\1/' <<<"$line")
    total=$(sed -E 's/.*out of ([0-9]+).*/\1/' <<<"$line")
    passed=$((passed + total - bad))
    failed=$((failed + bad))
}

# run PRESET CTEST-ARGUMENT...: runs ctest and adds what it counted. Tests in which processes or threads look at
# the clock have the machine for themselves (RUN_SERIAL, tests/CMakeLists.txt).
run() {
    local preset=$1 name
    shift
    local log="$results/$preset.log"
    say "$preset: tests"
    ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure --no-tests=error \
        --output-junit "$PWD/$results/$preset.xml" "$@" 2>&1 | tee "$log"
    count "$log" "$preset/ctest" || return
    while read -r name; do
        failures+=("$preset/$name")
    done < <(sed -n '/^The following tests FAILED:/,$p' "$log" | sed -nE 's/^[[:space:]]*[0-9]+ - ([^ ]+) \(.*$/\1/p')
}

stage_style() {
    say "style: the tree"
    if python3 tests/style/check.py; then pass; else fail "style/tree"; fi
}

stage_release() {
    build release || return
    contract_logs+=("here=build/release/Testing/Temporary/LastTest.log")
    if [ "$long" = yes ]; then run release; else run release --label-exclude '^long$'; fi
}

# Each libFuzzer target from its corpus for a fixed time (tests/fuzz).
stage_fuzz() {
    build fuzz || return
    FARLANE_FUZZ_SECONDS=$fuzz_seconds FARLANE_FUZZ_RUNS=$fuzz_runs run fuzz --label-regex '^fuzz$'
}

# Unit tests under address and undefined-behaviour sanitizers.
stage_asan() {
    build asan || return
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=print_stacktrace=1
    run asan --label-exclude "$not_with_sanitizers"
}

stage_tsan() {
    build tsan || return
    export TSAN_OPTIONS=second_deadlock_stack=1
    run tsan --tests-regex "^($tsan_tests)" --label-exclude "$not_with_sanitizers"
}

stage_nodpdk() {
    build nodpdk || return
    say "nodpdk: the programs start"
    if build/nodpdk/bin/farlane --version && build/nodpdk/bin/farlaned --version; then pass; else fail "nodpdk/start"; fi
}

# Tests in virtual machines with stock kernels; qemu/testbed counts them itself.
# The kernels side by side: a guest waits half of its time. What lasts long (long=yes) is in `make test-long`.
stage_testbed() {
    local name options=(--beside) log="$results/testbed.log"
    build release || return
    if [ "$long" = yes ]; then
        options=(--long)
        say "testbed: a login"
        if python3 tests/testbed/shell_test.py; then pass; else fail "testbed/shell"; fi
    fi
    contract_logs+=("guest=$log")
    build_ahead "$results/ahead.log"
    say "testbed: tests"
    qemu/testbed test --kernel both "${options[@]}" 2>&1 | tee "$log"
    [ -z "$ahead" ] || { say "testbed: the end of what is built meanwhile" && wait "$ahead"; ahead=; }
    count "$log" "testbed/run" || return
    while read -r name; do
        failures+=("testbed/$name")
    done < <(sed -nE 's/^failed: (.*)$/\1/p' "$log")
}

for stage in "${stages[@]}"; do
    before=$SECONDS
    "stage_$stage"
    echo "-- stage $stage took $((SECONDS - before)) s"
done

if [ ${#contract_logs[@]} -gt 0 ]; then
    say "the failure contract, measured (docs/failures.md); $results/contract.txt, .json"
    if python3 tests/failures/table.py --to "$results" "${contract_logs[@]}"; then pass; else fail "contract/no-rows"; fi
fi

total=$((passed + failed))
say "${stages[*]}: $SECONDS s; logs and JUnit files are in $results"
[ "$failed" -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
[ "$total" -gt 0 ] || { echo "no test ran"; exit 1; }
echo "$((100 * passed / total))% tests passed, $failed tests failed out of $total"
[ "$failed" -eq 0 ]

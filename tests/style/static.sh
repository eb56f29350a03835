#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: a configured build folder. Hands on: 0 when the static checks are silent: style, format,
# shell scripts, cppcheck. Owns: the cppcheck cache in that folder.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:?usage: static.sh BUILD-FOLDER}
bad=0
check() {
    echo "== $1"
    shift
    "$@" || bad=$((bad + 1))
}

shell_scripts() {
    local scripts
    mapfile -t scripts < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run | sort -u)
    shellcheck "${scripts[@]}"
}
cpp() {
    mkdir -p "$build/cppcheck"
    cppcheck --project="$build/compile_commands.json" --cppcheck-build-dir="$build/cppcheck" -j "$(nproc)" --quiet \
        --enable=warning,performance,portability --inline-suppr --std=c++20 --error-exitcode=1 \
        --suppressions-list=tests/style/cppcheck.txt -i "$PWD/tests" -i "$PWD/bench"
}

check "style" python3 tests/style/check.py
check "style's own tests" python3 tests/style/check_test.py
check "clang-format" bash tests/style/format.sh --check
check "shellcheck" shell_scripts
check "cppcheck" cpp
if [ "$bad" -ne 0 ]; then
    echo "$bad static checks failed"
    exit 1
fi
echo "all static checks passed"

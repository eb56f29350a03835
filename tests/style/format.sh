#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: --check or --write. Hands on: C++ sources that clang-format would change, or changes them.
# Owns: nothing. C files and the contract headers are in kernel style, which clang-format is not asked about.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cpp' '*.hpp' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
case "${1:-}" in
    --write) clang-format -i "${files[@]}" ;;
    --check) clang-format --dry-run -Werror "${files[@]}" && echo "format: ${#files[@]} files are as clang-format wants them" ;;
    *) echo "usage: format.sh --check | --write" >&2; exit 2 ;;
esac

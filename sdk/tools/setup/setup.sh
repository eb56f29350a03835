#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: packages.txt. Hands on: a machine that can build, test and run Farlane.
# Owns: nothing. Installs only what is missing; asks nothing; says what it does.
set -euo pipefail

list="$(dirname "$0")/packages.txt"
mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    {
        echo "make setup: this is not a Debian system (no apt-get), so nothing was installed."
        echo "Install what these Debian 12 packages hold, then run make with SETUP=no:"
        printf '  %s\n' "${wanted[@]}"
    } >&2
    exit 1
fi

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "make setup: all ${#wanted[@]} packages are there, nothing to do"
    exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "make setup: not root and there is no sudo. Run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q "$@"; }

# Package lists are fetched only when they do not know what is wanted, or when they are too
# old to download from (the second try below).
known() {
    local package
    for package in "${missing[@]}"; do
        apt-cache show "$package" >/dev/null 2>&1 || return 1
    done
}
echo "make setup: installing ${#missing[@]} of ${#wanted[@]} packages: ${missing[*]}"
if ! known; then
    echo "make setup: fetching the package lists"
    apt update
fi
if ! apt install -y --no-install-recommends "${missing[@]}"; then
    echo "make setup: once more with fresh package lists"
    apt update
    apt install -y --no-install-recommends "${missing[@]}"
fi
echo "make setup: done"

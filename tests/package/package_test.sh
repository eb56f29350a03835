#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: a build folder and the source folder. Hands on: 0 when what it installs can be used by
# a project outside the tree. Owns: a temporary folder and the daemons it starts.
set -euo pipefail
build=$1
source=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/farlane-package.XXXXXX")
pids=()
on_exit() {
    local code=$? pid
    trap - EXIT
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [ $code -ne 0 ]; then tail -n 30 "$dir"/*.log || true; fi
    rm -rf "$dir"
    exit $code
}
trap on_exit EXIT
fail() { echo "package_test: $*" >&2; exit 1; }
step() { echo "== $*"; }

step "install, then move: nothing may depend on where it was installed to"
cmake --install "$build" --prefix "$dir/installed" >"$dir/install.log"
mv "$dir/installed" "$dir/prefix"
prefix=$dir/prefix
lib=$(dirname "$(find "$prefix" -name 'libfarlane.so.0')")
[ -n "$lib" ] || fail "no libfarlane.so.0"

step "library: soname, and nothing but the public API visible"
readelf -d "$lib/libfarlane.so" | grep -q 'SONAME.*\[libfarlane.so.0\]' || fail "soname"
nm -D --defined-only -C "$lib/libfarlane.so" >"$dir/symbols"
for symbol in fl_fabric_open 'farlane::Fabric::open' 'farlane::Device::read32'; do
    grep -q " T $symbol" "$dir/symbols" || fail "$symbol is not exported"
done
if grep -E ' [TDBVW] farlane::(proto|lane|transport|control|provider|daemon|firmware|backend)::' "$dir/symbols"; then
    fail "private symbols are exported"
fi

step "files"
for file in bin/farlane bin/farlaned bin/fldump share/man/man1/farlane.1 share/man/man1/farlane-show.1 \
    share/man/man8/farlaned.8 share/bash-completion/completions/farlane include/farlane/fabric.hpp \
    include/farlane/farlane.h include/farlane/uapi/tlp.h lib/systemd/system/farlaned.service; do
    [ -s "$prefix/$file" ] || fail "$file is not installed"
done

if [ -e "$lib/libfarlane-opencl.so" ]; then
    grep -q '/libfarlane-opencl.so$' "$prefix/etc/OpenCL/vendors/farlane.icd" || fail "the OpenCL loader is not told"
fi

step "the examples' configurations are valid"
for config in target initiator; do
    "$prefix/bin/farlaned" --check "$prefix/share/doc/farlane/examples/$config.toml"
done

step "find_package"
cmake -S "$source/docs/examples/hello-fabric" -B "$dir/example" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_BUILD_TYPE=Release >"$dir/example.log" 2>&1
cmake --build "$dir/example" >>"$dir/example.log" 2>&1

step "the accelerator's examples, as a project of their own"
cmake -S "$source/docs/examples/accel" -B "$dir/accel" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug \
    >"$dir/accel.log" 2>&1
cmake --build "$dir/accel" --target farlane-example-image-filter farlane-example-sharing >>"$dir/accel.log" 2>&1
for example in "image-filter --out $dir" "sharing --processes 2 --rounds 2"; do
    read -ra words <<<"$example"
    LD_LIBRARY_PATH=$lib "$dir/accel/farlane-example-${words[0]}" "${words[@]:1}" | sed 's/^/   /'
done

step "pkg-config"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name farlane.pc)")
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion farlane)" = "$("$prefix/bin/farlane" --version | awk '{print $2}')" ] || fail "version"
read -ra flags <<<"$(pkg-config --cflags --libs farlane)"
(cd "$dir" && "${CXX:-c++}" -std=c++20 -Wall -Wextra -Werror "$source/docs/examples/hello-fabric/hello.cpp" -o pc-cpp "${flags[@]}")
(cd "$dir" && "${CC:-cc}" -std=c11 -Wall -Wextra -Werror "$source/docs/examples/hello-fabric/hello.c" -o pc-c "${flags[@]}")

# Waits until the function nvme0 shows in `farlane list` at a socket; the programs have 60 s for it.
wait_for() {
    local deadline=$((SECONDS + 60))
    until "$prefix/bin/farlane" --socket "$1" list 2>/dev/null | grep -q '^nvme0 '; do
        [ $SECONDS -lt $deadline ] || fail "no nvme0 at $1"
        sleep 0.1
    done
}

step "two installed daemons"
port=$((20000 + RANDOM % 10000))
cat >"$dir/target.toml" <<TEXT
[daemon]
name = "target"
socket = "$dir/target.sock"
state_dir = "$dir/target.state"
[[port]]
name = "link"
url = "udp:127.0.0.1:$port"
listen = true
[[export]]
name = "nvme0"
device = "nvme"
size = "8M"
TEXT
cat >"$dir/initiator.toml" <<TEXT
[daemon]
name = "initiator"
socket = "$dir/initiator.sock"
state_dir = "$dir/initiator.state"
[[port]]
name = "link"
url = "udp:127.0.0.1:0"
[[peer]]
address = "127.0.0.1:$port"
TEXT
for name in target initiator; do
    "$prefix/bin/farlaned" --config "$dir/$name.toml" >"$dir/$name.log" 2>&1 &
    pids+=($!)
done
wait_for "$dir/initiator.sock"

step "the DPDK plug-in is found where it was installed"
if [ -e "$build/lib/libfarlane-port-dpdk.so" ]; then
    "$prefix/bin/farlane" --socket "$dir/target.sock" doctor -o json >"$dir/doctor.json" || true
    grep -q '"detail": ".*dpdk' "$dir/doctor.json" || { cat "$dir/doctor.json"; fail "farlaned does not find its plug-in"; }
fi

step "examples over both providers"
export LD_LIBRARY_PATH=$lib
for program in "$dir/example/hello-cpp" "$dir/example/hello-c" "$dir/pc-cpp" "$dir/pc-c"; do
    "$program" daemon nvme0 "$dir/initiator.sock" | tee "$dir/out" | sed 's/^/   /'
    grep -q '^done$' "$dir/out" || fail "$program over the daemon"
    "$program" embedded nvme0 udp:127.0.0.1:0 "127.0.0.1:$port" | tee "$dir/out" | sed 's/^/   /'
    grep -q '^done$' "$dir/out" || fail "$program embedded"
done
echo "package_test: all of it works"

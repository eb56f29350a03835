#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Receives: the folder with the programs. Hands on: a demonstration: a target and an initiator
# daemon joined by DPDK (or UDP), work done on the remote devices, checked, measured.
# Owns: a temporary folder and the processes it starts; all are gone when it ends, however it ends.
set -euo pipefail

bin=""
port=auto
out=build/demo
demo_arguments=()
usage() {
    cat <<'TEXT'
usage: demo.sh --bin FOLDER [--port auto|dpdk|udp] [--picture FILE] [--out FOLDER]
  --bin FOLDER     where farlaned, farlane and farlane-demo are
  --port KIND      what joins the two daemons; auto tries dpdk, then udp
  --picture FILE   PNG or PPM to filter; without it one is drawn
  --out FOLDER     where the filtered picture goes (build/demo)
TEXT
}
while [ $# -gt 0 ]; do
    case "$1" in
        --bin | --port | --picture | --out)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            case "$1" in
                --bin) bin=$2 ;;
                --port) port=$2 ;;
                --picture) demo_arguments+=(--picture "$2") ;;
                --out) out=$2 ;;
            esac
            shift 2 ;;
        --help | -h) usage; exit 0 ;;
        *) echo "demo.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
    esac
done
case "$port" in auto | dpdk | udp) ;; *) usage >&2; exit 2 ;; esac
for program in farlaned farlane farlane-demo; do
    [ -x "$bin/$program" ] || { echo "demo.sh: no $program in '$bin': run 'make build'" >&2; exit 2; }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/farlane-demo.XXXXXX")
pids=()
finished=no
say() { printf '\n-- %s\n' "$*"; }

# Ends what was started, by pid: politely, and after five seconds by force.
stop_daemons() {
    local pid deadline=$((SECONDS + 5))
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.05; done
        if kill -0 "$pid" 2>/dev/null; then
            echo "demo.sh: process $pid did not stop in time, killed" >&2
            kill -KILL "$pid" 2>/dev/null || true
            finished=no
        fi
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}
on_exit() {
    local code=$?
    trap - EXIT INT TERM
    stop_daemons
    if [ "$finished" = yes ]; then
        rm -rf "$dir"
    elif [ $code -eq 130 ] || [ $code -eq 143 ]; then
        echo "demo.sh: stopped, and both daemons with it" >&2
        rm -rf "$dir"
    else
        [ $code -ne 0 ] || code=1
        echo "demo.sh: did not finish; logs are in $dir" >&2
        tail -n 15 "$dir"/*.log >&2 2>/dev/null || true
    fi
    exit $code
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# config NAME: a daemon's configuration, but for its port and what is behind it.
config() {
    cat <<TEXT
[daemon]
name = "$1"
socket = "$dir/$1.sock"
state_dir = "$dir/$1.state"
log_level = "info"

TEXT
}
write_configs() {
    local target_url=$1 initiator_url=$2 address=$3
    {
        config target
        cat <<TEXT
[[port]]
name = "link"
url = "$target_url"
listen = true

[[export]]
name = "accel0"
device = "accel"
memory = "256M"

[[export]]
name = "nvme0"
device = "nvme"
file = "$dir/nvme0.img"
size = "64M"
TEXT
    } >"$dir/target.toml"
    {
        config initiator
        cat <<TEXT
[[port]]
name = "link"
url = "$initiator_url"

[[peer]]
port = "link"
address = "$address"
TEXT
    } >"$dir/initiator.toml"
}

farlane() { "$bin/farlane" --socket "$dir/initiator.sock" "$@"; }

# Waits until the initiator lists both functions; 1 when a daemon died or the time is over.
ready() {
    local deadline=$((SECONDS + $1)) pid names
    while [ $SECONDS -lt $deadline ]; do
        for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
        names=$(farlane --timeout 2 list 2>/dev/null || true)
        if grep -q '^accel0 ' <<<"$names" && grep -q '^nvme0 ' <<<"$names"; then return 0; fi
        sleep 0.1
    done
    return 1
}

# start SECONDS: both daemons, with the configurations there are.
start() {
    local name
    for name in target initiator; do
        "$bin/farlaned" --config "$dir/$name.toml" >"$dir/$name.log" 2>&1 &
        pids+=($!)
    done
    ready "$1"
}

start_dpdk() {
    write_configs "dpdk:net_vhost0,iface=$dir/link.sock,client=1" "dpdk:net_virtio_user0,path=$dir/link.sock,server=1" ""
    start 20
}
start_udp() {
    local attempt number
    for attempt in 1 2 3; do
        number=$((20000 + (RANDOM + attempt) % 20000))
        write_configs "udp:127.0.0.1:$number" "udp:127.0.0.1:0" "127.0.0.1:$number"
        if start 15; then return 0; fi
        stop_daemons
    done
    return 1
}

# Why the daemons are not there, in one line.
reason() {
    local line
    line=$(grep -hE '^farlaned: |\[error\]' "$dir"/*.log 2>/dev/null | tail -n 1 || true)
    echo "${line:-no answer in time}"
}

say "starting a target (accel0, nvme0) and an initiator"
linked=no
if [ "$port" != udp ]; then
    if start_dpdk; then
        linked="DPDK: net_vhost at the target, net_virtio_user at the initiator"
    else
        why=$(reason)
        stop_daemons
        [ "$port" = auto ] || { echo "demo.sh: no link over DPDK: $why" >&2; exit 1; }
        echo "DPDK is not usable here ($why); going on with UDP"
        mkdir -p "$dir/dpdk" && mv "$dir"/*.log "$dir/dpdk/"
        rm -rf "$dir"/*.state "$dir"/*.sock
    fi
fi
if [ "$linked" = no ]; then
    start_udp || { echo "demo.sh: no link over UDP: $(reason)" >&2; exit 1; }
    linked="UDP on the loopback interface"
fi
echo "joined by $linked"

say "farlane list"
farlane list

say "work on the remote devices"
[ "$out" != build/demo ] || mkdir -p "$out"  # the one folder that is ours
"$bin/farlane-demo" --socket "$dir/initiator.sock" --out "$out" "${demo_arguments[@]}"

say "stopping both daemons"
finished=yes
stop_daemons
[ "$finished" = yes ] || exit 1
echo "done; the picture is in $out"

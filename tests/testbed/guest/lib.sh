# SPDX-License-Identifier: Apache-2.0
# What test scripts in guests share: . /tests/lib.sh. A script ends at the first thing that is wrong.
# shellcheck shell=sh
set -u
# shellcheck disable=SC1091
. /etc/testbed.conf

say() { echo "-- $*"; }
fail() {
    echo "FAILED: $*"
    for each in /sys/kernel/debug/farlane/*/counters; do
        [ -e "$each" ] && echo "-- $each" && grep -v ' 0$' "$each"
    done
    exit 1
}
# check COMMAND...: it has to succeed.
check() { "$@" || fail "$* ended with $?"; }
# refuse CODE COMMAND...: it has to end with that exit code.
refuse() {
    wanted=$1
    shift
    "$@"
    got=$?
    [ "$got" = "$wanted" ] || fail "$* ended with $got, not $wanted"
}
# A debug kernel: KASAN keeps freed memory back, so growth says nothing, and kmemleak finds what is lost.
watched() { [ -e /sys/kernel/debug/kmemleak ]; }
# What the module waits for is as much longer there; what a test says itself comes behind it and counts.
insmod() {
    module=$1
    shift
    if [ "${module##*/}" = farlane.ko ] && [ "${PATIENCE:-1}" -gt 1 ]; then
        set -- grace_ms=$((10000 * PATIENCE)) completion_timeout_ms=$((1000 * PATIENCE)) "$@"
    fi
    command insmod "$module" "$@"
}
# session KEY VALUE: of [session] in this guest's farlaned.toml, for the next start.
session() {
    grep -q '^\[session\]$' /etc/farlane/farlaned.toml || printf '[session]\n' >>/etc/farlane/farlaned.toml
    sed -i "/^$1 = /d; s/^\[session\]\$/&\n$1 = $2/" /etc/farlane/farlaned.toml
}
# equal A B TEXT
equal() { [ "$1" = "$2" ] || fail "$3: '$1', not '$2'"; }
# has TEXT WORDS: WORDS are in TEXT.
has() {
    case "$1" in *"$2"*) ;; *) fail "'$2' is not in: $1" ;; esac
}
# until SECONDS COMMAND...: repeats it until it succeeds. PATIENCE times as long: debug kernels are slow.
until_ok() {
    limit=$(($(cut -d. -f1 /proc/uptime) + $1 * ${PATIENCE:-1}))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$limit" ] || fail "it did not come to pass: $*"
        usleep 50000
    done
}
# Milliseconds since this guest was started.
now_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }
# row KEY SINCE BOUND: a row of the failure contract, from SINCE (now_ms) to now, in milliseconds. It fails far beyond the
# bound only, as tests/failures/row.hpp does.
row() { took "$1" $(($(now_ms) - $2)) "$3"; }
# took KEY MS BOUND: the same, of what somebody else measured.
took() {
    echo "contract: $1 measured $2 ms, bound $3 ms"
    most=$(($3 * 10))
    [ $most -gt $(($3 + 5000)) ] || most=$(($3 + 5000))
    [ "$2" -le $((most * ${PATIENCE:-1})) ] || fail "$1 took $2 ms"
}
# Frames that the links handed over, both ways.
frames() { host -f delivered link stats || fail "no answer about the link"; }
# moved COMMAND...: it has to succeed, and frames have to cross the link meanwhile.
moved() {
    before=$(frames)
    check "$@"
    after=$(frames)
    [ "$after" -gt "$before" ] || fail "$* moved no frame ($before, then $after)"
}
# Frames of this guest that were lost because the link is cut.
cut_frames() { host -f links.net.from.i0.dropped_cut link stats || fail "no answer about the link"; }
lost() { [ "$(cut_frames)" -gt "$1" ]; }
# Accesses of drivers to registers of remote functions; since is true when there were more.
accesses() { awk '$1 == "traps" { n += $2 } END { print n + 0 }' /sys/kernel/debug/farlane/*/counters; }
since() { [ "$(accesses)" -gt "$1" ]; }
# cut_stops COMMAND...: it does not end while the link is cut, although its driver and frames are under way; it succeeds
# when that is healed.
cut_stops() {
    rm -f /tmp/ended
    check host link cut
    dropped=$(cut_frames)
    accessed=$(accesses)
    { "$@" >/tmp/worker 2>&1; echo $? >/tmp/ended; } &
    worker=$!
    until_ok 20 since "$accessed"
    until_ok 20 lost $((dropped + 1))
    [ ! -e /tmp/ended ] || fail "$* ended with $(cat /tmp/ended) while the link was cut: $(cat /tmp/worker)"
    check host link heal
    wait $worker
    equal "$(cat /tmp/ended)" 0 "$* after the link was healed: $(cat /tmp/worker)"
}
# No target answers (exit code 7). For until_ok after a cut: silence takes three keep-alives to show.
unreachable() {
    farlane --timeout 20 list >/dev/null 2>&1 # farlaned says it after 2 s
    [ $? = 7 ]
}
# Drivers that read registers with interrupts off (docs/kernel.md, "CPUs"): the network and farlaned on CPU 1, this
# script, the interrupts of remote functions and kernel work on CPU 0. After "daemon start" and after attach.
apart() {
    for each in /proc/irq/*/virtio*; do echo 2 >"${each%/*}/smp_affinity" 2>/dev/null; done
    for each in /sys/bus/pci/devices/1000?:*/msi_irqs/*; do
        [ -e "$each" ] && echo 1 >"/proc/irq/${each##*/}/smp_affinity"
    done
    echo 1 >/sys/devices/virtual/workqueue/cpumask
    check taskset -ap 2 "$(daemon pid)" >/dev/null
    check taskset -p 1 $$ >/dev/null
}

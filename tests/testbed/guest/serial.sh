#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock 8250_exar on a remote serial port: both channels are found, bytes come back through the loopback plug of
# the first one, with flow control; what the second one sends arrives; a cut link stops both.
# testbed: topology=one timeout=400 module=yes daemon=no exports=drivers
# shellcheck source=tests/testbed/guest/lib.sh
. /tests/lib.sh
f() { farlane --timeout 20 "$@"; }
# Ports of a PCI device of the remote bus, in order.
ports() {
    for entry in /sys/class/tty/ttyS*; do
        case "$(readlink -f "$entry")" in */pci1000?:*) echo "/dev/${entry##*/}" ;; esac
    done
}
two_ports() { [ "$(ports | wc -l)" = 2 ]; }
no_ports() { [ "$(ports | wc -l)" = 0 ]; }
sent() { host target farlane -o json stats | sed -n 's/.*"line_bytes_sent": *"\{0,1\}\([0-9]*\).*/\1/p'; }

check insmod /farlane/farlane.ko
check daemon start
until_ok 60 f show serial0
moved f attach serial0
check modprobe 8250_exar
until_ok 60 two_ports
first=$(ports | head -n 1)
second=$(ports | tail -n 1)
say "ports $first and $second"
lspci -D -d 13a8: >/tmp/lspci
has "$(cat /tmp/lspci)" "Serial controller"
irq=$(grep -l . /sys/bus/pci/drivers/exar_serial/*/msi_irqs/* | head -n 1)
check test -n "$irq"
irq=${irq##*/}
apart

say "a line comes back"
check stty -F "$first" 115200 raw -echo crtscts
exec 5<>"$first"
had_interrupts=$(sed -n "s/^ *$irq: *\([0-9]*\) *\([0-9]*\).*/\1 \2/p" /proc/interrupts)
moved sh -c 'echo "hello over the fabric" >&5'
read -r answer <&5
equal "$answer" "hello over the fabric" "what came back"
now_interrupts=$(sed -n "s/^ *$irq: *\([0-9]*\) *\([0-9]*\).*/\1 \2/p" /proc/interrupts)
[ "$had_interrupts" != "$now_interrupts" ] || fail "interrupt $irq did not happen ($had_interrupts)"

say "600 bytes come back, more than the FIFOs hold"
dd if=/dev/urandom of=/tmp/out bs=600 count=1 2>/dev/null
cat /tmp/out >&5 &
writer=$!
check head -c 600 <&5 >/tmp/in
check wait $writer
check cmp /tmp/out /tmp/in

say "1 % loss, 2 % reordering"
check host link set net loss=1% reorder=2%
head -c 64 /tmp/out >&5 &
writer=$!
check head -c 64 <&5 >/tmp/in
check wait $writer
head -c 64 /tmp/out | cmp - /tmp/in || fail "other bytes came back"
check host link reset
exec 5>&-

say "the second port sends into a file of the target"
check stty -F "$second" 9600 raw -echo
had_sent=$(sent)
moved sh -c "echo 'for the other end' >$second"
equal "$(sent)" $((had_sent + 18)) "bytes that left the second port"

say "a cut link stops it"
exec 5<>"$first"
comes_back() { echo late >&5 && read -r answer <&5 && [ "$answer" = late ]; }
cut_stops comes_back
exec 5>&-

say "detach"
check f detach serial0
until_ok 60 no_ports
check daemon stop
check rmmod farlane
say "done"

// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the definitions of farlaned, fldump and farlane-demo.
// Owns: nothing. Each of them parses its command line with it.
#include "cli/program.hpp"

namespace farlane::cli {
namespace {

Program farlaned() {
    Program p;
    p.self = {
        .name = "farlaned",
        .summary = "carry PCIe transactions between hosts",
        .description =
            {"farlaned connects this host to others. In the target role it exports the device functions that "
             "its configuration names; in the initiator role it attaches functions of its peers for "
             "applications of this host, which reach it through libfarlane. One daemon may have both roles.",
             "It runs in the foreground, logs to stderr and tells systemd when it is ready (sd_notify). "
             "SIGTERM and SIGINT stop it cleanly, SIGHUP reads the exports again, SIGUSR2 replaces it by the program "
             "that is installed by now (as `farlane upgrade`, which says what came of it). Killed and started again it "
             "goes on where it was: its "
             "state is in state_dir.",
             "Frames are not encrypted yet: use it on networks that you trust."},
        .options = {{.name = "--config",
                     .letter = 'c',
                     .value = "FILE",
                     .text = "configuration, TOML",
                     .standard = "/etc/farlane/farlaned.toml",
                     .completes = Completes::file},
                    {.name = "--check",
                     .value = "FILE",
                     .text = "check a configuration, say what is wrong, and end",
                     .completes = Completes::file},
                    {.name = "--print-defaults",
                     .text = "print a configuration with every key at its default, and end"}},
        .examples = {{"farlaned --print-defaults > farlaned.toml", "a file to start from"},
                     {"farlaned --check farlaned.toml", "is it right?"},
                     {"farlaned --config farlaned.toml", "run"}},
    };
    p.section = 8;
    p.exit_codes = true;
    p.sections = {{"FILES",
                   {"/etc/farlane/farlaned.toml: configuration", "/run/farlane/farlaned.sock: control socket",
                    "/run/farlane/NAME: state that outlives the daemon"}}};
    p.see_also = {"farlane(1)", "fldump(1)"};
    return p;
}

Program fldump() {
    Program p;
    p.self = {
        .name = "fldump",
        .summary = "decode Farlane frames of captures and ring dumps",
        .description = {"Lists the frames of a capture (classic pcap; UDP port 4793 or the one given, and raw Ethernet "
                        "frames), frames in hexadecimal digits, and the slots in use of a dumped channel. It uses the "
                        "parser of the daemon: what a receiver would drop is listed with the reason."},
        .arguments = {{.name = "FILE",
                       .text = "capture, channel dump or hexadecimal text; - is the standard input",
                       .completes = Completes::file,
                       .required = true}},
        .options = {{.name = "--output",
                     .letter = 'o',
                     .value = "FORMAT",
                     .text = "table or json",
                     .standard = "table",
                     .completes = Completes::choice,
                     .choices = {"table", "json"}},
                    {.name = "--kind",
                     .letter = 'k',
                     .value = "KIND",
                     .text = "what the file is: hex has a frame in each line, frame is the bytes of one",
                     .standard = "auto",
                     .completes = Completes::choice,
                     .choices = {"auto", "pcap", "channel", "hex", "frame"}},
                    {.name = "--port",
                     .letter = 'p',
                     .value = "PORT",
                     .text = "UDP port of Farlane frames",
                     .standard = "4793"},
                    {.name = "--payload", .text = "print payloads whole, not only their first 16 bytes"}},
        .examples = {{"tcpdump -w - udp port 4793 | fldump -", "what goes over the wire now"},
                     {"fldump -o json capture.pcap", "the same as one JSON document"}},
    };
    p.exit_codes = true;
    p.see_also = {"farlane(1)", "farlaned(8)"};
    return p;
}

Program demo() {
    Program p;
    p.self = {
        .name = "farlane-demo",
        .summary = "put a remote accelerator and a remote NVMe to work",
        .description =
            {"Attaches the functions accel0 and nvme0 through farlaned, filters a picture on the accelerator and "
             "compares it with a reference computed here, multiplies two matrices and compares, writes a file "
             "to the NVMe and reads it back, prints round trip and throughput as measured, and detaches.",
             "What stood in the blocks of the NVMe that the file needs is put back at the end.",
             "`make demo-native` starts the two daemons that it needs. With --port the data plane runs in this program "
             "and only the target's daemon is needed. `make demo` runs it in a virtual machine, where farlane.ko "
             "gives it the accelerator (--provider kernel)."},
        .options = {{.name = "--socket",
                     .letter = 's',
                     .value = "PATH",
                     .text = "control socket of farlaned",
                     .standard = "/run/farlane/farlaned.sock",
                     .completes = Completes::file},
                    {.name = "--provider",
                     .value = "WAY",
                     .text =
                         "how the accelerator is reached: by farlaned, or by the node /dev/farlane/NAME of the kernel "
                         "module, where the NVMe is its driver's (--nvme none)",
                     .standard = "daemon",
                     .completes = Completes::choice,
                     .choices = {"daemon", "kernel"}},
                    {.name = "--port",
                     .value = "URL",
                     .text = "without a daemon here: the port to the target (\"udp:\", \"dpdk:net_virtio_user0,...\")"},
                    {.name = "--peer", .value = "ADDRESS", .text = "with --port: address of the target, host:port"},
                    {.name = "--accel",
                     .value = "NAME",
                     .text = "the accelerator",
                     .standard = "accel0",
                     .completes = Completes::function},
                    {.name = "--nvme",
                     .value = "NAME",
                     .text = "the NVMe; none leaves it out",
                     .standard = "nvme0",
                     .completes = Completes::function},
                    {.name = "--picture",
                     .letter = 'p',
                     .value = "FILE",
                     .text = "picture to filter, PNG or PPM; without it one is drawn",
                     .completes = Completes::file},
                    {.name = "--out",
                     .value = "FOLDER",
                     .text = "where the filtered picture goes",
                     .standard = ".",
                     .completes = Completes::file},
                    {.name = "--file",
                     .letter = 'f',
                     .value = "FILE",
                     .text = "file to write to the NVMe; without it the filtered picture",
                     .completes = Completes::file},
                    {.name = "--size", .value = "N", .text = "rows and columns of the matrices", .standard = "1024"},
                    {.name = "--json", .text = "print one JSON document instead of lines"}},
        .examples = {{"farlane-demo --picture holiday.png --out .", "filter a picture of yours"},
                     {"farlane-demo --port udp: --peer 192.0.2.7:4793", "without a daemon on this host"}},
    };
    p.exit_codes = true;
    p.see_also = {"farlane(1)", "farlaned(8)"};
    return p;
}

}  // namespace

const Program& farlaned_program() {
    static const Program program = farlaned();
    return program;
}

const Program& fldump_program() {
    static const Program program = fldump();
    return program;
}

const Program& demo_program() {
    static const Program program = demo();
    return program;
}

}  // namespace farlane::cli

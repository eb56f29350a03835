// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the definition of `farlane`: verbs, options, texts.
// Owns: nothing.
#include "cli/program.hpp"

namespace farlane::cli {
namespace {

Option function_argument(std::string_view text) {
    return {.name = "FUNCTION", .text = text, .completes = Completes::function, .required = true};
}

Verb list_verb() {
    return {.name = "list",
            .summary = "list the functions that can be reached",
            .description =
                {"Lists the functions that farlaned's targets export, and the functions that this farlaned "
                 "exports itself: name, target, identity, size of the BARs, interrupt vectors, state and "
                 "holder. Of its own accelerators it tells what executes, how many contexts and how much "
                 "memory are in use. A target that does not answer, and a dead path of one with several, is named "
                 "below; -o json has all paths with state, round trip and losses."},
            .examples = {{"farlane list", "a table"}, {"farlane list -o json", "the same for a program"}}};
}

Verb show_verb() {
    return {
        .name = "show",
        .summary = "show a function and its decoded configuration space",
        .description = {"Shows identity, BARs and the decoded configuration space of a function: header, command and "
                        "status, and every capability with its registers and named bits (Power Management, MSI, "
                        "MSI-X, PCI Express, Device Serial Number, Advanced Error Reporting; others by name).",
                        "The function need not be attached. Of an accelerator that this host exports it names executor "
                        "and device, contexts, memory, kernels and energy in use, and the same of each context."},
        .arguments = {function_argument("name of the function")},
        .options = {{.name = "--raw", .letter = 'x', .text = "add a hexadecimal dump of the configuration space"}},
        .examples = {{"farlane show nvme0", "decoded"}, {"farlane show nvme0 --raw", "with the bytes"}}};
}

Verb attach_verb() {
    return {
        .name = "attach",
        .summary = "attach a function to this host",
        .description =
            {"Attaches a function: from then on this host holds it, whether or not an application uses it, "
             "until `farlane detach`. Applications open an attached function, and they attach one on "
             "their own when it is free.",
             "Where the kernel module is loaded ([kernel] mode of farlaned.toml) the function appears on this "
             "host's PCI bus instead, reset and hot-plugged, and the driver of this kernel binds to it; an "
             "accelerator gets a node /dev/farlane/FUNCTION for applications.",
             "With --persist farlaned attaches it again after a reboot, after a restart, and when its target is back "
             "from "
             "an outage longer than the grace, until `farlane detach`; `farlane list` shows it as waiting meanwhile. "
             "With --once it is gone then. Without either, as [daemon] attach of farlaned.toml says: once, unless "
             "configured."},
        .arguments = {function_argument("name of the function, or TARGET/NAME when several targets export the name")},
        .options = {{.name = "--provider",
                     .letter = 'p',
                     .value = "WHO",
                     .text = "who is to use it: kernel = this host's PCI bus, daemon = applications",
                     .standard = "auto",
                     .completes = Completes::choice,
                     .choices = {"auto", "kernel", "daemon"}},
                    {.name = "--persist", .text = "attach it again whenever it is gone and its target is there"},
                    {.name = "--once", .text = "do not; what was asked with --persist before is forgotten"}},
        .examples = {{"farlane attach accel0", "take it"},
                     {"farlane attach nvme0 --provider kernel", "for the nvme driver, or an error that says why not"}}};
}

Verb detach_verb() {
    return {
        .name = "detach",
        .summary = "detach a function from this host",
        .description = {"Detaches a function. While applications have it open this is refused with exit code 4 and the "
                        "list of holders (process, name, user). With --force they lose it as in a surprise "
                        "removal: their calls fail with device_lost, and no later DMA reaches their memory.",
                        "With --drain the command waits until they have closed it, lets nobody open it meanwhile, and "
                        "detaches it then. When that takes longer it is refused with the list of holders, or, "
                        "with --force as well, they lose it.",
                        "A function on the PCI bus is removed in an orderly way, its driver first, which may take "
                        "seconds; with --force by surprise. Drivers of the kernel are no holders: a mounted disk or an "
                        "interface that is up is removed without a question, as any PCI device that is told to go, and "
                        "programs that go on writing lose data. Unmount it first."},
        .arguments = {function_argument("name of the function")},
        .options = {{.name = "--force", .letter = 'f', .text = "detach although applications have it open"},
                    {.name = "--drain",
                     .letter = 'd',
                     .value = "SECONDS",
                     .text = "wait so long until applications have closed it, 0 to 3600"}},
        .examples = {{"farlane detach accel0", "give it back"},
                     {"farlane detach accel0 --force", "at once"},
                     {"farlane detach accel0 --drain 60", "when its users are done, within a minute"}}};
}

Verb events_verb() {
    return {
        .name = "events",
        .summary = "print hot-plug and link events as they happen",
        .description =
            {"Prints events until interrupted: added, removed, attached, detached, link_up, link_down, "
             "timeout, resumed, device_reset, device_lost, error, path_up, path_down. With -o json one object a line.",
             "Events are not dropped silently: when this program reads too slowly, farlaned says how "
             "many it left out. When farlaned is replaced or restarted the next one is waited for, --timeout at most, "
             "and "
             "`reconnected` says that events may be missing there."},
        .options = {{.name = "--count",
                     .letter = 'n',
                     .value = "N",
                     .text = "end after N events; without it, go on until interrupted"}},
        .examples = {{"farlane events", "follow"}, {"farlane events -o json -n 1", "wait for one event"}}};
}

Verb stats_verb() {
    return {
        .name = "stats",
        .summary = "print counters",
        .description = {"Prints counters of ports, sessions, functions and lanes, and everything that was dropped, by "
                        "reason, each reason with a sentence that explains it. Counters that are zero are left out "
                        "of the table; -o json has all of them."},
        .options = {{.name = "--all", .letter = 'a', .text = "zeros as well"}},
        .examples = {{"farlane stats", "what there is"}, {"farlane stats -o json", "for monitoring"}}};
}

Verb top_verb() {
    return {
        .name = "top",
        .summary = "watch rates, refreshed",
        .description = {"Shows transactions and bytes per second of every function and session, refreshed until 'q' or "
                        "Ctrl-C. When stdout is not a terminal, one block after the other is printed."},
        .options = {{.name = "--interval",
                     .letter = 'i',
                     .value = "SECONDS",
                     .text = "time between two readings, 0.1 to 60",
                     .standard = "1"},
                    {.name = "--once", .text = "take two readings, print one block, end"}},
        .examples = {{"farlane top", "watch"}, {"farlane top --once -o json", "rates for a program"}}};
}

Verb probe_verb() {
    return {
        .name = "probe",
        .summary = "measure the link to a target and say what workloads will get over it",
        .description =
            {"Measures the round trip of reads (percentiles), lost frames, the largest frame of each path and, where a "
             "free function of the target has a prefetchable BAR, the rate of bulk reads. For that it attaches one "
             "free "
             "function for the time of the measurement and only reads: configuration space, and that BAR, whose reads "
             "have no side effects.",
             "From these follows what a workload will get: register reads one after the other, posted writes, bulk, "
             "NVMe reads from a device that takes no time. Over a long way bulk reads are held back by their window, 1 "
             "MiB "
             "for a round trip: bulk is then at least what was read; --link-rate says what the link can do.",
             "Frames that were lost are those that this host sent."},
        .arguments = {{.name = "TARGET", .text = "name or address of a peer of farlaned", .required = true}},
        .options =
            {{.name = "--seconds", .value = "SECONDS", .text = "how long to measure, 0.1 to 600", .standard = "2"},
             {.name = "--function",
              .value = "FUNCTION",
              .text = "measure with this one; otherwise with any that is free",
              .completes = Completes::function},
             {.name = "--link-rate",
              .value = "GBIT_PER_S",
              .text = "rate of the slowest link of the way, when it is known: predictions use it instead of the "
                      "bulk reads measured"}},
        .examples = {{"farlane probe box", "what will this link give?"},
                     {"farlane probe box --link-rate 10 -o json", "over a link of 10 Gb/s, for a program"}}};
}

Verb doctor_verb() {
    return {
        .name = "doctor",
        .summary = "check this host and say what to do",
        .description = {"Checks what Farlane needs on this host: farlaned's socket and version, ports and links, "
                        "functions, the DPDK plug-in, huge pages, the limit on locked memory, processors and kernel "
                        "features. Each line is ok, warn or fail, with the reason and what to do about it.",
                        "Ends with 0 when nothing failed (warnings do not count), otherwise with 1; with 7 when "
                        "farlaned does not answer."},
        .examples = {{"farlane doctor", "check"}}};
}

Verb upgrade_verb() {
    return {
        .name = "upgrade",
        .summary = "replace farlaned by the program that is installed by now",
        .description =
            {"Replaces the running farlaned, same process id, same arguments, by the file it was started from: the one "
             "to call after a new version was installed. Attached functions stay attached, at both ends, and see a "
             "short stall: no request fails, none is in doubt.",
             "First the new program checks the configuration; when it does not like it, or does not start, "
             "nothing happens (exit code 2). Then farlaned waits for a moment at which nothing is under way. A device "
             "whose state lives in farlaned (accel) would be reset: while one is in use, upgrading its target is "
             "refused (exit code 4) unless it is forced."},
        .options = {{.name = "--force", .letter = 'f', .text = "although devices in use lose their state"}},
        .examples = {{"farlane upgrade", "after the installation of a new version"},
                     {"farlane upgrade -o json", "with both versions and the time it took"}}};
}

Verb version_verb() {
    return {.name = "version",
            .summary = "print the version of this program and of farlaned",
            .description = {"Prints the version of this program, of the protocol it was built with and, when farlaned "
                            "answers, of farlaned. It is no error when farlaned does not answer."}};
}

Program make() {
    Program p;
    p.self = {
        .name = "farlane",
        .summary = "attach and watch PCIe functions of other machines",
        .description = {"farlane talks to farlaned(8) on this host over its control socket. It lists functions that "
                        "targets export, shows their configuration space, attaches and detaches them, and prints "
                        "events and counters.",
                        "Data goes to stdout, everything else to stderr. With -o json stdout carries exactly one "
                        "JSON document (events: one object a line), and an error is one JSON object on stderr: "
                        "{\"error\":{\"status\":\"not_found\",\"text\":\"...\",\"exit_code\":3}}."},
        .options = {{.name = "--output",
                     .letter = 'o',
                     .value = "FORMAT",
                     .text = "form of the data on stdout",
                     .standard = "table",
                     .completes = Completes::choice,
                     .choices = {"table", "json"}},
                    {.name = "--socket",
                     .letter = 's',
                     .value = "PATH",
                     .text = "control socket of farlaned",
                     .standard = "/run/farlane/farlaned.sock",
                     .completes = Completes::file},
                    {.name = "--timeout",
                     .letter = 't',
                     .value = "SECONDS",
                     .text = "how long to wait for an answer, 0.1 to 3600",
                     .standard = "10"}}};
    p.verbs = {list_verb(), show_verb(),  attach_verb(), detach_verb(),  events_verb(), stats_verb(),
               top_verb(),  probe_verb(), doctor_verb(), upgrade_verb(), version_verb()};
    p.exit_codes = true;
    p.sections = {{"FILES", {"/run/farlane/farlaned.sock: control socket of farlaned"}}};
    p.see_also = {"farlaned(8)", "fldump(1)"};
    return p;
}

}  // namespace

const Program& farlane_program() {
    static const Program program = make();
    return program;
}

}  // namespace farlane::cli

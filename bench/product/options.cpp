// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the definition of farlane-bench's command line. Owns: nothing.
#include "options.hpp"

namespace farlane::bench {
namespace {

cli::Program make() {
    cli::Program p;
    p.self = {
        .name = "farlane-bench",
        .summary = "measure Farlane beside the limits of this machine and beside its peers",
        .description =
            {"Prints a table, each figure beside what it is to be compared with, measured by turns in the same "
             "run, and writes the same as JSON."},
        .options =
            {{.name = "--only",
              .value = "PART[,PART...]",
              .text = "only these parts or rows whose key begins so; --only help lists them"},
             {.name = "--ports",
              .value = "PORT[,PORT...]",
              .text = "any of vhost, memif, udp",
              .standard = "vhost,memif,udp"},
             {.name = "--repeats", .value = "N", .text = "runs of each, ours and the limit by turns", .standard = "3"},
             {.name = "--out",
              .value = "FILE",
              .text = "where the JSON goes; empty: nowhere. With --only: rows of an earlier run stay",
              .standard = "bench/results/latest.json",
              .completes = cli::Completes::file},
             {.name = "--json", .text = "the JSON on stdout instead of the table"},
             {.name = "--compare",
              .value = "OLD.json",
              .text = "show what became worse since that run; exit code 3 when something did",
              .completes = cli::Completes::file},
             {.name = "--with",
              .value = "NEW.json",
              .text = "with --compare: measure nothing, take this run as the new one",
              .completes = cli::Completes::file},
             {.name = "--tolerance",
              .value = "PERCENT",
              .text = "with --compare: how much worse is a regression",
              .standard = "10"}},
        .examples = {{"farlane-bench", "everything, a few minutes"},
                     {"farlane-bench --only rtt,posted_rate --ports vhost", "some of it"},
                     {"farlane-bench --compare old.json --with new.json", "two runs"}},
    };
    p.help_end =
        "Exit codes:\n"
        "  0  measured; a missed goal is no failure\n"
        "  1  a part could not be measured\n"
        "  2  usage, or a file that can not be read or written\n"
        "  3  --compare found a regression\n"
        "What each row is: bench/README.md";
    return p;
}

}  // namespace

const cli::Program& bench_program() {
    static const cli::Program p = make();
    return p;
}

}  // namespace farlane::bench

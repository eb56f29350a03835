// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the definitions of farlaned, fldump and farlane-demo.
// Owns: nothing. tests/cli runs each program's --help and compares it with its definition.
#include "cli/program.hpp"

namespace farlane::cli {
namespace {

Program farlaned() {
    Program p;
    p.self = {.name = "farlaned", .summary = "carry PCIe transactions between hosts"};
    p.section = 8;
    return p;
}

Program fldump() {
    Program p;
    p.self = {.name = "fldump", .summary = "decode Farlane frames of captures and ring dumps"};
    return p;
}

Program demo() {
    Program p;
    p.self = {.name = "farlane-demo", .summary = "put a remote accelerator and a remote NVMe to work"};
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

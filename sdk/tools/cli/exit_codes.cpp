// SPDX-License-Identifier: Apache-2.0
// Receives: the status table. Hands on: the exit codes of programs, one row each.
// Owns: nothing.
#include <array>

#include "cli/program.hpp"

namespace farlane::cli {
namespace {

// The table of farlane/uapi/status.h maps many statuses to one exit code; these sentences are
// about the code. tests/cli checks that every code of the table has a row here.
constexpr std::array kCodes{
    ExitCode{0, "ok", "success"},
    ExitCode{1, "error", "any other error"},
    ExitCode{2, "usage", "usage: unknown verb or option, or a value that is not valid"},
    ExitCode{3, "not_found", "no such function"},
    ExitCode{4, "busy", "busy: somebody else holds the function, or applications have it open"},
    ExitCode{5, "denied", "not permitted"},
    ExitCode{6, "timeout", "no answer within the time limit"},
    ExitCode{7, "unreachable", "farlaned or the target can not be reached, or the device was removed"},
    ExitCode{9, "integrity", "integrity: data or protocol damaged, or a result differs from its reference"},
};

}  // namespace

std::span<const ExitCode> exit_codes() {
    return kCodes;
}

}  // namespace farlane::cli

// SPDX-License-Identifier: Apache-2.0
// Receives: a command line. Hands on: what the runner is to do, or what is wrong. Owns: nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "chaos/load.hpp"

namespace farlane::chaos {

enum ExitCode : int {
    kHeld = 0,      ///< the failure contract held
    kBroken = 1,    ///< it did not
    kUsage = 2,     ///< of the command line
    kNotSetUp = 3,  ///< the scene could not be set up: no farlaned, no port, no room
};

struct Arguments {
    std::uint64_t seed = 0;
    bool seed_given = false;
    unsigned rounds = 10;
    std::optional<unsigned> only;  ///< this round alone
    bool verbose = false;
    bool help = false;
    std::string json;  ///< file for the summary
    Sabotage sabotage = Sabotage::none;
};

extern const char* const kUsageText;
/// Throws std::invalid_argument with a sentence.
[[nodiscard]] Arguments parse_arguments(int argc, const char* const* argv);

}  // namespace farlane::chaos

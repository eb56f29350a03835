// SPDX-License-Identifier: Apache-2.0
// Receives: a command line. Hands on: what the runner is to do, or what is wrong. Owns: nothing.
#include "chaos/arguments.hpp"

#include <charconv>
#include <stdexcept>
#include <string_view>

namespace farlane::chaos {
namespace {

constexpr std::uint64_t kMostRounds = 1'000'000;

std::uint64_t number(std::string_view option, std::string_view text, std::uint64_t low, std::uint64_t high) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && value >= low && value <= high) return value;
    throw std::invalid_argument(std::string(option) + " needs a number from " + std::to_string(low) + " to " +
                                std::to_string(high) + ", not '" + std::string(text) + "'");
}

Sabotage sabotage(std::string_view text) {
    if (text == "lose") return Sabotage::lose;
    if (text == "repeat") return Sabotage::repeat;
    if (text == "swap") return Sabotage::swap;
    if (text == "stale") return Sabotage::stale;
    throw std::invalid_argument("--sabotage is one of lose, repeat, swap and stale, not '" + std::string(text) + "'");
}

}  // namespace

const char* const kUsageText =
    "usage: chaos_runner [--seed N] [--rounds M | --round R] [--verbose] [--json FILE]\n"
    "Kills, stops and freezes two farlaned and cuts and disturbs the link between them at random, under verified\n"
    "load. A write that is lost, repeated or reordered fails, and so does a read that is stale or executed twice.\n"
    "  --seed N         decides what happens when; random when it is not given, and printed\n"
    "  --rounds M       rounds 1 to M; 10 when it is not given\n"
    "  --round R        round R alone\n"
    "  --verbose        each fault as it is made\n"
    "  --json FILE      the summary goes there as well\n"
    "  --sabotage WHAT  the load itself makes a mistake once: lose, repeat, swap or stale; the run has to fail\n"
    "exit codes: 0 the failure contract held, 1 it did not, 2 command line, 3 the scene could not be set up\n";

Arguments parse_arguments(int argc, const char* const* argv) {
    Arguments a;
    bool rounds_given = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--help" || option == "-h") {
            a.help = true;
            return a;
        }
        if (option == "--verbose") {
            a.verbose = true;
            continue;
        }
        const bool known = option == "--seed" || option == "--rounds" || option == "--round" || option == "--json" ||
                           option == "--sabotage";
        if (!known) throw std::invalid_argument("unknown argument '" + std::string(option) + "'");
        if (++i == argc) throw std::invalid_argument(std::string(option) + " needs a value");
        const std::string_view value = argv[i];
        if (option == "--seed") {
            a.seed = number(option, value, 0, UINT64_MAX);
            a.seed_given = true;
        } else if (option == "--rounds") {
            a.rounds = static_cast<unsigned>(number(option, value, 1, kMostRounds));
            rounds_given = true;
        } else if (option == "--round") {
            a.only = static_cast<unsigned>(number(option, value, 1, kMostRounds));
        } else if (option == "--json") {
            a.json = value;
        } else {
            a.sabotage = sabotage(value);
        }
    }
    if (a.only && rounds_given) throw std::invalid_argument("--rounds and --round exclude each other");
    return a;
}

}  // namespace farlane::chaos

// SPDX-License-Identifier: Apache-2.0
// Receives: the verb upgrade. Hands on: what became of it. Owns: nothing.
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRetry{5};

/// Hello of the life that began after `started_ms`.
Json wait_for_successor(const Context& c, std::uint64_t started_ms, Clock::time_point until) {
    std::string why = "it does not answer";
    while (Clock::now() < until) {
        try {
            const control::ControlClient client = c.connect();
            if (number_of(client.hello(), "started_ms") != started_ms) return client.hello();
        } catch (const Error& e) {
            why = e.detail();
        }
        std::this_thread::sleep_for(kRetry);
    }
    throw Error(Status::unreachable, "farlaned was replaced and the new one is not there: " + why +
                                         "; its log says more; attached functions are kept for the grace");
}

}  // namespace

int run_upgrade(const Context& c) {
    const Json old = c.call("upgrade", {{"force", c.arguments.has("--force")}, {"timeout_ms", c.patience().count()}});
    const auto left = Clock::now();
    const Json fresh = wait_for_successor(c, number_of(old, "started_ms"), left + c.timeout);
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - left).count();
    if (c.json) {
        c.print({{"from", text_of(old, "version")},
                 {"to", text_of(fresh, "version")},
                 {"pid", number_of(fresh, "pid")},
                 {"away_ms", took}});
        return 0;
    }
    c.out << fmt::format("upgraded farlaned {} to {}, pid {}; it was away for {} ms\n", clean(text_of(old, "version")),
                         clean(text_of(fresh, "version")), number_of(fresh, "pid"), took);
    return 0;
}

}  // namespace farlane::cli

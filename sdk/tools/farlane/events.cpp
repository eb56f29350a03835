// SPDX-License-Identifier: Apache-2.0
// Receives: events of farlaned. Hands on: one line for each. Owns: the connection.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

void print_event(const Context& c, const Json& e) {
    if (c.json) {
        c.out << e.dump() << '\n' << std::flush;
        return;
    }
    const std::string other = text_of(e, "target").empty() ? text_of(e, "peer") : text_of(e, "target");
    std::string detail = text_of(e, "detail");
    if (text_of(e, "kind") == "overflow") detail = fmt::format("{} events left out: read faster", number_of(e, "lost"));
    c.out << fmt::format("{}  {:<9}  {:<12}  {:<16}  {:<16}  {}\n", clean(text_of(e, "when")),
                         clean(text_of(e, "role")), clean(text_of(e, "kind")), clean(text_of(e, "function")),
                         clean(other), clean(detail))
          << std::flush;
}

/// As farlaned writes it.
std::string now_text() {
    const auto now = std::chrono::system_clock::now();
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(second), (now - second) / std::chrono::milliseconds(1));
}

// farlaned was replaced (`farlane upgrade`) or restarted: the next one is waited for as long as for an answer.
control::ControlClient subscribe_again(const Context& c, const Error& lost) {
    constexpr std::chrono::milliseconds kPause{100};
    const auto until = std::chrono::steady_clock::now() + c.timeout;
    for (;;) {
        try {
            control::ControlClient client = c.connect();
            client.subscribe();
            print_event(c, {{"when", now_text()},
                            {"role", "daemon"},
                            {"kind", "reconnected"},
                            {"detail", "farlaned was away: events of that time are not here"}});
            return client;
        } catch (const Error&) {
            if (std::chrono::steady_clock::now() >= until) throw lost;
        }
        std::this_thread::sleep_for(kPause);
    }
}

std::optional<Json> next_event(const Context& c, control::ControlClient& client) {
    try {
        return client.next_event(std::chrono::hours(1));
    } catch (const Error& e) {
        if (e.status() != Status::unreachable) throw;
        client = subscribe_again(c, e);
        return std::nullopt;
    }
}

}  // namespace

int run_events(const Context& c) {
    constexpr double kMostEvents = 1e15;
    const bool limited = c.arguments.has("--count");
    const double wanted = limited ? std::floor(c.arguments.number("--count", 1, kMostEvents)) : 0;
    control::ControlClient client = c.connect();
    client.subscribe();
    double seen = 0;
    while (c.out && (!limited || seen < wanted)) {
        const auto event = next_event(c, client);
        if (!event) continue;
        print_event(c, *event);
        ++seen;
    }
    return 0;
}

}  // namespace farlane::cli

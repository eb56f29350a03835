// SPDX-License-Identifier: Apache-2.0
// Receives: events of farlaned. Hands on: one line for each. Owns: the connection.
#include <fmt/format.h>

#include <cmath>

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

}  // namespace

int run_events(const Context& c) {
    constexpr double kMostEvents = 1e15;
    const bool limited = c.arguments.has("--count");
    const double wanted = limited ? std::floor(c.arguments.number("--count", 1, kMostEvents)) : 0;
    control::ControlClient client = c.connect();
    client.subscribe();
    double seen = 0;
    while (c.out && (!limited || seen < wanted)) {
        const auto event = client.next_event(std::chrono::hours(1));
        if (!event) continue;
        print_event(c, *event);
        ++seen;
    }
    return 0;
}

}  // namespace farlane::cli

// SPDX-License-Identifier: Apache-2.0
// Receives: two readings of farlaned's counters. Hands on: rates, again and again.
// Owns: the connection; the terminal's mode while it runs.
#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;
void on_signal(int) {
    interrupted = 1;
}

/// Keys arrive one by one and unseen while it lives; the old mode comes back whatever happens.
class RawTerminal {
public:
    RawTerminal() {
        struct sigaction action {};
        action.sa_handler = on_signal;
        sigaction(SIGINT, &action, nullptr);
        sigaction(SIGTERM, &action, nullptr);
        if (isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &old_) != 0) return;
        termios raw = old_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal() {
        if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &old_);
    }

    /// Waits; false when the user wants to leave.
    [[nodiscard]] bool wait(int timeout_ms) const {
        pollfd keys{.fd = changed_ ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0};
        const int ready = poll(&keys, 1, timeout_ms);
        if (interrupted != 0) return false;
        char key = 0;
        if (ready > 0 && (keys.revents & POLLIN) != 0 && read(STDIN_FILENO, &key, 1) == 1) return key != 'q';
        return true;
    }

private:
    termios old_{};
    bool changed_ = false;
};

const Json* earlier_row(const Json& before, const Json& row) {
    for (const Json& b : part_of(before, "rows"))
        if (text_of(b, "role") == text_of(row, "role") && text_of(b, "name") == text_of(row, "name")) return &b;
    return nullptr;
}

/// Difference per second; a counter that went back (a new attachment) counts from zero.
double rate(const Json& now, const Json* before, const char* key, double seconds) {
    const std::uint64_t a = before != nullptr ? number_of(*before, key) : 0;
    const std::uint64_t b = number_of(now, key);
    return seconds > 0 ? static_cast<double>(b >= a ? b - a : b) / seconds : 0;
}

Json rates(const Json& before, const Json& now) {
    const std::uint64_t from = number_of(before, "when_ns"), to = number_of(now, "when_ns");
    const double seconds = to > from ? static_cast<double>(to - from) / 1e9 : 0;
    Json document{{"interval_seconds", seconds}, {"rows", Json::array()}};
    for (const Json& row : part_of(now, "rows")) {
        if (!row.is_object()) continue;
        const Json* old = earlier_row(before, row);
        Json out{{"role", text_of(row, "role")},
                 {"name", text_of(row, "name")},
                 {"peer", text_of(row, "peer")},
                 {"state", text_of(row, "state")},
                 {"smoothed_rtt_ns", number_of(row, "smoothed_rtt_ns")}};
        for (const char* key :
             {"records_out", "records_in", "payload_bytes_out", "payload_bytes_in", "interrupts", "resent"})
            out[std::string(key) + "_per_second"] = rate(row, old, key, seconds);
        document["rows"].push_back(std::move(out));
    }
    return document;
}

std::string per_second(const Json& row, const char* key, bool bytes) {
    const double v = row.at(std::string(key) + "_per_second").get<double>();
    return bytes ? bytes_text(static_cast<std::uint64_t>(v)) : count_text(v);
}

void print_block(const Context& c, const Json& document) {
    if (c.json) {
        c.out << document.dump() << '\n' << std::flush;
        return;
    }
    Table table({"FUNCTION", "ROLE", "PEER", "STATE", "OUT/s", "IN/s", "BYTES OUT/s", "BYTES IN/s", "IRQ/s", "RESENT/s",
                 "RTT"});
    for (const Json& r : document.at("rows"))
        table.row({text_of(r, "name"), text_of(r, "role"), text_of(r, "peer"), text_of(r, "state"),
                   per_second(r, "records_out", false), per_second(r, "records_in", false),
                   per_second(r, "payload_bytes_out", true), per_second(r, "payload_bytes_in", true),
                   per_second(r, "interrupts", false), per_second(r, "resent", false),
                   duration_text(number_of(r, "smoothed_rtt_ns"))});
    if (table.empty()) {
        c.out << "nothing is exported or attached here\n";
    } else {
        table.print(c.out, {4, 5, 6, 7, 8, 9, 10});
    }
    c.out << std::flush;
}

}  // namespace

int run_top(const Context& c) {
    const double interval = c.arguments.number("--interval", 0.1, 60);
    const int interval_ms = static_cast<int>(interval * 1000);
    const bool once = c.arguments.has("--once");
    const bool redraw = !once && !c.json && isatty(STDOUT_FILENO) != 0;
    control::ControlClient client = c.connect();
    const RawTerminal terminal;
    Json before = client.call("top", Json::object(), c.timeout);
    while (terminal.wait(interval_ms) && c.out) {
        Json now = client.call("top", Json::object(), c.timeout);
        if (redraw) c.out << "\033[H\033[J" << fmt::format("farlane top, every {:g} s; q ends\n\n", interval);
        print_block(c, rates(before, now));
        if (once) break;
        before = std::move(now);
    }
    return 0;
}

}  // namespace farlane::cli

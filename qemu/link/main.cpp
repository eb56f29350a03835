// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration file. Hands on: a running link emulator; "ready" on stdout when others may
// connect. Owns: the process: ends cleanly on SIGTERM and SIGINT.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config.hpp"
#include "control.hpp"
#include "network.hpp"

namespace {

using namespace farlane::link;

constexpr const char* kUsage =
    "usage: farlane-link --config FILE [--check]\n"
    "Emulates the network between virtual machines and native daemons; see docs/testbed.md.\n"
    "  --config FILE   JSON: endpoints, switches, links, control socket\n"
    "  --check         reads the configuration only\n";

// A descriptor that becomes readable on SIGTERM and SIGINT.
int stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void run(const nlohmann::json& config, bool check_only) {
    bool stop = false;
    Loop loop;
    Network network(config, loop);
    const std::string socket = config.value("control", "");
    if (socket.empty()) throw std::runtime_error("the configuration needs 'control', the path of a socket");
    if (check_only) return;
    Control control(socket, network, loop);
    loop.add(stop_signals(), EPOLLIN, [&stop](std::uint32_t) { stop = true; });
    std::puts("ready");
    std::fflush(stdout);
    while (!stop) {
        const bool more = network.deliver_due(Loop::now_ns());
        loop.run_once(more ? 0 : network.next_due_ns());
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::string file;
    bool check_only = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--help" || word == "-h") {
            std::fputs(kUsage, stdout);
            return 0;
        }
        if (word == "--check") {
            check_only = true;
        } else if (word == "--config" && i + 1 < argc) {
            file = argv[++i];
        } else {
            std::fprintf(stderr, "farlane-link: unknown argument '%s'\n%s", argv[i], kUsage);
            return 2;
        }
    }
    if (file.empty()) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    try {
        run(read_config_file(file), check_only);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "farlane-link: %s\n", e.what());
        return 2;
    }
    return 0;
}

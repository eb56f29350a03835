// SPDX-License-Identifier: Apache-2.0
// Receives: a verb and a name. Hands on: a function that answers (echo.hpp). Owns: nothing. A daemon
// without a network, for tests.
//   kmod_echo add NAME      adds a function and answers until it is killed
//   kmod_echo plug NAME     the same without a node, for a driver
//   kmod_echo poll NAME     the same as plug, and never sleeps
//   kmod_echo doze NAME     the same, and says all the time that it sleeps
//   kmod_echo recover NAME  takes up the function that an earlier one left
//   kmod_echo refuse NAME   adds one and never answers
#include <csignal>
#include <string_view>
#include <thread>

#include "echo.hpp"

namespace farlane::kmodtest {
namespace {

constexpr std::uint8_t kInstance = 7;
const std::atomic<bool> never = false;

/// Whoever submits rings the bell then, all at once.
void say_sleeping(const Control& control, std::uint64_t offset, std::uint64_t bytes) {
    const Channel channel(control, offset, bytes, Sizes{});
    if (!channel.valid()) fail("mmap of the channel");
    const std::atomic_ref<std::uint32_t> sleeping(channel.header().submit.sleeping);
    for (;;) sleeping.store(FL_RING_SLEEPS_HEAD, std::memory_order_relaxed);
}

int add(const Control& control, const std::string& name, std::string_view how) {
    if (const int kept = control.become(kInstance, 0); kept < 0) {
        errno = -kept;
        fail("DAEMON_OPEN");
    }
    const auto config = plain_config();
    const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fl_ioc_function_add a = make_add(name, config.data(), bell, Sizes{});
    if (how == "plug" || how == "poll" || how == "doze") a.flags = 0;
    if ((errno = control.call(FL_IOC_FUNCTION_ADD, a)) != 0) fail("FUNCTION_ADD");
    std::printf("READY %u\n", a.function_id);
    std::fflush(stdout);
    if (how == "doze") std::thread(say_sleeping, std::ref(control), a.mmap_offset, a.channel_bytes).detach();
    if (how != "refuse")
        Echo(control, a.function_id, a.mmap_offset, a.channel_bytes, Sizes{}, bell)
            .run(never, how == "poll" || how == "doze");
    for (;;) ::pause();
}

int recover(const Control& control, const std::string& name) {
    const int kept = control.become(kInstance, 0);
    if (kept < 1) {
        errno = kept < 0 ? -kept : ENOENT;
        fail("DAEMON_OPEN keeps nothing");
    }
    fl_ioc_function_get g{};
    for (std::uint32_t index = 0; name != g.name; ++index) {
        g = fl_ioc_function_get{};
        g.bytes = sizeof g;
        g.index = index;
        if ((errno = control.call(FL_IOC_FUNCTION_GET, g)) != 0) fail("FUNCTION_GET");
    }
    const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    Echo echo(control, g.function_id, g.mmap_offset, g.channel_bytes,
              Sizes{g.submit_entries, g.complete_entries, g.staging_bytes}, bell);
    fl_ioc_function_recover r{sizeof r, g.function_id, bell, 0};
    if ((errno = control.call(FL_IOC_FUNCTION_RECOVER, r)) != 0) fail("FUNCTION_RECOVER");
    std::printf("READY %u\n", g.function_id);
    std::fflush(stdout);
    echo.run(never);
    return 0;
}

}  // namespace
}  // namespace farlane::kmodtest

int main(int argc, char** argv) {
    using namespace farlane::kmodtest;
    if (argc != 3) {
        std::fprintf(stderr, "usage: kmod_echo add|plug|poll|doze|recover|refuse NAME\n");
        return 2;
    }
    const std::string_view verb = argv[1];
    const Control control;
    if (verb == "add" || verb == "refuse" || verb == "plug" || verb == "poll" || verb == "doze")
        return add(control, argv[2], verb);
    if (verb == "recover") return recover(control, argv[2]);
    std::fprintf(stderr, "kmod_echo: %s: add, plug, poll, doze, recover or refuse\n", argv[1]);
    return 2;
}

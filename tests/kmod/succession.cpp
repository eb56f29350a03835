// SPDX-License-Identifier: Apache-2.0
// Receives: a verb. Hands on: exit code 0 when daemons that come, hang and die leave nobody else waiting and nothing
// behind. Owns: the processes that play them.
//   kmod_succession orphans   daemons die while half of their functions are on their way out
//   kmod_succession fault     a daemon's call waits for memory that never comes; others open and close beside it
#include <chrono>
#include <csignal>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "control.hpp"

namespace farlane::kmodtest {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t kInstance = 7;
constexpr std::uint32_t kGraceMs = 300;
constexpr auto kSoon = 30s;  ///< on any machine
constexpr Sizes kSmall{64, 64, 0};

/// A process that plays something; killed at the latest when this ends.
class Player {
public:
    explicit Player(const std::function<void()>& part) : pid_(::fork()) {
        if (pid_ < 0) fail("fork");
        if (pid_ != 0) return;
        part();
        ::_exit(0);
    }
    ~Player() {
        kill();
        if (!ended_) ::waitpid(pid_, nullptr, 0);
    }
    Player(const Player&) = delete;
    Player& operator=(const Player&) = delete;

    void kill() const { ::kill(pid_, SIGKILL); }
    [[nodiscard]] bool ends_soon() {
        for (const auto until = std::chrono::steady_clock::now() + kSoon; !ended_;) {
            ended_ = ::waitpid(pid_, nullptr, WNOHANG) == pid_;
            if (std::chrono::steady_clock::now() > until) break;
            std::this_thread::sleep_for(10ms);
        }
        return ended_;
    }

private:
    pid_t pid_;
    bool ended_ = false;
};

void expect(bool kept, const char* promise) {
    if (kept) return;
    std::fprintf(stderr, "FAIL %s\n", promise);
    std::_Exit(1);  // what hangs is not waited for
}

/// As many functions as there are slots; every second one is removed while this process kills itself.
void die_while_removing(std::uint8_t instance) {
    const Control control;
    if (control.become(instance, kGraceMs) < 0) fail("DAEMON_OPEN");
    const auto config = plain_config();
    std::vector<std::uint32_t> ids;
    for (;;) {
        fl_ioc_function_add a = make_add("o" + std::to_string(ids.size()), config.data(), -1, kSmall);
        a.flags = 0;
        if (control.call(FL_IOC_FUNCTION_ADD, a) != 0) break;
        ids.push_back(a.function_id);
    }
    if (ids.size() < 2) fail("FUNCTION_ADD");
    std::atomic<bool> removed = false;
    for (std::size_t i = 0; i < ids.size(); i += 2)
        std::thread([&control, &removed, id = ids[i]] {
            fl_ioc_function_remove r{sizeof r, id, FL_REMOVE_SURPRISE, 0};
            (void)control.call(FL_IOC_FUNCTION_REMOVE, r);
            removed = true;
        }).detach();
    while (!removed) std::this_thread::yield();
    ::raise(SIGKILL);
}

int orphans() {
    for (std::uint8_t round = 1; round <= 8; ++round) {
        Player daemon([round] { die_while_removing(round); });
        expect(daemon.ends_soon(), "a daemon that was killed ends");
    }
    return 0;
}

/// A call that waits for a page which nobody provides; `reached` gets a byte when it does.
void wait_for_ever(int reached) {
    const Control control;
    if (control.become(kInstance, 5000) < 0) fail("DAEMON_OPEN");
    const int faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC));
    uffdio_api api{UFFD_API, 0, 0};
    if (::ioctl(faults, UFFDIO_API, &api) != 0) fail("UFFDIO_API");
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_register r{{reinterpret_cast<std::uintptr_t>(page), 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
    if (page == MAP_FAILED || ::ioctl(faults, UFFDIO_REGISTER, &r) != 0) fail("UFFDIO_REGISTER");
    std::thread([faults, reached] {
        pollfd p{faults, POLLIN, 0};
        if (::poll(&p, 1, -1) == 1) (void)!::write(reached, "!", 1);
    }).detach();
    fl_ioc_function_add a = make_add("never", static_cast<std::uint8_t*>(page), -1, kSmall);
    (void)control.call(FL_IOC_FUNCTION_ADD, a);
}

void open_and_close() {
    const Control control;
    fl_ioc_info info{};
    info.bytes = sizeof info;
    if (control.call(FL_IOC_INFO, info) != 0) fail("INFO");
}

void become_daemon() {
    const Control control;
    if (control.become(kInstance, kGraceMs) < 0) fail("DAEMON_OPEN");
}

int fault() {
    if (const int faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)); faults >= 0) {
        ::close(faults);
    } else {
        std::printf("no userfaultfd in this kernel (%s): not tested\n", std::strerror(errno));
        return 0;
    }
    int reached[2];
    if (::pipe(reached) != 0) fail("pipe");
    Player waits([&] { wait_for_ever(reached[1]); });
    ::close(reached[1]);
    char byte = 0;
    expect(::read(reached[0], &byte, 1) == 1, "the call comes to the page");
    Player next(become_daemon);
    std::this_thread::sleep_for(500ms);  // it waits by now; if not, the rest is only easier
    Player passer_by(open_and_close);
    expect(passer_by.ends_soon(), "who is no daemon closes its node at once");
    next.kill();
    expect(next.ends_soon(), "a daemon that waits for its turn can be killed");
    waits.kill();
    expect(waits.ends_soon(), "a daemon whose call waits for memory can be killed");
    Player last(become_daemon);
    expect(last.ends_soon(), "the next daemon begins");
    return 0;
}

}  // namespace
}  // namespace farlane::kmodtest

int main(int argc, char** argv) {
    using namespace farlane::kmodtest;
    const std::string_view verb = argc == 2 ? argv[1] : "";
    if (verb == "orphans") return orphans();
    if (verb == "fault") return fault();
    std::fprintf(stderr, "usage: kmod_succession orphans|fault\n");
    return 2;
}

// SPDX-License-Identifier: Apache-2.0
// Receives: a process that confines itself. Hands on: lines that name what it is refused. Owns: refusals.hpp.
#include "backend/worker/program/refusals.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <thread>

#include "backend/worker/program/sandbox.hpp"
#include "backend/worker/program/system_calls.hpp"

namespace farlane::backend::worker {
namespace {

struct Name {
    int call;
    const char* name;
};
constexpr Name kNames[] = {{SYS_connect, "connect"}, {SYS_socket, "socket"},
                           {SYS_bind, "bind"},       {SYS_kill, "kill"},
                           {SYS_tgkill, "tgkill"},   {SYS_tkill, "tkill"},
                           {SYS_ptrace, "ptrace"},   {SYS_perf_event_open, "perf_event_open"},
                           {SYS_setsid, "setsid"},   {SYS_process_vm_readv, "process_vm_readv"},
                           {SYS_mount, "mount"},     {SYS_userfaultfd, "userfaultfd"},
                           {SYS_unshare, "unshare"}, {SYS_io_uring_setup, "io_uring_setup"}};

/// Says it at once, whatever state the heap is in: the thread that waits may hold its lock.
void say(const char* format, const char* text, int number, int error) noexcept {
    char line[4400];
    const int bytes = std::snprintf(line, sizeof line, format, text, number, ::strerrordesc_np(error));
    if (bytes > 0)
        (void)!::write(STDERR_FILENO, line, std::min<std::size_t>(sizeof line, static_cast<std::size_t>(bytes)));
}

/// Opens it as the other would have, under the same rules, but makes nothing.
void look_at_open(const seccomp_data& call) noexcept {
    constexpr int kMakes = O_CREAT | O_EXCL | O_TRUNC;
    const char* path = reinterpret_cast<const char*>(call.args[1]);  // of this very process
    const int flags = static_cast<int>(call.args[2]);
    const int fd = ::openat(static_cast<int>(call.args[0]), path, (flags & ~kMakes) | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        ::close(fd);
    } else if (errno == EACCES || errno == EPERM) {
        say("refused: open %s (flags 0x%x): %s\n", path, flags, errno);
    }
}

void answer(int listener) noexcept {
    seccomp_notif told;
    seccomp_notif_resp response;
    for (;;) {
        std::memset(&told, 0, sizeof told);
        if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &told) != 0) {
            if (errno == EINTR || errno == ENOENT) continue;
            return;
        }
        std::memset(&response, 0, sizeof response);
        response.id = told.id;
        if (told.data.nr == SYS_openat) {
            look_at_open(told.data);
            response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        } else {
            const int error = refusal_of(told.data.nr);
            const char* name = "system call";
            for (const Name& n : kNames) {
                if (n.call == told.data.nr) name = n.name;
            }
            say("refused: %s (number %d): %s\n", name, told.data.nr, error);
            response.error = -error;
        }
        (void)::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
    }
}

}  // namespace

bool confine_and_tell(pid_t parent, bool cuda) {
    constexpr int kNotYet = -1, kNever = -2;
    static std::atomic<int> listener{kNotYet};
    if (!confine_but_calls(parent, cuda)) return false;
    // It is there before the filter, so it has none, but it has the rules about files.
    std::thread([] {
        listener.wait(kNotYet);
        if (listener != kNever) answer(listener);
    }).detach();
    int fd = -1;
    const bool filtered = confine_system_calls(cuda, &fd);
    listener = filtered ? fd : kNever;
    listener.notify_all();
    return filtered;
}

}  // namespace farlane::backend::worker

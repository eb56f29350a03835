// SPDX-License-Identifier: Apache-2.0
// Receives: a process that is about to run foreign code. Hands on: one that can not turn on others. Owns: nothing.
#include "backend/worker/program/system_calls.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

namespace farlane::backend::worker {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kMachine = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kMachine = 0;  // not known: no filter
#endif
constexpr std::uint32_t kX32 = 0x40000000;  // its calls have numbers of their own

constexpr int kNever[] = {SYS_ptrace,
                          SYS_process_vm_readv,
                          SYS_process_vm_writev,
                          SYS_pidfd_send_signal,
                          SYS_pidfd_getfd,
                          SYS_tkill,
                          SYS_rt_sigqueueinfo,
                          SYS_rt_tgsigqueueinfo,
                          SYS_setsid,  // what it starts ends with its process group
                          SYS_setpgid,
                          SYS_bpf,
                          SYS_unshare,
                          SYS_setns,
                          SYS_mount,
                          SYS_io_uring_setup,
                          SYS_userfaultfd,
                          SYS_perf_event_open,
                          SYS_keyctl,
                          SYS_add_key,
                          SYS_request_key};
// As if nobody were there. Were it forbidden, the CUDA driver would not start: it takes anything else for an MPS daemon
// that it must not use (error 805).
constexpr int kNobodyThere[] = {SYS_connect};
constexpr int kOnlyToItself[] = {SYS_kill, SYS_tgkill};  // the first argument is a process

class Filter {
public:
    /// `tells`: what is refused is told to a listener, which answers refusal_of().
    explicit Filter(bool tells) : tells_(tells) {
        load(offsetof(seccomp_data, arch));
        skip_if(kMachine, 1);
        give(SECCOMP_RET_KILL_PROCESS);
        load(offsetof(seccomp_data, nr));
        skip_unless_at_least(kX32, 1);
        give(SECCOMP_RET_ERRNO | ENOSYS);
    }
    void never(int call) {
        skip_unless(static_cast<std::uint32_t>(call), 1);
        refuse(call);
    }
    void tell(int call) {
        skip_unless(static_cast<std::uint32_t>(call), 1);
        give(SECCOMP_RET_USER_NOTIF);
    }
    void only_to_itself(int call) {
        skip_unless(static_cast<std::uint32_t>(call), 4);
        load(offsetof(seccomp_data, args));
        skip_unless(static_cast<std::uint32_t>(::getpid()), 1);
        give(SECCOMP_RET_ALLOW);
        refuse(call);
    }
    /// The CUDA driver names itself to debuggers and to others of its kind by a local socket, when it starts. Without
    /// connect() those of connections reach nobody; datagrams would.
    void only_local_sockets() {
        constexpr std::uint32_t kTypeBits = 0xf;
        skip_unless(SYS_socket, 8);
        load(offsetof(seccomp_data, args));
        skip_unless(AF_UNIX, 5);
        load(offsetof(seccomp_data, args) + sizeof(std::uint64_t));
        code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kTypeBits));
        skip_if(SOCK_STREAM, 1);
        skip_unless(SOCK_SEQPACKET, 1);
        give(SECCOMP_RET_ALLOW);
        refuse(SYS_socket);
    }
    /// The listener when it tells, else 0; < 0: the kernel does not take it.
    [[nodiscard]] int apply() {
        give(SECCOMP_RET_ALLOW);
        sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
        const unsigned long flags = tells_ ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
        return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
    }

private:
    void refuse(int call) {
        give(tells_ ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(refusal_of(call)));
    }
    void load(std::size_t offset) {
        code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
    }
    void give(std::uint32_t what) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, what)); }
    void skip_if(std::uint32_t value, std::uint8_t count) {
        code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, count, 0));
    }
    void skip_unless(std::uint32_t value, std::uint8_t count) {
        code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count));
    }
    void skip_unless_at_least(std::uint32_t value, std::uint8_t count) {
        code_.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, 0, count));
    }
    bool tells_;
    std::vector<sock_filter> code_;
};

}  // namespace

int refusal_of(int call) noexcept {
    return std::find(std::begin(kNobodyThere), std::end(kNobodyThere), call) != std::end(kNobodyThere) ? ENOENT : EPERM;
}

bool confine_system_calls(bool local_sockets, int* listener) noexcept {
    if (kMachine == 0) return true;
    Filter filter(listener != nullptr);
    for (const int call : kNever) filter.never(call);
    for (const int call : kNobodyThere) filter.never(call);
    if (listener != nullptr) filter.tell(SYS_openat);
    if (local_sockets) {
        filter.only_local_sockets();
    } else {
        filter.never(SYS_socket);
        filter.never(SYS_bind);
    }
    for (const int call : kOnlyToItself) filter.only_to_itself(call);
    const int applied = filter.apply();
    if (listener != nullptr) *listener = applied;
    return applied >= 0;
}

}  // namespace farlane::backend::worker

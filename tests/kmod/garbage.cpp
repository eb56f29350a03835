// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: exit code 0 when /dev/farlane/control and a node refuse what is no call, no size, no
// address and no mapping of theirs with the documented error, to root as to nobody. Owns: one function while it runs.
#include <string>
#include <vector>

#include <sys/wait.h>

#include "control.hpp"

namespace farlane::kmodtest {
namespace {

unsigned wrong = 0;

void expect(int got, int wanted, const std::string& what) {
    if (got == wanted) return;
    std::fprintf(stderr, "FAIL %s: %s, not %s\n", what.c_str(), std::strerror(got), std::strerror(wanted));
    ++wrong;
}

int errno_of(int result) {
    return result < 0 ? errno : 0;
}

struct Call {
    const char* name;
    unsigned long number;
    std::uint32_t bytes;
};

#define CALL(name, type) \
    { #name, FL_IOC_##name, sizeof(type) }
constexpr Call kControl[] = {CALL(INFO, fl_ioc_info),
                             CALL(DAEMON_OPEN, fl_ioc_daemon_open),
                             CALL(FUNCTION_ADD, fl_ioc_function_add),
                             CALL(FUNCTION_REMOVE, fl_ioc_function_remove),
                             CALL(INTERRUPT, fl_ioc_interrupt),
                             CALL(DMA_COPY, fl_ioc_dma_copy),
                             CALL(FUNCTION_GET, fl_ioc_function_get),
                             CALL(FUNCTION_RECOVER, fl_ioc_function_recover),
                             CALL(FUNCTION_STATE, fl_ioc_function_state),
                             CALL(ERROR, fl_ioc_error),
                             CALL(POKE, fl_ioc_poke),
                             CALL(CHANNEL_GET, fl_ioc_channel_get),
                             CALL(CHANNEL_RELEASE, fl_ioc_channel_release)};
constexpr Call kNode[] = {CALL(CHANNEL_CREATE, fl_ioc_channel_create), CALL(MAP, fl_ioc_map), CALL(UNMAP, fl_ioc_unmap),
                          CALL(INTERRUPT_FD, fl_ioc_interrupt_fd)};
#undef CALL

/// No size but the right one, and no memory but one's own.
void refuse_call(int fd, const Call& call) {
    alignas(8) std::array<std::uint8_t, 1024> memory{};
    for (const std::uint32_t bytes : {0U, 1U, 4U, call.bytes - 1, call.bytes + 1, 1024U, 0x7fffffffU, ~0U}) {
        std::memcpy(memory.data(), &bytes, sizeof bytes);
        expect(errno_of(::ioctl(fd, call.number, memory.data())), EINVAL,
               std::string(call.name) + " of " + std::to_string(bytes) + " bytes");
    }
    for (const std::uint64_t nowhere : {0ULL, 8ULL, 0x7fffffffff00ULL, 0xffff888000000000ULL, ~0ULL})
        expect(errno_of(::ioctl(fd, call.number, nowhere)), EFAULT, std::string(call.name) + " from nowhere");
}

void refuse_unknown(int fd, const char* what) {
    std::array<std::uint8_t, 4096> memory{};
    for (const unsigned long number : {0UL, 1UL, _IO(FL_IOCTL_TYPE, 0UL), _IOWR(FL_IOCTL_TYPE, 0x7f, fl_ioc_info),
                                       _IOWR('x', FL_IOCTL_NR_INFO, fl_ioc_info), 0xffffffffUL})
        expect(errno_of(::ioctl(fd, number, memory.data())), ENOTTY, std::string("an unknown call of ") + what);
}

bool maps(int fd, std::uint64_t offset, std::uint64_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (at == MAP_FAILED) return false;
    ::munmap(at, bytes);
    return true;
}

void refuse_maps(int fd, std::uint64_t offset, std::uint64_t bytes, const char* what) {
    const auto no = [&](std::uint64_t at, std::uint64_t length) {
        expect(maps(fd, at, length) ? 0 : 1, 1,
               std::string("mmap of ") + what + " at +" + std::to_string(at - offset) + ", " + std::to_string(length));
    };
    expect(maps(fd, offset, bytes) ? 0 : 1, 0, std::string("mmap of ") + what);
    no(offset, bytes + 4096);
    no(offset, bytes * 16);
    no(offset, 1ULL << 40);
    no(offset + 4096, bytes);
    no(offset + bytes, 4096);
    no(offset + (1ULL << 33), bytes);
    no(0x7fffffff00000000ULL, bytes);
}

/// Exit code of what `attempt` returns, as somebody without rights.
int as_nobody(int (*attempt)()) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::setgid(65534) == 0 && ::setuid(65534) == 0 ? attempt() : 200);
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

void refuse_nobody() {
    const auto open_errno = [](const char* path) {
        const int fd = ::open(path, O_RDWR | O_CLOEXEC);
        return fd < 0 ? errno : 0;
    };
    static const auto attempt = open_errno;
    expect(as_nobody([] { return attempt("/dev/farlane/control"); }), EACCES, "nobody opens control");
    expect(as_nobody([] { return attempt("/dev/farlane/garbage"); }), EACCES, "nobody opens a node");
}

int run() {
    const Control control;
    for (const Call& call : kControl) {
        // Who is not the daemon hears that first, whatever he asks for.
        if (call.number == FL_IOC_INFO || call.number == FL_IOC_DAEMON_OPEN) refuse_call(control.fd(), call);
    }
    fl_ioc_function_get get{};
    get.bytes = sizeof get;
    expect(control.call(FL_IOC_FUNCTION_GET, get), EPERM, "FUNCTION_GET of somebody who is not the daemon");
    if (control.become(77) < 0) fail("DAEMON_OPEN");
    for (const Call& call : kControl) refuse_call(control.fd(), call);
    refuse_unknown(control.fd(), "control");
    expect(maps(control.fd(), 0, 4096) ? 0 : 1, 1, "mmap of no function");

    const auto config = plain_config();
    fl_ioc_function_add add = make_add("garbage", config.data(), -1, Sizes{});
    if ((errno = control.call(FL_IOC_FUNCTION_ADD, add)) != 0) fail("FUNCTION_ADD");
    refuse_maps(control.fd(), add.mmap_offset, add.channel_bytes, "a channel");
    expect(control.call(FL_IOC_FUNCTION_ADD, add), EINVAL, "FUNCTION_ADD with an answer in it");
    {
        const Control node("/dev/farlane/garbage");
        for (const Call& call : kNode) refuse_call(node.fd(), call);
        refuse_unknown(node.fd(), "a node");
        for (const Call& call : kControl)
            if (call.number != FL_IOC_INFO) expect(errno_of(::ioctl(node.fd(), call.number, &add)), ENOTTY, call.name);
        expect(maps(node.fd(), 0, 4096) ? 0 : 1, 1, "mmap of a node without a channel");
    }
    refuse_nobody();
    fl_ioc_function_remove remove{sizeof remove, add.function_id + 1, 0, 0};
    expect(control.call(FL_IOC_FUNCTION_REMOVE, remove), ENOENT, "FUNCTION_REMOVE of nothing");
    remove.function_id = add.function_id;
    expect(control.call(FL_IOC_FUNCTION_REMOVE, remove), 0, "FUNCTION_REMOVE");
    return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace farlane::kmodtest

int main() {
    return farlane::kmodtest::run();
}

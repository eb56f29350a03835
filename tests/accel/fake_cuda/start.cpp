// SPDX-License-Identifier: Apache-2.0
// Receives: cuInit, contexts. Hands on: what the real driver asks of the process that it starts in, as strict as it is.
// Owns: which context is current where.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "fake.hpp"

namespace fake {
namespace {

constexpr CuResult kNoDevice = 100, kOperatingSystem = 304, kMpsConnectionFailed = 805;

std::atomic<bool> initialized{false};
thread_local CuContext current = nullptr;
int one_context;

/// Drivers of CUDA 12.8 and later name their threads by a file, and do not start where they can not.
bool can_name_threads() {
    std::atomic<bool> ended{false};
    std::atomic<int> number{0};
    std::thread other([&] {
        number = ::gettid();
        ended.wait(false);
    });
    while (number == 0) std::this_thread::yield();
    const std::string path = "/proc/self/task/" + std::to_string(number.load()) + "/comm";
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    const bool ok = fd >= 0 && ::write(fd, "cuda-EvtHandlr", 14) == 14;
    if (fd >= 0) ::close(fd);
    ended = true;
    ended.notify_all();
    other.join();
    return ok;
}

/// Looks for an MPS daemon: what it may not look at might be one.
bool knows_that_there_is_no_mps() {
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path, sizeof name.sun_path, "/nonexistent/nvidia-mps/control");
    const bool none = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 && errno == ENOENT;
    ::close(fd);
    return none;
}

/// Its name for others of its kind.
bool can_be_found() {
    static const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const int bytes = std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "cuda-fake-%d", ::getpid());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<unsigned>(bytes));
    return fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&name), length) == 0 && ::listen(fd, 1) == 0;
}

bool can_read(const char* path) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) ::close(fd);
    return fd >= 0 || errno == ENOENT;
}

/// What it has no business with, and does not need.
void be_curious() {
    (void)can_read("/etc/passwd");
    (void)::ptrace(PTRACE_DETACH, ::getpid(), nullptr, nullptr);
}

bool has_memory_files() {
    const int fd = ::memfd_create("cuda", MFD_CLOEXEC);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
}

}  // namespace

bool loads_with_the_module() {
    const char* how = std::getenv("CUDA_MODULE_LOADING");
    return how != nullptr && std::string(how) == "EAGER";
}

CuResult usable() {
    if (lost) return lost;
    if (!initialized) return kNotInitialized;
    return current == nullptr ? kInvalidContext : kSuccess;
}

}  // namespace fake

using namespace fake;

extern "C" {

CuResult cuInit(unsigned flags) {
    if (flags != 0) return kInvalidValue;
    if (is_set("no_device")) return kNoDevice;
    if (is_set("curious")) be_curious();
    const bool reads = can_read("/proc/self/maps") && can_read("/proc/self/status") && can_read("/proc/cpuinfo") &&
                       can_read("/proc/driver/nvidia/params") && can_read("/sys/devices/system/cpu/online");
    if (is_set("needs_etc") && !can_read("/etc/passwd")) return kOperatingSystem;
    if (!can_name_threads() || !has_memory_files() || !reads) return kOperatingSystem;
    if (!knows_that_there_is_no_mps()) return kMpsConnectionFailed;
    initialized = true;
    return kSuccess;
}

CuResult cuCtxCreate_v2(CuContext* context, unsigned flags, CuDevice device) {
    if (!initialized) return kNotInitialized;
    if (device != 0 || flags > kContextBlockingSync) return kInvalidValue;
    if (is_set("no_context")) return kOutOfMemory;
    if (!can_be_found() || ::eventfd(0, EFD_CLOEXEC) < 0) return kOperatingSystem;
    current = *context = reinterpret_cast<CuContext>(&one_context);
    return kSuccess;
}
CuResult cuCtxSetCurrent(CuContext context) {
    if (lost) return lost;
    if (context != nullptr && context != reinterpret_cast<CuContext>(&one_context)) return kInvalidContext;
    current = context;
    return kSuccess;
}

}  // extern "C"

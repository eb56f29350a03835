// SPDX-License-Identifier: Apache-2.0
// Receives: /proc and the kernel's limits. Hands on: checks of this host. Owns: nothing.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "farlane/doctor.hpp"
#include "farlane/output.hpp"

namespace farlane::cli {
namespace {

/// "Key:   value" of a file like /proc/meminfo; -1 when it is not there.
long long value_in(const std::string& path, const std::string& key) {
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (line.rfind(key + ":", 0) != 0) continue;
        std::istringstream rest(line.substr(key.size() + 1));
        long long value = -1;
        rest >> value;
        return rest ? value : -1;
    }
    return -1;
}

long long number_in(const std::string& path) {
    std::ifstream file(path);
    long long value = -1;
    file >> value;
    return file ? value : -1;
}

Check huge_pages(const HostPaths& paths) {
    const std::string file = paths.proc + "/meminfo";
    const long long total = value_in(file, "HugePages_Total"), free_pages = value_in(file, "HugePages_Free");
    const long long kib = value_in(file, "Hugepagesize");
    if (total > 0 && free_pages > 0)
        return {"huge pages", Verdict::ok, fmt::format("{} of {} free, {} KiB each", free_pages, total, kib), ""};
    return {"huge pages", Verdict::warn, total > 0 ? "all in use" : "none",
            "not needed, but large transfers are faster with them: sysctl vm.nr_hugepages=256"};
}

Check locked_memory() {
    constexpr rlim_t kWanted = 64u << 20;
    rlimit limit{};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return {"locked memory", Verdict::warn, "limit not readable", ""};
    if (limit.rlim_cur == RLIM_INFINITY) return {"locked memory", Verdict::ok, "unlimited", ""};
    const std::string detail = "limit " + bytes_text(limit.rlim_cur);
    if (limit.rlim_cur >= kWanted) return {"locked memory", Verdict::ok, detail, ""};
    return {"locked memory", Verdict::warn, detail,
            "DPDK's af_xdp port and pinned buffers need more: LimitMEMLOCK= in the unit, or ulimit -l"};
}

Check processors() {
    const unsigned count = std::thread::hardware_concurrency();
    const std::string detail = fmt::format("{} online", count);
    if (count >= 2) return {"processors", Verdict::ok, detail, ""};
    return {"processors", Verdict::warn, detail, "with one processor every round trip is a context switch"};
}

Check instructions() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return {"instructions", Verdict::ok, "CRC32C in hardware (SSE 4.2)", ""};
    return {"instructions", Verdict::fail, "no SSE 4.2", "this build needs an x86-64-v2 processor"};
#else
    return {"instructions", Verdict::ok, "portable build", ""};
#endif
}

Check socket_buffers(const HostPaths& paths) {
    constexpr long long kWanted = 1 << 20;
    const long long rmem = number_in(paths.proc + "/sys/net/core/rmem_max");
    if (rmem < 0) return {"socket buffers", Verdict::warn, "net.core.rmem_max not readable", ""};
    const std::string detail = fmt::format("net.core.rmem_max = {}", rmem);
    if (rmem >= kWanted) return {"socket buffers", Verdict::ok, detail, ""};
    return {"socket buffers", Verdict::warn, detail,
            "udp: ports lose frames in bursts: sysctl net.core.rmem_max=4194304 net.core.wmem_max=4194304"};
}

Check shared_memory(const HostPaths& paths) {
    const int fd = memfd_create("farlane-doctor", MFD_CLOEXEC);
    if (fd < 0)
        return {"shared memory", Verdict::fail, "memfd_create is refused",
                "allow memfd_create in this container's seccomp profile: channels and buffers are made of it"};
    close(fd);
    const std::string shm = paths.dev + "/shm";
    if (access(shm.c_str(), W_OK) != 0)
        return {"shared memory", Verdict::warn, shm + " is not writable", "state that survives farlaned needs a tmpfs"};
    return {"shared memory", Verdict::ok, "memfd and " + shm, ""};
}

Check kernel() {
    utsname name{};
    if (uname(&name) != 0) return {"kernel", Verdict::warn, "not readable", ""};
    unsigned major = 0, minor = 0;
    std::istringstream release(name.release);
    char dot = 0;
    release >> major >> dot >> minor;
    const std::string detail = fmt::format("{} {} {}", name.sysname, name.release, name.machine);
    if (major > 5 || (major == 5 && minor >= 10)) return {"kernel", Verdict::ok, detail, ""};
    return {"kernel", Verdict::warn, detail, "tested from 6.1 on"};
}

}  // namespace

const char* verdict_name(Verdict v) noexcept {
    switch (v) {
        case Verdict::ok: return "ok";
        case Verdict::warn: return "warn";
        case Verdict::fail: return "fail";
    }
    return "fail";
}

std::vector<Check> check_host(const HostPaths& paths) {
    return {kernel(),          processors(),    instructions(),       shared_memory(paths),
            huge_pages(paths), locked_memory(), socket_buffers(paths)};
}

}  // namespace farlane::cli

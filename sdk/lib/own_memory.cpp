// SPDX-License-Identifier: Apache-2.0
// Receives: memory of the application. Hands on: whether a device can be let at it. Owns: nothing.
// Looks at /proc/self/maps (proc(5)): address, permissions, offset, device, inode, path.
#include "lib/own_memory.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <linux/magic.h>
#include <sys/vfs.h>

#include "lane/own_memory.hpp"

namespace farlane::provider {
namespace {

struct Area {
    std::uint64_t begin = 0, end = 0;
    bool readable = false, writable = false, mappable = false;
};

bool starts_with(const char* text, const char* with) noexcept {
    return std::strncmp(text, with, std::strlen(with)) == 0;
}

// Shared memory and huge pages have an inode, too: of a file system that is memory.
bool is_shared_memory(const char* path) noexcept {
    for (const char* of : {"/memfd:", "/dev/zero (deleted)", "/anon_hugepage", "/SYSV"})
        if (starts_with(path, of)) return true;
    struct statfs info {};
    return ::statfs(path, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == HUGETLBFS_MAGIC);
}

bool parse(const std::string& line, Area& area) {
    char permissions[5] = "";
    unsigned long inode = 0;
    int path = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %lu %n", &area.begin, &area.end, permissions,
                    &inode, &path) < 4)
        return false;
    const char* name = path != 0 ? line.c_str() + path : "";
    area.readable = permissions[0] == 'r';
    area.writable = permissions[1] == 'w';
    const bool kernels = starts_with(name, "[v");  // [vdso], [vvar], [vsyscall]
    area.mappable = inode == 0 ? !kernels : is_shared_memory(name);
    return true;
}

[[noreturn]] void refuse(Status status, std::size_t bytes, const char* why) {
    throw Error(status, std::to_string(bytes) + " bytes can not be mapped: " + why);
}

}  // namespace

void check_own_memory(std::span<std::byte> memory, DmaDirection direction) {
    auto at = reinterpret_cast<std::uint64_t>(memory.data());
    const std::size_t bytes = memory.size();
    if (bytes > ~std::uint64_t{0} - at) refuse(Status::invalid, bytes, kNothingThere);
    const std::uint64_t end = at + bytes;
    std::ifstream maps("/proc/self/maps");
    Area area;
    for (std::string line; at < end && std::getline(maps, line);) {  // in ascending order
        if (!parse(line, area) || area.end <= at) continue;
        if (area.begin > at || !area.readable) break;
        if (!area.mappable) refuse(Status::unsupported, bytes, kKindsThatCanBeMapped);
        if (!area.writable && direction != DmaDirection::to_device) refuse(Status::denied, bytes, kReadOnly);
        at = area.end;
    }
    if (at < end) refuse(Status::invalid, bytes, kNothingThere);
    std::byte first{};
    if (!lane::copy_from_own(std::span(&first, 1), memory.data()))
        refuse(Status::unsupported, bytes,
               "this process may not use process_vm_readv (a seccomp filter?): map a DmaBuffer of Domain::allocate");
}

}  // namespace farlane::provider

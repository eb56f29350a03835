// SPDX-License-Identifier: Apache-2.0
// Receives: memory files, own ones and those of applications. Hands on: their memory.
// Owns: the mapping and the file.
#include "daemon/shared_memory.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/fault_guard.hpp"

namespace farlane::daemon {
namespace {

Result<std::span<std::byte>> map_shared(int fd, std::size_t bytes, std::uint64_t offset = 0) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (at == MAP_FAILED) return {Status::no_memory, std::string("mmap of shared memory: ") + std::strerror(errno)};
    return std::span(static_cast<std::byte*>(at), bytes);
}

Result<unsigned> guard(std::span<std::byte> memory) {
    if (const auto slot = guard_memory(memory.data(), memory.size())) return *slot;
    ::munmap(memory.data(), memory.size());
    return {Status::limit, "more than " + std::to_string(kMaxGuards) + " shared buffers"};
}

std::string link_of(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    std::array<char, 64> text{};
    const ssize_t n = ::readlink(path.c_str(), text.data(), text.size());
    return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
}

}  // namespace

SharedMemory::SharedMemory(UniqueFd fd, std::span<std::byte> memory, unsigned guard_slot)
    : fd_(std::move(fd)), memory_(memory), guard_(guard_slot) {}

SharedMemory::~SharedMemory() {
    unguard_memory(guard_);
    ::munmap(memory_.data(), memory_.size());
}

bool SharedMemory::damaged() const noexcept {
    return guard_tripped(guard_);
}

Result<std::shared_ptr<SharedMemory>> SharedMemory::create(const std::string& name, std::size_t bytes) {
    UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return {Status::no_memory, std::string("memory of a channel: ") + std::strerror(errno)};
    auto memory = map_shared(fd.get(), bytes);
    if (!memory.ok()) return memory.failure();
    auto slot = guard(*memory);
    if (!slot.ok()) return slot.failure();
    return std::shared_ptr<SharedMemory>(new SharedMemory(std::move(fd), *memory, *slot));
}

Result<std::shared_ptr<SharedMemory>> SharedMemory::adopt(UniqueFd fd, std::size_t bytes) {
    const int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (seals < 0) return {Status::invalid, "the descriptor is not a memfd made with MFD_ALLOW_SEALING"};
    if ((seals & F_SEAL_SHRINK) == 0) return {Status::invalid, "the memfd can shrink: add F_SEAL_SHRINK"};
    if ((seals & F_SEAL_WRITE) != 0) return {Status::invalid, "the memfd is sealed against writing"};
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return {Status::io, std::string("fstat: ") + std::strerror(errno)};
    if (bytes == 0 || info.st_size < 0 || static_cast<std::uint64_t>(info.st_size) < bytes)
        return {Status::out_of_bounds,
                "the memfd has " + std::to_string(info.st_size) + " bytes, not " + std::to_string(bytes)};
    // Whole pages (huge ones are the block size of their file): what is guarded is what is mapped.
    const auto page = static_cast<std::size_t>(info.st_blksize > 4096 ? info.st_blksize : 4096);
    const std::size_t whole = (bytes + page - 1) / page * page;
    auto memory = map_shared(fd.get(), whole);
    if (!memory.ok()) return memory.failure();
    auto slot = guard(*memory);
    if (!slot.ok()) return slot.failure();
    auto shared = std::shared_ptr<SharedMemory>(new SharedMemory(std::move(fd), *memory, *slot));
    return shared;
}

Result<std::shared_ptr<SharedMemory>> SharedMemory::map(UniqueFd fd, std::uint64_t offset, std::size_t bytes) {
    if (bytes == 0) return {Status::invalid, "a channel of 0 bytes"};
    auto memory = map_shared(fd.get(), bytes, offset);
    if (!memory.ok()) return memory.failure();
    auto slot = guard(*memory);
    if (!slot.ok()) return slot.failure();
    return std::shared_ptr<SharedMemory>(new SharedMemory(std::move(fd), *memory, *slot));
}

bool is_eventfd(int fd) {
    return link_of(fd) == "anon_inode:[eventfd]";
}

}  // namespace farlane::daemon

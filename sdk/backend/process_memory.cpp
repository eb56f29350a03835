// SPDX-License-Identifier: Apache-2.0
// Receives: names and sizes of regions. Hands on: zeroed memory, or what this process had under that name.
// Owns: the mappings. memfd rather than anonymous memory, so that a device can give pages back (MADV_REMOVE).
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "backend/backend.hpp"
#include "backend/region.hpp"

namespace farlane::backend {
namespace {

class ProcessMemory final : public Memory {
public:
    Result<std::span<std::byte>> region(const std::string& what, std::size_t bytes, bool& fresh) override;
    Result<std::span<std::byte>> small_region(const std::string& what, bool& fresh) override;

private:
    struct alignas(kSmallRegionBytes) Line {
        std::array<std::byte, kSmallRegionBytes> bytes{};
    };
    std::map<std::string, Region> regions_;
    std::map<std::string, Line> small_;
    std::vector<Region> replaced_;  // of another size; still valid for whoever has them
};

Result<std::span<std::byte>> ProcessMemory::region(const std::string& what, std::size_t bytes, bool& fresh) {
    if (bytes == 0) return {Status::invalid, "memory region '" + what + "' of 0 bytes"};
    const auto known = regions_.find(what);
    if (known != regions_.end() && known->second.bytes().size() == bytes) {
        fresh = false;
        return known->second.bytes();
    }
    const int fd = ::memfd_create("farlane-device", MFD_CLOEXEC);
    Region made;
    const bool ok = fd >= 0 && ::ftruncate(fd, static_cast<off_t>(bytes)) == 0 && made.map(fd, bytes);
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (!ok)
        return {Status::no_memory, "can not get " + std::to_string(bytes) + " bytes for '" + what +
                                       "': " + std::strerror(error) + "; make the device smaller"};
    if (known != regions_.end()) replaced_.push_back(std::move(known->second));
    fresh = true;
    return (regions_[what] = std::move(made)).bytes();
}

Result<std::span<std::byte>> ProcessMemory::small_region(const std::string& what, bool& fresh) {
    if (what.empty()) return {Status::invalid, "a small memory region without a name"};
    const auto [at, made] = small_.try_emplace(what);
    fresh = made;
    return std::span<std::byte>(at->second.bytes);
}

}  // namespace

std::unique_ptr<Memory> process_memory() {
    return std::make_unique<ProcessMemory>();
}

}  // namespace farlane::backend

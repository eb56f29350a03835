// SPDX-License-Identifier: Apache-2.0
// Receives: memory of the application. Hands on: IOVAs under which the device reaches it.
// Owns: the buffers it allocates and the mappings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <farlane/status.hpp>
#include <farlane/types.hpp>

namespace farlane {

namespace provider {
class DeviceProvider;
class Buffer;
}  // namespace provider

/// Memory that the data plane can reach: shared (memfd), page-aligned, huge pages when there
/// are any. Movable; freed when destroyed. Must outlive its mappings.
class DmaBuffer {
public:
    DmaBuffer() noexcept;
    explicit DmaBuffer(std::shared_ptr<provider::Buffer> b) noexcept;
    DmaBuffer(DmaBuffer&&) noexcept;
    DmaBuffer& operator=(DmaBuffer&&) noexcept;
    ~DmaBuffer();
    [[nodiscard]] std::byte* data() const noexcept;
    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data(), size()}; }
    template <class T>
    [[nodiscard]] std::span<T> as() const noexcept {
        return {reinterpret_cast<T*>(data()), size() / sizeof(T)};
    }
    [[nodiscard]] bool huge_pages() const noexcept;
    [[nodiscard]] provider::Buffer& provider() const;

private:
    std::shared_ptr<provider::Buffer> buffer_;
};

/// A range of a buffer that the device may reach. Unmapped when destroyed; once unmapping
/// returns, no late write lands.
class Mapping {
public:
    Mapping() noexcept;
    Mapping(std::shared_ptr<provider::DeviceProvider> p, std::uint64_t iova, std::size_t bytes,
            DmaDirection d) noexcept;
    Mapping(Mapping&&) noexcept;
    Mapping& operator=(Mapping&&) noexcept;
    ~Mapping();
    [[nodiscard]] std::uint64_t iova() const noexcept { return iova_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_; }
    [[nodiscard]] DmaDirection direction() const noexcept { return direction_; }
    [[nodiscard]] bool valid() const noexcept { return provider_ != nullptr; }
    /// It is of this device: its IOVA means nothing to another one.
    [[nodiscard]] bool is_of(const provider::DeviceProvider& device) const noexcept {
        return provider_.get() == &device;
    }
    void unmap();

private:
    std::shared_ptr<provider::DeviceProvider> provider_;
    std::uint64_t iova_ = 0;
    std::size_t bytes_ = 0;
    DmaDirection direction_ = DmaDirection::bidirectional;
};

/// IOVA space of one function (PASID 0). The device reaches exactly the bytes mapped, in the
/// direction given; this is enforced at the target and again at the initiator. IOVAs are never
/// 0, never overlap, and are 4 KiB aligned when the range is.
class Domain {
public:
    explicit Domain(provider::DeviceProvider& p) noexcept : provider_(&p) {}
    /// Zeroed memory of at least `bytes`. Errors: no_memory.
    [[nodiscard]] DmaBuffer allocate(std::size_t bytes);
    /// Maps bytes [offset, +bytes) of `buffer`. Errors: out_of_bounds, limit (kMaxMappings).
    [[nodiscard]] Mapping map(const DmaBuffer& buffer, std::size_t offset, std::size_t bytes, DmaDirection direction);
    [[nodiscard]] Mapping map(const DmaBuffer& buffer, DmaDirection direction) {
        return map(buffer, 0, buffer.size(), direction);
    }
    /// Maps memory of the application itself, any bytes of it and as much as there is: anonymous, shared
    /// (MAP_SHARED, memfd, shmem) or huge pages; where the device writes, the application may write, too. It is
    /// reached in place: `embedded`, and `kernel`, where it is pinned and counts against RLIMIT_MEMLOCK. The
    /// memory is to stay until the mapping goes. Unmapped before, it is harmless: a pinned page stays the
    /// device's until then; `embedded` refuses what is not there. A child after fork() has copies of its own.
    /// Errors: unsupported (memory of a file or of a device; provider `daemon`: allocate() a buffer), denied
    /// (read-only, and the device is to write), invalid (nothing is mapped there, no bytes), no_memory
    /// (RLIMIT_MEMLOCK), limit.
    [[nodiscard]] Mapping map(std::span<std::byte> memory, DmaDirection direction);
    /// The same for what the device only reads (to_device); it may be read-only.
    [[nodiscard]] Mapping map(std::span<const std::byte> memory);

    /// Mappings that one device can have at a time.
    static constexpr std::size_t kMaxMappings = 4096;

private:
    provider::DeviceProvider* provider_;
};

}  // namespace farlane

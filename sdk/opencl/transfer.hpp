// SPDX-License-Identifier: Apache-2.0
// Receives: what enqueue calls ask to move. Hands on: commands that move it.
// Owns: the memory objects of a transfer until it has run; host memory that the device writes on the way.
#pragma once

#include <array>
#include <vector>

#include "opencl/memory.hpp"
#include "opencl/rectangle.hpp"

namespace farlane::opencl {

/// From a buffer to the application's memory. The device writes into memory of a pool, which is copied out before the
/// command is complete; or, when it is much, to its place.
class ReadWork final : public Work {
public:
    /// `device` counts from the start of the memory object, `host` from `to`.
    ReadWork(Memory& memory, const Layout& device, std::byte* to, const Layout& host, const Extent3& extent);
    void submit(Submission& s) override;
    [[nodiscard]] bool has_rest() const noexcept override { return block_.valid() || mapping_.valid(); }
    void finish(bool ok) noexcept override;
    [[nodiscard]] bool writes_host(const std::byte* begin, std::size_t bytes) const noexcept override;

private:
    [[nodiscard]] bool map_in_place(Engine& engine, std::size_t bytes);
    Ref<Memory> memory_;
    Layout device_, host_, block_layout_;
    std::byte* to_;
    Extent3 extent_;
    HostBlock block_;
    Mapping mapping_;
};

/// The other way: pushed while it is sent.
class WriteWork final : public Work {
public:
    WriteWork(Memory& memory, const Layout& device, const std::byte* from, const Layout& host, const Extent3& extent,
              std::shared_ptr<std::byte[]> keeps = nullptr);
    [[nodiscard]] bool ready(Engine& engine) override;
    void submit(Submission& s) override;

private:
    void submit_packed(Submission& s);
    Ref<Memory> memory_;
    Layout device_, host_;
    const std::byte* from_;
    Extent3 extent_;
    std::shared_ptr<std::byte[]> keeps_;
};

class CopyWork final : public Work {
public:
    CopyWork(Memory& to, const Layout& to_layout, Memory& from, const Layout& from_layout, const Extent3& extent);
    void submit(Submission& s) override;

private:
    Ref<Memory> to_, from_;
    Layout to_layout_, from_layout_;
    Extent3 extent_;
};

class FillWork final : public Work {
public:
    FillWork(Memory& memory, const void* pattern, std::size_t pattern_bytes, std::size_t offset, std::size_t bytes);
    void submit(Submission& s) override;

private:
    void submit_doubling(Submission& s);
    Ref<Memory> memory_;
    std::array<std::byte, 128> pattern_{};
    std::size_t pattern_bytes_, offset_, bytes_;
};

/// Commands that do nothing but keep what they name.
class HoldWork final : public Work {
public:
    explicit HoldWork(std::vector<Ref<Memory>> memory) : memory_(std::move(memory)) {}

private:
    std::vector<Ref<Memory>> memory_;
};

}  // namespace farlane::opencl

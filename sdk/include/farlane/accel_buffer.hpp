// SPDX-License-Identifier: Apache-2.0
// Receives: sizes. Hands on: memory of the accelerator and of the host that both sides can name.
// Owns: that memory, as RAII. docs/accelerator.md, "Memory" and "The C++ API".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include <farlane/domain.hpp>

namespace farlane::accel {

class Context;
namespace detail {
class ContextState;
struct BufferState;
}  // namespace detail

/// A part of a device buffer: what commands take. Cheap to copy; the buffer must live until the
/// command that uses it was submitted (not until it has run). Length in elements.
template <class T>
class View {
public:
    View() noexcept = default;
    View(detail::BufferState* state, std::uint64_t offset_bytes, std::size_t count) noexcept
        : state_(state), offset_bytes_(offset_bytes), count_(count) {}
    /// From View<T> to View<const T>.
    template <class U>
    requires(std::is_same_v<const U, T>) View(const View<U>& other)
    noexcept  // NOLINT: as with std::span, implicit
        : state_(other.state()), offset_bytes_(other.offset_bytes()), count_(other.size()) {}

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::size_t size_bytes() const noexcept { return count_ * sizeof(T); }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    /// Elements [first, first + count). Errors: out_of_bounds.
    [[nodiscard]] View part(std::size_t first, std::size_t count) const {
        if (first > count_ || count > count_ - first) throw_part(first, count, count_);
        return View(state_, offset_bytes_ + first * sizeof(T), count);
    }
    [[nodiscard]] detail::BufferState* state() const noexcept { return state_; }
    [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return offset_bytes_; }

private:
    [[noreturn]] static void throw_part(std::size_t first, std::size_t count, std::size_t size) {
        throw Error(Status::out_of_bounds, "part: " + std::to_string(count) + " elements from number " +
                                               std::to_string(first) + " on are not inside a view of " +
                                               std::to_string(size) + " elements");
    }
    detail::BufferState* state_ = nullptr;
    std::uint64_t offset_bytes_ = 0;
    std::size_t count_ = 0;
};

/// Bytes of device memory, without a type. Movable; freed when destroyed, once the commands that
/// use it have run. Belongs to the thread of its Context.
class RawBuffer {
public:
    RawBuffer() noexcept;
    explicit RawBuffer(std::shared_ptr<detail::BufferState> state) noexcept;
    RawBuffer(RawBuffer&&) noexcept;
    RawBuffer& operator=(RawBuffer&&) noexcept;
    ~RawBuffer();
    [[nodiscard]] std::size_t size_bytes() const noexcept;
    /// Device address of the first byte; constant.
    [[nodiscard]] std::uint64_t address() const noexcept;
    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
    [[nodiscard]] detail::BufferState* state() const noexcept { return state_.get(); }

private:
    std::shared_ptr<detail::BufferState> state_;
};

/// `size()` elements of T in device memory; T is trivially copyable and little-endian on the
/// device. Made by Context::allocate; zero at first. As RawBuffer otherwise.
template <class T>
class Buffer {
    static_assert(std::is_trivially_copyable_v<T>, "device memory holds plain data");

public:
    Buffer() noexcept = default;
    Buffer(RawBuffer raw, std::size_t count) noexcept : raw_(std::move(raw)), count_(count) {}
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::size_t size_bytes() const noexcept { return count_ * sizeof(T); }
    [[nodiscard]] std::uint64_t address() const noexcept { return raw_.address(); }
    [[nodiscard]] bool valid() const noexcept { return raw_.valid(); }
    [[nodiscard]] View<T> view() const noexcept { return {raw_.state(), 0, count_}; }
    /// Elements [first, first + count). Errors: out_of_bounds.
    [[nodiscard]] View<T> part(std::size_t first, std::size_t count) const { return view().part(first, count); }
    operator View<T>() const noexcept { return view(); }        // NOLINT: as with containers and std::span
    operator View<const T>() const noexcept { return view(); }  // NOLINT

private:
    RawBuffer raw_;
    std::size_t count_ = 0;
};

/// Host memory that the device can write and read: destination of downloads and, without a copy
/// in between, source of uploads. Movable; unmapped when destroyed, after which no late write
/// lands (a command that still wants it then fails with "host memory is not mapped").
class RawHostBuffer {
public:
    RawHostBuffer() noexcept = default;
    RawHostBuffer(DmaBuffer buffer, Mapping mapping) noexcept
        : buffer_(std::move(buffer)), mapping_(std::move(mapping)) {}
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return buffer_.bytes(); }
    [[nodiscard]] std::uint64_t iova() const noexcept { return mapping_.iova(); }
    [[nodiscard]] const DmaBuffer& dma() const noexcept { return buffer_; }
    [[nodiscard]] const Mapping& mapping() const noexcept { return mapping_; }

private:
    DmaBuffer buffer_;
    Mapping mapping_;
};

template <class T>
class HostBuffer {
    static_assert(std::is_trivially_copyable_v<T>, "host buffers hold plain data");

public:
    HostBuffer() noexcept = default;
    HostBuffer(RawHostBuffer raw, std::size_t count) noexcept : raw_(std::move(raw)), count_(count) {}
    [[nodiscard]] std::span<T> span() const noexcept { return {reinterpret_cast<T*>(raw_.bytes().data()), count_}; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] T* data() const noexcept { return span().data(); }
    [[nodiscard]] T& operator[](std::size_t i) const noexcept { return span()[i]; }
    [[nodiscard]] T* begin() const noexcept { return data(); }
    [[nodiscard]] T* end() const noexcept { return data() + count_; }
    [[nodiscard]] const RawHostBuffer& raw() const noexcept { return raw_; }

private:
    RawHostBuffer raw_;
    std::size_t count_ = 0;
};

}  // namespace farlane::accel

// SPDX-License-Identifier: Apache-2.0
// Receives: work for the accelerator. Hands on: commands, in order; errors when somebody waits.
// Owns: one queue pair of the device while it lives. docs/accelerator.md, "The C++ API".
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>

#include <farlane/accel_buffer.hpp>
#include <farlane/accel_kernels.hpp>
#include <farlane/accel_module.hpp>

namespace farlane::accel {

class Stream;
namespace detail {
class Queue;
struct EventState;
}  // namespace detail

/// A point in a stream: reached when everything before it has run. Movable. May be recorded again;
/// it then stands for the newer point.
class Event {
public:
    Event() noexcept;
    explicit Event(std::shared_ptr<detail::EventState> state) noexcept;
    Event(Event&&) noexcept;
    Event& operator=(Event&&) noexcept;
    ~Event();

    /// Reached? Does not wait. False when it was never recorded.
    [[nodiscard]] bool query();
    /// Waits until it is reached. Errors as Stream::synchronize; invalid when it was never recorded.
    void synchronize();
    /// Device time when it was reached; waits for it. Only differences mean something.
    [[nodiscard]] std::chrono::nanoseconds timestamp();
    [[nodiscard]] detail::EventState* state() const noexcept { return state_.get(); }
    [[nodiscard]] const std::shared_ptr<detail::EventState>& shared_state() const noexcept { return state_; }

private:
    std::shared_ptr<detail::EventState> state_;
};

/// From one event to another of the same context; waits for both. Errors: invalid (two contexts).
[[nodiscard]] std::chrono::nanoseconds elapsed(Event& from, Event& to);

/// Called at a point of a stream, with ok, or the status of the first command before it that failed and was not
/// reported yet (Stream::on_complete).
using Callback = std::function<void(Status status)>;

/// Commands that run one after the other; streams run beside each other. Every call but
/// synchronize(), the downloads into ordinary memory and the queries returns before its work is
/// done. It waits only for room: in the queue (2,048 slots, a small launch takes two), or in the link.
///
/// Errors of commands are thrown by whatever waits next for this stream: Error with the status of
/// the first command that failed, and a text that names it, its object and the reason. What depends
/// on a command that failed does not run. synchronize() makes the stream usable again.
/// Argument errors are thrown at once: invalid, out_of_bounds. Any call: device_lost, and device_reset
/// when the device lost its state (the Context is dead then; after Device::acknowledge_reset() open a
/// new one).
/// Thread rule: a Context and all that was made from it belong to one thread at a time.
class Stream {
public:
    Stream() noexcept;
    Stream(std::shared_ptr<detail::ContextState> context, detail::Queue& queue) noexcept;
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    /// Waits for its commands; errors nobody waited for are lost.
    ~Stream();

    // --- data in. Pushed into device memory at once, ahead of what is queued; when a command
    //     that has not run yet uses that memory, the data take a detour through staging memory
    //     and are put in place in order.
    /// `data` is free again when this returns.
    template <class T>
    void upload(View<T> to, std::span<const std::type_identity_t<T>> data) {
        upload_bytes(to.state(), to.offset_bytes(), to.size_bytes(), std::as_bytes(data));
    }
    /// Without a copy on the way; `data` must stay unchanged until synchronize().
    template <class T>
    void upload(View<T> to, const HostBuffer<std::type_identity_t<T>>& data) {
        upload_host(to.state(), to.offset_bytes(), to.size_bytes(), data.raw(), data.size() * sizeof(T));
    }
    template <class T>
    void upload(const Buffer<T>& to, std::span<const std::type_identity_t<T>> data) {
        upload(to.view(), data);
    }
    template <class T>
    void upload(const Buffer<T>& to, const HostBuffer<std::type_identity_t<T>>& data) {
        upload(to.view(), data);
    }

    // --- data out
    /// The whole view into the start of `into`, which must live until it is done.
    template <class T>
    void download(View<T> from, const HostBuffer<std::remove_const_t<T>>& into) {
        download_host(from.state(), from.offset_bytes(), from.size_bytes(), into.raw());
    }
    template <class T>
    void download(const Buffer<T>& from, const HostBuffer<T>& into) {
        download(from.view(), into);
    }
    /// Into ordinary memory of the same length: waits, and throws errors of the stream.
    template <class T>
    void download(View<T> from, std::span<std::type_identity_t<std::remove_const_t<T>>> into) {
        download_bytes(from.state(), from.offset_bytes(), from.size_bytes(), std::as_writable_bytes(into));
    }
    template <class T>
    void download(const Buffer<T>& from, std::span<std::type_identity_t<T>> into) {
        download(from.view(), into);
    }

    // --- on the device
    /// Sets every element to `value`; T is 1, 2, 4, 8 or 16 bytes long.
    template <class T>
    void fill(View<T> to, const std::type_identity_t<T>& value) {
        static_assert(sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
        fill_bytes(to.state(), to.offset_bytes(), to.size_bytes(), std::as_bytes(std::span(&value, 1)));
    }
    template <class T>
    void fill(const Buffer<T>& to, const std::type_identity_t<T>& value) {
        fill(to.view(), value);
    }
    /// As std::memmove; the same length on both sides.
    template <class T>
    void copy(View<T> to, View<const std::type_identity_t<T>> from) {
        copy_bytes(to.state(), to.offset_bytes(), to.size_bytes(), from.state(), from.offset_bytes(),
                   from.size_bytes());
    }
    template <class T>
    void copy(const Buffer<T>& to, const Buffer<std::type_identity_t<T>>& from) {
        copy(to.view(), View<const T>(from.view()));
    }

    // --- kernels
    void launch(const Axpy& arguments);
    void launch(const Gemm& arguments);
    void launch(const Reduce& arguments);
    void launch(const Conv2dF32& arguments);
    void launch(const Conv2dRgba8& arguments);
    void launch(const Sha256& arguments);
    void launch(const CopyRows& arguments);
    /// A kernel of a module: stream.launch(kernel, {grid, block}, 2.0F, x, y). Arguments as Argument takes them. Their
    /// number, kinds and sizes are checked here once the kernel's report has come (the first launches are on their way
    /// before that, and the device checks them): Error invalid, naming kernel and argument. Other errors: those of its
    /// module, when they are known. docs/accelerator.md, "Modules and kernels".
    template <class... Args>
    void launch(const Kernel& kernel, const LaunchShape& shape, const Args&... arguments) {
        const std::array<Argument, sizeof...(Args)> all{Argument(arguments)...};
        launch_with(kernel, shape, all);
    }
    /// The same with arguments that are known at run time only.
    void launch_with(const Kernel& kernel, const LaunchShape& shape, std::span<const Argument> arguments);

    // --- order
    void record(Event& event);
    /// What comes behind in this stream runs after `event` as it is recorded now. Errors: invalid
    /// when it was never recorded.
    void wait(Event& event);
    /// Waits until everything so far has run. Throws the first error since the last one.
    void synchronize();
    /// Everything so far has run? Does not wait.
    [[nodiscard]] bool query();
    /// Does nothing, on the device, and waits for it: one round trip.
    void ping();
    /// `callback` is called once everything so far in this stream has run, or failed, or can not run any more (the
    /// device is lost or was reset, or the context was closed: canceled). Never lost, in the order of their points,
    /// one at a time per context, on a thread that the Context has for them: soon after the point is reached,
    /// whatever the application does meanwhile. With Progress::caller nothing moves but in the application's calls, and
    /// so callbacks come after those. A callback may block, but delays those after it; it must not throw, nor
    /// call anything of its Context (such calls throw invalid; it may tell another thread to), nor destroy it. Closing
    /// the Context waits for callbacks. Errors: invalid (an empty function), limit (no thread for it).
    void on_complete(Callback callback);

private:
    void upload_bytes(detail::BufferState* to, std::uint64_t offset, std::size_t room, std::span<const std::byte> data);
    void upload_host(detail::BufferState* to, std::uint64_t offset, std::size_t room, const RawHostBuffer& data,
                     std::size_t bytes);
    void download_host(detail::BufferState* from, std::uint64_t offset, std::size_t bytes, const RawHostBuffer& into);
    void download_bytes(detail::BufferState* from, std::uint64_t offset, std::size_t bytes, std::span<std::byte> into);
    void fill_bytes(detail::BufferState* to, std::uint64_t offset, std::size_t bytes,
                    std::span<const std::byte> pattern);
    void copy_bytes(detail::BufferState* to, std::uint64_t to_offset, std::size_t to_bytes, detail::BufferState* from,
                    std::uint64_t from_offset, std::size_t from_bytes);
    [[nodiscard]] detail::ContextState& context() const;
    [[nodiscard]] detail::Queue& queue() const;

    std::shared_ptr<detail::ContextState> context_;
    detail::Queue* queue_ = nullptr;
};

}  // namespace farlane::accel

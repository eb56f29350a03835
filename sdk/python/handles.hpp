// SPDX-License-Identifier: Apache-2.0
// Receives: Python objects. Hands on: the C++ objects behind them. Owns: those, each with what it was made from:
// whatever order Python lets go of them in, a fabric outlives its devices, a device its contexts, a context what is
// made from it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

namespace farlane::python {

namespace py = pybind11;

struct FabricHandle {
    std::optional<Fabric> fabric;
    [[nodiscard]] Fabric& get() {
        if (!fabric) throw Error(Status::canceled, "the fabric is closed");
        return *fabric;
    }
};

struct DeviceHandle {
    std::shared_ptr<FabricHandle> fabric;
    Device device;
    int contexts = 0;  ///< open ones; under the GIL
    [[nodiscard]] Device& get() {
        if (!device.valid()) throw Error(Status::canceled, "the device is detached");
        return device;
    }
};

struct ContextHandle;
/// The context whose callbacks the calling thread runs; that is all it is for.
inline thread_local const ContextHandle* callbacks_of = nullptr;
/// Waits of the calling thread are to be left alone by ^C (`none`), end with it where nothing can be raised
/// (`destructor`), or end at once (`end`).
enum class Patience : std::uint8_t { usual, none, destructor, end };
inline thread_local Patience patience = Patience::usual;
struct WithPatience {
    explicit WithPatience(Patience p) : before(std::exchange(patience, p)) {}
    ~WithPatience() { patience = before; }
    WithPatience(const WithPatience&) = delete;
    WithPatience& operator=(const WithPatience&) = delete;
    Patience before;
};

/// A context belongs to one thread at a time: `mutex` makes it so for all threads of Python. It is never taken with
/// the GIL held, for who holds it may wait for the device.
struct ContextHandle {
    std::shared_ptr<DeviceHandle> device;
    std::optional<accel::Context> context;
    std::timed_mutex mutex;
    std::atomic<bool> hurried{false};          ///< closed by who does not wait for what runs: nobody else does, either
    std::vector<std::shared_ptr<void>> later;  ///< dropped by who was inside already; ends before `mutex` is let go of
    [[nodiscard]] accel::Context& get() {
        if (!context) throw Error(Status::canceled, "the accelerator context is closed");
        return *context;
    }
    /// Throws when the calling thread must not wait for `mutex`.
    void check_caller() const;
    /// Takes `mutex`, without the GIL; ^C ends the wait for it, but in destructors.
    [[nodiscard]] std::unique_lock<std::timed_mutex> lock();
    void close();
    ~ContextHandle();
};

/// Holds a context's mutex. While a wait looks at signals, Python's handlers and its garbage collection run on this
/// very thread: they must not want it a second time.
class Inside {
public:
    explicit Inside(ContextHandle& h) : handle_(h), lock_(h.lock()), outer_(std::exchange(innermost_, this)) {}
    ~Inside() {
        const WithPatience now(Patience::end);  // of a stream, which ^C may have been taken from already
        handle_.later.clear();
        innermost_ = outer_;
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    /// The calling thread has that of `h`.
    [[nodiscard]] static bool has(const ContextHandle& h) noexcept {
        const Inside* i = innermost_;
        while (i != nullptr && &i->handle_ != &h) i = i->outer_;
        return i != nullptr;
    }

    /// The context that the calling thread waits in is closed by somebody in a hurry.
    [[nodiscard]] static bool hurried() noexcept { return innermost_ != nullptr && innermost_->handle_.hurried; }

private:
    ContextHandle& handle_;
    std::unique_lock<std::timed_mutex> lock_;
    Inside* outer_;
    static inline thread_local Inside* innermost_ = nullptr;
};

/// Runs `work` with the context, without the GIL.
template <class F>
auto with(const std::shared_ptr<ContextHandle>& handle, F work) {
    handle->check_caller();
    const py::gil_scoped_release release;
    const Inside inside(*handle);
    return work(handle->get());
}

/// Something of a context that ends under its mutex.
template <class T>
struct Owned {
    std::shared_ptr<ContextHandle> context;
    std::optional<T> value;

    Owned(std::shared_ptr<ContextHandle> c, T v) : context(std::move(c)), value(std::move(v)) {}
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    ~Owned() {
        const py::gil_scoped_release release;
        const WithPatience now(std::is_same_v<T, accel::Stream> ? Patience::destructor : Patience::none);
        if (Inside::has(*context)) {
            context->later.push_back(std::make_shared<T>(*std::move(value)));
        } else if (callbacks_of == context.get()) {
            value.reset();  // dropped with a callback: whoever has the mutex may be waiting for that
        } else {
            const Inside inside(*context);
            value.reset();
        }
        // The context itself, if this was the last of it, ends with the GIL held again.
    }
};

using StreamHandle = Owned<accel::Stream>;
using EventHandle = Owned<accel::Event>;
using ModuleHandle = Owned<accel::Module>;
using KernelHandle = Owned<accel::Kernel>;
using MemoryHandle = Owned<accel::RawBuffer>;
using HostHandle = Owned<accel::HostBuffer<std::byte>>;

/// Elements of device memory, all of a buffer or a part of it.
struct Buffer {
    std::shared_ptr<MemoryHandle> memory;
    std::uint64_t offset_bytes = 0;
    py::dtype dtype;
    std::vector<py::ssize_t> shape;
    [[nodiscard]] std::size_t count() const noexcept {
        std::size_t n = 1;
        for (const auto d : shape) n *= static_cast<std::size_t>(d);
        return n;
    }
    [[nodiscard]] std::size_t bytes() const { return count() * static_cast<std::size_t>(dtype.itemsize()); }
    template <class T = std::byte>
    [[nodiscard]] accel::View<T> view() const {
        return {memory->value->state(), offset_bytes, bytes() / sizeof(T)};
    }
};

/// Host memory that the device reaches, as an array.
struct HostArray {
    std::shared_ptr<HostHandle> memory;
    py::dtype dtype;
    std::vector<py::ssize_t> shape;
};

/// The stream that was given, or the context's own.
template <class F>
auto with_stream(const std::shared_ptr<ContextHandle>& context, const std::shared_ptr<StreamHandle>& stream, F work) {
    if (stream != nullptr && stream->context != context) {
        throw Error(Status::invalid, "the stream belongs to another context; create it with this one");
    }
    return with(context, [&](accel::Context& c) { return work(stream == nullptr ? c.stream() : *stream->value); });
}

/// Elements in an n-dimensional array, from an integer or a sequence of them.
[[nodiscard]] std::vector<py::ssize_t> shape_of(const py::object& shape);
/// A contiguous array with the buffer's type and number of elements: `array` itself, or a copy. Throws TypeError,
/// ValueError.
[[nodiscard]] py::array matching(const py::handle& array, const Buffer& buffer);
/// As Python's text; what is not UTF-8 in it (a log may be cut anywhere) is replaced.
[[nodiscard]] py::str to_python(std::string_view text);
/// str(object)
[[nodiscard]] std::string text_of(const py::handle& object);
[[nodiscard]] std::string shape_text(const std::vector<py::ssize_t>& shape);

/// Every class, so that signatures in the documentation name classes of Python, whatever is defined first.
void declare_fabric(py::module_& m);
void declare_accel(py::module_& m);
template <class T, class... More>
py::class_<T, More...> class_of(const py::module_& m, const char* name) {
    return py::reinterpret_borrow<py::class_<T, More...>>(m.attr(name));
}

void define_errors(py::module_& m);
void define_fabric(py::module_& m);
void define_context(py::module_& m);
void define_memory(py::module_& m);
void define_programs(py::module_& m);
void define_streams(py::module_& m);
void define_work(py::module_& m);

}  // namespace farlane::python

// SPDX-License-Identifier: Apache-2.0
// Receives: programs as source text or binary. Hands on: kernels of them that a Stream launches.
// Owns: a module of the device while anything of it lives. docs/accelerator.md, "Modules and kernels".
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <farlane/accel_buffer.hpp>

namespace farlane::accel {

namespace detail {
struct ModuleState;
struct KernelState;
}  // namespace detail

/// What an image is; Context::takes() says which of them the accelerator has a compiler or loader for.
enum class ModuleKind : std::uint8_t {
    opencl_c = 2,  ///< source text
    spirv = 3,     ///< OpenCL's flavour ("kernel" capability)
    ptx = 4,       ///< text
    cubin = 5,
    cuda_c = 6,  ///< source text, compiled by the device; kernels are best `extern "C"`
};
/// "OpenCL C", ...
[[nodiscard]] const char* module_kind_name(ModuleKind kind) noexcept;
/// By the file's ending: .cl, .spv, .ptx, .cubin, .cu. Errors: invalid (another one).
[[nodiscard]] ModuleKind module_kind_of(std::string_view path);

enum class ArgumentKind : std::uint8_t {
    unknown = 0,  ///< the device's runtime does not tell
    value = 1,
    address = 2,  ///< a Buffer or View
    shared = 3,   ///< SharedBytes
};

/// One argument of a kernel, as far as the device's runtime knows it.
struct ArgumentInfo {
    ArgumentKind kind = ArgumentKind::unknown;
    std::uint32_t bytes = 0;  ///< of a value; 0 = not known
    bool is_const = false;    ///< what it points to is not written
    bool is_restrict = false, is_volatile = false;
    bool is_constant = false;     ///< address of constant memory
    std::string type_name, name;  ///< as in the source, cut at 47 bytes; "" = not known
};

/// What binding a kernel found.
struct KernelInfo {
    std::uint32_t argument_count = 0;
    std::vector<ArgumentInfo> arguments;            ///< the first 36 at most
    std::uint64_t max_block = 0;                    ///< work items of a block at most
    std::uint64_t preferred_block = 0;              ///< a multiple of this is fast
    std::uint64_t shared_bytes = 0;                 ///< of a block, without what a launch adds
    std::uint64_t private_bytes = 0;                ///< of a work item
    std::array<std::uint32_t, 3> required_block{};  ///< block the source asks for; 0 = any
};

/// One to three numbers: how many blocks, work items; which first. None: the device chooses.
class Extent {
public:
    constexpr Extent() noexcept = default;
    template <std::integral T>
    constexpr Extent(T x) noexcept : size_{static_cast<std::uint64_t>(x)}, dimensions_(1) {}  // NOLINT: implicit
    template <std::integral T, std::integral U>
    constexpr Extent(T x, U y) noexcept
        : size_{static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(y)}, dimensions_(2) {}
    template <std::integral T, std::integral U, std::integral V>
    constexpr Extent(T x, U y, V z) noexcept
        : size_{static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(y), static_cast<std::uint64_t>(z)},
          dimensions_(3) {}
    [[nodiscard]] constexpr std::uint64_t operator[](std::size_t i) const noexcept { return size_[i]; }
    [[nodiscard]] constexpr unsigned dimensions() const noexcept { return dimensions_; }

private:
    std::array<std::uint64_t, 3> size_{};
    unsigned dimensions_ = 0;
};

/// How many work items run a kernel. grid x block of them when block is given (as in CUDA; OpenCL's global size is
/// their product); `grid` of them, in blocks the device chooses, when it is not.
struct LaunchShape {
    Extent grid;                     ///< every number 1 to 2^32 - 1
    Extent block{};                  ///< as many dimensions as grid, or none
    std::uint32_t shared_bytes = 0;  ///< dynamic shared memory (CUDA)
    Extent offset{};                 ///< of the first work item (OpenCL)
};

/// An argument that is memory shared by a block: OpenCL's __local.
struct SharedBytes {
    std::uint32_t bytes = 0;
};

/// Room for the arguments of one launch: of each its value in whole 8 bytes, with so many in front of it.
inline constexpr std::size_t kMaxArgumentBytes = 4032, kArgumentHeadBytes = 8;

/// One argument of a launch at run time. Made from values (trivially copyable, exactly as long as the kernel's
/// parameter: write 3.0F for a float, std::uint32_t{n} for a uint), views and buffers (their device address),
/// SharedBytes, and nullptr (a null pointer). Values are copied; a view's buffer must live until the launch was
/// submitted.
class Argument {
public:
    template <class T>
    Argument(const View<T>& view) noexcept  // NOLINT: arguments are what they are made from
        : kind_(ArgumentKind::address),
          buffer_(view.state()),
          offset_bytes_(view.offset_bytes()),
          bytes_(view.size_bytes()) {}
    template <class T>
    Argument(const Buffer<T>& buffer) noexcept : Argument(buffer.view()) {}  // NOLINT
    Argument(const RawBuffer& buffer) noexcept                               // NOLINT
        : kind_(ArgumentKind::address), buffer_(buffer.state()), bytes_(buffer.size_bytes()) {}
    Argument(std::nullptr_t) noexcept : kind_(ArgumentKind::address), null_(true) {}              // NOLINT
    Argument(SharedBytes shared) noexcept : kind_(ArgumentKind::shared), bytes_(shared.bytes) {}  // NOLINT
    template <class T>
    requires(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>) Argument(const T& value)  // NOLINT
        : Argument(std::as_bytes(std::span(&value, 1))) {}
    /// A value by its bytes.
    explicit Argument(std::span<const std::byte> value) : kind_(ArgumentKind::value), bytes_(value.size()) {
        if (value.size() > small_.size()) large_.resize(value.size());
        if (!value.empty())
            std::memcpy(value.size() > small_.size() ? large_.data() : small_.data(), value.data(), value.size());
    }

    [[nodiscard]] ArgumentKind kind() const noexcept { return kind_; }
    /// Of the value or the view; size of shared memory.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::span<const std::byte> value() const noexcept {
        return std::span(large_.empty() ? small_.data() : large_.data(), kind_ == ArgumentKind::value ? bytes_ : 0);
    }
    [[nodiscard]] detail::BufferState* buffer() const noexcept { return buffer_; }
    [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return offset_bytes_; }
    [[nodiscard]] bool null() const noexcept { return null_; }

private:
    ArgumentKind kind_;
    bool null_ = false;
    detail::BufferState* buffer_ = nullptr;
    std::uint64_t offset_bytes_ = 0, bytes_ = 0;
    std::array<std::byte, 16> small_{};
    std::vector<std::byte> large_;
};

/// A kernel of a module. Cheap to copy; keeps its module loaded. Thread rule: see Stream.
class Kernel {
public:
    Kernel() noexcept;
    explicit Kernel(std::shared_ptr<detail::KernelState> state) noexcept;
    Kernel(const Kernel&) noexcept;
    Kernel& operator=(const Kernel&) noexcept;
    Kernel(Kernel&&) noexcept;
    Kernel& operator=(Kernel&&) noexcept;
    ~Kernel();

    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
    [[nodiscard]] const std::string& name() const;
    /// Handle of the kernel on the device.
    [[nodiscard]] std::uint32_t handle() const;
    /// What the device knows of it. Waits until it is bound. Errors: those of Module::wait(), and not_found (the
    /// module has no such kernel).
    [[nodiscard]] const KernelInfo& info();
    [[nodiscard]] const std::vector<ArgumentInfo>& arguments() { return info().arguments; }
    /// The same if it is there already, else null. Does not wait.
    [[nodiscard]] const KernelInfo* known_info();
    [[nodiscard]] const std::shared_ptr<detail::KernelState>& state() const noexcept { return state_; }

private:
    std::shared_ptr<detail::KernelState> state_;
};

/// A program on the accelerator, made by Context::load. Movable; unloaded when it and its kernels are gone and
/// their launches have run. Loading and kernel() return before anything was compiled; what goes wrong is thrown by
/// the next call that waits, here or in a stream: Error (invalid and others) with the build log, naming the module,
/// its handle and the reason. Thread rule: see Stream. Specification: docs/accelerator.md, "Modules and kernels".
class Module {
public:
    Module() noexcept;
    explicit Module(std::shared_ptr<detail::ModuleState> state) noexcept;
    Module(Module&&) noexcept;
    Module& operator=(Module&&) noexcept;
    ~Module();

    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }
    [[nodiscard]] ModuleKind kind() const;
    /// Handle of the module on the device.
    [[nodiscard]] std::uint32_t handle() const;
    /// The kernel of that name; the same one each time. Does not wait. Errors: not_found when the module is known
    /// to have none of that name; invalid (a name of 0 bytes or more than a command takes); limit (every
    /// kernel handle is in use); what the module is known to have failed with.
    [[nodiscard]] Kernel kernel(std::string_view name);
    /// Loaded (or failed)? Does not wait, does not throw what failed.
    [[nodiscard]] bool query();
    /// Waits until it is loaded. Errors: what loading failed with; the stream does not report it again.
    void wait();
    /// The build log (warnings too; the first 16 KiB of names and log). Waits; does not throw what loading failed with.
    [[nodiscard]] std::string log();
    /// Names of the kernels. Waits. Errors as wait().
    [[nodiscard]] std::vector<std::string> names();
    [[nodiscard]] const std::shared_ptr<detail::ModuleState>& state() const noexcept { return state_; }

private:
    std::shared_ptr<detail::ModuleState> state_;
};

}  // namespace farlane::accel

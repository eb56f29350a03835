// SPDX-License-Identifier: Apache-2.0
// Receives: argument blocks, hostile. Hands on: the ranges they name, or the field that is wrong.
// Owns: nothing. The limits are those of docs/accelerator.md, "Built-in kernels".
#include "devices/accel/builtin.hpp"

#include <array>

namespace farlane::firmware::accel {
namespace {

using backend::AccessList;
using backend::Outcome;

constexpr Outcome bad_argument(std::size_t offset) noexcept {
    return {FL_ACCEL_REASON_ARGUMENT_VALUE, static_cast<std::uint32_t>(offset), 0};
}

/// One operand as it stands in an argument block.
struct Operand {
    std::uint64_t address = 0;
    std::size_t field = 0;  ///< offset of the address in the block, for `detail`
    std::uint64_t rows = 1;
    std::uint64_t row_bytes = 0;
    std::uint64_t pitch_bytes = 0;  ///< used when rows > 1
    std::uint64_t align = 1;
    bool write = false;
};

/// Adds [first byte, last byte] of the operand. Gaps between rows count as touched.
Outcome add(AccessList& touches, const Operand& o) noexcept {
    if (o.address % o.align != 0) return {FL_ACCEL_REASON_MISALIGNED, static_cast<std::uint32_t>(o.field), 0};
    std::uint64_t bytes = 0;
    std::uint64_t end = 0;
    if (__builtin_mul_overflow(o.rows - 1, o.pitch_bytes, &bytes) ||
        __builtin_add_overflow(bytes, o.row_bytes, &bytes) || __builtin_add_overflow(o.address, bytes, &end)) {
        return {FL_ACCEL_REASON_BAD_ADDRESS, static_cast<std::uint32_t>(o.field), 0};
    }
    const backend::Access access{o.address, bytes, o.write, static_cast<std::uint32_t>(o.field)};
    if (bytes > 0 && !touches.add(access)) return bad_argument(o.field);
    return {};
}

/// What is written overlaps nothing else, unless it is the very same range and `same_allowed`.
Outcome check_overlap(const AccessList& touches, bool same_allowed) noexcept {
    const auto items = touches.items();
    for (const auto& w : items) {
        if (!w.write) continue;
        for (const auto& r : items) {
            if (&r == &w) continue;
            const bool apart = w.address + w.bytes <= r.address || r.address + r.bytes <= w.address;
            const bool same = same_allowed && w.address == r.address && w.bytes == r.bytes;
            if (!apart && !same) return {FL_ACCEL_REASON_OPERAND_OVERLAP, 0, 0};
        }
    }
    return {};
}

/// Adds the operands in order, then checks how they overlap.
template <std::size_t N>
Outcome add_all(AccessList& touches, const std::array<Operand, N>& operands, bool same_allowed = false) noexcept {
    for (const Operand& o : operands) {
        if (const Outcome bad = add(touches, o); !bad.ok()) return bad;
    }
    return check_overlap(touches, same_allowed);
}

constexpr bool is_pattern_size(std::uint32_t bytes) noexcept {
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
}

/// count * element as a length; an overflow becomes a length that fits no memory.
constexpr std::uint64_t product(std::uint64_t count, std::uint64_t element) noexcept {
    std::uint64_t bytes = 0;
    return __builtin_mul_overflow(count, element, &bytes) ? ~std::uint64_t{0} : bytes;
}

Outcome check(const fl_accel_args_fill& a, AccessList& touches) noexcept {
    using T = fl_accel_args_fill;
    const std::uint32_t element = a.pattern_bytes.get();
    if (!is_pattern_size(element)) return {FL_ACCEL_REASON_BAD_PATTERN, offsetof(T, pattern_bytes), 0};
    if (a.count.get() == 0) return bad_argument(offsetof(T, count));
    if (a.reserved.get() != 0) return bad_argument(offsetof(T, reserved));
    return add_all(touches, std::array{Operand{.address = a.destination.get(),
                                               .field = offsetof(T, destination),
                                               .row_bytes = product(a.count.get(), element),
                                               .align = element,
                                               .write = true}});
}

Outcome check(const fl_accel_args_copy& a, AccessList& touches) noexcept {
    using T = fl_accel_args_copy;
    const std::uint64_t rows = a.rows.get();
    const std::uint64_t row_bytes = a.row_bytes.get();
    if (rows == 0) return bad_argument(offsetof(T, rows));
    if (row_bytes == 0) return bad_argument(offsetof(T, row_bytes));
    if (a.destination_pitch_bytes.get() < row_bytes) return bad_argument(offsetof(T, destination_pitch_bytes));
    if (a.source_pitch_bytes.get() < row_bytes) return bad_argument(offsetof(T, source_pitch_bytes));
    return add_all(touches, std::array{Operand{.address = a.destination.get(),
                                               .field = offsetof(T, destination),
                                               .rows = rows,
                                               .row_bytes = row_bytes,
                                               .pitch_bytes = a.destination_pitch_bytes.get(),
                                               .write = true},
                                       Operand{.address = a.source.get(),
                                               .field = offsetof(T, source),
                                               .rows = rows,
                                               .row_bytes = row_bytes,
                                               .pitch_bytes = a.source_pitch_bytes.get()}});
}

Outcome check(const fl_accel_args_axpy_f32& a, AccessList& touches) noexcept {
    using T = fl_accel_args_axpy_f32;
    if (a.count.get() == 0) return bad_argument(offsetof(T, count));
    if (a.reserved.get() != 0) return bad_argument(offsetof(T, reserved));
    const std::uint64_t bytes = product(a.count.get(), 4);
    return add_all(
        touches,
        std::array{
            Operand{.address = a.x.get(), .field = offsetof(T, x), .row_bytes = bytes, .align = 4},
            Operand{.address = a.y.get(), .field = offsetof(T, y), .row_bytes = bytes, .align = 4, .write = true}},
        true);
}

Operand matrix(std::uint64_t address, std::size_t field, std::uint64_t rows, std::uint64_t columns, std::uint64_t pitch,
               bool write) noexcept {
    // An operand without elements (k = 0) is not there.
    if (rows == 0 || columns == 0) return Operand{.address = address, .field = field, .align = 4, .write = write};
    return Operand{.address = address,
                   .field = field,
                   .rows = rows,
                   .row_bytes = columns * 4,
                   .pitch_bytes = pitch * 4,
                   .align = 4,
                   .write = write};
}

Outcome check(const fl_accel_args_gemm_f32& a, AccessList& touches) noexcept {
    using T = fl_accel_args_gemm_f32;
    constexpr std::uint32_t kFlags = FL_ACCEL_GEMM_TRANSPOSE_A | FL_ACCEL_GEMM_TRANSPOSE_B;
    const std::uint64_t m = a.m.get(), n = a.n.get(), k = a.k.get();
    if (m == 0) return bad_argument(offsetof(T, m));
    if (n == 0) return bad_argument(offsetof(T, n));
    if ((a.flags.get() & ~kFlags) != 0) return bad_argument(offsetof(T, flags));
    if (a.reserved.get() != 0) return bad_argument(offsetof(T, reserved));
    const bool turned_a = (a.flags.get() & FL_ACCEL_GEMM_TRANSPOSE_A) != 0;
    const bool turned_b = (a.flags.get() & FL_ACCEL_GEMM_TRANSPOSE_B) != 0;
    const std::uint64_t a_rows = turned_a ? k : m, a_columns = turned_a ? m : k;
    const std::uint64_t b_rows = turned_b ? n : k, b_columns = turned_b ? k : n;
    if (a.lda.get() < a_columns) return bad_argument(offsetof(T, lda));
    if (a.ldb.get() < b_columns) return bad_argument(offsetof(T, ldb));
    if (a.ldc.get() < n) return bad_argument(offsetof(T, ldc));
    return add_all(touches, std::array{matrix(a.a.get(), offsetof(T, a), a_rows, a_columns, a.lda.get(), false),
                                       matrix(a.b.get(), offsetof(T, b), b_rows, b_columns, a.ldb.get(), false),
                                       matrix(a.c.get(), offsetof(T, c), m, n, a.ldc.get(), true)});
}

Outcome check(const fl_accel_args_reduce_f32& a, AccessList& touches) noexcept {
    using T = fl_accel_args_reduce_f32;
    const std::uint32_t operation = a.operation.get();
    if (a.count.get() == 0) return bad_argument(offsetof(T, count));
    if (operation < FL_ACCEL_REDUCE_SUM || operation > FL_ACCEL_REDUCE_MAX) {
        return bad_argument(offsetof(T, operation));
    }
    if (a.reserved.get() != 0) return bad_argument(offsetof(T, reserved));
    return add_all(touches, std::array{Operand{.address = a.destination.get(),
                                               .field = offsetof(T, destination),
                                               .row_bytes = 4,
                                               .align = 4,
                                               .write = true},
                                       Operand{.address = a.source.get(),
                                               .field = offsetof(T, source),
                                               .row_bytes = product(a.count.get(), 4),
                                               .align = 4}});
}

/// The fields both convolutions share, by the same names.
template <class T>
Outcome check_picture(const T& a, std::uint64_t weight_bytes, AccessList& touches) noexcept {
    const std::uint64_t row_bytes = std::uint64_t{a.width.get()} * 4;
    const std::uint32_t size = a.size.get();
    const std::uint32_t border = a.border.get();
    if (a.width.get() == 0 || a.width.get() > FL_ACCEL_CONV2D_MAX_WIDTH) return bad_argument(offsetof(T, width));
    if (a.height.get() == 0) return bad_argument(offsetof(T, height));
    if (size % 2 == 0 || size > FL_ACCEL_CONV2D_MAX_SIZE) return bad_argument(offsetof(T, size));
    if (border != FL_ACCEL_BORDER_CLAMP && border != FL_ACCEL_BORDER_ZERO) {
        return bad_argument(offsetof(T, border));
    }
    const std::uint32_t to_pitch = a.destination_pitch_bytes.get();
    const std::uint32_t from_pitch = a.source_pitch_bytes.get();
    if (to_pitch < row_bytes || to_pitch % 4 != 0) return bad_argument(offsetof(T, destination_pitch_bytes));
    if (from_pitch < row_bytes || from_pitch % 4 != 0) return bad_argument(offsetof(T, source_pitch_bytes));
    return add_all(touches, std::array{Operand{.address = a.destination.get(),
                                               .field = offsetof(T, destination),
                                               .rows = a.height.get(),
                                               .row_bytes = row_bytes,
                                               .pitch_bytes = to_pitch,
                                               .align = 4,
                                               .write = true},
                                       Operand{.address = a.source.get(),
                                               .field = offsetof(T, source),
                                               .rows = a.height.get(),
                                               .row_bytes = row_bytes,
                                               .pitch_bytes = from_pitch,
                                               .align = 4},
                                       Operand{.address = a.weights.get(),
                                               .field = offsetof(T, weights),
                                               .row_bytes = std::uint64_t{size} * size * weight_bytes,
                                               .align = weight_bytes}});
}

Outcome check(const fl_accel_args_conv2d_f32& a, AccessList& touches) noexcept {
    if (a.reserved.get() != 0) return bad_argument(offsetof(fl_accel_args_conv2d_f32, reserved));
    return check_picture(a, 4, touches);
}

Outcome check(const fl_accel_args_conv2d_rgba8& a, AccessList& touches) noexcept {
    using T = fl_accel_args_conv2d_rgba8;
    const auto bias = static_cast<std::int32_t>(a.bias.get());
    if (a.shift.get() > FL_ACCEL_CONV2D_MAX_SHIFT) return bad_argument(offsetof(T, shift));
    if (bias < -255 || bias > 255) return bad_argument(offsetof(T, bias));
    if ((a.flags.get() & ~FL_ACCEL_CONV2D_KEEP_ALPHA) != 0) return bad_argument(offsetof(T, flags));
    if (a.reserved.get() != 0) return bad_argument(offsetof(T, reserved));
    return check_picture(a, 2, touches);
}

Outcome check(const fl_accel_args_sha256& a, AccessList& touches) noexcept {
    using T = fl_accel_args_sha256;
    const std::uint64_t bytes = a.message_bytes.get();
    if (a.count.get() == 0) return bad_argument(offsetof(T, count));
    if (a.message_stride_bytes.get() < bytes) return bad_argument(offsetof(T, message_stride_bytes));
    if (a.reserved.get() != 0) return bad_argument(offsetof(T, reserved));
    // Empty messages touch no memory, whatever their stride says.
    const std::uint64_t rows = bytes == 0 ? 1 : a.count.get();
    return add_all(touches, std::array{Operand{.address = a.destination.get(),
                                               .field = offsetof(T, destination),
                                               .row_bytes = product(a.count.get(), 32),
                                               .write = true},
                                       Operand{.address = a.source.get(),
                                               .field = offsetof(T, source),
                                               .rows = rows,
                                               .row_bytes = bytes,
                                               .pitch_bytes = a.message_stride_bytes.get()}});
}

template <class Args>
Outcome check_as(std::span<const std::byte> arguments, AccessList& touches) noexcept {
    return check(read_arguments<Args>(arguments), touches);
}

struct Entry {
    std::string_view name;
    std::uint32_t argument_bytes;
    Outcome (*check)(std::span<const std::byte>, AccessList&) noexcept;
};

template <class Args>
constexpr Entry entry(std::string_view name) noexcept {
    return {name, sizeof(Args), check_as<Args>};
}

/// In the order of Builtin.
constexpr std::array<Entry, kBuiltinCount> kTable = {
    entry<fl_accel_args_fill>(FL_ACCEL_KERNEL_FILL),
    entry<fl_accel_args_copy>(FL_ACCEL_KERNEL_COPY),
    entry<fl_accel_args_axpy_f32>(FL_ACCEL_KERNEL_AXPY_F32),
    entry<fl_accel_args_gemm_f32>(FL_ACCEL_KERNEL_GEMM_F32),
    entry<fl_accel_args_reduce_f32>(FL_ACCEL_KERNEL_REDUCE_F32),
    entry<fl_accel_args_conv2d_f32>(FL_ACCEL_KERNEL_CONV2D_F32),
    entry<fl_accel_args_conv2d_rgba8>(FL_ACCEL_KERNEL_CONV2D_RGBA8),
    entry<fl_accel_args_sha256>(FL_ACCEL_KERNEL_SHA256),
};

const Entry& entry_of(Builtin kernel) noexcept {
    return kTable[static_cast<std::size_t>(kernel)];
}

}  // namespace

std::optional<Builtin> find_builtin(std::string_view name) noexcept {
    for (std::uint32_t i = 0; i < kBuiltinCount; ++i) {
        if (kTable[i].name == name) return static_cast<Builtin>(i);
    }
    return std::nullopt;
}

std::string_view builtin_name(Builtin kernel) noexcept {
    return entry_of(kernel).name;
}

std::uint32_t builtin_argument_bytes(Builtin kernel) noexcept {
    return entry_of(kernel).argument_bytes;
}

Outcome check_builtin(Builtin kernel, std::span<const std::byte> arguments, AccessList& touches) noexcept {
    return entry_of(kernel).check(arguments, touches);
}

namespace {

constexpr std::uint64_t kSmallBytes = 16 * 1024;
constexpr std::uint64_t kSmallProducts = 32 * 1024;
constexpr std::uint64_t kSmallHashed = 2 * 1024;

/// a * b <= limit, for any a and b.
constexpr bool product_within(std::uint64_t a, std::uint64_t b, std::uint64_t limit) noexcept {
    return a == 0 || b <= limit / a;
}
template <class Args>
bool small_picture(const Args& a) noexcept {
    const std::uint64_t products = std::uint64_t{a.size.get()} * a.size.get();
    return product_within(a.width.get(), a.height.get(), kSmallProducts / products);
}

}  // namespace

bool is_small(Builtin kernel, std::span<const std::byte> arguments) noexcept {
    switch (kernel) {
        case Builtin::fill: {
            const auto a = read_arguments<fl_accel_args_fill>(arguments);
            return product_within(a.count.get(), a.pattern_bytes.get(), kSmallBytes);
        }
        case Builtin::copy: {
            const auto a = read_arguments<fl_accel_args_copy>(arguments);
            return product_within(a.row_bytes.get(), a.rows.get(), kSmallBytes);
        }
        case Builtin::axpy_f32: return read_arguments<fl_accel_args_axpy_f32>(arguments).count.get() <= kSmallBytes / 4;
        case Builtin::gemm_f32: {
            const auto a = read_arguments<fl_accel_args_gemm_f32>(arguments);
            return product_within(std::uint64_t{a.m.get()} * a.n.get(), std::uint64_t{a.k.get()} + 1, kSmallProducts);
        }
        case Builtin::reduce_f32:
            return read_arguments<fl_accel_args_reduce_f32>(arguments).count.get() <= kSmallBytes / 4;
        case Builtin::conv2d_f32: return small_picture(read_arguments<fl_accel_args_conv2d_f32>(arguments));
        case Builtin::conv2d_rgba8: return small_picture(read_arguments<fl_accel_args_conv2d_rgba8>(arguments));
        case Builtin::sha256: {
            const auto a = read_arguments<fl_accel_args_sha256>(arguments);
            return a.message_bytes.get() <= kSmallHashed &&
                   product_within(a.message_bytes.get() + 64, a.count.get(), kSmallHashed);
        }
    }
    return false;
}

}  // namespace farlane::firmware::accel

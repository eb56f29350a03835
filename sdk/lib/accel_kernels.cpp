// SPDX-License-Identifier: Apache-2.0
// Receives: kernel arguments as C++ types. Hands on: LAUNCH commands with argument blocks.
// Owns: nothing. docs/accelerator.md, "Built-in kernels".
#include <bit>
#include <cstring>
#include <initializer_list>
#include <string>

#include "lib/accel_state.hpp"

namespace farlane::accel {
namespace {

using detail::BufferState;

/// A view as the launch helper takes it.
struct Operand {
    const char* name;
    BufferState* state;
    std::uint64_t offset_bytes;
    std::uint64_t bytes;
};

/// The part of `view` that a kernel touches; throws when the view is shorter.
template <class T>
Operand operand(const char* kernel, const char* name, const View<T>& view, std::uint64_t elements) {
    if (elements > view.size()) {
        throw Error(Status::out_of_bounds, std::string(kernel) + ": " + name + " has " + std::to_string(view.size()) +
                                               " elements, needs " + std::to_string(elements));
    }
    return {name, view.state(), view.offset_bytes(), elements * sizeof(T)};
}

[[noreturn]] void refuse(const char* kernel, const std::string& what) {
    throw Error(Status::invalid, std::string(kernel) + ": " + what);
}

template <class N>
std::string equals(const char* name, N value) {
    return std::string(name) + " = " + std::to_string(value);
}

/// Elements from row to row: as given, or those of a row.
std::uint32_t stride_of(const char* kernel, const char* name, std::uint32_t given, std::uint32_t columns) {
    if (given == 0) return columns;
    if (given < columns)
        refuse(kernel, equals(name, given) + ": its rows have " + std::to_string(columns) +
                           " elements; give at least that, or 0 for no gaps");
    return given;
}

std::uint64_t address_of(const Operand& o) {
    return o.state == nullptr ? 0 : o.state->address + o.offset_bytes;
}

fl_le32 f32(float value) {
    return fl_le32(std::bit_cast<std::uint32_t>(value));
}

/// Elements of a matrix with gaps: all rows but the last in full.
std::uint64_t matrix_elements(std::uint64_t rows, std::uint64_t columns, std::uint64_t stride) {
    return rows == 0 || columns == 0 ? 0 : (rows - 1) * stride + columns;
}

template <class Args>
void launch_kernel(detail::ContextState& context, detail::Queue& q, detail::BuiltinKernel kernel, const char* name,
                   const Args& args, std::initializer_list<Operand> operands) {
    const auto held = context.hold();
    for (const Operand& o : operands) {
        if (o.bytes != 0) context.admit(q, o.state, o.offset_bytes, o.bytes, name, o.name);
    }
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_LAUNCH;
    c.u.launch.kernel.set(static_cast<std::uint32_t>(kernel));
    c.u.launch.argument_bytes.set(sizeof args);
    const auto t = context.submit(q, c, std::as_bytes(std::span(&args, 1)), name, 0);
    for (const Operand& o : operands) {
        if (o.bytes != 0) o.state->uses.note(q, t);
    }
}

/// Fields both convolutions share, by the same names.
template <class Args, class Kernel>
Args picture_arguments(const Kernel& k, const char* name, const Operand& in, const Operand& weights,
                       const Operand& out) {
    if (k.width < 1 || k.height < 1 || k.width > FL_ACCEL_CONV2D_MAX_WIDTH)
        refuse(name, equals("width", k.width) + ", " + equals("height", k.height) + ": at least 1, and width at most " +
                         std::to_string(FL_ACCEL_CONV2D_MAX_WIDTH));
    if (k.size % 2 != 1 || k.size > FL_ACCEL_CONV2D_MAX_SIZE)
        refuse(name, equals("size", k.size) + " of the weights: must be odd, 1 to " +
                         std::to_string(FL_ACCEL_CONV2D_MAX_SIZE));
    Args args{};
    args.destination.set(address_of(out));
    args.source.set(address_of(in));
    args.weights.set(address_of(weights));
    args.width.set(k.width);
    args.height.set(k.height);
    args.destination_pitch_bytes.set(k.width * 4);
    args.source_pitch_bytes.set(k.width * 4);
    args.size.set(k.size);
    args.border.set(static_cast<std::uint32_t>(k.border));
    return args;
}

struct Field {
    std::string_view kernel;
    std::size_t offset;
    const char* name;  ///< as in the structs of accel_kernels.hpp
};
#define FARLANE_FIELD(KERNEL, args, field, name)                              \
    Field {                                                                   \
        FL_ACCEL_KERNEL_##KERNEL, offsetof(fl_accel_args_##args, field), name \
    }
constexpr Field kFields[] = {
    FARLANE_FIELD(COPY, copy, destination, "to"),
    FARLANE_FIELD(COPY, copy, source, "from"),
    FARLANE_FIELD(AXPY_F32, axpy_f32, x, "x"),
    FARLANE_FIELD(AXPY_F32, axpy_f32, y, "y"),
    FARLANE_FIELD(GEMM_F32, gemm_f32, a, "a"),
    FARLANE_FIELD(GEMM_F32, gemm_f32, b, "b"),
    FARLANE_FIELD(GEMM_F32, gemm_f32, c, "c"),
    FARLANE_FIELD(REDUCE_F32, reduce_f32, destination, "result"),
    FARLANE_FIELD(REDUCE_F32, reduce_f32, source, "x"),
    FARLANE_FIELD(REDUCE_F32, reduce_f32, operation, "operation"),
    FARLANE_FIELD(CONV2D_F32, conv2d_f32, destination, "out"),
    FARLANE_FIELD(CONV2D_F32, conv2d_f32, source, "in"),
    FARLANE_FIELD(CONV2D_F32, conv2d_f32, weights, "weights"),
    FARLANE_FIELD(CONV2D_F32, conv2d_f32, border, "border"),
    FARLANE_FIELD(CONV2D_RGBA8, conv2d_rgba8, destination, "out"),
    FARLANE_FIELD(CONV2D_RGBA8, conv2d_rgba8, source, "in"),
    FARLANE_FIELD(CONV2D_RGBA8, conv2d_rgba8, weights, "weights"),
    FARLANE_FIELD(CONV2D_RGBA8, conv2d_rgba8, border, "border"),
    FARLANE_FIELD(SHA256, sha256, destination, "digests"),
    FARLANE_FIELD(SHA256, sha256, source, "messages"),
};
#undef FARLANE_FIELD

}  // namespace

const char* detail::builtin_operand(std::string_view kernel, std::uint32_t offset) noexcept {
    for (const Field& f : kFields) {
        if (f.kernel == kernel && f.offset == offset) return f.name;
    }
    return nullptr;
}

void Stream::launch(const Axpy& k) {
    constexpr const char* kName = "axpy_f32";
    if (k.x.size() != k.y.size() || k.x.empty())
        refuse(kName, "x has " + std::to_string(k.x.size()) + " elements, y " + std::to_string(k.y.size()) +
                          ": must be the same, and at least 1");
    const Operand x = operand(kName, "x", k.x, k.x.size());
    const Operand y = operand(kName, "y", k.y, k.y.size());
    fl_accel_args_axpy_f32 args{};
    args.x.set(address_of(x));
    args.y.set(address_of(y));
    args.count.set(k.x.size());
    args.a = f32(k.a);
    launch_kernel(context(), queue(), detail::BuiltinKernel::axpy_f32, kName, args, {x, y});
}

void Stream::launch(const Gemm& k) {
    constexpr const char* kName = "gemm_f32";
    if (k.m < 1 || k.n < 1) refuse(kName, equals("m", k.m) + ", " + equals("n", k.n) + ": must be at least 1");
    const std::uint32_t a_rows = k.transpose_a ? k.k : k.m, a_columns = k.transpose_a ? k.m : k.k;
    const std::uint32_t b_rows = k.transpose_b ? k.n : k.k, b_columns = k.transpose_b ? k.k : k.n;
    const std::uint32_t lda = stride_of(kName, "lda", k.lda, a_columns);
    const std::uint32_t ldb = stride_of(kName, "ldb", k.ldb, b_columns);
    const std::uint32_t ldc = stride_of(kName, "ldc", k.ldc, k.n);
    const Operand a = operand(kName, "a", k.a, matrix_elements(a_rows, a_columns, lda));
    const Operand b = operand(kName, "b", k.b, matrix_elements(b_rows, b_columns, ldb));
    const Operand c = operand(kName, "c", k.c, matrix_elements(k.m, k.n, ldc));
    fl_accel_args_gemm_f32 args{};
    args.a.set(address_of(a));
    args.b.set(address_of(b));
    args.c.set(address_of(c));
    args.m.set(k.m);
    args.n.set(k.n);
    args.k.set(k.k);
    args.lda.set(lda);
    args.ldb.set(ldb);
    args.ldc.set(ldc);
    args.alpha = f32(k.alpha);
    args.beta = f32(k.beta);
    args.flags.set((k.transpose_a ? FL_ACCEL_GEMM_TRANSPOSE_A : 0) | (k.transpose_b ? FL_ACCEL_GEMM_TRANSPOSE_B : 0));
    launch_kernel(context(), queue(), detail::BuiltinKernel::gemm_f32, kName, args, {a, b, c});
}

void Stream::launch(const Reduce& k) {
    constexpr const char* kName = "reduce_f32";
    if (k.x.empty()) refuse(kName, "x has no elements");
    const Operand x = operand(kName, "x", k.x, k.x.size());
    const Operand result = operand(kName, "result", k.result, 1);
    fl_accel_args_reduce_f32 args{};
    args.source.set(address_of(x));
    args.destination.set(address_of(result));
    args.count.set(k.x.size());
    args.operation.set(static_cast<std::uint32_t>(k.operation));
    launch_kernel(context(), queue(), detail::BuiltinKernel::reduce_f32, kName, args, {x, result});
}

void Stream::launch(const Conv2dF32& k) {
    constexpr const char* kName = "conv2d_f32";
    const std::uint64_t pixels = std::uint64_t{k.width} * k.height;
    const Operand in = operand(kName, "in", k.in, pixels);
    const Operand weights = operand(kName, "weights", k.weights, std::uint64_t{k.size} * k.size);
    const Operand out = operand(kName, "out", k.out, pixels);
    const auto args = picture_arguments<fl_accel_args_conv2d_f32>(k, kName, in, weights, out);
    launch_kernel(context(), queue(), detail::BuiltinKernel::conv2d_f32, kName, args, {in, weights, out});
}

void Stream::launch(const Conv2dRgba8& k) {
    constexpr const char* kName = "conv2d_rgba8";
    const std::uint64_t pixels = std::uint64_t{k.width} * k.height;
    const Operand in = operand(kName, "in", k.in, pixels);
    const Operand weights = operand(kName, "weights", k.weights, std::uint64_t{k.size} * k.size);
    const Operand out = operand(kName, "out", k.out, pixels);
    auto args = picture_arguments<fl_accel_args_conv2d_rgba8>(k, kName, in, weights, out);
    if (k.shift > FL_ACCEL_CONV2D_MAX_SHIFT || k.bias < -255 || k.bias > 255)
        refuse(kName, equals("shift", k.shift) + ", " + equals("bias", k.bias) + ": shift is 0 to " +
                          std::to_string(FL_ACCEL_CONV2D_MAX_SHIFT) + ", bias -255 to 255");
    args.shift.set(k.shift);
    args.bias.set(static_cast<std::uint32_t>(k.bias));
    args.flags.set(k.keep_alpha ? FL_ACCEL_CONV2D_KEEP_ALPHA : 0);
    launch_kernel(context(), queue(), detail::BuiltinKernel::conv2d_rgba8, kName, args, {in, weights, out});
}

void Stream::launch(const Sha256& k) {
    constexpr const char* kName = "sha256";
    const std::size_t count = k.digests.size();
    const std::size_t stride = k.stride_bytes == 0 ? k.message_bytes : k.stride_bytes;
    if (count < 1) refuse(kName, "digests has no elements: one for each message");
    if (stride < k.message_bytes)
        refuse(kName, equals("stride_bytes", stride) + ": must be 0 or at least message_bytes, " +
                          std::to_string(k.message_bytes));
    if (k.message_bytes != 0 && count - 1 > (SIZE_MAX - k.message_bytes) / stride)
        refuse(kName, std::to_string(count) + " messages, " + std::to_string(stride) +
                          " bytes from one to the next: more bytes than there are addresses");
    const std::size_t bytes = k.message_bytes == 0 ? 0 : (count - 1) * stride + k.message_bytes;
    const Operand messages = operand(kName, "messages", k.messages, bytes);
    const Operand digests = operand(kName, "digests", k.digests, count);
    fl_accel_args_sha256 args{};
    args.source.set(address_of(messages));
    args.destination.set(address_of(digests));
    args.message_bytes.set(k.message_bytes);
    args.message_stride_bytes.set(stride);
    args.count.set(count);
    launch_kernel(context(), queue(), detail::BuiltinKernel::sha256, kName, args, {messages, digests});
}

void Stream::launch(const CopyRows& k) {
    constexpr const char* kName = "copy";
    if (k.rows < 1 || k.row_bytes < 1)
        refuse(kName, equals("rows", k.rows) + ", " + equals("row_bytes", k.row_bytes) + ": must be at least 1");
    if (k.from_pitch_bytes < k.row_bytes || k.to_pitch_bytes < k.row_bytes)
        refuse(kName, equals("from_pitch_bytes", k.from_pitch_bytes) + ", " +
                          equals("to_pitch_bytes", k.to_pitch_bytes) + ": must be at least row_bytes, " +
                          std::to_string(k.row_bytes));
    const auto extent = [&](std::size_t pitch) {
        if (k.rows - 1 > (SIZE_MAX - k.row_bytes) / pitch)
            refuse(kName, std::to_string(k.rows) + " rows, " + std::to_string(pitch) +
                              " bytes from one to the next: more bytes than there are addresses");
        return (k.rows - 1) * pitch + k.row_bytes;
    };
    const Operand from = operand(kName, "from", k.from, extent(k.from_pitch_bytes));
    const Operand to = operand(kName, "to", k.to, extent(k.to_pitch_bytes));
    fl_accel_args_copy args{};
    args.source.set(address_of(from));
    args.destination.set(address_of(to));
    args.source_pitch_bytes.set(k.from_pitch_bytes);
    args.destination_pitch_bytes.set(k.to_pitch_bytes);
    args.row_bytes.set(k.row_bytes);
    args.rows.set(k.rows);
    launch_kernel(context(), queue(), detail::BuiltinKernel::copy, kName, args, {from, to});
}

}  // namespace farlane::accel

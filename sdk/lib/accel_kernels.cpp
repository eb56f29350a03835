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

void require(bool ok, const char* kernel, const char* what) {
    if (!ok) throw Error(Status::invalid, std::string(kernel) + ": " + what);
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
        if (o.bytes != 0) context.admit(q, o.state, o.offset_bytes, o.bytes);
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
    require(k.width >= 1 && k.height >= 1, name, "the picture is empty");
    require(k.width <= FL_ACCEL_CONV2D_MAX_WIDTH, name, "the picture is wider than 65536");
    require(k.size % 2 == 1 && k.size <= FL_ACCEL_CONV2D_MAX_SIZE, name, "size must be odd, 1 to 31");
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

}  // namespace

void Stream::launch(const Axpy& k) {
    constexpr const char* kName = "axpy_f32";
    require(k.x.size() == k.y.size() && !k.x.empty(), kName, "x and y must have the same size, at least 1");
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
    require(k.m >= 1 && k.n >= 1, kName, "m and n must be at least 1");
    const std::uint32_t a_rows = k.transpose_a ? k.k : k.m, a_columns = k.transpose_a ? k.m : k.k;
    const std::uint32_t b_rows = k.transpose_b ? k.n : k.k, b_columns = k.transpose_b ? k.k : k.n;
    const std::uint32_t lda = k.lda == 0 ? a_columns : k.lda;
    const std::uint32_t ldb = k.ldb == 0 ? b_columns : k.ldb;
    const std::uint32_t ldc = k.ldc == 0 ? k.n : k.ldc;
    require(lda >= a_columns && ldb >= b_columns && ldc >= k.n, kName, "lda, ldb and ldc must be 0 or at least a row");
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
    require(!k.x.empty(), kName, "x must have at least one element");
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
    args.shift.set(k.shift);
    args.bias.set(static_cast<std::uint32_t>(k.bias));
    args.flags.set(k.keep_alpha ? FL_ACCEL_CONV2D_KEEP_ALPHA : 0);
    launch_kernel(context(), queue(), detail::BuiltinKernel::conv2d_rgba8, kName, args, {in, weights, out});
}

void Stream::launch(const Sha256& k) {
    constexpr const char* kName = "sha256";
    const std::size_t count = k.digests.size();
    const std::size_t stride = k.stride_bytes == 0 ? k.message_bytes : k.stride_bytes;
    require(count >= 1, kName, "there must be at least one message");
    require(stride >= k.message_bytes, kName, "stride_bytes must be 0 or at least message_bytes");
    require(k.message_bytes == 0 || (count - 1) <= (SIZE_MAX - k.message_bytes) / stride, kName, "too many messages");
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
    require(k.rows >= 1 && k.row_bytes >= 1, kName, "there must be at least one row of one byte");
    require(k.from_pitch_bytes >= k.row_bytes && k.to_pitch_bytes >= k.row_bytes, kName,
            "pitches must be at least row_bytes");
    const auto extent = [&](std::size_t pitch) {
        require(k.rows - 1 <= (SIZE_MAX - k.row_bytes) / pitch, kName, "too many rows");
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

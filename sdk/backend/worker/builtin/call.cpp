// SPDX-License-Identifier: Apache-2.0
// Receives: launches of built-in kernels on local memory. Hands on: launches of the kernels in source.cpp. Owns:
// nothing.
#include "backend/worker/builtin/call.hpp"

#include <algorithm>
#include <cstring>

namespace farlane::backend::worker {
namespace {

constexpr std::uint32_t kGroupItems = 64;
constexpr std::uint32_t kMostGroups = 4096;
constexpr std::uint32_t kTile = 16;  // of gemm, as in the source

class Builder {
public:
    explicit Builder(const FindAllocation& find) : find_(find) {}

    /// A buffer begins where its allocation does; how far in the operand is comes behind. What is not touched is null.
    Builder& operand(std::uint64_t address) {
        const auto allocation = find_(address);
        const std::uint64_t base = allocation ? allocation->first : 0;
        put(FL_ACCEL_ARGUMENT_ADDRESS, fl_le64(base));
        put(FL_ACCEL_ARGUMENT_VALUE, fl_le64(allocation ? address - base : 0));
        return *this;
    }
    Builder& value(fl_le64 v) { return put(FL_ACCEL_ARGUMENT_VALUE, v); }
    Builder& value(fl_le32 v) { return put(FL_ACCEL_ARGUMENT_VALUE, v); }
    template <std::size_t kBytes>
    Builder& words(const __u8 (&bytes)[kBytes]) {
        for (std::size_t at = 0; at < kBytes; at += sizeof(fl_le64)) {
            fl_le64 word;
            std::memcpy(&word, bytes + at, sizeof word);
            value(word);
        }
        return *this;
    }
    [[nodiscard]] BuiltinCall items(std::uint64_t count) {
        const std::uint64_t groups = count / kGroupItems + 1;
        return {std::move(block_), static_cast<std::uint32_t>(std::min<std::uint64_t>(groups, kMostGroups)),
                kGroupItems};
    }
    [[nodiscard]] BuiltinCall groups(std::uint64_t count, std::uint32_t each) {
        return {std::move(block_), static_cast<std::uint32_t>(std::min<std::uint64_t>(count, kMostGroups)), each};
    }

private:
    template <class Field>
    Builder& put(fl_accel_argument_kind kind, const Field& field) {
        const fl_accel_argument head{fl_le32(kind), fl_le32(sizeof field)};
        const auto append = [this](const void* data, std::size_t bytes) {
            const auto* p = static_cast<const std::byte*>(data);
            block_.insert(block_.end(), p, p + bytes);
        };
        append(&head, sizeof head);
        append(&field, sizeof field);
        block_.resize((block_.size() + 7) / 8 * 8);
        return *this;
    }
    const FindAllocation& find_;
    std::vector<std::byte> block_;
};

template <class Args>
Args read(std::span<const std::byte> arguments) noexcept {
    Args args;
    std::memcpy(&args, arguments.data(), sizeof args);
    return args;
}

BuiltinCall fill(const fl_accel_args_fill& a, const FindAllocation& find) {
    return Builder(find)
        .operand(a.destination.get())
        .value(a.count)
        .words(a.pattern)
        .value(a.pattern_bytes)
        .items(a.count.get());
}

BuiltinCall copy(const fl_accel_args_copy& a, const FindAllocation& find) {
    return Builder(find)
        .operand(a.destination.get())
        .operand(a.source.get())
        .value(a.destination_pitch_bytes)
        .value(a.source_pitch_bytes)
        .value(a.row_bytes)
        .value(a.rows)
        .items(a.rows.get() * a.row_bytes.get());
}

BuiltinCall axpy(const fl_accel_args_axpy_f32& a, const FindAllocation& find) {
    return Builder(find).operand(a.x.get()).operand(a.y.get()).value(a.count).value(a.a).items(a.count.get());
}

BuiltinCall gemm(const fl_accel_args_gemm_f32& a, const FindAllocation& find) {
    const bool touched = a.k.get() != 0;
    const std::uint64_t across = (a.n.get() + std::uint64_t{kTile} - 1) / kTile;
    const std::uint64_t down = (a.m.get() + std::uint64_t{kTile} - 1) / kTile;
    return Builder(find)
        .operand(touched ? a.a.get() : 0)
        .operand(touched ? a.b.get() : 0)
        .operand(a.c.get())
        .value(a.m)
        .value(a.n)
        .value(a.k)
        .value(a.lda)
        .value(a.ldb)
        .value(a.ldc)
        .value(a.alpha)
        .value(a.beta)
        .value(a.flags)
        .groups(across * down, kTile * kTile);
}

BuiltinCall reduce(const fl_accel_args_reduce_f32& a, const FindAllocation& find) {
    return Builder(find)
        .operand(a.destination.get())
        .operand(a.source.get())
        .value(a.count)
        .value(a.operation)
        .groups(1, kGroupItems);
}

template <class Args>
Builder& picture(Builder& b, const Args& a) {
    return b.operand(a.destination.get())
        .operand(a.source.get())
        .operand(a.weights.get())
        .value(a.width)
        .value(a.height)
        .value(a.destination_pitch_bytes)
        .value(a.source_pitch_bytes)
        .value(a.size)
        .value(a.border);
}
BuiltinCall conv2d_f32(const fl_accel_args_conv2d_f32& a, const FindAllocation& find) {
    Builder b(find);
    return picture(b, a).items(std::uint64_t{a.width.get()} * a.height.get());
}
BuiltinCall conv2d_rgba8(const fl_accel_args_conv2d_rgba8& a, const FindAllocation& find) {
    Builder b(find);
    picture(b, a).value(a.shift).value(a.bias).value(a.flags);
    return b.items(std::uint64_t{a.width.get()} * a.height.get());
}

BuiltinCall sha256(const fl_accel_args_sha256& a, const FindAllocation& find) {
    return Builder(find)
        .operand(a.destination.get())
        .operand(a.message_bytes.get() == 0 ? 0 : a.source.get())
        .value(a.message_bytes)
        .value(a.message_stride_bytes)
        .value(a.count)
        .items(a.count.get());
}

}  // namespace

BuiltinCall translate_builtin(std::string_view name, std::span<const std::byte> arguments, const FindAllocation& find) {
    if (name == FL_ACCEL_KERNEL_FILL) return fill(read<fl_accel_args_fill>(arguments), find);
    if (name == FL_ACCEL_KERNEL_COPY) return copy(read<fl_accel_args_copy>(arguments), find);
    if (name == FL_ACCEL_KERNEL_AXPY_F32) return axpy(read<fl_accel_args_axpy_f32>(arguments), find);
    if (name == FL_ACCEL_KERNEL_GEMM_F32) return gemm(read<fl_accel_args_gemm_f32>(arguments), find);
    if (name == FL_ACCEL_KERNEL_REDUCE_F32) return reduce(read<fl_accel_args_reduce_f32>(arguments), find);
    if (name == FL_ACCEL_KERNEL_CONV2D_F32) return conv2d_f32(read<fl_accel_args_conv2d_f32>(arguments), find);
    if (name == FL_ACCEL_KERNEL_CONV2D_RGBA8) return conv2d_rgba8(read<fl_accel_args_conv2d_rgba8>(arguments), find);
    return sha256(read<fl_accel_args_sha256>(arguments), find);
}

std::string builtin_source_name(std::string_view name) {
    return "farlane_" + std::string(name);
}

}  // namespace farlane::backend::worker

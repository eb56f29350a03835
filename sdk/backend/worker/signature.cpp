// SPDX-License-Identifier: Apache-2.0
// Receives: what a worker says of a kernel; argument blocks. Hands on: which launches fit the kernel. Owns:
// signature.hpp.
#include "backend/worker/signature.hpp"

#include <algorithm>
#include <cstring>

#include "backend/worker/protocol.hpp"

namespace farlane::backend::worker {
namespace {

constexpr std::uint64_t kAddressBytes = 8;

template <class T>
T read_at(std::span<const std::byte> bytes, std::size_t at) noexcept {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

bool all_zero(std::span<const std::byte> bytes) noexcept {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

std::uint64_t Argument::address() const noexcept {
    return read_at<fl_le64>(data, 0).get();
}

bool ArgumentReader::next(Argument& argument) noexcept {
    const std::size_t left = block_.size() - at_;
    if (left == 0) return false;
    if (left < sizeof(fl_accel_argument)) return fail(FL_ACCEL_REASON_ARGUMENT_BYTES, at_ + sizeof(fl_accel_argument));
    const auto head = read_at<fl_accel_argument>(block_, at_);
    const std::uint32_t kind = head.kind.get();
    if (kind < FL_ACCEL_ARGUMENT_VALUE || kind > FL_ACCEL_ARGUMENT_SHARED) {
        return fail(FL_ACCEL_REASON_ARGUMENT_VALUE, at_);
    }
    argument.kind = static_cast<fl_accel_argument_kind>(kind);
    argument.bytes = head.bytes.get();
    argument.offset = static_cast<std::uint32_t>(at_);
    argument.data = {};
    at_ += sizeof head;
    if (argument.kind == FL_ACCEL_ARGUMENT_SHARED) return true;
    argument.offset = static_cast<std::uint32_t>(at_);
    const std::uint64_t with_padding = (std::uint64_t{argument.bytes} + 7) / 8 * 8;
    if (with_padding > block_.size() - at_) return fail(FL_ACCEL_REASON_ARGUMENT_BYTES, at_ + with_padding);
    argument.data = block_.subspan(at_, argument.bytes);
    const auto padding = block_.subspan(at_ + argument.bytes, with_padding - argument.bytes);
    if (!all_zero(padding)) return fail(FL_ACCEL_REASON_RESERVED, at_ + argument.bytes);
    if (argument.kind == FL_ACCEL_ARGUMENT_ADDRESS && argument.bytes != kAddressBytes) {
        return fail(FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset);
    }
    at_ += with_padding;
    return true;
}

std::optional<Signature> Signature::parse(std::span<const std::byte> report, bool open_ended) {
    if (report.size() < sizeof(fl_accel_kernel_report)) return std::nullopt;
    const auto head = read_at<fl_accel_kernel_report>(report, 0);
    const std::uint32_t count = head.arguments.get();
    if (count > kMaxArguments || head.argument_report_bytes.get() != sizeof(fl_accel_argument_report) ||
        report.size() < sizeof head + count * sizeof(fl_accel_argument_report)) {
        return std::nullopt;
    }
    Signature made;
    made.open_ended_ = open_ended;
    made.max_block_ = head.max_block.get();
    made.shared_bytes_ = head.shared_bytes.get();
    for (std::size_t i = 0; i < 3; ++i) made.required_block_[i] = head.required_block[i].get();
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto argument =
            read_at<fl_accel_argument_report>(report, sizeof head + i * sizeof(fl_accel_argument_report));
        if (argument.kind.get() > FL_ACCEL_ARGUMENT_SHARED) return std::nullopt;
        made.parameters_.push_back(
            {argument.kind.get(), argument.bytes.get(), (argument.flags.get() & FL_ACCEL_ARGUMENT_CONST) != 0});
    }
    return made;
}

std::uint32_t Signature::block_bytes() const noexcept {
    if (open_ended_) return 0;
    std::uint64_t bytes = 0;
    for (const Parameter& p : parameters_) {
        if (p.kind != FL_ACCEL_ARGUMENT_SHARED && p.bytes == 0) return 0;
        const std::uint64_t data = p.kind == FL_ACCEL_ARGUMENT_SHARED ? 0 : (std::uint64_t{p.bytes} + 7) / 8 * 8;
        bytes += sizeof(fl_accel_argument) + data;
    }
    return bytes <= FL_ACCEL_MAX_INLINE_BYTES ? static_cast<std::uint32_t>(bytes) : 0;
}

Outcome Signature::check(const LaunchRequest& request) const noexcept {
    if (const auto outcome = check_shape(request); !outcome.ok()) return outcome;
    ArgumentReader reader(request.arguments);
    Argument argument;
    std::size_t count = 0;
    while (reader.next(argument)) {
        if (count < parameters_.size()) {
            if (const auto outcome = check_argument(argument, parameters_[count]); !outcome.ok()) return outcome;
        }
        ++count;
    }
    if (!reader.error().ok()) return reader.error();
    if (count == parameters_.size() || (open_ended_ && count <= kMaxArguments)) return {};
    return {FL_ACCEL_REASON_ARGUMENT_COUNT, static_cast<std::uint32_t>(parameters_.size()), 0};
}

Outcome Signature::check_argument(const Argument& argument, const Parameter& parameter) const noexcept {
    const bool kind_fits = parameter.kind == 0 || parameter.kind == argument.kind;
    const bool shared = argument.kind == FL_ACCEL_ARGUMENT_SHARED;
    const bool size_fits = parameter.bytes == 0 || (shared ? parameter.kind != 0 : parameter.bytes == argument.bytes);
    const bool some = argument.bytes != 0;
    if (kind_fits && size_fits && some) return {};
    return {FL_ACCEL_REASON_ARGUMENT_VALUE, argument.offset, 0};
}

Outcome Signature::check_shape(const LaunchRequest& request) const noexcept {
    constexpr Outcome kBad{FL_ACCEL_REASON_BAD_GRID, 0, 0};
    if (request.dimensions < 1 || request.dimensions > 3) return kBad;
    std::uint64_t block = 1;
    const bool chosen = request.block[0] != 0;
    for (std::uint32_t i = 0; i < 3; ++i) {
        const bool used = i < request.dimensions;
        if (used ? request.grid[i] == 0 : request.grid[i] > 1) return kBad;
        if (used ? (request.block[i] != 0) != chosen : request.block[i] > 1) return kBad;
        if (!used && request.offset[i] != 0) return kBad;
        if (used && chosen) {
            if (block > ~std::uint64_t{0} / request.block[i]) return kBad;
            block *= request.block[i];
            if (required_block_[0] != 0 && request.block[i] != required_block_[i]) return kBad;
        }
    }
    if (chosen && max_block_ != 0 && block > max_block_) return kBad;
    return {};
}

}  // namespace farlane::backend::worker

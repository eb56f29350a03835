// SPDX-License-Identifier: Apache-2.0
// Receives: kernels of modules with a shape and arguments. Hands on: LAUNCH commands with argument blocks.
// Owns: nothing. docs/accelerator.md, "Modules and kernels".
#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "lib/accel_modules.hpp"

namespace farlane::accel::detail {
namespace {

static_assert(kMaxArgumentBytes == FL_ACCEL_MAX_INLINE_BYTES && kArgumentHeadBytes == sizeof(fl_accel_argument));

/// Naming the kernel.
[[noreturn]] void refuse(const KernelState& kernel, const std::string& what, Status status = Status::invalid) {
    throw Error(status, "LAUNCH of " + kernel.describe() + ": " + what);
}

std::string argument_text(const KernelState& kernel, std::size_t index) {
    return "argument " + std::to_string(index) + kernel.argument_name(index);
}

void check_argument(const KernelState& kernel, std::size_t index, const Argument& a) {
    const ArgumentInfo& wanted = kernel.info.arguments[index];
    const bool known = wanted.kind != ArgumentKind::unknown;  // else it may be a value, or an address
    const bool is_value = a.kind() == ArgumentKind::value;
    const std::uint64_t given = is_value ? a.bytes() : sizeof(std::uint64_t);
    const bool long_as = wanted.bytes == 0 || a.kind() == ArgumentKind::shared || given == wanted.bytes;
    if (known ? wanted.kind == a.kind() && (!is_value || long_as) : long_as) return;
    refuse(kernel, argument_text(kernel, index) + " takes " + kernel.argument_wanted(index) + ", given was " +
                       argument_as_text(static_cast<std::uint32_t>(a.kind()), is_value ? given : 0));
}

void check_arguments(const KernelState& kernel, std::span<const Argument> arguments) {
    if (!kernel.has_info) return;  // the device checks
    if (arguments.size() != kernel.info.argument_count) {
        refuse(kernel, "it takes " + std::to_string(kernel.info.argument_count) + " arguments, given are " +
                           std::to_string(arguments.size()));
    }
    const std::size_t known = std::min(arguments.size(), kernel.info.arguments.size());
    for (std::size_t i = 0; i < known; ++i) check_argument(kernel, i, arguments[i]);
}

std::string text_of(const Extent& extent) {
    std::string text = "(";
    for (unsigned i = 0; i < extent.dimensions(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(extent[i]);
    return text + ")";
}

void check_shape(const KernelState& kernel, const LaunchShape& shape) {
    const unsigned dimensions = shape.grid.dimensions();
    if (dimensions == 0) refuse(kernel, "the grid has no dimensions; give one to three numbers");
    if (shape.block.dimensions() != 0 && shape.block.dimensions() != dimensions) {
        refuse(kernel, "grid " + text_of(shape.grid) + " and block " + text_of(shape.block) +
                           " have a different number of dimensions");
    }
    if (shape.offset.dimensions() > dimensions) {
        refuse(kernel, "offset " + text_of(shape.offset) + " has more dimensions than grid " + text_of(shape.grid));
    }
    std::uint64_t items = 1;
    for (unsigned i = 0; i < dimensions; ++i) {
        const std::uint64_t block = shape.block.dimensions() == 0 ? 1 : shape.block[i];
        const bool fits = shape.grid[i] >= 1 && shape.grid[i] <= UINT32_MAX && block >= 1 && block <= UINT32_MAX &&
                          shape.offset[i] <= UINT32_MAX;
        if (!fits) {
            refuse(kernel, "grid " + text_of(shape.grid) + ", block " + text_of(shape.block) + ", offset " +
                               text_of(shape.offset) +
                               ": numbers of grid and block are 1 to 2^32 - 1, of offset 0 to "
                               "that");
        }
        items = block > UINT64_MAX / items ? UINT64_MAX : items * block;
    }
    if (!kernel.has_info || shape.block.dimensions() == 0) return;
    if (kernel.info.max_block != 0 && items > kernel.info.max_block) {
        refuse(kernel, "block " + text_of(shape.block) + " has " + std::to_string(items) + " work items; at most " +
                           std::to_string(kernel.info.max_block) + " can be");
    }
    for (unsigned i = 0; i < dimensions; ++i) {
        const std::uint32_t required = kernel.info.required_block[i];
        if (required != 0 && required != shape.block[i]) {
            refuse(kernel, "block " + text_of(shape.block) + ": its source asks for " + std::to_string(required) +
                               " in dimension " + std::to_string(i));
        }
    }
}

/// The argument block, in room that its longest form fits.
class Block {
public:
    /// False: there is no room for it.
    bool add(const Argument& a) {
        const std::uint64_t address = a.buffer() != nullptr ? a.buffer()->address + a.offset_bytes() : 0;
        const fl_le64 address_data(address);
        std::span<const std::byte> data = a.value();
        if (a.kind() == ArgumentKind::address) data = std::as_bytes(std::span(&address_data, 1));
        const std::size_t padded = (data.size() + 7) / 8 * 8;
        if (data.size() > bytes_.size() || used_ + sizeof(fl_accel_argument) + padded > bytes_.size()) return false;
        fl_accel_argument head{};
        head.kind.set(static_cast<std::uint32_t>(a.kind()));
        head.bytes.set(static_cast<std::uint32_t>(a.kind() == ArgumentKind::shared ? a.bytes() : data.size()));
        std::memcpy(bytes_.data() + used_, &head, sizeof head);
        used_ += sizeof head;
        if (!data.empty()) std::memcpy(bytes_.data() + used_, data.data(), data.size());
        if (padded > data.size()) std::memset(bytes_.data() + used_ + data.size(), 0, padded - data.size());
        used_ += padded;
        sizes.add(head.kind.get(), data.size());
        return true;
    }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::span(bytes_).first(used_); }
    ArgumentSizes sizes;

private:
    std::array<std::byte, FL_ACCEL_MAX_INLINE_BYTES> bytes_;  // set as far as it is used
    std::size_t used_ = 0;
};

void set(fl_le32 (&field)[3], const Extent& extent, std::uint32_t missing) {
    for (unsigned i = 0; i < 3; ++i) {
        field[i].set(i < extent.dimensions() ? static_cast<std::uint32_t>(extent[i]) : missing);
    }
}

fl_accel_command command_of(const KernelState& kernel, const LaunchShape& shape, std::size_t argument_bytes) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_LAUNCH;
    c.head.flags.set(static_cast<std::uint16_t>(shape.grid.dimensions()));
    c.u.launch.kernel.set(kernel.handle);
    c.u.launch.argument_bytes.set(static_cast<std::uint32_t>(argument_bytes));
    set(c.u.launch.grid, shape.grid, 1);
    set(c.u.launch.block, shape.block, shape.block.dimensions() == 0 ? 0 : 1);
    set(c.u.launch.offset, shape.offset, 0);
    c.u.launch.shared_bytes.set(shape.shared_bytes);
    return c;
}

}  // namespace

void launch(ContextState& context, Queue& q, const std::shared_ptr<KernelState>& kernel, const LaunchShape& shape,
            std::span<const Argument> arguments) {
    if (kernel == nullptr) throw Error(Status::invalid, "LAUNCH of an empty kernel; use Module::kernel");
    if (&kernel->state() != &context) {
        refuse(*kernel, "it belongs to " + context.name_of(kernel->state()) + ", the stream to context " +
                            std::to_string(context.number()) + "; load its module with this context");
    }
    if (!kernel->was_read() && kernel->report.done()) kernel->read();
    if (const CommandFailure* why = kernel->cause()) context.raise(*why, kernel.get());
    check_shape(*kernel, shape);
    check_arguments(*kernel, arguments);
    Block block;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const Argument& a = arguments[i];
        if (a.kind() == ArgumentKind::address && !a.null()) {
            if (const auto why = context.objection(a.buffer(), a.offset_bytes(), a.bytes()); why) [[unlikely]]
                refuse(*kernel, argument_text(*kernel, i) + " " + why->detail, why->status);
            context.order(q, a.buffer()->allocation);
        }
        if (!block.add(a)) {
            refuse(*kernel, std::to_string(arguments.size()) + " arguments with argument " + std::to_string(i) + " (" +
                                std::to_string(a.bytes()) + " bytes) do not fit into the " +
                                std::to_string(FL_ACCEL_MAX_INLINE_BYTES) + " bytes that a launch has for them");
        }
    }
    context.order(q, kernel->command);
    auto c = command_of(*kernel, shape, block.bytes().size());
    Sink sink;
    sink.object = kernel;
    sink.arguments = block.sizes;
    const Ticket t = context.submit(q, c, block.bytes(), "", 0, std::move(sink));
    kernel->module->uses.note(q, t);
    for (const Argument& a : arguments) {
        if (a.buffer() != nullptr) a.buffer()->uses.note(q, t);
    }
}

}  // namespace farlane::accel::detail

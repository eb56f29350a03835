// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: commands of the simulated devices.
// Owns: nothing.
#include <farlane/uapi/accel.h>

#include "fldump/capture_files.hpp"
#include "fuzz/make_corpus.hpp"

using namespace farlane;
using namespace farlane::fuzz;

namespace {

// A command of the accelerator behind the byte that picks the queue and the one that counts slots.
template <class Body>
void accel_op(test::ByteVector& out, unsigned opcode, const Body& body, std::span<const std::byte> payload = {}) {
    static_assert(sizeof(Body) == 48);
    const std::size_t slots = 1 + (payload.size() + FL_ACCEL_COMMAND_BYTES - 1) / FL_ACCEL_COMMAND_BYTES;
    fl_accel_header head{};
    head.opcode = static_cast<__u8>(opcode);
    head.slots = static_cast<__u8>(slots);
    head.command_id.set(static_cast<__u32>(out.size()));
    test::append(out, {0, static_cast<unsigned>(slots - 1)});
    test::append(out, std::as_bytes(std::span(&head, 1)));
    test::append(out, std::as_bytes(std::span(&body, 1)));
    test::append(out, payload);
    out.resize(out.size() + (slots - 1) * FL_ACCEL_COMMAND_BYTES - payload.size());
}

constexpr std::uint64_t kAccelMemory = (std::uint64_t{1} << 40) + (8u << 20);

void accel_allocate(test::ByteVector& out) {
    fl_accel_alloc_command alloc{};
    alloc.address.set(kAccelMemory);
    alloc.bytes.set(0x10000);
    accel_op(out, FL_ACCEL_OP_ALLOC, alloc);
}

void accel_kernel(const std::string& name, std::span<const std::byte> arguments) {
    test::ByteVector out;
    accel_allocate(out);
    fl_accel_module_command module{};
    module.module.set(1);
    module.kind.set(FL_ACCEL_MODULE_BUILTIN);
    accel_op(out, FL_ACCEL_OP_MODULE_LOAD, module);
    fl_accel_bind_command bind{};
    bind.kernel.set(1);
    bind.module.set(1);
    bind.name_bytes.set(static_cast<__u32>(name.size()));
    accel_op(out, FL_ACCEL_OP_KERNEL_BIND, bind, std::as_bytes(std::span(name)));
    fl_accel_launch_command launch{};
    launch.kernel.set(1);
    launch.argument_bytes.set(static_cast<__u32>(arguments.size()));
    accel_op(out, FL_ACCEL_OP_LAUNCH, launch, arguments);
    write("accel_command", "launch_" + name, out);
}

void accel_kernels() {
    fl_accel_args_axpy_f32 axpy{};
    axpy.x.set(kAccelMemory);
    axpy.y.set(kAccelMemory + 0x1000);
    axpy.count.set(100);
    accel_kernel(FL_ACCEL_KERNEL_AXPY_F32, std::as_bytes(std::span(&axpy, 1)));
    fl_accel_args_gemm_f32 gemm{};
    gemm.a.set(kAccelMemory);
    gemm.b.set(kAccelMemory + 0x1000);
    gemm.c.set(kAccelMemory + 0x2000);
    for (fl_le32* n : {&gemm.m, &gemm.n, &gemm.k, &gemm.lda, &gemm.ldb, &gemm.ldc}) n->set(16);
    accel_kernel(FL_ACCEL_KERNEL_GEMM_F32, std::as_bytes(std::span(&gemm, 1)));
    fl_accel_args_conv2d_rgba8 conv{};
    conv.destination.set(kAccelMemory);
    conv.source.set(kAccelMemory + 0x1000);
    conv.weights.set(kAccelMemory + 0x2000);
    conv.width.set(16);
    conv.height.set(8);
    conv.destination_pitch_bytes.set(64);
    conv.source_pitch_bytes.set(64);
    conv.size.set(3);
    conv.border.set(FL_ACCEL_BORDER_CLAMP);
    accel_kernel(FL_ACCEL_KERNEL_CONV2D_RGBA8, std::as_bytes(std::span(&conv, 1)));
    fl_accel_args_sha256 sha{};
    sha.destination.set(kAccelMemory);
    sha.source.set(kAccelMemory + 0x1000);
    sha.message_bytes.set(100);
    sha.message_stride_bytes.set(128);
    sha.count.set(3);
    accel_kernel(FL_ACCEL_KERNEL_SHA256, std::as_bytes(std::span(&sha, 1)));
    fl_accel_args_reduce_f32 reduce{};
    reduce.destination.set(kAccelMemory);
    reduce.source.set(kAccelMemory + 0x1000);
    reduce.count.set(100);
    reduce.operation.set(FL_ACCEL_REDUCE_MAX);
    accel_kernel(FL_ACCEL_KERNEL_REDUCE_F32, std::as_bytes(std::span(&reduce, 1)));
    fl_accel_args_copy copy{};
    copy.destination.set(kAccelMemory);
    copy.source.set(kAccelMemory + 0x4000);
    copy.destination_pitch_bytes.set(64);
    copy.source_pitch_bytes.set(128);
    copy.row_bytes.set(60);
    copy.rows.set(10);
    accel_kernel(FL_ACCEL_KERNEL_COPY, std::as_bytes(std::span(&copy, 1)));
}

}  // namespace

void fuzz::accel_corpus() {
    test::ByteVector out;
    accel_allocate(out);
    for (const unsigned kind : {1u, 2u, 3u}) {
        fl_accel_copy_command copy{};
        copy.destination.set(kind == FL_ACCEL_COPY_DEVICE_TO_HOST ? 0x10000 : kAccelMemory);
        copy.source.set(kind == FL_ACCEL_COPY_HOST_TO_DEVICE ? 0x10000 : kAccelMemory + 0x8000);
        copy.bytes.set(0x2100);
        copy.kind.set(kind);
        accel_op(out, FL_ACCEL_OP_COPY, copy);
    }
    write("accel_command", "copies", out);
    out.clear();
    accel_allocate(out);
    fl_accel_fill_command fill{};
    fill.destination.set(kAccelMemory);
    fill.bytes.set(4096);
    fill.pattern_bytes.set(4);
    accel_op(out, FL_ACCEL_OP_FILL, fill);
    fl_accel_alloc_command release{};
    release.address.set(kAccelMemory);
    accel_op(out, FL_ACCEL_OP_FREE, release);
    accel_op(out, FL_ACCEL_OP_FENCE, fl_accel_query_command{});
    write("accel_command", "fill_free", out);
    out.clear();
    fl_accel_event_command event{};
    event.event.set(1);
    event.value.set(1);
    accel_op(out, FL_ACCEL_OP_EVENT_RECORD, event);
    accel_op(out, FL_ACCEL_OP_EVENT_WAIT, event);
    for (unsigned property = 1; property <= 8; ++property) {
        fl_accel_query_command query{};
        query.property.set(property);
        accel_op(out, FL_ACCEL_OP_QUERY, query);
    }
    accel_op(out, FL_ACCEL_OP_TIMESTAMP, fl_accel_query_command{});
    accel_op(out, FL_ACCEL_OP_NOP, fl_accel_query_command{});
    write("accel_command", "events", out);
    accel_kernels();
}

namespace {

struct NvmeEntry {
    unsigned opcode = 0;
    std::uint32_t nsid = 0;
    std::uint64_t prp1 = 0, prp2 = 0;
    std::array<std::uint32_t, 6> dwords{};  // 10..15
};

void nvme_op(test::ByteVector& out, bool io, const NvmeEntry& e) {
    test::append(out, {io ? 3u : 0u});
    test::little32(out, e.opcode | static_cast<std::uint32_t>(out.size()) << 16);
    test::little32(out, e.nsid);
    for (unsigned i = 0; i < 4; ++i) test::little32(out, 0);
    for (const std::uint64_t prp : {e.prp1, e.prp2}) {
        test::little32(out, static_cast<std::uint32_t>(prp));
        test::little32(out, static_cast<std::uint32_t>(prp >> 32));
    }
    for (const std::uint32_t d : e.dwords) test::little32(out, d);
}

}  // namespace

void fuzz::nvme_corpus() {
    const auto one = [](const std::string& name, bool io, std::initializer_list<NvmeEntry> entries) {
        test::ByteVector out;
        for (const NvmeEntry& e : entries) nvme_op(out, io, e);
        write("nvme_command", name, out);
    };
    one("identify", false,
        {{0x06, 0, 0x10000, 0, {1}},
         {0x06, 1, 0x10000, 0, {0}},
         {0x06, 0, 0x10000, 0, {2}},
         {0x06, 1, 0x10000, 0, {3}}});
    one("features", false,
        {{0x0a, 0, 0, 0, {7}},
         {0x09, 0, 0, 0, {7, 0x00030003}},
         {0x09, 1, 0x10000, 0, {0x0e}},
         {0x0a, 0, 0x10000, 0, {0x0e}},
         {0x09, 0, 0, 0, {0x0b, 0xff}}});
    one("logs", false,
        {{0x02, 0xffffffff, 0x10000, 0, {0x007f0002}},
         {0x02, 0, 0x10000, 0, {0x000f0001}},
         {0x02, 0, 0x10000, 0, {0x007f0003}}});
    one("queues", false,
        {{0x05, 0, 0x20000, 0, {0x001f0002, 1}},
         {0x01, 0, 0x21000, 0, {0x001f0002, 0x00020001}},
         {0x00, 0, 0, 0, {2}},
         {0x04, 0, 0, 0, {2}}});
    one("admin", false, {{0x0c}, {0x08, 0, 0, 0, {0x00410000}}, {0x80, 1, 0, 0, {0}}});
    one("write_read", true,
        {{0x01, 1, 0x10000, 0, {0, 0, 7}},
         {0x02, 1, 0x12000, 0, {0, 0, 7}},
         {0x05, 1, 0x10000, 0, {0, 0, 7}},
         {0x00, 1}});
    one("prp_list", true, {{0x01, 1, 0x10200, 0x18000, {64, 0, 63}}, {0x02, 1, 0x10000, 0x11000, {8, 0, 15}}});
    one("zeroes_trim", true, {{0x08, 1, 0, 0, {0, 0, 15}}, {0x09, 1, 0x10000, 0, {3, 4}}});
    test::ByteVector odd;
    test::append(odd, {7, 3, 0x00, 0x80, 0x01, 0x00});  // host memory at 0x18000: a PRP list
    for (unsigned i = 0; i < 8; ++i) {
        test::little32(odd, 0x10000 + i * 0x1000);
        test::little32(odd, 0);
    }
    nvme_op(odd, true, {0x01, 1, 0x10200, 0x18000, {64, 0, 63}});
    test::append(odd, {7, 0, 0x14, 0, 0, 0, 0, 0, 0x46, 0});  // CC: disabled
    test::append(odd, {7, 1, 0x1c, 0, 0, 0, 3});
    write("nvme_command", "odd", odd);
}

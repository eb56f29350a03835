// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the corpus of worker_records: what a worker says, and argument blocks. Owns: nothing.
#include <cstring>
#include <vector>

#include <farlane/uapi/accel.h>

#include "backend/worker/ring.hpp"
#include "fuzz/make_corpus.hpp"

namespace farlane::fuzz {
namespace {

using namespace backend::worker;
using Bytes = std::vector<std::byte>;

void append(Bytes& to, std::span<const std::byte> part) {
    to.insert(to.end(), part.begin(), part.end());
}
void append_record(Bytes& to, Say what, std::span<const std::byte> head, std::span<const std::byte> more = {}) {
    const auto bytes = static_cast<std::uint32_t>(sizeof(Record) + padded(head.size() + more.size()));
    append(to, bytes_of(Record{bytes, static_cast<std::uint32_t>(what)}));
    append(to, head);
    append(to, more);
    to.resize((to.size() + 7) / 8 * 8);
}
/// Parts with their lengths ahead, the last without.
Bytes input(const Bytes& ring, const Bytes& report, const Bytes& block) {
    Bytes all;
    for (const Bytes* part : {&ring, &report}) {
        append(all, bytes_of(static_cast<std::uint16_t>(part->size())));
        append(all, *part);
    }
    append(all, block);
    return all;
}

Bytes report() {
    Bytes all;
    fl_accel_kernel_report head{};
    head.arguments = fl_le32(3);
    head.argument_report_bytes = fl_le32(sizeof(fl_accel_argument_report));
    append(all, bytes_of(head));
    for (const std::uint32_t kind : {FL_ACCEL_ARGUMENT_ADDRESS, FL_ACCEL_ARGUMENT_VALUE, FL_ACCEL_ARGUMENT_SHARED}) {
        fl_accel_argument_report argument{};
        argument.kind = fl_le32(kind);
        argument.bytes = fl_le32(kind == FL_ACCEL_ARGUMENT_ADDRESS ? 8 : kind == FL_ACCEL_ARGUMENT_VALUE ? 4 : 0);
        append(all, bytes_of(argument));
    }
    return all;
}

Bytes block() {
    Bytes all;
    append(all, bytes_of(fl_accel_argument{fl_le32(FL_ACCEL_ARGUMENT_ADDRESS), fl_le32(8)}));
    append(all, bytes_of(fl_le64(0x10000001000)));
    append(all, bytes_of(fl_accel_argument{fl_le32(FL_ACCEL_ARGUMENT_VALUE), fl_le32(4)}));
    append(all, bytes_of(fl_le64(7)));
    append(all, bytes_of(fl_accel_argument{fl_le32(FL_ACCEL_ARGUMENT_SHARED), fl_le32(64)}));
    return all;
}

}  // namespace

void worker_corpus() {
    Bytes ready, all;
    append_record(ready, Say::ready, bytes_of(SayReady{}));
    all = ready;
    for (std::uint32_t slot = 0; slot < 6; ++slot) {
        Bytes one = ready;
        const SayDone done{{slot, 1}, 0, 0, 0, 1000};
        append_record(one, Say::done, bytes_of(done), slot == 2 ? report() : Bytes{});
        append_record(all, Say::done, bytes_of(done), slot == 2 ? report() : Bytes{});
        write("worker_records", "done_" + std::to_string(slot), input(one, report(), block()));
    }
    write("worker_records", "all", input(all, report(), block()));
    write("worker_records", "ready", input(ready, {}, {}));
    append_record(all, Say::done, bytes_of(SayDone{{0, 1}, 0, 0, 0, 0}));
    write("worker_records", "twice", input(all, {}, block()));
}

}  // namespace farlane::fuzz

// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of one function on the PCI bus. Hands on: them to the module, in few
// calls. Owns: the journal of what the module has not been given yet.
//
// Order: ops are executed in the order they came; whoever may look at memory (a completion, a read, an
// interrupt) comes after settle(). A turn of the lane ends with flush(): one call for its writes, one
// for each 64 vectors.
#include "daemon/kernel_memory.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

namespace farlane::daemon {
namespace {

constexpr std::uint32_t kAlign = 64;

std::uint64_t address_of(const void* p) noexcept {
    return reinterpret_cast<std::uintptr_t>(p);
}

Status status_of(std::uint32_t code) noexcept {
    return code == FL_STATUS_SC ? Status::ok : Status::unsupported_request;
}

}  // namespace

void KernelMemory::clear() noexcept {
    journal_.count = journal_.used_bytes = 0;
    journal_.pending.fill(0);
    some_pending_ = false;
}

void KernelMemory::open(KernelModule& module, std::uint32_t function) noexcept {
    module_ = &module;
    function_ = function;
    take_over();
    (void)flush();
}

void KernelMemory::close() noexcept {
    module_ = nullptr;
    clear();
}

// What is found is believed only where it can do no harm: it names memory of this journal.
void KernelMemory::take_over() noexcept {
    DmaJournal& j = journal_;
    const std::uint32_t found = std::min(j.count, DmaJournal::kOps);
    std::uint32_t kept = 0;
    j.used_bytes = 0;
    for (std::uint32_t i = 0; i < found; ++i) {
        fl_dma_op op = j.ops[i];
        const std::uint32_t offset = j.offset[i];
        const bool inside = op.length_bytes >= 1 && op.length_bytes <= FL_DMA_MAX_OP_BYTES &&
                            offset <= DmaJournal::kDataBytes - FL_DMA_MAX_OP_BYTES;
        if (!inside || op.status != DmaJournal::kNotDone || op.kind != FL_DMA_WRITE) continue;
        op.address = address_of(j.data.data() + offset);
        j.ops[kept] = op;
        j.offset[kept] = offset;
        ++kept;
        j.used_bytes = std::max(j.used_bytes, (offset + op.length_bytes + kAlign - 1) & ~(kAlign - 1));
    }
    store_in_order(j.count, kept);
    some_pending_ = std::ranges::any_of(j.pending, [](std::uint64_t word) { return word != 0; });
}

void KernelMemory::write(std::uint64_t iova, std::uint32_t pasid, std::span<const std::byte> payload) noexcept {
    if (module_ == nullptr || payload.empty() || payload.size() > FL_DMA_MAX_OP_BYTES) {
        ++counters_.refused;
        return;
    }
    // Drivers poll for the last word of what a device writes (a completion queue entry has its phase there):
    // it is an operation of its own, behind the rest.
    constexpr std::size_t kWord = sizeof(std::uint32_t);
    const bool polled = payload.size() > kWord && payload.size() <= 64 && (iova + payload.size()) % kWord == 0;
    if (!polled) return write_piece(iova, pasid, payload);
    const std::size_t body = payload.size() - kWord;
    write_piece(iova, pasid, payload.first(body));
    write_piece(iova + body, pasid, payload.subspan(body));
}

void KernelMemory::write_piece(std::uint64_t iova, std::uint32_t pasid, std::span<const std::byte> payload) noexcept {
    DmaJournal& j = journal_;
    if (j.count >= DmaJournal::kOps || j.used_bytes > DmaJournal::kDataBytes - FL_DMA_MAX_OP_BYTES) settle();
    const auto bytes = static_cast<std::uint32_t>(payload.size());
    std::byte* const at = j.data.data() + j.used_bytes;
    std::memcpy(at, payload.data(), bytes);
    j.ops[j.count] = {iova, address_of(at), bytes, pasid, FL_DMA_WRITE, DmaJournal::kNotDone};
    j.offset[j.count] = j.used_bytes;
    j.used_bytes += (bytes + kAlign - 1) & ~(kAlign - 1);
    store_in_order(j.count, j.count + 1);  // last: from here on the next life would give it
}

void KernelMemory::settle() noexcept {
    DmaJournal& j = journal_;
    if (j.count == 0) return;
    std::uint32_t failed = 0;
    const Status status =
        module_ != nullptr ? module_->dma(function_, std::span(j.ops).first(j.count), failed) : Status::device_lost;
    ++counters_.calls;
    counters_.operations += j.count;
    counters_.refused += status == Status::ok ? failed : j.count;
    store_in_order(j.count, 0U);
    j.used_bytes = 0;
}

Status KernelMemory::one(fl_dma_op op) noexcept {
    settle();
    if (module_ == nullptr) return Status::device_lost;
    std::uint32_t failed = 0;
    const Status status = module_->dma(function_, std::span(&op, 1), failed);
    ++counters_.calls;
    ++counters_.operations;
    const Status result = status == Status::ok ? status_of(op.status) : status;
    if (result != Status::ok) ++counters_.refused;
    return result;
}

Status KernelMemory::read(std::uint64_t iova, std::uint32_t pasid, std::span<std::byte> into) noexcept {
    if (into.empty() || into.size() > FL_DMA_MAX_OP_BYTES) return Status::unsupported_request;
    return one({iova, address_of(into.data()), static_cast<std::uint32_t>(into.size()), pasid, FL_DMA_READ,
                DmaJournal::kNotDone});
}

Status KernelMemory::atomic(proto::TlpType type, std::uint64_t iova, std::uint32_t pasid,
                            std::span<const std::byte> operand, std::span<std::byte> result) noexcept {
    const std::uint32_t kind = type == proto::TlpType::fetch_add ? FL_DMA_FETCHADD
                               : type == proto::TlpType::swap    ? FL_DMA_SWAP
                                                                 : FL_DMA_CAS;
    alignas(8) std::array<std::byte, 16> words{};
    if (operand.size() > words.size() || result.size() > operand.size()) return Status::unsupported_request;
    std::memcpy(words.data(), operand.data(), operand.size());
    const auto bytes = static_cast<std::uint32_t>(result.size());
    const Status status = one({iova, address_of(words.data()), bytes, pasid, kind, DmaJournal::kNotDone});
    if (status == Status::ok) std::memcpy(result.data(), words.data(), result.size());
    return status;
}

void KernelMemory::interrupt(std::uint32_t vector) noexcept {
    if (vector >= kMaxVectors) return;
    std::uint64_t& word = journal_.pending[vector / 64];
    store_in_order(word, word | std::uint64_t{1} << (vector % 64));
    some_pending_ = true;
}

// A vector is forgotten after it was raised: killed in between, the next life raises it once more, which a
// driver takes for a shared interrupt that was not its own.
bool KernelMemory::raise() noexcept {
    some_pending_ = false;
    for (std::uint32_t i = 0; i < journal_.pending.size(); ++i) {
        std::uint64_t& word = journal_.pending[i];
        if (word == 0) continue;
        if (module_ != nullptr) (void)module_->interrupt(function_, i * 64, word);
        store_in_order(word, std::uint64_t{0});
    }
    return true;
}

bool KernelMemory::flush() noexcept {
    const bool busy = journal_.count != 0 || some_pending_;
    settle();
    if (some_pending_) (void)raise();
    return busy;
}

}  // namespace farlane::daemon

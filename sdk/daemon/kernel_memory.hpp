// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of one function on the PCI bus. Hands on: them to the module, in few
// calls. Owns: the journal of what the module has not been given yet. Lane thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "daemon/kernel_module.hpp"
#include "daemon/saved_state.hpp"
#include "lane/host_memory.hpp"

namespace farlane::daemon {

/// Writes and interrupts that the protocol counts as executed and the module has not seen. It lies in
/// memory that outlives the daemon, so that kill -9 between the two loses nothing; the module notes in
/// `ops[].status` what it has executed, so that nothing is executed twice. Hostile when it is found.
struct DmaJournal {
    static constexpr std::uint32_t kOps = FL_DMA_MAX_OPS;
    static constexpr std::uint32_t kDataBytes = 256 * 1024;
    static constexpr std::uint32_t kNotDone = ~std::uint32_t{0};  ///< fl_dma_op.status of what is to be done
    std::uint32_t count;                                          ///< ops; written last
    std::uint32_t used_bytes;
    std::array<std::uint64_t, kMaxVectors / 64> pending;  ///< vectors to be raised
    std::array<fl_dma_op, kOps> ops;
    std::array<std::uint32_t, kOps> offset;  ///< of the payload in `data`
    std::array<std::byte, kDataBytes> data;
};

struct KernelMemoryCounters {
    std::uint64_t refused = 0;  ///< DMA that the module did not allow
    std::uint64_t calls = 0;    ///< of FL_IOC_DMA_COPY
    std::uint64_t operations = 0;
};

class KernelMemory final : public lane::HostMemory {
public:
    explicit KernelMemory(DmaJournal& journal) noexcept : journal_(journal) {}

    /// Nothing is pending: a new function.
    void clear() noexcept;
    /// From here on there is a function to give things to. What an earlier daemon left is given first.
    void open(KernelModule& module, std::uint32_t function) noexcept;
    /// The function is gone: everything is refused.
    void close() noexcept;

    /// Vector `vector` is to be raised at the next flush().
    void interrupt(std::uint32_t vector) noexcept;
    /// Gives writes, then interrupts. True = there was something.
    bool flush() noexcept;
    [[nodiscard]] const KernelMemoryCounters& counters() const noexcept { return counters_; }

    // HostMemory
    void write(std::uint64_t iova, std::uint32_t pasid, std::span<const std::byte> payload) noexcept override;
    void settle() noexcept override;
    [[nodiscard]] Status read(std::uint64_t iova, std::uint32_t pasid, std::span<std::byte> into) noexcept override;
    [[nodiscard]] Status atomic(proto::TlpType type, std::uint64_t iova, std::uint32_t pasid,
                                std::span<const std::byte> operand, std::span<std::byte> result) noexcept override;

private:
    void write_piece(std::uint64_t iova, std::uint32_t pasid, std::span<const std::byte> payload) noexcept;
    [[nodiscard]] Status one(fl_dma_op op) noexcept;
    void take_over() noexcept;
    bool raise() noexcept;

    DmaJournal& journal_;
    KernelModule* module_ = nullptr;
    std::uint32_t function_ = 0;
    bool some_pending_ = false;
    KernelMemoryCounters counters_;
};

}  // namespace farlane::daemon

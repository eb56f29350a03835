// SPDX-License-Identifier: Apache-2.0
// Receives: the shared memory of a memif connection. Hands on: interrupts, asked for or not.
// Owns: a mapping of the head of the receive ring.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "transport/dpdk/unix_socket.hpp"

namespace farlane::transport::dpdk {

/// The word of a memif ring by which its receiver says whether it wants to be told of frames (memif protocol, "Ring
/// layout": flags, MASK_INT). DPDK 22.11 obeys that of the peer and never takes its own away: the port does it here.
/// The memory is shared: what is read there proves nothing, so nothing is read.
class RingFlag {
public:
    RingFlag() = default;
    /// An empty one when the memory is not there or could be taken away (memif protocol: it is sealed against that),
    /// or the ring does not lie as a ring does.
    [[nodiscard]] static RingFlag map(const Fd& region, std::uint32_t ring_offset);
    /// Whether this kernel can order the peer's stores, see ask(). Also lets peers order those of this process.
    [[nodiscard]] static bool works() noexcept;

    RingFlag(RingFlag&& other) noexcept;
    RingFlag& operator=(RingFlag&& other) noexcept;
    ~RingFlag();

    [[nodiscard]] explicit operator bool() const noexcept { return page_ != nullptr; }
    /// Interrupts on. A frame that the peer sent without one is seen by a look at the ring that follows: the fence
    /// between the peer's two accesses, frame and flag, is paid here, by membarrier(2). A peer that is no process
    /// of Farlane has none: if it loses that race of nanoseconds, it tells with its next frame.
    void ask() noexcept;
    /// Interrupts off.
    void mask() noexcept;

private:
    [[nodiscard]] std::atomic_ref<std::uint16_t> flags() const noexcept;

    std::byte* page_ = nullptr;  // mapped
    std::size_t page_bytes_ = 0;
    std::uint16_t* flags_ = nullptr;
};

}  // namespace farlane::transport::dpdk

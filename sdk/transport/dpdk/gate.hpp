// SPDX-License-Identifier: Apache-2.0
// Receives: a lane that uses a device, and a control thread that takes it away. Hands on: the
// device to one of them at a time. Owns: two flags.
#pragma once

#include <atomic>
#include <thread>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace farlane::transport::dpdk {

/// Lets a lane use a device that another thread may remove, for two plain stores a burst. The
/// fence that this needs is paid by the remover: membarrier(2) runs it on the lane's core.
class Gate {
public:
    Gate() { (void)membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED); }

    /// Lane. False: the device is not there; do not touch it.
    [[nodiscard]] bool enter() noexcept {
        inside_.store(true, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (__builtin_expect(open_.load(std::memory_order_acquire), 1)) return true;
        leave();
        return false;
    }
    void leave() noexcept { inside_.store(false, std::memory_order_release); }
    [[nodiscard]] bool is_open() const noexcept { return open_.load(std::memory_order_acquire); }

    /// Control thread. After close() no lane is inside, and none gets in.
    // sequentially consistent: a sleeping lane is looked for behind it (see DpdkPort::arm)
    void open() noexcept { open_.store(true, std::memory_order_seq_cst); }
    void close() noexcept {
        open_.store(false, std::memory_order_seq_cst);
        // without membarrier (before Linux 4.14) a lane's store may be on its way for microseconds
        if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) ::usleep(1000);
        while (inside_.load(std::memory_order_acquire)) std::this_thread::yield();
    }

private:
    static long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

    alignas(64) std::atomic<bool> inside_{false};
    alignas(64) std::atomic<bool> open_{false};
};

}  // namespace farlane::transport::dpdk

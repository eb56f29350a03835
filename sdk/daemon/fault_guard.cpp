// SPDX-License-Identifier: Apache-2.0
// Receives: SIGBUS in memory that an application shares with us. Hands on: zeros instead.
// Owns: the table of guarded ranges. An application can punch holes into its memfd while the
// host has no page left (huge pages above all): the next touch is a SIGBUS in this process.
#include "daemon/fault_guard.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <mutex>

#include <sys/mman.h>

namespace farlane::daemon {
namespace {

struct Guard {
    std::atomic<std::uintptr_t> base{0};  // 0 = free; written last, taken back first
    std::atomic<std::size_t> bytes{0};
    std::atomic<bool> tripped{false};
};

std::array<Guard, kMaxGuards> guards;
std::atomic<unsigned> used{0};  // highest slot ever used + 1
std::mutex guards_mutex;

// mmap is a plain system call on Linux, so it may be called here.
void on_bus_error(int signal, siginfo_t* info, void*) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    const unsigned count = used.load(std::memory_order_acquire);
    for (unsigned i = 0; i < count; ++i) {
        const std::uintptr_t base = guards[i].base.load(std::memory_order_acquire);
        const std::size_t bytes = guards[i].bytes.load(std::memory_order_relaxed);
        if (base == 0 || at < base || at - base >= bytes) continue;
        void* fresh = ::mmap(reinterpret_cast<void*>(base), bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        if (fresh == MAP_FAILED) break;
        guards[i].tripped.store(true, std::memory_order_relaxed);
        return;
    }
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    ::sigaction(signal, &plain, nullptr);  // the access faults again, and now ends the process
}

void install() {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

std::optional<unsigned> guard_memory(void* base, std::size_t bytes) noexcept {
    const std::scoped_lock lock(guards_mutex);
    if (used.load(std::memory_order_relaxed) == 0) install();
    for (unsigned i = 0; i < kMaxGuards; ++i) {
        if (guards[i].base.load(std::memory_order_relaxed) != 0) continue;
        guards[i].bytes.store(bytes, std::memory_order_relaxed);
        guards[i].tripped.store(false, std::memory_order_relaxed);
        guards[i].base.store(reinterpret_cast<std::uintptr_t>(base), std::memory_order_release);
        if (i >= used.load(std::memory_order_relaxed)) used.store(i + 1, std::memory_order_release);
        return i;
    }
    return std::nullopt;
}

void unguard_memory(unsigned slot) noexcept {
    const std::scoped_lock lock(guards_mutex);
    guards[slot].base.store(0, std::memory_order_release);
}

bool guard_tripped(unsigned slot) noexcept {
    return guards[slot].tripped.load(std::memory_order_relaxed);
}

}  // namespace farlane::daemon

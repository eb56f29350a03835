// SPDX-License-Identifier: Apache-2.0
// Receives: what a device needs of DPDK. Hands on: an initialised EAL with its driver loaded.
// Owns: the EAL, once per process and for ever; its log.
#pragma once

#include <string>

#include <farlane/status.hpp>

namespace farlane::transport::dpdk {

/// Starts the EAL on the first call: without huge pages unless enough of them are free, without
/// files in /var/run, without buses scanned, and without touching the calling thread's CPU
/// affinity or signals. `extra` are arguments of the port string's key "eal", `pci` the address of
/// a PCI device or empty; both count only for the first port of the process.
[[nodiscard]] Result<bool> start_eal(const std::string& extra, const std::string& pci);

/// Loads a DPDK driver ("net_vhost" is librte_net_vhost.so) unless it is loaded already.
[[nodiscard]] Result<bool> load_driver(const std::string& name);
/// What the EAL said last, for error messages; then empty. Its lines also go to stderr, errors
/// only, except while a Quiet object lives.
[[nodiscard]] std::string take_log();
class Quiet {
public:
    Quiet();
    ~Quiet();
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
};

/// Keeps the calling thread as it is while DPDK starts threads: those inherit a mask that blocks
/// all signals, so that the application's handlers run in the application's threads.
class ThreadState {
public:
    ThreadState();
    ~ThreadState();
    ThreadState(const ThreadState&) = delete;
    ThreadState& operator=(const ThreadState&) = delete;

private:
    struct Saved;
    Saved* saved_;
};

/// Gives the calling thread an lcore id, once, so that buffer pools use a cache of its own
/// instead of a shared ring. Returned when the thread ends.
void register_thread() noexcept;

}  // namespace farlane::transport::dpdk

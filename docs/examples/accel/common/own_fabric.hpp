// SPDX-License-Identifier: Apache-2.0
// Receives: what accelerator to have. Hands on: a fabric on this machine: a farlaned that exports it, and how to reach
// it. Owns: the daemons it starts and a temporary folder; all are gone when it is destroyed, or when the program dies.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <sys/types.h>

#include <farlane/fabric.hpp>

#include "common/interrupts.hpp"

namespace example {

struct OwnFabricOptions {
    std::string farlaned;  ///< program; "" = the one this was built beside, else on PATH
    std::string executor;  ///< "opencl", "cuda", "cpu"
    std::string memory;    ///< of the device: "256M"
    bool shared = false;   ///< reach it through a second farlaned, for several processes
};

/// A farlaned of our own. Ended by its destructor; the kernel ends it when this program dies.
class Daemon {
public:
    /// Returns when it is ready. Throws farlane::Error with the last words of its log.
    Daemon(const std::string& program, const std::filesystem::path& folder, const std::string& name,
           const std::string& config);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

private:
    void wait_until_ready(int notices);
    void stop() noexcept;

    std::string log_;
    pid_t pid_ = -1;
    int exited_ = -1;  ///< pidfd: readable when it has ended
};

class OwnFabric {
public:
    /// Throws farlane::Error: not_found (no farlaned), and what a daemon died of.
    explicit OwnFabric(const OwnFabricOptions& options);
    ~OwnFabric();
    OwnFabric(const OwnFabric&) = delete;
    OwnFabric& operator=(const OwnFabric&) = delete;

    /// The accelerator is "accel0" there.
    [[nodiscard]] const farlane::FabricOptions& how_to_reach() const noexcept { return reach_; }

private:
    void start(const OwnFabricOptions& options);
    void clean_up() noexcept;

    std::filesystem::path folder_;
    std::mutex mutex_;  ///< of daemons_: an interrupt may come at any time
    std::vector<std::unique_ptr<Daemon>> daemons_;
    Interrupts interrupts_;
    farlane::FabricOptions reach_;
};

}  // namespace example

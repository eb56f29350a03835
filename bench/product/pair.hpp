// SPDX-License-Identifier: Apache-2.0
// Receives: a pair of port strings and a measurement. Hands on: its numbers.
// Owns: the two processes of one measurement, each on a core of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <farlane/fabric.hpp>

namespace farlane::bench {

struct PairConfig {
    std::string target_port;
    std::string initiator_port;
    std::string peer;
    bool integrity = true;
    /// The target exports "accel0" too, with this executor and 512 MiB; "" = it does not.
    std::string executor = {};
    unsigned time_limit_ms = 60'000;  ///< of its kernels, in workers
    bool pinned = true;               ///< each end has a core of its own; false: a target's workers have them all
    bool never_sleep = true;          ///< both ends have a core of their own; false: the target yields while it polls
};

/// Runs `measure` in a process of its own (core 0) against a target process (core 1) that exports
/// "scratch0" (tests/lane/scratch_device.hpp) and "echo0" (echo_device.hpp). Throws std::runtime_error with what went
/// wrong.
[[nodiscard]] std::vector<double> measure_pair(const PairConfig& config,
                                               const std::function<std::vector<double>(Fabric&)>& measure);

/// The target process alone, on core 1; gone with the object.
class TargetProcess {
public:
    explicit TargetProcess(const PairConfig& config);
    ~TargetProcess();
    TargetProcess(const TargetProcess&) = delete;
    TargetProcess& operator=(const TargetProcess&) = delete;

private:
    int pid_;
};

void pin_to(int cpu);

}  // namespace farlane::bench

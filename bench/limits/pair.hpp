// SPDX-License-Identifier: Apache-2.0
// Receives: a medium and two CPUs. Hands on: two pinned processes, one wire between them.
// Owns: the child process and the socket's directory.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "common.hpp"
#include "wire.hpp"

namespace limits {

/// What both processes see.
struct Shared {
    std::atomic<int> open{0};
    std::atomic<bool> done{false};
    alignas(64) std::atomic<std::uint64_t> received_frames{0};
    std::atomic<std::uint64_t> bad_frames{0};
    // Of the end that sends, whichever that is.
    std::atomic<std::int64_t> elapsed_ns{0};
    std::atomic<std::uint64_t> counted_frames{0};
};

/// Opens the wire in this process (end 0) and in a child (end 1), waits until both are up, runs
/// `near` here and `far` there. Returns what both have left.
const Shared& run_pair(const Options& options, const std::function<void(Wire&, Shared&)>& near,
                       const std::function<void(Wire&, Shared&)>& far);

}  // namespace limits

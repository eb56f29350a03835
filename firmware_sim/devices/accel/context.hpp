// SPDX-License-Identifier: Apache-2.0
// Receives: handles that the initiator chose. Hands on: what they stand for.
// Owns: the handle tables of one context.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/executor.hpp"
#include "devices/accel/hazards.hpp"

namespace farlane::firmware::accel {

inline constexpr std::uint32_t kMaxContexts = Pins::kContexts;
using backend::kMaxKernels;
using backend::kMaxModules;
inline constexpr std::uint32_t kMaxEvents = 1024;
inline constexpr std::uint32_t kMaxAllocations = 16384;
inline constexpr std::uint32_t kMaxStreams = 1;  // commands of a queue pair run in order

/// What several queue pairs share: memory (memory_map.hpp) and these handles. Lives from the
/// first enabled queue pair to the last.
struct Context {
    struct Module {
        bool used = false;
        bool loading = false;  ///< the executor works on it
    };
    struct Kernel {
        bool used = false;
        bool binding = false;
        std::uint32_t module = 0;  ///< handle
    };
    struct Event {
        std::uint64_t reached = 0;
        std::uint64_t failed = 0;  ///< highest value whose EVENT_RECORD failed, by command `culprit`
        std::uint32_t culprit = 0;
    };
    std::uint32_t queues = 0;  ///< not disabled
    std::uint32_t users = 0;   ///< of these, not being disabled
    bool closed = false;       ///< the executor was told that it ends
    bool wiped = false;        ///< its part was made zero, or is being
    bool lost_told = false;    ///< vector 0 was raised for that
    std::vector<Module> modules = std::vector<Module>(kMaxModules + 1);
    std::vector<Kernel> kernels = std::vector<Kernel>(kMaxKernels + 1);
    std::vector<Event> events = std::vector<Event>(kMaxEvents + 1);
    /// Nothing new may join, or it would find what was before: also when only one of several pairs does not let go.
    [[nodiscard]] bool ending() const noexcept { return queues != 0 && users == 0; }
};

[[nodiscard]] constexpr bool handle_in_range(std::uint32_t handle, std::uint32_t limit) noexcept {
    return handle >= 1 && handle <= limit;
}

}  // namespace farlane::firmware::accel

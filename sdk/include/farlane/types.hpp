// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: plain types that several public headers share.
// Owns: nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace farlane {

/// Which way a mapping may be used, seen from the device (as in Linux' DMA API).
enum class DmaDirection : std::uint8_t {
    to_device = 1,    ///< the device reads it
    from_device = 2,  ///< the device writes it
    bidirectional = 3,
};

struct BarInfo {
    std::uint64_t size_bytes = 0;  ///< 0 = the BAR is not there
    bool is_64bit = false;
    bool prefetchable = false;
};

enum class FunctionState : std::uint8_t { free, attached, grace, failed };

/// One remote function as its target describes it.
struct FunctionInfo {
    std::string name;    ///< "accel0", unique at its target
    std::string target;  ///< name of the target daemon, "" until known
    std::string model;   ///< for people
    std::string holder;  ///< name of the initiator that has it, "" = nobody
    std::uint16_t vendor_id = 0, device_id = 0, subsystem_vendor_id = 0, subsystem_id = 0;
    std::uint32_t class_code = 0;  ///< 24 bit
    std::uint8_t revision = 0;
    std::uint16_t msix_vectors = 0;
    std::uint64_t serial = 0;  ///< Device Serial Number capability; 0 = none
    FunctionState state = FunctionState::free;
    std::array<BarInfo, 6> bars{};
};

enum class EventKind : std::uint8_t {
    added,         ///< a function can be attached now
    removed,       ///< it no longer can
    attached,      ///< this fabric attached it
    detached,      ///< this fabric detached it
    link_up,       ///< the target answers
    link_down,     ///< the target is silent; functions are kept for the grace
    timeout,       ///< a request had no answer in time and completed all-ones
    resumed,       ///< an attachment goes on after an outage, nothing lost
    device_reset,  ///< the device lost its state
    device_lost,   ///< surprise removal
    error,         ///< the device reported an error (AER)
    path_up,       ///< a path to the target carries frames (again), beside others
    path_down,     ///< a path to the target is dead; another one goes on
};
[[nodiscard]] const char* event_name(EventKind kind) noexcept;

struct Event {
    EventKind kind = EventKind::added;
    std::string function;  ///< name, "" for link and path events
    std::string target;
    std::string detail;  ///< for people
    std::chrono::system_clock::time_point when{};
};

}  // namespace farlane

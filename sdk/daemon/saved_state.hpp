// SPDX-License-Identifier: Apache-2.0
// Receives: what must be known of an attachment after kill -9 of this daemon.
// Hands on: the same to the next daemon. Owns: one memory-mapped file per attachment.
// What is found in a file is checked before it is used: plausible().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <farlane/status.hpp>
#include <farlane/types.hpp>

#include "lib/daemon_ring.hpp"
#include "proto/tlp.hpp"

namespace farlane::daemon {

constexpr std::uint32_t kMaxMappings = 4096;     // = lane::DmaTable::kMaxRanges
constexpr std::uint32_t kMaxAnnouncements = 64;  // map and unmap not known to be released
constexpr std::uint32_t kMaxVectors = 2048;

/// SavedState::has_user of what several applications share: nothing of that outlives the daemon.
constexpr std::uint32_t kSharedUsers = 2;

struct SavedMapping {
    std::uint64_t bytes;  // 0 = free; written last
    std::uint64_t iova;
    std::uint64_t offset;
    std::uint64_t token;  // chosen by the application: a repeated request finds its mapping
    std::uint32_t buffer;
    std::uint32_t direction;
};

/// A map or unmap on its way to the target.
struct SavedAnnouncement {
    std::uint32_t code;  // FL_MSG_MAP or FL_MSG_UNMAP, 0 = free; written last
    std::uint32_t direction;
    std::uint64_t sequence;  // posted sequence, 0 = not given yet
    std::uint64_t iova;
    std::uint64_t bytes;
    std::uint64_t order;  // grows: which was first
};

/// The file. Every field is plain; one lane writes it, and only in an order in which a kill
/// between two stores leaves something true (saved_state.cpp and ledger.cpp say which).
struct SavedState {
    static constexpr std::uint64_t kMagic = 0x3154415441464c46;  // "FLFATAT1"
    std::uint64_t magic;
    std::uint32_t bytes;  // of this structure
    std::uint32_t id;
    char function_json[4096];
    std::uint16_t function_index, function_generation;
    std::uint32_t uid;
    std::uint32_t persistent;
    std::uint32_t has_user;  // an application held it; kSharedUsers: several did
    std::uint32_t vectors;
    std::uint32_t has_channel;
    std::array<std::uint8_t, 16> token;
    std::int64_t since_ms;  // system clock
    // channel
    std::uint32_t submit_entries, complete_entries, staging_bytes;
    std::uint32_t submit_tail;  // slots consumed
    std::uint32_t submit_released;
    std::uint32_t on_bus;  // the channel is the kernel module's
    std::uint64_t channel_inode;
    std::uint64_t next_iova;
    std::uint64_t next_order;
    SavedAnnouncement announcements[kMaxAnnouncements];
    SavedMapping mappings[kMaxMappings];

    [[nodiscard]] bool plausible() const noexcept;
    [[nodiscard]] channel::Geometry geometry() const noexcept {
        return {submit_entries, complete_entries, staging_bytes};
    }
    [[nodiscard]] proto::FunctionHandle handle() const noexcept { return {function_index, function_generation}; }
};

/// Stores that are seen in this order by whoever maps the file next.
template <class T>
inline void store_in_order(T& word, T value) noexcept {
    std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

class StateFile {
public:
    /// A new file in `directory`.
    [[nodiscard]] static Result<std::unique_ptr<StateFile>> create(const std::string& directory, std::uint32_t id);
    /// The same without a file: nothing of it outlives this process.
    [[nodiscard]] static Result<std::unique_ptr<StateFile>> nameless(std::uint32_t id);
    /// All files of an earlier daemon; those that are not plausible are removed and named in `bad`.
    [[nodiscard]] static std::vector<std::unique_ptr<StateFile>> find(const std::string& directory,
                                                                      std::vector<std::string>& bad);
    ~StateFile();
    StateFile(const StateFile&) = delete;
    StateFile& operator=(const StateFile&) = delete;

    [[nodiscard]] SavedState& state() noexcept { return *state_; }
    [[nodiscard]] const SavedState& state() const noexcept { return *state_; }
    /// The file goes when this object goes.
    void forget() noexcept { forget_ = true; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    StateFile(std::string path, SavedState* state) : path_(std::move(path)), state_(state) {}
    [[nodiscard]] static Result<std::unique_ptr<StateFile>> map(const std::string& path, bool fresh);
    void begin(std::uint32_t id) noexcept;
    std::string path_;
    SavedState* state_;
    bool forget_ = false;
};

}  // namespace farlane::daemon

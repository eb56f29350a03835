// SPDX-License-Identifier: Apache-2.0
// Receives: what the daemon itself writes to and reads from a device's BARs. Hands on: transactions, in the
// order they came. Owns: those that found no room, and the memory of what is read. Lane thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include "lane/initiator.hpp"

namespace farlane::daemon {

class BarAccess {
public:
    static constexpr std::size_t kReadBytes = 256;
    /// What waits for room at most before clients are asked to wait. Beyond it come only the few accesses that take
    /// something back.
    static constexpr std::size_t kMaxWaiting = 512;
    using Done = std::function<void(Status, std::span<const std::byte>)>;

    explicit BarAccess(lane::Attachment& device) noexcept : device_(device) {}

    void write32(unsigned bar, std::uint64_t offset, std::uint32_t value);
    void write64(unsigned bar, std::uint64_t offset, std::uint64_t value);
    /// At most kReadBytes; behind all writes before it. `done` runs once: ok, or all-ones and why.
    void read(unsigned bar, std::uint64_t offset, std::size_t bytes, Done done);

    /// Nothing more shall be begun for a client: the link is down, or the target does not keep up.
    [[nodiscard]] bool full() const noexcept { return waiting_.size() >= kMaxWaiting; }
    /// Gives what waits, as far as there is room. True = something was given.
    bool turn();
    void on_completion(std::uint64_t cookie, Status status);
    /// What was not given yet is not given any more; reads among it end with `status`.
    void drop_waiting(Status status);
    /// Everything that waits or is out ends with `status`; the device will not answer any more.
    void abandon(Status status);

private:
    struct Read {
        std::array<std::byte, kReadBytes> data{};
        std::size_t bytes = 0;
        Done done;
    };
    struct Op {
        unsigned bar = 0;
        std::uint64_t offset = 0, value = 0;
        std::size_t bytes = 0;
        std::unique_ptr<Read> read;  ///< null: a write
    };
    [[nodiscard]] Status give(Op& op);
    static void finish(const std::unique_ptr<Read>& read, Status status);

    lane::Attachment& device_;
    std::deque<Op> waiting_;
    std::map<std::uint64_t, std::unique_ptr<Read>> out_;  ///< by cookie
    std::uint64_t next_cookie_ = 1;
};

}  // namespace farlane::daemon

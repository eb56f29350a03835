// SPDX-License-Identifier: Apache-2.0
// Receives: what the daemon itself wants to know of a device. Hands on: configuration reads and
// writes beside those of the application. Owns: their buffers until they are answered.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "daemon/ledger.hpp"
#include "lane/initiator.hpp"

namespace farlane::daemon {

using ConfigSpace = std::array<std::byte, proto::kConfigBytes>;

/// Lane thread.
class OwnRequests {
public:
    using Done = std::function<void(Status, std::uint32_t value)>;
    using SpaceDone = std::function<void(Status, std::shared_ptr<ConfigSpace>)>;

    explicit OwnRequests(Ledger& ledger) noexcept : ledger_(ledger) {}

    [[nodiscard]] static bool mine(std::uint64_t cookie) noexcept { return (cookie & kMark) != 0; }
    void on_completion(std::uint64_t cookie, Status status) noexcept;

    /// One access of up to 4 bytes within a dword. would_block: the window is full, try later.
    [[nodiscard]] Status read(lane::Attachment& a, std::uint32_t offset, std::uint32_t bytes, Done done);
    [[nodiscard]] Status write(lane::Attachment& a, std::uint32_t offset, std::uint32_t bytes, std::uint32_t value,
                               Done done);
    /// The whole configuration space. It goes on by the completions of its own reads.
    void read_space(lane::Attachment& a, SpaceDone done);
    /// Something is out.
    [[nodiscard]] bool busy() const noexcept;
    /// Everything that is out ends with `status`; the attachment will not answer any more.
    void abandon(Status status);

private:
    static constexpr std::uint64_t kMark = std::uint64_t{1} << 63;
    static constexpr std::size_t kSlots = 64;
    static constexpr unsigned kSpaceBurst = 32;
    struct Slot {
        std::uint64_t cookie = 0;
        std::array<std::byte, 4> data{};
        Done done;
    };
    struct Space;

    [[nodiscard]] Status issue(lane::Attachment& a, proto::TlpType type, std::uint32_t offset, std::uint32_t bytes,
                               std::uint32_t value, Done done);
    void more(const std::shared_ptr<Space>& space);

    Ledger& ledger_;
    std::array<Slot, kSlots> slots_;
    std::uint64_t next_ = 1;
};

}  // namespace farlane::daemon

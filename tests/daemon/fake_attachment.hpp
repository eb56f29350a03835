// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of a channel. Hands on: them to the test, which answers and releases.
// Owns: what was submitted.
#pragma once

#include <cstring>
#include <vector>

#include "lane/initiator.hpp"

namespace farlane::test {

class FakeAttachment final : public lane::Attachment {
public:
    struct Record {
        proto::Tlp tlp;
        std::uint64_t cookie = 0;
        std::uint64_t sequence = 0;
        std::vector<std::byte> payload;
        std::span<std::byte> into;
    };
    std::vector<Record> posted, requests;
    std::uint64_t next[proto::kClasses] = {1, 1, 1};
    Status next_status = Status::ok;  ///< of the next submit or request
    std::size_t window = 1 << 20;     ///< records in all, then would_block
    lane::AttachmentState now = lane::AttachmentState::ready;
    unsigned hurries = 0;
    lane::DmaTable mapped;
    FunctionInfo description;

    [[nodiscard]] const FunctionInfo& info() const noexcept override { return description; }
    [[nodiscard]] lane::AttachmentState state() const noexcept override { return now; }
    [[nodiscard]] lane::PeerId peer() const noexcept override { return 0; }
    [[nodiscard]] proto::FunctionHandle handle() const noexcept override { return {1, 1}; }
    void set_sink(lane::AttachmentSink*) noexcept override {}
    [[nodiscard]] Status submit(const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                                bool) noexcept override {
        if (const Status s = take(); s != Status::ok) return s;
        posted.push_back({tlp, cookie, next[FL_CLASS_POSTED]++, {payload.begin(), payload.end()}, {}});
        return Status::ok;
    }
    [[nodiscard]] Status request(const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                                 std::uint64_t cookie) noexcept override {
        if (const Status s = take(); s != Status::ok) return s;
        requests.push_back({tlp, cookie, next[FL_CLASS_NON_POSTED]++, {operand.begin(), operand.end()}, into});
        return Status::ok;
    }
    [[nodiscard]] bool posted_drained() const noexcept override { return true; }
    [[nodiscard]] std::uint64_t posted_submitted() const noexcept override { return next[FL_CLASS_POSTED] - 1; }
    [[nodiscard]] std::uint64_t posted_released() const noexcept override { return 0; }
    [[nodiscard]] std::uint64_t next_sequence(proto::RecordClass c) const noexcept override {
        return next[static_cast<unsigned>(c)];
    }
    void hurry() noexcept override { ++hurries; }
    void resubmitted() noexcept override {}
    [[nodiscard]] Status map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction, bool may_vanish,
                             std::uint32_t pasid) override {
        return mapped.add({iova, host.size(), direction, host.data(), 0, may_vanish, pasid});
    }
    [[nodiscard]] Status unmap(std::uint64_t iova, std::uint32_t pasid) noexcept override {
        return mapped.remove(pasid, iova);
    }
    [[nodiscard]] std::size_t unsent_announcements() const noexcept override { return 0; }
    [[nodiscard]] Status use_memory(lane::HostMemory&) override { return Status::ok; }
    void forget_memory() noexcept override {}
    void allow_interrupts(std::uint32_t) noexcept override {}
    void acknowledge_reset() noexcept override {}
    [[nodiscard]] const lane::AttachmentCounters& counters() const noexcept override { return counters_; }
    [[nodiscard]] const proto::FunctionCounters& function_counters() const noexcept override { return records_; }

private:
    Status take() noexcept {
        if (posted.size() + requests.size() >= window) return Status::would_block;
        return std::exchange(next_status, Status::ok);
    }
    lane::AttachmentCounters counters_;
    proto::FunctionCounters records_{};
};

}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of one of several clients of an accelerator. Hands on: those that touch nothing but
// what is the client's, and what comes back. Owns: the list of what is the client's.
// docs/control-socket.md, "Sharing". This is the border between applications: nothing here trusts them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <vector>

#include "daemon/reply.hpp"
#include "lane/initiator.hpp"

namespace farlane::daemon {

class Sharing;

/// A part of a BAR that a client may reach.
struct ShareWindow {
    unsigned bar = 0;
    std::uint64_t first = 0, bytes = 0;
    bool readable = false, writable = false;
    std::uint64_t owner = 0;  ///< whose: goes with it; 0: there for ever
};

/// One client's part of a shared attachment; to its holding it is the attachment. Lane thread.
class Share final : public lane::Attachment {
public:
    /// Cookies of its records have its number here; cookies with 0 are farlaned's own.
    static constexpr unsigned kNumberShift = 48;
    static constexpr std::uint32_t kMaxNumber = (1U << 14) - 1;
    /// So that nobody takes those that others need: an attachment has lane::DmaTable::kMaxRanges in all.
    static constexpr std::size_t kMaxMappings = 128;
    [[nodiscard]] static std::uint32_t number_of(std::uint64_t cookie) noexcept {
        return static_cast<std::uint32_t>(cookie >> kNumberShift) & kMaxNumber;
    }

    /// `number`, from 1 on, is its PASID as well.
    Share(lane::Attachment& device, Sharing& sharing, std::uint32_t number, Client client);

    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
    [[nodiscard]] std::uint64_t cookie_mark() const noexcept { return std::uint64_t{number_} << kNumberShift; }
    [[nodiscard]] const Client& client() const noexcept { return client_; }
    /// Null when the device is gone.
    [[nodiscard]] Sharing* sharing() const noexcept { return sharing_; }

    // --- by Sharing
    void add_window(const ShareWindow& window) { windows_.push_back(window); }
    void remove_windows(std::uint64_t owner) noexcept;
    void remove_all_windows() noexcept { windows_.clear(); }
    /// Records that it may have on the way at a time, so that nobody keeps the others' out.
    void set_quota(std::uint32_t posted, std::uint32_t requests) noexcept;
    /// Nothing passes any more; what is on its way goes on.
    void close() noexcept { closed_ = true; }
    [[nodiscard]] bool drained() const noexcept { return posted_out_ == 0 && requests_out_ == 0; }
    /// Every mapping goes, also where the target does not answer.
    void unmap_all() noexcept;
    /// The device lost its state: refused until accept_reset().
    void device_reset() noexcept;
    void accept_reset() noexcept { reset_ = false; }
    /// The device is gone, and this is the last that is heard of it.
    void device_gone() noexcept;
    void on_completion(std::uint64_t cookie, Status status) noexcept;
    void on_released(std::uint64_t cookie) noexcept;
    void on_interrupt(std::uint32_t vector) noexcept;
    void on_event(EventKind kind, const std::string& detail) noexcept;

    // --- looks
    [[nodiscard]] std::uint64_t mapped_bytes() const noexcept { return mapped_bytes_; }
    [[nodiscard]] std::uint64_t pushed_bytes() const noexcept { return pushed_bytes_; }
    [[nodiscard]] std::uint64_t violations() const noexcept { return violations_; }

    // --- Attachment
    [[nodiscard]] const FunctionInfo& info() const noexcept override { return info_; }
    [[nodiscard]] lane::AttachmentState state() const noexcept override;
    [[nodiscard]] lane::PeerId peer() const noexcept override { return peer_; }
    [[nodiscard]] proto::FunctionHandle handle() const noexcept override { return handle_; }
    void set_sink(lane::AttachmentSink* sink) noexcept override { sink_ = sink; }
    [[nodiscard]] Status submit(const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                                bool notify) noexcept override;
    [[nodiscard]] Status request(const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                                 std::uint64_t cookie) noexcept override;
    [[nodiscard]] bool posted_drained() const noexcept override { return posted_out_ == 0; }
    [[nodiscard]] std::uint64_t posted_submitted() const noexcept override { return next_[FL_CLASS_POSTED] - 1; }
    [[nodiscard]] std::uint64_t posted_released() const noexcept override;
    [[nodiscard]] std::uint64_t next_sequence(proto::RecordClass c) const noexcept override {
        return next_[static_cast<unsigned>(c)];
    }
    void hurry() noexcept override;
    void resubmitted() noexcept override {}
    using Attachment::map;
    using Attachment::unmap;
    /// The PASID is its own, whatever is said.
    [[nodiscard]] Status map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction, bool may_vanish,
                             std::uint32_t pasid) override;
    [[nodiscard]] Status unmap(std::uint64_t iova, std::uint32_t pasid) noexcept override;
    [[nodiscard]] std::size_t unsent_announcements() const noexcept override { return 0; }
    [[nodiscard]] Status use_memory(lane::HostMemory&) override { return Status::unsupported; }
    void forget_memory() noexcept override {}
    void allow_interrupts(std::uint32_t count) noexcept override { vectors_ = count; }
    void acknowledge_reset() noexcept override {}
    [[nodiscard]] const lane::AttachmentCounters& counters() const noexcept override { return counters_; }
    [[nodiscard]] const proto::FunctionCounters& function_counters() const noexcept override { return records_; }

private:
    struct Mapped {
        std::uint64_t iova, bytes;
        friend bool operator<(const Mapped& a, const Mapped& b) noexcept { return a.iova < b.iova; }
    };
    /// An announcement: its place among this client's posted records, and among the device's.
    struct Mark {
        std::uint64_t own, device;
    };
    [[nodiscard]] bool allows(const proto::Tlp& tlp, bool write) noexcept;
    [[nodiscard]] Status usable() const noexcept;
    [[nodiscard]] Status violated() noexcept;
    void announced() noexcept;

    lane::Attachment* device_;  ///< null when it is gone
    Sharing* sharing_;
    std::uint32_t number_;
    Client client_;
    FunctionInfo info_;
    lane::PeerId peer_;
    proto::FunctionHandle handle_;
    lane::AttachmentSink* sink_ = nullptr;
    std::vector<ShareWindow> windows_;
    std::size_t last_hit_ = 0;
    std::set<Mapped> mapped_;
    mutable std::deque<Mark> marks_;
    std::uint64_t next_[proto::kClasses] = {1, 1, 1};  ///< numbers of its own: nobody resumes it
    std::uint32_t posted_quota_ = 1, request_quota_ = 1;
    std::uint32_t posted_out_ = 0, requests_out_ = 0;
    std::uint32_t vectors_ = 0;
    std::uint64_t mapped_bytes_ = 0, pushed_bytes_ = 0, violations_ = 0;
    lane::AttachmentCounters counters_;
    proto::FunctionCounters records_{};
    bool closed_ = false;
    bool reset_ = false;
};

}  // namespace farlane::daemon

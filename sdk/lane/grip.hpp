// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of an application and of the remote device. Hands on: the former to
// the session, the latter to mapped memory and interrupts. Owns: the initiator's side of one
// function and its DMA table.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lane/initiator.hpp"
#include "proto/slab.hpp"

namespace farlane::lane {

[[nodiscard]] FunctionInfo to_info(const fl_function_desc& desc, const std::string& target);

class alignas(64) Grip final : public Attachment, public proto::FunctionHandler, public proto::Slabbed {
public:
    /// `waiting` of all grips of a role: set when this one may have come to wait, see waits().
    Grip(Lane& lane, bool& waiting, PeerId peer, std::string name, proto::FunctionPlace place,
         const proto::FunctionLimits& limits);
    ~Grip() override;

    // --- life, by Initiator
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] proto::Session* session() const noexcept { return session_; }
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }
    /// Completion timeouts while no session looks after them. kNever = none is due ever.
    [[nodiscard]] Time next_timeout() const noexcept;
    /// It has a deadline or may get a timeout.
    [[nodiscard]] bool waits() const noexcept { return deadline_ != kNever || session_ == nullptr; }
    void on_timeout(Time now) noexcept;
    /// The target said yes.
    [[nodiscard]] Status start(proto::Session& s, const proto::AttachReply& r, const std::string& target);
    /// Takes up what an earlier life of the daemon left; resume() follows.
    [[nodiscard]] Status adopt(const SavedAttachment& saved);
    [[nodiscard]] proto::AttachRequest resume_request(std::uint32_t request) const;
    /// The target took it up again (kept) or made it new (not kept: device_reset).
    [[nodiscard]] Status resume(proto::Session& s, const proto::AttachReply& r, const std::string& target);
    /// Session silent (`unbind` false) or gone; lost when `deadline` passes.
    void down(Time deadline, bool unbind, const std::string& why) noexcept;
    void up() noexcept;
    /// A clean stop: the next life of this daemon takes the attachment up from its memory.
    void leave() noexcept { left_ = true; }
    void lose(const std::string& why) noexcept;

    // Attachment
    [[nodiscard]] const FunctionInfo& info() const noexcept override { return info_; }
    [[nodiscard]] AttachmentState state() const noexcept override { return state_; }
    [[nodiscard]] PeerId peer() const noexcept override { return peer_; }
    [[nodiscard]] proto::FunctionHandle handle() const noexcept override { return {memory_.index, memory_.generation}; }
    void set_sink(AttachmentSink* sink) noexcept override { sink_ = sink; }
    [[nodiscard]] Status submit(const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                                bool notify) noexcept override;
    [[nodiscard]] Status request(const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                                 std::uint64_t cookie) noexcept override;
    [[nodiscard]] Status ask(const proto::Tlp& tlp, std::span<std::byte> into, std::uint64_t cookie) noexcept override;
    [[nodiscard]] bool posted_drained() const noexcept override;
    [[nodiscard]] std::uint64_t posted_submitted() const noexcept override;
    [[nodiscard]] std::uint64_t posted_released() const noexcept override;
    [[nodiscard]] std::uint64_t next_sequence(proto::RecordClass c) const noexcept override;
    void hurry() noexcept override;
    void resubmitted() noexcept override;
    using Attachment::map;
    using Attachment::unmap;
    [[nodiscard]] Status map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction, bool may_vanish,
                             std::uint32_t pasid) override;
    [[nodiscard]] Status unmap(std::uint64_t iova, std::uint32_t pasid) noexcept override;
    [[nodiscard]] std::size_t unsent_announcements() const noexcept override { return announcements_.size(); }
    [[nodiscard]] Status use_memory(HostMemory& memory) override;
    void forget_memory() noexcept override;
    void allow_interrupts(std::uint32_t count) noexcept override { vectors_ = count; }
    void acknowledge_reset() noexcept override;
    [[nodiscard]] const AttachmentCounters& counters() const noexcept override { return counters_; }
    [[nodiscard]] const proto::FunctionCounters& function_counters() const noexcept override;

    // FunctionHandler
    void on_posted(proto::Function& f, const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept override;
    void on_relaxed(proto::Function& f, const proto::Tlp& tlp, std::uint32_t offset_bytes,
                    std::span<const std::byte> payload) noexcept override;
    proto::Answer on_request(proto::Function& f, const proto::Tlp& tlp, std::span<const std::byte> payload,
                             proto::RequestId id, std::span<std::byte> result, Status& status) noexcept override;
    [[nodiscard]] Status fetch(proto::Function& f, std::uint64_t address, std::uint32_t pasid,
                               std::uint32_t offset_bytes, std::span<std::byte> out) noexcept override;
    void on_completion(proto::Function& f, std::uint64_t cookie, Status status) noexcept override;
    void on_released(proto::Function& f, std::uint64_t cookie) noexcept override;
    void on_event(proto::Function& f, proto::FunctionEvent e, const proto::Tlp* about) noexcept override;

private:
    [[nodiscard]] proto::FunctionPlace place() noexcept { return {memory_, counts_}; }
    [[nodiscard]] Status usable(const proto::Tlp& tlp) const noexcept;
    [[nodiscard]] Status announce(std::uint8_t code, const DmaRange& range) noexcept;
    void on_msi(const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept;
    void on_message(const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept;
    [[nodiscard]] Status ask_memory(const proto::Tlp& tlp, std::span<const std::byte> payload,
                                    std::span<std::byte> result) noexcept;
    void tell(EventKind kind, const std::string& detail) noexcept;

    // Announcements that found the window full; sent by the next submit.
    struct Announcement {
        std::uint8_t code;
        DmaRange range;
    };
    [[nodiscard]] bool send_announcements() noexcept;

    // What a write needs is first: of thousands of attachments each is used now and then, and then its cache lines
    // have to come from far away.
    std::optional<proto::Function> function_;
    Lane& lane_;
    Time asked_{};           ///< the last ask()
    bool in_a_row_ = false;  ///< and the one before it were close together
    std::vector<Announcement> announcements_;
    AttachmentState state_ = AttachmentState::attaching;
    bool& waiting_;
    PeerId peer_;
    std::string name_;
    proto::FunctionMemory& memory_;
    proto::FunctionCounts& counts_;
    proto::FunctionLimits limits_;
    proto::Session* session_ = nullptr;
    AttachmentSink* sink_ = nullptr;
    FunctionInfo info_;
    DmaTable dma_;
    HostMemory* host_ = nullptr;  ///< set: nothing of dma_ is touched, it only stands for the announcement
    AttachmentCounters counters_;
    std::uint32_t vectors_ = 0;
    Time deadline_ = kNever;
    bool left_ = false;
    bool adopted_ = false;    ///< records that were not released are forgotten here
    bool forgotten_ = false;  ///< and so is the attachment itself: it is asked for anew
};

}  // namespace farlane::lane

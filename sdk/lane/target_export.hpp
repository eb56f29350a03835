// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of the initiator that has a function, DMA of its device.
// Hands on: accesses to the device, records to the initiator. Owns: the device, its side of
// the attachment, and the table of what the device may reach.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "backend/backend.hpp"
#include "lane/dma_table.hpp"
#include "lane/lane.hpp"
#include "lane/target.hpp"
#include "proto/slab.hpp"

namespace farlane::lane {

/// Who has an export; outlives the daemon beside the function's memory. Hostile when adopted.
struct ExportRecord {
    static constexpr std::uint64_t kMagic = 0x3154524f50584c46;  // "FLXPORT1"
    std::uint64_t magic;
    proto::Instance holder;
    char holder_name[FL_NAME_BYTES];
    std::uint16_t generation;  ///< last one given
    std::uint16_t attached;
    std::uint32_t reserved;
};

/// One exported function at its target.
class alignas(64) Export final : public proto::FunctionHandler, public backend::HostPort, public proto::Slabbed {
public:
    enum class State : std::uint8_t {
        free,      ///< nobody has it
        attached,  ///< bound to a session
        grace,     ///< its initiator is silent or gone; kept until deadline()
    };

    Export(Lane& lane, WorkingExports& working, std::string name, std::unique_ptr<backend::Device> device,
           proto::FunctionPlace place, ExportRecord& record, const proto::FunctionLimits& limits);
    ~Export() override;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }
    [[nodiscard]] proto::FunctionHandle handle() const noexcept { return {index_, record_.generation}; }
    [[nodiscard]] proto::Session* session() const noexcept { return session_; }
    [[nodiscard]] proto::Function* function() noexcept { return function_ ? &*function_ : nullptr; }
    [[nodiscard]] bool held_by(const proto::Instance& who) const noexcept;
    [[nodiscard]] fl_function_desc describe() const noexcept;
    [[nodiscard]] ExportStatus status() const noexcept;
    [[nodiscard]] const backend::Device& device() const noexcept { return *device_; }
    [[nodiscard]] std::string holder_name() const;

    /// Takes up what an earlier life of the daemon left. False = nothing of use there.
    bool adopt(std::uint16_t index, Time now, Duration grace);
    /// A fresh attachment.
    [[nodiscard]] Status attach(std::uint16_t index, proto::Session& s, const proto::PeerInfo& peer, Time now);
    /// The attachment goes on in session `s`. `reply` gets what this side has released.
    /// False = the device's state is gone.
    [[nodiscard]] bool resume(proto::Session& s, const proto::AttachRequest& r, proto::AttachReply& reply, Time now);
    /// Its session is silent or gone: keep everything until `deadline`.
    void enter_grace(Time deadline, bool unbind, Time now) noexcept;
    void leave_grace() noexcept;
    /// The one teardown: revoke mappings, stop and scrub the device, forget the holder.
    void release(Status why, Time now) noexcept;

    /// Lets the device work.
    bool turn() noexcept;
    /// It may have work: it is turned until it has none. Called for all that reaches the device.
    void touch() noexcept {
        if (listed_) return;
        listed_ = true;
        working_.list.push_back(this);
    }
    void unlist() noexcept { listed_ = false; }
    [[nodiscard]] bool listed() const noexcept { return listed_; }
    /// What people have to hear of the device.
    struct News {
        const char* what;
        std::string detail;
        unsigned event_code;  ///< for who has the function, too; 0 = for this host only
    };
    /// The next of them, each kind at most once a second; nullopt = none is due.
    [[nodiscard]] std::optional<News> news(Time now);
    [[nodiscard]] Time next_news() const noexcept;
    /// Completion timeouts while no session looks after them. kNever = none is due ever.
    [[nodiscard]] Time next_timeout() const noexcept;
    /// It has a deadline, or news, or may get a timeout: WorkingExports::waiting has to say so.
    [[nodiscard]] bool waits() const noexcept;
    void on_timeout(Time now) noexcept;
    [[nodiscard]] bool busy() const noexcept;

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

    // HostPort
    [[nodiscard]] Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed,
                                   std::uint64_t cookie, bool notify, std::uint32_t pasid) noexcept override;
    [[nodiscard]] Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                                  std::uint32_t pasid) noexcept override;
    [[nodiscard]] Status interrupt(std::uint64_t address, std::uint32_t data) noexcept override;
    [[nodiscard]] Status error(std::uint32_t severity, std::uint32_t source) noexcept override;
    [[nodiscard]] std::uint64_t writes_submitted() const noexcept override;
    [[nodiscard]] std::uint64_t writes_released() const noexcept override;
    void hurry() noexcept override;
    [[nodiscard]] std::int64_t now_ns() const noexcept override;
    void wake() noexcept override;

private:
    [[nodiscard]] bool in_bar(const proto::Tlp& tlp) const noexcept;
    [[nodiscard]] bool bus_master() const noexcept { return (command_ & 0x4) != 0; }
    [[nodiscard]] proto::FunctionPlace place() noexcept { return {memory_, counts_}; }
    void read_command() noexcept;
    void on_map(const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept;
    [[nodiscard]] Status config_request(const proto::Tlp& tlp, std::span<const std::byte> payload,
                                        std::span<std::byte> result) noexcept;
    [[nodiscard]] Status atomic(const proto::Tlp& tlp, std::span<const std::byte> payload,
                                std::span<std::byte> result) noexcept;
    void rebuild_maps() noexcept;
    void refuse_dma(std::uint64_t iova, std::size_t bytes) noexcept;
    void firmware_answers(bool yes) noexcept;
    [[nodiscard]] bool has_refusals() const noexcept { return counters_.dma_refused != refusals_told_; }

    // What a write needs is first: of thousands of exports each is used now and then, and then its cache lines have to
    // come from far away.
    WorkingExports& working_;
    std::unique_ptr<backend::Device> device_;
    std::optional<proto::Function> function_;
    std::uint16_t index_ = 0;
    std::uint16_t command_ = 0;  ///< the device's command register, cached
    State state_ = State::free;
    bool listed_ = false;
    std::atomic<bool> wake_{false};
    std::uint64_t bar_bytes_[6] = {};
    Lane& lane_;
    std::string name_;
    proto::FunctionMemory& memory_;
    proto::FunctionCounts& counts_;
    ExportRecord& record_;
    proto::FunctionLimits limits_;
    proto::Session* session_ = nullptr;
    DmaTable maps_;
    ExportStatus counters_;
    Time deadline_ = kNever;
    bool adopted_ = false;  ///< device not restored yet
    bool failed_ = false;   ///< its firmware left a read without an answer
    bool failure_told_ = false;
    Time failure_told_at_{}, refusal_told_at_{};
    std::uint64_t refusals_told_ = 0;
    std::uint64_t refused_iova_ = 0;  ///< of the last one
    std::size_t refused_bytes_ = 0;
};

}  // namespace farlane::lane

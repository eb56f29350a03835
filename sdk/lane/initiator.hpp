// SPDX-License-Identifier: Apache-2.0
// Receives: attach requests of applications, transactions of attached functions.
// Hands on: what targets answer, the devices' DMA (into mapped memory) and interrupts.
// Owns: the sessions to targets, the attachments and their DMA tables.
// docs/architecture.md, "Initiator".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <farlane/types.hpp>

#include "backend/backend.hpp"
#include "lane/dma_table.hpp"
#include "lane/host_memory.hpp"
#include "lane/lane.hpp"

namespace farlane::lane {

using PeerId = std::uint32_t;

/// MSI address that Farlane programs into devices; the message data is the vector.
constexpr std::uint64_t kMsiAddress = 0xfee00000;

/// What the user of a function hears, at both ends, when its firmware answers no more.
inline constexpr char kFirmwareHangs[] = "its firmware does not answer; a function level reset brings it back";

struct InitiatorConfig {
    proto::SessionConfig session;  ///< instance, incarnation, name, keep-alive, grace
    proto::FunctionLimits limits;
    Duration attach_timeout = std::chrono::seconds(5);
    Duration reconnect_delay = std::chrono::milliseconds(100);
};

enum class AttachmentState : std::uint8_t {
    attaching,  ///< asked, no answer yet
    ready,      ///< in use
    down,       ///< session silent or gone; kept for the grace, resumed when it is back
    reset,      ///< device lost its state; refuses work until acknowledge_reset()
    lost,       ///< gone for good
};

class Attachment;

/// The user of an attachment: the embedded provider or a channel. Lane thread.
class AttachmentSink {
public:
    virtual ~AttachmentSink() = default;
    virtual void on_completion(std::uint64_t cookie, Status status) noexcept = 0;
    virtual void on_released(std::uint64_t cookie) noexcept = 0;
    virtual void on_interrupt(std::uint32_t vector) noexcept = 0;
    /// timeout, link_down, resumed, device_reset, device_lost, error
    virtual void on_event(EventKind kind, const std::string& detail) noexcept = 0;
    /// FL_MSG_ERROR of the device, as it came; on_event(error) follows.
    virtual void on_device_error(std::uint32_t severity, std::uint32_t source) noexcept {
        (void)severity;
        (void)source;
    }
};

struct AttachmentCounters {
    std::uint64_t dma_writes = 0, dma_reads = 0, dma_refused = 0;
    std::uint64_t interrupts = 0, interrupts_refused = 0;
};

/// One attached function at the initiator. Lane thread; lives until Initiator::detach is done.
class Attachment {
public:
    virtual ~Attachment() = default;
    [[nodiscard]] virtual const FunctionInfo& info() const noexcept = 0;
    [[nodiscard]] virtual AttachmentState state() const noexcept = 0;
    [[nodiscard]] virtual PeerId peer() const noexcept = 0;
    [[nodiscard]] virtual proto::FunctionHandle handle() const noexcept = 0;
    virtual void set_sink(AttachmentSink* sink) noexcept = 0;

    /// See proto::Function. device_lost, device_reset when it is so; BAR bounds are checked here.
    [[nodiscard]] virtual Status submit(const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                                        bool notify) noexcept = 0;
    [[nodiscard]] virtual Status request(const proto::Tlp& tlp, std::span<const std::byte> operand,
                                         std::span<std::byte> into, std::uint64_t cookie) noexcept = 0;
    /// request() of a read by somebody who waits for its answer now: it leaves at once, if nothing else is there.
    [[nodiscard]] virtual Status ask(const proto::Tlp& tlp, std::span<std::byte> into, std::uint64_t cookie) noexcept {
        return request(tlp, {}, into, cookie);
    }
    [[nodiscard]] virtual bool posted_drained() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t posted_submitted() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t posted_released() const noexcept = 0;
    /// Sequence that the next posted / non-posted record gets (a channel notes it in its slot).
    [[nodiscard]] virtual std::uint64_t next_sequence(proto::RecordClass c) const noexcept = 0;
    virtual void hurry() noexcept = 0;
    /// After a resume of an earlier life: what it had in flight has been submitted again (proto::Function).
    virtual void resubmitted() noexcept = 0;

    /// Lets the device reach `host`. The announcement goes out in order with the posted writes.
    /// `may_vanish`: it need not be there when the device comes; what is not there is refused, and so are
    /// atomics. Each `pasid` is an address space of its own, 0 the function's: only DMA that carries the PASID
    /// reaches it. Errors: invalid, busy (overlap), limit, would_block (posted window full).
    [[nodiscard]] virtual Status map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction,
                                     bool may_vanish, std::uint32_t pasid) = 0;
    [[nodiscard]] Status map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction,
                             bool may_vanish = false) {
        return map(iova, host, direction, may_vanish, 0);
    }
    /// From here on no byte of it is touched.
    [[nodiscard]] virtual Status unmap(std::uint64_t iova, std::uint32_t pasid) noexcept = 0;
    [[nodiscard]] Status unmap(std::uint64_t iova) noexcept { return unmap(iova, 0); }
    /// Maps and unmaps that the target has not been told of yet. They go out before anything that is submitted
    /// later: the last of them gets the sequence next_sequence(posted) - 1 + this.
    [[nodiscard]] virtual std::size_t unsent_announcements() const noexcept = 0;
    /// From here on DMA goes to `memory`, which decides what the device may reach, and the target is told
    /// that it may reach everything. Interrupts count at any address then: who programs vectors is who has
    /// the memory. Errors: as map().
    [[nodiscard]] virtual Status use_memory(HostMemory& memory) = 0;
    /// Back to the table of spans, which is empty: `memory` is not called any more.
    virtual void forget_memory() noexcept = 0;
    /// Vectors 0..count-1 may be raised by the device (the MSI-X table is the caller's).
    virtual void allow_interrupts(std::uint32_t count) noexcept = 0;
    virtual void acknowledge_reset() noexcept = 0;
    [[nodiscard]] virtual const AttachmentCounters& counters() const noexcept = 0;
    [[nodiscard]] virtual const proto::FunctionCounters& function_counters() const noexcept = 0;
};

/// An attachment of an earlier life of this daemon (same instance), to be taken up again. Once it
/// is, next_sequence() says where the target stands: what it has not released (posted) or not
/// executed (non-posted) has that sequence or a higher one, and is to be submitted again in order.
struct SavedAttachment {
    std::string name;
    proto::FunctionHandle handle{};
    FunctionInfo info;
    std::uint32_t interrupt_vectors = 0;
    std::vector<DmaRange> mappings;  ///< local ones; the target still knows them
    HostMemory* memory = nullptr;    ///< instead of mappings: see Attachment::use_memory
};

/// One way to a target.
struct PeerPath {
    PortId port = 0;
    transport::Address to;
    std::string address;  ///< for people
};

/// port and address are those of its first path.
struct PeerStatus {
    PeerId id = 0;
    std::string name;  ///< of the target, "" until known
    std::string address;
    std::string port;
    proto::SessionState state = proto::SessionState::idle;
    Status why = Status::ok;
    proto::Session* session = nullptr;
};

class Grip;  // the Attachment there is

/// The initiator role of a lane. Everything from the lane's thread; results come by callback,
/// exactly once, from the lane's thread.
class Initiator final : public Task, public proto::SessionHandler {
public:
    using ListDone = std::function<void(Result<std::vector<FunctionInfo>>)>;
    using AttachDone = std::function<void(Result<Attachment*>)>;
    using Done = std::function<void(Status)>;

    /// `memory` holds the function state; directory_memory for a daemon, process_memory embedded.
    Initiator(Lane& lane, InitiatorConfig config, backend::Memory& memory);
    ~Initiator() override;

    /// Keeps a session to a target: opens it and opens it again whenever it is gone.
    PeerId connect(PortId port, const transport::Address& to, const std::string& address_text);
    /// The same over several paths, at least one: the session spreads its frames over those that are up.
    PeerId connect(std::vector<PeerPath> paths);
    [[nodiscard]] std::vector<PeerStatus> peers() const;
    /// Functions of all peers that answer; those that do not within `timeout` are left out
    /// (unreachable when none does).
    void list(Duration timeout, ListDone done);
    /// Attaches `name`, or `target/name` when several targets export the same name. unreachable when
    /// no target has answered within `timeout` (default: attach_timeout).
    void attach(const std::string& name, AttachDone done, std::optional<Duration> timeout = std::nullopt);
    /// Takes a saved attachment up again once its target answers.
    void resume(const SavedAttachment& saved, AttachDone done);
    /// Detaches: waits for the target's word, at most attach_timeout. The attachment is gone
    /// when `done` is called.
    void detach(Attachment& a, Done done);
    /// All attachments.
    void each(const std::function<void(Attachment&)>& f);
    void on_watch(std::function<void(const Event&)> watcher);
    /// Says goodbye; with `keep` the target keeps attachments for the grace.
    void close(bool keep) noexcept;

    // Task
    bool turn(Time now) noexcept override;
    [[nodiscard]] Time next_timer() const noexcept override;
    [[nodiscard]] bool polls() const noexcept override { return false; }
    // SessionHandler
    void on_state(proto::Session& s, proto::SessionState state, Status why) noexcept override;
    void on_path(proto::Session& s, proto::PathId path, proto::PathState state) noexcept override;
    void on_list(proto::Session&, std::uint32_t) noexcept override {}
    void on_list_reply(proto::Session& s, std::uint32_t request, unsigned index, unsigned count,
                       const fl_function_desc& desc) noexcept override;
    void on_attach(proto::Session&, const proto::AttachRequest&) noexcept override {}
    void on_attach_reply(proto::Session& s, const proto::AttachReply& r) noexcept override;
    void on_detach(proto::Session& s, std::uint32_t request, proto::FunctionHandle h, Status why) noexcept override;
    void on_detach_reply(proto::Session& s, std::uint32_t request, proto::FunctionHandle h,
                         Status status) noexcept override;
    void on_event(proto::Session& s, unsigned event_code, proto::FunctionHandle h,
                  const fl_function_desc& desc) noexcept override;

private:
    struct Peer;
    struct Pending;
    struct Listing;

    [[nodiscard]] Peer* peer_of(const proto::Session& s) noexcept;
    [[nodiscard]] Grip* grip_of(const proto::Session& s, proto::FunctionHandle h) noexcept;
    [[nodiscard]] Result<Peer*> choose_peer(std::string& name);
    void open_session(Peer& peer);
    void went_down(Peer& peer) noexcept;
    void came_up(Peer& peer) noexcept;
    void ask(Pending& p, Peer& peer) noexcept;
    bool turn_grips(Time now) noexcept;
    void attached(Pending& p, proto::Session& s, const proto::AttachReply& r);
    void resumed(Pending& p, proto::Session& s, const proto::AttachReply& r);
    void fail(std::uint32_t request, Status status, const std::string& detail);
    [[nodiscard]] Result<Grip*> make_grip(Peer& peer, const std::string& name);
    void lose(Grip& g, const std::string& why);
    void finish_listing(Listing& l);
    void tell(EventKind kind, const std::string& function, const Peer& peer, const std::string& detail);
    void attach_at(Peer& peer, const std::string& name, Time deadline, AttachDone done);

    Lane& lane_;
    InitiatorConfig config_;
    backend::Memory& memory_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<Grip>> grips_;
    bool grips_wait_ = false;  ///< one may have a deadline: there are thousands, and nobody looks at each without need
    std::vector<std::unique_ptr<Pending>> pending_;
    std::vector<std::unique_ptr<Listing>> listings_;
    std::function<void(const Event&)> watcher_;
    std::uint32_t next_request_ = 1;
    bool closing_ = false;
};

}  // namespace farlane::lane

// SPDX-License-Identifier: Apache-2.0
// Receives: hellos, attach requests and transactions of initiators. Hands on: accesses to
// devices, and the devices' DMA and interrupts. Owns: the exported devices and who has them.
// docs/architecture.md, "Target".
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.hpp"
#include "lane/lane.hpp"

namespace farlane::lane {

struct TargetConfig {
    proto::SessionConfig session;  ///< instance, incarnation, name, keep-alive, grace
    proto::FunctionLimits limits;
    std::uint32_t max_sessions = 1024;
    std::uint32_t max_half_open = 64;  ///< hellos answered whose peer has said nothing since; beyond: the oldest goes
};

/// What a target tells whoever watches it (daemon: events, log).
struct TargetEvent {
    std::string function;
    std::string peer;
    std::string what;  ///< "attached", "detached", "grace", "resumed", "released", "device_reset", "hello", ...
    std::string detail;
};

struct ExportStatus {
    fl_function_desc desc{};
    std::uint64_t writes_refused = 0, reads_refused = 0;  ///< initiator's, outside a BAR
    std::uint64_t dma_refused = 0;                        ///< device's, outside a mapping
    std::uint64_t interrupts = 0;
    const proto::FunctionCounters* counters = nullptr;  ///< null while nobody has it
};

class Export;

/// Those whose device may have something to do, and signs of the others, so that nobody has to look at each.
struct WorkingExports {
    std::vector<Export*> list;
    std::atomic<bool> woken{false};  ///< one not in the list was woken by another thread
    bool waiting = false;            ///< one may have a deadline or news: see Export::waits()
};

/// The target role of a lane. Everything from the lane's thread.
class Target final : public Task, public Acceptor, public proto::SessionHandler {
public:
    /// `memory` outlives the target object; with directory_memory attachments survive the daemon.
    Target(Lane& lane, TargetConfig config, backend::Memory& memory);
    ~Target() override;

    /// Exports a device under a name of 1..63 printable characters; busy when the name is taken.
    [[nodiscard]] Result<bool> add(const std::string& name, std::unique_ptr<backend::Device> device);
    /// Takes an export back; an initiator that has it sees surprise removal. not_found.
    [[nodiscard]] Status remove(const std::string& name);
    /// Accepts sessions on a port.
    void listen(PortId port);

    void on_watch(std::function<void(const TargetEvent&)> watcher);
    void each(const std::function<void(const std::string&, const ExportStatus&, const backend::Device&)>& f) const;
    /// While it is held no device works and nothing that initiators ask for is executed; they keep it and ask again.
    void hold(bool on) noexcept;
    /// The first export whose initiator does not have all answers and writes yet; "" = a life that ends now leaves
    /// nothing in doubt. Those whose initiator is silent do not count: nothing more can be known of them.
    [[nodiscard]] std::string unsettled() const;
    /// Exports in use whose devices lose their state with this life.
    [[nodiscard]] std::vector<std::string> would_reset() const;
    /// Says goodbye to all peers: a clean stop. Attachments are kept for the grace (`keep`) or
    /// removed by surprise.
    void close(bool keep) noexcept;

    // Task
    bool turn(Time now) noexcept override;
    [[nodiscard]] Time next_timer() const noexcept override;
    [[nodiscard]] bool prepare_sleep() noexcept override;
    void woken() noexcept override { next_look_ = {}; }
    // Acceptor
    void on_hello(PortId port, const transport::Address* from, const proto::Hello& hello, Time now) noexcept override;
    // SessionHandler
    void on_state(proto::Session& s, proto::SessionState state, Status why) noexcept override;
    void on_path(proto::Session& s, proto::PathId path, proto::PathState state) noexcept override;
    void on_list(proto::Session& s, std::uint32_t request) noexcept override;
    void on_list_reply(proto::Session&, std::uint32_t, unsigned, unsigned, const fl_function_desc&) noexcept override {}
    void on_attach(proto::Session& s, const proto::AttachRequest& r) noexcept override;
    void on_attach_reply(proto::Session&, const proto::AttachReply&) noexcept override {}
    void on_detach(proto::Session& s, std::uint32_t request, proto::FunctionHandle h, Status why) noexcept override;
    void on_detach_reply(proto::Session&, std::uint32_t, proto::FunctionHandle, Status) noexcept override {}
    void on_event(proto::Session&, unsigned, proto::FunctionHandle, const fl_function_desc&) noexcept override {}

private:
    struct Peer;

    [[nodiscard]] Peer* peer_of(const proto::Session& s) noexcept;
    [[nodiscard]] Export* export_of(std::string_view name) noexcept;
    bool turn_devices() noexcept;
    bool turn_waiting(Time now) noexcept;
    void bound_half_open() noexcept;
    void retire(Peer& peer) noexcept;
    [[nodiscard]] proto::AttachReply attach(proto::Session& s, const Peer& peer,
                                            const proto::AttachRequest& r) noexcept;
    void announce(unsigned event_code, const Export& e) noexcept;
    void tell(const Export& e, const std::string& what, const std::string& detail = {}) const;

    Lane& lane_;
    TargetConfig config_;
    backend::Memory& memory_;
    WorkingExports working_;
    Time next_look_{};                              ///< at deadlines, which are coarse
    std::vector<std::unique_ptr<Export>> exports_;  ///< index = that of the handle; null = free
    std::vector<std::unique_ptr<Peer>> peers_;
    std::function<void(const TargetEvent&)> watcher_;
    bool held_ = false, closed_ = false;
};

}  // namespace farlane::lane

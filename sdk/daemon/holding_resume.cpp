// SPDX-License-Identifier: Apache-2.0
// Receives: what an earlier daemon left of an attachment, and what its application hands back.
// Hands on: the same attachment, going on where it was. Owns: see holding.hpp.
// docs/control-socket.md, "Survival". Everything that comes here is treated as hostile.
#include <sys/stat.h>

#include "daemon/holding.hpp"
#include "daemon/stats_json.hpp"
#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

const char* state_name(Holding::Phase phase, const lane::Attachment* a) {
    if (phase == Holding::Phase::waiting || phase == Holding::Phase::resuming) return "waiting";
    if (a == nullptr) return "lost";
    switch (a->state()) {
        case lane::AttachmentState::attaching: return "attaching";
        case lane::AttachmentState::ready: return "ready";
        case lane::AttachmentState::down: return "down";
        case lane::AttachmentState::reset: return "reset";
        case lane::AttachmentState::lost: return "lost";
    }
    return "lost";
}

std::string utc_of(std::int64_t ms) {
    Event e;
    e.when = std::chrono::system_clock::time_point(std::chrono::milliseconds(ms));
    return control::event_to_json(e).at("when").get<std::string>();
}

}  // namespace

Reply Holding::open_resumed_channel(Channel::Parts parts) {
    const SavedState& s = file_->state();
    if (phase_ != Phase::resuming) return refusal(Status::invalid, "resume_attachment comes first");
    if (channel_) return refusal(Status::busy, "the channel was handed back already");
    if (s.has_channel == 0) return refusal(Status::not_found, "the attachment had no channel");
    struct stat info {};
    const bool same = ::fstat(parts.memory->fd(), &info) == 0 && info.st_ino == s.channel_inode;
    if (!same) return refusal(Status::stale, "the memory is not that of the channel");
    if (!is_eventfd(parts.submit_bell.get()) || !is_eventfd(parts.complete_bell.get()))
        return refusal(Status::invalid, "the second and third descriptor are the bells of the channel");
    channel_ = std::make_unique<Channel>(std::move(parts), s.geometry(), ledger_, *this, host_.bells, false);
    watch_channel();
    return {};
}

lane::SavedAttachment Holding::saved_attachment() {
    const SavedState& s = file_->state();
    lane::SavedAttachment saved;
    saved.name = info_.name;
    saved.handle = s.handle();
    saved.info = info_;
    saved.interrupt_vectors = s.vectors;
    if (bus_) {
        saved.memory = &bus_->memory;
        return saved;
    }
    for (SavedMapping& m : file_->state().mappings) {
        if (m.bytes == 0) continue;
        const std::span<std::byte> memory = m.buffer == FL_BUFFER_STAGING ? std::span<std::byte>() : buffer(m.buffer);
        if (m.offset > memory.size() || memory.size() - m.offset < m.bytes) {
            // Its buffer did not come back: the target is told after the rest.
            if (ledger_.can_announce()) ledger_.begin_announcement(FL_MSG_UNMAP, m.iova, m.bytes, m.direction, 0);
            store_in_order(m.bytes, std::uint64_t{0});
            continue;
        }
        saved.mappings.push_back({m.iova, m.bytes, m.direction, memory.data() + m.offset, 0});
    }
    return saved;
}

void Holding::resumed(lane::Attachment& a, std::function<void()> then) {
    attachment_ = &a;
    a.set_sink(this);
    phase_ = Phase::ready;
    if (channel_) channel_->attach_to(a);
    const bool reset = a.state() != lane::AttachmentState::ready && a.state() != lane::AttachmentState::down;
    if (!reset) note_handle();
    std::vector<ResumeStep> steps;
    if (channel_) steps = plan_channel(*channel_, file_->state(), reset);
    if (bus_ && bus_->node) {
        bus_->node->channel().attach_to(a);
        if (bus_->node->continued())
            steps = merge_steps(std::move(steps), plan_channel(bus_->node->channel(), bus_->node->saved(), reset));
    }
    if (reset) {
        for (std::uint32_t i = 0; i < kMaxAnnouncements; ++i) ledger_.drop(i);
        if (channel_ && !bus_) channel_->tell(Status::device_reset);
        if (bus_) bus_->state_lost = true;
    }
    replay_.assign(steps.begin(), steps.end());
    replayed_ = std::move(then);
    (void)run_replay();
}

// What is over is finished here; what has to be given again is returned.
std::vector<ResumeStep> Holding::plan_channel(Channel& channel, const SavedState& saved, bool reset) {
    const std::vector<WalkedSlot> slots = channel.walk();
    if (reset) {
        // The device forgot everything: nothing is replayed into its new life.
        for (const WalkedSlot& s : slots)
            if (!s.done) channel.finish(s.count, Status::completer_abort);
        return {};
    }
    ResumePlan plan = plan_resume(saved, slots, attachment_->next_sequence(proto::RecordClass::posted),
                                  attachment_->next_sequence(proto::RecordClass::non_posted));
    for (const std::uint32_t count : plan.finished) channel.finish(count, Status::ok);
    if (&channel == channel_.get())
        for (const std::uint32_t index : plan.announced) ledger_.drop(index);
    for (const std::uint32_t count : plan.in_doubt) {
        // The target has executed it and its answer died with the daemon: it is never asked again.
        channel.finish(count, Status::completer_abort);
        host_.emit({EventKind::error, info_.name, info_.target,
                    "a request in flight at the restart of the daemon is in doubt: completer abort",
                    std::chrono::system_clock::now()});
    }
    return std::move(plan.steps);
}

Channel& Holding::channel_of(const ResumeStep& step) noexcept {
    return step.source == 0 ? *channel_ : bus_->node->channel();
}

// True = something was done.
bool Holding::run_replay() noexcept {
    bool busy = false;
    while (!replay_.empty()) {
        const ResumeStep step = replay_.front();
        const bool slot = step.kind == ResumeStep::Kind::slot;
        if (slot && channel_of(step).held()) return busy;  // goes on behind the answer to a configuration write
        Status status = Status::ok;
        if (slot) {
            status = channel_of(step).resubmit(step.index);
            if (status != Status::ok && status != Status::would_block) channel_of(step).finish(step.index, status);
        } else {
            const SavedAnnouncement& a = file_->state().announcements[step.index];
            const fl_msg_map raw{fl_le64{a.iova}, fl_le64{a.bytes}, fl_le32{a.direction}, fl_le32{0}};
            proto::Tlp tlp;
            tlp.type = proto::TlpType::message;
            tlp.code = static_cast<std::uint8_t>(a.code);
            tlp.length_bytes = sizeof raw;
            const std::uint64_t sequence = attachment_->next_sequence(proto::RecordClass::posted);
            status = attachment_->submit(tlp, std::as_bytes(std::span(&raw, 1)), 0, false);
            if (status == Status::ok) ledger_.renumber(step.index, sequence);
        }
        if (status == Status::would_block) return busy;
        replay_.pop_front();
        busy = true;
    }
    if (!replayed_) return busy;
    attachment_->resubmitted();
    if (channel_) channel_->open();
    if (bus_ && bus_->node) bus_->node->channel().open();
    std::exchange(replayed_, {})();
    return true;
}

Json Holding::holders() const {
    if (sharing_) return sharing_->holders();
    Json all = Json::array();
    if (user_) all.push_back({{"pid", user_->pid}, {"comm", user_->comm}, {"uid", user_->uid}});
    return all;
}

Json Holding::json() const {
    return {{"id", id()},
            {"state", state_name(phase_, attachment_)},
            {"persistent", persistent()},
            {"uid", owner_uid()},
            {"since", utc_of(file_->state().since_ms)},
            {"holders", holders()},
            {"bus", bus_json()},
            {"shared", sharing_ ? sharing_->json() : Json(nullptr)}};
}

Json Holding::stats() const {
    Json j = json();
    j["name"] = info_.name;
    j["target"] = info_.target;
    j["buffers"] = buffers_.size();
    j["mappings"] = ledger_.mapping_count();
    static const lane::AttachmentCounters kNone;
    static const proto::FunctionCounters kNoRecords{};
    const lane::AttachmentCounters& c = attachment_ != nullptr ? attachment_->counters() : kNone;
    j["dma_writes"] = c.dma_writes;
    j["dma_reads"] = c.dma_reads;
    j["dma_refused"] = c.dma_refused;
    j["interrupts"] = c.interrupts;
    j["interrupts_refused"] = c.interrupts_refused;
    j["records"] = records_json(attachment_ != nullptr ? attachment_->function_counters() : kNoRecords);
    if (bus_) {
        const KernelMemoryCounters& m = bus_->memory.counters();
        j["dma_refused"] = c.dma_refused + m.refused;
        j["bus"]["dma_calls"] = m.calls;
        j["bus"]["dma_operations"] = m.operations;
    }
    j["channel"] = nullptr;
    if (!channel_) return j;
    const ChannelCounters& n = channel_->counters();
    const channel::Geometry& g = channel_->geometry();
    j["channel"] = {{"submit_entries", g.submit_entries},
                    {"complete_entries", g.complete_entries},
                    {"staging_bytes", g.staging_bytes},
                    {"posted", n.posted},
                    {"requests", n.requests},
                    {"completions", n.completions},
                    {"refused", n.refused},
                    {"malformed", n.malformed},
                    {"stalls", n.stalls},
                    {"in_flight", channel_->in_flight()},
                    {"bells_rung", n.bells_rung}};
    return j;
}

}  // namespace farlane::daemon

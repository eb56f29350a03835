// SPDX-License-Identifier: Apache-2.0
// Receives: what the initiator learns about one attachment. Hands on: its state to the user.
// Owns: the transitions attaching -> ready <-> down, -> reset, -> lost.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "lane/grip.hpp"

namespace farlane::lane {
namespace {

constexpr std::uint16_t kNoGeneration = 0;  // a target counts from 1

std::string text_of(const char (&raw)[FL_NAME_BYTES]) {
    return {raw, strnlen(raw, sizeof raw)};
}

}  // namespace

FunctionInfo to_info(const fl_function_desc& d, const std::string& target) {
    FunctionInfo i;
    i.name = text_of(d.name);
    i.target = target;
    i.model = text_of(d.model);
    i.holder = text_of(d.holder);
    i.vendor_id = d.vendor_id.get();
    i.device_id = d.device_id.get();
    i.subsystem_vendor_id = d.subsystem_vendor_id.get();
    i.subsystem_id = d.subsystem_id.get();
    i.class_code = d.class_code.get() >> 8;
    i.revision = static_cast<std::uint8_t>(d.class_code.get() & 0xff);
    i.msix_vectors = d.msix_vectors.get();
    i.serial = d.serial.get();
    i.state = static_cast<FunctionState>(std::min<unsigned>(d.state.get(), FL_FUNCTION_FAILED));
    for (std::size_t b = 0; b < i.bars.size(); ++b) {
        const auto flags = d.bar[b].flags.get();
        i.bars[b] = {d.bar[b].size_bytes.get(), (flags & FL_BAR_64BIT) != 0, (flags & FL_BAR_PREFETCHABLE) != 0};
    }
    return i;
}

Grip::Grip(Lane& lane, bool& waiting, PeerId peer, std::string name, proto::FunctionPlace place,
           const proto::FunctionLimits& limits)
    : lane_(lane),
      waiting_(waiting),
      peer_(peer),
      name_(std::move(name)),
      memory_(place.memory),
      counts_(place.counts),
      limits_(limits) {
    waiting_ = true;
    limits_.repeat_reads = true;  // what the device reads is memory
}

Grip::~Grip() {
    sink_ = nullptr;
    if (session_ != nullptr && function_) session_->unbind(*function_, Status::ok, lane_.now());
    if (state_ != AttachmentState::lost && !left_) memory_.in_use = 0;  // lost: it may be a later attachment's
}

Status Grip::start(proto::Session& s, const proto::AttachReply& r, const std::string& target) {
    info_ = to_info(r.desc, target);
    place().create(r.handle);
    function_.emplace(place(), *this, limits_);
    if (const auto status = s.bind(*function_, std::nullopt, lane_.now()); status != Status::ok) return status;
    memory_.in_use = 1;
    session_ = &s;
    state_ = AttachmentState::ready;
    return Status::ok;
}

// Memory that is not of the attachment that was saved is of one that its user never heard of: the device had lost its
// state, and this daemon ended before that was told, or acknowledged. Nobody knows where either end stands, so that one
// is given up for another, and the user hears of a reset. The handle that marks it is one that no target gives.
Status Grip::adopt(const SavedAttachment& saved) {
    const proto::FunctionHandle found{memory_.index, memory_.generation};
    forgotten_ = !place().plausible() || memory_.in_use != 1 || found != saved.handle;
    if (forgotten_) place().create({saved.handle.index, kNoGeneration});
    info_ = saved.info;
    vectors_ = saved.interrupt_vectors;
    for (const auto& range : saved.mappings)
        if (const auto status = dma_.add(range); status != Status::ok) return status;
    if (saved.memory != nullptr) {
        constexpr auto kBoth = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;
        if (const auto status = dma_.add({kSpaceIova, kSpaceBytes, kBoth, nullptr, 0}); status != Status::ok)
            return status;
        host_ = saved.memory;
    }
    adopted_ = true;
    function_.emplace(place(), *this, limits_);
    state_ = AttachmentState::down;
    return Status::ok;
}

proto::AttachRequest Grip::resume_request(std::uint32_t request) const {
    proto::AttachRequest r;
    r.request = request;
    r.name = name_;
    if (forgotten_) return r;
    r.resume = true;
    r.origin_lost = adopted_;
    r.handle = handle();
    std::copy(std::begin(counts_.released), std::end(counts_.released), r.released.begin());
    return r;
}

Status Grip::resume(proto::Session& s, const proto::AttachReply& r, const std::string& target) {
    const bool kept = r.kept && r.handle == handle();
    if (!kept) {
        info_ = to_info(r.desc, target);
        place().create(r.handle);
    }
    const proto::Session::Resume said{r.released, r.origin_lost, kept};
    if (const auto status = s.bind(*function_, said, lane_.now()); status != Status::ok) return status;
    memory_.in_use = 1;
    session_ = &s;
    deadline_ = kNever;
    adopted_ = forgotten_ = false;
    if (kept) {
        if (state_ == AttachmentState::down) state_ = AttachmentState::ready;
        tell(EventKind::resumed, "nothing was lost");
    } else {
        announcements_.clear();
        state_ = AttachmentState::reset;
        tell(EventKind::device_reset, "the target lost the device's state");
    }
    return Status::ok;
}

void Grip::down(Time deadline, bool unbind, const std::string& why) noexcept {
    if (state_ == AttachmentState::lost) return;
    if (unbind && session_ != nullptr) {
        session_->unbind(*function_, Status::ok, lane_.now());
        session_ = nullptr;
    }
    deadline_ = std::min(deadline_, deadline);
    waiting_ = true;
    if (state_ != AttachmentState::ready) return;
    state_ = AttachmentState::down;
    tell(EventKind::link_down, why);
}

Time Grip::next_timeout() const noexcept {
    return function_ && session_ == nullptr ? function_->next_timer() : kNever;
}

void Grip::on_timeout(Time now) noexcept {
    function_->on_timer(now);
}

void Grip::up() noexcept {
    if (session_ == nullptr) return;
    deadline_ = kNever;
    if (state_ != AttachmentState::down) return;
    state_ = AttachmentState::ready;
    tell(EventKind::resumed, "the link is back");
}

// Revokes all mappings before anybody is told: memory is safe to free from here on.
void Grip::lose(const std::string& why) noexcept {
    if (state_ == AttachmentState::lost) return;
    dma_.clear();
    announcements_.clear();
    vectors_ = 0;
    state_ = AttachmentState::lost;
    deadline_ = kNever;
    if (session_ != nullptr)
        session_->unbind(*function_, Status::device_lost, lane_.now());
    else if (function_)
        function_->abandon(Status::device_lost, lane_.now());
    session_ = nullptr;
    memory_.in_use = 0;
    tell(EventKind::device_lost, why);
}

void Grip::acknowledge_reset() noexcept {
    if (state_ != AttachmentState::reset) return;
    state_ = session_ != nullptr ? AttachmentState::ready : AttachmentState::down;
    for (const auto& range : dma_.ranges()) announcements_.push_back({FL_MSG_MAP, range});
    (void)send_announcements();
}

const proto::FunctionCounters& Grip::function_counters() const noexcept {
    static const proto::FunctionCounters none{};
    return function_ ? function_->counters() : none;
}

void Grip::tell(EventKind kind, const std::string& detail) noexcept {
    if (sink_ != nullptr) sink_->on_event(kind, detail);
}

void Grip::on_event(proto::Function&, proto::FunctionEvent e, const proto::Tlp* about) noexcept {
    if (e == proto::FunctionEvent::timeout && about != nullptr) {
        char text[96];
        std::snprintf(text, sizeof text, "request type %u tag %u address 0x%llx had no answer",
                      static_cast<unsigned>(about->type), about->tag, static_cast<unsigned long long>(about->address));
        tell(EventKind::timeout, text);
    }
    // reset, lost and resumed are told by the transitions above, which cause them.
}

}  // namespace farlane::lane

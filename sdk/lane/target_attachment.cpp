// SPDX-License-Identifier: Apache-2.0
// Receives: attach, resume and release of one export. Hands on: a function bound to a session.
// Owns: the state free -> attached <-> grace -> free, and its one teardown.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "lane/initiator.hpp"
#include "lane/target_export.hpp"

namespace farlane::lane {
namespace {

constexpr Duration kBetweenNews = std::chrono::seconds(1);

void copy_name(char (&to)[FL_NAME_BYTES], std::string_view from) noexcept {
    std::memset(to, 0, sizeof to);
    std::copy_n(from.data(), std::min(from.size(), sizeof to - 1), to);
}

}  // namespace

Export::Export(Lane& lane, WorkingExports& working, std::string name, std::unique_ptr<backend::Device> device,
               proto::FunctionPlace place, ExportRecord& record, const proto::FunctionLimits& limits)
    : working_(working),
      device_(std::move(device)),
      lane_(lane),
      name_(std::move(name)),
      memory_(place.memory),
      counts_(place.counts),
      record_(record),
      limits_(limits) {
    for (std::size_t i = 0; i < std::size(bar_bytes_); ++i) bar_bytes_[i] = device_->describe().bar[i].size_bytes.get();
}

Export::~Export() {
    if (session_ != nullptr && function_) session_->unbind(*function_, Status::ok, lane_.now());
}

bool Export::held_by(const proto::Instance& who) const noexcept {
    return state_ != State::free && record_.holder == who;
}

std::string Export::holder_name() const {
    return {record_.holder_name, strnlen(record_.holder_name, sizeof record_.holder_name)};
}

fl_function_desc Export::describe() const noexcept {
    fl_function_desc d = device_->describe();
    copy_name(d.name, name_);
    copy_name(d.holder, state_ == State::free ? std::string_view{} : std::string_view{record_.holder_name});
    d.state.set(failed_ ? std::uint16_t{FL_FUNCTION_FAILED} : static_cast<std::uint16_t>(state_));
    return d;
}

ExportStatus Export::status() const noexcept {
    ExportStatus s = counters_;
    s.desc = describe();
    s.counters = function_ ? &function_->counters() : nullptr;
    return s;
}

bool Export::adopt(std::uint16_t index, Time now, Duration grace) {
    touch();
    index_ = index;
    record_.holder_name[sizeof record_.holder_name - 1] = 0;
    const bool usable = record_.magic == ExportRecord::kMagic && record_.attached == 1 && place().plausible() &&
                        memory_.in_use == 1 && memory_.index == index && memory_.generation == record_.generation;
    if (!usable) {
        if (record_.magic != ExportRecord::kMagic) record_ = ExportRecord{};
        record_.magic = ExportRecord::kMagic;
        record_.attached = 0;
        memory_.in_use = 0;
        return false;
    }
    rebuild_maps();
    function_.emplace(place(), *this, limits_);
    adopted_ = true;
    read_command();
    state_ = State::grace;
    deadline_ = now + grace;
    working_.waiting = true;
    return true;
}

Status Export::attach(std::uint16_t index, proto::Session& s, const proto::PeerInfo& peer, Time now) {
    touch();
    index_ = index;
    ++record_.generation;
    place().create({index_, record_.generation});
    maps_.clear();
    function_.emplace(place(), *this, limits_);
    if (const auto status = s.bind(*function_, std::nullopt, now); status != Status::ok) {
        function_.reset();
        memory_.in_use = 0;
        return status;
    }
    record_.holder = peer.instance;
    copy_name(record_.holder_name, peer.name);
    memory_.in_use = 1;
    record_.attached = 1;  // last: from here on a restarted daemon takes it up
    session_ = &s;
    state_ = State::attached;
    deadline_ = kNever;
    adopted_ = false;
    device_->attached(*this);
    read_command();
    return Status::ok;
}

bool Export::resume(proto::Session& s, const proto::AttachRequest& r, proto::AttachReply& reply, Time now) {
    touch();
    if (session_ != nullptr) session_->unbind(*function_, Status::ok, now);
    session_ = nullptr;
    working_.waiting = true;
    // Before bind(): the peer must hear what was released before anything new is.
    std::copy(std::begin(counts_.released), std::end(counts_.released), reply.released.begin());
    const proto::Session::Resume said{r.released, r.origin_lost, true};
    if (s.bind(*function_, said, now) != Status::ok) return false;
    session_ = &s;
    if (adopted_ && !device_->restored(*this, r.released[FL_CLASS_POSTED])) {
        s.unbind(*function_, Status::ok, now);
        session_ = nullptr;
        return false;
    }
    reply.kept = true;
    reply.origin_lost = adopted_;
    adopted_ = false;
    read_command();
    state_ = State::attached;
    deadline_ = kNever;
    return true;
}

void Export::enter_grace(Time deadline, bool unbind, Time now) noexcept {
    if (state_ == State::free) return;
    if (unbind && session_ != nullptr) {
        session_->unbind(*function_, Status::ok, now);
        session_ = nullptr;
    }
    if (state_ != State::grace) deadline_ = deadline;
    state_ = State::grace;
    working_.waiting = true;
}

Time Export::next_timeout() const noexcept {
    return function_ && session_ == nullptr ? function_->next_timer() : kNever;
}

bool Export::waits() const noexcept {
    return deadline_ != kNever || (function_ && session_ == nullptr) || next_news() != kNever;
}

void Export::on_timeout(Time now) noexcept {
    touch();
    function_->on_timer(now);
}

void Export::leave_grace() noexcept {
    touch();
    if (state_ != State::grace || session_ == nullptr) return;
    state_ = State::attached;
    deadline_ = kNever;
}

// Proof of teardown: mappings go first, so that no DMA of the device can be accepted any more;
// then the device stops and scrubs; then the function (and with it every record that names
// device memory) goes; only then another initiator can have the export.
void Export::release(Status why, Time now) noexcept {
    touch();
    if (state_ == State::free) return;
    maps_.clear();
    memory_.map_slots = 0;
    command_ = 0;
    if (session_ != nullptr) session_->unbind(*function_, why, now);
    session_ = nullptr;
    device_->detached();
    function_.reset();
    record_.attached = 0;
    memory_.in_use = 0;
    record_.holder = {};
    copy_name(record_.holder_name, {});
    state_ = State::free;
    deadline_ = kNever;
    adopted_ = false;
    failed_ = failure_told_ = false;
}

void Export::firmware_answers(bool yes) noexcept {
    failed_ = !yes;
    if (yes)
        failure_told_ = false;
    else
        working_.waiting = true;
}

Time Export::next_news() const noexcept {
    Time next = kNever;
    if (failed_ && !failure_told_) next = failure_told_at_ + kBetweenNews;
    if (has_refusals()) next = std::min(next, refusal_told_at_ + kBetweenNews);
    return next;
}

std::optional<Export::News> Export::news(Time now) {
    if (next_news() > now) return std::nullopt;
    if (failed_ && !failure_told_ && failure_told_at_ + kBetweenNews <= now) {
        failure_told_ = true;
        failure_told_at_ = now;
        return News{"failed", kFirmwareHangs, FL_EVENT_FAILED};
    }
    char text[128];
    std::snprintf(text, sizeof text, "it reached outside its mappings, %llu times by now, last for %zu bytes at 0x%llx",
                  static_cast<unsigned long long>(counters_.dma_refused), refused_bytes_,
                  static_cast<unsigned long long>(refused_iova_));
    refusals_told_ = counters_.dma_refused;
    refusal_told_at_ = now;
    return News{"dma_refused", text, 0};
}

}  // namespace farlane::lane

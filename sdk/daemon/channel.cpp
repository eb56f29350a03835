// SPDX-License-Identifier: Apache-2.0
// Receives: records that an application writes into its submit ring. Hands on: transactions to
// the attachment, completions to the application. Owns: the daemon's side of one channel.
#include "daemon/channel.hpp"

#include <algorithm>
#include <cstring>

namespace farlane::daemon {
namespace {

bool is_posted(const fl_slot& slot) noexcept {
    return fl_tlp_class(slot.tlp.type) == FL_CLASS_POSTED;
}

bool has_operand(proto::TlpType t) noexcept {
    return t == proto::TlpType::config_write || t == proto::TlpType::fetch_add || t == proto::TlpType::swap ||
           t == proto::TlpType::compare_swap;
}

}  // namespace

Channel::Channel(Parts parts, const channel::Geometry& geometry, Ledger& ledger, const BufferTable& buffers,
                 BellRinger& bells, bool fresh)
    : parts_(std::move(parts)),
      layout_{parts_.memory->bytes().data(), geometry},
      ledger_(ledger),
      buffers_(buffers),
      bells_(bells),
      entries_(geometry.submit_entries),
      results_(geometry.submit_entries),
      entry_mask_(geometry.submit_entries - 1) {
    SavedState& s = ledger_.saved();
    fl_channel& h = layout_.header();
    if (fresh) {
        if (!parts_.others_header) write_header();
        s.submit_entries = geometry.submit_entries;
        s.complete_entries = geometry.complete_entries;
        s.staging_bytes = geometry.staging_bytes;
        s.submit_tail = s.submit_released = 0;
        store_in_order(s.has_channel, 1U);
    }
    submit_ =
        channel::Consumer(h.submit, layout_.submit_slots(), geometry.submit_entries, s.submit_tail, s.submit_released);
    // What the application has not read yet stays; a head that can not be true shows in room().
    complete_ = channel::Producer(h.complete, layout_.complete_slots(), geometry.complete_entries,
                                  fresh ? 0 : channel::load_acquire(h.complete.head));
}

void Channel::write_header() noexcept {
    fl_channel& h = layout_.header();
    std::memset(&h, 0, sizeof h);
    h.magic = FL_CHANNEL_MAGIC;
    h.version = FL_CHANNEL_VERSION;
    h.channel_bytes = layout_.geometry.total_bytes();
    h.submit_offset = layout_.geometry.submit_offset();
    h.submit_entries = layout_.geometry.submit_entries;
    h.complete_offset = layout_.geometry.complete_offset();
    h.complete_entries = layout_.geometry.complete_entries;
    h.staging_offset = layout_.geometry.staging_offset();
    h.staging_bytes = layout_.geometry.staging_bytes;
}

bool Channel::same_header(std::span<std::byte> memory, const channel::Geometry& g) noexcept {
    if (memory.size() < g.total_bytes()) return false;
    const fl_channel h = channel::copy_once(channel::Layout{memory.data(), g}.header());
    return h.magic == FL_CHANNEL_MAGIC && h.version == FL_CHANNEL_VERSION && h.channel_bytes == g.total_bytes() &&
           h.submit_offset == g.submit_offset() && h.submit_entries == g.submit_entries &&
           h.complete_offset == g.complete_offset() && h.complete_entries == g.complete_entries &&
           h.staging_offset == g.staging_offset() && h.staging_bytes == g.staging_bytes;
}

bool Channel::turn(lane::Time now) noexcept {
    if (broken_ || attachment_ == nullptr) return false;
    bool busy = push_state();
    stalled_ = starved_ = false;
    now_ = now;
    if (!open_ || paused_) return busy;
    const std::uint32_t n = std::min(submit_.available(), kBurst);
    for (std::uint32_t i = 0; i < n && take_one(); ++i) busy = true;
    if (submit_.broken() || complete_.broken()) broken_ = true;
    return busy;
}

// One record. False: it has to wait.
bool Channel::take_one() noexcept {
    // A posted write may pass a configuration write on its way. On a bus it never does: the processor waits for
    // the answer. What enables memory decoding or resets the device comes before the accesses behind it.
    if (held()) {
        stalled_ = true;
        return false;
    }
    const std::uint32_t count = submit_.tail();
    const fl_slot copy = channel::copy_once(submit_.at(count));
    CheckedSlot checked;
    SlotError error = check_slot(copy, buffers_, checked);
    const bool stamped = stamped_ == count;  // by us, and found no window then
    if (error == SlotError::none && (copy.status != 0 || (copy.tlp.sequence.get() != 0 && !stamped)))
        error = SlotError::reserved;
    // Every request, and every record that is refused, needs one completion.
    if (complete_.room() <= outstanding_ + kReserve) {
        starved_ = true;
        return stall(), false;
    }
    if (error != SlotError::none) {
        ++counters_.malformed;
        last_error_ = error;
        return refuse(count, copy, Status::malformed);
    }
    const Status status = give(count, checked, copy);
    if (status == Status::would_block) return stall(), false;
    if (status != Status::ok) {
        ++counters_.refused;
        return refuse(count, copy, status);
    }
    consumed(count);
    return true;
}

// The sequence stands in the slot before the record leaves: docs/control-socket.md, "Survival".
Status Channel::give(std::uint32_t count, const CheckedSlot& checked, const fl_slot& copy) noexcept {
    const bool posted = checked.record_class == proto::RecordClass::posted;
    const std::uint64_t before = attachment_->next_sequence(proto::RecordClass::posted);
    std::uint64_t sequence = attachment_->next_sequence(checked.record_class);
    fl_slot& slot = submit_.at(count);
    slot.tlp.sequence.set(sequence);
    stamped_ = count;
    const auto payload = std::as_bytes(std::span(copy.u.payload))
                             .first(std::min<std::size_t>(checked.tlp.length_bytes, FL_TLP_INLINE_BYTES));
    const bool inlined = copy.kind == FL_SLOT_INLINE;
    const std::uint64_t serial = parts_.cookie_mark | std::uint64_t{next_use_} << 32 | count;
    Status status;
    if (posted) {
        status = attachment_->submit(checked.tlp, inlined ? payload : std::span<const std::byte>(checked.reference),
                                     serial, true);
    } else {
        const auto into =
            inlined ? std::span(results_[count & entry_mask_]).first(checked.result_bytes) : checked.reference;
        const bool operand = has_operand(checked.tlp.type);
        status = attachment_->request(checked.tlp, operand ? payload : std::span<const std::byte>(), into, serial);
    }
    const std::uint64_t after = attachment_->next_sequence(proto::RecordClass::posted);
    const std::uint32_t own = posted && status == Status::ok ? 1 : 0;
    if (own != 0 && after - 1 != sequence) {  // announcements that had waited went out before it
        sequence = after - 1;
        slot.tlp.sequence.set(sequence);
    }
    ledger_.settle(before, after, own);
    if (status != Status::ok) return status;
    stamped_.reset();
    next_use_ = (next_use_ + 1) & kUseMask;
    ++in_flight_;
    posted ? ++counters_.posted : ++counters_.requests;
    if (!posted) ++outstanding_;
    entry(count) = {serial, sequence, checked.cookie, count, checked.result_bytes, posted, inlined, false};
    if (checked.tlp.type == proto::TlpType::config_write) config_write_ = serial;
    return Status::ok;
}

void Channel::consumed(std::uint32_t count) noexcept {
    submit_.advance();
    store_in_order(ledger_.saved().submit_tail, count + 1);
}

// There is room in `complete`.
bool Channel::refuse(std::uint32_t count, const fl_slot& copy, Status status) noexcept {
    fl_slot answer{};
    answer.tlp.family = FL_FAMILY_TLP;
    answer.tlp.type = is_posted(copy) ? FL_TLP_MSG : FL_TLP_CPL;
    answer.status = static_cast<std::uint32_t>(status);
    answer.cookie = copy.cookie;
    // A device that is gone is told once, not for every write.
    const bool told = is_posted(copy) && (status == Status::device_lost || status == Status::device_reset);
    if (!told) (void)push(answer);
    submit_.at(count).tlp.sequence.set(0);
    entry(count) = Entry{};
    entry(count).count = count;
    submit_.at(count).status = FL_SLOT_DONE;
    consumed(count);
    advance_released();
    ring(told ? FL_RING_SLEEPS_RELEASED : FL_RING_SLEEPS_HEAD);
    return true;
}

bool Channel::push(const fl_slot& slot) noexcept {
    if (complete_.room() == 0) return false;
    complete_.at(complete_.head()) = slot;
    complete_.publish();
    return true;
}

Channel::Entry* Channel::find(std::uint64_t cookie, bool posted) noexcept {
    Entry& e = entry(static_cast<std::uint32_t>(cookie));
    return e.serial == cookie && !e.done && e.posted == posted ? &e : nullptr;
}

void Channel::on_completion(std::uint64_t cookie, Status status) noexcept {
    Entry* e = find(cookie, false);
    if (e == nullptr) return;  // ended already, see fail_in_flight()
    if (config_write_ == cookie) config_write_.reset();
    fl_slot answer{};
    answer.tlp.family = FL_FAMILY_TLP;
    answer.tlp.type = e->result_bytes != 0 ? FL_TLP_CPLD : FL_TLP_CPL;
    answer.tlp.length_bytes.set(static_cast<std::uint16_t>(e->result_bytes));
    answer.status = static_cast<std::uint32_t>(status);
    answer.cookie = e->cookie;
    if (e->inlined) std::memcpy(answer.u.payload, results_[e->count & entry_mask_].data(), e->result_bytes);
    // The application hears of it first, then the slot says so: after a kill in between it hears
    // of it twice, and knows the cookie.
    (void)push(answer);
    ++counters_.completions;
    --outstanding_;
    mark_done(*e);
    advance_released();
    ring(FL_RING_SLEEPS_HEAD);
}

void Channel::on_released(std::uint64_t cookie) noexcept {
    Entry* e = find(cookie, true);
    if (e == nullptr) return;
    ledger_.released(e->sequence);
    mark_done(*e);
    advance_released();
    ring(FL_RING_SLEEPS_RELEASED);
}

void Channel::mark_done(Entry& e) noexcept {
    e.done = true;
    --in_flight_;
    submit_.at(e.count).status = FL_SLOT_DONE;
}

void Channel::advance_released() noexcept {
    std::uint32_t released = submit_.released();
    while (released != submit_.tail() && entry(released).done) ++released;
    if (released == submit_.released()) return;
    store_in_order(ledger_.saved().submit_released, released);
    submit_.release_to(released);
}

void Channel::ring(std::uint32_t at_least) noexcept {
    if (!channel::take_sleeper(layout_.header().complete, at_least)) return;
    ++counters_.bells_rung;
    if (!parts_.complete_bell.valid()) {
        poke_ = true;
        return;
    }
    if (!bells_.ring(parts_.complete_bell.get())) broken_ = true;
}

void Channel::stall() noexcept {
    if (!stalled_) ++counters_.stalls;
    stalled_ = true;
    attachment_->hurry();
}

void Channel::fail_in_flight(Status status, bool requests) noexcept {
    const std::uint32_t tail = submit_.tail();
    for (std::uint32_t count = submit_.released(); count != tail; ++count) {
        Entry& e = entry(count);
        if (e.done) continue;
        if (e.posted) {
            mark_done(e);
        } else if (requests) {
            if (e.inlined) results_[e.count & entry_mask_].fill(std::byte{0xff});
            on_completion(e.serial, status);
        }
    }
    advance_released();
    ring(FL_RING_SLEEPS_RELEASED);
}

void Channel::tell(Status state) noexcept {
    state_to_tell_ = state;
    (void)push_state();
}

bool Channel::push_state() noexcept {
    if (!state_to_tell_ || complete_.room() <= outstanding_) return false;
    fl_slot message{};
    message.tlp.family = FL_FAMILY_TLP;
    message.tlp.type = FL_TLP_MSG;
    message.status = static_cast<std::uint32_t>(*state_to_tell_);
    message.cookie = ~std::uint64_t{0};  // of the device, not of a record
    (void)push(message);
    state_to_tell_.reset();
    ring(FL_RING_SLEEPS_HEAD);
    return true;
}

lane::Time Channel::next_timer() const noexcept {
    return starved_ ? now_ + kStarvedRetry : lane::kNever;
}

bool Channel::prepare_sleep() noexcept {
    if (broken_ || !open_) return true;
    // A processor of this host spins for the answer; that which would wake us may be the same.
    if (parts_.others_header && outstanding_ != 0) return false;
    if (paused_) return true;
    if (stalled_) return true;  // only the session can help
    channel::announce_sleep(layout_.header().submit, FL_RING_SLEEPS_HEAD);
    return submit_.available() == 0;
}

void Channel::woken() noexcept {
    if (broken_ || !open_) return;
    channel::announce_awake(layout_.header().submit);
    BellRinger::hush(parts_.submit_bell.get());
}

// What the earlier daemon consumed; and the next one, when it was killed between giving the
// record and saying so: then its mark is in the slot already.
std::vector<WalkedSlot> Channel::walk() {
    std::vector<WalkedSlot> slots;
    const auto look = [&](std::uint32_t count) {
        const fl_slot copy = channel::copy_once(submit_.at(count));
        WalkedSlot w;
        w.count = count;
        w.record_class = is_posted(copy) ? proto::RecordClass::posted : proto::RecordClass::non_posted;
        w.sequence = copy.tlp.sequence.get();
        w.done = copy.status == FL_SLOT_DONE;
        return w;
    };
    const auto take = [&](const WalkedSlot& w) {
        entry(w.count) = Entry{};
        entry(w.count).count = w.count;
        slots.push_back(w);
    };
    for (std::uint32_t count = submit_.released(); count != submit_.tail(); ++count) take(look(count));
    if (submit_.available() == 0) return slots;
    const WalkedSlot next = look(submit_.tail());
    if (next.sequence == 0 && !next.done) return slots;  // fresh
    consumed(next.count);
    take(next);
    return slots;
}

Status Channel::resubmit(std::uint32_t count) noexcept {
    const fl_slot copy = channel::copy_once(submit_.at(count));
    CheckedSlot checked;
    if (check_slot(copy, buffers_, checked) != SlotError::none) return Status::malformed;
    return give(count, checked, copy);
}

void Channel::finish(std::uint32_t count, Status status) noexcept {
    const fl_slot copy = channel::copy_once(submit_.at(count));
    Entry& e = entry(count);
    e.count = count;
    e.cookie = copy.cookie;
    e.posted = is_posted(copy);
    e.done = false;
    e.serial = parts_.cookie_mark | count;
    ++in_flight_;
    if (e.posted) return mark_done(e);
    ++outstanding_;
    on_completion(e.serial, status);
}

void Channel::open() noexcept {
    open_ = true;
    advance_released();
    ring(FL_RING_SLEEPS_RELEASED);
}

}  // namespace farlane::daemon

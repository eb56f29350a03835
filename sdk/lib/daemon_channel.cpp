// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of the application. Hands on: slots to the daemon, completions to those
// who wait. Owns: the application's side of one channel.
#include "lib/daemon_channel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace farlane::channel {

fl_tlp make_tlp(std::uint8_t type, unsigned bar, std::uint64_t address, std::size_t bytes, bool relaxed) noexcept {
    fl_tlp t{};
    t.family = FL_FAMILY_TLP;
    t.type = type;
    t.attr = relaxed ? FL_ATTR_RO : 0;
    t.bar = static_cast<std::uint8_t>(bar);
    t.length_bytes.set(static_cast<std::uint16_t>(bytes));
    t.address.set(address);
    return t;
}

AppChannel::AppChannel(const Geometry& geometry, std::vector<control::UniqueFd> fds, std::function<void()> ring)
    : ring_(std::move(ring)), staging_end_(geometry.submit_entries) {
    if (!geometry.valid() || fds.size() != 3) throw Error(Status::protocol, "farlaned made a channel that can not be");
    struct stat info {};
    // A device node says by mmap how much there is.
    if (::fstat(fds[0].get(), &info) != 0 ||
        (!S_ISCHR(info.st_mode) && info.st_size < static_cast<off_t>(geometry.total_bytes())))
        throw Error(Status::protocol, "the memory of the channel is too small");
    void* at = ::mmap(nullptr, geometry.total_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fds[0].get(), 0);
    if (at == MAP_FAILED) throw Error(Status::no_memory, std::string("memory of the channel: ") + std::strerror(errno));
    layout_ = {static_cast<std::byte*>(at), geometry};
    memory_fd_ = std::move(fds[0]);
    submit_bell_ = std::move(fds[1]);
    complete_bell_ = std::move(fds[2]);
    fl_channel& h = layout_.header();
    submit_ = Producer(h.submit, layout_.submit_slots(), geometry.submit_entries, 0);
    complete_ = Consumer(h.complete, layout_.complete_slots(), geometry.complete_entries, 0, 0);
}

AppChannel::~AppChannel() {
    ::munmap(layout_.base, layout_.geometry.total_bytes());
}

bool AppChannel::room() {
    if (submit_.room() == 0) {
        reclaim();
        return submit_.room() != 0;
    }
    // Before the ring wraps onto slots whose staging is not reclaimed yet.
    if (submit_.head() - reclaimed_ >= submit_.entries()) reclaim();
    return submit_.head() - reclaimed_ < submit_.entries();
}

// Staging is handed out in the order of slots and comes back in the order of slots.
std::optional<std::uint32_t> AppChannel::stage(std::size_t bytes) {
    const std::uint64_t size = layout_.geometry.staging_bytes;
    const std::uint64_t want = (bytes + kStagingAlign - 1) / kStagingAlign * kStagingAlign;
    std::uint64_t at = staging_head_;
    if (at % size + want > size) at += size - at % size;  // not across the end
    if (at + want - staging_tail_ > size) {
        reclaim();
        if (at + want - staging_tail_ > size) return std::nullopt;
    }
    staging_head_ = at + want;
    return static_cast<std::uint32_t>(at % size);
}

// The daemon publishes an answer before it releases the slot: so after a look at `released`,
// draining finds every answer that may still lie in the staging area.
void AppChannel::reclaim() {
    (void)submit_.room();
    const std::uint32_t released = submit_.released();
    drain();
    if (released == reclaimed_) return;
    staging_tail_ = staging_end_[(released - 1) & (submit_.entries() - 1)];
    reclaimed_ = released;
}

void AppChannel::push(const fl_slot& slot) {
    staging_end_[submit_.head() & (submit_.entries() - 1)] = staging_head_;
    submit_.at(submit_.head()) = slot;
    submit_.publish();
    if (!take_sleeper(layout_.header().submit, FL_RING_SLEEPS_HEAD)) return;
    if (ring_) return ring_();
    const std::uint64_t one = 1;
    (void)!::write(submit_bell_.get(), &one, sizeof one);
}

bool AppChannel::write(fl_tlp tlp, std::span<const std::byte> payload) {
    if (!room()) return false;
    fl_slot slot{};
    slot.tlp = tlp;
    if (payload.size() <= FL_TLP_INLINE_BYTES) {
        std::memcpy(slot.u.payload, payload.data(), payload.size());
    } else {
        const auto offset = stage(payload.size());
        if (!offset) return false;
        std::memcpy(layout_.staging().data() + *offset, payload.data(), payload.size());
        slot.kind = FL_SLOT_REFERENCE;
        slot.u.ref = {FL_BUFFER_STAGING, 0, *offset};
    }
    push(slot);
    return true;
}

bool AppChannel::write_from(fl_tlp tlp, std::uint32_t buffer, std::uint64_t offset) {
    if (!room()) return false;
    fl_slot slot{};
    slot.tlp = tlp;
    slot.kind = FL_SLOT_REFERENCE;
    slot.u.ref = {buffer, 0, offset};
    push(slot);
    return true;
}

bool AppChannel::request(fl_tlp tlp, std::span<const std::byte> operand, std::span<std::byte> into, Waiter& waiter) {
    const auto free = std::ranges::find(pending_, std::uint64_t{0}, &Pending::cookie);
    if (free == pending_.end() || !room()) return false;
    fl_slot slot{};
    slot.tlp = tlp;
    free->reference = into.size() > FL_TLP_INLINE_BYTES;
    if (free->reference) {
        const auto offset = stage(into.size());
        if (!offset) return false;
        slot.kind = FL_SLOT_REFERENCE;
        slot.u.ref = {FL_BUFFER_STAGING, 0, *offset};
        free->staged = *offset;
    } else if (!operand.empty()) {
        std::memcpy(slot.u.payload, operand.data(), operand.size());
    }
    free->into = into;
    free->waiter = &waiter;
    free->cookie = next_use_++ << 8 | static_cast<std::uint64_t>(free - pending_.begin());
    slot.cookie = free->cookie;
    ++waiter.outstanding;
    push(slot);
    return true;
}

bool AppChannel::drain() {
    const std::uint32_t n = complete_.available();
    for (std::uint32_t i = 0; i < n; ++i) {
        const fl_slot copy = copy_once(complete_.at(complete_.tail()));
        complete_.advance();
        complete_.release_to(complete_.tail());
        answer(copy);
    }
    return n != 0;
}

void AppChannel::answer(const fl_slot& slot) {
    const Status status = status_from_code(slot.status);
    if (slot.tlp.type == FL_TLP_MSG) {
        if (slot.cookie == ~std::uint64_t{0})
            device_state_ = status;
        else
            refused_ = status;
        return;
    }
    // An answer that came twice (the daemon was killed in between) finds nobody.
    Pending& p = pending_[slot.cookie & 0xff & (kPending - 1)];
    if (p.cookie != slot.cookie || slot.cookie == 0) return;
    if (status == Status::device_lost) device_state_ = status;  // the message that says so is behind the answers
    if (!p.into.empty()) {
        const std::byte* from =
            p.reference ? layout_.staging().data() + p.staged : reinterpret_cast<const std::byte*>(slot.u.payload);
        if (status == Status::ok)
            std::memcpy(p.into.data(), from, p.into.size());
        else
            std::memset(p.into.data(), 0xff, p.into.size());
    }
    finish(p, status);
}

void AppChannel::finish(Pending& p, Status status) noexcept {
    if (status != Status::ok && p.waiter->status == Status::ok) p.waiter->status = status;
    --p.waiter->outstanding;
    p = Pending{};
}

void AppChannel::forget(Waiter& waiter) noexcept {
    for (Pending& p : pending_)
        if (p.waiter == &waiter) p = Pending{};
}

void AppChannel::fail_all(Status status) noexcept {
    for (Pending& p : pending_)
        if (p.cookie != 0) finish(p, status);
}

void AppChannel::announce_sleep(bool for_released) noexcept {
    channel::announce_sleep(layout_.header().complete, for_released ? FL_RING_SLEEPS_RELEASED : FL_RING_SLEEPS_HEAD);
}
void AppChannel::announce_awake() noexcept {
    channel::announce_awake(layout_.header().complete);
}

void AppChannel::hush() noexcept {
    std::uint64_t count = 0;
    (void)!::read(complete_bell_.get(), &count, sizeof count);
}

}  // namespace farlane::channel

// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of the application to one device. Hands on: slots of its channel.
// Owns: see the header.
#include "lib/ring_device.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/eventfd.h>

namespace farlane::provider {

control::UniqueFd make_eventfd() {
    control::UniqueFd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!fd.valid()) throw Error(Status::limit, std::string("eventfd: ") + std::strerror(errno));
    return fd;
}
namespace {

constexpr std::size_t kPayload = FL_TLP_MAX_PAYLOAD_BYTES;
constexpr std::chrono::microseconds kSpin{20};        // a round trip on one host is shorter
constexpr std::chrono::milliseconds kSleepSlice{50};  // then look whether the daemon is still there

// Parts of a bulk access end at 4 KiB boundaries, as PCIe wants it (6.0, 2.2.7).
std::size_t part_bytes(std::uint64_t offset, std::size_t left) noexcept {
    return std::min<std::size_t>(left, kPayload - offset % kPayload);
}

}  // namespace

void RingDevice::refuse(Status status, const std::string& what) const {
    throw Error(status, "'" + info_.name + "': " + what + ": " + std::string(status_text(status)));
}

// The lock is held.
Status RingDevice::state() const noexcept {
    if (detached_ || !lost_.empty() || channel_->broken()) return Status::device_lost;
    const Status s = channel_->device_state();
    return s == Status::device_lost || s == Status::device_reset ? s : Status::ok;
}

void RingDevice::usable() const {
    const Status s = state();
    if (s == Status::device_reset) refuse(s, "call acknowledge_reset()");
    if (s != Status::ok) refuse(s, detached_ ? "it is detached" : lost_.empty() ? "it was removed" : lost_);
}

void RingDevice::check() {
    const Lock held(mutex_);
    if (channel_) channel_->drain();
    usable();
    if (const Status refused = channel_->take_refused(); refused != Status::ok) refuse(refused, "a write was refused");
}

// Returns when `ready`, when the device is of no use any more, or at `until`. One thread at a time
// sleeps on the bell; it wakes the others.
void RingDevice::wait(Lock& held, bool for_released, const std::function<bool()>& ready, SteadyTime until) {
    ++waiting_;
    wait_on(held, for_released, ready, until);
    if (--waiting_ == 0) woken_.notify_all();
}

void RingDevice::wait_on(Lock& held, bool for_released, const std::function<bool()>& ready, SteadyTime until) {
    auto look_at = std::chrono::steady_clock::now() + kSleepSlice;
    const auto spin_until = std::chrono::steady_clock::now() + kSpin;
    while (!ready()) {
        if (channel_->drain()) {
            woken_.notify_all();
            continue;
        }
        if (state() == Status::device_lost) return;
        if (look_at < std::chrono::steady_clock::now()) {
            look_at = std::chrono::steady_clock::now() + kSleepSlice;
            if (!still_there()) {
                lost_ = "it was removed";
                channel_->fail_all(Status::device_lost);
                continue;
            }
        }
        const auto now = std::chrono::steady_clock::now();
        if (now >= until) return;
        if (now < spin_until) continue;
        const auto slice = std::min<std::chrono::nanoseconds>(kSleepSlice, until - now);
        released_waiters_ += for_released ? 1 : 0;
        if (polling_) {
            woken_.wait_for(held, slice);
        } else {
            channel_->announce_sleep(released_waiters_ != 0);
            if (!channel_->drain() && !ready()) {
                polling_ = true;
                pollfd p{channel_->bell(), POLLIN, 0};
                held.unlock();
                const timespec limit{0, static_cast<long>(slice.count())};
                (void)::ppoll(&p, 1, &limit, nullptr);
                held.lock();
                polling_ = false;
                channel_->hush();
            }
            channel_->announce_awake();
            channel_->drain();
            woken_.notify_all();
        }
        released_waiters_ -= for_released ? 1 : 0;
    }
}

void RingDevice::until_given(Lock& held, const std::function<bool()>& give) {
    usable();
    if (give()) return;
    bool given = false;
    wait(held, true, [&] { return state() != Status::ok || (given = give()); });
    if (!given) usable();
}

void RingDevice::finish(Lock& held, channel::Waiter& waiter, const char* what) {
    wait(held, false, [&] { return waiter.outstanding == 0; });
    if (waiter.outstanding != 0) {
        channel_->forget(waiter);
        usable();
    }
    if (waiter.status != Status::ok) refuse(waiter.status, what);
}

void RingDevice::config_read(std::uint32_t offset, std::span<std::byte> into) {
    Lock held(mutex_);
    channel::Waiter waiter;
    const fl_tlp tlp = channel::make_tlp(FL_TLP_CFGRD, FL_BAR_NONE, offset, into.size());
    until_given(held, [&] { return channel_->request(tlp, {}, into, waiter); });
    finish(held, waiter, "configuration read");
}

void RingDevice::config_write(std::uint32_t offset, std::span<const std::byte> data) {
    Lock held(mutex_);
    channel::Waiter waiter;
    const fl_tlp tlp = channel::make_tlp(FL_TLP_CFGWR, FL_BAR_NONE, offset, data.size());
    until_given(held, [&] { return channel_->request(tlp, data, {}, waiter); });
    finish(held, waiter, "configuration write");
}

void RingDevice::bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) {
    check_bar(info_, bar, offset, into.size());
    Lock held(mutex_);
    channel::Waiter waiter;
    try {
        while (!into.empty()) {
            const std::size_t n = part_bytes(offset, into.size());
            const fl_tlp tlp = channel::make_tlp(FL_TLP_MRD, bar, offset, n);
            until_given(held, [&] { return channel_->request(tlp, {}, into.first(n), waiter); });
            offset += n;
            into = into.subspan(n);
        }
    } catch (const Error&) {
        channel_->forget(waiter);  // its answers must not land in a frame that is gone
        throw;
    }
    finish(held, waiter, "read");
}

void RingDevice::bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) {
    check_bar(info_, bar, offset, data.size());
    Lock held(mutex_);
    while (!data.empty()) {
        const std::size_t n = part_bytes(offset, data.size());
        const fl_tlp tlp = channel::make_tlp(FL_TLP_MWR, bar, offset, n, relaxed);
        until_given(held, [&] { return channel_->write(tlp, data.first(n)); });
        offset += n;
        data = data.subspan(n);
    }
}

void RingDevice::bar_write_from(unsigned bar, std::uint64_t offset, Buffer& buffer, std::size_t buffer_offset,
                                std::size_t bytes) {
    const std::size_t size = buffer.bytes().size();
    if (buffer_offset > size || bytes > size - buffer_offset)
        throw Error(Status::out_of_bounds, "the source reaches outside its buffer");
    check_bar(info_, bar, offset, bytes);
    const std::optional<std::uint32_t> number = number_of(buffer);
    if (!number) return bar_write(bar, offset, buffer.bytes().subspan(buffer_offset, bytes), true);
    Lock held(mutex_);
    usable();
    while (!sources_.empty() && static_cast<std::int32_t>(channel_->released() - sources_.front().count) >= 0)
        sources_.pop_front();
    while (bytes != 0) {
        const std::size_t n = part_bytes(offset, bytes);
        const fl_tlp tlp = channel::make_tlp(FL_TLP_MWR, bar, offset, n, true);
        until_given(held, [&] { return channel_->write_from(tlp, *number, buffer_offset); });
        offset += n;
        buffer_offset += n;
        bytes -= n;
    }
    sources_.push_back({channel_->submitted(), buffer.shared_from_this()});
}

// A read pushes the writes before it. This one may be asked twice: when its answer died with a
// daemon, it is asked again.
void RingDevice::flush() {
    for (int tries = 0;; ++tries) {
        try {
            std::array<std::byte, 4> id{};
            config_read(0, id);
            break;
        } catch (const Error& e) {
            if (e.status() != Status::completer_abort || tries == 3) throw;
        }
    }
    check();
}

void RingDevice::progress(std::chrono::microseconds timeout) {
    Lock held(mutex_);
    if (!channel_ || channel_->drain() || timeout.count() <= 0) return;
    bool happened = false;
    const auto drained = [&] { return happened |= channel_->drain(); };
    wait(held, false, drained, std::chrono::steady_clock::now() + timeout);
}

int RingDevice::interrupt_fd(unsigned vector) {
    const Lock held(lists_);
    if (vector >= vectors_.size())
        throw Error(Status::not_found,
                    "vector " + std::to_string(vector) + " is not enabled: call enable_interrupts first");
    return vectors_[vector].get();
}

void RingDevice::lose(const std::string& why) noexcept {
    const Lock held(mutex_);
    lost_ = why.empty() ? "its daemon is gone" : why;
    if (channel_) channel_->fail_all(Status::device_lost);
    woken_.notify_all();
}

void RingDevice::close_channel() noexcept {
    Lock held(mutex_);
    detached_ = true;
    channel_->fail_all(Status::device_lost);
    woken_.notify_all();
    woken_.wait(held, [this] { return waiting_ == 0; });
    channel_.reset();
    sources_.clear();
}

}  // namespace farlane::provider

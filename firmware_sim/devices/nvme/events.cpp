// SPDX-License-Identifier: Apache-2.0
// Receives: what happened. Hands on: to an Asynchronous Event Request that waits for it. Owns: nothing.
// NVM Express 1.4, 5.2.
#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {

std::uint16_t Controller::async_event(std::uint32_t slot) noexcept {
    if (events_.size() >= kMaxAsyncEvents) return kAerLimit;
    events_.push(runs_, slot);
    deliver_events();
    return kLater;
}

// One event of a type can wait; the types that a feature masks are dropped (5.21.1.11).
void Controller::event(EventType type, std::uint32_t info, std::uint32_t page) noexcept {
    const std::uint32_t enabled = state_.session.features[kAsyncConfig];
    if (type == kEventSmart && (enabled & 1u << 1) == 0) return;
    if (type == kEventNotice && (enabled & 1u << 8) == 0) return;
    PendingEvent& e = state_.session.events[type];
    if (e.valid != 0) return;
    e.info = info;
    e.log_page = page;
    publish(e.valid, std::uint32_t{1});
    deliver_events();
}

void Controller::deliver_events() noexcept {
    for (unsigned type = 0; type < kEventTypes && !events_.empty(); ++type) {
        PendingEvent& e = state_.session.events[type];
        if (e.valid == 0 || e.masked != 0) continue;
        const std::uint32_t slot = events_.pop(runs_);
        command(slot).dw0 = type | (e.info & 0xff) << 8 | (e.log_page & 0xff) << 16;
        finish(slot, kOk);
        // Killed here, the event is told once more; never not at all
        publish(e.masked, std::uint32_t{1});
        publish(e.valid, std::uint32_t{0});
    }
}

// Reading the log page of an event (without RAE) lets the next of its type through.
void Controller::event_read(std::uint8_t log_id) noexcept {
    for (unsigned type = 0; type < kEventTypes; ++type) {
        PendingEvent& e = state_.session.events[type];
        if (e.log_page == log_id) publish(e.masked, std::uint32_t{0});
    }
    if (log_id == 0x04) publish(state_.session.namespace_changed, std::uint32_t{0});
    deliver_events();
}

void Controller::check_temperature() noexcept {
    if ((critical_warning() & 1u << 1) != 0) event(kEventSmart, 0x01, 0x02);
}

}  // namespace farlane::firmware::nvme

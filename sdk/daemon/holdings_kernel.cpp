// SPDX-License-Identifier: Apache-2.0
// Receives: functions that are, or are to be, on this host's PCI bus. Hands on: who uses a function,
// and what becomes of it when its device, its ring or its daemon is lost. Owns: see holdings.hpp.
#include "daemon/holdings.hpp"

namespace farlane::daemon {

bool Holdings::wants_bus(Use use, bool persistent) {
    if (use != Use::automatic) return use == Use::bus;
    if (!persistent || host_.kernel == nullptr || !host_.kernel->active()) return false;
    // "auto" does not stand in the way of applications; "on" says why it can not be.
    const auto module = host_.kernel->open();
    if (module.ok() || host_.kernel->mode() == KernelMode::on) return true;
    host_.emit(
        {EventKind::error, "", "", "not on the PCI bus: " + module.failure().detail, std::chrono::system_clock::now()});
    return false;
}

void Holdings::plug(Holding& h, bool adopted, const Answer& answer) {
    const Pointer keep = shared(h);
    if (host_.kernel == nullptr) return answer(refusal(Status::unsupported, "this daemon has no PCI bus"));
    if (h.on_bus()) return answer(on_bus_reply(h, true));
    h.plug([this, keep, adopted, answer](const Reply& r) {
        host_.kernel->close_if_unused();
        if (r.status == Status::ok) return answer({Status::ok, "", attach_result(*keep, adopted), {}});
        if (adopted) return answer(refusal(r.status, r.message));  // it stays attached, for applications
        drop(*keep, [answer, status = r.status, why = r.message](Status) { answer(refusal(status, why)); });
    });
}

Reply Holdings::on_bus_reply(const Holding& h, bool to_bus) const {
    const bool live = h.bus()->phase == BusPort::Phase::live;
    if (to_bus && live) return {Status::ok, "", attach_result(h, true), {}};
    const std::string where = h.json().at("bus").at("address").get<std::string>();
    return refusal(Status::busy,
                   "'" + h.info().name + "' is on this host's PCI bus" + (where.empty() ? "" : " (" + where + ")") +
                       (live ? "; farlane detach takes it off, farlane attach --provider daemon is for applications"
                             : ", but not ready; try again"));
}

std::string Holdings::restore_bus(const Pointer& h) {
    const std::string name = "'" + h->info().name + "' on the PCI bus, of an earlier daemon: ";
    const KernelFunction* kept =
        host_.kernel != nullptr ? host_.kernel->kept(h->info().name, h->info().target) : nullptr;
    if (kept == nullptr) {
        h->forget();
        return name + "the kernel module has it no more, it is forgotten";
    }
    holdings_.push_back(h);
    if (const auto back = h->recover(*kept); !back.ok()) {
        drop(*h, [](Status) {});
        return name + back.failure().detail;
    }
    resume_alone(h);
    return name + "taking it up again";
}

// True = something was done.
bool Holdings::look_after_bus(const Pointer& h) {
    if (h->bus()->phase != BusPort::Phase::live) return false;
    if (h->lost()) {
        drop(*h, [](Status) {});
        return true;
    }
    if (h->misbehaved()) {
        host_.emit({EventKind::error, h->info().name, h->info().target, "the kernel module broke its channel",
                    std::chrono::system_clock::now()});
        drop(*h, [](Status) {});
        return true;
    }
    if (!h->bus()->state_lost) return false;
    // A driver can not know that the registers it wrote are gone: it gets another device.
    h->unplug(true, [this, h](Status) {
        if (h->phase() != Holding::Phase::ready || h->lost()) return;
        (void)h->acknowledge_reset();
        plug(*h, false, [](const Reply&) {});
    });
    return true;
}

// The module removes a function by itself when its ring stays full; nobody tells us.
bool Holdings::drop_if_off_bus(const Pointer& h) {
    if (h->phase() == Holding::Phase::ending || h->bus()->phase != BusPort::Phase::live) return false;
    if (KernelBus::has(*h->bus()->module, h->bus()->function.id)) return false;
    host_.emit({EventKind::device_lost, h->info().name, h->info().target, "the kernel removed it from the PCI bus",
                std::chrono::system_clock::now()});
    drop(
        *h, [](Status) {}, true);
    return true;
}

}  // namespace farlane::daemon

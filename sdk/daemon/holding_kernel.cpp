// SPDX-License-Identifier: Apache-2.0
// Receives: the wish that an attached function appears on, or leaves, this host's PCI bus.
// Hands on: the function to the kernel module, whose ring becomes the channel and whose soft-IOMMU
// becomes the memory of the attachment. Owns: see holding.hpp. docs/architecture.md, "Kernel".
#include <cerrno>
#include <cstring>

#include <sys/eventfd.h>

#include <farlane/uapi/accel.h>

#include "daemon/holding.hpp"
#include "daemon/virtio_window.hpp"

namespace farlane::daemon {
namespace {

constexpr std::uint32_t kCompleteEntries = 1024;
constexpr std::uint32_t kStagingBytes = 1 << 20;
constexpr std::uint32_t kAccelerator = FL_ACCEL_CLASS_CODE >> 8;  // base class and subclass

UniqueFd make_bell() {
    return UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

const char* phase_name(BusPort::Phase p) {
    switch (p) {
        case BusPort::Phase::plugging: return "plugging";
        case BusPort::Phase::live: return "live";
        case BusPort::Phase::unplugging: return "unplugging";
    }
    return "live";
}

}  // namespace

// --- on

void Holding::plug(Plugged done) {
    if (usable() != Status::ok) return done(unusable());
    auto module = host_.kernel->open();
    if (!module.ok()) return done(refusal(module.failure()));
    auto journal = host_.kernel->journal(info_.name);
    if (!journal.ok()) return done(refusal(journal.failure()));
    bus_ = std::make_unique<BusPort>(std::move(*module), **journal);
    bus_->memory.clear();
    // Whatever it did before: a driver finds a device as after power-on, and one that does no DMA.
    reset([this, done = std::move(done)](const Reply& r) {
        if (r.status != Status::ok && r.status != Status::unsupported) return plug_failed(r, done);
        own_.read_space(*attachment_, [this, done](Status status, const std::shared_ptr<ConfigSpace>& space) {
            if (status == Status::ok)
                return check_platform(space, [this, done, space](const Reply& checked) {
                    if (checked.status != Status::ok) return plug_failed(checked, done);
                    const Status mapped = use_bus_memory();
                    if (mapped == Status::ok) return add_to_bus(space, done);
                    plug_failed(does_not_answer(mapped), done);
                });
            plug_failed(does_not_answer(status), done);
        });
    });
}

Reply Holding::does_not_answer(Status status) const {
    return refusal(status, "'" + info_.name + "' does not answer: " + std::string(status_text(status)));
}

// A virtio device without VIRTIO_F_ACCESS_PLATFORM is given physical addresses by the kernel's driver, past the DMA API
// (virtio 1.2, 6.1). The soft-IOMMU refuses every one of them, and the driver would wait for ever: such a device is
// not put on the bus. It is the device's own word, in a register of a BAR; the window in its configuration space
// reaches that. What this writes is undone by the reset with which the module plugs it.
struct Holding::Asking {
    std::array<ConfigStep, 6> steps;
    std::size_t next = 0;
    Answer answer;
};

void Holding::check_platform(const std::shared_ptr<ConfigSpace>& space, const Answer& answer) {
    if (!is_virtio(*space)) return answer({});
    const auto steps = ask_high_features(*space);
    if (!steps.ok())
        return answer(refusal(steps.status(), "'" + info_.name + "' can not be on the bus: " + steps.failure().detail));
    ask_step(std::make_shared<Asking>(Asking{steps.value(), 0, answer}));
}

void Holding::ask_step(const std::shared_ptr<Asking>& asking) {
    if (usable() != Status::ok) return asking->answer(unusable());
    const ConfigStep& step = asking->steps[asking->next++];
    const auto then = [this, asking](Status status, std::uint32_t value) {
        if (status != Status::ok) return asking->answer(does_not_answer(status));
        if (asking->next < asking->steps.size()) return ask_step(asking);
        if ((value & kAccessPlatformHigh) != 0) return asking->answer({});
        asking->answer(
            refusal(Status::unsupported,
                    "'" + info_.name +
                        "' can not be on the bus: it does not offer VIRTIO_F_ACCESS_PLATFORM, so the kernel's "
                        "driver would give it physical addresses of this host; the feature has to be turned "
                        "on at the device (QEMU: iommu_platform=on)"));
    };
    const Status s = step.reads ? own_.read(*attachment_, step.offset, step.bytes, then)
                                : own_.write(*attachment_, step.offset, step.bytes, step.value, then);
    if (s != Status::ok) asking->answer(does_not_answer(s));
}

// One mapping of everything; what the device may reach is decided by the module.
Status Holding::use_bus_memory() {
    if (usable() != Status::ok) return Status::device_lost;
    SavedMapping* m = ledger_.free_mapping();
    if (m == nullptr || !ledger_.can_announce()) return Status::limit;
    constexpr std::uint32_t kBoth = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;
    SavedState& s = file_->state();
    store_in_order(s.next_iova, lane::kSpaceIova + lane::kSpaceBytes);
    const std::uint64_t before = attachment_->next_sequence(proto::RecordClass::posted);
    ledger_.begin_announcement(FL_MSG_MAP, lane::kSpaceIova, lane::kSpaceBytes, kBoth, before);
    *m = {0, lane::kSpaceIova, 0, 0, FL_BUFFER_STAGING, kBoth};
    store_in_order(m->bytes, lane::kSpaceBytes);
    const Status status = attachment_->use_memory(bus_->memory);
    if (status != Status::ok) {
        ledger_.cancel_announcement();
        store_in_order(m->bytes, std::uint64_t{0});
        return status;
    }
    ledger_.settle(before, attachment_->next_sequence(proto::RecordClass::posted), 0);
    // Which vectors count is the module's to know, too.
    s.vectors = kMaxVectors;
    attachment_->allow_interrupts(kMaxVectors);
    return Status::ok;
}

void Holding::add_to_bus(const std::shared_ptr<ConfigSpace>& space, const Plugged& done) {
    struct Work {
        std::shared_ptr<KernelModule> module;
        std::shared_ptr<ConfigSpace> space;
        KernelFunctionSpec spec;
        UniqueFd bell = make_bell();
        std::optional<Result<KernelFunction>> result;
    };
    auto work = std::make_shared<Work>();
    work->module = bus_->module;
    work->space = space;
    work->spec.info = info_;
    work->spec.config = *work->space;
    work->spec.geometry = {host_.kernel->settings().ring_entries, kCompleteEntries, kStagingBytes};
    work->spec.completion_timeout_ms = host_.kernel->completion_timeout_ms();
    work->spec.submit_bell = work->bell.get();
    work->spec.node = info_.class_code >> 8 == kAccelerator;
    if (!work->bell.valid())
        return plug_failed(refusal(Status::limit, std::string("eventfd: ") + std::strerror(errno)), done);
    // Before the module knows of it: a restarted daemon that finds the note and no function forgets both.
    store_in_order(file_->state().on_bus, 1U);
    host_.kernel->run([work] { work->result = work->module->add(work->spec); },
                      [self = weak_from_this(), kernel = host_.kernel, work, done] {
                          if (const auto h = self.lock())
                              return h->added_to_bus(std::move(*work->result), std::move(work->bell), done);
                          if (!work->result->ok()) return;
                          kernel->run([work] { (void)work->module->remove((*work->result)->id, true); }, [] {});
                      });
}

void Holding::added_to_bus(Result<KernelFunction> result, UniqueFd submit_bell, const Plugged& done) {
    if (!result.ok()) return plug_failed(refusal(result.failure()), done);
    bus_->function = std::move(*result);
    host_.kernel->claim_function(bus_->function.id);
    bus_->phase = BusPort::Phase::live;
    auto opened = open_bus_channel(std::move(submit_bell), true);
    if (opened.ok() && usable() == Status::ok) {
        channel_->attach_to(*attachment_);
        channel_->open();
        // The kernel looks into the slot in its own time; whoever attached wants to know where the function is.
        auto kept_off = std::make_shared<bool>(false);
        return host_.kernel->run([slot = bus_->function.slot, kept_off] { *kept_off = wait_for_slot(slot); },
                                 [self = weak_from_this(), kept_off, done] {
                                     const auto h = self.lock();
                                     if (h == nullptr || !h->bus_ || h->bus_->phase != BusPort::Phase::live)
                                         return done(refusal(Status::device_lost, "it was taken off the bus again"));
                                     h->bus_->not_allowed = *kept_off;
                                     done({Status::ok, "", h->bus_json(), {}});
                                 });
    }
    const Failure why = opened.ok() ? Failure{Status::device_lost, unusable().message} : opened.failure();
    unplug(true, [done, why](Status) { done(refusal(why)); });
}

Result<bool> Holding::open_bus_channel(UniqueFd submit_bell, bool fresh) {
    const KernelFunction& f = bus_->function;
    if (!f.geometry.valid() || f.channel_bytes < f.geometry.total_bytes())
        return {Status::protocol, "the kernel module made a channel of '" + f.name + "' that can not be"};
    auto memory = bus_->module->map_channel(f);
    if (!memory.ok()) return memory.failure();
    if (!Channel::same_header((*memory)->bytes(), f.geometry))
        return {Status::version, "the channel of '" + f.name +
                                     "' is laid out in another way than this farlaned knows: "
                                     "install module and daemon of one version"};
    Channel::Parts parts{std::move(*memory), std::move(submit_bell), {}, true};
    channel_ = std::make_unique<Channel>(std::move(parts), f.geometry, ledger_, *this, host_.bells, fresh);
    watch_channel();
    bus_->memory.open(*bus_->module, f.id);
    return true;
}

void Holding::plug_failed(const Reply& why, const Plugged& done) {
    leave_bus(why.status);
    done(refusal(why.status, why.message));
}

// --- again

Result<bool> Holding::recover(KernelFunction kept) {
    auto module = host_.kernel->open();
    if (!module.ok()) return module.failure();
    auto journal = host_.kernel->journal(info_.name);
    if (!journal.ok()) return journal.failure();
    if (file_->state().has_channel == 0 || !(kept.geometry == file_->state().geometry()))
        return {Status::stale, "the kernel module has another function of that name"};
    UniqueFd bell = make_bell();
    if (!bell.valid()) return {Status::limit, std::string("eventfd: ") + std::strerror(errno)};
    bus_ = std::make_unique<BusPort>(std::move(*module), **journal);
    bus_->function = kept;
    bus_->phase = BusPort::Phase::live;
    if (const Status s = bus_->module->recover(kept.id, bell.get()); s != Status::ok) {
        bus_.reset();
        return {s, "the kernel module does not give it back: " + std::string(status_text(s))};
    }
    host_.kernel->claim(kept.id);
    auto opened = open_bus_channel(std::move(bell), false);
    if (opened.ok()) look_at_node();
    return opened;
}

// --- off

void Holding::unplug(bool surprise, std::function<void(Status)> done) {
    if (!bus_) return done(Status::ok);
    bus_->unplugged.push_back(std::move(done));
    // A driver that hangs in an orderly removal is helped by a surprising one.
    if (bus_->phase == BusPort::Phase::unplugging && !surprise) return;
    bus_->phase = BusPort::Phase::unplugging;
    auto status = std::make_shared<Status>(Status::ok);
    host_.kernel->run(
        [module = bus_->module, id = bus_->function.id, surprise, status] { *status = module->remove(id, surprise); },
        [self = weak_from_this(), kernel = host_.kernel, id = bus_->function.id, surprise, status] {
            const auto h = self.lock();
            if (h == nullptr || !h->bus_ || h->bus_->function.id != id) return;
            // Refused: the function is still on the bus, and so is the holding. Not after a surprise.
            const bool gone = *status == Status::ok || *status == Status::not_found || *status == Status::device_lost;
            if (!gone && !surprise) {
                h->bus_->phase = BusPort::Phase::live;
                for (const auto& then : std::exchange(h->bus_->unplugged, {})) then(*status);
                return;
            }
            h->leave_bus(Status::ok);
            kernel->release_function(id);
        });
}

// Nothing of the module is touched any more.
void Holding::leave_bus(Status status) {
    if (!bus_) return;
    const std::unique_ptr<BusPort> bus = std::move(bus_);
    if (bus->node) {
        // The application hears of it and no record of it is taken any more.
        bus->node->channel().close();
        bus->node->channel().fail_in_flight(Status::device_lost, true);
        bus->node->channel().tell(Status::device_lost);
        (void)bus->node->turn(host_.lane.now(), *bus->module);
    }
    bus->memory.close();
    if (attachment_ != nullptr) attachment_->forget_memory();
    if (channel_) channel_->close();
    drop_channel();
    SavedState& s = file_->state();
    store_in_order(s.on_bus, 0U);
    store_in_order(s.has_channel, 0U);
    for (SavedMapping& m : s.mappings) store_in_order(m.bytes, std::uint64_t{0});
    for (std::uint32_t i = 0; i < kMaxAnnouncements; ++i) ledger_.drop(i);
    for (const auto& then : bus->unplugged) then(status);
}

// --- its node

// An application came, or ended. Without an attachment yet (a restart) its records wait in their ring.
void Holding::look_at_node() {
    if (!bus_ || !bus_->function.node || bus_->phase == BusPort::Phase::plugging) return;
    auto found = bus_->module->channel(bus_->function.id);
    auto& node = bus_->node;
    const bool left = node && (!found.ok() || found->generation != node->generation() || !found->open) && node->end();
    if (left && attachment_ != nullptr) attachment_->hurry();  // who comes next waits for it
    if (!found.ok() || node || bus_->freeing) return;
    if (!found->open) {
        (void)bus_->module->release_channel(bus_->function.id, found->generation);
        return;
    }
    auto note = host_.kernel->node_note(info_.name);
    auto opened = note.ok() ? NodeChannel::open(*bus_->module, bus_->function, *found, **note, host_.bells)
                            : Result<std::unique_ptr<NodeChannel>>(note.failure());
    if (!opened.ok())
        return host_.emit(
            {EventKind::error, info_.name, info_.target, opened.failure().detail, std::chrono::system_clock::now()});
    node = std::move(*opened);
    if (phase_ != Phase::ready || attachment_ == nullptr) return;  // resumed() goes on
    node->channel().attach_to(*attachment_);
    node->channel().open();
}

bool Holding::turn_bus(lane::Time now) noexcept {
    if (bus_->reset_again) free_node();
    const bool gave = bus_->memory.flush();
    const bool poke = channel_ && channel_->take_poke();
    if (poke && !gave) (void)bus_->module->poke(bus_->function.id);
    bool busy = gave;
    auto& node = bus_->node;
    if (!node) return busy;
    busy |= node->turn(now, *bus_->module);
    if (!node->over() || !replay_.empty()) return busy;
    // Nothing of it is in flight.
    bus_->freed_generation = node->generation();
    node.reset();
    free_node();
    return true;
}

// The next application finds a device as after power-on: a reset that had no answer is asked for again.
void Holding::free_node() noexcept {
    bus_->freeing = true;
    bus_->reset_again = false;
    reset([self = weak_from_this()](const Reply& r) {
        const auto h = self.lock();
        if (h == nullptr || !h->bus_) return;
        if (r.status != Status::ok && r.status != Status::unsupported && h->usable() == Status::ok) {
            h->bus_->reset_again = true;
            return;
        }
        h->bus_->freeing = false;
        (void)h->bus_->module->release_channel(h->bus_->function.id, h->bus_->freed_generation);
        h->look_at_node();
    });
}

// --- meanwhile

void Holding::fail_node(Status status, bool requests) noexcept {
    if (!bus_->node) return;
    bus_->node->channel().fail_in_flight(status, requests);
    bus_->node->channel().tell(status);
}

// True = nobody else is to be told.
bool Holding::bus_event(EventKind kind) noexcept {
    const bool live = bus_->phase == BusPort::Phase::live;
    switch (kind) {
        case EventKind::device_lost:
            // Whoever spins for an answer gets one now; Holdings removes the function.
            if (channel_) channel_->fail_in_flight(Status::device_lost, true);
            fail_node(Status::device_lost, true);
            return true;
        case EventKind::device_reset:
            if (channel_) channel_->fail_in_flight(Status::device_reset, false);
            fail_node(Status::device_reset, false);
            bus_->state_lost = true;
            return true;
        case EventKind::link_down:
            if (live) (void)bus_->module->set_state(bus_->function.id, FL_FUNCTION_DOWN);
            if (bus_->node) bus_->node->channel().tell(Status::unreachable);
            return true;
        case EventKind::resumed:
            if (live) (void)bus_->module->set_state(bus_->function.id, FL_FUNCTION_LIVE);
            if (bus_->node) bus_->node->channel().tell(Status::ok);
            return true;
        default: return false;
    }
}

void Holding::on_device_error(std::uint32_t severity, std::uint32_t source) noexcept {
    if (!bus_ || bus_->phase != BusPort::Phase::live) return;
    bus_->memory.settle();  // an error message is behind the writes before it
    (void)bus_->module->error(bus_->function.id, severity, source);
}

Json Holding::bus_json() const {
    if (!bus_) return nullptr;
    const bool there = bus_->phase != BusPort::Phase::plugging;
    Json j = {{"state", phase_name(bus_->phase)}, {"slot", nullptr}, {"address", ""}, {"node", ""}};
    auto module = bus_->module->info();
    std::string off = module.ok() && (module->features & FL_FEATURE_TRAP) == 0 ? "trap" : "";
    if (there) {
        const std::string address = pci_address_of_slot(bus_->function.slot);
        j["slot"] = bus_->function.slot;
        j["address"] = address;
        if (off.empty() && bus_->not_allowed && !has_driver(address)) off = "allow";
    }
    j["drivers"] = off.empty();
    j["drivers_off"] = off;
    if (!there) return j;
    if (bus_->function.node) j["node"] = "/dev/farlane/" + bus_->function.name;
    return j;
}

}  // namespace farlane::daemon

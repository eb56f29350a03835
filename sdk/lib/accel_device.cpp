// SPDX-License-Identifier: Apache-2.0
// Receives: an attached device. Hands on: numbers, addresses and registers of the accelerator.
// Owns: the list of accelerators this process uses.
#include "lib/accel_device.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include <farlane/accel.hpp>

#include "lib/accel_queue.hpp"

namespace farlane::accel {

bool is_accelerator(const FunctionInfo& info) noexcept {
    return info.class_code == FL_ACCEL_CLASS_CODE;
}

namespace detail {
namespace {

constexpr auto kReadyTimeout = std::chrono::seconds(5);
constexpr auto kDisableTimeout = std::chrono::seconds(5);
constexpr auto kEndTimeout = std::chrono::seconds(20);
constexpr auto kCallUser = std::chrono::milliseconds(100);
constexpr std::uint32_t kCommand = 4;  // PCIe 6.0, 7.5.1.1.3
constexpr std::byte kMemoryAndBusMaster{0x06};

/// Accelerators in use, so that several contexts of one process share numbers and addresses.
struct Registry {
    std::mutex mutex;
    std::map<provider::DeviceProvider*, std::weak_ptr<SharedDevice>> devices;
};
Registry& registry() {
    static Registry r;
    return r;
}

/// Memory decoding and bus mastering.
void enable(provider::DeviceProvider& p) {
    std::byte command[2];
    p.config_read(kCommand, command);
    if ((command[0] & kMemoryAndBusMaster) == kMemoryAndBusMaster) return;
    command[0] |= kMemoryAndBusMaster;
    p.config_write(kCommand, command);
}

/// The first that is not `taken`, by a projection of its own.
template <class Slots, class Taken = std::identity>
std::uint32_t first_free(Slots& slots, const char* what, Taken taken = {}) {
    const auto free = std::ranges::find(slots, false, taken);
    if (free == slots.end()) {
        throw Error(Status::limit, "all " + std::to_string(slots.size()) + " " + what +
                                       " of the accelerator are in use; close a context or a stream");
    }
    return static_cast<std::uint32_t>(free - slots.begin());
}

}  // namespace

// --- life

std::shared_ptr<SharedDevice> SharedDevice::of(Device& device) {
    auto p = device.provider().shared_from_this();
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    auto& entry = r.devices[p.get()];
    if (auto there = entry.lock(); there != nullptr) {
        if (there->alive() && there->same_life()) return there;
        there->alive_.store(false, std::memory_order_relaxed);
    }
    enable(*p);  // a reset has switched it off
    auto made = std::make_shared<SharedDevice>(std::move(p));
    entry = made;
    std::erase_if(r.devices, [](const auto& d) { return d.second.expired(); });
    return made;
}

SharedDevice::SharedDevice(std::shared_ptr<provider::DeviceProvider> p) : provider_(std::move(p)) {
    if (!is_accelerator(provider_->info())) {
        throw Error(Status::unsupported, "'" + provider_->info().name + "' is not an accelerator (class 12.00.00)");
    }
    wait_ready();
    check_identity();
    queues_.resize(registers_.max_queues.get());
    contexts_.resize(registers_.max_contexts.get());
    if (!provider_->shared()) look_at_queues();
    const unsigned wanted = std::min<unsigned>(provider_->info().msix_vectors, registers_.max_contexts.get() + 1);
    if (wanted < 2) return;
    try {
        provider_->enable_interrupts(wanted);
        vectors_ = wanted;
    } catch (const Error& e) {
        // Without interrupts waits poll more slowly; anything else is a real failure.
        if (e.status() != Status::limit && e.status() != Status::unsupported) throw;
    }
}

void SharedDevice::wait_ready() {
    const auto deadline = std::chrono::steady_clock::now() + kReadyTimeout;
    while (true) {
        provider_->bar_read(FL_ACCEL_BAR_REGISTERS, 0, std::as_writable_bytes(std::span(&registers_, 1)));
        const bool ours = registers_.magic.get() == FL_ACCEL_MAGIC;
        if (!ours || (registers_.status.get() & FL_ACCEL_STATUS_READY) != 0) return;
        if (std::chrono::steady_clock::now() > deadline) {
            throw Error(Status::timeout, "accelerator '" + provider_->info().name + "' is not ready after its reset");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

void SharedDevice::check_identity() {
    const std::string name = "'" + provider_->info().name + "'";
    if (registers_.magic.get() != FL_ACCEL_MAGIC) {
        throw Error(Status::unsupported, name + " has the class of an accelerator, but not Farlane's registers");
    }
    if (registers_.version.get() >> 16 != FL_ACCEL_VERSION >> 16) {
        throw Error(Status::unsupported, name + " speaks version " + std::to_string(registers_.version.get() >> 16) +
                                             " of the accelerator interface, this library speaks " +
                                             std::to_string(FL_ACCEL_VERSION >> 16));
    }
    memory_ = Ranges(registers_.memory_address.get(), registers_.memory_bytes.get(), registers_.context_stride.get());
    local_ = Ranges(registers_.local_address.get(), registers_.local_bytes.get(), registers_.local_stride.get());
    // What comes from the device is checked once, here.
    const std::uint32_t contexts = registers_.max_contexts.get();
    const std::uint32_t queues = registers_.max_queues.get();
    const std::uint32_t page = registers_.page_bytes.get();
    const bool sane = queues >= 1 && queues <= FL_ACCEL_MAX_QUEUES && page == FL_ACCEL_PAGE_BYTES && contexts >= 1 &&
                      contexts <= 65536 && registers_.memory_address.get() % page == 0 &&
                      registers_.context_stride.get() % page == 0 && registers_.local_address.get() % page == 0 &&
                      registers_.local_stride.get() % page == 0 && memory_.sane(contexts) && local_.sane(contexts);
    if (!sane) throw Error(Status::protocol, name + " shows limits that can not be");
}

bool SharedDevice::same_life() {
    fl_le64 life;
    try {
        provider_->bar_read(FL_ACCEL_BAR_REGISTERS, offsetof(fl_accel_registers, life),
                            std::as_writable_bytes(std::span(&life, 1)));
    } catch (const Error& e) {
        if (e.status() != Status::unsupported_request) throw;
        return false;  // memory decoding is off after a reset
    }
    return life.get() == registers_.life.get();
}

void SharedDevice::throw_reset() {
    throw Error(Status::device_reset, kResetText);
}

// --- numbers and addresses

std::uint32_t SharedDevice::take_context() {
    if (!provider_->shared()) {
        ask_all();
        const std::lock_guard lock(mutex_);
        auto avoided = contexts_;
        // Where all share one memory, what an old one still has is in the way of every number.
        for (const Slot& q : queues_) {
            if (q.leaving && q.context < avoided.size() && memory_.apart() && local_.apart()) avoided[q.context] = true;
        }
        const bool none = std::ranges::find(avoided, false) == avoided.end();
        const std::uint32_t number = first_free(none ? contexts_ : avoided, "contexts");
        contexts_[number] = true;
        return number;
    }
    const provider::ContextGrant grant = provider_->open_context();
    const std::lock_guard lock(mutex_);
    const bool local_ok = grant.local_bytes == 0 || local_.grant(grant.number, grant.local_address, grant.local_bytes);
    if (memory_.grant(grant.number, grant.memory_address, grant.memory_bytes) && local_ok) return grant.number;
    throw Error(Status::protocol, "farlaned gave a range of memory that the accelerator does not have");
}
void SharedDevice::give_back_context(std::uint32_t context) noexcept {
    if (!provider_->shared()) {
        const std::lock_guard lock(mutex_);
        contexts_[context] = false;
        return;
    }
    try {
        if (alive()) provider_->close_context(context);
    } catch (const Error&) {
        // Lost or reset: it is gone already.
    }
}
std::optional<std::uint64_t> SharedDevice::take_memory(std::uint32_t context, std::uint64_t bytes, Place place) {
    const std::lock_guard lock(mutex_);
    return (place == Place::local ? local_ : memory_).take(context, bytes);
}
void SharedDevice::give_back_memory(std::uint64_t address, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    const bool local = local_.contains(address, registers_.max_contexts.get());
    (local ? local_ : memory_).give_back(address, bytes);
}
std::uint64_t SharedDevice::largest_free(std::uint32_t context, Place place) const {
    const std::lock_guard lock(mutex_);
    return ranges(place).largest(context);
}
std::uint32_t SharedDevice::vector_of(std::uint32_t context) const noexcept {
    return vectors_ < 2 ? FL_ACCEL_NO_VECTOR : 1 + context % (vectors_ - 1);
}

// --- queue pairs

/// Their places, once, and what contexts that are over have left: objects of this class come and go.
void SharedDevice::look_at_queues() {
    std::vector<fl_accel_queue_registers> all(queues_.size());
    provider_->bar_read(FL_ACCEL_BAR_REGISTERS, FL_ACCEL_QUEUE_OFFSET, std::as_writable_bytes(std::span(all)));
    for (std::size_t n = 0; n < all.size(); ++n) {
        const std::uint32_t state = all[n].state.get();
        if (state > FL_ACCEL_QUEUE_ERROR) {
            throw Error(Status::protocol, "accelerator '" + provider_->info().name +
                                              "' does not tell the state of queue pair " + std::to_string(n));
        }
        queues_[n] = {false, state != FL_ACCEL_QUEUE_DISABLED, 0, all[n].context.get(), all[n].sq_address.get()};
    }
}

std::uint32_t SharedDevice::take_queue() {
    ask_all();
    const std::lock_guard lock(mutex_);
    const auto ready = std::ranges::find_if(queues_, [](const Slot& q) { return !q.taken && !q.leaving; });
    const std::uint32_t number = ready != queues_.end() ? static_cast<std::uint32_t>(ready - queues_.begin())
                                                        : first_free(queues_, "queue pairs", &Slot::taken);
    queues_[number].taken = true;
    return number;
}
void SharedDevice::give_back_queue(std::uint32_t queue) noexcept {
    const std::lock_guard lock(mutex_);
    queues_[queue].taken = false;
}

SharedDevice::Pair SharedDevice::enable_queue(std::uint32_t context, std::uint32_t entries, std::uint64_t cq_iova,
                                              const std::function<void()>& while_waiting) {
    Pair pair;
    std::uint64_t sq_address = 0;
    if (provider_->shared()) {
        check_alive();
        const std::uint32_t vector = vector_of(context);
        const auto wanted = vector == FL_ACCEL_NO_VECTOR ? std::nullopt : std::optional(vector);
        const provider::QueueGrant grant = provider_->make_queue(context, entries, cq_iova, wanted);
        pair.number = grant.number;
        sq_address = grant.sq_address;
    } else {
        pair.number = take_queue();
        try {
            wait_until_gone(pair.number, context, while_waiting);
        } catch (...) {
            give_back_queue(pair.number);
            throw;
        }
        sq_address = queues_[pair.number].sq_address;
        try {
            program_queue(pair.number, context, entries, cq_iova);
        } catch (...) {
            disable_queue(pair.number);
            throw;
        }
    }
    const auto offset = aperture(sq_address, std::uint64_t{entries} * FL_ACCEL_COMMAND_BYTES);
    if (offset) return pair.sq_offset = *offset, pair;
    disable_queue(pair.number);
    throw Error(Status::protocol, "the submission queue is not in the aperture");
}

void SharedDevice::program_queue(std::uint32_t queue, std::uint32_t context, std::uint32_t entries,
                                 std::uint64_t cq_iova) {
    using R = fl_accel_queue_registers;
    {
        const std::lock_guard lock(mutex_);
        queues_[queue].context = context;
    }
    const std::uint64_t at = FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queue} * FL_ACCEL_QUEUE_STRIDE;
    write64(at + offsetof(R, cq_iova), cq_iova);
    write32(at + offsetof(R, sq_entries), entries);
    write32(at + offsetof(R, cq_entries), entries);
    write32(at + offsetof(R, context), context);
    write32(at + offsetof(R, pasid), 0);
    write32(at + offsetof(R, vector), vector_of(context));
    // Nobody waits for the answer: if the pair should be refused, waits find out (Queue::check_enabled).
    write32(at + offsetof(R, control), FL_ACCEL_QUEUE_ENABLE);
}

void SharedDevice::disable_queue(std::uint32_t queue) noexcept {
    try {
        if (alive() && provider_->shared())
            provider_->drop_queue(queue);
        else if (alive())
            wait_disabled(queue);
    } catch (const Error&) {
        // Lost or reset: the device has let go of it already.
    }
    if (!provider_->shared()) give_back_queue(queue);
}

std::uint32_t SharedDevice::context_of(std::uint32_t queue) const {
    const std::lock_guard lock(mutex_);
    return queues_[queue].context;
}

bool SharedDevice::disabled(std::uint32_t queue) {
    return read_queue(queue).state.get() == FL_ACCEL_QUEUE_DISABLED;
}

void SharedDevice::set_leaving(std::uint32_t queue, bool leaving) {
    const std::lock_guard lock(mutex_);
    queues_[queue].leaving = leaving;
    if (leaving) ++queues_[queue].times_left;
}

/// Asks the device about a pair that is leaving: without the lock, which others take for every buffer.
bool SharedDevice::has_left(std::uint32_t queue) {
    std::uint64_t times = 0;
    {
        const std::lock_guard lock(mutex_);
        if (!queues_[queue].leaving) return true;
        times = queues_[queue].times_left;
    }
    if (!disabled(queue)) return false;
    const std::lock_guard lock(mutex_);
    if (queues_[queue].times_left == times) queues_[queue].leaving = false;  // else taken and left again meanwhile
    return !queues_[queue].leaving;
}

/// Who takes a number passes over those that are still leaving, while there are others.
void SharedDevice::ask_all() {
    for (std::uint32_t n = 0; n < queues_.size(); ++n) (void)has_left(n);
}

void SharedDevice::wait_disabled(std::uint32_t queue) {
    const std::uint64_t at = FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queue} * FL_ACCEL_QUEUE_STRIDE;
    set_leaving(queue, true);
    write32(at + offsetof(fl_accel_queue_registers, control), 0);
    const auto deadline = std::chrono::steady_clock::now() + kDisableTimeout;
    while (!disabled(queue)) {
        if (std::chrono::steady_clock::now() > deadline) return;
        std::this_thread::yield();
    }
    set_leaving(queue, false);
}

/// A pair that the device has to let go of before `queue` can be bound to `context`: in a context that has not ended
/// yet the new one would find what the old one left.
std::optional<std::uint32_t> SharedDevice::in_the_way(std::uint32_t queue, std::uint32_t context) {
    for (std::uint32_t n = 0; n < queues_.size(); ++n) {
        const bool concerned = n == queue || context_of(n) == context;
        if (concerned && !has_left(n)) return n;
    }
    return std::nullopt;
}

/// The last user may have gone before the device had let go: on a busy target that takes seconds.
void SharedDevice::wait_until_gone(std::uint32_t queue, std::uint32_t context,
                                   const std::function<void()>& while_waiting) {
    const auto begun = std::chrono::steady_clock::now();
    auto called = begun;
    while (const auto other = in_the_way(queue, context)) {
        const auto now = std::chrono::steady_clock::now();
        if (now - begun > kEndTimeout) {
            throw Error(Status::protocol, "the accelerator has not let go of queue pair " + std::to_string(*other) +
                                              " of an earlier context yet");
        }
        if (now - called > kCallUser) {
            called = now;
            while_waiting();
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

// --- registers and aperture

std::uint32_t SharedDevice::read32(std::uint64_t offset) {
    check_alive();
    fl_le32 v;
    provider_->bar_read(FL_ACCEL_BAR_REGISTERS, offset, std::as_writable_bytes(std::span(&v, 1)));
    return v.get();
}
void SharedDevice::write32(std::uint64_t offset, std::uint32_t value) {
    check_alive();
    const fl_le32 v(value);
    provider_->bar_write(FL_ACCEL_BAR_REGISTERS, offset, std::as_bytes(std::span(&v, 1)), false);
}
void SharedDevice::write64(std::uint64_t offset, std::uint64_t value) {
    check_alive();
    const fl_le64 v(value);
    provider_->bar_write(FL_ACCEL_BAR_REGISTERS, offset, std::as_bytes(std::span(&v, 1)), false);
}
fl_accel_queue_registers SharedDevice::read_queue(std::uint32_t queue) {
    check_alive();
    fl_accel_queue_registers r;
    provider_->bar_read(FL_ACCEL_BAR_REGISTERS, FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queue} * FL_ACCEL_QUEUE_STRIDE,
                        std::as_writable_bytes(std::span(&r, 1)));
    return r;
}
std::optional<std::uint64_t> SharedDevice::aperture(std::uint64_t address, std::uint64_t bytes) const noexcept {
    const std::uint64_t first = registers_.aperture_address.get();
    const std::uint64_t size = registers_.aperture_bytes.get();
    if (address < first || bytes > size || address - first > size - bytes) return std::nullopt;
    return address - first;
}

}  // namespace detail
}  // namespace farlane::accel

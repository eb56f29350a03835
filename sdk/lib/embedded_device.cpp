// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of the application to one device. Hands on: transactions to its
// attachment. Owns: the staging memory of writes, interrupt eventfds, buffers in use.
#include "lib/embedded_device.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "lib/own_memory.hpp"
#include "lib/shared_pages.hpp"

namespace farlane::provider {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(1);  // for staging memory, before there is more
constexpr std::size_t kPayload = FL_TLP_MAX_PAYLOAD_BYTES;
constexpr std::uint64_t kFirstIova = 1ULL << 32;
constexpr std::uint64_t kPage = 4096;

static_assert(lane::kMsiAddress == 0xfee00000, "device_setup.cpp programs this address");

// Parts of a bulk access end at 4 KiB boundaries, as PCIe wants it (6.0, 2.2.7).
std::size_t part_bytes(std::uint64_t offset, std::size_t left) noexcept {
    return std::min<std::size_t>(left, kPayload - offset % kPayload);
}

proto::Tlp memory_tlp(proto::TlpType type, unsigned bar, std::uint64_t offset, std::size_t bytes,
                      bool relaxed) noexcept {
    return {.type = type,
            .attr = relaxed ? std::uint8_t{FL_ATTR_RO} : std::uint8_t{0},
            .bar = static_cast<std::uint8_t>(bar),
            .length_bytes = static_cast<std::uint16_t>(bytes),
            .address = offset};
}

}  // namespace

EmbeddedDevice::EmbeddedDevice(std::shared_ptr<EmbeddedFabric> fabric, lane::Attachment& attachment)
    : fabric_(std::move(fabric)), attachment_(&attachment), info_(attachment.info()), next_iova_(kFirstIova) {
    attachment_->set_sink(this);
}

EmbeddedDevice::~EmbeddedDevice() {
    try {
        detach();
    } catch (const Error&) {
        // The target frees it after its grace.
    }
    for (const int fd : eventfds_) close(fd);
}

lane::Attachment& EmbeddedDevice::live() const {
    if (attachment_ == nullptr) refuse(Status::device_lost, "detached");
    return *attachment_;
}

void EmbeddedDevice::refuse(Status status, const std::string& what) const {
    std::string text = "'" + info_.name + "': " + what;
    if (status == Status::out_of_bounds) text += " is outside the BAR or configuration space";
    throw Error(status, text);
}

// Never throws: the waiter's other requests are still out.
Status EmbeddedDevice::try_request(const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                                   std::uint64_t cookie) noexcept {
    return attachment_ != nullptr ? attachment_->request(tlp, operand, into, cookie) : Status::device_lost;
}

void EmbeddedDevice::request(Lock& held, const proto::Tlp& tlp, std::span<const std::byte> operand,
                             std::span<std::byte> into, Waiter& waiter, bool alone) {
    const auto cookie = reinterpret_cast<std::uint64_t>(&waiter);
    ++waiter.outstanding;
    auto status =
        alone && attachment_ != nullptr ? attachment_->ask(tlp, into, cookie) : try_request(tlp, operand, into, cookie);
    if (status == Status::would_block)
        fabric_->turn_until(held, lane::kNever, [&] {
            status = try_request(tlp, operand, into, cookie);
            return status != Status::would_block;
        });
    if (status == Status::ok) return;
    // Refused at once, after another had no answer: whoever does nothing but ask would never hear the next one.
    if (status == Status::timeout) (void)fabric_->lane().turn();
    --waiter.outstanding;
    if (waiter.status == Status::ok) waiter.status = status;
}

void EmbeddedDevice::finish(Lock& held, Waiter& waiter, const char* what) {
    // Every request is answered or times out; the waiter must outlive them all.
    fabric_->turn_until(held, lane::kNever, [&] { return waiter.outstanding == 0; });
    if (waiter.status == Status::ok) return;
    if (attachment_ != nullptr && attachment_->state() == lane::AttachmentState::reset)
        refuse(Status::device_reset, "the device lost its state; call acknowledge_reset()");
    refuse(waiter.status, what);
}

void EmbeddedDevice::submit(Lock& held, const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                            bool notify) {
    auto status = live().submit(tlp, payload, cookie, notify);
    if (status == Status::would_block)
        fabric_->turn_until(held, lane::kNever, [&] {
            status = live().submit(tlp, payload, cookie, notify);
            return status != Status::would_block;
        });
    if (status != Status::ok) refuse(status, "write");
    fabric_->hand_over();
}

void EmbeddedDevice::config_read(std::uint32_t offset, std::span<std::byte> into) {
    auto held = fabric_->lock();
    Waiter waiter;
    const proto::Tlp tlp{.type = proto::TlpType::config_read,
                         .length_bytes = static_cast<std::uint16_t>(into.size()),
                         .address = offset};
    request(held, tlp, {}, into, waiter);
    finish(held, waiter, "configuration read");
}

void EmbeddedDevice::config_write(std::uint32_t offset, std::span<const std::byte> data) {
    auto held = fabric_->lock();
    Waiter waiter;
    const proto::Tlp tlp{.type = proto::TlpType::config_write,
                         .length_bytes = static_cast<std::uint16_t>(data.size()),
                         .address = offset};
    request(held, tlp, data, {}, waiter);
    finish(held, waiter, "configuration write");
}

void EmbeddedDevice::bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) {
    check_bar(info_, bar, offset, into.size());
    auto held = fabric_->lock_untimed();  // a request looks at the clock
    Waiter waiter;
    const bool alone = part_bytes(offset, into.size()) == into.size();
    while (!into.empty()) {
        const auto n = part_bytes(offset, into.size());
        request(held, memory_tlp(proto::TlpType::memory_read, bar, offset, n, false), {}, into.first(n), waiter, alone);
        offset += n;
        into = into.subspan(n);
    }
    finish(held, waiter, "read");
}

Staging::Part EmbeddedDevice::stage(Lock& held, std::span<const std::byte> data) {
    auto part = staging_.take(data.size(), false);
    for (const bool more : {false, true}) {
        if (part) break;
        live().hurry();
        fabric_->turn_until(held, more ? lane::kNever : lane::Lane::clock() + kPatience, [&] {
            part = staging_.take(data.size(), more);
            return part || live().state() == lane::AttachmentState::lost;
        });
    }
    if (!part) refuse(Status::device_lost, "write");
    std::memcpy(part->bytes.data(), data.data(), data.size());
    return *part;
}

void EmbeddedDevice::bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) {
    check_bar(info_, bar, offset, data.size());
    auto held = fabric_->lock_untimed();
    while (!data.empty()) {
        const auto n = part_bytes(offset, data.size());
        const auto tlp = memory_tlp(proto::TlpType::memory_write, bar, offset, n, relaxed);
        if (n <= FL_TLP_INLINE_BYTES) {
            submit(held, tlp, data.first(n), 0, false);
        } else {
            const auto copy = stage(held, data.first(n));
            try {
                submit(held, tlp, copy.bytes, copy.block, true);
            } catch (const Error&) {
                staging_.give_back(copy.block);
                throw;
            }
        }
        offset += n;
        data = data.subspan(n);
    }
}

void EmbeddedDevice::bar_write_from(unsigned bar, std::uint64_t offset, Buffer& buffer, std::size_t buffer_offset,
                                    std::size_t bytes) {
    const auto all = buffer.bytes();
    if (buffer_offset > all.size() || bytes > all.size() - buffer_offset)
        throw Error(Status::out_of_bounds, "the source reaches outside its buffer");
    check_bar(info_, bar, offset, bytes);
    auto data = std::span<const std::byte>(all.subspan(buffer_offset, bytes));
    auto held = fabric_->lock();
    forget_released_sources();
    while (!data.empty()) {
        const auto n = part_bytes(offset, data.size());
        submit(held, memory_tlp(proto::TlpType::memory_write, bar, offset, n, true), data.first(n), 0, false);
        offset += n;
        data = data.subspan(n);
    }
    sources_.push_back({live().posted_submitted(), buffer.shared_from_this()});
}

void EmbeddedDevice::forget_released_sources() {
    const auto released = live().posted_released();
    while (!sources_.empty() && sources_.front().sequence <= released) sources_.pop_front();
}

void EmbeddedDevice::flush() {
    auto held = fabric_->lock();
    const auto last = live().posted_submitted();
    live().hurry();
    fabric_->turn_until(held, lane::kNever, [&] {
        const auto s = live().state();
        return live().posted_released() >= last || s == lane::AttachmentState::lost ||
               s == lane::AttachmentState::reset;
    });
    forget_released_sources();
    held = {};
    check();
}

void EmbeddedDevice::enable_interrupts(unsigned count) {
    program_msix(*this, count);
    auto held = fabric_->lock();
    while (eventfds_.size() < count) {
        const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0) throw Error(Status::limit, std::string("eventfd: ") + std::strerror(errno));
        eventfds_.push_back(fd);
        raised_.push_back(false);
    }
    live().allow_interrupts(count);
}

int EmbeddedDevice::interrupt_fd(unsigned vector) {
    if (vector >= eventfds_.size())
        throw Error(Status::not_found,
                    "vector " + std::to_string(vector) + " is not enabled: call enable_interrupts first");
    return eventfds_[vector];
}

bool EmbeddedDevice::wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) {
    const int fd = interrupt_fd(vector);
    if (fabric_->threaded()) return wait_eventfd(fd, timeout);
    auto held = fabric_->lock();
    if (wait_eventfd(fd, std::chrono::milliseconds(0))) return true;
    raised_[vector] = false;
    if (!fabric_->turn_until(held, lane::Lane::clock() + timeout, [&] { return raised_[vector]; })) return false;
    return wait_eventfd(fd, std::chrono::milliseconds(0));
}

std::shared_ptr<Buffer> EmbeddedDevice::allocate(std::size_t bytes) {
    return SharedPages::make(bytes);
}

std::uint64_t EmbeddedDevice::map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                  DmaDirection direction) {
    const auto all = buffer->bytes();
    if (bytes == 0 || offset > all.size() || bytes > all.size() - offset)
        throw Error(Status::out_of_bounds, "bytes " + std::to_string(offset) + "+" + std::to_string(bytes) +
                                               " are not inside the buffer of " + std::to_string(all.size()));
    auto held = fabric_->lock();
    const auto iova = add_mapping(all.subspan(offset, bytes), offset % kPage, direction, false);
    mapped_.push_back({iova, buffer});
    return iova;
}

std::uint64_t EmbeddedDevice::map_own(std::span<std::byte> memory, DmaDirection direction) {
    check_own_memory(memory, direction);
    auto held = fabric_->lock();
    return add_mapping(memory, reinterpret_cast<std::uintptr_t>(memory.data()) % kPage, direction, true);
}

std::uint64_t EmbeddedDevice::add_mapping(std::span<std::byte> memory, std::uint64_t in_page, DmaDirection direction,
                                          bool may_vanish) {
    const auto iova = next_iova_ + in_page;
    const auto status = live().map(iova, memory, static_cast<std::uint32_t>(direction), may_vanish);
    if (status == Status::limit)
        throw Error(status,
                    "map: a device has at most " + std::to_string(Domain::kMaxMappings) + " mappings; unmap some");
    if (status != Status::ok) throw Error(status, "map: " + std::string(status_text(status)));
    fabric_->hand_over();
    // IOVAs are never used twice, and a page is left free behind each: a late or stray DMA of the
    // device meets no other mapping.
    next_iova_ = (iova + memory.size() + 2 * kPage - 1) / kPage * kPage;
    return iova;
}

void EmbeddedDevice::unmap(std::uint64_t iova) {
    auto held = fabric_->lock();
    if (attachment_ != nullptr) (void)attachment_->unmap(iova);
    std::erase_if(mapped_, [iova](const auto& m) { return m.iova == iova; });
    fabric_->hand_over();
}

void EmbeddedDevice::acknowledge_reset() {
    auto held = fabric_->lock();
    live().acknowledge_reset();
    fabric_->hand_over();
}

void EmbeddedDevice::check() {
    auto held = fabric_->lock();
    const auto state = live().state();
    if (state == lane::AttachmentState::lost) refuse(Status::device_lost, "the device was removed");
    if (state == lane::AttachmentState::reset)
        refuse(Status::device_reset, "the device lost its state; call acknowledge_reset()");
}

void EmbeddedDevice::progress(std::chrono::microseconds timeout) {
    auto held = fabric_->lock();
    const auto before = happened_;
    fabric_->turn_until(held, lane::Lane::clock() + timeout, [&] { return happened_ != before; });
}

void EmbeddedDevice::detach() {
    auto held = fabric_->lock();
    if (attachment_ == nullptr) return;
    // What was written before the detach reaches the device before it.
    attachment_->hurry();
    fabric_->turn_until(held, lane::kNever, [&] {
        return attachment_ == nullptr || attachment_->posted_drained() ||
               attachment_->state() != lane::AttachmentState::ready;
    });
    if (attachment_ == nullptr) return;
    std::optional<Status> answer;
    auto& a = *attachment_;
    attachment_ = nullptr;
    fabric_->initiator().detach(a, [&](Status s) { answer = s; });
    fabric_->turn_until(held, lane::kNever, [&] { return answer.has_value(); });
    sources_.clear();
    mapped_.clear();
    if (*answer != Status::ok)
        throw Error(*answer, "detach of '" + info_.name +
                                 "': the target does not answer; it frees the function after its grace");
}

void EmbeddedDevice::on_completion(std::uint64_t cookie, Status status) noexcept {
    auto& waiter = *reinterpret_cast<Waiter*>(cookie);
    --waiter.outstanding;
    if (status != Status::ok && waiter.status == Status::ok) waiter.status = status;
    ++happened_;
}

void EmbeddedDevice::on_released(std::uint64_t cookie) noexcept {
    staging_.give_back(static_cast<std::uint32_t>(cookie));
    ++happened_;
}

void EmbeddedDevice::on_interrupt(std::uint32_t vector) noexcept {
    const std::uint64_t one = 1;
    if (vector < eventfds_.size()) {
        (void)!write(eventfds_[vector], &one, sizeof one);
        raised_[vector] = true;
    }
    ++happened_;
}

void EmbeddedDevice::on_event(EventKind kind, const std::string& detail) noexcept {
    ++happened_;
    if (kind == EventKind::device_reset) {  // the function has dropped all writes
        staging_.clear();
        sources_.clear();
    }
    if (kind == EventKind::timeout || kind == EventKind::error)
        fabric_->push({kind, info_.name, info_.target, detail, std::chrono::system_clock::now()});
}

}  // namespace farlane::provider

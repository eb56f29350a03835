// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of an application and of the remote device. Hands on: the former to
// the session, the latter to mapped memory and interrupts. Owns: see the header.
// Hot half: what happens per transaction. Life of an attachment: grip_life.cpp.
#include "lane/grip.hpp"

#include <array>
#include <cstring>

#include "lane/own_memory.hpp"

namespace farlane::lane {
namespace {

constexpr Duration kInARow = std::chrono::microseconds(5);

template <class T>
void atomic_on(std::byte* at, proto::TlpType type, std::span<const std::byte> operand,
               std::span<std::byte> result) noexcept {
    T first{};
    T second{};
    std::memcpy(&first, operand.data(), sizeof first);
    if (operand.size() == 2 * sizeof(T)) std::memcpy(&second, operand.data() + sizeof(T), sizeof second);
    first = wire::swap_if_big_endian(first);
    second = wire::swap_if_big_endian(second);
    auto& word = *reinterpret_cast<T*>(at);  // aligned: checked by the caller
    T old{};
    if (type == proto::TlpType::fetch_add) {
        old = __atomic_fetch_add(&word, first, __ATOMIC_SEQ_CST);
    } else if (type == proto::TlpType::swap) {
        old = __atomic_exchange_n(&word, first, __ATOMIC_SEQ_CST);
    } else {
        old = first;
        __atomic_compare_exchange_n(&word, &old, second, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    old = wire::swap_if_big_endian(old);
    std::memcpy(result.data(), &old, sizeof old);
}

// A strict write is what an application polls for (a completion queue entry): its last word, which
// has the phase, becomes visible after the rest of it and after every write before it.
void store_in_order(std::byte* to, std::span<const std::byte> payload) noexcept {
    constexpr std::size_t kWord = sizeof(std::uint32_t);
    if (payload.size() < kWord || reinterpret_cast<std::uintptr_t>(to + payload.size()) % kWord != 0) {
        std::memcpy(to, payload.data(), payload.size());
        return;
    }
    const std::size_t body = payload.size() - kWord;
    std::memcpy(to, payload.data(), body);
    std::uint32_t last = 0;
    std::memcpy(&last, payload.data() + body, kWord);
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(to + body), last, __ATOMIC_RELEASE);
}

bool is_atomic(proto::TlpType t) noexcept {
    return t == proto::TlpType::fetch_add || t == proto::TlpType::swap || t == proto::TlpType::compare_swap;
}

}  // namespace

// What is checked here is checked at the target again: neither end trusts the other.
Status Grip::usable(const proto::Tlp& tlp) const noexcept {
    if (state_ == AttachmentState::lost || state_ == AttachmentState::attaching) return Status::device_lost;
    if (state_ == AttachmentState::reset) return Status::device_reset;
    if (tlp.length_bytes > FL_TLP_MAX_PAYLOAD_BYTES) return Status::invalid;
    switch (tlp.type) {
        case proto::TlpType::config_read:
        case proto::TlpType::config_write:
            return tlp.address + tlp.length_bytes <= proto::kConfigBytes ? Status::ok : Status::out_of_bounds;
        case proto::TlpType::message: return Status::ok;
        default: break;
    }
    if (tlp.bar >= info_.bars.size()) return Status::invalid;
    const auto size = info_.bars[tlp.bar].size_bytes;
    const bool inside = tlp.length_bytes <= size && tlp.address <= size - tlp.length_bytes;
    return inside ? Status::ok : Status::out_of_bounds;
}

Status Grip::submit(const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                    bool notify) noexcept {
    if (const auto status = usable(tlp); status != Status::ok) return status;
    if (!announcements_.empty() && !send_announcements()) return Status::would_block;
    return function_->submit(tlp, payload, cookie, notify, lane_.now());
}

Status Grip::request(const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                     std::uint64_t cookie) noexcept {
    if (const auto status = usable(tlp); status != Status::ok) return status;
    if (!announcements_.empty() && !send_announcements()) return Status::would_block;
    lane_.tick();  // a process that stood still in this turn would take that time off what the answer has
    return function_->request(tlp, operand, into, cookie, lane_.now());
}

// Who asks again and again is sent first and looked at the clock for afterwards: the time of the last look is not old
// then. If it is, that was a pause, whose time is not the request's, and the next one is looked at first.
Status Grip::ask(const proto::Tlp& tlp, std::span<std::byte> into, std::uint64_t cookie) noexcept {
    if (const auto status = usable(tlp); status != Status::ok) return status;
    if (!announcements_.empty() && !send_announcements()) return Status::would_block;
    if (!in_a_row_) lane_.tick();
    const Time then = lane_.now();
    const auto status = function_->request(tlp, {}, into, cookie, then);
    if (status != Status::ok || session_ == nullptr || !lane_.send_lone(*session_)) lane_.tick();
    const Time now = lane_.now();
    if (status == Status::ok && now - then > kInARow) function_->asked_at(now);
    in_a_row_ = now - asked_ <= kInARow;
    asked_ = now;
    return status;
}

bool Grip::posted_drained() const noexcept {
    return !function_ || (announcements_.empty() && function_->posted_drained());
}

std::uint64_t Grip::posted_submitted() const noexcept {
    return function_ ? function_->posted_submitted() : 0;
}

std::uint64_t Grip::posted_released() const noexcept {
    return function_ ? function_->posted_released() : 0;
}

std::uint64_t Grip::next_sequence(proto::RecordClass c) const noexcept {
    return counts_.next[static_cast<unsigned>(c)];
}

void Grip::hurry() noexcept {
    if (function_) function_->hurry();
}

void Grip::resubmitted() noexcept {
    if (function_) function_->resubmitted();
}

void Grip::on_posted(proto::Function&, const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept {
    if (tlp.type == proto::TlpType::msi) return on_msi(tlp, payload);
    if (tlp.type == proto::TlpType::message) return on_message(tlp, payload);
    if (host_ != nullptr) [[unlikely]] {
        if ((tlp.attr & FL_ATTR_EP) != 0) return void(++counters_.dma_refused);
        host_->write(tlp.address, tlp.pasid, payload);
        ++counters_.dma_writes;
        return;
    }
    const auto* range = dma_.find(tlp.pasid, tlp.address, payload.size(), FL_MAP_DEVICE_WRITES);
    if (range == nullptr || (tlp.attr & FL_ATTR_EP) != 0) {
        ++counters_.dma_refused;
        return;
    }
    std::byte* const at = range->host + (tlp.address - range->iova);
    if (!range->may_vanish) [[likely]]
        store_in_order(at, payload);
    else if (!copy_to_own(at, payload))
        return void(++counters_.dma_refused);
    ++counters_.dma_writes;
}

void Grip::on_relaxed(proto::Function&, const proto::Tlp& tlp, std::uint32_t offset_bytes,
                      std::span<const std::byte> payload) noexcept {
    if (host_ != nullptr) [[unlikely]] {
        if ((tlp.attr & FL_ATTR_EP) != 0) return void(++counters_.dma_refused);
        host_->write(tlp.address + offset_bytes, tlp.pasid, payload);
        if (offset_bytes + payload.size() >= tlp.length_bytes) ++counters_.dma_writes;
        return;
    }
    const auto* range = dma_.find(tlp.pasid, tlp.address, tlp.length_bytes, FL_MAP_DEVICE_WRITES);
    if (range == nullptr || (tlp.attr & FL_ATTR_EP) != 0) {
        ++counters_.dma_refused;
        return;
    }
    std::byte* const at = range->host + (tlp.address - range->iova) + offset_bytes;
    if (!range->may_vanish) [[likely]]
        std::memcpy(at, payload.data(), payload.size());
    else if (!copy_to_own(at, payload))
        return void(++counters_.dma_refused);
    if (offset_bytes + payload.size() >= tlp.length_bytes) ++counters_.dma_writes;
}

void Grip::on_message(const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept {
    fl_msg_error raw;
    if (tlp.code != FL_MSG_ERROR || payload.size() != sizeof raw) return;
    std::memcpy(&raw, payload.data(), sizeof raw);
    if (sink_ != nullptr) sink_->on_device_error(raw.severity.get(), raw.source.get());
    tell(EventKind::error, "the device reported an error");
}

void Grip::on_msi(const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept {
    fl_le32 data;
    std::memcpy(&data, payload.data(), sizeof data);  // 4 bytes: checked by the codec
    if ((tlp.address != kMsiAddress && host_ == nullptr) || data.get() >= vectors_) {
        ++counters_.interrupts_refused;
        return;
    }
    ++counters_.interrupts;
    if (sink_ != nullptr) sink_->on_interrupt(data.get());
}

proto::Answer Grip::on_request(proto::Function&, const proto::Tlp& tlp, std::span<const std::byte> payload,
                               proto::RequestId, std::span<std::byte> result, Status& status) noexcept {
    status = Status::unsupported_request;
    if (host_ != nullptr) [[unlikely]] {
        status = ask_memory(tlp, payload, result);
        return proto::Answer::done;
    }
    if (tlp.type == proto::TlpType::memory_read) {
        if (dma_.find(tlp.pasid, tlp.address, tlp.length_bytes, FL_MAP_DEVICE_READS) != nullptr) {
            status = Status::ok;
            ++counters_.dma_reads;
            return proto::Answer::by_fetch;
        }
    } else if (is_atomic(tlp.type)) {
        const auto bytes = result.size();
        const auto* range = dma_.find(tlp.pasid, tlp.address, bytes, FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES);
        auto* at = range != nullptr ? range->host + (tlp.address - range->iova) : nullptr;
        if (at != nullptr && !range->may_vanish && reinterpret_cast<std::uintptr_t>(at) % bytes == 0) {
            bytes == 4 ? atomic_on<std::uint32_t>(at, tlp.type, payload, result)
                       : atomic_on<std::uint64_t>(at, tlp.type, payload, result);
            status = Status::ok;
            return proto::Answer::done;
        }
    }
    ++counters_.dma_refused;
    return proto::Answer::done;
}

Status Grip::ask_memory(const proto::Tlp& tlp, std::span<const std::byte> payload,
                        std::span<std::byte> result) noexcept {
    Status status = Status::unsupported_request;
    if (tlp.type == proto::TlpType::memory_read)
        status = host_->read(tlp.address, tlp.pasid, result);
    else if (is_atomic(tlp.type) && tlp.address % result.size() == 0)
        status = host_->atomic(tlp.type, tlp.address, tlp.pasid, payload, result);
    if (status != Status::ok)
        ++counters_.dma_refused;
    else if (tlp.type == proto::TlpType::memory_read)
        ++counters_.dma_reads;
    return status;
}

// Looked up again for every frame: after an unmap nothing of the memory is read any more.
Status Grip::fetch(proto::Function&, std::uint64_t address, std::uint32_t pasid, std::uint32_t offset_bytes,
                   std::span<std::byte> out) noexcept {
    if (host_ != nullptr) return Status::out_of_bounds;  // its reads are answered at once
    const auto* range = dma_.find(pasid, address + offset_bytes, out.size(), FL_MAP_DEVICE_READS);
    if (range == nullptr) return Status::out_of_bounds;
    const std::byte* const at = range->host + (address + offset_bytes - range->iova);
    if (range->may_vanish) [[unlikely]]
        return copy_from_own(out, at) ? Status::ok : Status::out_of_bounds;
    std::memcpy(out.data(), at, out.size());
    return Status::ok;
}

void Grip::on_completion(proto::Function&, std::uint64_t cookie, Status status) noexcept {
    if (host_ != nullptr) host_->settle();  // a completion pushes the writes before it
    if (sink_ != nullptr) sink_->on_completion(cookie, status);
}

void Grip::on_released(proto::Function&, std::uint64_t cookie) noexcept {
    if (sink_ != nullptr) sink_->on_released(cookie);
}

Status Grip::announce(std::uint8_t code, const DmaRange& range) noexcept {
    const fl_msg_map raw{fl_le64{range.iova}, fl_le64{range.length_bytes}, fl_le32{range.direction}, fl_le32{0}};
    const proto::Tlp tlp{
        .type = proto::TlpType::message, .code = code, .length_bytes = sizeof raw, .pasid = range.pasid};
    return function_->submit(tlp, std::as_bytes(std::span{&raw, 1}), 0, false, lane_.now());
}

bool Grip::send_announcements() noexcept {
    std::size_t sent = 0;
    while (sent < announcements_.size() &&
           announce(announcements_[sent].code, announcements_[sent].range) == Status::ok)
        ++sent;
    announcements_.erase(announcements_.begin(), announcements_.begin() + static_cast<std::ptrdiff_t>(sent));
    return announcements_.empty();
}

Status Grip::map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction, bool may_vanish,
                 std::uint32_t pasid) {
    if (state_ == AttachmentState::lost) return Status::device_lost;
    const DmaRange range{iova, host.size(), direction, host.data(), 0, may_vanish, pasid};
    if (const auto status = dma_.add(range); status != Status::ok) return status;
    announcements_.push_back({FL_MSG_MAP, range});
    if (state_ == AttachmentState::ready || state_ == AttachmentState::down) (void)send_announcements();
    return Status::ok;
}

Status Grip::unmap(std::uint64_t iova, std::uint32_t pasid) noexcept {
    DmaRange range;
    if (const auto status = dma_.remove(pasid, iova, &range); status != Status::ok) return status;
    if (state_ == AttachmentState::lost) return Status::ok;
    announcements_.push_back({FL_MSG_UNMAP, range});
    if (state_ == AttachmentState::ready || state_ == AttachmentState::down) (void)send_announcements();
    return Status::ok;
}

Status Grip::use_memory(HostMemory& memory) {
    if (host_ != nullptr || !dma_.ranges().empty()) return Status::busy;
    const std::span<std::byte> everything(static_cast<std::byte*>(nullptr), kSpaceBytes);
    host_ = &memory;
    const auto status = map(kSpaceIova, everything, FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES);
    if (status != Status::ok) host_ = nullptr;
    return status;
}

void Grip::forget_memory() noexcept {
    if (host_ == nullptr) return;
    dma_.clear();  // its range has no memory behind it
    host_ = nullptr;
}

}  // namespace farlane::lane

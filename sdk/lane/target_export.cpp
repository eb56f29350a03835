// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of the initiator that has a function, DMA of its device.
// Hands on: accesses to the device, records to the initiator. Owns: see the header.
// Hot half: what happens per transaction. Life of an attachment: target_attachment.cpp.
#include "lane/target_export.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace farlane::lane {
namespace {

constexpr std::uint32_t kCommandOffset = 4;  // PCIe 6.0, 7.5.1.1.3
constexpr std::uint16_t kMemorySpace = 0x2;

template <class T>
T load(std::span<const std::byte> from) noexcept {
    T v{};
    std::memcpy(&v, from.data(), sizeof v);
    return wire::swap_if_big_endian(v);
}

// PCIe 6.0, 6.15: the result is the old value, memory gets the new one.
template <class T>
void apply_atomic(proto::TlpType type, std::span<std::byte> at, std::span<const std::byte> operand,
                  std::span<std::byte> result) noexcept {
    const T old = load<T>(at);
    const T first = load<T>(operand);
    T next = first;
    if (type == proto::TlpType::fetch_add) next = static_cast<T>(old + first);
    if (type == proto::TlpType::compare_swap) next = old == first ? load<T>(operand.subspan(sizeof(T))) : old;
    std::memcpy(result.data(), at.data(), sizeof(T));
    const T raw = wire::swap_if_big_endian(next);
    std::memcpy(at.data(), &raw, sizeof raw);
}

}  // namespace

bool Export::in_bar(const proto::Tlp& tlp) const noexcept {
    if (tlp.bar >= std::size(bar_bytes_) || (command_ & kMemorySpace) == 0) return false;
    const auto size = bar_bytes_[tlp.bar];
    return tlp.length_bytes <= size && tlp.address <= size - tlp.length_bytes;
}

void Export::read_command() noexcept {
    std::array<std::byte, 2> raw{};
    command_ = device_->config_read(kCommandOffset, raw) == Status::ok ? load<std::uint16_t>(raw) : std::uint16_t{0};
}

void Export::on_posted(proto::Function&, const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept {
    touch();
    if (tlp.type == proto::TlpType::message) return on_map(tlp, payload);
    if (tlp.type != proto::TlpType::memory_write || !in_bar(tlp) || (tlp.attr & FL_ATTR_EP) != 0 ||
        device_->bar_write(tlp.bar, tlp.address, payload, tlp.byte_enables) != Status::ok)
        ++counters_.writes_refused;
}

void Export::on_relaxed(proto::Function&, const proto::Tlp& tlp, std::uint32_t offset_bytes,
                        std::span<const std::byte> payload) noexcept {
    touch();
    if (!in_bar(tlp) || (tlp.attr & FL_ATTR_EP) != 0) {
        ++counters_.writes_refused;
        return;
    }
    const auto memory = device_->bar_memory(tlp.bar);
    if (!memory.empty())
        std::memcpy(memory.data() + tlp.address + offset_bytes, payload.data(), payload.size());
    else if (device_->bar_write(tlp.bar, tlp.address + offset_bytes, payload, 0) != Status::ok)
        ++counters_.writes_refused;
}

Status Export::config_request(const proto::Tlp& tlp, std::span<const std::byte> payload,
                              std::span<std::byte> result) noexcept {
    if (tlp.type == proto::TlpType::config_read)
        return device_->config_read(static_cast<std::uint32_t>(tlp.address), result);
    const auto enables =
        tlp.byte_enables != 0 ? tlp.byte_enables : static_cast<std::uint8_t>((1U << payload.size()) - 1);
    const auto status = device_->config_write(static_cast<std::uint32_t>(tlp.address), payload, enables);
    read_command();
    return status;
}

Status Export::atomic(const proto::Tlp& tlp, std::span<const std::byte> payload, std::span<std::byte> result) noexcept {
    const auto memory = tlp.bar < std::size(bar_bytes_) ? device_->bar_memory(tlp.bar) : std::span<std::byte>{};
    const auto bytes = result.size();
    if (memory.empty() || !in_bar(tlp) || tlp.address % bytes != 0) return Status::unsupported_request;
    const auto at = memory.subspan(tlp.address, bytes);
    if (bytes == 4)
        apply_atomic<std::uint32_t>(tlp.type, at, payload, result);
    else
        apply_atomic<std::uint64_t>(tlp.type, at, payload, result);
    return Status::ok;
}

proto::Answer Export::on_request(proto::Function&, const proto::Tlp& tlp, std::span<const std::byte> payload,
                                 proto::RequestId, std::span<std::byte> result, Status& status) noexcept {
    touch();
    switch (tlp.type) {
        case proto::TlpType::memory_read:
            if (!in_bar(tlp)) {
                ++counters_.reads_refused;
                status = Status::unsupported_request;
            } else if (const auto memory = device_->bar_memory(tlp.bar); !memory.empty()) {
                std::memcpy(result.data(), memory.data() + tlp.address, result.size());
                status = Status::ok;
            } else {
                status = device_->bar_read(tlp.bar, tlp.address, result);
                if (failed_ != (status == Status::pending)) [[unlikely]]
                    firmware_answers(status != Status::pending);
            }
            break;
        case proto::TlpType::config_read:
        case proto::TlpType::config_write: status = config_request(tlp, payload, result); break;
        default: status = atomic(tlp, payload, result); break;
    }
    // Firmware that hangs gives no answer; the initiator's completion timeout ends the request.
    return status == Status::pending ? proto::Answer::later : proto::Answer::done;
}

Status Export::fetch(proto::Function&, std::uint64_t, std::uint32_t, std::uint32_t, std::span<std::byte>) noexcept {
    return Status::unsupported_request;  // this side never answers by_fetch
}

void Export::on_completion(proto::Function&, std::uint64_t cookie, Status status) noexcept {
    touch();
    device_->read_done(cookie, status);
}

void Export::on_released(proto::Function&, std::uint64_t cookie) noexcept {
    touch();
    device_->released(cookie);
}

void Export::on_event(proto::Function&, proto::FunctionEvent, const proto::Tlp*) noexcept {
    // The device hears of timeouts by read_done; the life of the attachment is the Target's.
}

void Export::refuse_dma(std::uint64_t iova, std::size_t bytes) noexcept {
    ++counters_.dma_refused;
    refused_iova_ = iova;
    refused_bytes_ = bytes;
    working_.waiting = true;
}

void Export::on_map(const proto::Tlp& tlp, std::span<const std::byte> payload) noexcept {
    fl_msg_map map;
    if (payload.size() != sizeof map) {
        ++counters_.writes_refused;
        return;
    }
    std::memcpy(&map, payload.data(), sizeof map);
    DmaRange range{map.iova.get(), map.length_bytes.get(), map.direction.get(), nullptr, 0, false, tlp.pasid};
    if (tlp.code == FL_MSG_UNMAP) {
        if (maps_.remove(range.pasid, range.iova, &range) == Status::ok) memory_.maps[range.slot].length_bytes = 0;
        return;
    }
    auto* const free_slot = tlp.code == FL_MSG_MAP ? memory_.free_map() : nullptr;
    if (free_slot == nullptr) {
        ++counters_.writes_refused;
        return;
    }
    range.slot = static_cast<std::uint32_t>(free_slot - memory_.maps);
    if (maps_.add(range) != Status::ok) {  // also a repetition after a kill: it is there already
        ++counters_.writes_refused;
        return;
    }
    free_slot->iova = range.iova;
    free_slot->direction = range.direction;
    free_slot->pasid = tlp.pasid;
    std::atomic_signal_fence(std::memory_order_release);
    free_slot->length_bytes = range.length_bytes;  // last: makes the slot valid
}

void Export::rebuild_maps() noexcept {
    maps_.clear();
    for (std::uint32_t i = 0; i < memory_.map_slots; ++i) {
        auto& m = memory_.maps[i];
        if (m.length_bytes != 0 &&
            maps_.add({m.iova, m.length_bytes, m.direction, nullptr, i, false, m.pasid}) != Status::ok)
            m.length_bytes = 0;
    }
}

Status Export::dma_write(std::uint64_t iova, std::span<const std::byte> source, bool relaxed, std::uint64_t cookie,
                         bool notify, std::uint32_t pasid) noexcept {
    if (!function_) return Status::device_lost;
    if (source.size() > FL_TLP_MAX_PAYLOAD_BYTES || !bus_master() ||
        maps_.find(pasid, iova, source.size(), FL_MAP_DEVICE_WRITES) == nullptr) {
        refuse_dma(iova, source.size());
        return Status::out_of_bounds;
    }
    proto::Tlp tlp{.type = proto::TlpType::memory_write,
                   .attr = relaxed ? std::uint8_t{FL_ATTR_RO} : std::uint8_t{0},
                   .length_bytes = static_cast<std::uint16_t>(source.size()),
                   .pasid = pasid,
                   .address = iova};
    return function_->submit(tlp, source, cookie, notify, lane_.now());
}

Status Export::dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                        std::uint32_t pasid) noexcept {
    if (!function_) return Status::device_lost;
    if (into.size() > FL_TLP_MAX_PAYLOAD_BYTES || !bus_master() ||
        maps_.find(pasid, iova, into.size(), FL_MAP_DEVICE_READS) == nullptr) {
        refuse_dma(iova, into.size());
        return Status::out_of_bounds;
    }
    const proto::Tlp tlp{.type = proto::TlpType::memory_read,
                         .length_bytes = static_cast<std::uint16_t>(into.size()),
                         .pasid = pasid,
                         .address = iova};
    return function_->request(tlp, {}, into, cookie, lane_.now());
}

Status Export::interrupt(std::uint64_t address, std::uint32_t data) noexcept {
    if (!function_) return Status::device_lost;
    if (!bus_master()) return Status::denied;  // PCIe 6.0, 7.5.1.1.3: MSI is a memory write
    const fl_le32 raw{data};
    const proto::Tlp tlp{.type = proto::TlpType::msi, .length_bytes = sizeof raw, .address = address};
    const auto status = function_->submit(tlp, std::as_bytes(std::span{&raw, 1}), 0, false, lane_.now());
    if (status == Status::ok) ++counters_.interrupts;
    return status;
}

Status Export::error(std::uint32_t severity, std::uint32_t source) noexcept {
    if (!function_) return Status::device_lost;
    const fl_msg_error raw{fl_le32{severity}, fl_le32{source}};
    const proto::Tlp tlp{.type = proto::TlpType::message, .code = FL_MSG_ERROR, .length_bytes = sizeof raw};
    return function_->submit(tlp, std::as_bytes(std::span{&raw, 1}), 0, false, lane_.now());
}

std::uint64_t Export::writes_submitted() const noexcept {
    return function_ ? function_->posted_submitted() : 0;
}

std::uint64_t Export::writes_released() const noexcept {
    return function_ ? function_->posted_released() : 0;
}

void Export::hurry() noexcept {
    if (function_) function_->hurry();
}

std::int64_t Export::now_ns() const noexcept {
    return lane_.now().time_since_epoch().count();
}

void Export::wake() noexcept {
    wake_.store(true, std::memory_order_release);
    working_.woken.store(true, std::memory_order_release);
    lane_.wake();
}

bool Export::busy() const noexcept {
    return wake_.load(std::memory_order_acquire) || (function_ && device_->busy());
}

bool Export::turn() noexcept {
    if (wake_.load(std::memory_order_relaxed)) (void)wake_.exchange(false, std::memory_order_acquire);
    return device_->poll();
}

}  // namespace farlane::lane

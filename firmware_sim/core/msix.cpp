// SPDX-License-Identifier: Apache-2.0
// Receives: vectors to raise and table writes. Hands on: messages to the host port. Owns: nothing that lasts.
#include "core/msix.hpp"

#include <bit>
#include <cstring>

namespace farlane::firmware {
namespace {

constexpr std::uint32_t kMasked = 1;

std::uint64_t bit(unsigned vector) noexcept {
    return std::uint64_t{1} << vector;
}

std::uint32_t& field(VectorEntry& e, unsigned dword) noexcept {
    switch (dword) {
        case 0: return e.address_low;
        case 1: return e.address_high;
        case 2: return e.data;
        default: return e.control;
    }
}

}  // namespace

void Interrupts::reset() noexcept {
    for (VectorEntry& e : state_.entries) e = {0, 0, 0, kMasked};
    state_.pending = state_.to_send = 0;
}

bool Interrupts::plausible() const noexcept {
    const std::uint64_t known = vectors_ == 64 ? ~std::uint64_t{0} : bit(vectors_) - 1;
    if (((state_.pending | state_.to_send) & ~known) != 0) return false;
    for (const VectorEntry& e : state_.entries)
        if ((e.address_low & 3) != 0 || (e.control & ~kMasked) != 0) return false;
    return true;
}

Interrupts::Mode Interrupts::mode() const noexcept {
    // 7.7.2: software must not enable both; MSI-X wins
    if (msix_.at != 0 && (config_.get32(msix_.at) & MsixCapability::kEnable) != 0) return Mode::msix;
    if (msi_.at != 0 && (config_.get32(msi_.at) & MsiCapability::kEnable) != 0) return Mode::msi;
    return Mode::none;
}

bool Interrupts::masked(Mode m, unsigned vector) const noexcept {
    if (m == Mode::msix)
        return (config_.get32(msix_.at) & MsixCapability::kFunctionMask) != 0 ||
               (state_.entries[vector].control & kMasked) != 0;
    // Fewer messages than vectors: the last message is shared by all vectors from there on
    const unsigned messages = 1u << (config_.get32(msi_.at) >> 20 & 7);
    const unsigned message = vector < messages ? vector : messages - 1;
    return (config_.get32(msi_.at + MsiCapability::kMask) >> message & 1) != 0;
}

Status Interrupts::send(backend::HostPort& port, Mode m, unsigned vector) noexcept {
    if (m == Mode::msix) {
        const VectorEntry& e = state_.entries[vector];
        return port.interrupt(std::uint64_t{e.address_high} << 32 | e.address_low, e.data);
    }
    const std::uint64_t address = std::uint64_t{config_.get32(msi_.at + MsiCapability::kAddressHigh)} << 32 |
                                  config_.get32(msi_.at + MsiCapability::kAddressLow);
    // 7.7.1.6: with several messages enabled the low bits of the data name the message
    const unsigned messages = 1u << (config_.get32(msi_.at) >> 20 & 7);
    const unsigned message = vector < messages ? vector : messages - 1;
    const std::uint32_t data = config_.get32(msi_.at + MsiCapability::kData) & 0xffff;
    return port.interrupt(address, (data & ~(messages - 1)) | message);
}

void Interrupts::raise(backend::HostPort& port, unsigned vector) noexcept {
    if (vector >= vectors_) return;
    const Mode m = mode();
    if (m == Mode::none) return;  // the driver polls
    if (masked(m, vector)) {
        state_.pending |= bit(vector);
        show_pending();
        return;
    }
    if (!config_.bus_master()) {  // a message is a memory write: it waits, 7.5.1.1.3
        state_.to_send |= bit(vector);
        return;
    }
    const Status s = send(port, m, vector);
    if (s == Status::would_block)
        state_.to_send |= bit(vector);
    else if (s == Status::ok)
        ++sent_;
    else
        ++dropped_;
}

bool Interrupts::poll(backend::HostPort& port) noexcept {
    if (!busy()) return false;
    const std::uint64_t before = state_.to_send;
    for (std::uint64_t todo = before; todo != 0; todo &= todo - 1) {
        const auto vector = static_cast<unsigned>(std::countr_zero(todo));
        state_.to_send &= ~bit(vector);
        raise(port, vector);
        if ((state_.to_send & bit(vector)) != 0) break;  // no room still
    }
    return state_.to_send != before;
}

void Interrupts::unmasked() noexcept {
    const Mode m = mode();
    if (m == Mode::none) return;
    // 7.7.2.9: once a vector is no longer masked, a pending message is sent
    for (std::uint64_t todo = state_.pending; todo != 0; todo &= todo - 1) {
        const auto vector = static_cast<unsigned>(std::countr_zero(todo));
        if (masked(m, vector)) continue;
        state_.pending &= ~bit(vector);
        state_.to_send |= bit(vector);
    }
    show_pending();
}

void Interrupts::raise_again(std::uint64_t vectors) noexcept {
    state_.to_send |= vectors & (vectors_ == 64 ? ~std::uint64_t{0} : bit(vectors_) - 1);
}

void Interrupts::show_pending() noexcept {
    if (msi_.at == 0) return;
    std::uint32_t messages = 0;
    for (std::uint64_t todo = state_.pending; todo != 0; todo &= todo - 1) {
        const auto vector = static_cast<unsigned>(std::countr_zero(todo));
        messages |= 1u << (vector < msi_.vectors ? vector : msi_.vectors - 1);
    }
    config_.put(msi_.at + MsiCapability::kPending, 0xffffffffu, mode() == Mode::msi ? messages : 0);
}

void Interrupts::table_read(std::uint32_t offset, std::span<std::byte> out) const noexcept {
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto at = offset + static_cast<std::uint32_t>(i);
        VectorEntry e = state_.entries[at / kVectorBytes];
        out[i] = static_cast<std::byte>(field(e, at % kVectorBytes / 4) >> (8 * (at & 3)));
    }
}

void Interrupts::table_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept {
    const bool every = enables == 0 || in.size() > 8;
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (!every && (enables >> i & 1) == 0) continue;
        const auto at = offset + static_cast<std::uint32_t>(i);
        const unsigned dword = at % kVectorBytes / 4;
        const unsigned shift = 8 * (at & 3);
        std::uint32_t& f = field(state_.entries[at / kVectorBytes], dword);
        std::uint32_t v = (f & ~(0xffu << shift)) | std::to_integer<std::uint32_t>(in[i]) << shift;
        if (dword == 0) v &= ~3u;      // 7.7.2.5: dword aligned
        if (dword == 3) v &= kMasked;  // 7.7.2.8: the other bits are reserved
        f = v;
    }
    unmasked();
}

void Interrupts::pba_read(std::uint32_t offset, std::span<std::byte> out) const noexcept {
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::byte>(state_.pending >> (8 * (offset + i)) & 0xff);
}

}  // namespace farlane::firmware

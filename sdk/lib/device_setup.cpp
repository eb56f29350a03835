// SPDX-License-Identifier: Apache-2.0
// Receives: an attached device. Hands on: the device with MSI-X programmed or reset, by its own
// configuration space and BARs. Owns: nothing. What every provider does the same way.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "lib/provider.hpp"

#include <farlane/uapi/types.h>

namespace farlane::provider {
namespace {

constexpr std::uint64_t kMsiAddress = 0xfee00000;  // = lane::kMsiAddress, checked in embedded_device.cpp
constexpr std::uint32_t kStatus = 0x06;            // PCIe 6.0, 7.5.1.1.4
constexpr std::uint32_t kCapabilities = 0x34;
constexpr std::uint8_t kMsixId = 0x11;  // 7.7.2
constexpr std::uint8_t kPcieId = 0x10;  // 7.5.3
constexpr int kMaxCapabilities = 48;    // 192 bytes of 4 each

template <class T>
T config_get(DeviceProvider& d, std::uint32_t offset) {
    std::array<std::byte, sizeof(T)> raw{};
    d.config_read(offset, raw);
    T v{};
    std::memcpy(&v, raw.data(), sizeof v);
    return wire::swap_if_big_endian(v);
}

template <class T>
std::array<std::byte, sizeof(T)> raw_of(T v) {
    v = wire::swap_if_big_endian(v);
    std::array<std::byte, sizeof(T)> raw{};
    std::memcpy(raw.data(), &v, sizeof v);
    return raw;
}

template <class T>
void config_set(DeviceProvider& d, std::uint32_t offset, T v) {
    const auto raw = raw_of(v);
    d.config_write(offset, raw);
}

}  // namespace

void check_bar(const FunctionInfo& info, unsigned bar, std::uint64_t offset, std::size_t bytes) {
    const std::uint64_t size = bar < info.bars.size() ? info.bars[bar].size_bytes : 0;
    if (bytes <= size && offset <= size - bytes) return;
    throw Error(Status::out_of_bounds, "'" + info.name + "': BAR " + std::to_string(bar) + " has " +
                                           std::to_string(size) + " bytes; " + std::to_string(offset) + "+" +
                                           std::to_string(bytes) + " is outside");
}

std::uint32_t find_capability(DeviceProvider& d, std::uint8_t id) {
    if ((config_get<std::uint16_t>(d, kStatus) & 0x10) == 0) return 0;  // no list
    std::uint32_t at = config_get<std::uint8_t>(d, kCapabilities) & 0xfcU;
    for (int i = 0; i < kMaxCapabilities && at >= 0x40; ++i) {
        const auto head = config_get<std::uint16_t>(d, at);
        if ((head & 0xff) == id) return at;
        at = (head >> 8) & 0xfcU;
    }
    return 0;
}

void program_msix(DeviceProvider& d, unsigned count) {
    const auto cap = find_capability(d, kMsixId);
    if (cap == 0) throw Error(Status::limit, "'" + d.info().name + "' has no MSI-X capability");
    const auto control = config_get<std::uint16_t>(d, cap + 2);
    const unsigned vectors = (control & 0x7ffU) + 1;
    if (count == 0 || count > vectors)
        throw Error(Status::limit, "'" + d.info().name + "' has " + std::to_string(vectors) +
                                       " interrupt vectors; ask for 1 to " + std::to_string(vectors));
    const auto table = config_get<std::uint32_t>(d, cap + 4);
    const unsigned bar = table & 7U;
    const std::uint64_t base = table & ~7U;
    for (unsigned v = 0; v < count; ++v) {
        const std::uint64_t entry = base + 16ULL * v;
        d.bar_write(bar, entry + 0, raw_of(static_cast<std::uint32_t>(kMsiAddress)), false);
        d.bar_write(bar, entry + 4, raw_of(static_cast<std::uint32_t>(kMsiAddress >> 32)), false);
        d.bar_write(bar, entry + 8, raw_of(static_cast<std::uint32_t>(v)), false);
        d.bar_write(bar, entry + 12, raw_of(std::uint32_t{0}), false);  // unmasked
    }
    d.flush();  // the table stands before the enable bit does
    config_set<std::uint16_t>(d, cap + 2, static_cast<std::uint16_t>((control & 0x3fffU) | 0x8000U));
}

bool wait_eventfd(int fd, std::chrono::milliseconds timeout) {
    pollfd p{fd, POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(timeout.count())) != 1) return false;
    std::uint64_t count = 0;
    return ::read(fd, &count, sizeof count) == static_cast<ssize_t>(sizeof count);
}

bool DeviceProvider::wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) {
    return wait_eventfd(interrupt_fd(vector), timeout);
}

namespace {

[[noreturn]] void not_shared(const DeviceProvider& d) {
    throw Error(Status::invalid, "'" + d.info().name + "' is attached alone: its registers are this application's");
}

}  // namespace

ContextGrant DeviceProvider::open_context() {
    not_shared(*this);
}
void DeviceProvider::close_context(std::uint32_t) {
    not_shared(*this);
}
QueueGrant DeviceProvider::make_queue(std::uint32_t, std::uint32_t, std::uint64_t, std::optional<std::uint32_t>) {
    not_shared(*this);
}
void DeviceProvider::drop_queue(std::uint32_t) {
    not_shared(*this);
}

namespace {

// PCIe 6.0, 6.6.2: transactions first, then the bit.
void begin_reset(DeviceProvider& d) {
    const auto cap = find_capability(d, kPcieId);
    if (cap == 0 || (config_get<std::uint32_t>(d, cap + 4) & 1U << 28) == 0)
        throw Error(Status::unsupported, "'" + d.info().name + "' can not do a function level reset");
    d.flush();
    const auto control = config_get<std::uint16_t>(d, cap + 8);
    config_set<std::uint16_t>(d, cap + 8, static_cast<std::uint16_t>(control | 0x8000U));
}

bool answers(DeviceProvider& d) {
    const auto vendor = config_get<std::uint16_t>(d, 0);
    return vendor != 0xffff && vendor != 0x0001;
}

}  // namespace

// It has 100 ms. Behind a request that timed out others are refused until the session has answered (docs/wire.md,
// "Time"), and that is when a reset is called for: what is refused is tried again.
void DeviceProvider::reset() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    for (bool begun = false;;) {
        try {
            if (!begun) begin_reset(*this);
            begun = true;
            if (answers(*this)) return;
        } catch (const Error& e) {
            if (e.status() != Status::timeout || std::chrono::steady_clock::now() > deadline) throw;
        }
        if (std::chrono::steady_clock::now() > deadline)
            throw Error(Status::timeout, "'" + info().name + "' does not answer after its reset");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace farlane::provider

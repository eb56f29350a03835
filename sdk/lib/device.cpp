// SPDX-License-Identifier: Apache-2.0
// Receives: calls on a Device. Hands on: checked accesses to its provider.
// Owns: the attachment (through the provider).
#include <farlane/device.hpp>

#include <array>
#include <cstring>

#include <farlane/uapi/types.h>

#include "lib/provider.hpp"

namespace farlane {
namespace {

constexpr std::uint32_t kConfigBytes = 4096;
constexpr std::uint32_t kCommand = 4;  // PCIe 6.0, 7.5.1.1.3
constexpr std::uint16_t kMemoryAndBusMaster = 6;

void check_config(std::uint32_t offset, std::size_t bytes) {
    if (offset >= kConfigBytes || bytes > kConfigBytes - offset || offset % bytes != 0)
        throw Error(Status::invalid, "configuration offset " + std::to_string(offset) + " for " +
                                         std::to_string(bytes) + " bytes: use a multiple of the size below 4096");
}

void check_aligned(std::uint64_t offset, std::size_t bytes) {
    if (offset % bytes != 0)
        throw Error(Status::invalid,
                    "BAR offset " + std::to_string(offset) + " is not a multiple of " + std::to_string(bytes));
}

template <class T>
T value_of(const std::array<std::byte, sizeof(T)>& raw) {
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
T config_get(provider::DeviceProvider& p, std::uint32_t offset) {
    check_config(offset, sizeof(T));
    std::array<std::byte, sizeof(T)> raw{};
    p.config_read(offset, raw);
    return value_of<T>(raw);
}

template <class T>
void config_set(provider::DeviceProvider& p, std::uint32_t offset, T v) {
    check_config(offset, sizeof(T));
    p.config_write(offset, raw_of(v));
}

template <class T>
T bar_get(provider::DeviceProvider& p, unsigned bar, std::uint64_t offset) {
    check_aligned(offset, sizeof(T));
    std::array<std::byte, sizeof(T)> raw{};
    p.bar_read(bar, offset, raw);
    return value_of<T>(raw);
}

template <class T>
void bar_set(provider::DeviceProvider& p, unsigned bar, std::uint64_t offset, T v) {
    check_aligned(offset, sizeof(T));
    p.bar_write(bar, offset, raw_of(v), false);
}

}  // namespace

Device::Device() noexcept = default;
Device::Device(std::shared_ptr<provider::DeviceProvider> p) noexcept : provider_(std::move(p)) {}
Device::Device(Device&&) noexcept = default;

Device& Device::operator=(Device&& o) noexcept {
    std::swap(provider_, o.provider_);  // what was here is detached with `o`
    return *this;
}

// Mappings may still hold the provider: the attachment ends here all the same.
Device::~Device() {
    try {
        detach();
    } catch (const Error&) {
        // The target frees the function after its grace.
    }
}

provider::DeviceProvider& Device::provider() const {
    if (provider_ == nullptr) throw Error(Status::device_lost, "this Device is empty: attach one with Fabric::attach");
    return *provider_;
}

const FunctionInfo& Device::info() const {
    return provider().info();
}

std::uint8_t Device::config_read8(std::uint32_t offset) {
    return config_get<std::uint8_t>(provider(), offset);
}
std::uint16_t Device::config_read16(std::uint32_t offset) {
    return config_get<std::uint16_t>(provider(), offset);
}
std::uint32_t Device::config_read32(std::uint32_t offset) {
    return config_get<std::uint32_t>(provider(), offset);
}
void Device::config_write8(std::uint32_t offset, std::uint8_t value) {
    config_set(provider(), offset, value);
}
void Device::config_write16(std::uint32_t offset, std::uint16_t value) {
    config_set(provider(), offset, value);
}
void Device::config_write32(std::uint32_t offset, std::uint32_t value) {
    config_set(provider(), offset, value);
}

void Device::enable() {
    const auto command = config_read16(kCommand);
    config_write16(kCommand, static_cast<std::uint16_t>(command | kMemoryAndBusMaster));
}

std::uint32_t Device::read32(unsigned bar, std::uint64_t offset) {
    return bar_get<std::uint32_t>(provider(), bar, offset);
}
std::uint64_t Device::read64(unsigned bar, std::uint64_t offset) {
    return bar_get<std::uint64_t>(provider(), bar, offset);
}
void Device::write32(unsigned bar, std::uint64_t offset, std::uint32_t value) {
    bar_set(provider(), bar, offset, value);
}
void Device::write64(unsigned bar, std::uint64_t offset, std::uint64_t value) {
    bar_set(provider(), bar, offset, value);
}

void Device::read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) {
    provider().bar_read(bar, offset, into);
}

void Device::write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) {
    provider().bar_write(bar, offset, data, relaxed);
}

void Device::write_from(unsigned bar, std::uint64_t offset, const DmaBuffer& buffer, std::size_t buffer_offset,
                        std::size_t bytes) {
    provider().bar_write_from(bar, offset, buffer.provider(), buffer_offset, bytes);
}

void Device::flush() {
    provider().flush();
}
void Device::enable_interrupts(unsigned count) {
    provider().enable_interrupts(count);
}
int Device::interrupt_fd(unsigned vector) {
    return provider().interrupt_fd(vector);
}
bool Device::wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) {
    return provider().wait_interrupt(vector, timeout);
}
Domain& Device::domain() {
    return provider().domain();
}
void Device::reset() {
    provider().reset();
}
void Device::acknowledge_reset() {
    provider().acknowledge_reset();
}
void Device::progress(std::chrono::microseconds timeout) {
    provider().progress(timeout);
}

void Device::detach() {
    if (provider_ == nullptr) return;
    const auto p = std::move(provider_);
    p->detach();
}

}  // namespace farlane

// SPDX-License-Identifier: Apache-2.0
// Receives: buffers. Hands on: them, through virtqueues, to a virtio function. Owns: rings (virtio_driver.hpp).
#include "firmware/virtio_driver.hpp"

#include <cstring>

#include <gtest/gtest.h>

#include <farlane/uapi/types.h>

namespace farlane::firmware::test {
namespace {

template <class T, class V>
void put(std::span<std::byte> to, std::size_t at, V value) {
    const T v(static_cast<decltype(T{}.get())>(value));
    std::memcpy(to.data() + at, &v, sizeof v);
}
template <class T>
auto get(std::span<const std::byte> from, std::size_t at) {
    T v;
    std::memcpy(&v, from.data() + at, sizeof v);
    return v.get();
}

constexpr std::uint32_t kTableBytes = 4096;

}  // namespace

VirtioRig::VirtioRig(std::string kind, std::vector<std::pair<std::string, std::string>> options,
                     const HostFaults& faults, std::string name, backend::Memory* shared)
    : own(shared == nullptr ? backend::process_memory() : nullptr),
      memory(shared == nullptr ? own.get() : shared),
      config{std::move(name), std::move(kind), std::move(options)},
      host(faults) {
    make();
    host.attach(*device);
}

VirtioRig::~VirtioRig() {
    if (host.device() != nullptr) host.detach();
}

void VirtioRig::make() {
    device = backend::make_device(config, *memory).take();
}

std::uint64_t VirtioRig::counter(std::string_view name) const {
    std::uint64_t value = ~std::uint64_t{0};
    device->counters([&](std::string_view n, std::uint64_t v) {
        if (n == name) value = v;
    });
    return value;
}

void VirtioRig::watch_points(std::function<void(const char*)> at) {
    at_point = std::move(at);
    function().faults().at = at_point;
    host.on_killed = [this] {
        ++lives;
        ASSERT_TRUE(kill_and_restore(lives % 2 == 0)) << "state of the device is gone";
    };
}

bool VirtioRig::kill_and_restore(bool some) {
    host.lose_device(some);
    device.reset();
    make();
    function().faults().at = at_point;
    return host.restore(*device);
}

VirtioQueue::VirtioQueue(FakeHost& host, unsigned number, std::uint16_t size, std::uint64_t features)
    : descriptors(host.allocate(16u * size)),
      driver(host.allocate(6u + 2u * size)),
      device(host.allocate(6u + 8u * size)),
      tables(host.allocate(std::size_t{kTableBytes} * size)),
      host_(host),
      number_(number),
      size_(size),
      event_index_((features & feature::kEventIndex) != 0),
      notification_data_((features & feature::kNotificationData) != 0),
      chains_(size) {
    indirect = (features & feature::kIndirect) != 0;
    for (std::uint16_t i = size; i-- > 0;) free_.push_back(i);
}

void VirtioQueue::descriptor(std::uint16_t n, std::uint64_t iova, std::uint32_t bytes, unsigned flags, unsigned next) {
    put<fl_le64>(descriptors.bytes, 16u * n, iova);
    put<fl_le32>(descriptors.bytes, 16u * n + 8, bytes);
    put<fl_le16>(descriptors.bytes, 16u * n + 12, flags);
    put<fl_le16>(descriptors.bytes, 16u * n + 14, next);
}

std::optional<std::uint16_t> VirtioQueue::add(std::span<const VirtioBuffer> out, std::span<const VirtioBuffer> in) {
    const std::size_t all = out.size() + in.size();
    const std::size_t needed = indirect ? 1 : all;
    if (free_.size() < needed) return std::nullopt;
    std::vector<std::uint16_t> chain;
    for (std::size_t i = 0; i < needed; ++i) {
        chain.push_back(free_.back());
        free_.pop_back();
    }
    const auto buffer = [&](std::size_t i) { return i < out.size() ? out[i] : in[i - out.size()]; };
    const auto flags = [&](std::size_t i) { return (i + 1 < all ? 1u : 0u) | (i < out.size() ? 0u : 2u); };
    if (indirect) {
        const std::size_t at = std::size_t{chain[0]} * kTableBytes;
        for (std::size_t i = 0; i < all; ++i) {
            put<fl_le64>(tables.bytes, at + 16 * i, buffer(i).iova);
            put<fl_le32>(tables.bytes, at + 16 * i + 8, buffer(i).bytes);
            put<fl_le16>(tables.bytes, at + 16 * i + 12, flags(i));
            put<fl_le16>(tables.bytes, at + 16 * i + 14, i + 1);
        }
        descriptor(chain[0], tables.iova + at, static_cast<std::uint32_t>(16 * all), 4, 0);
    } else {
        for (std::size_t i = 0; i < all; ++i)
            descriptor(chain[i], buffer(i).iova, buffer(i).bytes, flags(i), i + 1 < all ? chain[i + 1] : 0);
    }
    make_available(chain[0]);
    chains_[chain[0]] = chain;
    return chain[0];
}

void VirtioQueue::make_available(std::uint16_t head) {
    put<fl_le16>(driver.bytes, 4 + 2u * (available_ % size_), head);
    set_available_index(static_cast<std::uint16_t>(available_ + 1));
}

void VirtioQueue::set_available_index(std::uint16_t index) {
    available_ = index;
    put<fl_le16>(driver.bytes, 2, index);
}

void VirtioQueue::kick(bool always) {
    const std::uint16_t event = get<fl_le16>(device.bytes, 4 + 8u * size_);
    const bool wanted = event_index_ ? firmware::virtio::passes(event, available_, kicked_) : true;
    kicked_ = available_;
    if (!wanted && !always) return;
    ++kicks;
    const std::uint32_t value = number_ | (notification_data_ ? std::uint32_t{available_} << 16 : 0);
    host_.write32(Transport::kNotifyAt + number_ * Transport::kNotifyMultiplier, value);
}

std::uint16_t VirtioQueue::used_index() const {
    return get<fl_le16>(device.bytes, 2);
}

void VirtioQueue::suppress_interrupts() {
    put<fl_le16>(driver.bytes, 0, 1);
    put<fl_le16>(driver.bytes, 4 + 2u * size_, last_used_ + 0x8000);
}

std::optional<VirtioQueue::Used> VirtioQueue::poll() {
    if (used_index() == last_used_) return std::nullopt;
    const std::size_t at = 4 + 8u * (last_used_ % size_);
    const std::uint32_t head = get<fl_le32>(device.bytes, at);
    if (head >= size_ || chains_[head].empty()) throw Error(Status::protocol, "the device used what is not its own");
    for (const std::uint16_t d : chains_[head]) free_.push_back(d);
    chains_[head].clear();
    ++last_used_;
    return Used{static_cast<std::uint16_t>(head), get<fl_le32>(device.bytes, at + 4)};
}

VirtioQueue::Used VirtioQueue::wait() {
    while (true) {
        if (const auto used = poll()) return *used;
        host_.progress();
    }
}

VirtioDriver::VirtioDriver(FakeHost& host, std::uint64_t features, std::uint16_t queue_size) : host_(host) {
    reset();
    if (!negotiate(offered() & features)) throw Error(Status::unsupported, "FEATURES_OK refused");
    start(queue_size);
}

void VirtioDriver::set_status(std::uint32_t v) {
    host_.write32(common::kStatus, v);  // and queue select 0
}

std::uint32_t VirtioDriver::status() {
    return host_.read32(common::kStatus) & 0xff;
}

void VirtioDriver::reset() {
    queues_.clear();
    set_status(0);
    while (status() != 0) host_.progress();
}

std::uint64_t VirtioDriver::offered() {
    host_.write32(common::kDeviceFeatureSelect, 1);
    const std::uint64_t high = host_.read32(common::kDeviceFeature);
    host_.write32(common::kDeviceFeatureSelect, 0);
    return high << 32 | host_.read32(common::kDeviceFeature);
}

bool VirtioDriver::negotiate(std::uint64_t features) {
    set_status(1);
    set_status(3);
    for (unsigned half = 0; half < 2; ++half) {
        host_.write32(common::kDriverFeatureSelect, half);
        host_.write32(common::kDriverFeature, static_cast<std::uint32_t>(features >> (32 * half)));
    }
    features_ = features;
    set_status(3 | device_status::kFeaturesOk);
    return (status() & device_status::kFeaturesOk) != 0;
}

void VirtioDriver::start(std::uint16_t queue_size) {
    const std::uint32_t count = host_.read32(common::kConfigVector) >> 16;
    host_.enable_interrupts(count + 1);
    host_.write32(common::kConfigVector, 0);
    for (unsigned n = 0; n < count; ++n) {
        host_.write32(common::kStatus, status() | n << 16);
        const auto most = static_cast<std::uint16_t>(host_.read32(common::kQueueSize));
        const std::uint16_t size = queue_size != 0 ? queue_size : most;
        queues_.push_back(std::make_unique<VirtioQueue>(host_, n, size, features_));
        host_.write32(common::kQueueSize, size | (n + 1) << 16);
        host_.write64(common::kDescriptors, queues_[n]->descriptors.iova);
        host_.write64(common::kDriverArea, queues_[n]->driver.iova);
        host_.write64(common::kDeviceArea, queues_[n]->device.iova);
        host_.write32(common::kQueueEnable, 1);
    }
    set_status(3 | device_status::kFeaturesOk | device_status::kDriverOk);
}

std::uint32_t VirtioDriver::config32(std::uint32_t offset) {
    return host_.read32(Transport::kDeviceAt + offset);
}

}  // namespace farlane::firmware::test

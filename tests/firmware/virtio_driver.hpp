// SPDX-License-Identifier: Apache-2.0
// Receives: buffers. Hands on: them, through virtqueues, to a virtio function; what it used comes back.
// Owns: rings in the memory of a fake host. A small user-space driver, for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "devices/virtio/spec.hpp"
#include "devices/virtio/transport.hpp"
#include "firmware/fake_host.hpp"

namespace farlane::firmware::test {

using firmware::virtio::Transport;
namespace feature = firmware::virtio::feature;
namespace device_status = firmware::virtio::device_status;
namespace common = firmware::virtio::common;

/// A virtio function on process memory, attached to a host.
struct VirtioRig {
    VirtioRig(std::string kind, std::vector<std::pair<std::string, std::string>> options, const HostFaults& faults = {},
              std::string name = "v0", backend::Memory* shared = nullptr);
    ~VirtioRig();
    void make();
    [[nodiscard]] Function& function() { return dynamic_cast<Function&>(*device); }
    [[nodiscard]] std::uint64_t counter(std::string_view name) const;
    /// From now on `at` is called at every crash point of every life. A kill there brings up the next life.
    void watch_points(std::function<void(const char*)> at);
    /// kill -9 between two calls, and a new life. What restored() says.
    [[nodiscard]] bool kill_and_restore(bool some = false);

    std::function<void(const char*)> at_point;
    unsigned lives = 1;
    std::unique_ptr<backend::Memory> own;
    backend::Memory* memory;
    backend::DeviceConfig config;
    std::unique_ptr<backend::Device> device;
    FakeHost host;
};

struct VirtioBuffer {
    std::uint64_t iova = 0;
    std::uint32_t bytes = 0;
};

/// A split virtqueue, driver side.
class VirtioQueue {
public:
    struct Used {
        std::uint16_t head;
        std::uint32_t bytes;
    };
    VirtioQueue(FakeHost& host, unsigned number, std::uint16_t size, std::uint64_t features);

    /// Makes a request available. The head, for used(); nothing when there are not enough descriptors.
    [[nodiscard]] std::optional<std::uint16_t> add(std::span<const VirtioBuffer> out, std::span<const VirtioBuffer> in);
    /// Notifies the device if it wants that, or always.
    void kick(bool always = false);
    [[nodiscard]] std::optional<Used> poll();
    /// Turns of the host until a request is used.
    [[nodiscard]] Used wait();
    [[nodiscard]] std::uint16_t free_descriptors() const noexcept { return static_cast<std::uint16_t>(free_.size()); }

    // --- for tests that break rules
    void descriptor(std::uint16_t n, std::uint64_t iova, std::uint32_t bytes, unsigned flags, unsigned next);
    void make_available(std::uint16_t head);
    void set_available_index(std::uint16_t index);
    [[nodiscard]] std::uint16_t used_index() const;
    /// No interrupts wanted: by flag, or by an event index far away.
    void suppress_interrupts();
    [[nodiscard]] std::uint16_t size() const noexcept { return size_; }

    nvme_user::Memory descriptors, driver, device, tables;
    unsigned kicks = 0;
    bool indirect = false;  ///< chains go into indirect tables

private:
    FakeHost& host_;
    unsigned number_;
    std::uint16_t size_;
    bool event_index_, notification_data_;
    std::uint16_t available_ = 0, kicked_ = 0, last_used_ = 0;
    std::vector<std::uint16_t> free_;
    std::vector<std::vector<std::uint16_t>> chains_;  // by head
};

/// Brings a function up as a driver does. Failures throw farlane::Error.
class VirtioDriver {
public:
    static constexpr std::uint64_t kEverything = ~std::uint64_t{0};
    explicit VirtioDriver(FakeHost& host, std::uint64_t features = kEverything, std::uint16_t queue_size = 0);

    void reset();
    [[nodiscard]] std::uint64_t offered();
    /// Acknowledge, driver, features. False = the device refuses FEATURES_OK.
    [[nodiscard]] bool negotiate(std::uint64_t features);
    void start(std::uint16_t queue_size);
    [[nodiscard]] std::uint32_t status();
    void set_status(std::uint32_t v);
    [[nodiscard]] std::uint32_t config32(std::uint32_t offset);
    [[nodiscard]] VirtioQueue& queue(unsigned n) { return *queues_[n]; }
    [[nodiscard]] std::uint64_t features() const noexcept { return features_; }

private:
    FakeHost& host_;
    std::uint64_t features_ = 0;
    std::vector<std::unique_ptr<VirtioQueue>> queues_;
};

}  // namespace farlane::firmware::test

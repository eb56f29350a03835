// SPDX-License-Identifier: Apache-2.0
// Receives: options of a device. Hands on: the device attached to a fake host. Owns: both, and the device's memory.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/function.hpp"
#include "firmware/fake_host.hpp"
#include "nvme_user/controller.hpp"

namespace farlane::firmware::test {

using Options = std::vector<std::pair<std::string, std::string>>;

/// An NVMe device on process memory, attached to a host.
struct Rig {
    explicit Rig(Options options = {{"size", "4M"}}, const HostFaults& host_faults = {})
        : memory(backend::process_memory()), host(host_faults) {
        config = {"nvme0", "nvme", std::move(options)};
        make();
        host.attach(*device);
    }
    ~Rig() {
        if (host.device() != nullptr) host.detach();
    }
    void make() { device = backend::make_device(config, *memory).take(); }
    [[nodiscard]] Function& function() { return dynamic_cast<Function&>(*device); }
    [[nodiscard]] std::uint64_t counter(std::string_view name) const {
        std::uint64_t value = ~std::uint64_t{0};
        device->counters([&](std::string_view n, std::uint64_t v) {
            if (n == name) value = v;
        });
        return value;
    }
    /// From now on `at` is called at every crash point of every life of the device. A kill there brings up the next
    /// life, which must be able to go on.
    void watch_points(std::function<void(const char*)> at) {
        at_point = std::move(at);
        function().faults().at = at_point;
        host.on_killed = [this] { next_life(); };
    }
    void next_life() {
        ++lives;
        host.lose_device(lives % 2 == 0);
        device.reset();
        make();
        function().faults().at = at_point;
        ASSERT_TRUE(host.restore(*device)) << "state of the device is gone";
    }
    /// kill -9 between two calls, and a new life. What restored() says.
    [[nodiscard]] bool kill_and_restore() {
        host.lose_device();
        device.reset();
        make();
        return host.restore(*device);
    }

    std::function<void(const char*)> at_point;
    unsigned lives = 1;
    std::unique_ptr<backend::Memory> memory;
    backend::DeviceConfig config;
    std::unique_ptr<backend::Device> device;
    FakeHost host;
};

}  // namespace farlane::firmware::test

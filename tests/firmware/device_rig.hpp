// SPDX-License-Identifier: Apache-2.0
// Receives: kind and options of a device. Hands on: the device attached to a fake host. Owns: both, and the device's
// memory.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/function.hpp"
#include "firmware/fake_host.hpp"

namespace farlane::firmware::test {

using Options = std::vector<std::pair<std::string, std::string>>;

/// A device of any kind, named "dut", on process memory.
struct DeviceRig {
    DeviceRig(std::string kind, Options options) : memory(backend::process_memory()) {
        config = {"dut", std::move(kind), std::move(options)};
        make();
        host.attach(*device);
    }
    ~DeviceRig() {
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
    /// kill -9 between two calls, and a new life. What restored() says.
    [[nodiscard]] bool kill_and_restore() {
        host.lose_device();
        device.reset();
        make();
        return host.restore(*device);
    }

    std::unique_ptr<backend::Memory> memory;
    backend::DeviceConfig config;
    std::unique_ptr<backend::Device> device;
    FakeHost host;
};

}  // namespace farlane::firmware::test

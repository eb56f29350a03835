// SPDX-License-Identifier: Apache-2.0
// Receives: the name of a port. Hands on: an attached accelerator behind it.
// Owns: a target in a thread, and the fabric of the test.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

#include "devices/devices.hpp"
#include "lane/target_thread.hpp"
#include "transport/free_udp_port.hpp"

namespace farlane::test {

struct AccelCase {
    const char* name;
    const char* target_port;
    const char* initiator_port;
    const char* peer;
    Progress progress;
};

inline std::string numbered(std::string text, const std::string& number) {
    if (const auto at = text.find('@'); at != std::string::npos) text.replace(at, 1, number);
    return text;
}

class AccelSdk : public ::testing::TestWithParam<AccelCase> {
protected:
    static constexpr std::uint64_t kMemoryBytes = 64 << 20;

    void SetUp() override {
        const auto id = std::to_string(free_udp_port());
        target_ = std::make_unique<TargetThread>(numbered(GetParam().target_port, id));
        target_->add("accel0", make_device());
        target_->start();
        FabricOptions options;
        options.provider = ProviderKind::embedded;
        options.port = numbered(GetParam().initiator_port, id);
        options.peer = numbered(GetParam().peer, id);
        options.progress = GetParam().progress;
        options.connect_timeout = std::chrono::seconds(20);
        options.keepalive = std::chrono::milliseconds(200);
        fabric_.emplace(Fabric::open(options));
        device_ = fabric_->attach("accel0");
    }
    virtual std::unique_ptr<backend::Device> make_device() {
        return firmware::make_accel({"accel0", "accel", {{"memory", "64M"}, {"threads", "2"}}}, *memory_).take();
    }
    void TearDown() override {
        device_ = Device();
        fabric_.reset();
    }
    std::vector<float> floats(std::size_t n) {
        std::uniform_real_distribution<float> d(-1, 1);
        std::vector<float> v(n);
        for (float& f : v) f = d(random_);
        return v;
    }
    std::vector<std::byte> bytes(std::size_t n) {
        std::vector<std::byte> v(n);
        for (auto& b : v) b = static_cast<std::byte>(random_());
        return v;
    }

    std::mt19937_64 random_{5};
    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    std::unique_ptr<TargetThread> target_;
    std::optional<Fabric> fabric_;
    Device device_;
};

inline const auto kAccelPorts =
    ::testing::Values(AccelCase{"LoopCaller", "loop:a@", "loop:a@", "", Progress::caller},
                      AccelCase{"LoopThread", "loop:a@", "loop:a@", "", Progress::thread},
                      AccelCase{"LoopLossy", "fault+loop:a@?loss=3%&reorder=5%&dup=2%&corrupt=1%&seed=3",
                                "fault+loop:a@?loss=3%&reorder=5%&dup=2%&corrupt=1%&seed=4", "", Progress::caller},
                      AccelCase{"Udp", "udp:127.0.0.1:@", "udp:127.0.0.1:0", "127.0.0.1:@", Progress::caller},
                      AccelCase{"UdpThread", "udp:127.0.0.1:@", "udp:127.0.0.1:0", "127.0.0.1:@", Progress::thread});

}  // namespace farlane::test

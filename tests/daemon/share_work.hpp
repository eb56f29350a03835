// SPDX-License-Identifier: Apache-2.0
// Receives: a shared accelerator. Hands on: work on it whose every result is checked. Owns: nothing.
#pragma once

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

namespace farlane::test {

inline Fabric open_fabric(const std::string& socket) {
    FabricOptions o;
    o.socket = socket;
    return Fabric::open(o);
}

/// Work of one context on numbers that only its seed knows; throws when a result is not what it must be.
class ShareWork {
public:
    ShareWork(Device& device, std::uint32_t seed, std::size_t count = 20'000)
        : context_(device),
          random_(seed),
          x_(count),
          y_(count),
          out_(count),
          dx_(context_.allocate<float>(count)),
          dy_(context_.allocate<float>(count)) {}

    /// y = a x + y. Small integers: every float is exact.
    void round() {
        for (std::size_t i = 0; i < x_.size(); ++i) {
            x_[i] = static_cast<float>(random_() % 1024);
            y_[i] = static_cast<float>(random_() % 1024);
        }
        const float a = static_cast<float>(random_() % 64);
        auto& s = context_.stream();
        s.upload(dx_, std::span<const float>(x_));
        s.upload(dy_, std::span<const float>(y_));
        s.launch(accel::Axpy{a, accel::View<const float>(dx_.view()), dy_.view()});
        s.download(dy_, std::span<float>(out_));
        for (std::size_t i = 0; i < x_.size(); ++i)
            if (out_[i] != a * x_[i] + y_[i])
                throw std::runtime_error("element " + std::to_string(i) + " is " + std::to_string(out_[i]) + ", not " +
                                         std::to_string(a * x_[i] + y_[i]));
    }
    /// Begins work without waiting for it.
    void begin() {
        auto& s = context_.stream();
        s.upload(dx_, std::span<const float>(x_));
        s.launch(accel::Axpy{1.0F, accel::View<const float>(dx_.view()), dy_.view()});
    }
    /// Commands for the device that need no memory of their own, as many as there is room for, and no waiting for them.
    void flood() {
        for (int i = 0; i < 100; ++i) context_.stream().fill(dx_, 1.0F);
    }
    [[nodiscard]] accel::Context& context() { return context_; }

private:
    accel::Context context_;
    std::mt19937 random_;
    std::vector<float> x_, y_, out_;
    accel::Buffer<float> dx_, dy_;
};

}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// Receives: frames of a port. Hands on: the same, or nothing while it is cut. Owns: the port.
#pragma once

#include <memory>

#include "transport/port.hpp"

namespace farlane::bench {

class CutPort final : public transport::Port {
public:
    explicit CutPort(std::unique_ptr<transport::Port> inner) : inner_(std::move(inner)) {}
    /// Neither end is told: a cable that was pulled somewhere behind a switch.
    void cut(bool off) noexcept { off_ = off; }

    [[nodiscard]] const transport::PortInfo& info() const noexcept override { return inner_->info(); }
    [[nodiscard]] transport::PortCounters counters() const noexcept override { return inner_->counters(); }
    [[nodiscard]] std::size_t rx_burst(std::span<transport::RxFrame> frames) noexcept override {
        const auto n = inner_->rx_burst(frames);
        if (!off_) return n;
        inner_->rx_release(frames.first(n));
        return 0;
    }
    void rx_release(std::span<transport::RxFrame> frames) noexcept override { inner_->rx_release(frames); }
    [[nodiscard]] std::size_t tx_alloc(std::span<transport::TxFrame> frames) noexcept override {
        return inner_->tx_alloc(frames);
    }
    void tx_send(std::span<transport::TxFrame> frames) noexcept override {
        if (off_) return inner_->tx_free(frames);
        inner_->tx_send(frames);
    }
    void tx_free(std::span<transport::TxFrame> frames) noexcept override { inner_->tx_free(frames); }
    void flush() noexcept override { inner_->flush(); }
    [[nodiscard]] Result<transport::Address> resolve(std::string_view text) const override {
        return inner_->resolve(text);
    }
    [[nodiscard]] std::string to_string(const transport::Address& a) const override { return inner_->to_string(a); }

private:
    std::unique_ptr<transport::Port> inner_;
    bool off_ = false;
};

}  // namespace farlane::bench

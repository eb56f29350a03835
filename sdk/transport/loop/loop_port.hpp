// SPDX-License-Identifier: Apache-2.0
// Receives: frames of one end of an in-process pair. Hands on: them to the other end.
// Owns: with its peer, the buffers and rings of both directions.
#pragma once

#include <memory>
#include <string>

#include "transport/port.hpp"

namespace farlane::transport {

struct LoopLink;

/// loop:NAME. Two opens of one name make a pair; when one is closed, the next open takes its
/// place. The ends may be on one thread or on two. Without a peer frames are dropped (link down).
class LoopPort final : public Port {
public:
    LoopPort(std::shared_ptr<LoopLink> link, unsigned side, std::string url);
    ~LoopPort() override;

    /// 0 or 1: which end of the pair.
    [[nodiscard]] unsigned side() const noexcept { return side_; }

    [[nodiscard]] const PortInfo& info() const noexcept override { return info_; }
    [[nodiscard]] PortCounters counters() const noexcept override { return counters_; }
    [[nodiscard]] std::size_t rx_burst(std::span<RxFrame> frames) noexcept override;
    void rx_release(std::span<RxFrame> frames) noexcept override;
    [[nodiscard]] std::size_t tx_alloc(std::span<TxFrame> frames) noexcept override;
    void tx_send(std::span<TxFrame> frames) noexcept override;
    void tx_free(std::span<TxFrame> frames) noexcept override;
    [[nodiscard]] int wait_fd() const noexcept override;
    [[nodiscard]] bool arm() noexcept override;
    void disarm() noexcept override;
    [[nodiscard]] bool link_up() const noexcept override;
    [[nodiscard]] Result<Address> resolve(std::string_view text) const override;
    [[nodiscard]] std::string to_string(const Address& a) const override;

private:
    std::shared_ptr<LoopLink> link_;
    unsigned side_;
    PortInfo info_;
    PortCounters counters_;
};

}  // namespace farlane::transport

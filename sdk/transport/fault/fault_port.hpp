// SPDX-License-Identifier: Apache-2.0
// Receives: frames of the lane and of another port. Hands on: them, disturbed.
// Owns: the other port, and copies of the frames that are held.
#pragma once

#include <memory>

#include "transport/fault/line.hpp"
#include "transport/fault/spec.hpp"
#include "transport/port.hpp"

namespace farlane::transport {

/// Wraps a port ("fault+udp:...?loss=1%"). A `loop:` port with fault keys is one too. Find it by
/// dynamic_cast<FaultPort*>(port) to change the faults while it runs. Used by one thread, as any
/// port. Frames are copied once more on a disturbed side.
class FaultPort final : public Port {
public:
    FaultPort(std::unique_ptr<Port> inner, const FaultSpec& spec, std::uint64_t salt, std::string url,
              std::string kind);

    /// Replaces what goes wrong from now on (hold_frames stays). A cut link: loss = 1 and
    /// sent = received = true. Lane thread only.
    void set(const FaultSpec& spec) noexcept;
    [[nodiscard]] const FaultSpec& faults() const noexcept { return spec_; }
    /// Takes the time from *now_ns instead of CLOCK_MONOTONIC (simulated time). The pointer has
    /// to outlive the port; next_event_ns() is of the same clock.
    void use_clock(const std::int64_t* now_ns) noexcept { fake_now_ns_ = now_ns; }
    [[nodiscard]] Port& inner() noexcept { return *inner_; }

    [[nodiscard]] const PortInfo& info() const noexcept override { return info_; }
    [[nodiscard]] PortCounters counters() const noexcept override;
    [[nodiscard]] std::size_t rx_burst(std::span<RxFrame> frames) noexcept override;
    void rx_release(std::span<RxFrame> frames) noexcept override;
    [[nodiscard]] std::size_t tx_alloc(std::span<TxFrame> frames) noexcept override;
    void tx_send(std::span<TxFrame> frames) noexcept override;
    void tx_free(std::span<TxFrame> frames) noexcept override;
    void flush() noexcept override;
    [[nodiscard]] int wait_fd() const noexcept override { return inner_->wait_fd(); }
    [[nodiscard]] bool arm() noexcept override;
    void disarm() noexcept override { inner_->disarm(); }
    [[nodiscard]] std::int64_t next_event_ns() const noexcept override;
    [[nodiscard]] bool link_up() const noexcept override { return inner_->link_up(); }
    [[nodiscard]] Result<Address> resolve(std::string_view text) const override { return inner_->resolve(text); }
    [[nodiscard]] std::string to_string(const Address& a) const override { return inner_->to_string(a); }

private:
    [[nodiscard]] std::int64_t now_ns() const noexcept;
    void release_due() noexcept;
    void take_received() noexcept;

    std::unique_ptr<Port> inner_;
    FaultSpec spec_;
    PortInfo info_;
    const std::int64_t* fake_now_ns_ = nullptr;
    Line tx_, rx_;
    std::uint64_t rx_dropped_ = 0;
};

/// For open_port().
[[nodiscard]] Result<std::unique_ptr<Port>> wrap_in_faults(std::unique_ptr<Port> inner, const FaultSpec& spec,
                                                           const PortUrl& url);

}  // namespace farlane::transport

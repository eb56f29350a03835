// SPDX-License-Identifier: Apache-2.0
// Receives: frames from the lane. Hands on: frames from the wire. Owns: frame buffers.
// One ops table for every frame device; the URL-like string that picks one is checked in
// open_port(). A port is used by one lane; it takes no locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <farlane/status.hpp>

namespace farlane::transport {

/// Where a frame came from or goes to. Empty on point-to-point ports. Comparable as bytes.
struct Address {
    std::uint8_t size = 0;
    std::byte bytes[31] = {};
    friend bool operator==(const Address& a, const Address& b) noexcept;
};

struct RxFrame {
    std::byte* data = nullptr;      ///< 8-byte aligned; may be written (decrypted in place)
    std::uint32_t size_bytes = 0;   ///< may be more than was sent: ports pad behind the frame
    const Address* from = nullptr;  ///< valid until rx_release(); null on point-to-point ports
    void* cookie = nullptr;         ///< the port's own
};

struct TxFrame {
    std::byte* data = nullptr;  ///< 8-byte aligned
    std::uint32_t capacity_bytes = 0;
    std::uint32_t size_bytes = 0;  ///< set by the lane before send()
    const Address* to = nullptr;   ///< null on point-to-point ports; valid until send() returns
    void* cookie = nullptr;        ///< the port's own
};

struct PortInfo {
    std::string url;                    ///< as given
    std::string local;                  ///< own address as text ("127.0.0.1:4793"); "" = has none
    std::string kind;                   ///< "udp", "loop", "dpdk:vhost", "fault+udp", ...
    std::uint32_t max_frame_bytes = 0;  ///< largest frame it carries (8..9600)
    bool point_to_point = false;        ///< exactly one peer; addresses are not used
    bool reliable_mtu = false;          ///< max_frame_bytes is true for the whole path
    bool has_interrupt = false;         ///< wait_fd() works; else the lane backs off with short sleeps
    /// Bulk is best given and taken so much at a time: what is copied more often than once stays in the cache, and the
    /// peer has work while more is built. 0: as much as there is, where a call costs more than the cache.
    std::uint32_t burst_bytes = 0;
};

struct PortCounters {
    std::uint64_t rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0;
    std::uint64_t rx_dropped = 0, tx_dropped = 0;
    std::uint64_t faults_lost = 0, faults_delayed = 0, faults_reordered = 0, faults_duplicated = 0,
                  faults_corrupted = 0;  ///< fault+ and loop only
};

class Port {
public:
    virtual ~Port() = default;
    [[nodiscard]] virtual const PortInfo& info() const noexcept = 0;
    [[nodiscard]] virtual PortCounters counters() const noexcept = 0;

    /// Takes up to frames.size() received frames. Buffers are the caller's until rx_release();
    /// every one goes back before the port is destroyed. A port has a few hundred: keep none for long.
    [[nodiscard]] virtual std::size_t rx_burst(std::span<RxFrame> frames) noexcept = 0;
    virtual void rx_release(std::span<RxFrame> frames) noexcept = 0;

    /// Hands out up to frames.size() empty buffers; fewer (or 0) is back-pressure: the port
    /// takes no more now. Every buffer goes back by tx_send() or tx_free().
    [[nodiscard]] virtual std::size_t tx_alloc(std::span<TxFrame> frames) noexcept = 0;
    /// Takes all frames. Those the device cannot take at once are kept and tried again by
    /// later calls of any tx function or flush(); a frame is dropped only when the link is down.
    virtual void tx_send(std::span<TxFrame> frames) noexcept = 0;
    virtual void tx_free(std::span<TxFrame> frames) noexcept = 0;
    /// Tries kept frames again. Called on every turn of the lane; cheap when there are none.
    virtual void flush() noexcept {}

    /// File descriptor that becomes readable when a frame arrives after arm(); -1 = none.
    [[nodiscard]] virtual int wait_fd() const noexcept { return -1; }
    /// Enables the interrupt. False: frames are already there, do not sleep.
    [[nodiscard]] virtual bool arm() noexcept { return false; }
    virtual void disarm() noexcept {}
    /// When the port itself has something to do next (delayed frames of a fault port), in ns of
    /// CLOCK_MONOTONIC; INT64_MAX = nothing.
    [[nodiscard]] virtual std::int64_t next_event_ns() const noexcept { return INT64_MAX; }

    [[nodiscard]] virtual bool link_up() const noexcept { return true; }
    /// Address from text ("host:port"); point-to-point ports refuse with the reason.
    [[nodiscard]] virtual Result<Address> resolve(std::string_view text) const = 0;
    [[nodiscard]] virtual std::string to_string(const Address& a) const = 0;

    /// What the port string says of the slowest link of the way (key link_rate); 0 = nothing.
    [[nodiscard]] std::uint64_t link_bits_per_s() const noexcept { return link_bits_per_s_; }
    void tell_link_rate(std::uint64_t bits_per_s) noexcept { link_bits_per_s_ = bits_per_s; }

private:
    std::uint64_t link_bits_per_s_ = 0;
};

/// Opens a port by its string. Not for the hot path; one call at a time. Errors name what is
/// wrong in the string and list what is valid. Valid strings (docs/ports.md):
///   loop:NAME[?seed=N&loss=P&delay=T&jitter=T&reorder=P&dup=P&corrupt=P&mtu=N&depth=N]
///                  two opens of one NAME in one process make a pair
///   udp:[ADDRESS][:PORT][?mtu=N&batch=N&buffer=BYTES]
///   dpdk:DEVICE[,ARG...][?mtu=N&eal=...]      any EAL port: dpdk:net_vhost0,iface=/run/x.sock,client=1
///   Each also takes link_rate=BITS_PER_SECOND.
///   fault+PORT     the same fault keys, put before the port's own: fault+udp:...?loss=0.01&seed=7
[[nodiscard]] Result<std::unique_ptr<Port>> open_port(std::string_view url);

/// The same up to the point where something would be opened: nothing is touched.
[[nodiscard]] Result<bool> check_port(std::string_view url);
/// Whether `address` has the form that the port of this (good) string wants of a peer. Names are not looked up.
[[nodiscard]] Result<bool> check_peer(std::string_view url, std::string_view address);

/// Kinds this build has, for error messages and `farlane doctor`: {"loop", "udp", ...}.
[[nodiscard]] std::vector<std::string> port_kinds();

}  // namespace farlane::transport

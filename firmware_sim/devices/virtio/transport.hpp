// SPDX-License-Identifier: Apache-2.0
// Receives: register accesses and rings of the driver. Hands on: requests to the device behind it, used buffers
// and interrupts to the driver. Owns: requests at work, staging memory; what outlives a kill is State.
//
// Virtio over PCI, specification 1.2, modern devices only (4.1). One class, a file per part:
//   transport.cpp    life, turns of the lane       registers.cpp    the structures in the BAR, reset
//   capabilities.cpp vendor capabilities           ring.cpp         available and used rings, after a kill
//   descriptors.cpp  chains of descriptors         data.cpp         bytes of a request
// A device derives from it: blk, net, rng, console.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/function.hpp"
#include "core/persist.hpp"
#include "devices/virtio/queue.hpp"
#include "devices/virtio/spec.hpp"
#include "devices/virtio/staging.hpp"
#include "devices/virtio/state.hpp"

namespace farlane::firmware::virtio {

/// What is different from device to device. Constant.
struct Profile {
    Kind kind = Kind::block;
    std::string model;
    std::uint32_t class_code = 0;
    std::uint64_t features = 0;   ///< the device's own; the transport adds its
    bool config_changes = false;  ///< of its own: a driver may have missed the message of one over a kill
    std::uint64_t withheld = 0;   ///< of the transport's, for tests
    unsigned queues = 1;
    std::uint32_t queue_size = kMaxQueueSize;  ///< power of two
    std::uint32_t window = 128;                ///< requests of a queue at work; power of two, at most queue_size
    std::uint32_t blocks = 512;                ///< of staging memory
    std::uint32_t block_bytes = 4096 + 512;    ///< at least kMaxSegments descriptors
};

/// How a movement of bytes begins.
enum class Moved : std::uint8_t {
    given,    ///< scatter: on its way, what is written from here on comes behind it
    started,  ///< on_gathered() or on_scattered() follows
    failed,   ///< the host does not allow it; nothing follows
};

class Transport : public Function {
public:
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;
    Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept override;

    static constexpr std::uint32_t kBarBytes = 0x8000;
    static constexpr std::uint32_t kCommonAt = 0x0000, kIsrAt = 0x1000, kDeviceAt = 0x2000, kNotifyAt = 0x3000;
    static constexpr std::uint32_t kMsixTable = 0x4000, kMsixPba = 0x5000;
    static constexpr std::uint32_t kNotifyMultiplier = 4;
    static constexpr std::uint32_t kDeviceBytes = 0x100;

protected:
    Transport(const Profile& profile, State& state);

    // --- what a device writes
    /// Device configuration, 4.1.4.6; reads beyond what it fills are zero.
    virtual void device_config(std::span<std::byte, kDeviceBytes> out) const noexcept = 0;
    /// Works on a request: when it comes, and when what it waited for with stall() is there. Requests of a queue come
    /// in the order in which they were made available; complete() in any order, the driver sees them in the first.
    virtual void proceed(Request& r) noexcept = 0;
    /// Bytes of the request are in block `block`, which the device gives back.
    virtual void on_gathered(Request& r, std::uint32_t block, Status status) noexcept = 0;
    /// A scatter that began with `started` has been given to the host, or failed.
    virtual void on_scattered(Request& r, Status status) noexcept { (void)r, (void)status; }
    /// Requests of this queue have an effect that must not be repeated after a kill; they are completed in order.
    [[nodiscard]] virtual bool once(unsigned queue) const noexcept { return (void)queue, false; }
    /// The device has been reset or broken: forget every request.
    virtual void on_halt() noexcept {}
    virtual void on_started() noexcept {}
    /// Work of the device itself.
    virtual bool device_work() noexcept { return false; }
    [[nodiscard]] virtual bool has_device_work() const noexcept { return false; }

    // --- what a device uses
    [[nodiscard]] bool running() const noexcept {
        return (state_.status & (device_status::kDriverOk | device_status::kNeedsReset)) == device_status::kDriverOk;
    }
    [[nodiscard]] bool negotiated(std::uint64_t feature) const noexcept {
        return (state_.session.driver_features & feature) != 0;
    }
    /// Room for one movement of any size up to a block.
    [[nodiscard]] bool can_move() const noexcept;
    [[nodiscard]] Staging& staging() noexcept { return staging_; }
    [[nodiscard]] const Staging& staging() const noexcept { return staging_; }
    /// Reads [offset, +bytes) of the readable part into a block. Precondition: can_move(), within out_bytes.
    [[nodiscard]] Moved gather(Request& r, std::uint64_t offset, std::uint32_t bytes) noexcept;
    /// Writes the first `bytes` of `block` to [offset, +bytes) of the writable part; the block is not the device's any
    /// more. Precondition: can_move() before the block was taken, within in_bytes.
    [[nodiscard]] Moved scatter(Request& r, std::uint64_t offset, std::uint32_t block, std::uint32_t bytes) noexcept;
    /// proceed() is called again when can_move().
    void stall(Request& r) noexcept;
    void complete(Request& r, std::uint32_t written) noexcept;
    /// The oldest request of a queue that is not done.
    [[nodiscard]] Request* front(unsigned queue) noexcept;
    [[nodiscard]] const Request* front(unsigned queue) const noexcept {
        return const_cast<Transport*>(this)->front(queue);
    }
    [[nodiscard]] Request* find(const RequestRef& ref) noexcept;
    [[nodiscard]] static RequestRef reference(const Request& r) noexcept { return {r.queue, r.slot, r.serial}; }
    /// DEVICE_NEEDS_RESET: nothing more is done until the driver resets the device.
    void broken(Fault fault) noexcept;
    /// The device configuration has changed.
    void config_changed() noexcept;

    // --- Function
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t enables) noexcept override;
    void on_reset(ResetKind kind) noexcept override;
    [[nodiscard]] bool keeps_state() const noexcept override { return true; }
    [[nodiscard]] bool on_restored(std::uint64_t released) noexcept override;
    bool work() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    void dma_ordered(std::uint64_t tag, Status status) noexcept override;
    void dma_done(std::uint64_t tag, Status status) noexcept override;

private:
    // --- capabilities.cpp
    void add_capabilities();
    [[nodiscard]] bool window_access(std::uint64_t& offset, std::uint32_t& bytes) const noexcept;
    void window_write() noexcept;

    // --- registers.cpp
    void common_image(std::span<std::byte, common::kBytes> out) const noexcept;
    void write_common(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept;
    void write_status(std::uint32_t v) noexcept;
    void write_queue(QueueState& q, std::uint32_t field, std::uint64_t v) noexcept;
    void enable_queue(QueueState& q) noexcept;
    [[nodiscard]] bool accepts_features() noexcept;
    void notify(std::uint32_t queue, std::uint32_t value) noexcept;
    void reset_device() noexcept;
    void halt() noexcept;
    [[nodiscard]] bool plausible() const noexcept;
    void raise_config() noexcept;

    // --- ring.cpp
    void start_queues() noexcept;
    bool read_rings(unsigned n) noexcept;
    [[nodiscard]] bool ask(unsigned n, std::uint64_t iova, std::uint32_t bytes, Block::Use use) noexcept;
    void ring_answered(const Block& b, std::span<const std::byte> raw) noexcept;
    [[nodiscard]] bool wants_read(const Queue& q) const noexcept;
    void available_read(unsigned n, std::span<const std::byte> raw) noexcept;
    [[nodiscard]] bool take_entries(unsigned n, std::uint16_t index, std::span<const std::byte> ring) noexcept;
    void used_index_read(unsigned n, std::span<const std::byte> raw) noexcept;
    bool start_requests(unsigned n) noexcept;
    [[nodiscard]] bool startable(unsigned n) const noexcept;
    bool write_used(unsigned n) noexcept;
    [[nodiscard]] bool usable(const Queue& q) const noexcept;
    void signal(unsigned n, bool fresh) noexcept;

    // --- descriptors.cpp
    bool fetch(unsigned n) noexcept;
    [[nodiscard]] bool fetchable(unsigned n) const noexcept;
    void begin_fetch(unsigned n, std::uint16_t position) noexcept;
    void ask_descriptors(Request& r) noexcept;
    [[nodiscard]] bool take_descriptors(Request& r, std::span<const std::byte> raw, std::uint64_t first) noexcept;
    void rewind(Queue& q, std::uint16_t position) noexcept;
    [[nodiscard]] Fault add_segment(Request& r, std::uint64_t iova, std::uint32_t bytes, bool writable) noexcept;
    [[nodiscard]] Fault enter_table(Request& r, std::uint64_t iova, std::uint32_t bytes, bool more) const noexcept;
    void parsed(Request& r, Fault fault) noexcept;

    // --- data.cpp
    void move_piece(std::uint32_t block, std::uint64_t iova, std::span<std::byte> bytes, bool to_host) noexcept;
    void move(const Request& r, std::uint32_t block, bool to_host) noexcept;
    bool run_stalled() noexcept;

    State& state_;
    const Profile profile_;
    const std::uint64_t features_;
    std::uint32_t window_at_ = 0;  // capability of the window into the BAR

    // Everything from here on is forgotten by a kill.
    Staging staging_;
    std::vector<Queue> queues_;
    RefRing stalled_;
    std::uint32_t next_serial_ = 0;
    unsigned next_queue_ = 0;  // round robin
    std::array<std::uint64_t, static_cast<std::size_t>(Fault::count)> faults_seen_{};
    std::uint64_t refused_version_ = 0, refused_platform_ = 0, refused_unknown_ = 0;
    std::uint64_t notifications_ = 0, requests_ = 0, ring_reads_ = 0, interrupts_suppressed_ = 0;
};

}  // namespace farlane::firmware::virtio

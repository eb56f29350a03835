// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what is known of a virtqueue and of the requests in it. Owns: nothing that lasts:
// all of it is found out again after a kill.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "devices/virtio/spec.hpp"
#include "devices/virtio/state.hpp"

namespace farlane::firmware::virtio {

/// What a driver did that ends in DEVICE_NEEDS_RESET; the names are counters.
enum class Fault : std::uint8_t {
    none,
    queue,       ///< a queue was enabled with a size or an address that is not valid
    index,       ///< available index moved by more than the queue has entries
    descriptor,  ///< number of a descriptor beyond the table
    chain,       ///< more descriptors than there can be: a loop
    order,       ///< a descriptor to read behind one to write
    length,      ///< a descriptor of no bytes, one that wraps around, more than 4 GiB in all
    indirect,    ///< an indirect table that is not allowed there, or of a wrong size
    memory,      ///< rings or descriptors in memory that the host does not let the device reach
    request,     ///< a request too short to be one of this device
    count,
};

struct Segment {
    std::uint64_t iova;
    std::uint32_t bytes;
};

enum class Step : std::uint8_t {
    free,     ///< nothing in this slot
    reading,  ///< descriptors are on their way
    ready,    ///< all descriptors are known, or `fault` says what is wrong with them
    running,  ///< the device works on it
    done,     ///< waits for its place in the used ring
};

/// What a device notes of a request at work; each device has its own stages.
struct Work {
    std::uint32_t stage = 0;
    std::uint32_t type = 0;
    std::uint32_t in_flight = 0;  // gathers and scatters without an end
    std::uint32_t block = 0;      // staging block that is kept
    bool failed = false;
    std::uint8_t status = 0;
    std::uint64_t cursor = 0, end = 0;  // bytes of the request given to DMA, or of the medium done
    std::uint64_t media_at = 0;
    std::uint64_t ticket = 0;
};

struct Request {
    Step step = Step::free;
    Fault fault = Fault::none;
    bool in_table = false;  // descriptors come from an indirect table
    bool stalled = false;   // waits for staging memory
    std::uint16_t queue = 0, slot = 0;
    std::uint16_t position = 0;  // of its entry in the available ring
    std::uint16_t head = 0, next = 0;
    std::uint32_t serial = 0;  // changes with every use of the slot
    std::uint32_t written = 0;
    std::uint32_t segments = 0, readable = 0;  // of the segments the first ones are to be read
    std::uint32_t table_entries = 0;
    std::uint64_t table = 0;
    std::uint64_t out_bytes = 0, in_bytes = 0;  // to be read, to be written
    Work work;
    std::array<Segment, kMaxSegments> segment{};
};

/// A request that may have ended meanwhile.
struct RequestRef {
    std::uint16_t queue = 0, slot = 0;
    std::uint32_t serial = 0;
};

/// First in, first out; room for every request there is. Entries may be out of date: Transport::find().
class RefRing {
public:
    explicit RefRing(std::size_t most) : ring_(most + 1) {}
    [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
    [[nodiscard]] std::size_t size() const noexcept { return (tail_ + ring_.size() - head_) % ring_.size(); }
    [[nodiscard]] const RequestRef& front() const noexcept { return ring_[head_]; }
    void push(const RequestRef& r) noexcept {
        ring_[tail_] = r;
        tail_ = (tail_ + 1) % ring_.size();
    }
    RequestRef pop() noexcept {
        const RequestRef r = ring_[head_];
        head_ = (head_ + 1) % ring_.size();
        return r;
    }
    void clear() noexcept { head_ = tail_ = 0; }

private:
    std::vector<RequestRef> ring_;
    std::size_t head_ = 0, tail_ = 0;
};

/// Entries from position `from` to `to`.
constexpr std::uint16_t distance(std::uint16_t from, std::uint16_t to) noexcept {
    return static_cast<std::uint16_t>(to - from);
}

/// Positions count entries since the queue was enabled, modulo 2^16 as in the rings. Always:
/// used <= used_written <= first_open <= started <= fetched <= seen and started <= confirmed <= seen.
struct Queue {
    std::vector<Request> slots;
    std::uint16_t seen = 0;          // available index as read last
    std::uint16_t confirmed = 0;     // ring entries before it are known for sure
    std::uint16_t fetched = 0;       // descriptors before it were asked for
    std::uint16_t started = 0;       // requests before it were given to the device
    std::uint16_t first_open = 0;    // requests before it are done
    std::uint16_t used_written = 0;  // entries of the used ring
    std::uint16_t used = 0;          // used index the driver sees
    std::uint16_t signaled = 0;      // used index the driver was told of, or wants not to be
    std::uint16_t covers = 0;        // used index when the read under way was issued
    std::uint16_t hint = 0;          // available index of the last notification (VIRTIO_F_NOTIFICATION_DATA)
    bool hinted = false;
    bool running = false;     // enabled, and its used index is known
    bool recovering = false;  // the used index is being read, after a kill
    bool reading = false;     // the available ring is being read
    bool read_wanted = false;
    bool event_due = false;  // avail_event is to be written before the next read
    std::uint16_t driver_flags = 0, used_event = 0;
    std::array<std::uint16_t, kMaxQueueSize> heads{};

    [[nodiscard]] std::uint16_t window() const noexcept { return static_cast<std::uint16_t>(slots.size()); }
    [[nodiscard]] Request& at(std::uint16_t position) noexcept { return slots[position % slots.size()]; }
    [[nodiscard]] const Request& at(std::uint16_t position) const noexcept { return slots[position % slots.size()]; }
    void forget() noexcept {
        for (Request& r : slots) r.step = Step::free;
        seen = confirmed = fetched = started = first_open = used_written = used = signaled = covers = hint = 0;
        hinted = running = recovering = reading = read_wanted = event_due = false;
        driver_flags = used_event = 0;
    }
};

}  // namespace farlane::firmware::virtio

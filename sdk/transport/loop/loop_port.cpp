// SPDX-License-Identifier: Apache-2.0
// Receives: frames of one end of an in-process pair. Hands on: them to the other end.
// Owns: with its peer, the buffers and rings of both directions; the list of names.
#include "transport/loop/loop_port.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <system_error>

#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/arena.hpp"
#include "transport/loop/spsc.hpp"
#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

struct Sent {
    std::uint32_t buffer = 0;
    std::uint32_t size_bytes = 0;
};

// One direction: buffers go from the sender through `sent` to the receiver and back through `freed`.
struct Direction {
    Direction(std::size_t depth_, std::size_t frame_bytes)
        : depth(depth_),
          arena(depth, frame_bytes),
          sent(depth),
          freed(depth),
          event_fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (event_fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
        spare.reserve(depth);
    }
    ~Direction() { ::close(event_fd); }
    Direction(const Direction&) = delete;
    Direction& operator=(const Direction&) = delete;

    // What has come back goes out again before one that was never used does: as few buffers take turns as are under
    // way at once, and those stay in the cache.
    void refill(std::size_t wanted) {
        std::uint32_t buffer = 0;
        while (freed.pop(buffer)) spare.push_back(buffer);
        while (spare.size() < wanted && unused < depth) spare.push_back(unused++);
    }

    const std::size_t depth;
    std::uint32_t unused = 0;  // this one and those behind it were never used
    Arena arena;
    SpscRing<Sent> sent;
    SpscRing<std::uint32_t> freed;
    std::vector<std::uint32_t> spare;  // the sender's: last in, first out
    int event_fd;                      // readable when the sleeping receiver has a frame
    std::atomic<bool> armed{false};
};

void* cookie_of(std::uint32_t buffer) noexcept {
    return reinterpret_cast<void*>(std::uintptr_t{buffer});
}
std::uint32_t buffer_of(void* cookie) noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(cookie));
}

}  // namespace

struct LoopLink {
    LoopLink(std::string link_name, std::uint64_t frame_bytes, std::uint64_t ring_depth)
        : name(std::move(link_name)),
          mtu(frame_bytes),
          depth(ring_depth),
          directions{{ring_depth, frame_bytes}, {ring_depth, frame_bytes}} {}

    std::string name;
    std::uint64_t mtu, depth;
    Direction directions[2];  // [i]: what end i sends
    std::atomic<bool> open[2] = {false, false};
};

namespace {

// Names of pairs that have an open end. Opening and closing only, never frames.
std::mutex registry_mutex;
std::map<std::string, std::weak_ptr<LoopLink>, std::less<>>& registry() {
    static std::map<std::string, std::weak_ptr<LoopLink>, std::less<>> links;
    return links;
}

// What the end before left unread belongs to nobody.
void drop_unread(Direction& in) {
    Sent sent;
    while (in.sent.pop(sent)) (void)in.freed.push(sent.buffer);
}

}  // namespace

LoopPort::LoopPort(std::shared_ptr<LoopLink> link, unsigned side, std::string url)
    : link_(std::move(link)), side_(side) {
    info_.url = std::move(url);
    info_.kind = "loop";
    info_.max_frame_bytes = static_cast<std::uint32_t>(link_->mtu);
    info_.point_to_point = info_.reliable_mtu = info_.has_interrupt = true;
}

LoopPort::~LoopPort() {
    const std::lock_guard lock(registry_mutex);
    link_->open[side_].store(false);
    link_->directions[side_ ^ 1].armed.store(false);
    if (!link_->open[side_ ^ 1].load()) registry().erase(link_->name);
}

std::size_t LoopPort::tx_alloc(std::span<TxFrame> frames) noexcept {
    Direction& out = link_->directions[side_];
    if (out.spare.size() < frames.size()) out.refill(frames.size());
    const std::size_t n = std::min(frames.size(), out.spare.size());
    for (TxFrame& frame : frames.first(n)) {
        const std::uint32_t buffer = out.spare.back();
        out.spare.pop_back();
        frame = {out.arena.at(buffer), info_.max_frame_bytes, 0, nullptr, cookie_of(buffer)};
    }
    return n;
}

void LoopPort::tx_free(std::span<TxFrame> frames) noexcept {
    for (const TxFrame& frame : frames) link_->directions[side_].spare.push_back(buffer_of(frame.cookie));
}

void LoopPort::tx_send(std::span<TxFrame> frames) noexcept {
    if (frames.empty()) return;
    Direction& out = link_->directions[side_];
    if (!link_up()) {
        counters_.tx_dropped += frames.size();
        return tx_free(frames);
    }
    for (const TxFrame& frame : frames) {
        const std::uint32_t size_bytes = std::min(frame.size_bytes, info_.max_frame_bytes);
        (void)out.sent.push({buffer_of(frame.cookie), size_bytes});  // has room for every buffer there is
        ++counters_.tx_frames;
        counters_.tx_bytes += size_bytes;
    }
    if (out.armed.load(std::memory_order_seq_cst) && out.armed.exchange(false)) {
        const std::uint64_t one = 1;
        (void)!::write(out.event_fd, &one, sizeof one);
    }
}

std::size_t LoopPort::rx_burst(std::span<RxFrame> frames) noexcept {
    Direction& in = link_->directions[side_ ^ 1];
    std::size_t n = 0;
    Sent sent;
    while (n < frames.size() && in.sent.pop(sent)) {
        frames[n++] = {in.arena.at(sent.buffer), sent.size_bytes, nullptr, cookie_of(sent.buffer)};
        counters_.rx_bytes += sent.size_bytes;
    }
    counters_.rx_frames += n;
    return n;
}

void LoopPort::rx_release(std::span<RxFrame> frames) noexcept {
    for (const RxFrame& frame : frames) (void)link_->directions[side_ ^ 1].freed.push(buffer_of(frame.cookie));
}

int LoopPort::wait_fd() const noexcept {
    return link_->directions[side_ ^ 1].event_fd;
}

// Either the sender sees `armed` behind its push, or this sees the push behind `armed`.
bool LoopPort::arm() noexcept {
    Direction& in = link_->directions[side_ ^ 1];
    in.armed.store(true, std::memory_order_seq_cst);
    if (in.sent.empty()) return true;
    disarm();
    return false;
}

void LoopPort::disarm() noexcept {
    Direction& in = link_->directions[side_ ^ 1];
    if (in.armed.exchange(false)) return;  // nobody has written the eventfd since arm()
    std::uint64_t count = 0;
    (void)!::read(in.event_fd, &count, sizeof count);
}

bool LoopPort::link_up() const noexcept {
    return link_->open[side_ ^ 1].load(std::memory_order_acquire);
}

Result<Address> LoopPort::resolve(std::string_view) const {
    return {Status::invalid, "loop:" + link_->name + " has exactly one peer: give no address"};
}

std::string LoopPort::to_string(const Address&) const {
    return "loop:" + link_->name;
}

static Result<bool> read_loop(const PortUrl& url, Query& query, std::uint64_t& mtu, std::uint64_t& depth) {
    query.count("mtu", mtu, kMinFrameBytes, kMaxFrameBytes);
    query.count("depth", depth, 1, 1 << 20);
    if (auto failure = query.finish()) return *failure;
    if (url.body.empty()) return query.fail("it needs a name: loop:NAME");
    return true;
}

Result<bool> check_loop(const PortUrl& url, Query& query) {
    std::uint64_t mtu = kMaxFrameBytes, depth = 512;
    return read_loop(url, query, mtu, depth);
}

Result<bool> check_loop_peer(const PortUrl& url, std::string_view address) {
    if (address.empty()) return true;
    return {Status::invalid, "loop:" + url.body + " has exactly one peer: give no address"};
}

OpenedPort open_loop(const PortUrl& url, Query& query) {
    std::uint64_t mtu = kMaxFrameBytes, depth = 512;
    if (const auto read = read_loop(url, query, mtu, depth); !read) return read.failure();
    const std::lock_guard lock(registry_mutex);
    std::weak_ptr<LoopLink>& entry = registry()[url.body];
    std::shared_ptr<LoopLink> link = entry.lock();
    if (!link) entry = link = std::make_shared<LoopLink>(url.body, mtu, depth);
    if (link->mtu != mtu || link->depth != depth)
        return query.fail("the other end has mtu=" + std::to_string(link->mtu) +
                          "&depth=" + std::to_string(link->depth) + "; both ends must say the same");
    const unsigned side = link->open[0].load() ? 1 : 0;
    if (link->open[side].load())
        return query.fail("both ends of this name are open in this process; choose another name", Status::busy);
    drop_unread(link->directions[side ^ 1]);
    link->open[side].store(true, std::memory_order_release);
    return std::unique_ptr<Port>(std::make_unique<LoopPort>(std::move(link), side, url.text));
}

}  // namespace farlane::transport

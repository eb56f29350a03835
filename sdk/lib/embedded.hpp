// SPDX-License-Identifier: Apache-2.0
// Receives: calls of the public API. Hands on: transactions to a lane in this process.
// Owns: the lane, its port, the initiator role, and the thread that turns them when asked to.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "lane/initiator.hpp"
#include "lane/spin.hpp"
#include "lib/provider.hpp"

namespace farlane::provider {

/// The lane of an embedded fabric. Turned by whoever waits for something, and with
/// Progress::thread also by a thread that sleeps when idle.
class EmbeddedFabric final : public Provider, public std::enable_shared_from_this<EmbeddedFabric> {
public:
    explicit EmbeddedFabric(const FabricOptions& options);
    ~EmbeddedFabric() override;
    void connect(const FabricOptions& options);

    // Provider
    [[nodiscard]] std::vector<FunctionInfo> list() override;
    [[nodiscard]] std::shared_ptr<DeviceProvider> attach(const std::string& name, AttachMode mode) override;
    [[nodiscard]] std::optional<Event> next_event(std::chrono::milliseconds timeout) override;
    bool poll() override;

    // --- for EmbeddedDevice
    /// Held while the lane is touched; costs nothing with Progress::caller.
    [[nodiscard]] std::unique_lock<std::mutex> lock() {
        auto held = lock_untimed();
        lane_.tick();  // the application may have done something else for long
        return held;
    }
    /// For what has no deadline and sends nothing by itself, posted writes, and for what looks at the clock itself.
    [[nodiscard]] std::unique_lock<std::mutex> lock_untimed() {
        return threaded_ ? std::unique_lock(mutex_) : std::unique_lock<std::mutex>();
    }
    /// Work was handed to the lane and nobody turns it: the thread of the library may sleep. Under the lock.
    void hand_over() noexcept {
        if (threaded_) lane_.wake();
    }
    /// Turns the lane until `done()` (called with the lock held) or the deadline. True = done.
    template <class Done>
    bool turn_until(std::unique_lock<std::mutex>& held, lane::Time deadline, Done done);
    [[nodiscard]] lane::Initiator& initiator() noexcept { return *initiator_; }
    [[nodiscard]] lane::Lane& lane() noexcept { return lane_; }
    void push(Event e);
    [[nodiscard]] bool threaded() const noexcept { return threaded_; }

private:
    static constexpr unsigned kTurnsBeforeRest = 64;  // about 2 us: longer than an answer on the same host takes
    [[nodiscard]] lane::PeerPath open_path(lane::PortId port, const std::string& url, const std::string& peer);
    void run(const std::stop_token& stop);
    void rest(std::unique_lock<std::mutex>& held, lane::Time busy_at, lane::Time deadline);

    bool threaded_;
    std::mutex mutex_;
    lane::Lane lane_;
    lane::SpinWindow window_;  ///< guarded by mutex_
    std::unique_ptr<backend::Memory> memory_;
    std::unique_ptr<lane::Initiator> initiator_;
    std::mutex events_mutex_;
    std::condition_variable events_arrived_;
    std::deque<Event> events_;
    std::uint64_t events_lost_ = 0;
    std::jthread thread_;
};

template <class Done>
bool EmbeddedFabric::turn_until(std::unique_lock<std::mutex>& held, lane::Time deadline, Done done) {
    // `done` may consume what it finds: it is asked again only after it said no.
    lane::Time busy_at = lane_.now();
    for (unsigned idle_turns = 0; !done();) {
        if (lane_.now() >= deadline) return false;
        // What the caller has just asked for leaves first; what came with an answer is done when the caller has it.
        const bool worked = lane_.work();
        if (lane_.receive() || worked) {
            if (idle_turns >= kTurnsBeforeRest) window_.found(lane_.now() - busy_at);
            idle_turns = 0;
            busy_at = lane_.now();
        } else if (++idle_turns >= kTurnsBeforeRest) [[unlikely]] {
            rest(held, busy_at, deadline);
        }
    }
    if (threaded_) (void)lane_.work();  // its own thread may sleep, and the frame that would have woken it is taken
    return true;
}

}  // namespace farlane::provider

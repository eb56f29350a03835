// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of the application to one device. Hands on: slots of its channel. Owns: the channel.
// What the providers `daemon` and `kernel` have in common; the slow half is theirs.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/daemon_channel.hpp"
#include "lib/provider.hpp"

namespace farlane::provider {

/// Throws Error: limit.
[[nodiscard]] control::UniqueFd make_eventfd();

/// Any thread; one lock, held for the ring only.
class RingDevice : public DeviceProvider {
public:
    // DeviceProvider
    [[nodiscard]] const FunctionInfo& info() const override { return info_; }
    void config_read(std::uint32_t offset, std::span<std::byte> into) override;
    void config_write(std::uint32_t offset, std::span<const std::byte> data) override;
    void bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) override;
    void bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) override;
    void bar_write_from(unsigned bar, std::uint64_t offset, Buffer& buffer, std::size_t buffer_offset,
                        std::size_t bytes) override;
    void flush() override;
    void check() override;
    void progress(std::chrono::microseconds timeout) override;
    [[nodiscard]] Domain& domain() override { return domain_; }
    [[nodiscard]] int interrupt_fd(unsigned vector) override;

protected:
    using Lock = std::unique_lock<std::mutex>;
    using SteadyTime = std::chrono::steady_clock::time_point;
    RingDevice(FunctionInfo info, std::unique_ptr<channel::AppChannel> channel)
        : info_(std::move(info)), channel_(std::move(channel)) {}

    /// Under which number the other side knows a buffer; none: its bytes go through the staging area.
    [[nodiscard]] virtual std::optional<std::uint32_t> number_of(Buffer& buffer) = 0;
    /// Asked now and then while somebody waits. False: the device is gone and nobody will say so.
    [[nodiscard]] virtual bool still_there() { return true; }
    void lose(const std::string& why) noexcept;
    /// Detached; nobody waits any more when it returns, and the memory of the channel is let go.
    void close_channel() noexcept;
    [[nodiscard]] Status state() const noexcept;  ///< the lock is held
    [[noreturn]] void refuse(Status status, const std::string& what) const;

    FunctionInfo info_;
    mutable std::mutex mutex_;  ///< ring
    std::unique_ptr<channel::AppChannel> channel_;
    std::string lost_;  ///< why, "" = it is not
    bool detached_ = false;
    std::mutex lists_;  ///< what the control side knows of vectors and memory; never held during a call
    std::vector<control::UniqueFd> vectors_;

private:
    struct Source {
        std::uint32_t count;
        std::shared_ptr<Buffer> buffer;
    };
    void wait(Lock& held, bool for_released, const std::function<bool()>& ready, SteadyTime until = SteadyTime::max());
    void wait_on(Lock& held, bool for_released, const std::function<bool()>& ready, SteadyTime until);
    void usable() const;
    void until_given(Lock& held, const std::function<bool()>& give);
    void finish(Lock& held, channel::Waiter& waiter, const char* what);

    Domain domain_{*this};
    std::condition_variable woken_;
    bool polling_ = false;
    unsigned released_waiters_ = 0;
    unsigned waiting_ = 0;
    std::deque<Source> sources_;  ///< of bar_write_from, kept until released
};

}  // namespace farlane::provider

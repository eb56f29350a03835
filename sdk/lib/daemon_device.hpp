// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of the application to one device. Hands on: slots of its channel, and calls
// to farlaned for what is slow. Owns: the channel, interrupt eventfds, registered buffers.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lib/daemon_channel.hpp"
#include "lib/daemon_link.hpp"
#include "lib/provider.hpp"
#include "lib/shared_pages.hpp"

namespace farlane::provider {

/// Any thread; one lock, held for the ring only, never during a call to the daemon.
class DaemonDevice final : public DeviceProvider, public Resumable {
public:
    /// Attaches. Throws Error.
    [[nodiscard]] static std::shared_ptr<DaemonDevice> attach(const std::shared_ptr<DaemonLink>& link,
                                                              const std::string& name);
    ~DaemonDevice() override;

    // DeviceProvider
    [[nodiscard]] const FunctionInfo& info() const override { return info_; }
    void config_read(std::uint32_t offset, std::span<std::byte> into) override;
    void config_write(std::uint32_t offset, std::span<const std::byte> data) override;
    void bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) override;
    void bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) override;
    void bar_write_from(unsigned bar, std::uint64_t offset, Buffer& buffer, std::size_t buffer_offset,
                        std::size_t bytes) override;
    void flush() override;
    void enable_interrupts(unsigned count) override;
    [[nodiscard]] int interrupt_fd(unsigned vector) override;
    [[nodiscard]] std::shared_ptr<Buffer> allocate(std::size_t bytes) override;
    [[nodiscard]] std::uint64_t map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                    DmaDirection direction) override;
    void unmap(std::uint64_t iova) override;
    void acknowledge_reset() override;
    void check() override;
    void progress(std::chrono::microseconds timeout) override;
    void detach() override;
    [[nodiscard]] Domain& domain() override { return domain_; }

    // Resumable
    void resume(control::ControlClient& client, std::chrono::milliseconds grace) override;
    void lost(const std::string& why) noexcept override;

private:
    using Lock = std::unique_lock<std::mutex>;
    using SteadyTime = std::chrono::steady_clock::time_point;
    struct Registered {
        std::weak_ptr<Buffer> buffer;
        std::uint32_t number = 0;
        control::UniqueFd fd;  ///< of its own: a new daemon gets it even if the buffer is being freed
        std::size_t bytes = 0;
    };
    struct Source {
        std::uint32_t count;
        std::shared_ptr<Buffer> buffer;
    };

    DaemonDevice(std::shared_ptr<DaemonLink> link, FunctionInfo info, std::uint32_t attachment, std::string token,
                 std::unique_ptr<channel::AppChannel> channel);
    void wait(Lock& held, bool for_released, const std::function<bool()>& ready, SteadyTime until = SteadyTime::max());
    void usable() const;
    void until_given(Lock& held, const std::function<bool()>& give);
    void finish(Lock& held, channel::Waiter& waiter, const char* what);
    void in_bar(unsigned bar, std::uint64_t offset, std::size_t bytes) const;
    [[noreturn]] void refuse(Status status, const std::string& what) const;
    [[nodiscard]] Status state() const noexcept;
    [[nodiscard]] std::uint32_t number_of(Buffer& buffer);
    void forget_freed_buffers();
    void send_interrupts(const std::function<control::Json(control::Json, const std::vector<int>&)>& call,
                         std::size_t from) const;
    [[nodiscard]] control::Json args(control::Json more = control::Json::object());

    std::shared_ptr<DaemonLink> link_;
    FunctionInfo info_;
    std::string token_;
    Domain domain_{*this};
    mutable std::mutex mutex_;  ///< ring
    std::condition_variable woken_;
    std::unique_ptr<channel::AppChannel> channel_;
    bool polling_ = false;
    unsigned released_waiters_ = 0;
    std::string lost_;  ///< why, "" = it is not
    bool detached_ = false;
    std::deque<Source> sources_;  ///< of bar_write_from, kept until released
    std::mutex lists_;            ///< what the control side knows; never held during a call
    std::uint32_t attachment_;
    std::vector<Registered> registered_;
    std::vector<control::UniqueFd> vectors_;
    std::map<std::uint64_t, std::shared_ptr<Buffer>> mapped_;
    std::uint64_t next_token_ = 1;
};

}  // namespace farlane::provider

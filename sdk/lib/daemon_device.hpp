// SPDX-License-Identifier: Apache-2.0
// Receives: what an application asks of one device of farlaned. Hands on: slots of its channel
// (ring_device.cpp), and calls to farlaned for what is slow. Owns: interrupt eventfds, registered buffers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lib/daemon_link.hpp"
#include "lib/ring_device.hpp"
#include "lib/shared_pages.hpp"

namespace farlane::provider {

/// Any thread; no lock is held during a call to the daemon.
class DaemonDevice final : public RingDevice, public Resumable {
public:
    /// Attaches. Throws Error.
    [[nodiscard]] static std::shared_ptr<DaemonDevice> attach(const std::shared_ptr<DaemonLink>& link,
                                                              const std::string& name, bool shared);
    ~DaemonDevice() override;

    // DeviceProvider
    void enable_interrupts(unsigned count) override;
    [[nodiscard]] std::shared_ptr<Buffer> allocate(std::size_t bytes) override;
    [[nodiscard]] std::uint64_t map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                    DmaDirection direction) override;
    [[nodiscard]] std::uint64_t map_own(std::span<std::byte> memory, DmaDirection direction) override;
    void unmap(std::uint64_t iova) override;
    [[nodiscard]] bool shared() const noexcept override { return shared_; }
    [[nodiscard]] ContextGrant open_context() override;
    void close_context(std::uint32_t number) override;
    [[nodiscard]] QueueGrant make_queue(std::uint32_t context, std::uint32_t entries, std::uint64_t cq_iova,
                                        std::optional<std::uint32_t> vector) override;
    void drop_queue(std::uint32_t number) override;
    void reset() override;
    void acknowledge_reset() override;
    void detach() override;

    // Resumable
    void resume(control::ControlClient& client, std::chrono::milliseconds grace) override;
    void lost(const std::string& why) noexcept override { lose(why); }
    [[nodiscard]] bool outlives_daemon() const noexcept override { return !shared_; }

private:
    struct Registered {
        std::weak_ptr<Buffer> buffer;
        std::uint32_t number = 0;
        control::UniqueFd fd;  ///< of its own: a new daemon gets it even if the buffer is being freed
        std::size_t bytes = 0;
    };

    DaemonDevice(std::shared_ptr<DaemonLink> link, FunctionInfo info, std::uint32_t attachment, std::string token,
                 std::unique_ptr<channel::AppChannel> channel, bool shared);
    [[nodiscard]] std::optional<std::uint32_t> number_of(Buffer& buffer) override;
    control::Json call(const char* verb, const control::Json& args, bool again, const std::vector<int>& give = {});
    void forget_freed_buffers();
    void push_ring();
    void send_interrupts(const std::function<control::Json(control::Json, const std::vector<int>&)>& call,
                         std::size_t from) const;
    [[nodiscard]] control::Json args(control::Json more = control::Json::object());

    std::shared_ptr<DaemonLink> link_;
    std::string token_;
    std::uint32_t attachment_;
    std::vector<Registered> registered_;
    std::map<std::uint64_t, std::shared_ptr<Buffer>> mapped_;
    std::uint64_t next_token_ = 1;
    bool shared_;
};

}  // namespace farlane::provider

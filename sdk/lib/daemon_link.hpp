// SPDX-License-Identifier: Apache-2.0
// Receives: calls of one application's devices. Hands on: the same to farlaned, and to the next
// farlaned when the first was killed. Owns: the connection and the thread that watches it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lib/daemon_client.hpp"

namespace farlane::provider {

/// Somebody with an attachment that is to be taken up again at a new daemon.
class Resumable {
public:
    virtual ~Resumable() = default;
    /// Hands everything back. Throws Error when that can not be.
    virtual void resume(control::ControlClient& client, std::chrono::milliseconds grace) = 0;
    /// False: it ends with the daemon that has it, and is lost as soon as that is gone.
    [[nodiscard]] virtual bool outlives_daemon() const noexcept { return true; }
    virtual void lost(const std::string& why) noexcept = 0;
};

class DaemonLink {
public:
    explicit DaemonLink(const std::string& socket);
    /// The daemon went away and did not come back within its grace.
    [[nodiscard]] bool given_up();
    ~DaemonLink();
    DaemonLink(const DaemonLink&) = delete;
    DaemonLink& operator=(const DaemonLink&) = delete;

    /// One call; any thread. `again`: when the daemon dies meanwhile, the call waits for the next
    /// one and is made again, so it must be one that can be repeated.
    control::Json call(const std::string& verb, const control::Json& args, bool again,
                       const std::vector<int>& give = {}, std::vector<control::UniqueFd>* take = nullptr);
    /// One call to the daemon that is there now: unreachable when it is gone, whoever comes next.
    control::Json call_now(const std::string& verb, const control::Json& args, const std::vector<int>& give = {});

    void add(const std::weak_ptr<Resumable>& device);
    [[nodiscard]] const std::string& socket() const noexcept { return socket_; }

private:
    using Lock = std::unique_lock<std::mutex>;
    void watch(const std::stop_token& stop);
    void reconnect(Lock& held, const std::stop_token& stop);
    [[nodiscard]] std::vector<std::shared_ptr<Resumable>> devices();

    std::string socket_;
    std::mutex mutex_;  ///< the connection: one call at a time
    std::condition_variable_any changed_;
    control::ControlClient client_;
    bool up_ = true;
    std::string gone_;  ///< why it is given up, "" = it is not
    std::chrono::milliseconds grace_;
    std::mutex devices_mutex_;
    std::vector<std::weak_ptr<Resumable>> devices_;
    control::UniqueFd wake_;
    std::jthread watcher_;
};

}  // namespace farlane::provider

// SPDX-License-Identifier: Apache-2.0
// Receives: calls on a Fabric that farlaned serves. Hands on: calls to farlaned, devices, events.
// Owns: two connections, one for calls and one for events.
#include <optional>

#include "lib/daemon_device.hpp"

namespace farlane::provider {
namespace {

class DaemonProvider final : public Provider {
public:
    explicit DaemonProvider(const std::string& socket) : link_(std::make_shared<DaemonLink>(socket)) { listen(); }

    std::vector<FunctionInfo> list() override {
        const control::Json reply = link_->call("list", control::Json::object(), true);
        std::vector<FunctionInfo> all;
        for (const control::Json& f : reply.value("functions", control::Json::array()))
            all.push_back(control::function_from_json(f));
        return all;
    }

    std::shared_ptr<DeviceProvider> attach(const std::string& name, AttachMode mode) override {
        return DaemonDevice::attach(link_, name, mode == AttachMode::shared);
    }

    std::optional<Event> next_event(std::chrono::milliseconds timeout) override {
        const std::scoped_lock lock(events_mutex_);
        const auto until = std::chrono::steady_clock::now() + timeout;
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
            try {
                if (!events_) listen();
                const auto j = events_->next_event(std::max(left, std::chrono::milliseconds(0)));
                if (!j) return std::nullopt;
                if (auto e = control::event_from_json(*j)) return e;
            } catch (const Error& e) {
                events_.reset();  // the daemon was restarted: the next call subscribes again
                if (e.status() != Status::unreachable || link_->given_up()) throw;
                if (left.count() <= 0) return std::nullopt;
                (void)link_->call("ping", control::Json::object(), true);
            }
        }
    }

    /// The data plane turns in the daemon.
    bool poll() override { return false; }

private:
    void listen() {
        events_.emplace(control::ControlClient::connect(link_->socket()));
        events_->subscribe();
    }

    std::shared_ptr<DaemonLink> link_;
    std::mutex events_mutex_;
    std::optional<control::ControlClient> events_;
};

}  // namespace

std::shared_ptr<Provider> open_daemon(const FabricOptions& options) {
    if (!options.port.empty() || !options.peer.empty())
        throw Error(Status::invalid,
                    "'port' and 'peer' are of the embedded provider; the daemon has its own: leave them out");
    return std::make_shared<DaemonProvider>(options.socket);
}

}  // namespace farlane::provider

// SPDX-License-Identifier: Apache-2.0
// Receives: calls on a Fabric whose functions are on this host's PCI bus. Hands on: list and events of
// farlaned, devices by their nodes. Owns: what the daemon's provider owns.
#include "lib/daemon_link.hpp"
#include "lib/kernel_device.hpp"

namespace farlane::provider {
namespace {

class KernelProvider final : public Provider {
public:
    explicit KernelProvider(const FabricOptions& options)
        : daemon_(open_daemon(options)), link_(std::make_shared<DaemonLink>(options.socket)) {}

    std::vector<FunctionInfo> list() override { return daemon_->list(); }

    /// The function is put on the bus when it is not there yet; it stays when the application ends.
    std::shared_ptr<DeviceProvider> attach(const std::string& name, AttachMode mode) override {
        if (mode == AttachMode::shared)
            throw Error(Status::unsupported, "'" + name +
                                                 "' can not be shared at its device node; attach it through "
                                                 "farlaned (ProviderKind::daemon)");
        const control::Json reply = link_->call("attach", {{"name", name}, {"provider", "kernel"}}, false);
        const auto function = reply.find("function");
        const auto bus = reply.find("bus");
        if (function == reply.end() || bus == reply.end() || !bus->is_object())
            throw Error(Status::protocol, "farlaned did not say where on the bus '" + name + "' is");
        const std::string node = bus->value("node", "");
        if (node.empty())
            throw Error(Status::unsupported,
                        "'" + name + "' has a driver of this kernel; applications open accelerators only");
        return KernelDevice::open(node, control::function_from_json(*function));
    }

    std::optional<Event> next_event(std::chrono::milliseconds timeout) override { return daemon_->next_event(timeout); }
    bool poll() override { return false; }

private:
    std::shared_ptr<Provider> daemon_;
    std::shared_ptr<DaemonLink> link_;
};

}  // namespace

std::shared_ptr<Provider> open_kernel(const FabricOptions& options) {
    return std::make_shared<KernelProvider>(options);
}

}  // namespace farlane::provider

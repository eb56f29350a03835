// SPDX-License-Identifier: Apache-2.0
// Receives: calls on a Fabric. Hands on: the same to its provider. Owns: the provider.
#include <farlane/fabric.hpp>

#include "lib/provider.hpp"

namespace farlane {

Fabric Fabric::open(const FabricOptions& options) {
    switch (options.provider) {
        case ProviderKind::daemon: return Fabric(provider::open_daemon(options));
        case ProviderKind::embedded: return Fabric(provider::open_embedded(options));
        case ProviderKind::kernel: return Fabric(provider::open_kernel(options));
    }
    throw Error(Status::invalid, "unknown provider: use ProviderKind::daemon, embedded or kernel");
}

Fabric::Fabric(std::shared_ptr<provider::Provider> p) : provider_(std::move(p)) {}
Fabric::Fabric(Fabric&&) noexcept = default;
Fabric& Fabric::operator=(Fabric&&) noexcept = default;
Fabric::~Fabric() = default;

std::vector<FunctionInfo> Fabric::list() {
    return provider_->list();
}

Device Fabric::attach(std::string_view name, AttachMode mode) {
    return Device(provider_->attach(std::string(name), mode));
}

std::optional<Event> Fabric::next_event(std::chrono::milliseconds timeout) {
    return provider_->next_event(timeout);
}

bool Fabric::poll() {
    return provider_->poll();
}

}  // namespace farlane

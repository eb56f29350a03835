// SPDX-License-Identifier: Apache-2.0
// Receives: a kind of provider. Hands on: a target in a thread, two daemons, or what stands in this
// machine already. Owns: them.
#include "provider/stage.hpp"

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <thread>

#include "daemon/process.hpp"
#include "devices/devices.hpp"
#include "lane/target_thread.hpp"

namespace farlane::test {
namespace {

/// A target in a thread of this process; each fabric is an initiator of its own.
class EmbeddedStage final : public Stage {
public:
    EmbeddedStage() {
        proto::SessionConfig session = session_config("box", 0x7a);
        session.grace = std::chrono::seconds(1);  // how long the function of an application that was killed is kept
        target_ = std::make_unique<TargetThread>(address("udp:"), lane::TargetConfig{session, {}, 64});
        add("accel", kAccelerator, {{"memory", "64M"}, {"threads", "1"}});
        add("nvme", "nvme0", {{"size", "1M"}});
        target_->start();
    }
    ProviderKind kind() const override { return ProviderKind::embedded; }
    FabricOptions options() const override {
        FabricOptions o;
        o.provider = ProviderKind::embedded;
        o.port = "udp:127.0.0.1:0";
        o.peer = address("");
        o.connect_timeout = kPatience;
        o.completion_timeout = std::chrono::seconds(8);
        return o;
    }

private:
    [[nodiscard]] std::string address(const std::string& before) const {
        return before + "127.0.0.1:" + std::to_string(port_);
    }
    void add(const char* kind, const char* name, std::vector<std::pair<std::string, std::string>> keys) {
        const backend::DeviceConfig config{name, kind, std::move(keys)};
        auto made = kind == std::string("accel") ? firmware::make_accel(config, *memory_)
                                                 : firmware::make_nvme(config, *memory_);
        target_->add(name, made.take());
    }
    unsigned port_ = free_udp_port();
    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    std::unique_ptr<TargetThread> target_;
};

constexpr const char* kExports =
    "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n"
    "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";

/// Two farlaned processes, a target and an initiator.
class DaemonStage final : public Stage {
public:
    DaemonStage() { pair_.wait_for_functions(2); }
    ProviderKind kind() const override { return ProviderKind::daemon; }
    FabricOptions options() const override {
        FabricOptions o;
        o.socket = pair_.initiator.socket();
        return o;
    }
    std::string end() override {
        std::string text;
        for (Daemon* d : {&pair_.initiator, &pair_.target})
            if (const int code = d->stop(); code != 0)
                text += "farlaned ended with " + std::to_string(code) + "\n" + d->process().output();
        return text;
    }

private:
    Pair pair_{kExports};
};

/// The farlaned of this machine, with the module loaded, and a target that exports both functions.
class KernelStage final : public Stage {
public:
    ProviderKind kind() const override { return ProviderKind::kernel; }
    FabricOptions options() const override {
        FabricOptions o;
        o.provider = ProviderKind::kernel;
        return o;
    }
};

std::map<ProviderKind, std::unique_ptr<Stage>>& stages() {
    static std::map<ProviderKind, std::unique_ptr<Stage>> all;
    return all;
}

}  // namespace

const char* kind_name(ProviderKind kind) noexcept {
    switch (kind) {
        case ProviderKind::daemon: return "daemon";
        case ProviderKind::embedded: return "embedded";
        case ProviderKind::kernel: return "kernel";
    }
    return "unknown";
}

ProviderKind kind_of(const std::string& name) {
    for (const auto kind : {ProviderKind::embedded, ProviderKind::daemon, ProviderKind::kernel})
        if (name == kind_name(kind)) return kind;
    throw std::runtime_error("no provider '" + name + "': there are embedded, daemon and kernel");
}

std::vector<ProviderKind> kinds_to_test() {
    const char* only = std::getenv("FARLANE_TEST_PROVIDER");
    if (only != nullptr && *only != 0) return {kind_of(only)};
    return {ProviderKind::embedded, ProviderKind::daemon};
}

Stage& stage_of(ProviderKind kind) {
    auto& stage = stages()[kind];
    if (stage == nullptr) {
        switch (kind) {
            case ProviderKind::embedded: stage = std::make_unique<EmbeddedStage>(); break;
            case ProviderKind::daemon: stage = std::make_unique<DaemonStage>(); break;
            case ProviderKind::kernel: stage = std::make_unique<KernelStage>(); break;
        }
    }
    return *stage;
}

std::string end_stages() {
    std::string text;
    for (auto& [kind, stage] : stages()) text += stage->end();
    stages().clear();
    return text;
}

Device ProviderTest::attach(Fabric& fabric) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
        try {
            Device device = fabric.attach(kAccelerator);
            device.enable();
            return device;
        } catch (const Error& e) {
            if (e.status() != Status::busy || std::chrono::steady_clock::now() > until) throw;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

std::vector<std::byte> pattern(std::size_t bytes, unsigned seed) {
    std::vector<std::byte> all(bytes);
    std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (auto& b : all) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        b = static_cast<std::byte>(state >> 56);
    }
    return all;
}

}  // namespace farlane::test

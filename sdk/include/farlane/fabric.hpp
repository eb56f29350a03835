// SPDX-License-Identifier: Apache-2.0
// Receives: how to reach the fabric. Hands on: functions, attached devices, events.
// Owns: the connection to the provider.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <farlane/device.hpp>
#include <farlane/status.hpp>
#include <farlane/types.hpp>

namespace farlane {

namespace provider {
class Provider;
}

/// Where the data plane runs.
enum class ProviderKind : std::uint8_t {
    daemon,    ///< in farlaned; reached by its unix socket and shared memory
    embedded,  ///< in this process; no daemon, no root, no huge pages
    kernel,    ///< in farlaned; reached by the node that farlane.ko made, /dev/farlane/<name>
};

/// Who drives the data plane of an embedded fabric.
enum class Progress : std::uint8_t {
    thread,  ///< a thread of the library, which sleeps when idle
    caller,  ///< the application's own calls (fastest): while it makes none, nothing moves
};

/// One more way to the target of an embedded fabric.
struct PathOptions {
    std::string port;  ///< port string; "" = the port of FabricOptions, for another address of the target
    std::string peer;  ///< address of the target on that port
};

/// Who uses a function beside this attachment.
enum class AttachMode : std::uint8_t {
    alone,   ///< nobody
    shared,  ///< other applications of the same farlaned that ask for the same
};

struct FabricOptions {
    ProviderKind provider = ProviderKind::daemon;
    /// daemon, kernel: path of the control socket; "" = /run/farlane/farlaned.sock, where farlaned has it.
    std::string socket;
    /// embedded: the port, as docs/ports.md says ("udp:", "dpdk:net_virtio_user0,...").
    std::string port;
    /// embedded: address of the target on that port ("host:port"); "" on point-to-point ports.
    std::string peer;
    /// embedded: up to 7 further paths. Frames are spread over those that are up; when one dies the others go on
    /// (events path_down, path_up). open() waits for one of them.
    std::vector<PathOptions> further_paths;
    std::string name;  ///< embedded: who we are, for people; "" = program and pid
    Progress progress = Progress::thread;
    /// embedded: how long open() waits for the target.
    std::chrono::milliseconds connect_timeout{5000};
    std::chrono::milliseconds completion_timeout{3000};  ///< base of the completion timeout
    std::chrono::milliseconds keepalive{300};
    std::chrono::milliseconds grace{10000};  ///< how long a silent target is waited for
    bool integrity = true;                   ///< embedded: false = frames without CRC; both ends must agree
};

/// The fabric as this process sees it. Movable handle; all methods may be called from any
/// thread with Progress::thread or the daemon provider, and from one thread at a time with
/// Progress::caller. Everything that fails throws farlane::Error.
class Fabric {
public:
    /// Connects. Errors: unreachable (nobody answers; the text says where it tried), invalid
    /// (an option; the text lists what is valid), version, denied.
    [[nodiscard]] static Fabric open(const FabricOptions& options);
    Fabric(Fabric&&) noexcept;
    Fabric& operator=(Fabric&&) noexcept;
    /// Detaches what is still attached through it. Devices must be gone before.
    ~Fabric();

    /// Functions that the reachable targets export, attached ones included.
    [[nodiscard]] std::vector<FunctionInfo> list();
    /// Attaches the function `name`. Errors: not_found (text lists what there is), busy (text
    /// names the holder), denied, unreachable, timeout. The device is as after power-on. It is free again when
    /// the Device is detached or its process has ended in any way: `embedded` after the target's grace then.
    /// With `kernel` the function stays attached, on this host's bus, for the next application.
    /// With AttachMode::shared (provider `daemon`, accelerators) several applications, or several attachments of one,
    /// have it at once. farlaned is the driver then: it reset the accelerator before the first of them, and gives
    /// contexts and queue pairs to each (accel::Context asks it). An application reads the accelerator's registers and
    /// configuration space, and reaches what it was given and nothing else; its DMA reaches its own mappings. Anything
    /// else is refused with `denied`, and so is Device::reset(). More errors: unsupported (another provider, no
    /// accelerator, or one that can not keep applications apart), busy (somebody has it alone), limit (32 share it).
    /// A restart or an upgrade of farlaned ends it: device_lost, attach again. Thread rule as for all of Fabric.
    [[nodiscard]] Device attach(std::string_view name, AttachMode mode = AttachMode::alone);
    /// The next hot-plug or link event, or nothing within `timeout`.
    [[nodiscard]] std::optional<Event> next_event(std::chrono::milliseconds timeout);
    /// Progress::caller: one turn of the data plane. True = something was done.
    bool poll();

private:
    explicit Fabric(std::shared_ptr<provider::Provider> p);
    std::shared_ptr<provider::Provider> provider_;
};

}  // namespace farlane

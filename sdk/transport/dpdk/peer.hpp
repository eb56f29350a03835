// SPDX-License-Identifier: Apache-2.0
// Receives: the socket of a virtio_user or memif device. Hands on: its messages, between the peer
// and the driver. Owns: the sockets and a control thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "transport/dpdk/device_spec.hpp"
#include "transport/dpdk/ring_flag.hpp"
#include "transport/dpdk/unix_socket.hpp"

namespace farlane::transport::dpdk {

/// What the control thread does to the port's device. Called by that thread, or by the helper
/// that it waits for.
class DeviceOwner {
public:
    virtual Result<bool> make_device(const std::string& socket) = 0;
    virtual void drop_device() = 0;
    /// Lets the lane use the device, or keeps it out (returns when it is out).
    virtual void admit_lane(bool admit) = 0;
    [[nodiscard]] virtual bool device_link_up() = 0;
    /// The descriptor that the peer writes when it has frames (virtio_user). Closed when dropped.
    virtual void take_interrupt(Fd fd) = 0;
    /// The same of memif, with the word that asks for it. The lane is out. False: nothing can wait for this descriptor.
    [[nodiscard]] virtual bool take_ring(Fd fd, RingFlag flag) = 0;
    /// The peer of that ring is gone. The lane is out.
    virtual void drop_ring() = 0;

protected:
    ~DeviceOwner() = default;
};

/// Stands between the driver and the socket of its peer, because the drivers of DPDK 22.11 cannot
/// wait for a peer or outlive one: virtio_user blocks until its first peer is there and, as a
/// client, never finds a second one; memif unmaps its rings under a lane that polls them. The
/// driver gets a private socket, and sees a peer, or its end, only when the lane is ready for it.
/// Control messages only; frames never pass here.
class Peer {
public:
    [[nodiscard]] static Result<std::unique_ptr<Peer>> start(const DeviceSpec& spec, DeviceOwner& owner);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

private:
    struct State;
    explicit Peer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
    std::thread thread_;
};

}  // namespace farlane::transport::dpdk

// SPDX-License-Identifier: Apache-2.0
// Receives: Ethernet frames of a network function. Hands on: them to what it is joined to. Owns: a list of the ends
// in this process; the tap device of an end that has one, and a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <farlane/status.hpp>

namespace farlane::firmware::virtio {

/// One end of a wire between two functions of a daemon. Frames move in its lane; ends come and go while it rests or
/// in it.
class WireEnd {
public:
    WireEnd() = default;
    WireEnd(const WireEnd&) = delete;
    WireEnd& operator=(const WireEnd&) = delete;
    virtual ~WireEnd() { leave(); }
    virtual void receive(std::span<const std::byte> frame) noexcept = 0;
    /// The other end has come or gone.
    virtual void joined_changed() noexcept = 0;

    /// Ends of the same `room` (one for each daemon) are joined when one names the other and that one nobody else.
    void join(const void* room, const std::string& name, const std::string& wanted);
    void leave() noexcept;
    [[nodiscard]] WireEnd* other() const noexcept { return other_; }

private:
    WireEnd* other_ = nullptr;
    const void* room_ = nullptr;
    std::string name_, wanted_;
};

/// A tap interface of this host. One lane, except the callback.
class Tap {
public:
    virtual ~Tap() = default;
    /// Size of the next frame, now in `into`; 0 = none is there. Longer frames are cut off.
    [[nodiscard]] virtual std::size_t read(std::span<std::byte> into) noexcept = 0;
    /// read() would give a frame.
    [[nodiscard]] virtual bool readable() const noexcept = 0;
    /// False = the interface does not take it now.
    [[nodiscard]] virtual bool write(std::span<const std::byte> frame) noexcept = 0;
    /// Called from another thread when readable() becomes true; empty = nobody is told. Returns when no call of the
    /// former is running.
    virtual void on_readable(std::function<void()> wake) = 0;
};

/// Opens (and makes, when permitted) the tap interface `name`. Errors say what to do.
[[nodiscard]] Result<std::unique_ptr<Tap>> open_tap(const std::string& name);

}  // namespace farlane::firmware::virtio

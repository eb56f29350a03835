// SPDX-License-Identifier: Apache-2.0
// Receives: bytes a UART sends. Hands on: bytes from the other end, and whether there is one.
// Owns: the socket or file at the other end, at most 4 KiB in each direction, and a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <farlane/status.hpp>

namespace farlane::firmware::serial {

/// What is plugged into a port. Called by one lane; nothing here blocks.
class Line {
public:
    virtual ~Line() = default;
    /// Somebody is at the other end.
    [[nodiscard]] virtual bool connected() const noexcept = 0;
    /// Bytes that send() takes now.
    [[nodiscard]] virtual std::size_t room() const noexcept = 0;
    /// `bytes` is at most room().
    virtual void send(std::span<const std::uint8_t> bytes) noexcept = 0;
    [[nodiscard]] virtual std::size_t waiting() const noexcept = 0;
    /// At most waiting() bytes; how many.
    [[nodiscard]] virtual std::size_t receive(std::span<std::uint8_t> into) noexcept = 0;
    /// The initiator is gone: nothing of what is on its way may reach the next one, nor come from it.
    virtual void hang_up() noexcept = 0;
    /// Called from another thread when one of the above may have changed. Returns when no call of the
    /// former is running.
    virtual void on_change(std::function<void()> wake) = 0;
    /// Bytes that reached nobody.
    [[nodiscard]] virtual std::uint64_t lost() const noexcept = 0;
};

/// Appends what is sent to a file; nothing comes back.
[[nodiscard]] Result<std::unique_ptr<Line>> file_line(const std::string& path);
/// Listens on a unix stream socket (mode 0600); one client at a time is the other end.
[[nodiscard]] Result<std::unique_ptr<Line>> socket_line(const std::string& path);

}  // namespace farlane::firmware::serial

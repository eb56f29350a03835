// SPDX-License-Identifier: Apache-2.0
// Receives: bytes and file descriptors of a unix socket. Hands on: whole messages with the
// descriptors that belong to them, and messages to send. Owns: the descriptors not yet taken.
// Framing of the control socket, shared by daemon and client: docs/control-socket.md.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <farlane/status.hpp>

namespace farlane::control {

constexpr const char* kDefaultSocket = "/run/farlane/farlaned.sock";
constexpr unsigned kProtocolVersion = 1;
constexpr std::size_t kMaxRequestBytes = 64 * 1024;       ///< one request, newline included
constexpr std::size_t kMaxReplyBytes = 16 * 1024 * 1024;  ///< one reply or event
constexpr std::size_t kMaxFdsPerMessage = 128;            ///< below SCM_MAX_FD (253)

/// A file descriptor that is closed when it goes.
class UniqueFd {
public:
    UniqueFd() noexcept = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    ~UniqueFd() { reset(); }
    void reset(int fd = -1) noexcept;
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

/// One message: a line of JSON text (without the newline) and the descriptors sent with it.
struct Message {
    std::string text;
    std::vector<UniqueFd> fds;
};

/// Puts messages together from what a stream socket delivers. A message takes the descriptors
/// that arrived with its bytes; so a sender must send every message with a call of its own.
class MessageReader {
public:
    explicit MessageReader(std::size_t max_message_bytes) : max_bytes_(max_message_bytes) {}

    /// Reads once from `fd` (never waits). ok: something came; would_block: nothing there;
    /// unreachable: the other side closed; limit: message or descriptors over the limit; io.
    /// After limit and io the connection is of no use any more.
    [[nodiscard]] Status read_from(int fd);
    /// The next whole message, if any.
    [[nodiscard]] std::optional<Message> next();
    [[nodiscard]] std::size_t buffered_bytes() const noexcept { return buffer_.size(); }

private:
    std::size_t max_bytes_;
    std::string buffer_;
    std::vector<UniqueFd> fds_;
    std::deque<Message> ready_;
};

/// Messages waiting to be sent. Descriptors travel with the first byte of their message.
class MessageWriter {
public:
    void push(std::string text, std::vector<UniqueFd> fds = {});
    /// Sends what the socket takes (never waits). ok: all is sent; would_block: some is left;
    /// unreachable: the other side closed; io.
    [[nodiscard]] Status write_to(int fd);
    [[nodiscard]] bool empty() const noexcept { return queue_.empty(); }
    [[nodiscard]] std::size_t queued_bytes() const noexcept { return bytes_; }

private:
    std::deque<Message> queue_;
    std::size_t sent_of_first_ = 0;
    std::size_t bytes_ = 0;
};

/// Connects to the unix socket at `path` (a stream socket, close-on-exec, non-blocking).
/// unreachable (text says what to do), denied, invalid (path too long).
[[nodiscard]] Result<UniqueFd> connect_unix(const std::string& path);

}  // namespace farlane::control

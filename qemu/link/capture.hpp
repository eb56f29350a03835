// SPDX-License-Identifier: Apache-2.0
// Receives: frames as links hand them over. Hands on: a capture file that Wireshark and fldump read
// while it grows. Owns: the file.
#pragma once

#include <cstdint>
#include <string>

#include "node.hpp"

namespace farlane::link {

/// Classic pcap, Ethernet, nanoseconds. A full disk or the limit ends it and is counted; frames go on.
class Capture {
public:
    static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

    Capture() = default;
    ~Capture() { close(); }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    /// Starts a new file; throws std::runtime_error that names the path.
    void open(const std::string& path, std::uint64_t most_bytes = kMostBytes);
    void close() noexcept;
    void write(Bytes frame) noexcept;
    [[nodiscard]] nlohmann::json stats() const;

private:
    int fd_ = -1;
    std::string path_;
    std::uint64_t most_bytes_ = 0, bytes_ = 0, frames_ = 0, missed_ = 0;
};

}  // namespace farlane::link

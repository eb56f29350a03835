// SPDX-License-Identifier: Apache-2.0
// Receives: frames of a QEMU NIC ("-netdev stream": a length of 4 bytes, big endian, then the frame)
// and of the link. Hands on: them. Owns: the listening socket, the connection and its buffers.
#pragma once

#include <string>
#include <vector>

#include "loop.hpp"
#include "node.hpp"

namespace farlane::link {

/// A virtual NIC. One QEMU at a time; when it ends, the next may connect. What it does not read in
/// time is dropped, as by a NIC whose ring is full.
class StreamNic final : public Node {
public:
    StreamNic(std::string name, std::string path, Loop& loop);
    ~StreamNic() override;
    void receive(std::size_t plug, Bytes frame, std::int64_t now_ns) override;
    [[nodiscard]] nlohmann::json stats() const override;

private:
    void accept_one();
    void on_ready(std::uint32_t events);
    void read_frames();
    bool take_frames();
    void flush();
    void disconnect();

    std::string path_;
    Loop& loop_;
    int listener_ = -1, connection_ = -1;
    std::vector<std::byte> in_, out_;
    std::size_t out_begin_ = 0;
    std::uint64_t connections_ = 0, refused_ = 0, malformed_ = 0, ring_full_ = 0, unconnected_ = 0;
};

}  // namespace farlane::link

// SPDX-License-Identifier: Apache-2.0
// Receives: ports. Hands on: frames with a known content, and checks of them. Owns: nothing.
#pragma once

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "transport/port.hpp"

namespace farlane::transport::test {

inline std::unique_ptr<Port> must_open(const std::string& url) {
    auto port = open_port(url);
    if (!port) throw std::runtime_error(port.failure().detail);
    return std::move(*port);
}

/// Frame number `n` of `size` bytes: the number, the size, then bytes that follow from both.
constexpr std::uint32_t kHeadBytes = 8;
inline void fill(std::byte* data, std::uint32_t size, std::uint32_t n) {
    std::memcpy(data, &n, 4);
    std::memcpy(data + 4, &size, 4);
    for (std::uint32_t i = kHeadBytes; i < size; ++i) data[i] = std::byte(static_cast<unsigned char>(n * 31 + i));
}

/// Number of an intact frame, or -1. Padding behind the frame is allowed.
inline std::int64_t check(const std::byte* data, std::uint32_t size) {
    std::uint32_t n = 0, said = 0;
    if (size < kHeadBytes) return -1;
    std::memcpy(&n, data, 4);
    std::memcpy(&said, data + 4, 4);
    if (said > size || said < kHeadBytes) return -1;
    for (std::uint32_t i = kHeadBytes; i < said; ++i)
        if (data[i] != std::byte(static_cast<unsigned char>(n * 31 + i))) return -1;
    return n;
}

inline std::uint32_t size_of(const std::byte* data) {
    std::uint32_t said = 0;
    std::memcpy(&said, data + 4, 4);
    return said;
}

/// Sends frame `n`; false = the port gave no buffer.
inline bool send_frame(Port& port, std::uint32_t n, std::uint32_t size, const Address* to = nullptr) {
    std::array<TxFrame, 1> frame;
    if (port.tx_alloc(frame) == 0) return false;
    EXPECT_GE(frame[0].capacity_bytes, size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame[0].data) % 8, 0u);
    fill(frame[0].data, size, n);
    frame[0].size_bytes = size;
    frame[0].to = to;
    port.tx_send(frame);
    return true;
}

struct Received {
    std::int64_t number;  ///< -1 = not intact
    std::uint32_t size;   ///< as the sender said
    Address from;
};

/// One burst of what is there.
inline std::vector<Received> take(Port& port, std::size_t most = 32) {
    std::vector<RxFrame> frames(most);
    const std::size_t n = port.rx_burst(frames);
    std::vector<Received> out;
    for (const RxFrame& f : std::span(frames).first(n)) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f.data) % 8, 0u);
        const std::int64_t number = check(f.data, f.size_bytes);
        out.push_back({number, number < 0 ? f.size_bytes : size_of(f.data), f.from != nullptr ? *f.from : Address{}});
    }
    port.rx_release(std::span(frames).first(n));
    return out;
}

/// Calls `step` until it says true. False after a generous time: only a hang gets there.
inline bool eventually(const std::function<bool()>& step, std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (unsigned tries = 0; !step(); ++tries) {
        if (std::chrono::steady_clock::now() > end) return false;
        // on a loaded machine the one that sleeps is served first, and the peer may need this CPU
        if (tries > 100) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    return true;
}

/// Receives `count` frames, or what came until the time was up.
inline std::vector<Received> take_all(
    Port& port, std::size_t count, const std::function<void()>& meanwhile = [] {}) {
    std::vector<Received> all;
    (void)eventually([&] {
        meanwhile();
        const auto some = take(port);
        all.insert(all.end(), some.begin(), some.end());
        return all.size() >= count;
    });
    return all;
}

/// A directory for sockets, gone at the end.
class TempDir {
public:
    TempDir() {
        char pattern[] = "/tmp/farlane-test-XXXXXX";
        if (::mkdtemp(pattern) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = pattern;
    }
    ~TempDir() { (void)!std::system(("rm -rf " + path_).c_str()); }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

}  // namespace farlane::transport::test

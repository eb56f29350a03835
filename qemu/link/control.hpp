// SPDX-License-Identifier: Apache-2.0
// Receives: lines from clients of the control socket. Hands on: the answers.
// Owns: the listening socket and its connections, bounded in number and in bytes.
#pragma once

#include <map>
#include <string>

#include "loop.hpp"
#include "network.hpp"

namespace farlane::link {

class Control {
public:
    static constexpr std::size_t kMostClients = 16;
    static constexpr std::size_t kMostLineBytes = 8192;
    static constexpr std::size_t kMostWaitingBytes = 1024 * 1024;

    Control(std::string path, Network& network, Loop& loop);
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;
    [[nodiscard]] std::size_t clients() const noexcept { return clients_.size(); }

private:
    struct Client {
        std::string in, out;
    };
    void accept_one();
    void on_ready(int fd, std::uint32_t events);
    bool take_lines(Client& client);
    bool flush(int fd, Client& client);
    void drop(int fd);

    std::string path_;
    Network& network_;
    Loop& loop_;
    int listener_ = -1;
    std::map<int, Client> clients_;
};

}  // namespace farlane::link

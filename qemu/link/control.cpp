// SPDX-License-Identifier: Apache-2.0
// Receives: lines from clients of the control socket. Hands on: the answers.
// Owns: the listening socket and its connections, bounded in number and in bytes.
#include "control.hpp"

#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.hpp"
#include "unix_listener.hpp"

namespace farlane::link {

Control::Control(std::string path, Network& network, Loop& loop)
    : path_(std::move(path)), network_(network), loop_(loop), listener_(listen_unix(path_)) {
    loop_.add(listener_, EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

Control::~Control() {
    while (!clients_.empty()) drop(clients_.begin()->first);
    loop_.remove(listener_);
    ::close(listener_);
    ::unlink(path_.c_str());
}

void Control::accept_one() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (clients_.size() >= kMostClients) {
        ::close(fd);
        return;
    }
    clients_[fd];
    loop_.add(fd, EPOLLIN, [this, fd](std::uint32_t events) { on_ready(fd, events); });
}

void Control::on_ready(int fd, std::uint32_t events) {
    Client& client = clients_.at(fd);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        char bytes[4096];
        const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return drop(fd);
        if (got > 0) client.in.append(bytes, static_cast<std::size_t>(got));
        if (!take_lines(client)) return drop(fd);
    }
    if (!flush(fd, client)) drop(fd);
}

// False: the client sends what is no line, or does not read its answers.
bool Control::take_lines(Client& client) {
    std::size_t begin = 0, end = 0;
    while ((end = client.in.find('\n', begin)) != std::string::npos) {
        client.out += answer(network_, std::string_view(client.in).substr(begin, end - begin)) + "\n";
        begin = end + 1;
    }
    client.in.erase(0, begin);
    return client.in.size() <= kMostLineBytes && client.out.size() <= kMostWaitingBytes;
}

bool Control::flush(int fd, Client& client) {
    while (!client.out.empty()) {
        const ssize_t sent = ::send(fd, client.out.data(), client.out.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) return false;
        client.out.erase(0, static_cast<std::size_t>(sent));
    }
    loop_.change(fd, client.out.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
    return true;
}

void Control::drop(int fd) {
    loop_.remove(fd);
    ::close(fd);
    clients_.erase(fd);
}

}  // namespace farlane::link

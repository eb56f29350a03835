// SPDX-License-Identifier: Apache-2.0
// Receives: the kind of a port. Hands on: strings for both ends of a pair on this machine. Owns: nothing.
#include "ports.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

namespace farlane::bench {

std::string scratch_path(const std::string& what) {
    static int number = 0;
    return std::filesystem::temp_directory_path() /
           ("farlane-bench-" + std::to_string(getpid()) + "-" + what + std::to_string(number++));
}

unsigned free_udp_port() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&a), size) == 0 &&
                       getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) == 0;
    close(fd);
    if (!bound) throw std::runtime_error("no free UDP port");
    return ntohs(a.sin_port);
}

PairConfig pair_on(const std::string& kind) {
    PairConfig c;
    if (kind == "vhost") {
        const auto path = scratch_path("vhost");
        c.target_port = "dpdk:net_vhost0,iface=" + path + ",client=1";
        c.initiator_port = "dpdk:net_virtio_user0,path=" + path + ",server=1";
    } else if (kind == "memif") {
        const auto path = scratch_path("memif");
        c.target_port = "dpdk:net_memif0,role=server,socket=" + path + ",socket-abstract=no,bsize=10240";
        c.initiator_port = "dpdk:net_memif0,role=client,socket=" + path + ",socket-abstract=no,bsize=10240";
    } else {
        const auto port = std::to_string(free_udp_port());
        c.target_port = "udp:127.0.0.1:" + port;
        c.initiator_port = "udp:127.0.0.1:0";
        c.peer = "127.0.0.1:" + port;
    }
    return c;
}

}  // namespace farlane::bench

// SPDX-License-Identifier: Apache-2.0
// Receives: the state directory. Hands on: who this daemon is over restarts. Owns: nothing.
#include "daemon/identity.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {
namespace {

bool from_hex(const std::string& text, proto::Instance& out) {
    if (text.size() != 2 * out.size()) return false;
    for (std::size_t i = 0; i < out.size(); ++i) {
        unsigned byte = 0;
        if (std::sscanf(text.c_str() + 2 * i, "%2x", &byte) != 1) return false;
        out[i] = static_cast<std::uint8_t>(byte);
    }
    return true;
}

// Who knows the instance can claim to be this daemon: for its user only, whole or not at all.
bool write_private(const std::string& path, const std::string& text) {
    const std::string fresh = path + ".new";
    (void)::unlink(fresh.c_str());
    const control::UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    return fd.valid() && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
           std::rename(fresh.c_str(), path.c_str()) == 0;
}

}  // namespace

std::string to_hex(const proto::Instance& instance) {
    std::string text;
    for (const std::uint8_t byte : instance) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", byte);
        text += digits;
    }
    return text;
}

Result<Identity> read_identity(const std::string& state_dir, const std::string& configured) {
    const std::string path = state_dir + "/identity";
    Identity id;
    std::string text;
    if (std::ifstream in(path); in && (in >> text >> id.incarnation) && from_hex(text, id.instance) &&
                                (configured.empty() || text == configured)) {
        (void)::chmod(path.c_str(), 0600);  // of a version that did not care
        return id;
    }
    // A state that nobody has seen: its incarnation is later than any before it.
    id.incarnation = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    if (configured.empty())
        while (::getrandom(id.instance.data(), id.instance.size(), 0) != static_cast<ssize_t>(id.instance.size())) {
        }
    else if (!from_hex(configured, id.instance))
        return {Status::invalid, "instance '" + configured + "' is not 32 hexadecimal digits"};
    if (!write_private(path, to_hex(id.instance) + ' ' + std::to_string(id.incarnation) + '\n'))
        return {Status::io, path + ": can not be written: " + std::strerror(errno)};
    return id;
}

}  // namespace farlane::daemon

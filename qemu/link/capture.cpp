// SPDX-License-Identifier: Apache-2.0
// Receives: frames as links hand them over. Hands on: a capture file that Wireshark and fldump read
// while it grows. Owns: the file.
#include "capture.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

namespace farlane::link {
namespace {

// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap, native byte order
struct FileHead {
    std::uint32_t magic = 0xa1b23c4d;  // nanoseconds
    std::uint16_t major = 2, minor = 4;
    std::uint32_t zone = 0, accuracy = 0, longest = 262144, link_type = 1;
};
struct FrameHead {
    std::uint32_t seconds = 0, nanoseconds = 0, stored = 0, original = 0;
};
static_assert(sizeof(FileHead) == 24 && sizeof(FrameHead) == 16);

}  // namespace

void Capture::open(const std::string& path, std::uint64_t most_bytes) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const FileHead head;
    if (fd < 0 || ::write(fd, &head, sizeof head) != sizeof head) {
        const int error = errno;
        if (fd >= 0) ::close(fd);
        throw std::runtime_error("cannot write the capture " + path + ": " + std::strerror(error));
    }
    close();
    fd_ = fd;
    path_ = path;
    most_bytes_ = most_bytes;
    bytes_ = sizeof head;
    frames_ = missed_ = 0;
}

void Capture::close() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

void Capture::write(Bytes frame) noexcept {
    if (fd_ < 0) {
        missed_ += !path_.empty();
        return;
    }
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    FrameHead head;
    head.seconds = static_cast<std::uint32_t>(now.tv_sec);
    head.nanoseconds = static_cast<std::uint32_t>(now.tv_nsec);
    head.stored = head.original = static_cast<std::uint32_t>(frame.size());
    const std::size_t size = sizeof head + frame.size();
    const iovec parts[] = {{&head, sizeof head}, {const_cast<std::byte*>(frame.data()), frame.size()}};
    if (bytes_ + size > most_bytes_ || ::writev(fd_, parts, 2) != static_cast<ssize_t>(size)) {
        ++missed_;
        return close();
    }
    bytes_ += size;
    ++frames_;
}

nlohmann::json Capture::stats() const {
    return {{"file", path_}, {"open", fd_ >= 0}, {"frames", frames_}, {"bytes", bytes_}, {"missed", missed_}};
}

}  // namespace farlane::link

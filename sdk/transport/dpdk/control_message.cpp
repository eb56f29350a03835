// SPDX-License-Identifier: Apache-2.0
// Receives: control messages of a driver or its peer. Hands on: them, with their descriptors, or
// answers in place of a peer that is gone. Owns: descriptors on their way.
#include "transport/dpdk/control_message.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>

namespace farlane::transport::dpdk {
namespace {

// vhost-user protocol, "Header" and "Front-end message types".
constexpr std::size_t kHeaderBytes = 12, kFlagsOffset = 4, kSizeOffset = 8;
constexpr std::uint32_t kVersion = 0x1, kReply = 0x4, kNeedReply = 0x8;
constexpr std::uint32_t kGetFeatures = 1, kGetVringBase = 11, kSetVringCall = 13, kGetProtocolFeatures = 15,
                        kGetQueueNum = 17, kGetStatus = 40;
constexpr std::uint32_t kReceiveRing = 0, kRingMask = 0xff, kNoDescriptor = 0x100;

// memif protocol, "Message types": each has 128 bytes and begins with its type; halves and words lie packed.
constexpr std::size_t kMemifBytes = 128, kMemifRegionNumber = 2;
constexpr std::size_t kMemifRingFlags = 2, kMemifRingNumber = 4, kMemifRingRegion = 6, kMemifRingOffset = 8;
constexpr std::uint16_t kAddRegion = 4, kAddRing = 5, kConnect = 6, kConnected = 7, kToServer = 1;

struct Answer {
    std::uint32_t request, flags, size;
    std::uint32_t index, number;  // or one u64
};

}  // namespace

ControlMessage::ControlMessage() {
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    header_.msg_control = control_.data();
    header_.msg_controllen = control_.size();
}

ControlMessage::~ControlMessage() {
    if (bytes_ == 0) return;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header_); c != nullptr; c = CMSG_NXTHDR(&header_, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, reinterpret_cast<const char*>(c) + at, sizeof fd);
            ::close(fd);
        }
    }
}

Received ControlMessage::receive(const Fd& from, Framing framing) {
    const bool memif = framing == Framing::packets;
    part_ = {data_.data(), memif ? data_.size() : kHeaderBytes};
    // memif's driver takes one descriptor and would lose others: the sender of those is at an end
    if (memif) header_.msg_controllen = CMSG_LEN(sizeof(int));
    const ssize_t got = ::recvmsg(from.get(), &header_, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? Received::nothing : Received::end;
    bytes_ = static_cast<std::size_t>(got);
    if (got == 0 || (header_.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0) return Received::end;
    if (!memif && !read_rest(from)) return Received::end;
    return Received::message;
}

// A stream has no boundaries, and descriptors belong to the message that they came with: messages
// must be read one by one. They are sent whole, so the rest is there or about to be.
bool ControlMessage::read_rest(const Fd& from) {
    if (bytes_ != kHeaderBytes) return false;
    std::uint32_t rest = word(kSizeOffset);
    if (rest > data_.size() - bytes_) return false;
    while (rest > 0) {
        const ssize_t got = ::recv(from.get(), data_.data() + bytes_, rest, MSG_WAITALL);
        if (got <= 0) return false;
        bytes_ += static_cast<std::size_t>(got);
        rest -= static_cast<std::uint32_t>(got);
    }
    return true;
}

bool ControlMessage::send(const Fd& to) {
    part_.iov_len = bytes_;
    const ssize_t sent = ::sendmsg(to.get(), &header_, MSG_NOSIGNAL);
    if (sent < 0) return false;
    auto done = static_cast<std::size_t>(sent);
    while (done < bytes_) {  // the descriptors went with the first byte
        const ssize_t more = ::send(to.get(), data_.data() + done, bytes_ - done, MSG_NOSIGNAL);
        if (more <= 0) return false;
        done += static_cast<std::size_t>(more);
    }
    return true;
}

std::uint32_t ControlMessage::word(std::size_t offset) const {
    std::uint32_t value = 0;
    if (offset + sizeof value <= bytes_) std::memcpy(&value, data_.data() + offset, sizeof value);
    return value;
}

bool ControlMessage::asks(Question& question) const {
    const std::uint32_t request = word(0);
    question = {request, request == kGetVringBase ? word(kHeaderBytes) : 0};
    return request == kGetFeatures || request == kGetVringBase || request == kGetProtocolFeatures ||
           request == kGetQueueNum || request == kGetStatus || (word(kFlagsOffset) & kNeedReply) != 0;
}

int ControlMessage::first_descriptor() const {
    const cmsghdr* const c = CMSG_FIRSTHDR(&header_);
    int fd = -1;
    if (c != nullptr && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof fd))
        std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

Fd ControlMessage::receive_interrupt() const {
    const std::uint32_t payload = word(kHeaderBytes);
    if (word(0) != kSetVringCall || (payload & kRingMask) != kReceiveRing || (payload & kNoDescriptor) != 0) return {};
    return descriptor();
}

std::optional<std::uint16_t> ControlMessage::added_region() const {
    if (bytes_ < kMemifBytes || half(0) != kAddRegion) return std::nullopt;
    return half(kMemifRegionNumber);
}

std::optional<MemifRing> ControlMessage::added_ring() const {
    if (bytes_ < kMemifBytes || half(0) != kAddRing) return std::nullopt;
    return MemifRing{(half(kMemifRingFlags) & kToServer) != 0, half(kMemifRingNumber), half(kMemifRingRegion),
                     word(kMemifRingOffset)};
}

bool ControlMessage::connects() const {
    return bytes_ >= kMemifBytes && (half(0) == kConnect || half(0) == kConnected);
}

Fd ControlMessage::descriptor() const {
    return Fd(::fcntl(first_descriptor(), F_DUPFD_CLOEXEC, 0));
}

void answer(const Fd& driver, const Question& question) {
    const Answer a{question.request, kVersion | kReply, sizeof a.index + sizeof a.number, question.index, 0};
    (void)!::send(driver.get(), &a, sizeof a, MSG_NOSIGNAL);
}

void connect(const Fd& driver) {
    std::array<std::uint16_t, kMemifBytes / 2> message{kConnect};
    (void)!::send(driver.get(), message.data(), sizeof message, MSG_NOSIGNAL);
}

}  // namespace farlane::transport::dpdk

// SPDX-License-Identifier: Apache-2.0
// Receives: commands. Hands on: queue entries and completions. Owns: queue memory (queue.hpp).
#include "nvme_user/queue.hpp"

#include <atomic>
#include <cstring>

#include <farlane/uapi/types.h>

namespace farlane::nvme_user {
namespace {

constexpr std::size_t kPage = 4096, kSqe = 64, kCqe = 16;
constexpr std::uint32_t kDoorbells = 0x1000;  // 3.1.21

void put32(std::byte* at, std::uint32_t v) noexcept {
    const fl_le32 le(v);
    std::memcpy(at, &le, sizeof le);
}
void put64(std::byte* at, std::uint64_t v) noexcept {
    const fl_le64 le(v);
    std::memcpy(at, &le, sizeof le);
}
std::uint32_t get32(const std::byte* at) noexcept {
    fl_le32 v;
    std::memcpy(&v, at, sizeof v);
    return v.get();
}

std::size_t pages(std::size_t bytes) noexcept {
    return (bytes + kPage - 1) / kPage * kPage;
}

}  // namespace

QueuePair::QueuePair(Access& access, unsigned id, unsigned depth, std::uint32_t doorbell_stride_bytes)
    : access_(access),
      id_(id),
      depth_(depth),
      sq_doorbell_(kDoorbells + 2 * id * doorbell_stride_bytes),
      cq_doorbell_(sq_doorbell_ + doorbell_stride_bytes),
      sq_(access.allocate(pages(depth * kSqe))),
      cq_(access.allocate(pages(depth * kCqe))),
      lists_(access.allocate(depth * kPage)),
      used_(depth, false) {
    for (unsigned i = depth - 1; i-- > 0;) free_.push_back(static_cast<std::uint16_t>(i));
}

std::uint16_t QueuePair::submit(const Command& c) {
    if (free_.empty()) throw Error(Status::limit, "nvme: queue " + std::to_string(id_) + " is full");
    const std::uint16_t cid = free_.back();
    free_.pop_back();
    used_[cid] = true;
    std::byte* e = sq_.bytes.data() + tail_ * kSqe;
    std::memset(e, 0, kSqe);
    put32(e, std::uint32_t{c.opcode} | std::uint32_t{c.flags} << 8 | std::uint32_t{cid} << 16);
    put32(e + 4, c.nsid);
    put64(e + 24, c.prp1);
    put64(e + 32, c.prp2);
    const std::uint32_t rest[] = {c.dw10, c.dw11, c.dw12, c.dw13, c.dw14, c.dw15};
    for (std::size_t i = 0; i < std::size(rest); ++i) put32(e + 40 + i * 4, rest[i]);
    tail_ = (tail_ + 1) % depth_;
    return cid;
}

std::uint16_t QueuePair::submit(Command c, const Memory& data, std::size_t offset, std::size_t bytes) {
    if (offset > data.bytes.size() || bytes > data.bytes.size() - offset)
        throw Error(Status::out_of_bounds, "nvme: data outside its buffer");
    if (free_.empty()) throw Error(Status::limit, "nvme: queue " + std::to_string(id_) + " is full");
    fill_prps(c, free_.back(), data.iova + offset, bytes);
    return submit(c);
}

// 4.3: PRP1 may begin within a page; PRP2 is the second page, or a list when there are more than two.
void QueuePair::fill_prps(Command& c, std::uint16_t cid, std::uint64_t iova, std::size_t bytes) {
    const std::size_t in_first = kPage - (iova & (kPage - 1));
    c.prp1 = iova;
    c.prp2 = 0;
    if (bytes <= in_first) return;
    const std::uint64_t second = iova + in_first;
    const std::size_t more = (bytes - in_first + kPage - 1) / kPage;
    if (more > kPage / 8) throw Error(Status::limit, "nvme: more than a PRP list of one page");
    if (more == 1) {
        c.prp2 = second;
        return;
    }
    std::byte* list = lists_.bytes.data() + cid * kPage;
    for (std::size_t i = 0; i < more; ++i) put64(list + i * 8, second + i * kPage);
    c.prp2 = lists_.iova + cid * kPage;
}

void QueuePair::ring() {
    if (rung_ == tail_) return;
    rung_ = tail_;
    std::atomic_thread_fence(std::memory_order_release);  // entries before the doorbell
    access_.write32(sq_doorbell_, tail_);
}

void QueuePair::tell_head() {
    if (told_ == head_) return;
    told_ = head_;
    access_.write32(cq_doorbell_, head_);
}

std::optional<Completion> QueuePair::poll() {
    std::byte* e = cq_.bytes.data() + head_ * kCqe;
    // The last dword has the phase: it is looked at first, the others only after it (4.6)
    const std::uint32_t last = wire::swap_if_big_endian(
        std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(e + 12)).load(std::memory_order_acquire));
    if (((last >> 16 & 1) != 0) != phase_) {
        tell_head();
        return std::nullopt;
    }
    Completion c;
    c.dw0 = get32(e);
    c.sq_head = static_cast<std::uint16_t>(get32(e + 8));
    c.sqid = static_cast<std::uint16_t>(get32(e + 8) >> 16);
    c.cid = static_cast<std::uint16_t>(last);
    c.status = static_cast<std::uint16_t>(last >> 17);
    if (c.sqid != id_ || c.cid >= depth_ || !used_[c.cid])
        throw Error(Status::protocol, "nvme: completion of a command that was not submitted (queue " +
                                          std::to_string(c.sqid) + ", id " + std::to_string(c.cid) + ")");
    used_[c.cid] = false;
    free_.push_back(c.cid);
    head_ = (head_ + 1) % depth_;
    if (head_ == 0) phase_ = !phase_;
    if ((head_ + depth_ - told_) % depth_ >= (depth_ + 3) / 4) tell_head();
    return c;
}

}  // namespace farlane::nvme_user

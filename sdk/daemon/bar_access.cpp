// SPDX-License-Identifier: Apache-2.0
// Receives: what the daemon itself writes to and reads from a device's BARs. Hands on: transactions, in the
// order they came. Owns: see the header.
#include "daemon/bar_access.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

namespace farlane::daemon {

void BarAccess::write32(unsigned bar, std::uint64_t offset, std::uint32_t value) {
    waiting_.push_back({bar, offset, value, sizeof value, nullptr});
    (void)turn();
}

void BarAccess::write64(unsigned bar, std::uint64_t offset, std::uint64_t value) {
    waiting_.push_back({bar, offset, value, sizeof value, nullptr});
    (void)turn();
}

void BarAccess::read(unsigned bar, std::uint64_t offset, std::size_t bytes, Done done) {
    auto read = std::make_unique<Read>();
    read->bytes = std::min(bytes, kReadBytes);
    read->done = std::move(done);
    waiting_.push_back({bar, offset, 0, read->bytes, std::move(read)});
    (void)turn();
}

Status BarAccess::give(Op& op) {
    proto::Tlp tlp;
    tlp.type = op.read ? proto::TlpType::memory_read : proto::TlpType::memory_write;
    tlp.bar = static_cast<std::uint8_t>(op.bar);
    tlp.length_bytes = static_cast<std::uint16_t>(op.bytes);
    tlp.address = op.offset;
    if (!op.read) {
        const fl_le64 value{op.value};  // little-endian: its first four bytes are the low half
        return device_.submit(tlp, std::as_bytes(std::span(&value, 1)).first(op.bytes), 0, false);
    }
    const std::uint64_t cookie = next_cookie_;
    Read& r = *op.read;
    const Status status = device_.request(tlp, {}, std::span(r.data).first(r.bytes), cookie);
    if (status != Status::ok) return status;
    ++next_cookie_;
    out_.emplace(cookie, std::move(op.read));
    return status;
}

bool BarAccess::turn() {
    bool busy = false;
    while (!waiting_.empty()) {
        Op op = std::move(waiting_.front());
        const Status status = give(op);
        if (status == Status::would_block) {
            waiting_.front() = std::move(op);
            device_.hurry();
            return busy;
        }
        waiting_.pop_front();
        busy = true;
        if (status != Status::ok && op.read) finish(op.read, status);
    }
    return busy;
}

void BarAccess::finish(const std::unique_ptr<Read>& read, Status status) {
    if (status != Status::ok) read->data.fill(std::byte{0xff});
    read->done(status, std::span<const std::byte>(read->data).first(read->bytes));
}

void BarAccess::on_completion(std::uint64_t cookie, Status status) {
    const auto at = out_.find(cookie);
    if (at == out_.end()) return;
    const auto read = std::move(at->second);
    out_.erase(at);
    finish(read, status);
}

void BarAccess::drop_waiting(Status status) {
    std::deque<Op> waiting;
    waiting.swap(waiting_);
    for (const Op& op : waiting)
        if (op.read) finish(op.read, status);
}

void BarAccess::abandon(Status status) {
    std::map<std::uint64_t, std::unique_ptr<Read>> out;
    out.swap(out_);
    for (const auto& [cookie, read] : out) finish(read, status);
    drop_waiting(status);
}

}  // namespace farlane::daemon

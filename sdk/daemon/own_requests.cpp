// SPDX-License-Identifier: Apache-2.0
// Receives: what the daemon itself wants to know of a device. Hands on: configuration reads and
// writes beside those of the application. Owns: their buffers until they are answered.
#include "daemon/own_requests.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

namespace farlane::daemon {

struct OwnRequests::Space {
    lane::Attachment* attachment = nullptr;
    std::shared_ptr<ConfigSpace> bytes = std::make_shared<ConfigSpace>();
    std::uint32_t next = 0;
    unsigned out = 0;
    Status status = Status::ok;
    SpaceDone done;
};

Status OwnRequests::issue(lane::Attachment& a, proto::TlpType type, std::uint32_t offset, std::uint32_t bytes,
                          std::uint32_t value, Done done) {
    const auto slot = std::ranges::find(slots_, std::uint64_t{0}, &Slot::cookie);
    if (slot == slots_.end()) return Status::would_block;
    const bool reads = type == proto::TlpType::config_read;
    value = wire::swap_if_big_endian(value);
    std::memcpy(slot->data.data(), &value, sizeof value);
    proto::Tlp tlp;
    tlp.type = type;
    tlp.address = offset;
    tlp.length_bytes = static_cast<std::uint16_t>(bytes);
    const std::uint64_t cookie = kMark | next_++;
    const auto data = std::span(slot->data).first(bytes);
    const std::uint64_t before = a.next_sequence(proto::RecordClass::posted);
    const Status status = reads ? a.request(tlp, {}, data, cookie) : a.request(tlp, data, {}, cookie);
    ledger_.settle(before, a.next_sequence(proto::RecordClass::posted), 0);
    if (status != Status::ok) return status;
    slot->cookie = cookie;
    slot->done = std::move(done);
    return Status::ok;
}

Status OwnRequests::read(lane::Attachment& a, std::uint32_t offset, std::uint32_t bytes, Done done) {
    return issue(a, proto::TlpType::config_read, offset, bytes, 0, std::move(done));
}

Status OwnRequests::write(lane::Attachment& a, std::uint32_t offset, std::uint32_t bytes, std::uint32_t value,
                          Done done) {
    return issue(a, proto::TlpType::config_write, offset, bytes, value, std::move(done));
}

void OwnRequests::on_completion(std::uint64_t cookie, Status status) noexcept {
    const auto slot = std::ranges::find(slots_, cookie, &Slot::cookie);
    if (slot == slots_.end()) return;
    std::uint32_t value = 0;
    std::memcpy(&value, slot->data.data(), sizeof value);
    const Done done = std::exchange(slot->done, {});
    slot->cookie = 0;
    done(status, wire::swap_if_big_endian(value));
}

bool OwnRequests::busy() const noexcept {
    return std::ranges::any_of(slots_, [](const Slot& s) { return s.cookie != 0; });
}

void OwnRequests::abandon(Status status) {
    for (Slot& slot : slots_)
        if (slot.cookie != 0) on_completion(slot.cookie, status);
}

void OwnRequests::read_space(lane::Attachment& a, SpaceDone done) {
    auto space = std::make_shared<Space>();
    space->attachment = &a;
    space->done = std::move(done);
    more(space);
}

void OwnRequests::more(const std::shared_ptr<Space>& space) {
    while (space->status == Status::ok && space->next < proto::kConfigBytes && space->out < kSpaceBurst) {
        const std::uint32_t offset = space->next;
        const Status status = read(*space->attachment, offset, 4, [this, space, offset](Status s, std::uint32_t value) {
            --space->out;
            if (s != Status::ok) space->status = s;
            const std::uint32_t raw = wire::swap_if_big_endian(value);
            std::memcpy(space->bytes->data() + offset, &raw, sizeof raw);
            more(space);
        });
        if (status == Status::would_block && space->out != 0) return;  // goes on with the next answer
        if (status != Status::ok) {
            space->status = status == Status::would_block ? Status::busy : status;
            break;
        }
        space->next += 4;
        ++space->out;
    }
    const bool over = space->status != Status::ok || space->next == proto::kConfigBytes;
    if (over && space->out == 0 && space->done) std::exchange(space->done, {})(space->status, space->bytes);
}

}  // namespace farlane::daemon

// SPDX-License-Identifier: Apache-2.0
// Receives: what the application of one attachment asks for by the control socket.
// Hands on: its outcome. Owns: see holding.hpp.
#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "daemon/holding.hpp"
#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kDirections = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;

UniqueFd duplicate(int fd) {
    return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

}  // namespace

Status Holding::usable() const noexcept {
    if (attachment_ == nullptr) return Status::device_lost;
    if (attachment_->state() == lane::AttachmentState::lost) return Status::device_lost;
    return Status::ok;
}

Reply Holding::unusable() const {
    if (phase_ == Phase::waiting) return refusal(Status::stale, "'" + info_.name + "' waits for resume_attachment");
    return refusal(Status::device_lost, "'" + info_.name + "' was removed");
}

Reply Holding::open_channel(const channel::Geometry& geometry) {
    if (usable() != Status::ok) return unusable();
    if (channel_) return refusal(Status::busy, "the attachment has a channel already");
    auto memory = SharedMemory::create("farlane-channel", geometry.total_bytes());
    if (!memory.ok()) return refusal(memory.failure());
    Channel::Parts parts;
    parts.memory = *memory;
    if (share_) parts.cookie_mark = share_->cookie_mark();
    parts.submit_bell = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    parts.complete_bell = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!parts.submit_bell.valid() || !parts.complete_bell.valid())
        return refusal(Status::limit, std::string("eventfd: ") + std::strerror(errno));
    struct stat info {};
    (void)::fstat(parts.memory->fd(), &info);
    file_->state().channel_inode = info.st_ino;
    Reply r;
    r.fds.push_back(duplicate(parts.memory->fd()));
    r.fds.push_back(duplicate(parts.submit_bell.get()));
    r.fds.push_back(duplicate(parts.complete_bell.get()));
    if (std::ranges::any_of(r.fds, [](const UniqueFd& f) { return !f.valid(); }))
        return refusal(Status::limit, "too many open files");
    r.body = {{"channel_bytes", geometry.total_bytes()},
              {"submit_entries", geometry.submit_entries},
              {"complete_entries", geometry.complete_entries},
              {"staging_bytes", geometry.staging_bytes}};
    channel_ = std::make_unique<Channel>(std::move(parts), geometry, ledger_, *this, host_.bells, true);
    channel_->attach_to(*attachment_);
    channel_->open();
    watch_channel();
    return r;
}

Reply Holding::register_buffer(std::shared_ptr<SharedMemory> memory, std::optional<std::uint32_t> number) {
    if (buffers_.size() >= kMaxBuffers)
        return refusal(Status::limit, "an attachment has at most " + std::to_string(kMaxBuffers) + " buffers");
    if (number && phase_ != Phase::resuming)
        return refusal(Status::invalid, "'buffer' can be chosen only while an attachment is resumed");
    if (!number && usable() != Status::ok) return unusable();
    if (!number) {
        while (buffers_.contains(next_buffer_) || next_buffer_ == FL_BUFFER_STAGING) ++next_buffer_;
        number = next_buffer_++;
    }
    if (*number == FL_BUFFER_STAGING || !buffers_.emplace(*number, std::move(memory)).second)
        return refusal(Status::busy, "buffer " + std::to_string(*number) + " is there already");
    return {Status::ok, "", {{"buffer", *number}}, {}};
}

Reply Holding::unregister_buffer(std::uint32_t number) {
    const auto at = buffers_.find(number);
    if (at == buffers_.end()) return refusal(Status::not_found, "no buffer " + std::to_string(number));
    for (const SavedMapping& m : file_->state().mappings)
        if (m.bytes != 0 && m.buffer == number)
            return refusal(Status::busy, "buffer " + std::to_string(number) + " is mapped; unmap it first");
    // Writes on their way may still read it.
    if (channel_) retired_.push_back({file_->state().submit_tail, at->second});
    buffers_.erase(at);
    return {};
}

void Holding::map(std::uint32_t number, std::uint64_t offset, std::uint64_t bytes, std::uint32_t direction,
                  std::uint64_t token, const Answer& answer) {
    if (usable() != Status::ok) return answer(unusable());
    if (const SavedMapping* known = ledger_.find_token(token))
        return answer({Status::ok, "", {{"iova", known->iova}}, {}});
    const std::span<std::byte> memory = number == FL_BUFFER_STAGING ? std::span<std::byte>() : buffer(number);
    if (memory.empty()) return answer(refusal(Status::not_found, "no buffer " + std::to_string(number)));
    if (bytes == 0 || offset > memory.size() || memory.size() - offset < bytes)
        return answer(refusal(Status::out_of_bounds, "bytes " + std::to_string(offset) + "+" + std::to_string(bytes) +
                                                         " are not inside buffer " + std::to_string(number) + " of " +
                                                         std::to_string(memory.size())));
    if (direction == 0 || (direction & ~kDirections) != 0)
        return answer(refusal(Status::invalid, "direction is 1 (device reads), 2 (device writes) or 3"));
    SavedMapping* m = ledger_.free_mapping();
    if (m == nullptr)
        return answer(
            refusal(Status::limit, "an attachment has at most " + std::to_string(kMaxMappings) + " mappings"));
    if (!ledger_.can_announce()) {
        attachment_->hurry();
        ledger_.released(attachment_->posted_released());
        if (!ledger_.can_announce()) {
            waiting_ops_.push_back([=, this] {
                ledger_.released(attachment_->posted_released());
                if (usable() == Status::ok && !ledger_.can_announce()) return false;
                map(number, offset, bytes, direction, token, answer);
                return true;
            });
            return;
        }
    }
    SavedState& s = file_->state();
    // IOVAs are never used twice, and a page is left free behind each.
    const std::uint64_t iova = s.next_iova + offset % kPage;
    store_in_order(s.next_iova, (iova + bytes + 2 * kPage - 1) / kPage * kPage);
    const std::uint64_t before = attachment_->next_sequence(proto::RecordClass::posted);
    ledger_.begin_announcement(FL_MSG_MAP, iova, bytes, direction, before);
    m->iova = iova;
    m->offset = offset;
    m->token = token;
    m->buffer = number;
    m->direction = direction;
    store_in_order(m->bytes, bytes);
    const Status status = attachment_->map(iova, memory.subspan(offset, bytes), direction);
    if (status != Status::ok) {
        ledger_.cancel_announcement();
        store_in_order(m->bytes, std::uint64_t{0});
        return answer(refusal(status, "map: " + std::string(status_text(status))));
    }
    ledger_.settle(before, attachment_->next_sequence(proto::RecordClass::posted), 0);
    answer({Status::ok, "", {{"iova", iova}}, {}});
}

Status Holding::unmap_now(SavedMapping& m) noexcept {
    const std::uint64_t before = attachment_->next_sequence(proto::RecordClass::posted);
    ledger_.begin_announcement(FL_MSG_UNMAP, m.iova, m.bytes, m.direction, before);
    const Status status = attachment_->unmap(m.iova);
    if (status != Status::ok) ledger_.cancel_announcement();
    store_in_order(m.bytes, std::uint64_t{0});
    ledger_.settle(before, attachment_->next_sequence(proto::RecordClass::posted), 0);
    return status;
}

void Holding::unmap(std::uint64_t iova, const Answer& answer) {
    if (usable() != Status::ok) return answer(unusable());  // all mappings went with the device
    SavedMapping* m = ledger_.find_mapping(iova);
    if (m == nullptr) return answer(refusal(Status::not_found, "nothing is mapped at this IOVA"));
    if (!ledger_.can_announce()) {
        attachment_->hurry();
        ledger_.released(attachment_->posted_released());
    }
    if (!ledger_.can_announce()) {
        waiting_ops_.push_back([=, this] {
            ledger_.released(attachment_->posted_released());
            if (usable() == Status::ok && !ledger_.can_announce()) return false;
            unmap(iova, answer);
            return true;
        });
        return;
    }
    const Status status = unmap_now(*m);
    answer(status == Status::ok ? Reply{} : refusal(status, "unmap: " + std::string(status_text(status))));
}

void Holding::unmap_all() {
    for (SavedMapping& m : file_->state().mappings) {
        if (m.bytes == 0) continue;
        if (attachment_ == nullptr || lost()) {
            store_in_order(m.bytes, std::uint64_t{0});
            continue;
        }
        ledger_.released(attachment_->posted_released());
        if (ledger_.can_announce()) {
            (void)unmap_now(m);
            continue;
        }
        attachment_->hurry();
        waiting_ops_.push_back([this, &m] {
            if (m.bytes == 0 || attachment_ == nullptr || lost()) return true;
            ledger_.released(attachment_->posted_released());
            if (!ledger_.can_announce()) return false;
            (void)unmap_now(m);
            return true;
        });
    }
}

Reply Holding::enable_interrupts(std::uint32_t count, std::uint32_t first, std::vector<UniqueFd> fds) {
    if (count > kMaxVectors || count > std::max<std::uint32_t>(info_.msix_vectors, 1))
        return refusal(Status::limit, "'" + info_.name + "' has " + std::to_string(info_.msix_vectors) + " vectors");
    if (first > count || count - first < fds.size())
        return refusal(Status::invalid, "more descriptors than vectors from 'first' to 'count'");
    for (const UniqueFd& fd : fds)
        if (!is_eventfd(fd.get())) return refusal(Status::invalid, "a descriptor is not an eventfd");
    vectors_.resize(count);
    for (std::size_t i = 0; i < fds.size(); ++i) vectors_[first + i] = std::move(fds[i]);
    file_->state().vectors = count;
    if (phase_ == Phase::resuming) return {Status::ok, "", {{"vectors", count}}, {}};
    if (usable() != Status::ok) return unusable();
    attachment_->allow_interrupts(count);
    return {Status::ok, "", {{"vectors", count}}, {}};
}

Reply Holding::acknowledge_reset() {
    if (usable() != Status::ok) return unusable();
    const std::uint64_t before = attachment_->next_sequence(proto::RecordClass::posted);
    attachment_->acknowledge_reset();
    ledger_.settle(before, attachment_->next_sequence(proto::RecordClass::posted), 0);
    note_handle();
    if (channel_) channel_->tell(Status::ok);
    return {};
}

void Holding::read_space(OwnRequests::SpaceDone done) {
    if (usable() != Status::ok) return done(Status::device_lost, nullptr);
    own_.read_space(*attachment_, std::move(done));
}

// Function level reset, PCIe 6.0, 6.6.2: find the capability, set the bit, wait for an answer.
struct Holding::Flr {
    Answer answer;
    std::uint32_t control = 0;  ///< offset of the Device Control register
    lane::Time deadline{};
    bool written = false;
};

void Holding::reset(const Answer& answer) {
    if (usable() != Status::ok) return answer(unusable());
    if (share_)
        return answer(refusal(Status::denied, "'" + info_.name + "' is shared: no application resets it for all"));
    own_.read_space(*attachment_, [this, answer](Status status, const std::shared_ptr<ConfigSpace>& space) {
        if (status != Status::ok) return answer(refusal(status, "configuration read before the reset failed"));
        const auto at = [&](std::uint32_t offset) { return std::to_integer<std::uint32_t>((*space)[offset & 0xfffU]); };
        std::uint32_t cap = (at(0x06) & 0x10) != 0 ? at(0x34) & 0xfcU : 0;
        for (int i = 0; i < 48 && cap >= 0x40 && at(cap) != 0x10; ++i) cap = at(cap + 1) & 0xfcU;
        if (cap < 0x40 || at(cap) != 0x10 || (at(cap + 7) & 0x10) == 0)
            return answer(refusal(Status::unsupported, "'" + info_.name + "' can not do a function level reset"));
        auto flr = std::make_shared<Flr>();
        flr->answer = answer;
        flr->control = cap + 8;
        flr->deadline = host_.lane.now() + std::chrono::seconds(1);
        const std::uint32_t value = (at(cap + 8) | at(cap + 9) << 8) | 0x8000U;
        const Status s = own_.write(*attachment_, flr->control, 2, value, [this, flr](Status done, std::uint32_t) {
            if (done != Status::ok) return flr->answer(refusal(done, "the reset was not accepted"));
            flr_step(flr);
        });
        if (s != Status::ok) answer(refusal(s, "no room for the reset; try again"));
    });
}

void Holding::flr_step(const std::shared_ptr<Flr>& flr) {
    const auto look = [this, flr](Status status, std::uint32_t id) {
        if (status == Status::device_lost) return flr->answer(unusable());
        const bool answers = status == Status::ok && (id & 0xffff) != 0xffff && (id & 0xffff) != 0x0001;
        if (answers) return flr->answer({});
        if (host_.lane.now() > flr->deadline)
            return flr->answer(refusal(Status::timeout, "'" + info_.name + "' does not answer after its reset"));
        flr_step(flr);
    };
    if (usable() != Status::ok) return flr->answer(unusable());
    const Status s = own_.read(*attachment_, 0, 4, look);
    if (s != Status::ok) flr->answer(refusal(s, "the device does not answer after its reset"));
}

}  // namespace farlane::daemon

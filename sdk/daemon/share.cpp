// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of one of several clients of an accelerator. Hands on: those that touch nothing but
// what is the client's, and what comes back. Owns: the list of what is the client's.
#include "daemon/share.hpp"

#include <algorithm>

namespace farlane::daemon {

Share::Share(lane::Attachment& device, Sharing& sharing, std::uint32_t number, Client client)
    : device_(&device),
      sharing_(&sharing),
      number_(number),
      client_(std::move(client)),
      info_(device.info()),
      peer_(device.peer()),
      handle_(device.handle()) {}

void Share::remove_windows(std::uint64_t owner) noexcept {
    std::erase_if(windows_, [owner](const ShareWindow& w) { return w.owner == owner; });
}

void Share::set_quota(std::uint32_t posted, std::uint32_t requests) noexcept {
    posted_quota_ = posted;
    request_quota_ = requests;
}

lane::AttachmentState Share::state() const noexcept {
    if (device_ == nullptr || closed_) return lane::AttachmentState::lost;
    if (reset_) return lane::AttachmentState::reset;
    return device_->state();
}

Status Share::usable() const noexcept {
    if (device_ == nullptr || closed_) return Status::device_lost;
    return reset_ ? Status::device_reset : Status::ok;
}

// Byte for byte inside one window: nothing of a transaction may reach what is another's.
bool Share::allows(const proto::Tlp& tlp, bool write) noexcept {
    const auto holds = [&](const ShareWindow& w) {
        return w.bar == tlp.bar && (write ? w.writable : w.readable) && tlp.length_bytes <= w.bytes &&
               tlp.address >= w.first && tlp.address - w.first <= w.bytes - tlp.length_bytes;
    };
    if (last_hit_ < windows_.size() && holds(windows_[last_hit_])) return true;
    const auto at = std::ranges::find_if(windows_, holds);
    if (at == windows_.end()) return false;
    last_hit_ = static_cast<std::size_t>(at - windows_.begin());
    return true;
}

Status Share::violated() noexcept {
    ++violations_;
    return Status::denied;
}

Status Share::submit(const proto::Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie,
                     bool notify) noexcept {
    if (const Status s = usable(); s != Status::ok) return s;
    if (tlp.type != proto::TlpType::memory_write || !allows(tlp, true)) return violated();
    if (posted_out_ >= posted_quota_) return Status::would_block;
    const Status status = device_->submit(tlp, payload, cookie, notify);
    if (status != Status::ok) return status;
    if (notify) ++posted_out_;
    ++next_[FL_CLASS_POSTED];
    ++records_.submitted[FL_CLASS_POSTED];
    pushed_bytes_ += payload.size();
    return status;
}

// Configuration space tells who the device is; the rest of it, and everything else, is farlaned's.
Status Share::request(const proto::Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                      std::uint64_t cookie) noexcept {
    if (const Status s = usable(); s != Status::ok) return s;
    const bool reads = tlp.type == proto::TlpType::memory_read && allows(tlp, false);
    if (!reads && tlp.type != proto::TlpType::config_read) return violated();
    if (requests_out_ >= request_quota_) return Status::would_block;
    const Status status = device_->request(tlp, operand, into, cookie);
    if (status != Status::ok) return status;
    ++requests_out_;
    ++next_[FL_CLASS_NON_POSTED];
    ++records_.submitted[FL_CLASS_NON_POSTED];
    return status;
}

void Share::hurry() noexcept {
    if (device_ != nullptr) device_->hurry();
}

// Its announcement goes out behind those that wait, and before anything that is submitted later.
void Share::announced() noexcept {
    const std::uint64_t next = device_->next_sequence(proto::RecordClass::posted);
    marks_.push_back({next_[FL_CLASS_POSTED]++, next - 1 + device_->unsent_announcements()});
}

std::uint64_t Share::posted_released() const noexcept {
    const std::uint64_t released = device_ != nullptr ? device_->posted_released() : ~std::uint64_t{0};
    while (!marks_.empty() && marks_.front().device <= released) marks_.pop_front();
    return marks_.empty() ? next_[FL_CLASS_POSTED] - 1 : marks_.front().own - 1;
}

Status Share::map(std::uint64_t iova, std::span<std::byte> host, std::uint32_t direction, bool may_vanish,
                  std::uint32_t) {
    if (const Status s = usable(); s != Status::ok) return s;
    if (mapped_.size() >= kMaxMappings) return Status::limit;
    const Status status = device_->map(iova, host, direction, may_vanish, number_);
    if (status != Status::ok) return status;
    mapped_.insert({iova, host.size()});
    mapped_bytes_ += host.size();
    announced();
    return status;
}

Status Share::unmap(std::uint64_t iova, std::uint32_t) noexcept {
    if (device_ == nullptr) return Status::device_lost;
    const auto at = mapped_.find({iova, 0});
    if (at == mapped_.end()) return Status::not_found;
    mapped_bytes_ -= at->bytes;
    mapped_.erase(at);
    const Status status = device_->unmap(iova, number_);
    if (status == Status::ok) announced();
    return status;
}

void Share::unmap_all() noexcept {
    for (const Mapped& m : std::exchange(mapped_, {}))
        if (device_ != nullptr) (void)device_->unmap(m.iova, number_);
    mapped_bytes_ = 0;
}

// Posted records that were not released went with the device's state; requests the session answers.
void Share::device_reset() noexcept {
    reset_ = true;
    posted_out_ = 0;
    std::erase_if(windows_, [](const ShareWindow& w) { return w.owner != 0; });
    if (sink_ != nullptr) sink_->on_event(EventKind::device_reset, "");
}

void Share::device_gone() noexcept {
    device_ = nullptr;
    sharing_ = nullptr;
    posted_out_ = requests_out_ = 0;
    windows_.clear();
    mapped_.clear();
    mapped_bytes_ = 0;
}

void Share::on_completion(std::uint64_t cookie, Status status) noexcept {
    if (requests_out_ != 0) --requests_out_;
    if (sink_ != nullptr) sink_->on_completion(cookie, status);
}

void Share::on_released(std::uint64_t cookie) noexcept {
    if (posted_out_ != 0) --posted_out_;
    if (sink_ != nullptr) sink_->on_released(cookie);
}

void Share::on_interrupt(std::uint32_t vector) noexcept {
    if (vector >= vectors_) return void(++counters_.interrupts_refused);
    ++counters_.interrupts;
    if (sink_ != nullptr) sink_->on_interrupt(vector);
}

void Share::on_event(EventKind kind, const std::string& detail) noexcept {
    if (sink_ != nullptr) sink_->on_event(kind, detail);
}

}  // namespace farlane::daemon

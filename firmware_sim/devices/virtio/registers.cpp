// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to the BAR. Hands on: queues to start, notifications, resets. Owns: nothing; what the driver
// wrote is in State. Virtio 1.2, 4.1.4.3 to 4.1.4.6.
#include <algorithm>
#include <bit>
#include <cstring>

#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {
namespace {

struct Field {
    std::uint32_t offset, bytes;
};
constexpr Field kFields[] = {
    {common::kDeviceFeatureSelect, 4},
    {common::kDriverFeatureSelect, 4},
    {common::kDriverFeature, 4},
    {common::kConfigVector, 2},
    {common::kStatus, 1},
    {common::kQueueSelect, 2},
    {common::kQueueSize, 2},
    {common::kQueueVector, 2},
    {common::kDescriptors, 8},
    {common::kDriverArea, 8},
    {common::kDeviceArea, 8},
    {common::kQueueEnable, 2},
};

void put(std::span<std::byte> out, std::uint32_t at, std::uint32_t bytes, std::uint64_t v) noexcept {
    for (std::uint32_t i = 0; i < bytes; ++i) out[at + i] = static_cast<std::byte>(v >> (8 * i));
}
std::uint64_t get(std::span<const std::byte> in, std::uint32_t at, std::uint32_t bytes) noexcept {
    std::uint64_t v = 0;
    for (std::uint32_t i = bytes; i-- > 0;) v = v << 8 | std::to_integer<std::uint64_t>(in[at + i]);
    return v;
}

// Copies what [offset, +out.size()) covers of `from`, which stands at `at`.
void overlay(std::span<const std::byte> from, std::uint64_t at, std::uint64_t offset,
             std::span<std::byte> out) noexcept {
    const std::uint64_t begin = std::max(at, offset), end = std::min(at + from.size(), offset + out.size());
    if (begin < end) std::memcpy(out.data() + (begin - offset), from.data() + (begin - at), end - begin);
}

bool fits(std::uint64_t address, std::uint64_t bytes) noexcept {
    return address + (bytes - 1) >= address;
}

bool valid(const QueueState& q, std::uint32_t most) noexcept {
    return std::has_single_bit(q.size) && q.size <= most && q.descriptors % 16 == 0 && q.driver % 2 == 0 &&
           q.device % 4 == 0 && fits(q.descriptors, std::uint64_t{q.size} * kDescriptorBytes) &&
           fits(q.driver, 6 + 2 * std::uint64_t{q.size}) && fits(q.device, 6 + std::uint64_t{q.size} * kUsedEntryBytes);
}

}  // namespace

void Transport::common_image(std::span<std::byte, common::kBytes> out) const noexcept {
    const Session& s = state_.session;
    put(out, common::kDeviceFeatureSelect, 4, s.device_feature_select);
    put(out, common::kDeviceFeature, 4, s.device_feature_select < 2 ? features_ >> (32 * s.device_feature_select) : 0);
    put(out, common::kDriverFeatureSelect, 4, s.driver_feature_select);
    put(out, common::kDriverFeature, 4,
        s.driver_feature_select < 2 ? s.driver_features >> (32 * s.driver_feature_select) : 0);
    put(out, common::kConfigVector, 2, s.config_vector);
    put(out, common::kQueues, 2, profile_.queues);
    put(out, common::kStatus, 1, state_.status);
    put(out, common::kGeneration, 1, state_.generation);
    put(out, common::kQueueSelect, 2, s.queue_select);
    if (s.queue_select >= profile_.queues) return;  // a size of 0: there is no such queue
    const QueueState& q = s.queues[s.queue_select];
    put(out, common::kQueueSize, 2, q.size);
    put(out, common::kQueueVector, 2, q.vector);
    put(out, common::kQueueEnable, 2, q.enabled);
    put(out, common::kNotifyOffset, 2, s.queue_select);
    put(out, common::kDescriptors, 8, q.descriptors);
    put(out, common::kDriverArea, 8, q.driver);
    put(out, common::kDeviceArea, 8, q.device);
    put(out, common::kNotifyData, 2, s.queue_select);
}

Status Transport::register_read(unsigned, std::uint64_t offset, std::span<std::byte> out) noexcept {
    std::fill(out.begin(), out.end(), std::byte{0});
    if (offset < kIsrAt) {
        std::array<std::byte, common::kBytes> image{};
        common_image(image);
        overlay(image, kCommonAt, offset, out);
    } else if (offset == kIsrAt) {  // 4.1.4.5.1: reading clears it
        out[0] = static_cast<std::byte>(state_.session.isr);
        state_.session.isr = 0;
    } else if (offset >= kDeviceAt && offset < kNotifyAt) {
        std::array<std::byte, kDeviceBytes> image{};
        device_config(image);
        overlay(image, kDeviceAt, offset, out);
    }
    return Status::ok;
}

Status Transport::register_write(unsigned, std::uint64_t offset, std::span<const std::byte> in,
                                 std::uint8_t enables) noexcept {
    const std::uint64_t notify_end = kNotifyAt + std::uint64_t{profile_.queues} * kNotifyMultiplier;
    if (offset >= kNotifyAt && offset < notify_end) [[likely]] {
        // 4.1.5.2: the number of the queue; with VIRTIO_F_NOTIFICATION_DATA its available index above it
        const auto queue = static_cast<std::uint32_t>((offset - kNotifyAt) / kNotifyMultiplier);
        notify(queue, static_cast<std::uint32_t>(in.size() >= 4 ? get(in, 0, 4) : 0));
    } else if (offset < common::kBytes) {
        write_common(static_cast<std::uint32_t>(offset), in, enables);
    }
    return Status::ok;  // device configuration is read-only
}

void Transport::notify(std::uint32_t n, std::uint32_t value) noexcept {
    ++notifications_;
    if (!running()) return;
    Queue& q = queues_[n];
    q.read_wanted = true;
    if (!negotiated(feature::kNotificationData)) return;
    q.hinted = true;
    q.hint = static_cast<std::uint16_t>(value >> 16);
}

void Transport::write_common(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept {
    const bool every = enables == 0 || in.size() > 8;
    std::array<std::byte, common::kBytes> image{};
    std::array<bool, common::kBytes> touched{};
    common_image(image);
    for (std::size_t i = 0; i < in.size() && offset + i < image.size(); ++i) {
        if (!every && (enables >> i & 1) == 0) continue;
        image[offset + i] = in[i];
        touched[offset + i] = true;
    }
    Session& s = state_.session;
    for (const Field& f : kFields) {
        const auto first = touched.begin() + f.offset;
        if (std::none_of(first, first + f.bytes, [](bool t) { return t; })) continue;
        const std::uint64_t v = get(image, f.offset, f.bytes);
        const auto dword = static_cast<std::uint32_t>(v);
        switch (f.offset) {
            case common::kDeviceFeatureSelect: s.device_feature_select = dword; break;
            case common::kDriverFeatureSelect: s.driver_feature_select = dword; break;
            case common::kDriverFeature: {
                if (s.driver_feature_select > 1 || (state_.status & device_status::kFeaturesOk) != 0) break;
                const unsigned shift = 32 * s.driver_feature_select;
                s.driver_features = (s.driver_features & ~(std::uint64_t{0xffffffffu} << shift)) | v << shift;
                break;
            }
            case common::kConfigVector: s.config_vector = v <= profile_.queues ? dword : kNoVector; break;
            case common::kStatus: write_status(dword); break;
            case common::kQueueSelect: s.queue_select = dword; break;
            default:
                if (s.queue_select < profile_.queues) write_queue(s.queues[s.queue_select], f.offset, v);
        }
    }
}

void Transport::write_queue(QueueState& q, std::uint32_t field, std::uint64_t v) noexcept {
    const auto dword = static_cast<std::uint32_t>(v);
    if (field == common::kQueueVector) {
        q.vector = v <= profile_.queues ? dword : kNoVector;
        return;
    }
    if (q.enabled != 0) return;  // 4.1.4.3.2: not while it is enabled
    switch (field) {
        case common::kQueueSize: q.size = dword; break;
        case common::kDescriptors: q.descriptors = v; break;
        case common::kDriverArea: q.driver = v; break;
        case common::kDeviceArea: q.device = v; break;
        default:
            if (dword == 1) enable_queue(q);
    }
}

void Transport::enable_queue(QueueState& q) noexcept {
    const bool now = (state_.status & device_status::kFeaturesOk) != 0 && !running();
    if (!now) return;
    if (!valid(q, profile_.queue_size)) return broken(Fault::queue);
    q.executed = 0;
    publish(q.enabled, std::uint32_t{1});
}

// 2.2.2 and 6.1: refused, the driver reads FEATURES_OK back as 0; the counters say why.
bool Transport::accepts_features() noexcept {
    const std::uint64_t wanted = state_.session.driver_features, required = feature::kRequired & features_;
    if ((wanted & feature::kVersion1) == 0) ++refused_version_;
    if ((wanted & required & feature::kAccessPlatform) != (required & feature::kAccessPlatform)) ++refused_platform_;
    if ((wanted & ~features_) != 0) ++refused_unknown_;
    return (wanted & required) == required && (wanted & ~features_) == 0;
}

void Transport::write_status(std::uint32_t v) noexcept {
    using namespace device_status;
    if (v == 0) return reset_device();
    std::uint32_t now = state_.status | (v & kKnown & ~kNeedsReset);  // 2.1.1: bits are never cleared but by a reset
    const std::uint32_t added = now & ~state_.status;
    if ((added & kFeaturesOk) != 0 && !accepts_features()) now &= ~kFeaturesOk;
    if ((now & kFeaturesOk) == 0) now &= ~kDriverOk;  // 3.1.1: in this order
    const bool starts = (now & ~state_.status & kDriverOk) != 0;
    publish(state_.status, now);
    if (starts && running()) start_queues();
}

// 2.4. A kill in the middle leaves status 0, and on_restored() does the rest.
void Transport::reset_device() noexcept {
    publish(state_.status, std::uint32_t{0});
    halt();
    Session& s = state_.session;
    s = Session{};
    s.config_vector = kNoVector;
    for (QueueState& q : s.queues) {
        q.size = profile_.queue_size;
        q.vector = kNoVector;
    }
}

bool Transport::plausible() const noexcept {
    const Session& s = state_.session;
    const auto vector = [&](std::uint32_t v) { return v <= profile_.queues || v == kNoVector; };
    if ((state_.status & ~device_status::kKnown) != 0 || !vector(s.config_vector)) return false;
    const bool features_ok = (state_.status & device_status::kFeaturesOk) != 0;
    const std::uint64_t required = feature::kRequired & features_;
    const bool accepted = (s.driver_features & required) == required && (s.driver_features & ~features_) == 0;
    if (features_ok && !accepted) return false;
    if (!features_ok && (state_.status & device_status::kDriverOk) != 0) return false;
    if ((s.isr & ~(isr::kQueue | isr::kConfig)) != 0) return false;
    return std::all_of(s.queues.begin(), s.queues.end(), [&](const QueueState& q) {
        const auto n = static_cast<unsigned>(&q - s.queues.data());
        if (!vector(q.vector) || q.enabled > 1 || q.executed > 0xffff) return false;
        return q.enabled == 0 || (n < profile_.queues && valid(q, profile_.queue_size));
    });
}

bool Transport::on_restored(std::uint64_t) noexcept {
    if (!plausible()) return false;
    if (state_.status == 0) {
        reset_device();
        return true;
    }
    // Messages that were given may be lost, those that were not are repeated for free
    std::uint64_t vectors = 0;
    const auto again = [&](std::uint32_t v) {
        if (v != kNoVector) vectors |= std::uint64_t{1} << v;
    };
    const bool may_have_changed = profile_.config_changes || (state_.status & device_status::kNeedsReset) != 0;
    if ((state_.status & device_status::kDriverOk) != 0 && may_have_changed) again(state_.session.config_vector);
    if (running()) {
        for (const QueueState& q : state_.session.queues)
            if (q.enabled != 0) again(q.vector);
        start_queues();
        for (Queue& q : queues_) {
            q.recovering = q.running;
            q.running = false;
        }
    }
    interrupts().raise_again(vectors);
    return true;
}

}  // namespace farlane::firmware::virtio

// SPDX-License-Identifier: Apache-2.0
// Receives: Get and Set Features. Hands on: the settings. Owns: nothing; they are in State.
// NVM Express 1.4, 5.13 and 5.21.
#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {
namespace {

enum Select : std::uint8_t { kCurrent = 0, kDefault = 1, kSaved = 2, kCapabilities = 3 };

bool supported(std::uint8_t id) noexcept {
    switch (id) {
        case kArbitration:
        case kPower:
        case kTemperature:
        case kErrorRecovery:
        case kWriteCache:
        case kQueueCount:
        case kCoalescing:
        case kVectorConfig:
        case kAtomicity:
        case kAsyncConfig:
        case kTimestamp: return true;
        default: return false;
    }
}

constexpr std::uint32_t kTemperatureSensors = 0xf0000, kUnderTemperature = 0x100000;

std::uint32_t default_value(std::uint8_t id, unsigned io_queues, bool volatile_cache) noexcept {
    switch (id) {
        case kArbitration: return 0x7;  // burst without limit
        case kTemperature: return 343;  // WCTEMP
        case kWriteCache: return volatile_cache ? 1 : 0;
        case kQueueCount: return (io_queues - 1) << 16 | (io_queues - 1);
        default: return 0;
    }
}

}  // namespace

void Controller::default_features() noexcept {
    for (std::uint8_t id = 0; id < kFeatureCount; ++id)
        state_.session.features[id] = default_value(id, identity_.limits.io_queues, media_->volatile_cache());
}

std::uint16_t Controller::get_features(std::uint32_t slot, const Sqe& entry) noexcept {
    const auto id = static_cast<std::uint8_t>(entry.dword(10));
    const std::uint32_t select = entry.dword(10) >> 8 & 7, d11 = entry.dword(11);
    if (!supported(id) || select > kCapabilities) return kInvalidField;
    if (id == kErrorRecovery && entry.nsid() != 1 && entry.nsid() != 0) return kInvalidNamespace;
    Command& c = command(slot);
    if (select == kCapabilities) {  // changeable, not saveable, not of a namespace but error recovery
        const bool fixed = id == kWriteCache && !media_->volatile_cache();
        c.dw0 = (fixed ? 0 : 1u << 2) | (id == kErrorRecovery ? 1u << 1 : 0);
        return kOk;
    }
    const bool current = select == kCurrent;
    c.dw0 =
        current ? state_.session.features[id] : default_value(id, identity_.limits.io_queues, media_->volatile_cache());
    if (id == kVectorConfig) {
        const std::uint32_t vector = d11 & 0xffff;
        if (vector > identity_.limits.io_queues) return kInvalidField;
        c.dw0 = vector | (current ? state_.session.vector_config[vector] : 0);
    }
    if (id == kTemperature) {  // the composite temperature is the only sensor; under-temperature threshold 0
        if ((d11 & kTemperatureSensors) != 0) return kInvalidField;
        if ((d11 & kUnderTemperature) != 0) c.dw0 = 0;
    }
    if (id == kTimestamp) return transfer(slot, Move::to_host, 8);
    return kOk;
}

std::uint16_t Controller::set_features(std::uint32_t slot, const Sqe& entry) noexcept {
    const auto id = static_cast<std::uint8_t>(entry.dword(10));
    if (!supported(id)) return kInvalidField;
    if ((entry.dword(10) >> 31) != 0) return kNotSaveable;
    if (id == kErrorRecovery && entry.nsid() != 1 && entry.nsid() != kAllNamespaces) return kInvalidNamespace;
    if (id == kTimestamp) return transfer_whole(slot, 8);
    return set_feature(slot, static_cast<Feature>(id), entry.dword(11));
}

std::uint16_t Controller::set_feature(std::uint32_t slot, Feature f, std::uint32_t v) noexcept {
    Session& s = state_.session;
    switch (f) {
        case kPower:
            if ((v & 0x1f) != 0) return kInvalidField;  // NPSS 0
            break;
        case kTemperature:
            if ((v & kTemperatureSensors) != 0) return kInvalidField;
            if ((v & kUnderTemperature) != 0) return (v & 0xffff) == 0 ? kOk : kInvalidField;
            v &= 0xffff;
            break;
        case kWriteCache:
            if (!media_->volatile_cache()) return (v & 1) == 0 ? kOk : kNotChangeable;
            v &= 1;
            break;
        case kQueueCount: {
            if ((v & 0xffff) == 0xffff || v >> 16 == 0xffff) return kInvalidField;
            for (unsigned i = 1; i < kMaxQueues; ++i)  // 5.21.1.7: only before the first queue is made
                if (s.sq[i].serial != 0 || s.cq[i].serial != 0) return kCommandSequence;
            command(slot).dw0 = s.features[kQueueCount];
            return kOk;
        }
        case kVectorConfig: {
            const std::uint32_t vector = v & 0xffff;
            if (vector > identity_.limits.io_queues) return kInvalidField;
            publish(s.vector_config[vector], v & 0x10000);
            return kOk;
        }
        case kAtomicity: v &= 1; break;
        default: break;  // arbitration, coalescing: hints
    }
    publish(s.features[f], v);
    if (f == kTemperature || f == kAsyncConfig) check_temperature();
    return kOk;
}

// 5.21.1.14: milliseconds, and in bits 51:49 whether the host has set it.
std::uint64_t Controller::timestamp() const noexcept {
    const Session& s = state_.session;
    std::uint64_t ms = s.timestamp_ms;
    if (port() != nullptr) {
        const std::int64_t passed = port()->now_ns() - s.timestamp_at_ns;
        if (passed > 0) ms += static_cast<std::uint64_t>(passed) / 1'000'000;
    }
    return (ms & 0xffff'ffff'ffff) | (s.timestamp_set != 0 ? std::uint64_t{1} << 49 : 0);
}

}  // namespace farlane::firmware::nvme

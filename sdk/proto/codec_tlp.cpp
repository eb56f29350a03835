// SPDX-License-Identifier: Apache-2.0
// Receives: one transaction. Hands on: whether its fields fit its type, and its record.
// Owns: nothing. docs/wire.md, "Transaction rules".
#include "proto/codec.hpp"

namespace farlane::proto {

namespace {

// One row per type, as in docs/wire.md.
struct TlpRule {
    std::uint16_t min_length_bytes = 1;
    std::uint16_t max_length_bytes = 0;  // below min: no such type
    std::uint8_t attr = 0;               // attributes that may be set
    bool payload = false;                // length_bytes travel with the record
    bool byte_enables = false;
    bool bar = false;
    bool pasid = false;
    bool address = false;
};

constexpr std::uint8_t kOrderAttr = FL_ATTR_RO | FL_ATTR_NS | FL_ATTR_IDO;
constexpr std::uint8_t kAllAttr = kOrderAttr | FL_ATTR_EP;
constexpr std::uint16_t kMaxBytes = FL_TLP_MAX_PAYLOAD_BYTES;

constexpr auto kRules = [] {
    std::array<TlpRule, FL_TLP_MSG + 1> rules{};
    //                     length        attr         data   be     bar    pasid  address
    rules[FL_TLP_MRD] = {1, kMaxBytes, kOrderAttr, false, true, true, true, true};
    rules[FL_TLP_MWR] = {1, kMaxBytes, kAllAttr, true, true, true, true, true};
    rules[FL_TLP_CFGRD] = {1, 4, 0, false, true, false, false, true};
    rules[FL_TLP_CFGWR] = {1, 4, FL_ATTR_EP, true, true, false, false, true};
    rules[FL_TLP_CPL] = {0, 0, kOrderAttr, false, false, false, false, false};
    rules[FL_TLP_CPLD] = {1, kMaxBytes, kAllAttr, true, false, false, false, false};
    rules[FL_TLP_MSI] = {4, 4, FL_ATTR_IDO, true, false, false, false, true};
    rules[FL_TLP_FETCHADD] = {4, 8, kAllAttr, true, false, true, true, true};
    rules[FL_TLP_SWAP] = {4, 8, kAllAttr, true, false, true, true, true};
    rules[FL_TLP_CAS] = {8, 16, kAllAttr, true, false, true, true, true};
    rules[FL_TLP_MSG] = {8, 24, FL_ATTR_IDO, true, false, false, true, false};
    return rules;
}();

bool valid_config(const Tlp& t) noexcept {  // within one dword of configuration space
    return t.address + t.length_bytes <= kConfigBytes && t.address < kConfigBytes &&
           t.address % 4 + t.length_bytes <= 4;
}

// PCIe 6.0 2.2.7: the address is a multiple of the operand size.
bool valid_atomic(const Tlp& t) noexcept {
    const unsigned operand = t.type == TlpType::compare_swap ? t.length_bytes / 2u : t.length_bytes;
    const bool whole = t.type != TlpType::compare_swap || t.length_bytes % 2 == 0;
    return whole && (operand == 4 || operand == 8) && t.address % operand == 0;
}

bool valid_completion_code(std::uint8_t code) noexcept {
    return code == FL_STATUS_SC || code == FL_STATUS_UR || code == FL_STATUS_CRS || code == FL_STATUS_CA;
}

bool valid_message(const Tlp& t) noexcept {
    switch (t.code) {
        case FL_MSG_MAP:
        case FL_MSG_UNMAP: return t.length_bytes == sizeof(fl_msg_map);
        case FL_MSG_ERROR: return t.length_bytes == sizeof(fl_msg_error);
        default: return false;
    }
}

// What the table does not say.
bool valid_special(const Tlp& t) noexcept {
    switch (t.type) {
        case TlpType::config_read:
        case TlpType::config_write: return t.code == 0 && valid_config(t);
        case TlpType::fetch_add:
        case TlpType::swap:
        case TlpType::compare_swap: return t.code == 0 && valid_atomic(t);
        case TlpType::completion: return valid_completion_code(t.code);
        case TlpType::message: return valid_message(t);
        default: return t.code == 0;  // a completion with data is successful
    }
}

const TlpRule* rule_of(TlpType type) noexcept {
    const auto index = static_cast<std::size_t>(type);
    if (index >= kRules.size() || kRules[index].max_length_bytes < kRules[index].min_length_bytes) return nullptr;
    return &kRules[index];
}

}  // namespace

bool carries_payload(TlpType type) noexcept {
    const TlpRule* rule = rule_of(type);
    return rule != nullptr && rule->payload;
}

Drop check_tlp(const Tlp& t) noexcept {
    const TlpRule* rule = rule_of(t.type);
    if (rule == nullptr) return Drop::record_type;
    if (t.length_bytes < rule->min_length_bytes || t.length_bytes > rule->max_length_bytes) return Drop::record_field;
    if ((t.attr & ~rule->attr) != 0) return Drop::record_field;
    if (t.byte_enables != 0 && (!rule->byte_enables || t.length_bytes > 8 || (t.byte_enables >> t.length_bytes) != 0))
        return Drop::record_field;
    if (t.bar != FL_BAR_NONE && (!rule->bar || t.bar > FL_BAR_ROM)) return Drop::record_field;
    if (t.pasid > (rule->pasid ? FL_PASID_MAX : 0)) return Drop::record_field;
    if (!rule->address && t.address != 0) return Drop::record_field;
    if (t.length_bytes != 0 && t.address + (t.length_bytes - 1) < t.address) return Drop::record_field;
    return valid_special(t) ? kNoDrop : Drop::record_field;
}

Drop check_message(const Tlp& t, std::span<const std::byte> payload) noexcept {
    if (t.type != TlpType::message) return kNoDrop;
    if (payload.size() != t.length_bytes) return Drop::record_field;
    if (t.code == FL_MSG_ERROR) {
        fl_msg_error error;
        if (payload.size() != sizeof(error)) return Drop::record_field;
        std::memcpy(&error, payload.data(), sizeof(error));
        return error.severity.get() <= 2 && error.source.get() <= 31 ? kNoDrop : Drop::record_field;
    }
    fl_msg_map map;
    if (payload.size() != sizeof(map)) return Drop::record_field;
    std::memcpy(&map, payload.data(), sizeof(map));
    const std::uint32_t direction = map.direction.get();
    const std::uint64_t length = map.length_bytes.get();
    const bool fits = length != 0 && map.iova.get() + (length - 1) >= map.iova.get();
    const bool direction_ok =
        direction != 0 && (direction & ~std::uint32_t{FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES}) == 0;
    return fits && direction_ok && map.reserved.get() == 0 ? kNoDrop : Drop::record_field;
}

void decode_tlp(const fl_tlp& in, Tlp& out, FunctionHandle& handle) noexcept {
    out.type = static_cast<TlpType>(in.type);
    out.attr = static_cast<std::uint8_t>(in.attr & ~FL_ATTR_FRAGMENT);
    out.byte_enables = in.byte_enables;
    out.bar = in.bar;
    out.code = in.code;
    out.length_bytes = in.length_bytes.get();
    out.tag = in.tag.get();
    out.pasid = in.pasid.get();
    out.address = in.address.get();
    out.sequence = in.sequence.get();
    out.follows_posted = in.follows_posted.get();
    handle = {in.function_index.get(), in.function_generation.get()};
}

void encode_tlp(const Tlp& in, FunctionHandle handle, fl_tlp& out) noexcept {
    out.family = FL_FAMILY_TLP;
    out.type = static_cast<std::uint8_t>(in.type);
    const std::size_t payload = carries_payload(in.type) ? in.length_bytes : 0;
    out.record_bytes.set(static_cast<std::uint16_t>(tlp_record_bytes(payload)));
    out.function_index.set(handle.index);
    out.function_generation.set(handle.generation);
    out.tag.set(in.tag);
    out.pasid.set(in.pasid);
    out.attr = in.attr;
    out.byte_enables = in.byte_enables;
    out.bar = in.bar;
    out.code = in.code;
    out.length_bytes.set(in.length_bytes);
    out.offset_bytes.set(0);
    out.address.set(in.address);
    out.sequence.set(in.sequence);
    out.follows_posted.set(in.follows_posted);
}

}  // namespace farlane::proto

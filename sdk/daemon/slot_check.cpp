// SPDX-License-Identifier: Apache-2.0
// Receives: a copy of a submit slot. Hands on: the transaction it asks for, or why not.
// Owns: nothing. Format: farlane/uapi/tlp.h and ring.h.
#include "daemon/slot_check.hpp"

namespace farlane::daemon {
namespace {

bool is_config(std::uint8_t type) noexcept {
    return type == FL_TLP_CFGRD || type == FL_TLP_CFGWR;
}
bool is_atomic(std::uint8_t type) noexcept {
    return type == FL_TLP_FETCHADD || type == FL_TLP_SWAP || type == FL_TLP_CAS;
}
bool is_memory(std::uint8_t type) noexcept {
    return type == FL_TLP_MRD || type == FL_TLP_MWR;
}

SlotError check_head(const fl_tlp& t) noexcept {
    if (t.family != FL_FAMILY_TLP) return SlotError::family;
    if (!is_memory(t.type) && !is_config(t.type) && !is_atomic(t.type)) return SlotError::type;
    // sequence is not looked at: it is the daemon's own note, see FL_SLOT_DONE.
    if (t.record_bytes.get() != 0 || t.function_index.get() != 0 || t.function_generation.get() != 0 ||
        t.tag.get() != 0 || t.code != 0 || t.offset_bytes.get() != 0 || t.follows_posted.get() != 0)
        return SlotError::reserved;
    unsigned allowed = t.type == FL_TLP_MWR ? FL_ATTR_RO | FL_ATTR_NS | FL_ATTR_IDO : FL_ATTR_NS | FL_ATTR_IDO;
    if (is_config(t.type)) allowed = 0;  // PCIe 6.0 2.2.7: reserved in configuration requests
    if ((t.attr & ~allowed) != 0) return SlotError::attributes;
    if (t.pasid.get() != 0) return SlotError::pasid;
    return SlotError::none;
}

SlotError check_where(const fl_tlp& t, std::uint32_t access_bytes) noexcept {
    const std::uint64_t address = t.address.get();
    if (is_config(t.type)) {
        if (t.bar != FL_BAR_NONE) return SlotError::bar;
        if (address >= proto::kConfigBytes || (address & 3) + access_bytes > 4) return SlotError::address;
        return SlotError::none;
    }
    if (t.bar > FL_BAR_ROM) return SlotError::bar;
    if (address + access_bytes < address) return SlotError::address;
    if (is_atomic(t.type) && address % access_bytes != 0) return SlotError::address;
    return SlotError::none;
}

SlotError check_length(const fl_tlp& t, std::uint32_t& access_bytes) noexcept {
    const std::uint32_t length = t.length_bytes.get();
    access_bytes = length;
    bool fits = length >= 1 && length <= FL_TLP_MAX_PAYLOAD_BYTES;
    if (is_config(t.type)) fits = length >= 1 && length <= 4;
    if (t.type == FL_TLP_FETCHADD || t.type == FL_TLP_SWAP) fits = length == 4 || length == 8;
    if (t.type == FL_TLP_CAS) {
        fits = length == 8 || length == 16;
        access_bytes = length / 2;
    }
    if (!fits) return SlotError::length;
    if (t.byte_enables != 0) {
        if (length > 8 || is_atomic(t.type)) return SlotError::byte_enables;
        if ((t.byte_enables >> length) != 0) return SlotError::byte_enables;
    }
    return SlotError::none;
}

SlotError check_payload(const fl_slot& s, const BufferTable& buffers, CheckedSlot& out) noexcept {
    const std::uint32_t length = s.tlp.length_bytes.get();
    if (s.kind == FL_SLOT_INLINE) return length <= FL_TLP_INLINE_BYTES ? SlotError::none : SlotError::kind;
    if (s.kind != FL_SLOT_REFERENCE || !is_memory(s.tlp.type)) return SlotError::kind;
    if (s.u.ref.reserved != 0) return SlotError::reserved;
    const std::span<std::byte> memory = buffers.buffer(s.u.ref.buffer);
    const std::uint64_t offset = s.u.ref.offset_bytes;
    if (offset > memory.size() || memory.size() - offset < length) return SlotError::buffer;
    out.reference = memory.subspan(offset, length);
    return SlotError::none;
}

}  // namespace

std::string_view slot_error_text(SlotError e) noexcept {
    switch (e) {
#define FL_SLOT_ERROR_TEXT(name, text) \
    case SlotError::name: return text;
        FL_SLOT_ERRORS(FL_SLOT_ERROR_TEXT)
#undef FL_SLOT_ERROR_TEXT
    }
    return "unknown";
}

SlotError check_slot(const fl_slot& slot, const BufferTable& buffers, CheckedSlot& out) noexcept {
    const fl_tlp& t = slot.tlp;
    std::uint32_t access_bytes = 0;
    if (const SlotError e = check_head(t); e != SlotError::none) return e;
    if (const SlotError e = check_length(t, access_bytes); e != SlotError::none) return e;
    if (const SlotError e = check_where(t, access_bytes); e != SlotError::none) return e;
    if (const SlotError e = check_payload(slot, buffers, out); e != SlotError::none) return e;
    out.record_class = static_cast<proto::RecordClass>(fl_tlp_class(t.type));
    out.cookie = slot.cookie;
    out.result_bytes = t.type == FL_TLP_MWR || t.type == FL_TLP_CFGWR ? 0 : access_bytes;
    out.tlp = proto::Tlp{};
    out.tlp.type = static_cast<proto::TlpType>(t.type);
    out.tlp.attr = t.attr;
    out.tlp.byte_enables = t.byte_enables;
    out.tlp.bar = t.bar;
    out.tlp.length_bytes = t.length_bytes.get();
    out.tlp.address = t.address.get();
    return SlotError::none;
}

}  // namespace farlane::daemon

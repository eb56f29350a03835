// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as submit slots of a channel. Hands on: nothing; what is accepted must be
// a transaction that may be sent, with its memory inside the registered buffers. Owns: a buffer.
#include <array>
#include <cstring>

#include "daemon/slot_check.hpp"
#include "fuzz/fuzz.hpp"
#include "proto/codec.hpp"

using namespace farlane;
using fuzz::require;

namespace {

std::array<std::byte, 65536> g_staging;
std::array<std::byte, 5000> g_registered;

class Buffers final : public daemon::BufferTable {
public:
    [[nodiscard]] std::span<std::byte> buffer(std::uint32_t number) const noexcept override {
        if (number == FL_BUFFER_STAGING) return g_staging;
        return number == 7 ? std::span<std::byte>(g_registered) : std::span<std::byte>();
    }
};

bool inside(std::span<std::byte> part, std::span<std::byte> whole) {
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void check(const fl_slot& slot) {
    daemon::CheckedSlot out;
    const daemon::SlotError error = daemon::check_slot(slot, Buffers(), out);
    require(!daemon::slot_error_text(error).empty(), "an error has a text");
    if (error != daemon::SlotError::none) return;
    require(proto::check_tlp(out.tlp) == proto::kNoDrop, "what is accepted may be sent");
    require(out.record_class != proto::RecordClass::completion, "an application does not complete");
    require(out.tlp.sequence == 0 && out.tlp.follows_posted == 0, "sequences are given by the daemon");
    require(out.reference.empty() || inside(out.reference, g_staging) || inside(out.reference, g_registered),
            "a reference stays in its buffer");
    const std::size_t needed = proto::carries_payload(out.tlp.type) ? out.tlp.length_bytes : out.result_bytes;
    if (slot.kind == FL_SLOT_REFERENCE)
        require(out.reference.size() >= needed, "a reference is long enough");
    else
        require(needed <= FL_TLP_INLINE_BYTES, "an inline payload fits its slot");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    for (std::size_t at = 0; at < size; at += sizeof(fl_slot)) {
        fl_slot slot{};
        std::memcpy(&slot, data + at, size - at < sizeof(slot) ? size - at : sizeof(slot));
        check(slot);
    }
    return 0;
}

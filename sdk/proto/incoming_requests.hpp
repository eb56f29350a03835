// SPDX-License-Identifier: Apache-2.0
// Receives: requests of the peer that came too early. Hands on: them in order of sequence.
// Owns: a window as large as the results a function can hold. docs/wire.md, "Requests".
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include "proto/codec.hpp"
#include "proto/memory.hpp"

namespace farlane::proto {

class RequestsIn {
public:
    struct Slot {
        std::uint64_t sequence = 0;  ///< 0 = not here
        Tlp tlp;
        std::uint16_t operand_bytes = 0;
        std::array<std::byte, FL_TLP_INLINE_BYTES> operand;
    };

    [[nodiscard]] bool idle() const noexcept { return pending_ == 0; }
    /// Keeps a request; `sequence` is within kRequestWindow of the last executed one. False: it
    /// was here.
    [[nodiscard]] bool keep(const TlpRecord& r) {
        if (slots_ == nullptr) slots_ = std::make_unique<std::array<Slot, kRequestWindow>>();
        Slot& s = at(r.tlp.sequence);
        if (s.sequence == r.tlp.sequence) return false;
        s.sequence = r.tlp.sequence;
        s.tlp = r.tlp;
        s.operand_bytes = static_cast<std::uint16_t>(std::min(r.payload.size(), s.operand.size()));
        if (s.operand_bytes != 0) std::memcpy(s.operand.data(), r.payload.data(), s.operand_bytes);
        ++pending_;
        return true;
    }
    [[nodiscard]] const Slot* find(std::uint64_t sequence) noexcept {
        if (pending_ == 0) return nullptr;
        const Slot& s = at(sequence);
        return s.sequence == sequence ? &s : nullptr;
    }
    void remove(std::uint64_t sequence) noexcept {
        at(sequence).sequence = 0;
        --pending_;
    }
    void clear() noexcept {
        if (slots_ != nullptr)
            for (Slot& s : *slots_) s.sequence = 0;
        pending_ = 0;
    }

private:
    [[nodiscard]] Slot& at(std::uint64_t sequence) noexcept { return (*slots_)[sequence % kRequestWindow]; }

    std::unique_ptr<std::array<Slot, kRequestWindow>> slots_;  // made when something comes early
    std::uint32_t pending_ = 0;
};

}  // namespace farlane::proto

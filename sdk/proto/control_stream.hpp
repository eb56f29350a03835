// SPDX-License-Identifier: Apache-2.0
// Receives: control records to send, and control records as they arrive. Hands on: both,
// reliable and in order. Owns: the records that are not acknowledged, and those that arrived
// too early. Cold: may allocate. docs/wire.md, "Control stream".
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "proto/codec.hpp"

namespace farlane::proto {

class ControlSender {
public:
    /// Records in flight at most; the receiver keeps as many.
    static constexpr std::uint32_t kWindow = 32;

    /// `body` is a control struct; its head is filled in here.
    template <class T>
    void push(std::uint8_t type, T body) {
        fl_control& head = head_of(body);
        head.head.family = FL_FAMILY_CONTROL;
        head.head.type = type;
        head.head.record_bytes.set(sizeof(T));
        head.sequence.set(first_ + static_cast<std::uint32_t>(records_.size()));
        const auto* bytes = reinterpret_cast<const std::byte*>(&body);
        records_.push_back({std::vector<std::byte>(bytes, bytes + sizeof(T)), Fate::waiting});
    }
    [[nodiscard]] bool has_work() const noexcept;
    /// Next record to put into a frame, empty = none. Calling sent() takes it out.
    [[nodiscard]] std::span<const std::byte> next(std::uint32_t& sequence) const noexcept;
    void sent(std::uint32_t sequence) noexcept;
    void acked(std::uint32_t sequence) noexcept;
    void lost(std::uint32_t sequence) noexcept;

private:
    enum class Fate : std::uint8_t { waiting, in_flight, done };
    struct Entry {
        std::vector<std::byte> bytes;
        Fate fate;
    };
    template <class T>
    static fl_control& head_of(T& body) noexcept {
        if constexpr (requires { body.head.head; })
            return body.head;
        else
            return body;
    }
    [[nodiscard]] Entry* find(std::uint32_t sequence) noexcept;

    std::deque<Entry> records_;
    std::uint32_t first_ = 1;  // sequence of records_.front()
};

class ControlReceiver {
public:
    enum class Verdict : std::uint8_t {
        deliver,    ///< it is the next one
        kept,       ///< too early: kept
        duplicate,  ///< seen before
        beyond,     ///< outside the window
    };
    [[nodiscard]] Verdict take(const ControlRecord& record);
    /// The next one is delivered; a record kept for the place behind it is handed out, or empty.
    [[nodiscard]] std::span<const std::byte> advance() noexcept;

private:
    std::uint32_t next_ = 1;
    std::array<std::vector<std::byte>, ControlSender::kWindow> kept_;
};

}  // namespace farlane::proto

// SPDX-License-Identifier: Apache-2.0
// Receives: words that a driver counts up: 1, 2, 3, ... Hands on: how many came, and which one was lost, repeated or
// out of order. Owns: that account, which outlives farlaned: whoever is killed, nothing is forgiven. docs/devices.md,
// "tally".
#include <array>
#include <cstring>
#include <type_traits>

#include "core/function.hpp"
#include "core/options.hpp"
#include "core/persist.hpp"
#include "devices/devices.hpp"

namespace farlane::firmware {
namespace {

constexpr std::uint16_t kDeviceId = 0x7a11;
constexpr std::uint32_t kBarBytes = 0x10000, kMsixTable = 0x1000, kMsixPba = 0x1800;
constexpr std::uint32_t kMagic = 0x4c544c46;  // "FLTL"
constexpr std::uint64_t kWindow = 0x8000;     // to the end of the BAR: wherever a word is written in it, it counts
constexpr std::size_t kWordBytes = 8, kHalfBytes = 4;

/// Registers, read-only.
struct Registers {
    fl_le32 magic, version;
    fl_le64 taken;                                    ///< words that came in order
    fl_le64 errors;                                   ///< writes that did not go on where the one before ended
    fl_le64 repeats;                                  ///< writes that came once more as the first one after a kill
    fl_le64 lives;                                    ///< how often a kill was survived
    fl_le64 ticket;                                   ///< reading it gives 1, 2, 3, ..., each once
    fl_le64 wrong_offset, wrong_expected, wrong_got;  ///< of the first error
};
static_assert(sizeof(Registers) == 72);
constexpr std::uint64_t kTicket = offsetof(Registers, ticket);

struct Account {
    std::uint64_t taken, errors, repeats;
    std::uint64_t last_bytes;  // of the last write in order
    std::uint64_t wrong_offset, wrong_expected, wrong_got;
};

/// What outlives the daemon. Of the two accounts one counts, so that a write is accounted for by one store.
struct State {
    static constexpr std::uint64_t kMagicState = 0x3159'4c4c'4154'4c46;  // "FLTALLY1"
    std::uint64_t magic;
    FunctionState function;
    std::array<Account, 2> accounts;
    std::uint32_t current, reserved;
    std::uint64_t lives, tickets;
};
static_assert(std::is_trivially_copyable_v<State>);

FunctionIdentity identity() {
    FunctionIdentity id;
    id.model = "Farlane tally";
    id.device_id = id.subsystem_id = kDeviceId;
    id.class_code = 0xff0000;
    id.bars[0] = {kBarBytes, 0};
    id.msix = {1, 0, kMsixTable, kMsixPba};
    return id;
}

/// A write into the window: words of 8 bytes, or the low half of one.
struct Words {
    std::span<const std::byte> bytes;

    [[nodiscard]] bool half() const noexcept { return bytes.size() == kHalfBytes; }
    [[nodiscard]] bool well_formed() const noexcept { return half() || bytes.size() % kWordBytes == 0; }
    [[nodiscard]] std::uint64_t count() const noexcept { return half() ? 1 : bytes.size() / kWordBytes; }
    [[nodiscard]] std::uint64_t at(std::uint64_t i) const noexcept {
        fl_le64 word(0);  // a half leaves the rest
        std::memcpy(&word, bytes.data() + i * kWordBytes, half() ? kHalfBytes : kWordBytes);
        return word.get();
    }
    /// The index of the first word that is not `first` + its index; count() when all are.
    [[nodiscard]] std::uint64_t wrong(std::uint64_t first) const noexcept {
        std::uint64_t i = 0;
        while (i < count() && at(i) == wanted(first + i)) ++i;
        return i;
    }
    [[nodiscard]] std::uint64_t wanted(std::uint64_t word) const noexcept {
        return half() ? static_cast<std::uint32_t>(word) : word;
    }
};

class Tally final : public Function {
public:
    explicit Tally(State& state) : Function(identity(), state.function, 1), state_(state) {}

    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override {
        Function::counters(each);
        each("words_taken", account().taken);
        each("words_wrong", account().errors);
        each("words_repeated_by_a_kill", account().repeats);
        each("tickets_given", state_.tickets);
    }

protected:
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override {
        if (bar != 0) return Status::unsupported_request;
        std::memset(out.data(), 0, out.size());
        if (offset >= sizeof(Registers)) return Status::ok;
        if (offset == kTicket && out.size() == kWordBytes) publish(state_.tickets, state_.tickets + 1);
        const Registers now = registers();
        std::memcpy(out.data(), reinterpret_cast<const std::byte*>(&now) + offset,
                    std::min<std::size_t>(out.size(), sizeof now - offset));
        return Status::ok;
    }

    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t enables) noexcept override {
        if (bar != 0) return Status::unsupported_request;
        if (offset < kWindow) return Status::ok;  // registers are read-only
        const unsigned all = in.size() < 8 ? (1u << in.size()) - 1 : 0xff;
        const bool whole = enables == 0 || in.size() > 8 || (enables & all) == all;
        account_for(offset, {in}, whole);
        first_of_life_ = false;
        return Status::ok;
    }

    void on_reset(ResetKind) noexcept override {
        state_.accounts = {};
        state_.current = 0;
        state_.lives = state_.tickets = 0;
        first_of_life_ = false;
    }

    [[nodiscard]] bool keeps_state() const noexcept override { return true; }
    [[nodiscard]] bool on_restored(std::uint64_t) noexcept override {
        if (state_.current > 1) return false;
        publish(state_.lives, state_.lives + 1);
        first_of_life_ = true;
        return true;
    }

    [[nodiscard]] bool has_work() const noexcept override { return false; }
    bool work() noexcept override { return false; }
    void dma_done(std::uint64_t, Status) noexcept override {}

private:
    [[nodiscard]] const Account& account() const noexcept { return state_.accounts[state_.current & 1]; }

    void store(const Account& next) noexcept {
        const std::uint32_t other = 1 - (state_.current & 1);
        state_.accounts[other] = next;
        publish(state_.current, other);
    }

    // docs/wire.md, "Exactly once": the write that a kill cut short is executed once more, in its place and before
    // anything later. So that alone is no error: the last one again, first of all in this life.
    void account_for(std::uint64_t offset, const Words& words, bool whole) noexcept {
        Account next = account();
        const bool good = whole && words.well_formed();
        const bool again = first_of_life_ && good && words.bytes.size() == next.last_bytes &&
                           words.wrong(next.taken - words.count() + 1) == words.count();
        if (again) {
            ++next.repeats;
            return store(next);
        }
        const std::uint64_t wrong = good ? words.wrong(next.taken + 1) : 0;
        if (good && wrong == words.count()) {
            next.taken += words.count();
            next.last_bytes = words.bytes.size();
            return store(next);
        }
        if (next.errors++ == 0) {
            next.wrong_offset = offset + wrong * kWordBytes;
            next.wrong_expected = next.taken + 1 + wrong;
            next.wrong_got = good ? words.at(wrong) : 0;
        }
        store(next);
    }

    [[nodiscard]] Registers registers() const noexcept {
        const Account& a = account();
        Registers r{};
        r.magic.set(kMagic);
        r.version.set(1);
        r.taken.set(a.taken);
        r.errors.set(a.errors);
        r.repeats.set(a.repeats);
        r.lives.set(state_.lives);
        r.ticket.set(state_.tickets);
        r.wrong_offset.set(a.wrong_offset);
        r.wrong_expected.set(a.wrong_expected);
        r.wrong_got.set(a.wrong_got);
        return r;
    }

    State& state_;
    bool first_of_life_ = false;
};

}  // namespace

Result<bool> check_tally(const backend::DeviceConfig& config) {
    return Options(config).check();
}

Result<std::unique_ptr<backend::Device>> make_tally(const backend::DeviceConfig& config, backend::Memory& memory) {
    if (const auto checked = check_tally(config); !checked) return checked.failure();
    bool fresh = false;
    const auto region = memory.region(config.name + ".tally", sizeof(State), fresh);
    if (!region) return region.failure();
    State& state = *reinterpret_cast<State*>(region.value().data());
    if (fresh || state.magic != State::kMagicState) {
        std::memset(static_cast<void*>(&state), 0, sizeof state);
        publish(state.magic, State::kMagicState);
    }
    return std::unique_ptr<backend::Device>(std::make_unique<Tally>(state));
}

}  // namespace farlane::firmware

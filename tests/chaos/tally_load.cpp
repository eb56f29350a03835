// SPDX-License-Identifier: Apache-2.0
// Receives: an attached tally. Hands on: verified posted writes and reads. Owns: the attachment.
#include "chaos/tally_load.hpp"

#include <cstring>

#include <farlane/uapi/types.h>

#include "chaos/patience.hpp"

namespace farlane::chaos {
namespace {

constexpr unsigned kBar = 0;
constexpr std::uint64_t kTaken = 0x08, kErrors = 0x10, kRepeats = 0x18, kTicket = 0x28;
constexpr std::uint64_t kWrongOffset = 0x30, kWrongExpected = 0x38, kWrongGot = 0x40;
constexpr std::uint64_t kWindow = 0x8000, kWindowBytes = 0x8000;
constexpr std::size_t kWordBytes = 8, kMostWords = 1024, kMostBurst = 32;
constexpr std::uint64_t kSabotageAt = 100;  // words: when the load is well under way

}  // namespace

TallyLoad::TallyLoad(Fabric& fabric, Chronicle& chronicle, Milliseconds completion_timeout, std::uint64_t seed,
                     Sabotage sabotage)
    : Load("tally0", chronicle, completion_timeout),
      tally_(patiently([&] { return fabric.attach("tally0"); })),
      random_(seed),
      sabotage_(sabotage) {
    patiently([this] { tally_.enable(); });
}

void TallyLoad::step() {
    const std::uint64_t what = random_.below(16);
    if (what == 0) return write_block();
    if (what == 1) return write_half();
    if (what < 4) return check_taken();
    if (what < 6) return take_ticket();
    write_words(random_.between(1, kMostBurst));
}

// Anywhere in the window: what is in order on the way must not depend on the address.
std::uint64_t TallyLoad::place(std::size_t bytes) {
    const std::uint64_t places = (kWindowBytes - bytes) / kWordBytes + 1;
    return kWindow + random_.below(places) * kWordBytes;
}

bool TallyLoad::strike(Sabotage mistake) {
    if (sabotage_ != mistake || written_ < kSabotageAt) return false;
    sabotage_ = Sabotage::none;
    return true;
}

void TallyLoad::write_word(std::uint64_t word) {
    tally_.write64(kBar, place(kWordBytes), word);
}

void TallyLoad::write_words(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        ++written_;
        if (strike(Sabotage::lose)) continue;
        if (strike(Sabotage::swap)) {
            write_word(written_ + 1);
            write_word(written_++);
            continue;
        }
        write_word(written_);
        if (strike(Sabotage::repeat)) write_word(written_);
    }
    words_ += count;
    writes_ += count;
}

void TallyLoad::write_block() {
    const std::size_t count = random_.between(2, kMostWords);
    block_.resize(count * kWordBytes);
    for (std::size_t i = 0; i < count; ++i) {
        const fl_le64 word(++written_);
        std::memcpy(block_.data() + i * kWordBytes, &word, sizeof word);
    }
    tally_.write(kBar, place(block_.size()), block_);
    words_ += count;
    ++writes_;
}

void TallyLoad::write_half() {
    tally_.write32(kBar, place(kWordBytes), static_cast<std::uint32_t>(++written_));
    ++words_;
    ++writes_;
}

// A read pushes the writes before it: it sees all of them, and no one else writes.
void TallyLoad::check_taken() {
    const auto taken = reader().ask([this] { return tally_.read64(kBar, kTaken); });
    if (!taken || *taken == written_) return;
    if (get(kErrors) != 0) tell_error();
    throw Broken("the device has taken " + std::to_string(*taken) + " words, " + std::to_string(written_) +
                 " were written before that read");
}

// A read that was given up may have been executed, once. Never may a ticket come twice or from the past.
void TallyLoad::take_ticket() {
    const auto ticket = reader().ask([this] { return tally_.read64(kBar, kTicket); });
    if (!ticket) {
        doubts_ += reader().was_refused() ? 0 : 1;
        return;
    }
    if (*ticket <= ticket_ || *ticket > ticket_ + 1 + doubts_)
        throw Broken("ticket " + std::to_string(*ticket) + " after ticket " + std::to_string(ticket_) + " and " +
                     std::to_string(doubts_) + " reads in doubt: a read was executed twice, or its answer is stale");
    ticket_ = *ticket;
    doubts_ = 0;
    ++tickets_;
}

std::uint64_t TallyLoad::get(std::uint64_t offset) {
    return reader().insist([&] { return tally_.read64(kBar, offset); });
}

void TallyLoad::tell_error() {
    const std::uint64_t expected = get(kWrongExpected), got = get(kWrongGot), errors = get(kErrors);
    throw Broken(std::string("a posted write was ") + (got > expected ? "lost or overtaken" : "repeated or late") +
                 ": word " + std::to_string(expected) + " was expected and " + std::to_string(got) +
                 " came, at offset " + std::to_string(get(kWrongOffset)) + "; " + std::to_string(errors) +
                 " errors in all");
}

void TallyLoad::verify(const Ends& target) {
    if (get(kErrors) != 0) tell_error();
    const std::uint64_t taken = get(kTaken);
    if (taken != written_)
        throw Broken("the device has taken " + std::to_string(taken) + " words, " + std::to_string(written_) +
                     " were written");
    repeats_ = get(kRepeats);
    if (repeats_ > target.kills)
        throw Broken(std::to_string(repeats_) + " writes were executed once more after a kill, and there were " +
                     std::to_string(target.kills) + " kills");
}

nlohmann::json TallyLoad::counts() const {
    return {{"posted_writes", writes_.load()},
            {"words", words_.load()},
            {"tickets", tickets_.load()},
            {"repeated_by_a_kill", repeats_}};
}

}  // namespace farlane::chaos

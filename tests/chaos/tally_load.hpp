// SPDX-License-Identifier: Apache-2.0
// Receives: an attached tally (docs/devices.md). Hands on: posted writes of which none may be lost, repeated or out of
// order, and reads that may be neither stale nor executed twice. Owns: the attachment.
#pragma once

#include <atomic>
#include <vector>

#include <farlane/fabric.hpp>

#include "chaos/load.hpp"
#include "chaos/random.hpp"

namespace farlane::chaos {

class TallyLoad final : public Load {
public:
    /// Attaches. `seed`: of what it does. Throws farlane::Error.
    TallyLoad(Fabric& fabric, Chronicle& chronicle, Milliseconds completion_timeout, std::uint64_t seed,
              Sabotage sabotage);

    void verify(const Ends& target) override;
    [[nodiscard]] nlohmann::json counts() const override;
    /// Only while paused.
    void detach() { tally_.detach(); }

protected:
    void step() override;

private:
    void write_words(std::size_t count);
    void write_block();
    void write_half();
    void write_word(std::uint64_t word);
    void check_taken();
    void take_ticket();
    [[nodiscard]] bool strike(Sabotage mistake);
    [[nodiscard]] std::uint64_t place(std::size_t bytes);
    [[nodiscard]] std::uint64_t get(std::uint64_t offset);
    [[noreturn]] void tell_error();

    Device tally_;
    Random random_;
    Sabotage sabotage_;
    std::vector<std::byte> block_;
    std::uint64_t written_ = 0;              ///< words
    std::uint64_t ticket_ = 0, doubts_ = 0;  ///< the last one; reads since that may have taken one
    std::uint64_t repeats_ = 0;
    std::atomic<std::uint64_t> words_{0}, writes_{0}, tickets_{0};
};

}  // namespace farlane::chaos

// SPDX-License-Identifier: Apache-2.0
// Receives: numbers of sessions and functions. Hands on: what a write on each in turn costs, and their memory.
// Owns: both ends in one thread on a loop: port, one initiator for each session.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lane/initiator.hpp"
#include "lane/target.hpp"

namespace farlane::bench {

class Many {
public:
    /// Opens the sessions and attaches the functions of each; throws when that takes a minute.
    Many(const std::string& name, unsigned sessions, unsigned functions_each);
    ~Many();

    /// Nanoseconds of this thread for a 64-byte posted write, both ends: each round writes to one function of each
    /// session in turn and ends when all of it has been executed. `in_flight`: writes to that function in a row.
    [[nodiscard]] double ns_per_write(unsigned in_flight = 1);
    /// Nothing is asked of any session: nanoseconds of this thread for a turn of both ends.
    [[nodiscard]] double ns_per_idle_turn();

    [[nodiscard]] double bytes_per_session() const noexcept { return bytes_per_session_; }
    [[nodiscard]] double bytes_per_function() const noexcept { return bytes_per_function_; }

private:
    class Register;
    class Answers;
    struct Counted {
        std::uint64_t executed = 0;
    };
    void turn();
    template <class Done>
    void turn_until(Done done, const char* what);

    Counted counted_;
    unsigned sessions_, functions_each_;
    std::unique_ptr<Answers> answers_;
    std::unique_ptr<backend::Memory> target_memory_;
    lane::Lane near_lane_, far_lane_;
    std::unique_ptr<lane::Target> target_;
    std::vector<std::unique_ptr<backend::Memory>> memories_;
    std::vector<std::unique_ptr<lane::Initiator>> initiators_;
    std::vector<lane::Attachment*> attachments_;  ///< [session * functions_each + function]
    double bytes_per_session_ = 0, bytes_per_function_ = 0;
    std::uint64_t round_ = 0;
};

}  // namespace farlane::bench

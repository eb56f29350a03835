// SPDX-License-Identifier: Apache-2.0
// Receives: State as a killed daemon left it, and what the host has released. Hands on: a controller that goes on.
// Owns: nothing. The crash points are listed in queues.cpp.
//
// Every step can itself be cut short and done again: queue positions are corrected first, commands are moved to
// an earlier state only after that, and nothing is given to the port before all of it is done.
#include <algorithm>
#include <array>
#include <bit>

#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {
namespace {

bool is_released(const Command& c, std::uint64_t released) noexcept {
    return c.cqe_sequence != 0 && c.cqe_sequence <= released;
}

bool plausible_queues(const Session& s, const Limits& limits) noexcept {
    for (unsigned i = 0; i < kMaxQueues; ++i) {
        const std::uint32_t most = i == 0 ? kMaxAdminEntries : kMaxQueueEntries;
        const CompletionQueue& c = s.cq[i];
        const SubmissionQueue& q = s.sq[i];
        if (i > limits.io_queues && (c.serial != 0 || q.serial != 0)) return false;
        if (c.serial != 0 && (c.size < 2 || c.size > most || c.head >= c.size || c.vector > limits.io_queues ||
                              c.interrupts > 1 || (c.base & (kPageBytes - 1)) != 0))
            return false;
        if (q.serial == 0) continue;
        if (q.size < 2 || q.size > most || q.tail >= q.size || (q.base & (kPageBytes - 1)) != 0) return false;
        if (q.cqid > limits.io_queues || (i == 0) != (q.cqid == 0) || s.cq[q.cqid].serial == 0) return false;
    }
    return true;
}

bool plausible_command(const Command& c, const Session& s, const Limits& limits) noexcept {
    if (c.state > static_cast<std::uint32_t>(CommandState::posted)) return false;
    if (c.state == static_cast<std::uint32_t>(CommandState::free)) return true;
    if (c.sqid > limits.io_queues || c.cqid > limits.io_queues || c.host_data > 1) return false;
    const SubmissionQueue& q = s.sq[c.sqid];
    // Of this life of the queue: taken at most one entry ago, so that recovery moves the head by one at most
    if (q.serial != 0 && q.serial == c.sq_serial && (c.position > q.fetched || c.cqid != q.cqid)) return false;
    if (c.state != static_cast<std::uint32_t>(CommandState::posted)) return true;
    const CompletionQueue& cq = s.cq[c.cqid];
    if (cq.serial == 0 || cq.serial != c.cq_serial) return true;
    // Ahead of the tail only when a recovery was cut short after it had moved the tail back
    const std::uint64_t apart = c.cqe_position <= cq.posted ? cq.posted - c.cqe_position : c.cqe_position - cq.posted;
    return apart <= cq.size;
}

}  // namespace

bool plausible(const State& s, const Limits& limits) noexcept {
    const Session& e = s.session;
    if ((s.registers.csts & ~(kCstsReady | kCstsFatal | kCstsShutdown)) != 0) return false;
    if ((s.registers.cc & ~0x00fffff1u) != 0 || (s.registers.aqa & ~0x0fff0fffu) != 0) return false;
    if (((s.registers.asq | s.registers.acq) & (kPageBytes - 1)) != 0) return false;
    if (s.lasting.lba_shift != 9 && s.lasting.lba_shift != 12) return false;
    if (s.lasting.formatting != 0 && s.lasting.formatting != 10 && s.lasting.formatting != 13) return false;
    if (!plausible_queues(e, limits)) return false;
    // Killed while being disabled it is still ready and its queues may be gone already: reconcile() goes on
    const bool ready = (s.registers.csts & kCstsReady) != 0 && (s.registers.cc & kCcEnable) != 0;
    if (ready && (e.sq[0].serial == 0 || e.cq[0].serial == 0)) return false;
    return std::all_of(e.commands.begin(), e.commands.end(),
                       [&](const Command& c) { return plausible_command(c, e, limits); });
}

bool Controller::on_restored(std::uint64_t released) noexcept {
    if (!plausible(state_, identity_.limits)) return false;
    reconcile();
    clear_runs();
    if ((state_.registers.csts & kCstsShutdown) == kCstsShutdownBusy) {  // the flush may not have been whole
        shutdown_ticket_ = media_->flush();
        shutting_down_ = true;
    }
    if (!running()) {
        for (std::uint32_t i = kCommands; i-- > 0;) slots_.give(i);
        return true;
    }
    adopt_queues(released);
    adopt_commands(released);
    return true;
}

// Crash points 2, 7 and 8: heads and tails as the commands tell them.
void Controller::adopt_queues(std::uint64_t released) noexcept {
    Session& s = state_.session;
    std::array<std::uint64_t, kMaxQueues> posted{}, first_lost{};
    first_lost.fill(~std::uint64_t{0});
    for (unsigned i = 0; i < kMaxQueues; ++i) posted[i] = s.cq[i].posted;
    for (const Command& c : s.commands) {
        if (c.state == static_cast<std::uint32_t>(CommandState::free)) continue;
        SubmissionQueue& q = s.sq[c.sqid];
        if (q.serial != 0 && q.serial == c.sq_serial && c.position == q.fetched) publish(q.fetched, q.fetched + 1);
        if (c.state != static_cast<std::uint32_t>(CommandState::posted) || s.cq[c.cqid].serial != c.cq_serial) continue;
        if (is_released(c, released))
            posted[c.cqid] = std::max(posted[c.cqid], c.cqe_position + 1);
        else
            first_lost[c.cqid] = std::min(first_lost[c.cqid], c.cqe_position);
    }
    for (unsigned i = 0; i < kMaxQueues; ++i) {
        const SubmissionQueue& q = s.sq[i];
        if (q.serial != 0 && q.tail != q.fetched % q.size) rung_ |= std::uint64_t{1} << i;
        CompletionQueue& cq = s.cq[i];
        if (cq.serial == 0) continue;
        publish(cq.posted, std::min(posted[i], first_lost[i]));
        // The message of a completion that arrived may be lost
        if (cq.interrupts != 0) due_ |= std::uint64_t{1} << cq.vector;
    }
    faults().point("restore: queues adopted");
}

void Controller::adopt_commands(std::uint64_t released) noexcept {
    Session& s = state_.session;
    std::vector<std::uint32_t>& at_work = at_work_;
    at_work.clear();
    for (std::uint32_t slot = kCommands; slot-- > 0;) {
        Command& c = s.commands[slot];
        const SubmissionQueue& q = s.sq[c.sqid < kMaxQueues ? c.sqid : 0];
        const CommandState state = command_state(slot);
        const bool over = state == CommandState::free || q.serial != c.sq_serial ||
                          s.cq[c.cqid].serial != c.cq_serial ||
                          (state == CommandState::posted && is_released(c, released));
        if (over) {
            set_state(slot, CommandState::free);
            slots_.give(slot);
            continue;
        }
        if (state == CommandState::posted)
            set_state(slot, c.host_data != 0 ? CommandState::fetched : CommandState::done);
        faults().point("restore: command adopted");
        at_work.push_back(slot);
    }
    std::sort(at_work.begin(), at_work.end(),
              [&s](std::uint32_t a, std::uint32_t b) { return s.commands[a].serial < s.commands[b].serial; });
    for (const std::uint32_t slot : at_work) ++live_[command(slot).sqid];
    for (const std::uint32_t slot : at_work) {
        ++commands_again_;
        if (command_state(slot) != CommandState::done) {
            start(slot);
            continue;
        }
        run(slot).executed = true;
        ready(slot);
    }
}

}  // namespace farlane::firmware::nvme

// SPDX-License-Identifier: Apache-2.0
// Receives: an attached accelerator. Hands on: memory behind a BAR that has what was written last, and nothing of the
// life before when its target's farlaned ended: its state is gone then, and it has to say so. Owns: the attachment, a
// model.
#pragma once

#include <atomic>
#include <vector>

#include <farlane/fabric.hpp>

#include "chaos/load.hpp"
#include "chaos/random.hpp"

namespace farlane::chaos {

class MemoryLoad final : public Load {
public:
    /// Attaches. Throws farlane::Error.
    MemoryLoad(Fabric& fabric, Chronicle& chronicle, Milliseconds completion_timeout, std::uint64_t seed);

    void verify(const Ends& target) override;
    [[nodiscard]] nlohmann::json counts() const override;
    void detach() { device_.detach(); }

protected:
    void step() override;

private:
    void work();
    void write(std::size_t page);
    void check(std::size_t page);
    void start_over();
    void wait_ready();
    void insist(const std::function<void()>& call);

    Chronicle& chronicle_;
    Device device_;
    Random random_;
    Time settled_ = Clock::now();  ///< ends of daemons before it are known
    DmaBuffer source_;             ///< of writes without a copy; a part for each until the next flush
    std::size_t source_used_ = 0;
    std::vector<std::byte> page_;
    std::vector<std::uint64_t> generation_;  ///< of each page; 0: zeros
    std::uint64_t last_ = 0;
    std::uint64_t losses_ = 0;  ///< of the device's state; a reset may be said more than once for each
    std::atomic<std::uint64_t> written_{0}, read_{0}, resets_{0}, aborted_{0};
};

}  // namespace farlane::chaos

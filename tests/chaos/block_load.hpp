// SPDX-License-Identifier: Apache-2.0
// Receives: an attached NVMe controller. Hands on: blocks written and read by DMA, of which none may be lost, stale or
// done twice, and buffers that nobody may touch when their command is over. Owns: the attachment, the driver, a model.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <farlane/fabric.hpp>

#include "chaos/load.hpp"
#include "chaos/random.hpp"
#include "nvme_user/controller.hpp"
#include "nvme_user/nvme_over_sdk.hpp"

namespace farlane::chaos {

/// What was written to each block last. Outlives attachments: the namespace keeps its bytes.
struct BlockModel {
    static constexpr std::size_t kBlocks = 256;
    std::vector<std::uint64_t> generation = std::vector<std::uint64_t>(kBlocks);  ///< 0: never written, zeros
    std::uint64_t last = 0;
};

class BlockLoad final : public Load {
public:
    BlockLoad(Fabric& fabric, Chronicle& chronicle, Milliseconds completion_timeout, std::uint64_t seed,
              Sabotage sabotage, BlockModel& model);
    ~BlockLoad() override;

    void verify(const Ends& target) override;
    [[nodiscard]] nlohmann::json counts() const override;
    void detach();

protected:
    void step() override;

private:
    class PatientAccess;
    struct Job {
        bool write = false;
        std::size_t lba = 0, blocks = 0, slot = 0;
    };
    [[nodiscard]] std::vector<Job> choose();
    void prepare(const Job& job);
    [[nodiscard]] std::uint16_t submit(nvme_user::QueuePair& queue, const Job& job);
    void finish(const Job& job);
    void fill(std::size_t lba, std::span<std::byte> block, std::uint64_t generation) const;
    void check(std::size_t lba, std::span<const std::byte> block) const;
    [[nodiscard]] std::span<std::byte> slot(std::size_t index, std::size_t blocks) const;
    void check_untouched() const;
    [[nodiscard]] bool strike();

    Device device_;
    std::unique_ptr<PatientAccess> access_;
    std::unique_ptr<nvme_user::Controller> driver_;
    nvme_user::Memory buffer_;
    Random random_;
    Sabotage sabotage_;
    BlockModel& model_;
    std::atomic<std::uint64_t> commands_{0}, again_{0}, blocks_written_{0}, blocks_read_{0};
};

}  // namespace farlane::chaos

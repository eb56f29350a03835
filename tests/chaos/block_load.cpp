// SPDX-License-Identifier: Apache-2.0
// Receives: an attached NVMe controller. Hands on: verified blocks. Owns: the attachment, the driver, a model.
#include "chaos/block_load.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include <farlane/uapi/types.h>

#include "chaos/patience.hpp"

namespace farlane::chaos {
namespace {

using namespace nvme_user;

constexpr std::size_t kBlockBytes = 4096, kMostBlocks = 8, kSlots = 8, kWordBytes = 8;
constexpr std::byte kUntouched{0xa5};  // what a buffer has while no command has it
constexpr unsigned kDataTransferError = 0x004;
constexpr std::uint64_t kSabotageAt = 50;

std::uint64_t word_at(std::span<const std::byte> block, std::size_t index) {
    fl_le64 word;
    std::memcpy(&word, block.data() + index * kWordBytes, sizeof word);
    return word.get();
}
void put_word(std::span<std::byte> block, std::size_t index, std::uint64_t value) {
    const fl_le64 word(value);
    std::memcpy(block.data() + index * kWordBytes, &word, sizeof word);
}

// Words 0 and 1 say what the block is; the others follow from them.
std::uint64_t pattern(std::uint64_t lba, std::uint64_t generation, std::size_t index) {
    return (lba << 40 ^ generation) * 0x9e3779b97f4a7c15 + index * 0xd1342543de82ef95;
}

}  // namespace

/// Reads of registers are asked again when they were aborted or timed out, as a driver does that knows outages.
class BlockLoad::PatientAccess final : public Access {
public:
    PatientAccess(Device& device, Reader& reader)
        : sdk_(patiently([&] { return SdkAccess(device); })), reader_(reader) {}
    std::uint32_t read32(std::uint32_t offset) override {
        return static_cast<std::uint32_t>(reader_.insist([&] { return sdk_.read32(offset); }));
    }
    std::uint64_t read64(std::uint32_t offset) override {
        return reader_.insist([&] { return sdk_.read64(offset); });
    }
    void write32(std::uint32_t offset, std::uint32_t value) override { sdk_.write32(offset, value); }
    void write64(std::uint32_t offset, std::uint64_t value) override { sdk_.write64(offset, value); }
    Memory allocate(std::size_t bytes) override { return sdk_.allocate(bytes); }
    void enable_interrupts(unsigned count) override {
        patiently([&] { sdk_.enable_interrupts(count); });
    }
    void wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) override {
        sdk_.wait_interrupt(vector, timeout);
    }
    void progress() override { sdk_.progress(); }

private:
    SdkAccess sdk_;
    Reader& reader_;
};

BlockLoad::BlockLoad(Fabric& fabric, Chronicle& chronicle, Milliseconds completion_timeout, std::uint64_t seed,
                     Sabotage sabotage, BlockModel& model)
    : Load("nvme0", chronicle, completion_timeout),
      device_(patiently([&] { return fabric.attach("nvme0"); })),
      access_(std::make_unique<PatientAccess>(device_, reader())),
      driver_(std::make_unique<Controller>(
          *access_, Options{.io_queues = 2, .queue_depth = 16, .interrupts = true, .timeout = kHangs})),
      buffer_(driver_->allocate(kSlots * kMostBlocks * kBlockBytes)),
      random_(seed),
      sabotage_(sabotage),
      model_(model) {
    if (driver_->space().blocks != BlockModel::kBlocks || driver_->space().block_bytes != kBlockBytes)
        throw Broken("the namespace has another size than was asked for");
    std::ranges::fill(buffer_.bytes, kUntouched);
}

BlockLoad::~BlockLoad() = default;

void BlockLoad::detach() {
    driver_.reset();
    buffer_ = {};
    access_.reset();
    device_.detach();
}

std::span<std::byte> BlockLoad::slot(std::size_t index, std::size_t blocks) const {
    return buffer_.bytes.subspan(index * kMostBlocks * kBlockBytes, blocks * kBlockBytes);
}

bool BlockLoad::strike() {
    if (sabotage_ != Sabotage::stale || commands_ < kSabotageAt) return false;
    sabotage_ = Sabotage::none;
    return true;
}

// Some commands at once, none of which touches the blocks of another.
std::vector<BlockLoad::Job> BlockLoad::choose() {
    std::vector<Job> jobs;
    std::vector<bool> taken(BlockModel::kBlocks);
    const std::size_t count = random_.between(1, kSlots);
    for (std::size_t i = 0; i < count; ++i) {
        Job job{random_.percent(50), 0, random_.between(1, kMostBlocks), i};
        job.lba = random_.below(BlockModel::kBlocks - job.blocks + 1);
        const auto first = taken.begin() + static_cast<std::ptrdiff_t>(job.lba);
        const auto end = first + static_cast<std::ptrdiff_t>(job.blocks);
        if (std::find(first, end, true) != end) continue;
        std::fill(first, end, true);
        jobs.push_back(job);
    }
    return jobs;
}

void BlockLoad::step() {
    check_untouched();
    const std::vector<Job> jobs = choose();
    const auto index = static_cast<unsigned>(random_.below(driver_->queues()));
    QueuePair& queue = driver_->queue(index);
    std::map<std::uint16_t, Job> under_way;
    for (const Job& job : jobs) {
        prepare(job);
        under_way[submit(queue, job)] = job;
    }
    while (!under_way.empty()) {
        const Completion c = driver_->wait(queue);
        const Job job = under_way.extract(c.cid).mapped();
        if (c.code() == kDataTransferError) {  // its DMA had no answer in time: a driver asks again
            ++again_;
            under_way[submit(queue, job)] = job;
        } else if (c.ok()) {
            finish(job);
        } else {
            throw Broken("a command failed: " + status_text(c.status));
        }
    }
    commands_ += jobs.size();
}

void BlockLoad::prepare(const Job& job) {
    const std::span<std::byte> data = slot(job.slot, job.blocks);
    for (std::size_t b = 0; job.write && b < job.blocks; ++b) {
        const std::uint64_t before = model_.generation[job.lba + b];
        model_.generation[job.lba + b] = ++model_.last;
        fill(job.lba + b, data.subspan(b * kBlockBytes, kBlockBytes), strike() ? before : model_.last);
    }
}

std::uint16_t BlockLoad::submit(QueuePair& queue, const Job& job) {
    return queue.submit({.opcode = static_cast<std::uint8_t>(job.write ? kWrite : kRead),
                         .nsid = 1,
                         .dw10 = static_cast<std::uint32_t>(job.lba),
                         .dw12 = static_cast<std::uint32_t>(job.blocks - 1)},
                        buffer_, job.slot * kMostBlocks * kBlockBytes, job.blocks * kBlockBytes);
}

void BlockLoad::finish(const Job& job) {
    const std::span<std::byte> data = slot(job.slot, job.blocks);
    for (std::size_t b = 0; !job.write && b < job.blocks; ++b)
        check(job.lba + b, data.subspan(b * kBlockBytes, kBlockBytes));
    (job.write ? blocks_written_ : blocks_read_) += job.blocks;
    std::ranges::fill(data, kUntouched);
}

void BlockLoad::fill(std::size_t lba, std::span<std::byte> block, std::uint64_t generation) const {
    put_word(block, 0, lba);
    put_word(block, 1, generation);
    for (std::size_t i = 2; i < kBlockBytes / kWordBytes; ++i) put_word(block, i, pattern(lba, generation, i));
}

void BlockLoad::check(std::size_t lba, std::span<const std::byte> block) const {
    const std::uint64_t generation = model_.generation[lba];
    const auto expected = [&](std::size_t i) -> std::uint64_t {
        if (generation == 0) return 0;
        return i == 0 ? lba : i == 1 ? generation : pattern(lba, generation, i);
    };
    for (std::size_t i = 0; i < kBlockBytes / kWordBytes; ++i) {
        const std::uint64_t got = word_at(block, i);
        if (got == expected(i)) continue;
        throw Broken("block " + std::to_string(lba) + " was written last with generation " +
                     std::to_string(generation) + ", and word " + std::to_string(i) +
                     " of it is not what was written; " + "the block says that it is block " +
                     std::to_string(word_at(block, 0)) + ", generation " + std::to_string(word_at(block, 1)));
    }
}

// A command that is over has no DMA left, however often its daemons were killed.
void BlockLoad::check_untouched() const {
    const auto touched = std::ranges::find_if(buffer_.bytes, [](std::byte b) { return b != kUntouched; });
    if (touched == buffer_.bytes.end()) return;
    throw Broken("byte " + std::to_string(touched - buffer_.bytes.begin()) +
                 " of a buffer changed after its command was over: DMA came late or twice");
}

void BlockLoad::verify(const Ends&) {
    check_untouched();
    const std::size_t at_once = kSlots * kMostBlocks;
    for (std::size_t lba = 0; lba < BlockModel::kBlocks; lba += at_once) {
        driver_->read(lba, buffer_, 0, at_once * kBlockBytes);
        for (std::size_t b = 0; b < at_once; ++b) check(lba + b, buffer_.bytes.subspan(b * kBlockBytes, kBlockBytes));
    }
    std::ranges::fill(buffer_.bytes, kUntouched);
}

nlohmann::json BlockLoad::counts() const {
    return {{"commands", commands_.load()},
            {"commands_again", again_.load()},
            {"blocks_written", blocks_written_.load()},
            {"blocks_read", blocks_read_.load()}};
}

}  // namespace farlane::chaos

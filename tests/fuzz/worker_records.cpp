// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as what the worker process of a context wrote into its ring, and as an argument block. Hands on:
// nothing; each job ends once, whatever the worker says. Owns: the lane's side of a context.
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/worker/link.hpp"
#include "fuzz/fuzz.hpp"

using namespace farlane;
using namespace farlane::backend;
using namespace farlane::backend::worker;
using fuzz::require;

namespace {

constexpr std::uint32_t kJobs = 6;

/// One context with a job of each kind in flight.
class Context {
public:
    Context() : jobs_(kJobs), scratch_(kMaxCompleteRecord) {
        channel_.control = control_.get();
        services_ = std::make_unique<Link::Services>(Link::Services{
            .jobs = jobs_,
            .time_limit_ns = 1'000'000'000,
            .build_limit_ns = 1'000'000'000,
            .kill = [this](std::uint32_t, Cause cause) { channel_.cause = cause; },
            .deadline_set = [] {},
            .look = [] {},
            .ended_memory = [this](std::uint32_t slot) { end(slot); },
            .done = [this](std::uint32_t slot, const Outcome&) { end(slot); },
            .complain = [](std::string_view) {},
            .lost = [](std::uint32_t, std::string_view) {},
            .scratch = scratch_,
        });
        link = std::make_unique<Link>(channel_, *services_, 0);
        link->open();
        for (const JobKind kind :
             {JobKind::commit, JobKind::load, JobKind::bind, JobKind::launch, JobKind::copy, JobKind::scrub}) {
            const std::uint32_t slot = jobs_.take(1, kind, {0, kind == JobKind::copy ? 1U : 0U});
            jobs_[slot].handle = 1;
            link->give(slot, Ask::commit, {bytes_of(AskMemory{jobs_.token(slot), 0, 0})});
        }
    }
    /// The worker writes, and dies.
    void say(std::span<const std::uint8_t> ring) {
        const std::size_t bytes = std::min(ring.size(), sizeof control_->complete_bytes);
        if (bytes != 0) std::memcpy(control_->complete_bytes, ring.data(), bytes);
        control_->complete.tail = static_cast<std::uint32_t>(bytes);
        while (link->poll()) require(++polls_ <= bytes, "a poll takes something");
        require(ended_ <= kJobs, "no job ends twice");
        channel_.dead = true;
        while (link->poll()) require(++polls_ <= bytes + 2, "a death is told once");
        require(ended_ == kJobs, "all jobs end with the worker");
        require(link->lost(), "a context without worker is lost");
    }
    std::unique_ptr<Link> link;

private:
    void end(std::uint32_t slot) {
        require(jobs_[slot].used, "an ended job was in flight");
        jobs_.give_back(slot);
        ++ended_;
    }
    std::unique_ptr<Control> control_ = std::make_unique<Control>();
    Channel channel_;
    Jobs jobs_;
    std::vector<std::byte> scratch_;
    std::unique_ptr<Link::Services> services_;
    std::uint32_t ended_ = 0;
    std::size_t polls_ = 0;
};

void check_arguments(const Signature& signature, std::span<const std::byte> block) {
    LaunchRequest request;
    request.arguments = block;
    request.dimensions = 1;
    request.grid = {1, 0, 0};
    const Outcome outcome = signature.check(request);
    ArgumentReader reader(block);
    Argument argument;
    std::size_t count = 0;
    for (; reader.next(argument); ++count) {
        require(argument.data.empty() || (argument.data.data() >= block.data() &&
                                          argument.data.data() + argument.data.size() <= block.data() + block.size()),
                "an argument lies in its block");
        if (argument.kind == FL_ACCEL_ARGUMENT_ADDRESS) (void)argument.address();
    }
    require(!outcome.ok() || reader.error().ok(), "what fits can be read");
    if (outcome.ok() && signature.block_bytes() != 0) {
        require(block.size() == signature.block_bytes(), "what fits is as long as the kernel says");
    }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto ring = input.bytes(input.number<std::uint16_t>());
    Context context;
    context.say(ring);
    const auto report = input.bytes(input.number<std::uint16_t>());
    const auto block = std::as_bytes(input.rest());
    const auto signature = Signature::parse(std::as_bytes(report));
    if (signature) check_arguments(*signature, block);
    for (const auto& kernel : context.link->kernels) {
        if (kernel.used) check_arguments(kernel.signature, block);
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Receives: jobs, as an executor in worker processes has them. Hands on: their ends, when the test says so.
// Owns: memory of an aperture and of an accelerator. For the command processor alone: real workers have tests of their
// own.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "accel/driver.hpp"
#include "devices/accel/accel.hpp"

namespace farlane::test {

class FakeWorker final : public backend::Executor {
public:
    using Outcome = backend::Outcome;
    struct Job {
        std::string what;
        std::uint64_t number = 0;
        bool behind = false;
        std::uint64_t destination = 0, source = 0, bytes = 0;
    };
    static constexpr std::uint64_t kLocal = std::uint64_t{1} << 44, kLocalBytes = 8 << 20;

    FakeWorker(const backend::MemoryPlan& plan, bool has_local)
        : plan_(plan), has_local_(has_local), aperture_(plan.aperture_bytes), local_(kLocalBytes * plan.contexts) {}

    // --- what tests look at and decide
    std::deque<Job> jobs;          ///< given and not ended
    std::vector<std::string> log;  ///< open, close, cancel, scrub ...
    bool automatic = true;         ///< all but launches and loads end at once
    bool deaf = false;             ///< what is canceled ends when the test says so
    Outcome commit_outcome;        ///< of the next commits
    std::map<std::uint32_t, bool> lost_contexts;
    void end(std::size_t index, Outcome outcome = {}) {
        const Job job = jobs[index];
        jobs.erase(jobs.begin() + static_cast<std::ptrdiff_t>(index));
        if (outcome.ok() && job.what == "copy") move(job);
        done_.push_back({job.number, outcome});
    }

    // --- Executor
    fl_accel_executor kind() const noexcept override { return FL_ACCEL_EXECUTOR_OPENCL; }
    std::uint64_t capabilities() const noexcept override { return FL_ACCEL_CAP_OPENCL_C | FL_ACCEL_CAP_ENERGY; }
    std::uint32_t units() const noexcept override { return 3; }
    std::span<const std::byte> names() const noexcept override {
        static constexpr char kNames[] = "fake\0nobody\0none";
        return std::as_bytes(std::span(kNames));
    }
    std::span<std::byte> memory() const noexcept override { return aperture_; }
    backend::LocalMemory local() const noexcept override {
        return has_local_ ? backend::LocalMemory{kLocal, kLocalBytes, kLocalBytes} : backend::LocalMemory{};
    }
    void open(std::uint32_t c) noexcept override { log.push_back("open " + std::to_string(c)); }
    Answer close(std::uint64_t job, std::uint32_t c) noexcept override {
        log.push_back("close " + std::to_string(c));
        lost_contexts[c] = false;
        return later({"close", job});
    }
    bool lost(std::uint32_t c) const noexcept override {
        const auto there = lost_contexts.find(c);
        return there != lost_contexts.end() && there->second;
    }
    Answer commit(std::uint64_t, const backend::JobOwner&, std::uint64_t, std::uint64_t) noexcept override {
        return commit_outcome;
    }
    Answer scrub(std::uint64_t job, const backend::JobOwner&, std::uint64_t address,
                 std::uint64_t bytes) noexcept override {
        std::memset(at(address), 0, bytes);
        log.push_back("scrub");
        return later({"scrub", job});
    }
    Answer scrub_all(std::uint64_t) noexcept override {
        log.push_back("scrub_all");
        return Outcome{};
    }
    Answer copy(std::uint64_t job, const backend::JobOwner&, std::uint64_t destination, std::uint64_t source,
                std::uint64_t bytes, bool behind) noexcept override {
        return later({"copy", job, behind, destination, source, bytes});
    }
    Answer fill(std::uint64_t job, const backend::JobOwner&, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern, bool behind) noexcept override {
        for (std::uint64_t i = 0; i < bytes; ++i) at(destination)[i] = pattern[i % pattern.size()];
        return later({"fill", job, behind, destination, destination, bytes});
    }
    Answer load(std::uint64_t job, const backend::LoadRequest& r) noexcept override {
        log.push_back("load " + std::string(r.options));
        jobs.push_back({"load", job});
        return std::nullopt;
    }
    void unload(const backend::JobOwner&, std::uint32_t) noexcept override { log.emplace_back("unload"); }
    Answer bind(std::uint64_t, const backend::BindRequest& r) noexcept override {
        if (r.name == "none") return Outcome{FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        return Outcome{};
    }
    /// Its arguments are pairs of address and length, all written.
    Outcome prepare(const backend::LaunchRequest& r, backend::AccessList& touches) const noexcept override {
        for (std::size_t i = 0; i + 16 <= r.arguments.size(); i += 16) {
            fl_le64 words[2];
            std::memcpy(words, r.arguments.data() + i, 16);
            (void)touches.add({words[0].get(), words[1].get(), true, static_cast<std::uint32_t>(i)});
        }
        return {};
    }
    Answer launch(std::uint64_t job, const backend::LaunchRequest& r) noexcept override {
        jobs.push_back({"launch", job, r.behind});
        return std::nullopt;
    }
    bool chains(const backend::LaunchRequest&) const noexcept override { return true; }
    bool chains(std::uint64_t destination, std::uint64_t source) const noexcept override {
        return destination >= kLocal || source >= kLocal;
    }
    bool next_done(backend::JobDone& done) noexcept override {
        if (done_.empty()) return false;
        done = done_.front();
        done_.pop_front();
        return true;
    }
    bool has_done() const noexcept override { return !done_.empty(); }
    void cancel(std::uint64_t job) noexcept override {
        log.emplace_back("cancel");
        if (deaf) return;
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            if (jobs[i].number == job) return end(i, {FL_ACCEL_REASON_EXECUTION, 0, 0});
        }
    }
    Usage usage() const noexcept override { return {7, 8, 9}; }
    Usage usage(std::uint32_t context) const noexcept override { return {context + 100, context + 200, context + 300}; }
    std::uint64_t energy_uj() noexcept override { return 12345; }

    std::byte* at(std::uint64_t address) {
        return address >= kLocal ? local_.data() + (address - kLocal) : aperture_.data() + (address - plan_.address);
    }

private:
    Answer later(Job job) {
        jobs.push_back(std::move(job));
        if (automatic) end(jobs.size() - 1);
        return std::nullopt;
    }
    void move(const Job& job) { std::memmove(at(job.destination), at(job.source), job.bytes); }

    backend::MemoryPlan plan_;
    bool has_local_;
    mutable std::vector<std::byte> aperture_;
    std::vector<std::byte> local_;
    std::deque<backend::JobDone> done_;
};

/// A device on a FakeWorker with two contexts.
struct WorkerDevice {
    explicit WorkerDevice(bool has_local = true, std::uint64_t context_local_bytes = 0) {
        firmware::accel::AccelOptions options;
        options.memory_bytes = 32 << 20;
        options.queues = 4;
        options.contexts = 2;
        options.executor = FL_ACCEL_EXECUTOR_OPENCL;
        options.time_limit_ms = 1234;
        options.context_local_bytes = context_local_bytes;
        auto executor = std::make_unique<FakeWorker>(firmware::accel::plan_of(options), has_local);
        worker = executor.get();
        driver = std::make_unique<Driver>(
            std::make_unique<firmware::accel::Accel>(options, std::make_unique<firmware::FunctionState>(),
                                                     std::make_unique<firmware::accel::Waker>(), std::move(executor)));
        stride = driver->registers.context_stride.get();
    }
    [[nodiscard]] std::uint64_t base(std::uint32_t context) const { return driver->base + context * stride; }
    FakeWorker* worker = nullptr;
    std::unique_ptr<Driver> driver;
    std::uint64_t stride = 0;
};

}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// An executor in worker processes as the command processor uses it: jobs with numbers, waited for by `wake`.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "backend/executor.hpp"

namespace farlane::test {

using backend::AccessList;
using backend::Executor;
using backend::JobDone;
using backend::JobOwner;
using backend::LaunchRequest;
using backend::Outcome;
using WorkerPlace = backend::WorkerExecutorOptions::Place;

/// Puts an argument block together.
class Arguments {
public:
    Arguments& address(std::uint64_t a) {
        const fl_le64 field(a);
        return add(FL_ACCEL_ARGUMENT_ADDRESS, &field, sizeof field);
    }
    template <class T>
    Arguments& value(const T& v) {
        return add(FL_ACCEL_ARGUMENT_VALUE, &v, sizeof v);
    }
    Arguments& shared(std::uint32_t bytes) {
        head(FL_ACCEL_ARGUMENT_SHARED, bytes);
        return *this;
    }
    [[nodiscard]] std::span<const std::byte> bytes() const { return block_; }

private:
    void head(fl_accel_argument_kind kind, std::uint32_t bytes) {
        const fl_accel_argument h{fl_le32(kind), fl_le32(bytes)};
        const auto* p = reinterpret_cast<const std::byte*>(&h);
        block_.insert(block_.end(), p, p + sizeof h);
    }
    Arguments& add(fl_accel_argument_kind kind, const void* data, std::size_t bytes) {
        head(kind, static_cast<std::uint32_t>(bytes));
        const auto* p = static_cast<const std::byte*>(data);
        block_.insert(block_.end(), p, p + bytes);
        block_.resize((block_.size() + 7) / 8 * 8);
        return *this;
    }
    std::vector<std::byte> block_;
};

inline backend::WorkerExecutorOptions worker_options(std::uint64_t context_bytes = 64 << 20,
                                                     std::uint32_t contexts = 4) {
    backend::WorkerExecutorOptions o;
    o.plan.address = std::uint64_t{1} << 40;
    o.plan.first = 1 << 20;
    o.plan.context_bytes = context_bytes;
    o.plan.bounce_bytes = 1 << 20;
    o.plan.stride = context_bytes * 2;
    o.plan.contexts = contexts;
    o.plan.aperture_bytes = o.plan.first + contexts * o.plan.stride;
    o.max_jobs = 8192;
    o.cpu.threads = 1;
    return o;
}

/// Of this process.
inline std::vector<pid_t> children() {
    std::vector<pid_t> all;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream list(task.path() / "children");
        for (pid_t pid = 0; list >> pid;) all.push_back(pid);
    }
    return all;
}
inline std::size_t count_of(const std::filesystem::path& folder, const std::string& prefix = "") {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().filename().string().starts_with(prefix)) ++count;
    }
    return count;
}

/// One thread is the lane: it gives jobs, sleeps until `wake`, takes ends.
class WorkerHarness {
public:
    /// A job that has not ended by then never will.
    static constexpr std::chrono::seconds kForever{100};

    explicit WorkerHarness(backend::WorkerExecutorOptions options) : options_(std::move(options)) {
        options_.wake = [this] {
            {
                const std::lock_guard lock(mutex_);
                woken_ = true;
            }
            changed_.notify_all();
        };
        auto made = backend::make_worker_executor(options_);
        if (!made) throw std::runtime_error(made.failure().detail);
        executor_ = std::move(*made);
    }

    Executor& operator*() { return *executor_; }
    Executor* operator->() { return executor_.get(); }
    [[nodiscard]] const backend::WorkerExecutorOptions& options() const { return options_; }
    [[nodiscard]] std::uint64_t base(std::uint32_t context) const {
        return options_.plan.address + options_.plan.first + context * options_.plan.stride;
    }
    [[nodiscard]] std::uint64_t local_base(std::uint32_t context) const {
        return executor_->local().address + context * executor_->local().stride;
    }
    [[nodiscard]] std::byte* at(std::uint64_t address) {
        return executor_->memory().data() + (address - options_.plan.address);
    }

    std::uint64_t number() { return next_++; }
    /// Waits for the end of a job that an ops-table call gave.
    Outcome wait(std::uint64_t job, const Executor::Answer& answer) {
        if (answer) return *answer;
        const auto until = std::chrono::steady_clock::now() + kForever;
        for (;;) {
            take();
            if (const auto it = ended_.find(job); it != ended_.end()) {
                const Outcome outcome = it->second;
                ended_.erase(it);
                return outcome;
            }
            std::unique_lock lock(mutex_);
            if (!changed_.wait_until(lock, until, [this] { return woken_; })) {
                ADD_FAILURE() << "job " << job << " does not end";
                return {FL_ACCEL_REASON_EXECUTION, 0, 0};
            }
            woken_ = false;
        }
    }
    template <class Call>
    Outcome run(Call call) {
        const std::uint64_t job = number();
        return wait(job, call(job));
    }
    /// Waits until `wake` was called and something holds.
    template <class Condition>
    bool wait_until(Condition holds) {
        const auto until = std::chrono::steady_clock::now() + kForever;
        for (;;) {
            take();
            if (holds()) return true;
            std::unique_lock lock(mutex_);
            if (!changed_.wait_until(lock, until, [this] { return woken_; })) return false;
            woken_ = false;
        }
    }

    [[nodiscard]] bool has_ended(std::uint64_t job) {
        take();
        return ended_.count(job) != 0;
    }

    // --- the calls, waited for
    Outcome commit(const JobOwner& owner, std::uint64_t address, std::uint64_t bytes) {
        return run([&](auto job) { return executor_->commit(job, owner, address, bytes); });
    }
    Outcome scrub(const JobOwner& owner, std::uint64_t address, std::uint64_t bytes) {
        return run([&](auto job) { return executor_->scrub(job, owner, address, bytes); });
    }
    Outcome copy(const JobOwner& owner, std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
        return run([&](auto job) { return executor_->copy(job, owner, to, from, bytes, false); });
    }
    Outcome close(std::uint32_t context) {
        return run([&](auto job) { return executor_->close(job, context); });
    }
    /// Source through the aperture at `image`; the report behind it.
    Outcome load(const JobOwner& owner, std::uint32_t module, const std::string& source, std::uint64_t image,
                 const std::string& options = "", fl_accel_module_kind kind = FL_ACCEL_MODULE_OPENCL_C) {
        constexpr std::uint64_t kReport = 65536;
        std::memcpy(at(image), source.data(), source.size());
        backend::LoadRequest request;
        request.owner = owner;
        request.module = module;
        request.kind = kind;
        request.image_address = image;
        request.image_bytes = source.size();
        request.report_address = image + kReport;
        request.report_bytes = kReport;
        request.options = options;
        const Outcome outcome = run([&](auto job) { return executor_->load(job, request); });
        read_report(image + kReport);
        return outcome;
    }
    std::string names, log;  ///< of the last load()

    Outcome bind(const JobOwner& owner, std::uint32_t module, std::uint32_t kernel, const std::string& name,
                 std::uint64_t report = 0, std::uint64_t report_bytes = 0) {
        const backend::BindRequest request{owner, module, kernel, name, report, report_bytes};
        return run([&](auto job) { return executor_->bind(job, request); });
    }
    static LaunchRequest request(const JobOwner& owner, std::uint32_t kernel, const Arguments& arguments,
                                 std::uint32_t items, std::uint32_t block = 0) {
        LaunchRequest r;
        r.owner = owner;
        r.kernel = kernel;
        r.arguments = arguments.bytes();
        r.dimensions = 1;
        r.grid = {block == 0 ? items : items / block, 0, 0};
        r.block = {block, 0, 0};
        return r;
    }
    Outcome prepare(const LaunchRequest& r) {
        touches.clear();
        return executor_->prepare(r, touches);
    }
    AccessList touches;  ///< of the last prepare()
    Outcome launch(const LaunchRequest& r) {
        if (const auto outcome = prepare(r); !outcome.ok()) return outcome;
        return run([&](auto job) { return executor_->launch(job, r); });
    }

private:
    void take() {
        JobDone done;
        while (executor_->next_done(done)) ended_[done.job] = done.outcome;
    }
    void read_report(std::uint64_t address) {
        fl_accel_module_report head;
        std::memcpy(&head, at(address), sizeof head);
        const char* text = reinterpret_cast<const char*>(at(address)) + sizeof head;
        names.assign(text, head.names_bytes.get());
        log.assign(text + head.names_bytes.get(), head.log_bytes.get());
    }

    backend::WorkerExecutorOptions options_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool woken_ = false;
    std::map<std::uint64_t, Outcome> ended_;
    std::uint64_t next_ = 1;
    std::unique_ptr<Executor> executor_;  ///< last: ends before what `wake` uses
};

}  // namespace farlane::test

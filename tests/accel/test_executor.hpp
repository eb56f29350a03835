// SPDX-License-Identifier: Apache-2.0
// Receives: launches of a test. Hands on: results in device memory.
// Owns: a cpu executor of one instruction set. Knows the ops table and the contract only.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

#include "backend/executor.hpp"

namespace farlane::test {

/// Instruction sets that this processor can run.
inline std::vector<std::string> usable_isas() {
    std::vector<std::string> usable;
    for (const char* isa : {"portable", "avx2", "avx512"}) {
        backend::CpuExecutorOptions o;
        o.plan.aperture_bytes = 1 << 20;
        o.plan.contexts = 1;
        o.threads = 1;
        o.isa = isa;
        o.wake = [] {};
        if (backend::make_cpu_executor(o).ok()) usable.emplace_back(isa);
    }
    return usable;
}

inline fl_le32 f32(float value) {
    return fl_le32(std::bit_cast<std::uint32_t>(value));
}

/// An executor that runs one launch at a time.
class TestExecutor {
public:
    static constexpr std::uint64_t kAddress = 0x7'0000'0000;
    static constexpr std::uint64_t kBytes = 64 << 20;

    explicit TestExecutor(const std::string& isa, unsigned threads = 3) {
        backend::CpuExecutorOptions o;
        o.plan.address = kAddress;
        o.plan.aperture_bytes = kBytes;
        o.plan.contexts = 1;
        o.threads = threads;
        o.max_jobs = 4;
        o.isa = isa;
        o.wake = [this] {
            { const std::lock_guard lock(mutex_); }
            changed_.notify_all();
        };
        executor = make_cpu_executor(o).take();
        EXPECT_TRUE(executor->load(1, {}).value().ok());
    }
    /// Place for `count` elements in device memory, at an address that only their size aligns.
    template <class T>
    std::uint64_t place(std::size_t count) {
        next_ = (next_ + 4095) / 4096 * 4096 + sizeof(T);
        const std::uint64_t address = kAddress + next_;
        next_ += count * sizeof(T) + kGuard;
        EXPECT_LE(next_, kBytes);
        return address;
    }
    template <class T>
    std::uint64_t put(const std::vector<T>& data) {
        const std::uint64_t address = place<T>(data.size());
        if (!data.empty()) std::memcpy(at(address), data.data(), data.size() * sizeof(T));
        return address;
    }
    template <class T>
    std::vector<T> get(std::uint64_t address, std::size_t count) {
        std::vector<T> data(count);
        if (count > 0) std::memcpy(data.data(), at(address), count * sizeof(T));
        return data;
    }
    std::byte* at(std::uint64_t address) { return executor->memory().data() + (address - kAddress); }
    void reset() {
        std::memset(executor->memory().data(), 0, next_ + kGuard);
        next_ = 0;
    }

    template <class Args>
    backend::Outcome launch(const char* kernel, const Args& args) {
        const auto bound = bind(kernel);
        EXPECT_TRUE(bound.ok()) << kernel;
        EXPECT_EQ(bound.value, sizeof args);
        backend::LaunchRequest request;
        request.kernel = kHandle;
        request.arguments = std::as_bytes(std::span(&args, 1));
        backend::AccessList touches;
        const auto checked = executor->prepare(request, touches);
        if (!checked.ok()) return checked;
        if (const auto answer = executor->launch(1, request)) return *answer;
        return wait();
    }
    /// As kernel kHandle of context 0.
    backend::Outcome bind(const char* kernel) { return executor->bind(1, {{}, 1, kHandle, kernel, 0, 0}).value(); }
    backend::Outcome wait() {
        backend::JobDone done;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return executor->has_done(); });
        lock.unlock();
        EXPECT_TRUE(executor->next_done(done));
        return done.outcome;
    }
    static constexpr std::uint32_t kHandle = 1;
    std::unique_ptr<backend::Executor> executor;

private:
    static constexpr std::uint64_t kGuard = 256;
    std::uint64_t next_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// Receives: begins and ends of contexts, deadlines, bells and deaths of workers. Hands on: started and killed
// processes, `wake`. Owns: the processes, their folders and the thread that starts them.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend/worker/aperture.hpp"
#include "backend/worker/channel.hpp"
#include "backend/worker/janitor.hpp"
#include "backend/worker/process.hpp"

namespace farlane::backend::worker {

/// One thread for all contexts. It starts the workers, for they are told to end with the thread that started them.
class Watch {
public:
    struct Options {
        std::string program;
        std::string kind;  ///< for the command line of the workers
        std::string name;  ///< of the device, for the log
        std::function<void()> wake;
        std::function<void(std::string)> log;
    };
    Watch(std::vector<Channel>& channels, Aperture& aperture, Janitor& janitor, Options options);
    /// Kills and reaps all workers.
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // --- for the lane; all return at once
    void start(std::uint32_t context, Handle control);
    void kill(std::uint32_t context, Cause cause);
    /// The worker ends, its memory is emptied, then the job is done.
    void end(std::uint32_t context, std::uint64_t job);
    /// After a deadline was set.
    void deadline_set() noexcept {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (!timed_.load(std::memory_order_relaxed)) kick();
    }
    void kick() noexcept;

private:
    enum class What : std::uint32_t { kick, bell, death };
    struct Request {
        enum class Kind : std::uint8_t { start, kill, end } kind;
        std::uint32_t context = 0;
        Cause cause = Cause::none;
        std::uint64_t job = 0;
        Handle control;
    };
    struct Worker {
        Process process;
        Folder folder;
        Handle bell;
        Handle statm;
        Handle output;
        std::uint64_t rearm_ns = 0;  ///< when the bell may ring again; 0: it may
        std::uint64_t start_by_ns = 0;
        bool ending = false;
        std::uint64_t job = 0;  ///< of the end
    };

    void run(const std::stop_token& stop);
    void put(Request request);
    void serve();
    void serve(Request& request);
    void launch(std::uint32_t context, const Handle& control);
    [[nodiscard]] Result<bool> try_launch(std::uint32_t context, const Handle& control);
    void rang(std::uint32_t context);
    void died(std::uint32_t context);
    void finish(std::uint32_t context);
    void end_process(std::uint32_t context, Cause cause) noexcept;
    /// What is due in a context; hands on when something will be. 0 = never.
    [[nodiscard]] std::uint64_t look_at(std::uint32_t context, std::uint64_t now);
    [[nodiscard]] std::uint64_t look_at_bell(std::uint32_t context, std::uint64_t now);
    [[nodiscard]] std::uint64_t look_at_deadlines(std::uint32_t context, std::uint64_t now);
    [[nodiscard]] std::uint64_t look_at_all();
    [[nodiscard]] bool watch_for(int fd, What what, std::uint32_t context, std::uint32_t flags) noexcept;

    std::vector<Channel>& channels_;
    Aperture& aperture_;
    Janitor& janitor_;
    Options options_;
    Handle epoll_;
    Handle kick_;
    std::atomic<bool> timed_{false};  ///< it will look at the deadlines by itself
    std::mutex mutex_;
    std::vector<Request> requests_;  ///< guarded by mutex_
    std::vector<Worker> workers_;    ///< of the thread, as all below
    std::jthread thread_;            ///< last: ends before what it uses
};

}  // namespace farlane::backend::worker

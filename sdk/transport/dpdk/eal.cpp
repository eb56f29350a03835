// SPDX-License-Identifier: Apache-2.0
// Receives: what a device needs of DPDK. Hands on: an initialised EAL with its driver loaded.
// Owns: the EAL, once per process and for ever; its log.
#include "transport/dpdk/eal.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <vector>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

namespace farlane::transport::dpdk {
namespace {

namespace fs = std::filesystem;
constexpr const char* kDriverDir = RTE_EAL_PMD_PATH;
constexpr std::size_t kMaxLogBytes = 2000;
constexpr unsigned long kHugePagesWanted = 128;  // 256 MiB of 2 MiB pages

std::mutex log_mutex;
std::string last_log;
int quiet = 0;

// A peer that misbehaves in a loop fills no disk: 20 lines a minute.
bool may_print() {
    using Clock = std::chrono::steady_clock;
    static Clock::time_point minute;
    static int lines = 0;
    if (const auto now = Clock::now(); now - minute > std::chrono::minutes(1)) {
        minute = now;
        lines = 0;
    }
    return lines++ < 20;
}

ssize_t write_log(void*, const char* text, std::size_t size) {
    const std::lock_guard lock(log_mutex);
    last_log.append(text, size);
    if (last_log.size() > kMaxLogBytes) last_log.erase(0, last_log.size() - kMaxLogBytes);
    if (quiet == 0 && may_print()) (void)!std::fwrite(text, 1, size, stderr);
    return static_cast<ssize_t>(size);
}

// Its default stream is stdout and syslog; stdout belongs to the data of our tools.
void catch_log() {
    cookie_io_functions_t functions{};
    functions.write = write_log;
    std::FILE* const stream = ::fopencookie(nullptr, "w", functions);
    if (stream == nullptr) return;
    std::setvbuf(stream, nullptr, _IOLBF, 0);
    ::rte_openlog_stream(stream);
    ::rte_log_set_global_level(RTE_LOG_ERR);
}

unsigned long free_huge_pages() {
    std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    unsigned long n = 0;
    file >> n;
    return n;
}

std::string all_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::string list;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) list += (list.empty() ? "" : ",") + std::to_string(cpu);
    return "0@(" + list + ")";
}

// Debian's EAL loads its whole directory of drivers whatever -d says: 0.15 s, once.
std::vector<std::string> arguments(const std::string& extra, const std::string& pci) {
    std::vector<std::string> args = {"farlane", "--no-telemetry", "--log-level=*:error", "--lcores", all_cpus()};
    if (free_huge_pages() >= kHugePagesWanted)
        args.insert(args.end(), {"--in-memory", "--single-file-segments"});
    else
        args.insert(args.end(), {"--no-huge", "--no-shconf", "-m", "256"});
    if (pci.empty())
        args.emplace_back("--no-pci");
    else
        args.insert(args.end(), {"-a", pci});
    if (extra.find("--iova-mode") == std::string::npos) args.emplace_back("--iova-mode=va");
    std::istringstream words(extra);
    for (std::string word; words >> word;) args.push_back(word);
    return args;
}

Result<bool> init(const std::string& extra, const std::string& pci) {
    catch_log();
    std::vector<std::string> args = arguments(extra, pci);
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    const ThreadState keep;
    const Quiet hush;
    if (::rte_eal_init(static_cast<int>(args.size()), argv.data()) < 0)
        return {Status::io, std::string("DPDK does not start (") + ::rte_strerror(rte_errno) + "): " + take_log()};
    return true;
}

struct LcoreId {
    bool owned = false;
    ~LcoreId() {
        if (owned) ::rte_thread_unregister();
    }
};

}  // namespace

Result<bool> start_eal(const std::string& extra, const std::string& pci) {
    static const Result<bool> started = init(extra, pci);
    return started;
}

Result<bool> load_driver(const std::string& name) {
    static std::mutex mutex;
    static std::set<std::string> loaded;
    const std::lock_guard lock(mutex);
    if (loaded.contains(name)) return true;
    const fs::path file = fs::path(kDriverDir) / ("librte_" + name + ".so");
    // For ever: drivers register themselves with the EAL by constructors, and never leave it.
    if (::dlopen(file.c_str(), RTLD_NOW | RTLD_NODELETE) == nullptr)
        return {Status::not_found, std::string("the DPDK driver ") + name + " cannot be loaded: " + ::dlerror()};
    loaded.insert(name);
    return true;
}

std::string take_log() {
    const std::lock_guard lock(log_mutex);
    std::string text;
    text.swap(last_log);
    std::replace(text.begin(), text.end(), '\n', ' ');
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text.empty() ? "no reason given" : text;
}

Quiet::Quiet() {
    const std::lock_guard lock(log_mutex);
    ++quiet;
    last_log.clear();
}

Quiet::~Quiet() {
    const std::lock_guard lock(log_mutex);
    --quiet;
}

struct ThreadState::Saved {
    cpu_set_t affinity;
    sigset_t signals;
};

ThreadState::ThreadState() : saved_(new Saved) {
    ::pthread_getaffinity_np(::pthread_self(), sizeof saved_->affinity, &saved_->affinity);
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &saved_->signals);
}

ThreadState::~ThreadState() {
    // Drivers write to sockets of peers that are gone; that is no reason to end the program.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    const timespec at_once{};
    if (::sigismember(&saved_->signals, SIGPIPE) == 0) (void)::sigtimedwait(&pipe, nullptr, &at_once);
    ::pthread_setaffinity_np(::pthread_self(), sizeof saved_->affinity, &saved_->affinity);
    ::pthread_sigmask(SIG_SETMASK, &saved_->signals, nullptr);
    delete saved_;
}

void register_thread() noexcept {
    thread_local LcoreId id;
    if (id.owned || ::rte_lcore_id() != LCORE_ID_ANY) return;
    id.owned = ::rte_thread_register() == 0;
}

}  // namespace farlane::transport::dpdk

// SPDX-License-Identifier: Apache-2.0
// Receives: a pair of port strings and a measurement. Hands on: its numbers.
// Owns: the two processes of one measurement, each on a core of its own.
#include "pair.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "echo_device.hpp"
#include "lane/scratch_device.hpp"
#include "lane/target.hpp"

namespace farlane::bench {
namespace {

[[noreturn]] void serve(const PairConfig& config) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (config.pinned) pin_to(1);
    try {
        auto port = transport::open_port(config.target_port).take();
        lane::LaneConfig lane_config;
        lane_config.never_sleep = config.never_sleep;
        if (config.pinned) lane_config.spin = std::chrono::seconds(1);
        lane::Lane lane(lane_config);
        const auto memory = backend::process_memory();
        lane::TargetConfig target_config;
        target_config.session.instance.fill(1);
        target_config.session.name = "bench";
        target_config.session.integrity = config.integrity;
        lane::Target target(lane, target_config, *memory);
        target.listen(lane.add_port(std::move(port)));
        (void)target.add("scratch0", std::make_unique<test::ScratchDevice>());
        (void)target.add("echo0", std::make_unique<EchoDevice>());
        if (!config.executor.empty()) {
            backend::DeviceConfig accel{"accel0", "accel", {{"memory", "512M"}, {"executor", config.executor}}};
            if (config.executor != "cpu")
                accel.options.emplace_back("time_limit_ms", std::to_string(config.time_limit_ms));
            (void)target.add("accel0", backend::make_device(accel, *memory).take());
        }
        const std::stop_source never;
        lane.run(never.get_token());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bench target: %s\n", e.what());
    }
    _exit(1);
}

[[noreturn]] void work(const PairConfig& config, const std::function<std::vector<double>(Fabric&)>& measure, int out) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (config.pinned) pin_to(0);
    try {
        FabricOptions o;
        o.provider = ProviderKind::embedded;
        o.port = config.initiator_port;
        o.peer = config.peer;
        o.progress = Progress::caller;
        o.connect_timeout = std::chrono::seconds(20);
        o.integrity = config.integrity;
        auto fabric = Fabric::open(o);
        const auto numbers = measure(fabric);
        const auto bytes = numbers.size() * sizeof(double);
        if (write(out, numbers.data(), bytes) != static_cast<ssize_t>(bytes)) _exit(1);
        _exit(0);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bench initiator: %s\n", e.what());
    }
    _exit(1);
}

std::string read_all(int fd) {
    std::string all;
    char buffer[4096];
    for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<std::size_t>(n));
    close(fd);
    return all;
}

}  // namespace

void pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu % static_cast<int>(std::thread::hardware_concurrency()), &set);
    sched_setaffinity(0, sizeof set, &set);
}

TargetProcess::TargetProcess(const PairConfig& config) : pid_(fork()) {
    if (pid_ == 0) serve(config);
    if (pid_ < 0) throw std::runtime_error("fork");
}

TargetProcess::~TargetProcess() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

std::vector<double> measure_pair(const PairConfig& config, const std::function<std::vector<double>(Fabric&)>& measure) {
    const TargetProcess target(config);  // before the pipe, whose end it must not hold
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const pid_t initiator = fork();
    if (initiator == 0) work(config, measure, ends[1]);
    close(ends[1]);
    const auto raw = read_all(ends[0]);
    int status = 0;
    waitpid(initiator, &status, 0);
    if (status != 0 || raw.size() % sizeof(double) != 0) throw std::runtime_error("the measurement failed, see above");
    std::vector<double> numbers(raw.size() / sizeof(double));
    std::memcpy(numbers.data(), raw.data(), raw.size());
    return numbers;
}

}  // namespace farlane::bench

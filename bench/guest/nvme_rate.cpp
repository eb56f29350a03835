// SPDX-License-Identifier: Apache-2.0
// Receives: an attached NVMe function, how many commands at once and for how long. Hands on: what the SDK's own driver
// (sdk/tools/nvme_user) does of random 4 KiB reads or writes, as JSON on stdout. Owns: the function while it runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include <CLI/CLI.hpp>
#include <farlane/fabric.hpp>
#include <nlohmann/json.hpp>

#include "nvme_user/controller.hpp"
#include "nvme_user/nvme_over_sdk.hpp"

namespace farlane::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kBytes = 4096;
constexpr std::chrono::seconds kSilence{30};  ///< nothing completes for so long: the device hangs

struct Options {
    std::string function = "nvme1", socket;
    unsigned depth = 1;
    double seconds = 3;
    bool write = false, interrupts = false;
};

/// Keeps `depth` commands in flight, each with its own 4 KiB.
class Load {
public:
    Load(nvme_user::Controller& controller, nvme_user::SdkAccess& access, const Options& o)
        : controller_(controller), access_(access), options_(o), memory_(controller.allocate(o.depth * kBytes)) {
        per_command_ = kBytes / controller.space().block_bytes;
        places_ = controller.space().bytes() / kBytes;
        started_.resize(o.depth);
        for (unsigned i = 0; i < o.depth; ++i) free_.push_back(i);
    }

    nlohmann::json run() {
        const auto begin = Clock::now();
        const auto end = begin + std::chrono::duration<double>(options_.seconds);
        auto last = begin;
        for (auto now = begin; now < end; now = Clock::now()) {
            submit_all();
            if (take_all())
                last = now;
            else if (now - last > kSilence)
                throw Error(Status::timeout, "no command ends");
            else
                idle();
        }
        const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
        while (controller_.queue().in_flight() != 0)
            if (!take_all()) idle();
        return report(seconds);
    }

private:
    void submit_all() {
        auto& q = controller_.queue();
        if (free_.empty()) return;
        while (!free_.empty()) {
            const unsigned slot = free_.back();
            free_.pop_back();
            nvme_user::Command c;
            c.opcode = options_.write ? nvme_user::kWrite : nvme_user::kRead;
            c.nsid = 1;
            const std::uint64_t lba = random_() % places_ * per_command_;
            c.dw10 = static_cast<std::uint32_t>(lba);
            c.dw11 = static_cast<std::uint32_t>(lba >> 32);
            c.dw12 = per_command_ - 1;
            const auto id = q.submit(c, memory_, slot * kBytes, kBytes);
            if (slot_of_.size() <= id) slot_of_.resize(id + 1U);
            slot_of_[id] = slot;
            started_[slot] = Clock::now();
        }
        q.ring();
    }

    bool take_all() {
        bool any = false;
        while (const auto c = controller_.queue().poll()) {
            if (!c->ok()) throw Error(Status::io, nvme_user::status_text(c->status));
            const unsigned slot = slot_of_.at(c->cid);
            latency_us_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - started_[slot]).count());
            free_.push_back(slot);
            any = true;
        }
        return any;
    }

    void idle() {
        if (options_.interrupts) access_.wait_interrupt(controller_.queue().id(), std::chrono::milliseconds(100));
    }

    nlohmann::json report(double seconds) {
        if (latency_us_.empty()) throw Error(Status::timeout, "no command ended");
        std::sort(latency_us_.begin(), latency_us_.end());
        const auto at = [&](double p) {
            return latency_us_[static_cast<std::size_t>(p * static_cast<double>(latency_us_.size() - 1))];
        };
        return {{"function", options_.function},
                {"rw", options_.write ? "randwrite" : "randread"},
                {"depth", options_.depth},
                {"interrupts", options_.interrupts},
                {"seconds", seconds},
                {"commands", latency_us_.size()},
                {"iops", static_cast<double>(latency_us_.size()) / seconds},
                {"p50_us", at(0.5)},
                {"p99_us", at(0.99)}};
    }

    nvme_user::Controller& controller_;
    nvme_user::SdkAccess& access_;
    const Options& options_;
    nvme_user::Memory memory_;
    std::uint32_t per_command_ = 0;
    std::uint64_t places_ = 0;
    std::mt19937_64 random_{1};
    std::vector<unsigned> free_, slot_of_;
    std::vector<Clock::time_point> started_;
    std::vector<double> latency_us_;
};

int run(const Options& o) {
    FabricOptions fabric_options;
    fabric_options.socket = o.socket;
    auto fabric = Fabric::open(fabric_options);
    auto device = fabric.attach(o.function);
    nvme_user::SdkAccess access(device);
    nvme_user::Options options;
    options.interrupts = o.interrupts;
    options.queue_depth = std::max(64U, o.depth + 1);
    nvme_user::Controller controller(access, options);
    std::printf("%s\n", Load(controller, access, o).run().dump().c_str());
    return 0;
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    farlane::bench::Options o;
    CLI::App app{"Random 4 KiB commands of the SDK's own NVMe driver. docs/performance.md"};
    app.add_option("--function", o.function, "its name; nobody else holds it");
    app.add_option("--socket", o.socket, "of farlaned");
    app.add_option("--depth", o.depth, "commands at once")->check(CLI::Range(1U, 1000U));
    app.add_option("--seconds", o.seconds)->check(CLI::Range(0.1, 600.0));
    app.add_flag("--write", o.write, "writes instead of reads");
    app.add_flag("--interrupts", o.interrupts, "wait for MSI-X instead of polling");
    CLI11_PARSE(app, argc, argv);
    try {
        return farlane::bench::run(o);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "nvme_rate: %s\n", e.what());
        return 1;
    }
}

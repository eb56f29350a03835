// SPDX-License-Identifier: Apache-2.0
// Receives: how many operations. Hands on: one thread that does them at both ends, for callgrind to count.
// Owns: an initiator and a target on a loop: port; the target is turned from the initiator's lane, so nobody waits.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <farlane/accel.hpp>
#include <farlane/device.hpp>
#include <farlane/fabric.hpp>

#include "lane/scratch_device.hpp"
#include "lane/target.hpp"
#include "lib/embedded.hpp"

namespace farlane::bench {
namespace {

using D = test::ScratchDevice;
constexpr std::uint64_t kBatch = 32;  // posted writes between two turns, as an application that polls

/// A whole target as a task of the other end's lane.
class Beside final : public lane::Task {
public:
    Beside() : memory_(backend::process_memory()), target_(lane_, config(), *memory_) {
        target_.listen(lane_.add_port(transport::open_port("loop:cycles").take()));
        (void)target_.add("scratch0", std::make_unique<D>());
        (void)target_.add("accel0", backend::make_device({"accel0", "accel", {{"memory", "64M"}}}, *memory_).take());
    }
    bool turn(lane::Time) noexcept override { return lane_.turn(); }

private:
    static lane::TargetConfig config() {
        lane::TargetConfig c;
        c.session.instance.fill(1);
        c.session.name = "cycles";
        return c;
    }
    lane::Lane lane_;
    std::unique_ptr<backend::Memory> memory_;
    lane::Target target_;
};

}  // namespace

// The names are what cycles.py tells callgrind to count: one call each.
[[gnu::noinline]] void count_posted_writes(Device& d, provider::EmbeddedFabric& fabric, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) {
        d.write64(0, D::kScratch, i);
        if (i % kBatch == kBatch - 1) fabric.poll();
    }
    d.flush();
}

[[gnu::noinline]] void count_reads(Device& d, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) (void)d.read64(0, D::kIdent);
}

[[gnu::noinline]] void count_noops(accel::Stream& stream, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) stream.ping();
}

namespace {

int run(std::uint64_t n) {
    FabricOptions o;
    o.provider = ProviderKind::embedded;
    o.port = "loop:cycles";
    o.name = "cycles";
    o.progress = Progress::caller;
    o.keepalive = std::chrono::seconds(20);  // none falls into what is counted
    o.grace = std::chrono::seconds(60);
    Beside target;
    auto fabric = std::make_shared<provider::EmbeddedFabric>(o);
    fabric->lane().add(target);
    fabric->connect(o);
    Device d(fabric->attach("scratch0", AttachMode::alone));
    d.enable();
    for (int i = 0; i < 2000; ++i) {  // windows have grown, caches of this program are filled
        d.write64(0, D::kScratch, 1);
        (void)d.read64(0, D::kIdent);
    }
    d.flush();
    count_posted_writes(d, *fabric, n);
    count_reads(d, n);
    if (d.read64(0, D::kScratch) != n - 1) return std::fprintf(stderr, "the writes did not arrive\n"), 1;
    d.detach();
    {
        Device a(fabric->attach("accel0", AttachMode::alone));
        accel::Context context(a);
        auto& stream = context.stream();
        for (int i = 0; i < 2000; ++i) stream.ping();
        count_noops(stream, n);
    }
    fabric->lane().remove(target);
    return 0;
}

}  // namespace
}  // namespace farlane::bench

int main(int argc, char** argv) {
    const auto n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
    if (n < 1) return std::fprintf(stderr, "usage: hot_path OPERATIONS\n"), 2;
    try {
        return farlane::bench::run(n);
    } catch (const std::exception& e) {
        return std::fprintf(stderr, "hot_path: %s\n", e.what()), 1;
    }
}

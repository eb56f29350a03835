// SPDX-License-Identifier: Apache-2.0
// Receives: numbers of sessions and functions. Hands on: what a write on each in turn costs, and their memory.
// Owns: both ends in one thread on a loop: port, one initiator for each session.
#include "many.hpp"

#include "proto/slab.hpp"

#include <malloc.h>

#include <cstring>
#include <ctime>
#include <fstream>
#include <stdexcept>

namespace farlane::bench {
namespace {

constexpr unsigned kAtOnce = 32;                 // hellos: a target takes so many strangers
constexpr std::uint16_t kMostFunctions = 16384;  // of a target; the default is 4,096
constexpr std::size_t kPayload = 64;
constexpr auto kPatience = std::chrono::seconds(60);
constexpr double kMeasureNs = 3e8;
constexpr std::uint64_t kWritesPerLook = 1000;
constexpr std::uint16_t kMemoryAndBusMaster = 6;

double thread_ns() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}

// What is in use, not what is resident: an earlier measurement may have left memory to the allocator.
double bytes_in_use() {
    const auto heap = mallinfo2();
    double shared_kib = 0;  // memory of functions
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssShmem:")) shared_kib = std::stod(line.substr(9));
    return double(heap.uordblks) + double(heap.hblkhd) + double(proto::slab_bytes_in_use()) + shared_kib * 1024;
}

lane::InitiatorConfig initiator_config(unsigned i) {
    lane::InitiatorConfig c;
    c.session.instance.fill(2);
    std::memcpy(c.session.instance.data(), &i, sizeof i);
    c.session.name = "many-" + std::to_string(i);
    c.session.max_functions = kMostFunctions;
    c.attach_timeout = kPatience;
    return c;
}

lane::TargetConfig target_config() {
    lane::TargetConfig c;
    c.session.instance.fill(1);
    c.session.name = "many";
    c.session.max_functions = kMostFunctions;
    return c;
}

}  // namespace

/// 64 bytes of registers and a count of what was written: as small as a function can be.
class Many::Register final : public backend::Device {
public:
    explicit Register(Counted& counted) : counted_(counted) {}
    const fl_function_desc& describe() const noexcept override {
        static const fl_function_desc desc = [] {
            fl_function_desc d{};
            d.vendor_id.set(0x1d1d);
            d.device_id.set(0x0003);
            d.bar[0].size_bytes.set(4096);
            std::strcpy(d.model, "register");
            return d;
        }();
        return desc;
    }
    Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept override {
        for (auto& b : out) b = offset++ == 4 ? std::byte{command_} : std::byte{0};
        return Status::ok;
    }
    Status config_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept override {
        if (offset == 4 && (enables & 1) != 0) command_ = std::to_integer<std::uint8_t>(in[0]);
        return Status::ok;
    }
    Status bar_read(unsigned, std::uint64_t, std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), value_, std::min(out.size(), sizeof value_));
        return Status::ok;
    }
    Status bar_write(unsigned, std::uint64_t, std::span<const std::byte> in, std::uint8_t) noexcept override {
        std::memcpy(value_, in.data(), std::min(in.size(), sizeof value_));
        ++counted_.executed;
        return Status::ok;
    }
    void attached(backend::HostPort&) noexcept override {}
    void detached() noexcept override { command_ = 0; }
    void reset() noexcept override {}
    bool poll() noexcept override { return false; }
    [[nodiscard]] bool busy() const noexcept override { return false; }
    void read_done(std::uint64_t, Status) noexcept override {}
    void released(std::uint64_t) noexcept override {}
    void counters(const std::function<void(std::string_view, std::uint64_t)>&) const override {}

private:
    Counted& counted_;
    std::byte value_[kPayload] = {};
    std::uint8_t command_ = 0;
};

/// Counts answers: a posted write could overtake the configuration write that allows it.
class Many::Answers final : public lane::AttachmentSink {
public:
    void on_completion(std::uint64_t, Status status) noexcept override { good += status == Status::ok ? 1 : 0; }
    void on_released(std::uint64_t) noexcept override {}
    void on_interrupt(std::uint32_t) noexcept override {}
    void on_event(EventKind, const std::string&) noexcept override {}
    std::uint64_t good = 0;
};

void Many::turn() {
    near_lane_.turn();
    far_lane_.turn();
}

template <class Done>
void Many::turn_until(Done done, const char* what) {
    const auto end = lane::Lane::clock() + kPatience;
    while (!done()) {
        turn();
        if (near_lane_.now() > end) throw std::runtime_error(what);
    }
}

Many::Many(const std::string& name, unsigned sessions, unsigned functions_each)
    : sessions_(sessions),
      functions_each_(functions_each),
      answers_(std::make_unique<Answers>()),
      target_memory_(backend::process_memory()) {
    const auto url = "loop:" + name + "?depth=4096";  // a frame of each session has room
    target_ = std::make_unique<lane::Target>(far_lane_, target_config(), *target_memory_);
    target_->listen(far_lane_.add_port(transport::open_port(url).take()));
    const auto port = near_lane_.add_port(transport::open_port(url).take());
    const std::size_t functions = std::size_t{sessions} * functions_each;
    const double empty = bytes_in_use();
    for (std::size_t f = 0; f < functions; ++f)
        if (!target_->add("f" + std::to_string(f), std::make_unique<Register>(counted_)).ok())
            throw std::runtime_error("function f" + std::to_string(f) + " can not be exported");
    const double before = bytes_in_use();
    for (unsigned i = 0; i < sessions; ++i) {
        memories_.push_back(backend::process_memory());
        initiators_.push_back(std::make_unique<lane::Initiator>(near_lane_, initiator_config(i), *memories_.back()));
        initiators_.back()->connect(port, {}, name);
        if (i % kAtOnce != kAtOnce - 1 && i + 1 != sessions) continue;
        turn_until(
            [&] {
                return initiators_[i / kAtOnce * kAtOnce]->peers()[0].state == proto::SessionState::open &&
                       initiators_[i]->peers()[0].state == proto::SessionState::open;
            },
            "the sessions did not open");
    }
    const double with_sessions = bytes_in_use();
    bytes_per_session_ = (with_sessions - before) / sessions;
    attachments_.resize(functions);
    for (std::size_t f = 0; f < functions; ++f) {
        const auto function = "f" + std::to_string(f);
        initiators_[f / functions_each]->attach(function, [this, f](auto r) { attachments_[f] = r.take(); });
        turn_until([&] { return attachments_[f] != nullptr; }, "a function was not attached");
        attachments_[f]->set_sink(answers_.get());
        const proto::Tlp enable{.type = proto::TlpType::config_write, .length_bytes = 2, .address = 4};
        if (attachments_[f]->request(enable, std::as_bytes(std::span(&kMemoryAndBusMaster, 1)), {}, 0) != Status::ok)
            throw std::runtime_error("function " + function + " can not be enabled");
        turn_until([&] { return answers_->good == f + 1; }, "a function was not enabled");
    }
    (void)ns_per_write();  // every function has been used
    bytes_per_function_ =
        (bytes_in_use() - with_sessions + before - empty) / double(functions) - double(sizeof(Register));
}

Many::~Many() {
    for (auto& i : initiators_) i->close(false);
    for (int i = 0; i < 8; ++i) turn();
}

double Many::ns_per_write(unsigned in_flight) {
    const std::byte payload[kPayload] = {std::byte{1}};
    const proto::Tlp write{.type = proto::TlpType::memory_write, .bar = 0, .length_bytes = kPayload};
    std::uint64_t writes = 0, looked = 0;
    const double start = thread_ns();
    double now = start;
    do {
        const auto goal = counted_.executed + std::uint64_t{sessions_} * in_flight;
        for (unsigned s = 0; s < sessions_; ++s)
            for (unsigned n = 0; n < in_flight; ++n)
                if (attachments_[std::size_t{s} * functions_each_ + round_ % functions_each_]->submit(
                        write, payload, 0, false) != Status::ok)
                    throw std::runtime_error("a write was refused");
        turn_until([&] { return counted_.executed >= goal; }, "writes were not executed");
        writes += std::uint64_t{sessions_} * in_flight;
        ++round_;
        if (writes - looked < kWritesPerLook) continue;  // at the clock, which is a system call
        looked = writes;
        now = thread_ns();
    } while (now - start < kMeasureNs);
    return (now - start) / double(writes);
}

double Many::ns_per_idle_turn() {
    const double start = thread_ns();
    std::uint64_t turns = 0;
    for (; turns < 1000 || thread_ns() - start < 1e8; ++turns) turn();
    return (thread_ns() - start) / double(turns);
}

}  // namespace farlane::bench

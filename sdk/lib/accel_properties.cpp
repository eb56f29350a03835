// SPDX-License-Identifier: Apache-2.0
// Receives: questions about the accelerator. Hands on: what QUERY answers, all in one round trip.
// Owns: nothing. docs/accelerator.md, "Events" and "Modules and kernels" (reports).
#include <array>
#include <string>

#include <farlane/accel.hpp>

#include "lib/accel_copy.hpp"
#include "lib/accel_state.hpp"

namespace farlane::accel {
namespace detail {
namespace {

/// One question; its answer is 0 when the device does not offer the property.
class Question final : public CommandObject {
public:
    explicit Question(fl_accel_property property) : property_(property) {}
    [[nodiscard]] std::string describe() const override { return "property " + std::to_string(property_); }
    void completed(const CommandEnd& end) noexcept override { value = end.failure == nullptr ? end.value : 0; }
    std::uint64_t value = 0;

private:
    fl_accel_property property_;
};

fl_accel_command query_of(fl_accel_property property) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_QUERY;
    c.u.query.property.set(property);
    return c;
}

}  // namespace

void ContextState::query(std::span<const fl_accel_property> properties, std::span<std::uint64_t> values) {
    Queue& q = *queues_.front();
    std::vector<std::shared_ptr<Question>> questions;
    for (const auto property : properties) {
        auto c = query_of(property);
        questions.push_back(std::make_shared<Question>(property));
        Sink sink;
        sink.object = questions.back();
        submit(q, c, {}, "", 0, std::move(sink));
    }
    wait_for(q);
    for (std::size_t i = 0; i < questions.size(); ++i) values[i] = questions[i]->value;
}

/// In memory of its own, which is given back before anybody asks how much there is.
std::string ContextState::query_text(fl_accel_property property) {
    constexpr std::size_t kRoom = Reports::kModuleBytes;
    std::erase_if(parked_, [](const Parked& p) { return p.use.done(); });
    Queue& q = *queues_.front();
    const auto report = allocate(kRoom, Place::aperture);
    auto memory = provider().domain().allocate(kRoom);
    auto mapping = provider().domain().map(memory, DmaDirection::from_device);
    auto c = query_of(property);
    c.u.query.report_address.set(report->address);
    c.u.query.report_bytes.set(kRoom);
    auto question = std::make_shared<Question>(property);
    Sink sink;
    sink.object = question;
    submit(q, c, {}, "", 0, std::move(sink));
    auto copy = copy_command(FL_ACCEL_COPY_DEVICE_TO_HOST, mapping.iova(), report->address, kRoom);
    const Use use{&q, submit(q, copy, {}, "of a report", 0)};
    report->uses.note(q, use.ticket);
    try {
        wait_for(use);
    } catch (...) {
        parked_.push_back({use, RawHostBuffer(std::move(memory), std::move(mapping))});
        throw;
    }
    provider().check();
    const auto bytes = memory.bytes().first(std::min<std::uint64_t>(question->value, kRoom));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace detail

namespace {

const char* executor_name(std::uint32_t kind) noexcept {
    switch (kind) {
        case FL_ACCEL_EXECUTOR_CPU: return "cpu";
        case FL_ACCEL_EXECUTOR_OPENCL: return "opencl";
        case FL_ACCEL_EXECUTOR_CUDA: return "cuda";
        default: return "unknown";
    }
}

/// The text up to the next zero; takes it away.
std::string next_text(std::string_view& rest) {
    const auto end = std::min(rest.find('\0'), rest.size());
    std::string text(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return text;
}

}  // namespace

Properties Context::properties() {
    auto& s = state();
    const auto held = s.hold();
    s.check_open();
    const auto& r = s.device().registers();
    constexpr std::array kAsked{
        FL_ACCEL_PROPERTY_UNITS,           FL_ACCEL_PROPERTY_MEMORY_TOTAL,    FL_ACCEL_PROPERTY_MEMORY_FREE,
        FL_ACCEL_PROPERTY_MEMORY_CONTEXT,  FL_ACCEL_PROPERTY_KERNELS_RUN,     FL_ACCEL_PROPERTY_BUSY_NS,
        FL_ACCEL_PROPERTY_CONTEXT_KERNELS, FL_ACCEL_PROPERTY_CONTEXT_BUSY_NS, FL_ACCEL_PROPERTY_WORKER_BYTES,
        FL_ACCEL_PROPERTY_LOCAL_FREE,      FL_ACCEL_PROPERTY_ENERGY_UJ};
    const std::string& names = s.names();
    std::array<std::uint64_t, kAsked.size()> v{};
    s.query(kAsked, v);
    Properties p;
    p.executor = executor_name(r.executor.get());
    p.units = static_cast<std::uint32_t>(v[0]);
    p.memory_bytes = v[1];
    p.memory_free_bytes = v[2];
    p.memory_context_bytes = v[3];
    p.kernels_run = v[4];
    p.busy = std::chrono::nanoseconds(v[5]);
    p.context_kernels = v[6];
    p.context_busy = std::chrono::nanoseconds(v[7]);
    p.worker_bytes = v[8];
    p.local_bytes = r.local_bytes.get();
    p.local_free_bytes = v[9];
    if ((r.capabilities.get() & FL_ACCEL_CAP_ENERGY) != 0) p.energy_uj = v[10];
    p.time_limit = std::chrono::milliseconds(r.time_limit_ms.get());
    p.max_streams = r.max_queues.get();
    std::string_view rest = names;
    p.device_name = next_text(rest);
    p.vendor = next_text(rest);
    p.driver_version = next_text(rest);
    return p;
}

}  // namespace farlane::accel

// SPDX-License-Identifier: Apache-2.0
// Receives: records about memory, modules and kernels. Hands on: their outcomes, reports in device memory. Owns:
// loop.hpp.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/worker/program/loop.hpp"

namespace farlane::backend::worker {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Writes parts one after the other, as far as the room goes.
class Report {
public:
    Report(std::uint64_t address, std::uint64_t room) noexcept
        : to_(reinterpret_cast<std::byte*>(address)), room_(address == 0 ? 0 : room) {}
    void put(std::span<const std::byte> part) noexcept {
        const std::size_t bytes = std::min<std::uint64_t>(part.size(), room_);
        if (bytes != 0) std::memcpy(to_, part.data(), bytes);
        to_ += bytes;
        room_ -= bytes;
    }

private:
    std::byte* to_;
    std::uint64_t room_;
};

}  // namespace

void Loop::reply(const Token& token, const Outcome& outcome, std::span<const std::byte> more) noexcept {
    const SayDone said{token, outcome.reason, outcome.detail, outcome.value, 0};
    outbox_.say(Say::done, {bytes_of(said), more});
}

// --- memory

void Loop::commit(const AskMemory& ask) {
    const bool shown = memory_.contains(ask.address, ask.bytes);
    if (shown && !memory_.open(ask.address, ask.bytes)) return reply(ask.token, {FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0});
    const Ticket ticket{ask.token, 0, 0, 0};
    streams_.begun(ticket.stream);
    const auto answer = runtime_.commit(ticket, ask.address, ask.bytes);
    if (!answer) return;
    if (!answer->ok() && shown) memory_.shut(ask.address, ask.bytes);
    streams_.done(ticket, *answer, 0);
}

void Loop::decommit(const AskMemory& ask) {
    runtime_.decommit(ask.address);
    memory_.shut(ask.address, ask.bytes);
    reply(ask.token, {});
}

// --- modules

void Loop::load(std::span<const std::byte> payload) {
    AskLoad ask;
    if (!take(payload, ask) || payload.size() < ask.options_bytes) std::abort();
    const bool builtin = ask.kind == FL_ACCEL_MODULE_BUILTIN;
    if (!builtin && !memory_.contains(ask.image_address, ask.image_bytes)) {
        return reply(ask.token, {FL_ACCEL_REASON_BAD_ADDRESS, 0, 0});
    }
    const auto* image = reinterpret_cast<const std::byte*>(ask.image_address);
    loading_.insert(std::uint64_t{ask.token.generation} << 32 | ask.token.slot);
    builder_.put({ask, {image, image + ask.image_bytes}, text_of(payload.first(ask.options_bytes))});
}

bool Loop::take_built() {
    if (!builder_.has_finished()) return false;
    Builder::Finished finished = builder_.take();
    const AskLoad& ask = finished.ask;
    Built& built = finished.built;
    if (loading_.erase(std::uint64_t{ask.token.generation} << 32 | ask.token.slot) == 0) {  // canceled
        outbox_.say(Say::built, {});
        return true;
    }
    Report report(ask.report_address, ask.report_bytes);
    report.put(bytes_of(fl_accel_module_report{fl_le32(static_cast<std::uint32_t>(built.names.size())),
                                               fl_le32(static_cast<std::uint32_t>(built.log.size()))}));
    report.put(std::as_bytes(std::span(built.names)));
    report.put(std::as_bytes(std::span(built.log)));
    if (built.outcome.ok()) modules_[ask.module] = std::move(built.module);
    reply(ask.token, built.outcome);
    return true;
}

void Loop::unload(std::uint32_t module) {
    std::erase_if(kernels_, [&](const auto& k) { return k.second.module == module; });
    modules_.erase(module);
}

void Loop::bind(std::span<const std::byte> payload) {
    AskBind ask;
    if (!take(payload, ask) || payload.size() < ask.name_bytes) std::abort();
    const auto module = modules_.find(ask.module);
    if (module == modules_.end()) return reply(ask.token, {FL_ACCEL_REASON_BAD_HANDLE, ask.module, 0});
    Bound bound = runtime_.bind(*module->second, text_of(payload.first(ask.name_bytes)));
    if (bound.outcome.ok() && bound.arguments.size() > kMaxArguments) {
        bound.outcome = {FL_ACCEL_REASON_ARGUMENT_COUNT, static_cast<std::uint32_t>(bound.arguments.size()), 0};
    }
    if (!bound.outcome.ok()) return reply(ask.token, bound.outcome);
    bound.report.arguments = fl_le32(static_cast<std::uint32_t>(bound.arguments.size()));
    bound.report.argument_report_bytes = fl_le32(sizeof(fl_accel_argument_report));
    std::vector<std::byte> all;
    const auto head = bytes_of(bound.report);
    all.insert(all.end(), head.begin(), head.end());
    const auto arguments = std::as_bytes(std::span(bound.arguments));
    all.insert(all.end(), arguments.begin(), arguments.end());
    Report(ask.report_address, ask.report_bytes).put(all);
    if (!bound.arguments_known) bound.outcome.value = kUnknownArguments;
    kernels_[ask.kernel] = {ask.module, std::move(bound.kernel)};
    reply(ask.token, bound.outcome, all);
}

}  // namespace farlane::backend::worker

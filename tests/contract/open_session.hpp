// SPDX-License-Identifier: Apache-2.0
// Receives: records of a made-up peer. Hands on: an open session with one bound function, to
// feed them to. Owns: both. Path 3, session 0x11223344 and function 5.9, as in codec_frames.hpp.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "proto/codec.hpp"
#include "proto/function.hpp"
#include "proto/session.hpp"

namespace farlane::test {

using proto::Drop;
using proto::Function;
using proto::FunctionHandle;
using proto::Time;
using proto::Tlp;
using proto::TlpType;

/// Notes what the function does, and that it does so as docs/wire.md says. A breach is reported
/// through `broken`, which does nothing else.
class WatchingFunction : public proto::FunctionHandler {
public:
    void on_posted(Function&, const Tlp& tlp, std::span<const std::byte> payload) noexcept override {
        watch(payload.size() == tlp.length_bytes, "a strict record is whole");
        watch(proto::check_tlp(tlp) == proto::kNoDrop, "what is executed is valid");
        watch(tlp.sequence > last_posted, "strict records are executed in order, once");
        last_posted = tlp.sequence;
        ++posted;
    }
    void on_relaxed(Function&, const Tlp& tlp, std::uint32_t offset_bytes,
                    std::span<const std::byte> payload) noexcept override {
        watch(tlp.relaxed() && tlp.type == TlpType::memory_write, "only relaxed writes are placed early");
        watch(offset_bytes + payload.size() <= tlp.length_bytes, "a part lies within its record");
        ++relaxed;
    }
    proto::Answer on_request(Function&, const Tlp& tlp, std::span<const std::byte>, proto::RequestId,
                             std::span<std::byte> result, Status& status) noexcept override {
        watch(tlp.sequence == last_request + 1, "requests are executed in order, once");
        last_request = tlp.sequence;
        std::fill(result.begin(), result.end(), std::byte{0x5a});
        status = tlp.address % 16 == 8 ? Status::unsupported_request : Status::ok;
        ++requests;
        return tlp.address % 64 == 0 ? proto::Answer::by_fetch : proto::Answer::done;
    }
    [[nodiscard]] Status fetch(Function&, std::uint64_t, std::uint32_t, std::uint32_t,
                               std::span<std::byte> out) noexcept override {
        std::fill(out.begin(), out.end(), std::byte{0xa5});
        return Status::ok;
    }
    void on_completion(Function&, std::uint64_t cookie, Status) noexcept override {
        watch(outstanding.erase(cookie) == 1, "a request completes exactly once");
    }
    void on_released(Function&, std::uint64_t cookie) noexcept override {
        watch(cookie > last_released, "posted records are released in order");
        last_released = cookie;
    }
    void on_event(Function&, proto::FunctionEvent, const Tlp*) noexcept override {}

    const char* broken = nullptr;
    std::set<std::uint64_t> outstanding;
    std::uint64_t last_posted = 0, last_request = 0, last_released = 0;
    std::uint64_t posted = 0, relaxed = 0, requests = 0;

private:
    void watch(bool condition, const char* what) noexcept {
        if (!condition && broken == nullptr) broken = what;
    }
};

/// Refuses every attachment, counts the rest.
class CountingOwner : public proto::SessionHandler {
public:
    void on_state(proto::Session&, proto::SessionState, Status) noexcept override { ++calls; }
    void on_list(proto::Session& s, std::uint32_t request) noexcept override {
        ++calls;
        s.send_list_reply(request, 0, 0, {});
    }
    void on_list_reply(proto::Session&, std::uint32_t, unsigned, unsigned, const fl_function_desc&) noexcept override {
        ++calls;
    }
    void on_attach(proto::Session& s, const proto::AttachRequest& r) noexcept override {
        ++calls;
        proto::AttachReply reply;
        reply.request = r.request;
        reply.status = Status::not_found;
        s.send_attach_reply(reply);
    }
    void on_attach_reply(proto::Session&, const proto::AttachReply&) noexcept override { ++calls; }
    void on_detach(proto::Session& s, std::uint32_t request, FunctionHandle h, Status) noexcept override {
        ++calls;
        s.send_detach_reply(request, h, Status::not_found);
    }
    void on_detach_reply(proto::Session&, std::uint32_t, FunctionHandle, Status) noexcept override { ++calls; }
    void on_event(proto::Session&, unsigned, FunctionHandle, const fl_function_desc&) noexcept override { ++calls; }
    unsigned calls = 0;
};

class OpenSession {
public:
    static constexpr std::uint32_t kSession = 0x11223344;
    static constexpr proto::PathId kPath = 3;
    static constexpr FunctionHandle kHandle{5, 9};

    OpenSession() : memory_(std::make_unique<proto::FunctionMemory>()) {
        proto::SessionConfig config;
        config.session_id = kSession;
        config.name = "test";
        config.instance = {1};
        proto::Hello hello;
        hello.peer.instance = {2};
        hello.peer.incarnation = 1;
        hello.peer.features = FL_FEATURE_RELAXED_ORDERING;
        hello.peer.keepalive = std::chrono::seconds(1);
        hello.session_id = 0x77;
        hello.version_min = hello.version_max = FL_WIRE_VERSION;
        hello.path = kPath;
        hello.max_frame_bytes = 1500;
        proto::PathConfig path;
        path.max_frame_bytes = 1500;
        session_ =
            std::make_unique<proto::Session>(config, owner, std::make_unique<proto::ClearSeal>(), hello, path, now);
        memory_->create(kHandle);
        function_ = std::make_unique<Function>(*memory_, watcher, proto::FunctionLimits{});
        drain();
        feed([](proto::FrameWriter& w) { return w.control(FL_CONTROL_KEEPALIVE, 0, fl_control{}); });
        (void)session_->bind(*function_, std::nullopt, now);
        drain();
    }

    [[nodiscard]] proto::Session& session() { return *session_; }
    [[nodiscard]] Function& function() { return *function_; }
    [[nodiscard]] std::uint64_t drops(Drop d) const { return session_->counters().drops[static_cast<unsigned>(d)]; }

    /// A sealed frame of the peer's next packet, with what `fill` writes.
    template <class Fill>
    [[nodiscard]] std::vector<std::byte> frame(Fill&& fill) {
        std::vector<std::byte> out(FL_FRAME_MAX_BYTES);
        proto::FrameWriter w;
        w.begin(out, kSession, kPath, next_packet_++, 0, 0, FL_FRAME_CRC_BYTES);
        fill(w);
        out.resize(w.finish());
        reseal(out);
        return out;
    }
    static void reseal(std::vector<std::byte>& frame) {
        proto::ClearSeal seal;
        seal.seal(frame, 0);
    }
    void arrive(std::vector<std::byte> bytes) { session_->on_frame(bytes, kPath, now); }
    template <class Fill>
    void feed(Fill&& fill) {
        arrive(frame(std::forward<Fill>(fill)));
    }
    /// Frames that the session builds now, at most `most`; each is checked by the parser.
    /// nullptr = all are good, else what is wrong.
    const char* drain(unsigned most = 64) {
        std::vector<std::byte> out(FL_FRAME_MAX_BYTES);
        for (; most != 0; --most) {
            const auto built = session_->build(out, now);
            if (built.bytes == 0) return nullptr;
            if (built.bytes > out.size()) return "a frame fits its buffer";
            ++built_frames;
            if (const char* wrong = check_built(std::span(out).first(built.bytes))) return wrong;
        }
        return nullptr;
    }

    Time now{std::chrono::seconds(1)};
    CountingOwner owner;
    WatchingFunction watcher;
    std::uint64_t built_frames = 0;

private:
    static const char* check_built(std::span<std::byte> frame) {
        proto::Header h;
        proto::ClearSeal seal;
        if (proto::parse_header(frame, h) != proto::kNoDrop) return "a frame that is built has a good header";
        if (h.frame_bytes != frame.size() || !seal.open(frame, h.packet_number))
            return "a frame that is built is sealed";
        proto::RecordReader reader(proto::records_of(frame, h));
        proto::Record r;
        for (auto n = reader.next(r); n != proto::Next::end; n = reader.next(r))
            if (n == proto::Next::bad) return "a record that is written can be read";
        return nullptr;
    }

    std::unique_ptr<proto::FunctionMemory> memory_;
    std::unique_ptr<proto::Session> session_;
    std::unique_ptr<Function> function_;
    std::uint64_t next_packet_ = 1;
};

}  // namespace farlane::test

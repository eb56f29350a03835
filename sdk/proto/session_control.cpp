// SPDX-License-Identifier: Apache-2.0
// Receives: control records. Hands on: events to the session's owner, control records of this
// side. Owns: the table of what may come when. Cold. docs/wire.md, "Control records".
#include <cstring>

#include "proto/session_core.hpp"

namespace farlane::proto {

// Functions are asked for by the initiating side and described by the accepting one. A session
// that was silent is open again before its records are read, so both have one row.
Verdict control_verdict(bool initiating, SessionState state, std::uint8_t type) noexcept {
    if (state == SessionState::idle || state == SessionState::closed) return Verdict::ignore;
    const bool waits = initiating && state == SessionState::hello;  // for HELLO_ACK: nobody is known yet
    switch (type) {
        case FL_CONTROL_HELLO: return waits ? Verdict::ignore : Verdict::close;  // only in frames of session 0
        case FL_CONTROL_HELLO_ACK:
        case FL_CONTROL_HELLO_REJECT: return initiating ? Verdict::take : Verdict::close;
        case FL_CONTROL_BYE: return Verdict::take;
        case FL_CONTROL_KEEPALIVE:
        case FL_CONTROL_PROBE:
        case FL_CONTROL_DETACH:
        case FL_CONTROL_DETACH_REPLY: return waits ? Verdict::ignore : Verdict::take;
        case FL_CONTROL_LIST:
        case FL_CONTROL_ATTACH: return waits ? Verdict::ignore : initiating ? Verdict::close : Verdict::take;
        case FL_CONTROL_LIST_REPLY:
        case FL_CONTROL_ATTACH_REPLY:
        case FL_CONTROL_EVENT: return waits ? Verdict::ignore : initiating ? Verdict::take : Verdict::close;
        default: return waits ? Verdict::ignore : Verdict::close;  // KEY_PHASE: there are no keys yet
    }
}

bool SessionCore::on_control(const ControlRecord& c, Path& p, Time now) noexcept {
    switch (control_verdict(initiating, state, c.type)) {
        case Verdict::take: break;
        case Verdict::ignore: counters.drop(Drop::control_state); return false;
        case Verdict::close:
            counters.drop(Drop::control_state);
            close(Status::protocol, true);
            return false;
    }
    switch (c.type) {
        case FL_CONTROL_HELLO_ACK: return on_hello_ack(c.as<fl_control_hello>(), p, now);
        case FL_CONTROL_HELLO_REJECT: return on_hello_reject(c.as<fl_control_status>(), p);
        case FL_CONTROL_KEEPALIVE:
            p.ack_now = asked = true;
            due |= kDuePath | kDueAllCredits;  // what this frame executes is listed at its end
            return true;
        case FL_CONTROL_PROBE:
            p.ack_now = true;
            due |= kDuePath;
            return true;
        case FL_CONTROL_BYE: close(status_from_code(c.as<fl_control_status>().status.get()), false); return true;
        default: return deliver_control(c);
    }
}

bool SessionCore::deliver_control(const ControlRecord& c) noexcept {
    switch (control_in.take(c)) {
        case ControlReceiver::Verdict::deliver: break;
        case ControlReceiver::Verdict::kept:
        case ControlReceiver::Verdict::duplicate: return true;
        case ControlReceiver::Verdict::beyond: counters.drop(Drop::control_sequence); return false;
    }
    dispatch(c);
    for (auto next = control_in.advance(); !next.empty() && state != SessionState::closed;
         next = control_in.advance()) {
        fl_control head;
        std::memcpy(&head, next.data(), sizeof(head));
        dispatch({head.head.type, head.sequence.get(), next});
    }
    return true;
}

namespace {

FunctionHandle handle_of(const auto& body) noexcept {
    return {body.function_index.get(), body.function_generation.get()};
}

void copy_counts(std::array<std::uint64_t, kClasses>& out, const fl_le64 (&in)[kClasses]) noexcept {
    for (unsigned c = 0; c < kClasses; ++c) out[c] = in[c].get();
}

AttachRequest decode(const fl_control_attach& a) {
    AttachRequest r;
    r.request = a.request.get();
    r.name = read_name(a.name);
    r.resume = (a.flags.get() & FL_ATTACH_RESUME) != 0;
    r.origin_lost = (a.flags.get() & FL_ATTACH_ORIGIN_LOST) != 0;
    r.handle = handle_of(a);
    copy_counts(r.released, a.released);
    r.completion_timeout = std::chrono::milliseconds(a.completion_timeout_ms.get());
    r.lease_epoch = a.lease_epoch.get();
    return r;
}

AttachReply decode(const fl_control_attach_reply& a) {
    AttachReply r;
    r.request = a.request.get();
    r.status = status_from_code(a.status.get());
    r.handle = handle_of(a);
    r.kept = (a.flags.get() & FL_ATTACH_KEPT) != 0;
    r.origin_lost = (a.flags.get() & FL_ATTACH_ORIGIN_LOST) != 0;
    copy_counts(r.released, a.released);
    r.desc = a.desc;
    return r;
}

}  // namespace

void SessionCore::dispatch(const ControlRecord& c) noexcept {
    switch (c.type) {
        case FL_CONTROL_LIST: handler.on_list(self, c.as<fl_control_status>().request.get()); break;
        case FL_CONTROL_LIST_REPLY: {
            const auto r = c.as<fl_control_list_reply>();
            handler.on_list_reply(self, r.request.get(), r.index.get(), r.count.get(), r.desc);
            break;
        }
        case FL_CONTROL_ATTACH: handler.on_attach(self, decode(c.as<fl_control_attach>())); break;
        case FL_CONTROL_ATTACH_REPLY: {
            const auto raw = c.as<fl_control_attach_reply>();
            const AttachReply r = decode(raw);
            limits_told.valid = r.status == Status::ok;
            limits_told.credit.handle = r.handle;
            limits_told.credit.released = r.released;
            copy_counts(limits_told.credit.header_limit, raw.header_limit);
            copy_counts(limits_told.credit.data_limit, raw.data_limit);
            handler.on_attach_reply(self, r);
            break;
        }
        case FL_CONTROL_DETACH: {
            const auto d = c.as<fl_control_detach>();
            handler.on_detach(self, d.request.get(), handle_of(d), status_from_code(d.status.get()));
            break;
        }
        case FL_CONTROL_DETACH_REPLY: {
            const auto d = c.as<fl_control_detach>();
            handler.on_detach_reply(self, d.request.get(), handle_of(d), status_from_code(d.status.get()));
            break;
        }
        case FL_CONTROL_EVENT: {
            const auto e = c.as<fl_control_event>();
            handler.on_event(self, e.code.get(), handle_of(e), e.desc);
            break;
        }
        default: break;
    }
}

// --- sending

namespace {

void set_handle(auto& body, FunctionHandle h) noexcept {
    body.function_index.set(h.index);
    body.function_generation.set(h.generation);
}

void set_counts(fl_le64 (&out)[kClasses], const std::array<std::uint64_t, kClasses>& in) noexcept {
    for (unsigned c = 0; c < kClasses; ++c) out[c].set(in[c]);
}

std::uint32_t status_code(Status s) noexcept {
    return static_cast<std::uint32_t>(s);
}

}  // namespace

void Session::send_list(std::uint32_t request) noexcept {
    fl_control_status body{};
    body.request.set(request);
    state_->send_control(FL_CONTROL_LIST, body);
}

void Session::send_list_reply(std::uint32_t request, unsigned index, unsigned count,
                              const fl_function_desc& desc) noexcept {
    fl_control_list_reply body{};
    body.request.set(request);
    body.index.set(static_cast<std::uint16_t>(index));
    body.count.set(static_cast<std::uint16_t>(count));
    if (count != 0) body.desc = desc;
    state_->send_control(FL_CONTROL_LIST_REPLY, body);
}

void Session::send_attach(const AttachRequest& r) noexcept {
    fl_control_attach body{};
    body.request.set(r.request);
    if (r.resume) {
        set_handle(body, r.handle);
        set_counts(body.released, r.released);
        body.flags.set(FL_ATTACH_RESUME | (r.origin_lost ? FL_ATTACH_ORIGIN_LOST : 0));
    }
    body.completion_timeout_ms.set(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(r.completion_timeout).count()));
    body.lease_epoch.set(r.lease_epoch);
    write_name(body.name, r.name);
    state_->send_control(FL_CONTROL_ATTACH, body);
}

// A function that is bound already tells its limits with the reply: its peer can begin at once.
void Session::send_attach_reply(const AttachReply& r) noexcept {
    fl_control_attach_reply body{};
    body.request.set(r.request);
    body.status.set(status_code(r.status));
    set_handle(body, r.handle);
    body.flags.set((r.kept ? FL_ATTACH_KEPT : 0) | (r.origin_lost ? FL_ATTACH_ORIGIN_LOST : 0));
    set_counts(body.released, r.released);
    if (Function* f = r.status == Status::ok ? find(r.handle) : nullptr) {
        CreditRecord limits;
        core_of(*f).limits_now(limits);
        set_counts(body.header_limit, limits.header_limit);
        set_counts(body.data_limit, limits.data_limit);
    }
    if (r.status == Status::ok || r.status == Status::busy) body.desc = r.desc;  // busy: it names the holder
    state_->send_control(FL_CONTROL_ATTACH_REPLY, body);
}

void Session::send_detach(std::uint32_t request, FunctionHandle h, Status why) noexcept {
    fl_control_detach body{};
    body.request.set(request);
    set_handle(body, h);
    body.status.set(status_code(why));
    state_->send_control(FL_CONTROL_DETACH, body);
}

void Session::send_detach_reply(std::uint32_t request, FunctionHandle h, Status status) noexcept {
    fl_control_detach body{};
    body.request.set(request);
    set_handle(body, h);
    body.status.set(status_code(status));
    state_->send_control(FL_CONTROL_DETACH_REPLY, body);
}

void Session::send_event(unsigned event_code, FunctionHandle h, const fl_function_desc& desc) noexcept {
    fl_control_event body{};
    body.code.set(static_cast<std::uint16_t>(event_code));
    set_handle(body, h);
    body.desc = desc;
    state_->send_control(FL_CONTROL_EVENT, body);
}

}  // namespace farlane::proto

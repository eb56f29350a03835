// SPDX-License-Identifier: Apache-2.0
// Receives: what sessions tell their owners. Hands on: nothing. Owns: nothing: an owner who says nothing.
#pragma once

#include "proto/session.hpp"

namespace farlane::proto::test {

class SilentHandler : public SessionHandler {
public:
    void on_state(Session&, SessionState, Status) noexcept override {}
    void on_list(Session&, std::uint32_t) noexcept override {}
    void on_list_reply(Session&, std::uint32_t, unsigned, unsigned, const fl_function_desc&) noexcept override {}
    void on_attach(Session&, const AttachRequest&) noexcept override {}
    void on_attach_reply(Session&, const AttachReply&) noexcept override {}
    void on_detach(Session&, std::uint32_t, FunctionHandle, Status) noexcept override {}
    void on_detach_reply(Session&, std::uint32_t, FunctionHandle, Status) noexcept override {}
    void on_event(Session&, unsigned, FunctionHandle, const fl_function_desc&) noexcept override {}
};

}  // namespace farlane::proto::test

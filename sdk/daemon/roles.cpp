// SPDX-License-Identifier: Apache-2.0
// Receives: who is connected, as the kernel says. Hands on: what they may do. Owns: the rule.
// docs/control-socket.md, "Who may do what".
#include <unistd.h>

#include "daemon/control_server.hpp"

namespace farlane::daemon {

// Who can open the socket is decided by its mode and group. A table of users and roles in the
// configuration plugs in here; `view` is for it.
Role role_of(uid_t uid, gid_t) noexcept {
    return uid == 0 || uid == ::geteuid() ? Role::admin : Role::operate;
}

const char* role_name(Role r) noexcept {
    switch (r) {
        case Role::view: return "view";
        case Role::operate: return "operate";
        case Role::admin: return "admin";
    }
    return "operate";
}

}  // namespace farlane::daemon

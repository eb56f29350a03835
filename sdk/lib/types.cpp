// SPDX-License-Identifier: Apache-2.0
// Receives: enumerations of the API. Hands on: their names. Owns: nothing.
#include <farlane/types.hpp>

namespace farlane {

const char* event_name(EventKind kind) noexcept {
    switch (kind) {
        case EventKind::added: return "added";
        case EventKind::removed: return "removed";
        case EventKind::attached: return "attached";
        case EventKind::detached: return "detached";
        case EventKind::link_up: return "link_up";
        case EventKind::link_down: return "link_down";
        case EventKind::timeout: return "timeout";
        case EventKind::resumed: return "resumed";
        case EventKind::device_reset: return "device_reset";
        case EventKind::device_lost: return "device_lost";
        case EventKind::error: return "error";
        case EventKind::path_up: return "path_up";
        case EventKind::path_down: return "path_down";
    }
    return "unknown";
}

}  // namespace farlane

// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what the two halves of the Initiator share. Owns: nothing.
#pragma once

#include <string>
#include <vector>

#include "lane/grip.hpp"
#include "lane/initiator.hpp"

namespace farlane::lane {

constexpr unsigned kUnknownCount = ~0U;  // a listing's part that nobody has answered yet

struct Initiator::Peer {
    PeerId id = 0;
    std::vector<PeerPath> paths;
    std::string name;  ///< of the target, known after the first hello
    proto::Session* session = nullptr;
    Status why = Status::ok;
    Time retry_at = kNever;
    Time silent_since = kNever;
    bool up = false;

    [[nodiscard]] PortId port() const noexcept { return paths[0].port; }
    [[nodiscard]] const std::string& address() const noexcept { return paths[0].address; }
};

/// One question to a target that has not been answered yet.
struct Initiator::Pending {
    enum class Kind : std::uint8_t { attach, resume, detach };
    Kind kind = Kind::attach;
    std::uint32_t request = 0;
    PeerId peer = 0;
    std::string name;
    Grip* grip = nullptr;  ///< resume, detach
    Time deadline = kNever;
    bool sent = false;
    AttachDone attach_done;
    Done done;
};

/// One question to all targets.
struct Initiator::Listing {
    struct Part {
        PeerId peer = 0;
        unsigned wanted = kUnknownCount;
        unsigned got = 0;
    };
    std::uint32_t request = 0;
    Time deadline = kNever;
    std::vector<Part> parts;
    std::vector<FunctionInfo> functions;
    ListDone done;
};

}  // namespace farlane::lane

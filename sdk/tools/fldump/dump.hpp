// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a file and what the user wants. Hands on: the listing, piece by piece,
// and the status the program ends with. Owns: nothing.
#pragma once

#include <functional>
#include <string>

#include <farlane/status.hpp>

#include "tools/fldump/describe.hpp"

namespace farlane::fldump {

enum class Kind : std::uint8_t { automatic, pcap, channel, hex, frame };

struct Request {
    Kind kind = Kind::automatic;
    bool json = false;
    std::uint16_t udp_port = FL_UDP_PORT;
    Options options;
};

struct Outcome {
    Status status = Status::ok;
    std::string message;  ///< for people, when status is not ok
};

using Sink = std::function<void(const std::string&)>;

/// Lists the whole file. Status::malformed when a part of it would be dropped by a receiver;
/// everything is listed all the same.
[[nodiscard]] Outcome dump(Bytes file, const Request& request, const Sink& out);

}  // namespace farlane::fldump

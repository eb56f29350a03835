// SPDX-License-Identifier: Apache-2.0
// Receives: a line of JSON from the control socket, hostile. Hands on: the network changed, and the
// answer. Owns: nothing.
#pragma once

#include <string>
#include <string_view>

#include "network.hpp"

namespace farlane::link {

/// One request, one answer: {"ok":true,"result":...} or {"ok":false,"error":"..."}, without newline.
///   {"cmd":"stats"}
///   {"cmd":"set","link":"net","from":"i0","loss":0.01,"delay":"5ms"}   without link: all; without from: both
///   {"cmd":"cut"} {"cmd":"heal"} {"cmd":"reset"}                        the same two optional keys
///   {"cmd":"pcap","file":"x.pcap"}  {"cmd":"pcap"}                      starts, ends the capture
/// Nothing changes when anything in the request is wrong.
[[nodiscard]] std::string answer(Network& network, std::string_view line);

}  // namespace farlane::link

// SPDX-License-Identifier: Apache-2.0
// Receives: frames and channel memory. Hands on: what is in them as JSON, and as text made of it.
// Owns: nothing.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "proto/codec.hpp"
#include "tools/fldump/capture.hpp"

namespace farlane::fldump {

using Json = nlohmann::ordered_json;

struct Options {
    bool payload = false;  ///< all bytes of payloads, not only the first 16
};

/// One frame. "drop" is there when something in it would be dropped.
[[nodiscard]] Json describe_frame(Bytes frame, const Options& options);
[[nodiscard]] Json describe_record(const proto::Record& record, const Options& options);
[[nodiscard]] Json describe_tlp(const proto::Tlp& tlp, proto::FunctionHandle handle);
/// Memory of a channel (struct fl_channel and its rings), from a dump. Records that are in use.
/// "problem" is there when the memory can not be a channel, "drop" in slots that are refused.
[[nodiscard]] Json describe_channel(Bytes memory, const Options& options);

/// True when describe_* found something to drop.
[[nodiscard]] bool has_problem(const Json& described);
/// Lines for people.
[[nodiscard]] std::string frame_text(const Json& frame);
[[nodiscard]] std::string channel_text(const Json& channel);

[[nodiscard]] std::string hex_number(std::uint64_t v);
[[nodiscard]] std::string hex_bytes(Bytes bytes, std::size_t most);

}  // namespace farlane::fldump

// SPDX-License-Identifier: Apache-2.0
// Receives: described frames and channels. Hands on: lines for people. Owns: nothing.
#include "tools/fldump/describe.hpp"

namespace farlane::fldump {

namespace {

std::string value_text(const Json& v) {
    if (v.is_string()) return v.get<std::string>();
    if (v.is_array()) {
        std::string out;
        for (const Json& e : v) out += (out.empty() ? "" : ",") + value_text(e);
        return out;
    }
    if (v.is_object()) {
        std::string out;
        for (const auto& [key, e] : v.items()) out += (out.empty() ? "" : " ") + key + ":" + value_text(e);
        return "{" + out + "}";
    }
    return v.dump();
}

// "type key=value key=value", text with blanks in quotes.
std::string fields_text(const Json& object, std::initializer_list<const char*> without) {
    std::string out;
    for (const auto& [key, v] : object.items()) {
        if (std::find(without.begin(), without.end(), key) != without.end()) continue;
        const std::string text = value_text(v);
        const bool quote = v.is_string() && (text.empty() || text.find(' ') != std::string::npos);
        out += (out.empty() ? "" : " ") + key + "=" + (quote ? "\"" + text + "\"" : text);
    }
    return out;
}

std::string record_line(const Json& r) {
    std::string type = r.value("type", "?");
    type.resize(std::max<std::size_t>(type.size(), 8), ' ');
    return "    " + type + " " + fields_text(r, {"type"}) + "\n";
}

}  // namespace

std::string frame_text(const Json& frame) {
    std::string out;
    if (frame.contains("number")) out += "#" + value_text(frame["number"]) + " ";
    if (frame.contains("time")) out += value_text(frame["time"]) + " ";
    if (frame.contains("from")) out += value_text(frame["from"]) + " > " + value_text(frame["to"]) + " ";
    out += fields_text(frame, {"number", "time", "from", "to", "records"}) + "\n";
    if (frame.contains("records"))
        for (const Json& r : frame["records"]) out += record_line(r);
    return out;
}

std::string channel_text(const Json& channel) {
    std::string out = "channel " + fields_text(channel, {"submit", "complete"}) + "\n";
    for (const char* ring : {"submit", "complete"}) {
        if (!channel.contains(ring)) continue;
        out += "  " + std::string(ring) + ": " + std::to_string(channel[ring].size()) + " slots in use\n";
        for (const Json& slot : channel[ring]) out += record_line(slot);
    }
    return out;
}

}  // namespace farlane::fldump

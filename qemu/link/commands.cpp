// SPDX-License-Identifier: Apache-2.0
// Receives: a line of JSON from the control socket, hostile. Hands on: the network changed, and the
// answer. Owns: nothing.
#include "commands.hpp"

#include <stdexcept>

namespace farlane::link {
namespace {

using nlohmann::json;

std::string text_of(const json& request, const char* key) {
    if (!request.contains(key)) return "";
    if (!request.at(key).is_string()) throw std::runtime_error(std::string("'") + key + "' has to be a text");
    return request.at(key).get<std::string>();
}

void only(const json& request, std::initializer_list<std::string_view> valid) {
    for (const auto& [key, value] : request.items()) {
        bool known = key == "cmd";
        std::string list;
        for (const auto each : valid) {
            known = known || key == each;
            list += (list.empty() ? "" : ", ") + std::string(each);
        }
        if (!known) throw std::runtime_error("no key '" + key + "' here; valid: " + (list.empty() ? "none" : list));
    }
}

// The directions that "link" and "from" name.
std::vector<Direction*> chosen(Network& network, const json& request) {
    const std::string link = text_of(request, "link"), from = text_of(request, "from");
    std::vector<Direction*> out;
    std::string links, ends;
    for (const auto& each : network.links()) {
        links += (links.empty() ? "" : ", ") + each->name;
        if (!link.empty() && link != each->name) continue;
        for (std::size_t i = 0; i < 2; ++i) {
            ends += (ends.empty() ? "" : ", ") + each->ends[i];
            if (from.empty() || from == each->ends[i]) out.push_back(each->directions[i].get());
        }
    }
    if (!out.empty()) return out;
    if (ends.empty()) throw std::runtime_error("there is no link '" + link + "'; there are: " + links);
    throw std::runtime_error("no such link begins at '" + from + "'; there are: " + ends);
}

std::string value_text(const std::string& key, const json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number()) return value.dump();
    throw std::runtime_error("'" + key + "' has to be a number or a text, such as 0.01 or \"5ms\"");
}

json set(Network& network, const json& request) {
    const auto directions = chosen(network, request);
    Impairments changes;
    for (const auto& [key, value] : request.items())
        if (key != "cmd" && key != "link" && key != "from") changes[key] = value_text(key, value);
    if (changes.empty()) throw std::runtime_error("nothing to set: say what, such as \"loss\":0.01");
    // Either all take them or none: whether they are valid does not depend on the direction, except
    // through what was set before, which is valid.
    for (Direction* const direction : directions)
        if (const auto failure = direction->set(changes)) throw std::runtime_error(failure->detail);
    return json::object();
}

json pcap(Network& network, const json& request) {
    only(request, {"file"});
    const std::string file = text_of(request, "file");
    if (file.empty()) {
        network.capture().close();
    } else {
        network.capture().open(file);
    }
    return network.capture().stats();
}

json execute(Network& network, const json& request) {
    if (!request.is_object()) throw std::runtime_error("a request is a JSON object, such as {\"cmd\":\"stats\"}");
    const std::string command = text_of(request, "cmd");
    if (command == "set") return set(network, request);
    if (command == "pcap") return pcap(network, request);
    if (command == "stats") {
        only(request, {});
        return network.stats();
    }
    if (command == "cut" || command == "heal" || command == "reset") {
        only(request, {"link", "from"});
        for (Direction* const direction : chosen(network, request)) {
            if (command == "reset") {
                direction->reset();
            } else {
                direction->cut(command == "cut");
            }
        }
        return json::object();
    }
    throw std::runtime_error("no command '" + command + "'; valid: stats, set, reset, cut, heal, pcap");
}

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);  // names may be no UTF-8
}

}  // namespace

std::string answer(Network& network, std::string_view line) {
    try {
        const json request = json::parse(line, nullptr, false);
        if (request.is_discarded()) throw std::runtime_error("this is not JSON");
        return dump({{"ok", true}, {"result", execute(network, request)}});
    } catch (const std::exception& e) {
        return dump({{"ok", false}, {"error", e.what()}});
    }
}

}  // namespace farlane::link

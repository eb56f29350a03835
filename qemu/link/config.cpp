// SPDX-License-Identifier: Apache-2.0
// Receives: JSON of a file. Hands on: its values, checked, or a sentence about the first mistake.
// Owns: nothing.
#include "config.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace farlane::link {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) return {};
    return port;
}

std::optional<NativeHost::Service> parse_service(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return {};
    const auto address = parse_address(text.substr(0, colon));
    const auto port = parse_port(std::string_view(text).substr(colon + 1));
    if (!address || !port) return {};
    return NativeHost::Service{*address, *port};
}

}  // namespace

Keys::Keys(const nlohmann::json& object, std::string where, const std::vector<std::string>& valid)
    : object_(object), where_(std::move(where)) {
    if (!object_.is_object()) throw std::runtime_error(where_ + " has to be a JSON object");
    for (const auto& [key, value] : object_.items()) {
        if (std::find(valid.begin(), valid.end(), key) != valid.end()) continue;
        std::string list;
        for (const auto& each : valid) list += (list.empty() ? "" : ", ") + each;
        throw std::runtime_error(where_ + " has no key '" + key + "'; valid: " + list);
    }
}

void Keys::bad(const std::string& key, const std::string& wanted) const {
    throw std::runtime_error(where_ + ": '" + key + "' has to be " + wanted);
}

std::uint64_t Keys::number(const std::string& key, std::uint64_t standard, std::uint64_t low,
                           std::uint64_t high) const {
    if (!object_.contains(key)) return standard;
    const auto& value = object_.at(key);
    const std::string wanted = "a number from " + std::to_string(low) + " to " + std::to_string(high);
    if (!value.is_number_integer() || value < 0) bad(key, wanted);
    const auto number = value.get<std::uint64_t>();
    if (number < low || number > high) bad(key, wanted);
    return number;
}

std::string Keys::text(const std::string& key, const std::string& standard) const {
    if (!object_.contains(key)) return standard;
    if (!object_.at(key).is_string()) bad(key, "a text");
    return object_.at(key).get<std::string>();
}

const nlohmann::json& Keys::object(const std::string& key) const {
    static const nlohmann::json none = nlohmann::json::object();
    if (!object_.contains(key)) return none;
    if (!object_.at(key).is_object()) bad(key, "an object");
    return object_.at(key);
}

std::vector<std::string> Keys::names(const std::string& key) const {
    if (!object_.contains(key)) return {};
    const auto& list = object_.at(key);
    if (!list.is_array()) bad(key, "a list of names");
    std::vector<std::string> out;
    for (const auto& each : list) {
        if (!each.is_string()) bad(key, "a list of names");
        out.push_back(each.get<std::string>());
    }
    return out;
}

nlohmann::json read_config_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    std::stringstream text;
    text << file.rdbuf();
    auto config = nlohmann::json::parse(text.str(), nullptr, false);
    if (config.is_discarded()) throw std::runtime_error(path + " is not JSON");
    return config;
}

NativeHost::Config read_native(const nlohmann::json& config, const std::string& name) {
    const std::string where = "native host '" + name + "'";
    const Keys keys(config, where, {"address", "mac", "ports"});
    const auto address = parse_address(keys.text("address", ""));
    const auto mac = parse_mac(keys.text("mac", ""));
    if (!address) throw std::runtime_error(where + ": 'address' has to be IPv4, such as 10.77.0.2");
    if (!mac || ((*mac)[0] & 1) != 0) throw std::runtime_error(where + ": 'mac' has to be like 02:77:00:00:00:02");
    NativeHost::Config out{*address, *mac, {}};
    for (const auto& [port, to] : keys.object("ports").items()) {
        const auto number = parse_port(port);
        const auto service = to.is_string() ? parse_service(to.get<std::string>()) : std::nullopt;
        if (!number || !service)
            throw std::runtime_error(where + ": 'ports' has to be like {\"4793\": \"127.0.0.1:40001\"}");
        out.services[*number] = *service;
    }
    return out;
}

}  // namespace farlane::link

// SPDX-License-Identifier: Apache-2.0
// Receives: the "args" object of a request. Hands on: checked values. Owns: the names asked for.
#include "daemon/arguments.hpp"

#include <algorithm>

namespace farlane::daemon {

const Json* Arguments::find(const char* name) {
    known_.emplace_back(name);
    const auto at = args_.find(name);
    return at != args_.end() && !at->is_null() ? &*at : nullptr;
}

std::optional<std::string> Arguments::optional_text(const char* name) {
    const Json* j = find(name);
    if (j == nullptr) return std::nullopt;
    if (!j->is_string()) throw Error(Status::invalid, std::string("'") + name + "' is a string");
    return j->get<std::string>();
}

std::optional<std::uint64_t> Arguments::optional_number(const char* name, std::uint64_t max) {
    const Json* j = find(name);
    if (j == nullptr) return std::nullopt;
    if (!j->is_number_unsigned() || j->get<std::uint64_t>() > max)
        throw Error(Status::invalid, std::string("'") + name + "' is a whole number from 0 to " + std::to_string(max));
    return j->get<std::uint64_t>();
}

std::string Arguments::text(const char* name) {
    auto value = optional_text(name);
    if (!value) throw Error(Status::invalid, std::string("'") + name + "' is missing");
    return *value;
}

std::uint64_t Arguments::number(const char* name, std::uint64_t max) {
    const auto value = optional_number(name, max);
    if (!value) throw Error(Status::invalid, std::string("'") + name + "' is missing");
    return *value;
}

bool Arguments::flag(const char* name, bool fallback) {
    const Json* j = find(name);
    if (j == nullptr) return fallback;
    if (!j->is_boolean()) throw Error(Status::invalid, std::string("'") + name + "' is true or false");
    return j->get<bool>();
}

void Arguments::finish() const {
    for (const auto& [key, value] : args_.items()) {
        if (std::ranges::find(known_, key) != known_.end()) continue;
        std::string valid;
        for (const std::string& k : known_) valid += (valid.empty() ? "" : ", ") + k;
        throw Error(Status::invalid, "unknown argument '" + key + "'; valid: " + (valid.empty() ? "none" : valid));
    }
}

}  // namespace farlane::daemon

// SPDX-License-Identifier: Apache-2.0
// Receives: functions and events as C++ types or as JSON. Hands on: the other form.
// Owns: nothing. docs/control-socket.md, "list" and "events".
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>

#include "lib/daemon_client.hpp"

namespace farlane::control {
namespace {

constexpr std::array<const char*, 4> kStates = {"free", "attached", "grace", "failed"};
constexpr unsigned kEventKinds = static_cast<unsigned>(EventKind::path_down) + 1;

std::string hex64(std::uint64_t v) {
    char text[19];
    std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(v));
    return text;
}

std::string utc(std::chrono::system_clock::time_point when) {
    const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
    const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char day[32], text[48];
    std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>(ms % 1000));
    return text;
}

// Exactly what utc() writes, of years the clock can count in nanoseconds.
std::chrono::system_clock::time_point from_utc(const std::string& text) {
    using namespace std::chrono;
    unsigned y = 0, mon = 0, d = 0, h = 0, min = 0, s = 0, ms = 0;
    int end = 0;
    const bool read =
        std::sscanf(text.c_str(), "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ%n", &y, &mon, &d, &h, &min, &s, &ms, &end) == 7;
    const year_month_day date{year(static_cast<int>(y)), month(mon), day(d)};
    if (!read || end != 24 || text.size() != 24 || !date.ok() || y < 1970 || y > 2261 || h > 23 || min > 59 || s > 60)
        throw Error(Status::protocol, "farlaned sent an event without a valid 'when'");
    return sys_days(date) + hours(h) + minutes(min) + seconds(s) + milliseconds(ms);
}

// Integer of the width of T, or Error.
template <class T>
T number(const Json& j, const char* key) {
    const auto it = j.find(key);
    if (it == j.end() || !it->is_number_unsigned() || it->get<std::uint64_t>() > std::numeric_limits<T>::max())
        throw Error(Status::protocol, std::string("farlaned sent a function without a valid '") + key + "'");
    return static_cast<T>(it->get<std::uint64_t>());
}

std::string text(const Json& j, const char* key) {
    const auto it = j.find(key);
    if (it == j.end() || !it->is_string())
        throw Error(Status::protocol, std::string("farlaned sent an object without a valid '") + key + "'");
    return it->get<std::string>();
}

bool flag(const Json& j, const char* key) {
    const auto it = j.find(key);
    return it != j.end() && it->is_boolean() && it->get<bool>();
}

FunctionState state_of(const std::string& name) {
    for (unsigned i = 0; i < kStates.size(); ++i)
        if (name == kStates[i]) return static_cast<FunctionState>(i);
    throw Error(Status::protocol, "farlaned sent an unknown function state '" + name + "'");
}

}  // namespace

Json function_to_json(const FunctionInfo& f) {
    Json bars = Json::array();
    for (unsigned i = 0; i < f.bars.size(); ++i) {
        const BarInfo& b = f.bars[i];
        if (b.size_bytes == 0) continue;
        bars.push_back(
            {{"index", i}, {"size_bytes", b.size_bytes}, {"is_64bit", b.is_64bit}, {"prefetchable", b.prefetchable}});
    }
    return {{"name", f.name},
            {"target", f.target},
            {"model", f.model},
            {"holder", f.holder},
            {"vendor_id", f.vendor_id},
            {"device_id", f.device_id},
            {"subsystem_vendor_id", f.subsystem_vendor_id},
            {"subsystem_id", f.subsystem_id},
            {"class_code", f.class_code},
            {"revision", f.revision},
            {"msix_vectors", f.msix_vectors},
            {"serial", hex64(f.serial)},
            {"state", kStates[static_cast<unsigned>(f.state) % kStates.size()]},
            {"bars", std::move(bars)}};
}

FunctionInfo function_from_json(const Json& j) {
    if (!j.is_object()) throw Error(Status::protocol, "farlaned sent a function that is not an object");
    FunctionInfo f;
    f.name = text(j, "name");
    f.target = text(j, "target");
    f.model = text(j, "model");
    f.holder = text(j, "holder");
    f.vendor_id = number<std::uint16_t>(j, "vendor_id");
    f.device_id = number<std::uint16_t>(j, "device_id");
    f.subsystem_vendor_id = number<std::uint16_t>(j, "subsystem_vendor_id");
    f.subsystem_id = number<std::uint16_t>(j, "subsystem_id");
    f.class_code = number<std::uint32_t>(j, "class_code");
    f.revision = number<std::uint8_t>(j, "revision");
    f.msix_vectors = number<std::uint16_t>(j, "msix_vectors");
    f.serial = std::strtoull(text(j, "serial").c_str(), nullptr, 16);
    f.state = state_of(text(j, "state"));
    const auto bars = j.find("bars");
    if (bars == j.end() || !bars->is_array()) return f;
    for (const Json& b : *bars) {
        const auto index = number<std::uint8_t>(b, "index");
        if (index >= f.bars.size()) throw Error(Status::protocol, "farlaned sent a BAR beyond 5");
        f.bars[index] = {number<std::uint64_t>(b, "size_bytes"), flag(b, "is_64bit"), flag(b, "prefetchable")};
    }
    return f;
}

Json event_to_json(const Event& e) {
    return {{"role", "initiator"}, {"kind", event_name(e.kind)}, {"function", e.function},
            {"target", e.target},  {"detail", e.detail},         {"when", utc(e.when)}};
}

std::optional<Event> event_from_json(const Json& j) {
    if (!j.is_object() || text(j, "role") != "initiator") return std::nullopt;
    const std::string kind = text(j, "kind");
    for (unsigned i = 0; i < kEventKinds; ++i) {
        if (kind != event_name(static_cast<EventKind>(i))) continue;
        return Event{static_cast<EventKind>(i), text(j, "function"), text(j, "target"), text(j, "detail"),
                     from_utc(text(j, "when"))};
    }
    return std::nullopt;
}

}  // namespace farlane::control

// SPDX-License-Identifier: Apache-2.0
// Receives: what `farlane-accel-worker --probe` printed. Hands on: devices. Owns: probe.hpp.
#include "backend/worker/probe.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "backend/worker/channel.hpp"
#include "backend/worker/process.hpp"

namespace farlane::backend::worker {
namespace {

constexpr std::size_t kMaxTextBytes = 4 << 20;
constexpr std::uint64_t kProbeNs = 60'000'000'000;

std::vector<std::byte> from_hex(const std::string& text) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        unsigned value = 0;
        (void)std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
        bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
}

FoundDevice device_of(const nlohmann::json& d) {
    FoundDevice device;
    device.index = d.at("index").get<std::uint32_t>();
    device.platform = d.value("platform", "");
    device.name = d.at("name").get<std::string>();
    device.vendor = d.value("vendor", "");
    device.driver = d.value("driver", "");
    device.type = d.value("type", "");
    device.shares_memory = d.value("shares_memory", false);
    device.units = d.value("units", 0U);
    device.memory_bytes = d.value("memory_bytes", std::uint64_t{0});
    device.local_address = d.value("local_address", std::uint64_t{0});
    device.energy_uj = d.value("energy_uj", std::uint64_t{0});
    device.limits = {d.value("max_block", device.limits.block), d.value("max_grid", device.limits.grid),
                     d.value("max_shared_bytes", std::uint64_t{0})};
    device.info = from_hex(d.value("info", ""));
    device.why_not = d.value("why_not", "");
    static constexpr std::array<std::pair<const char*, std::uint64_t>, 6> kKinds = {
        {{"opencl_c", FL_ACCEL_CAP_OPENCL_C},
         {"spirv", FL_ACCEL_CAP_SPIRV},
         {"ptx", FL_ACCEL_CAP_PTX},
         {"cubin", FL_ACCEL_CAP_CUBIN},
         {"cuda_c", FL_ACCEL_CAP_CUDA_C},
         {"energy", FL_ACCEL_CAP_ENERGY}}};
    for (const auto& [name, bit] : kKinds) {
        if (d.value(name, false)) device.capabilities |= bit;
    }
    return device;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

std::string list_of(const Found& found) {
    std::string text;
    for (const FoundDevice& d : found.devices) {
        text += (text.empty() ? "" : ", ") + std::to_string(d.index) + ": " + d.name;
        if (!d.platform.empty()) text += " (" + d.platform + ")";
        if (!d.why_not.empty()) text += " [" + d.why_not + "]";
    }
    return text.empty() ? "none" : text;
}

/// All that comes until the other side closes.
Result<std::string> read_all(int fd) {
    std::string text;
    std::array<char, 65536> part;
    const std::uint64_t until = now_ns() + kProbeNs;
    for (;;) {
        const std::uint64_t now = now_ns();
        if (now >= until) return {Status::timeout, "the worker program does not answer"};
        pollfd p{fd, POLLIN, 0};
        if (::poll(&p, 1, static_cast<int>((until - now) / 1'000'000 + 1)) <= 0) continue;
        const ssize_t got = ::read(fd, part.data(), part.size());
        if (got == 0) return text;
        if (got < 0) continue;
        text.append(part.data(), static_cast<std::size_t>(got));
        if (text.size() > kMaxTextBytes) return {Status::protocol, "the worker program prints without end"};
    }
}

}  // namespace

Result<Found> parse_probe(std::string_view text, std::string_view executor) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    try {
        const auto& part = json.at(std::string(executor));
        Found found;
        found.why = part.value("why", "");
        for (const auto& d : part.at("devices")) found.devices.push_back(device_of(d));
        return found;
    } catch (const nlohmann::json::exception&) {
        return {Status::protocol, "the worker program printed no list of devices; is it of this version?"};
    }
}

Result<Found> probe(const std::string& program, std::string_view executor) {
    auto folder = Folder::make();
    if (!folder) return folder.failure();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {Status::limit, "no file descriptor left"};
    const Handle from(ends[0]);
    Handle to(ends[1]);
    const std::array<Passed, 1> passed = {Passed{to.get(), STDOUT_FILENO}};
    auto process = Process::spawn({program, "--probe", std::string(executor)}, passed, folder->path());
    if (!process) return process.failure();
    to.reset();
    auto text = read_all(from.get());
    process->kill();
    (void)process->reap();
    if (!text) return text.failure();
    return parse_probe(*text, executor);
}

std::string usable(const Found& found) {
    Found some;
    std::copy_if(found.devices.begin(), found.devices.end(), std::back_inserter(some.devices),
                 [](const FoundDevice& d) { return d.why_not.empty(); });
    return some.devices.empty() ? "" : list_of(some);
}

Result<FoundDevice> choose(const Found& found, std::string_view executor, std::string_view wanted) {
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
    const bool by_number = !wanted.empty() && parsed.ec == std::errc{} && parsed.ptr == wanted.data() + wanted.size();
    const auto is_meant = [&](const FoundDevice& d) {
        if (by_number) return d.index == number;
        if (wanted.empty()) return d.why_not.empty();
        return lower(d.name).find(lower(wanted)) != std::string::npos ||
               lower(d.platform).find(lower(wanted)) != std::string::npos;
    };
    const std::string who(executor);
    const auto device = std::find_if(found.devices.begin(), found.devices.end(), is_meant);
    if (device == found.devices.end()) {
        const std::string what = wanted.empty() ? "no device for executor " + who
                                                : "executor " + who + " has no device '" + std::string(wanted) + "'";
        return {Status::unsupported, what + (found.why.empty() ? "" : ": " + found.why) + "; found: " + list_of(found)};
    }
    if (device->why_not.empty()) return *device;
    return {Status::unsupported,
            "device '" + device->name + "' can not be used: " + device->why_not + "; found: " + list_of(found)};
}

}  // namespace farlane::backend::worker

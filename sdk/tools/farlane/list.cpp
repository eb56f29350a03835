// SPDX-License-Identifier: Apache-2.0
// Receives: the verbs list, attach and detach. Hands on: what farlaned answered.
// Owns: nothing.
#include <algorithm>

#include <fmt/format.h>

#include "farlane/config_space.hpp"
#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

/// One target that is silent does not keep the others' functions back for longer.
constexpr std::chrono::milliseconds kLookTime{2000};
constexpr double kLongestDrainSeconds = 3600;

std::string bars_text(const Json& bars) {
    std::string out;
    for (const Json& b : bars)
        if (b.is_object())
            out += fmt::format("{}{}:{}", out.empty() ? "" : " ", number_of(b, "index"),
                               bytes_text(number_of(b, "size_bytes")));
    return out.empty() ? "-" : out;
}

/// Where on this host's PCI bus it is; "" when it is not.
std::string bus_text(const Json& bus) {
    if (!bus.is_object() || bus.empty()) return "";
    const std::string state = text_of(bus, "state"), address = text_of(bus, "address"), node = text_of(bus, "node");
    std::string out = state != "live" ? state : address.empty() ? "on the PCI bus" : address;
    if (!node.empty())
        out += " " + node;
    else if (text_of(bus, "drivers_off") == "trap")
        out += ", no driver binds: farlane.ko was loaded with trap=0";
    else if (text_of(bus, "drivers_off") == "allow")
        out += ", no driver binds: neither its class nor its id is in /sys/module/farlane/parameters/allow";
    return out;
}

/// The function's state, and how this host has it when it does.
std::string state_text(const Json& f) {
    const Json& attachment = part_of(f, "attachment");
    if (attachment.empty()) return text_of(f, "state");
    std::string out = text_of(f, "state") + " here, " + text_of(attachment, "state");
    if (flag_of(attachment, "stands")) out += ", --persist";
    if (const auto n = number_of(part_of(attachment, "shared"), "applications"); n != 0)
        out += fmt::format(", shared by {}", n);
    const std::string bus = bus_text(part_of(attachment, "bus"));
    return bus.empty() ? out : out + ", " + bus;
}

/// Who holds it: the applications when it is attached here, otherwise the other initiator.
std::string holder_cell(const Json& f) {
    std::string out;
    for (const Json& h : part_of(part_of(f, "attachment"), "holders"))
        if (h.is_object()) out += (out.empty() ? "" : ", ") + holder_text(h);
    if (!out.empty()) return out;
    const std::string name = text_of(f, "holder");
    return name.empty() ? "-" : name;
}

/// Targets that are not reached; of those that are, the ways to them that are not.
void print_silent(std::ostream& out, const Json& peers) {
    for (const Json& peer : peers) {
        if (!peer.is_object()) continue;
        if (text_of(peer, "state") != "open") {
            const std::string name = text_of(peer, "name");
            out << fmt::format("target {} does not answer\n", clean(name.empty() ? text_of(peer, "address") : name));
            continue;
        }
        for (const Json& path : part_of(peer, "paths")) {
            if (flag_of(path, "usable")) continue;
            const std::string address = text_of(path, "address");
            out << fmt::format("path {} to {} on {}{} is {}\n", number_of(path, "id"), clean(text_of(peer, "name")),
                               clean(text_of(path, "port")), address.empty() ? "" : " to " + clean(address),
                               text_of(path, "state") == "dead" ? "dead" : "not answered yet");
        }
    }
}

/// "1.5 MiB of 64 MiB", of the memory where buffers lie.
std::string memory_text(const Json& accelerator) {
    const bool local = number_of(accelerator, "local_bytes") != 0;
    return bytes_text(number_of(accelerator, local ? "local_used_bytes" : "memory_used_bytes")) + " of " +
           bytes_text(number_of(accelerator, local ? "local_bytes" : "memory_bytes"));
}

/// What this host gives to others.
void print_exports(std::ostream& out, const Json& exports) {
    Table table({"EXPORT", "KIND", "STATE", "HOLDER", "DEVICE", "CONTEXTS", "MEMORY"});
    for (const Json& e : exports) {
        if (!e.is_object()) continue;
        const Json& a = part_of(e, "accelerator");
        const std::string holder = text_of(e, "holder"), device = text_of(a, "device_name");
        const bool known = !a.empty();
        table.row({text_of(e, "name"), text_of(e, "kind"), text_of(e, "state"), holder.empty() ? "-" : holder,
                   known ? text_of(a, "executor") + (device.empty() ? "" : ": " + device) : text_of(e, "model"),
                   known ? fmt::format("{} of {}", part_of(a, "contexts_used").size(), number_of(a, "contexts")) : "-",
                   known ? memory_text(a) : "-"});
    }
    if (!table.empty()) table.print(out);
}

}  // namespace

int run_list(const Context& c) {
    const Json result = c.call("list", {{"timeout_ms", std::min(kLookTime, c.patience()).count()}});
    if (c.json) {
        c.print(result);
        return 0;
    }
    Table table({"FUNCTION", "TARGET", "ID", "CLASS", "BARS", "MSI-X", "STATE", "HOLDER"});
    for (const Json& f : part_of(result, "functions")) {
        if (!f.is_object()) continue;
        const auto code = static_cast<std::uint32_t>(number_of(f, "class_code"));
        const std::string name = class_name(code);
        table.row({text_of(f, "name"), text_of(f, "target"),
                   fmt::format("{:04x}:{:04x}", number_of(f, "vendor_id"), number_of(f, "device_id")),
                   name.empty() ? fmt::format("{:06x}", code) : name, bars_text(part_of(f, "bars")),
                   std::to_string(number_of(f, "msix_vectors")), state_text(f), holder_cell(f)});
    }
    for (const Json& w : part_of(result, "waiting"))
        table.row({text_of(w, "name"), text_of(w, "target"), "-", "-", "-", "-", "waiting: " + text_of(w, "why"), "-"});
    const Json& exports = part_of(result, "exports");
    if (!table.empty())
        table.print(c.out);
    else if (exports.empty())
        c.out << "no functions: no target that answers exports one, nor does this host\n";
    if (!table.empty() && !exports.empty()) c.out << '\n';
    print_exports(c.out, exports);
    print_silent(c.out, part_of(result, "peers"));
    return 0;
}

int run_attach(const Context& c) {
    const std::string name = c.arguments.get("FUNCTION");
    const bool persist = c.arguments.has("--persist"), once = c.arguments.has("--once");
    if (persist && once) throw Error(Status::invalid, "--persist and --once: one of them");
    Json args = {{"name", name}, {"persistent", true}, {"timeout_ms", c.patience().count()}};
    if (persist || once) args["stands"] = persist;
    if (const std::string provider = c.arguments.get("--provider"); provider != "auto") args["provider"] = provider;
    Json result = c.call("attach", std::move(args));
    result.erase("token");  // a secret between daemon and application; of no use to people
    if (c.json) {
        c.print(result);
        return 0;
    }
    const Json& f = part_of(result, "function");
    const std::string bus = bus_text(part_of(result, "bus"));
    c.out << fmt::format("attached {} of {} ({}), state {}{}\n", clean(text_of(f, "name")), clean(text_of(f, "target")),
                         clean(text_of(f, "model")), clean(text_of(result, "state")),
                         bus.empty() ? "" : ", " + clean(bus));
    if (persist && !flag_of(result, "stands"))
        c.out << "it will not be attached again by itself: " << clean(text_of(result, "why")) << '\n';
    else if (flag_of(result, "stands") && !flag_of(result, "survives_reboot"))
        c.out << "a reboot ends it: persist_file of farlaned.toml is in memory\n";
    return 0;
}

int run_detach(const Context& c) {
    const std::string name = c.arguments.get("FUNCTION");
    const bool force = c.arguments.has("--force");
    Json args = {{"name", name}, {"force", force}};
    std::chrono::milliseconds patience = c.timeout;
    if (c.arguments.has("--drain")) {
        const auto drain = std::chrono::milliseconds(
            static_cast<std::int64_t>(c.arguments.number("--drain", 0, kLongestDrainSeconds) * 1000));
        args["drain_ms"] = drain.count();
        patience += drain;
    }
    control::ControlClient client = c.connect();
    (void)client.call("detach", std::move(args), patience);
    if (c.json) {
        c.print({{"function", name}, {"detached", true}});
    } else {
        c.out << "detached " << clean(name) << '\n';
    }
    return 0;
}

}  // namespace farlane::cli

// SPDX-License-Identifier: Apache-2.0
// Receives: the verb show. Hands on: a function's description and decoded configuration space.
// Owns: nothing.
#include <fmt/format.h>

#include <optional>

#include "farlane/config_print.hpp"
#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

std::optional<unsigned> nibble(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
    return std::nullopt;
}

std::vector<std::byte> from_hex(const std::string& text) {
    std::vector<std::byte> out;
    if (text.size() % 2 != 0 || text.size() > 2 * 4096)
        throw Error(Status::protocol, "farlaned sent a configuration space of a wrong length");
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const auto high = nibble(text[i]), low = nibble(text[i + 1]);
        if (!high || !low) throw Error(Status::protocol, "farlaned sent a configuration space that is not hexadecimal");
        out.push_back(static_cast<std::byte>(*high << 4 | *low));
    }
    return out;
}

void print_identity(std::ostream& out, const Json& f) {
    const auto code = static_cast<std::uint32_t>(number_of(f, "class_code"));
    out << fmt::format("{}  {}  ({:04x}:{:04x}, {})\n", clean(text_of(f, "name")), clean(text_of(f, "model")),
                       number_of(f, "vendor_id"), number_of(f, "device_id"), class_name(code));
    out << fmt::format("  target {}  state {}", clean(text_of(f, "target")), clean(text_of(f, "state")));
    if (!text_of(f, "holder").empty()) out << "  holder " << clean(text_of(f, "holder"));
    out << fmt::format("  MSI-X vectors {}\n", number_of(f, "msix_vectors"));
    const Json& attachment = part_of(f, "attachment");
    if (!attachment.empty()) {
        out << fmt::format("  attached here: {}, since {}\n", clean(text_of(attachment, "state")),
                           clean(text_of(attachment, "since")));
        for (const Json& h : part_of(attachment, "holders"))
            if (h.is_object())
                out << "    in use by " << holder_text(h) << (h.contains("queue_pairs") ? ": " : "") << share_text(h)
                    << '\n';
    }
    for (const Json& b : part_of(f, "bars")) {
        if (!b.is_object()) continue;
        out << fmt::format("  BAR{}  {}{}{}\n", number_of(b, "index"), bytes_text(number_of(b, "size_bytes")),
                           flag_of(b, "is_64bit") ? ", 64-bit" : ", 32-bit",
                           flag_of(b, "prefetchable") ? ", prefetchable" : "");
    }
}

double busy_seconds(const Json& user) {
    return static_cast<double>(number_of(user, "busy_ns")) / 1e9;
}

void print_export(std::ostream& out, const Json& e) {
    if (e.empty()) return;
    const Json& a = part_of(e, "accelerator");
    out << fmt::format("  exported here: kind {}, {}{}\n", clean(text_of(e, "kind")), clean(text_of(e, "state")),
                       text_of(e, "holder").empty() ? "" : ", held by " + clean(text_of(e, "holder")));
    if (a.empty()) return;
    out << fmt::format("    executor {}: {}\n", clean(text_of(a, "executor")), clean(text_of(a, "device_name")));
    out << fmt::format("    vendor {}, driver {}, {} units\n", clean(text_of(a, "vendor")),
                       clean(text_of(a, "driver_version")), number_of(a, "units"));
    std::uint64_t pairs = 0;
    for (const Json& c : part_of(a, "contexts_used")) pairs += number_of(c, "queue_pairs");
    out << fmt::format("    {} of {} contexts, {} of {} queue pairs in use", part_of(a, "contexts_used").size(),
                       number_of(a, "contexts"), pairs, number_of(a, "queue_pairs"));
    const auto limit = number_of(a, "time_limit_ms");
    out << (limit == 0 ? "\n" : fmt::format("; a kernel may run {} ms\n", limit));
    out << fmt::format("    memory {} of {} in use", bytes_text(number_of(a, "memory_used_bytes")),
                       bytes_text(number_of(a, "memory_bytes")));
    if (const auto local = number_of(a, "local_bytes"); local != 0)
        out << fmt::format(", of the device's own {} of {}", bytes_text(number_of(a, "local_used_bytes")),
                           bytes_text(local));
    out << fmt::format("\n    {} kernels in {:.1f} s", number_of(a, "kernels"), busy_seconds(a));
    if (a.contains("energy_uj") && a.at("energy_uj").is_number())
        out << fmt::format(", {:.1f} J", static_cast<double>(number_of(a, "energy_uj")) / 1e6);
    out << '\n';
    for (const Json& c : part_of(a, "contexts_used"))
        out << fmt::format(
            "    context {}: {} queue pairs, {}, {} kernels in {:.1f} s{}{}\n", number_of(c, "context"),
            number_of(c, "queue_pairs"), bytes_text(number_of(c, "memory_used_bytes")), number_of(c, "kernels"),
            busy_seconds(c),
            number_of(c, "worker_bytes") == 0 ? "" : ", worker process of " + bytes_text(number_of(c, "worker_bytes")),
            flag_of(c, "lost") ? ", lost" : "");
}

}  // namespace

int run_show(const Context& c) {
    const bool raw = c.arguments.has("--raw");
    const Json result = c.call("show", {{"name", c.arguments.get("FUNCTION")}, {"timeout_ms", c.patience().count()}});
    const Json& function = part_of(result, "function");
    const std::string hex = text_of(result, "config");
    const std::vector<std::byte> bytes = from_hex(hex);
    const ConfigSpace space = decode_config_space(bytes);
    if (c.json) {
        Json document{{"function", function},
                      {"config", nullptr},
                      {"config_status", text_of(result, "config_status")},
                      {"config_detail", text_of(result, "config_detail")}};
        if (!bytes.empty()) document["config"] = config_json(space);
        if (result.contains("export")) document["export"] = result.at("export");
        if (result.contains("exported_here")) document["exported_here"] = text_of(result, "exported_here");
        if (raw) document["raw"] = hex;
        c.print(document);
        return 0;
    }
    print_identity(c.out, function);
    print_export(c.out, part_of(result, "export"));
    if (const std::string own = clean(text_of(result, "exported_here")); !own.empty())
        c.out << "  this host exports one of that name, too: farlane show " << own << '\n';
    if (bytes.empty()) {
        c.out << "  configuration space not read (" << clean(text_of(result, "config_status"))
              << "): " << clean(text_of(result, "config_detail")) << '\n';
        return 0;
    }
    c.out << "  configuration space\n";
    print_config(c.out, space);
    if (raw) print_hex(c.out, bytes);
    return 0;
}

}  // namespace farlane::cli

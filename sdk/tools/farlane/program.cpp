// SPDX-License-Identifier: Apache-2.0
// Receives: argv. Hands on: the verb's output; errors as text or JSON on `err`; an exit code.
// Owns: nothing.
#include <array>
#include <exception>

#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

struct Row {
    std::string_view verb;
    int (*run)(const Context&);
};
constexpr std::array kVerbs{Row{"list", run_list},       Row{"show", run_show},      Row{"attach", run_attach},
                            Row{"detach", run_detach},   Row{"events", run_events},  Row{"stats", run_stats},
                            Row{"top", run_top},         Row{"probe", run_probe},    Row{"doctor", run_doctor},
                            Row{"upgrade", run_upgrade}, Row{"version", run_version}};

/// Errors that concern holders carry the list of them.
const Json& holders_of(const Json& extra) {
    return part_of(extra, "holders");
}

int report(std::ostream& err, bool json, Status status, const std::string& what, const Json& extra = Json::object()) {
    const int code = status_exit_code(status) == 0 ? 1 : status_exit_code(status);
    if (json) {
        Json error{{"status", status_name(status)}, {"text", what}, {"exit_code", code}};
        if (!holders_of(extra).empty()) error["holders"] = holders_of(extra);
        err << Json{{"error", error}}.dump() << '\n';
        return code;
    }
    err << "farlane: " << clean(what) << '\n';
    for (const Json& h : holders_of(extra))
        if (h.is_object()) err << "  held by " << holder_text(h) << '\n';
    return code;
}

int run_verb(const Arguments& arguments, std::ostream& out, bool json) {
    const double seconds = arguments.number("--timeout", 0.1, 3600);
    const Context context{.arguments = arguments,
                          .out = out,
                          .json = json,
                          .socket = arguments.get("--socket"),
                          .timeout = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000))};
    for (const Row& row : kVerbs)
        if (row.verb == arguments.verb()) return row.run(context);
    throw Error(Status::invalid, "unknown command '" + arguments.verb() + "'");
}

}  // namespace

Json Context::call(const std::string& verb, Json args) const {
    control::ControlClient client = connect();
    return client.call(verb, std::move(args), timeout);
}

int run_program(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
    const Parsed parsed = parse(farlane_program(), argc, argv);
    if (!parsed.arguments) {
        if (parsed.exit_code != 0) return report(err, parsed.json, Status::invalid, parsed.text);
        out << parsed.text;
        return 0;
    }
    const bool json = parsed.arguments->get("--output") == "json";
    try {
        const int code = run_verb(*parsed.arguments, out, json);
        out.flush();
        if (!out) return report(err, json, Status::io, "stdout can not be written");
        return code;
    } catch (const control::CallError& e) {
        return report(err, json, e.status(), e.what(), e.extra());
    } catch (const Error& e) {
        return report(err, json, e.status(), e.what());
    } catch (const Json::exception& e) {
        return report(err, json, Status::protocol, std::string("unexpected answer of farlaned: ") + e.what());
    } catch (const std::exception& e) {
        return report(err, json, Status::io, e.what());
    }
}

}  // namespace farlane::cli

// SPDX-License-Identifier: Apache-2.0
// Receives: the verbs doctor and version. Hands on: checks of this host and of farlaned.
// Owns: nothing.
#include "farlane/doctor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include <farlane/uapi/frame.h>

#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

Verdict verdict_from(const std::string& name) {
    if (name == "ok") return Verdict::ok;
    return name == "warn" ? Verdict::warn : Verdict::fail;
}

Check version_check(const Json& report) {
    const std::string theirs = text_of(report, "version");
    if (theirs == FARLANE_VERSION) return {"version", Verdict::ok, theirs, ""};
    return {"version", Verdict::warn, fmt::format("farlaned {}, farlane {}", theirs, FARLANE_VERSION),
            "install both from one release and restart farlaned"};
}

Check dpdk_check(const Json& report) {
    const Json& build = part_of(report, "build");
    std::string kinds;
    bool loaded = false;
    for (const Json& k : part_of(build, "port_kinds")) {
        if (!k.is_string()) continue;
        kinds += (kinds.empty() ? "" : " ") + k.get<std::string>();
        loaded = loaded || k.get<std::string>().rfind("dpdk", 0) == 0;
    }
    if (loaded) return {"port kinds", Verdict::ok, kinds, ""};
    if (flag_of(build, "dpdk"))
        return {"port kinds", Verdict::warn, kinds + ": built with DPDK, but the plug-in is not found",
                "install libfarlane-port-dpdk.so beside the libraries"};
    return {"port kinds", Verdict::warn, kinds + ": built without DPDK",
            "for the dpdk: ports build with -DFARLANE_DPDK=ON"};
}

/// Adds farlaned's own checks; the reason when it does not answer.
std::optional<Error> check_daemon(const Context& c, std::vector<Check>& checks) {
    try {
        control::ControlClient client = c.connect();
        const Json report = client.call("doctor", Json::object(), c.timeout);
        checks.push_back({"farlaned", Verdict::ok,
                          fmt::format("{} answers at {}, pid {}", text_of(client.hello(), "name"), client.socket(),
                                      number_of(client.hello(), "pid")),
                          ""});
        checks.push_back(version_check(report));
        checks.push_back(dpdk_check(report));
        for (const Json& row : part_of(report, "checks"))
            if (row.is_object())
                checks.push_back({text_of(row, "name"), verdict_from(text_of(row, "status")), text_of(row, "detail"),
                                  text_of(row, "hint")});
        return std::nullopt;
    } catch (const Error& e) {
        checks.push_back({"farlaned", Verdict::fail, e.what(),
                          "start it: systemctl start farlaned, or farlaned --config FILE; another socket: --socket"});
        return e;
    }
}

void print_checks(const Context& c, const std::vector<Check>& checks, bool fine) {
    if (c.json) {
        Json document{{"ok", fine}, {"checks", Json::array()}};
        for (const Check& k : checks)
            document["checks"].push_back(
                {{"name", k.name}, {"status", verdict_name(k.verdict)}, {"detail", k.detail}, {"hint", k.hint}});
        c.print(document);
        return;
    }
    Table table({"", "CHECK", "FOUND"});
    for (const Check& k : checks) {
        table.row({verdict_name(k.verdict), k.name, k.detail});
        if (!k.hint.empty()) table.row({"", "", "-> " + k.hint});
    }
    table.print(c.out);
}

}  // namespace

int run_doctor(const Context& c) {
    std::vector<Check> checks;
    const std::optional<Error> unreachable = check_daemon(c, checks);
    // What farlaned says of its own process counts more than what this one sees.
    const auto known = [&checks](const std::string& name) {
        return std::any_of(checks.begin(), checks.end(), [&name](const Check& k) { return k.name == name; });
    };
    for (Check& k : check_host({}))
        if (!known(k.name)) checks.push_back(std::move(k));
    bool fine = true;
    for (const Check& k : checks) fine = fine && k.verdict != Verdict::fail;
    print_checks(c, checks, fine);
    if (unreachable) return status_exit_code(unreachable->status());
    return fine ? 0 : 1;
}

int run_version(const Context& c) {
    Json document{{"farlane", FARLANE_VERSION},
                  {"wire_version", FL_WIRE_VERSION},
                  {"control_protocol", control::kProtocolVersion},
                  {"farlaned", nullptr}};
    try {
        const control::ControlClient client = c.connect();
        document["farlaned"] = {{"version", text_of(client.hello(), "version")},
                                {"name", text_of(client.hello(), "name")},
                                {"pid", number_of(client.hello(), "pid")},
                                {"control_protocol", number_of(client.hello(), "protocol")}};
    } catch (const Error&) {
        // No daemon: that is an answer, too.
    }
    if (c.json) {
        c.print(document);
        return 0;
    }
    c.out << fmt::format("farlane {} (wire version {}, control protocol {})\n", FARLANE_VERSION, FL_WIRE_VERSION,
                         control::kProtocolVersion);
    const Json& daemon = part_of(document, "farlaned");
    if (daemon.empty()) {
        c.out << "farlaned does not answer at " << clean(c.socket) << '\n';
    } else {
        c.out << fmt::format("farlaned {} ({}, pid {})\n", clean(text_of(daemon, "version")),
                             clean(text_of(daemon, "name")), number_of(daemon, "pid"));
    }
    return 0;
}

}  // namespace farlane::cli

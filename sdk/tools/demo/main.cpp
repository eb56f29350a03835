// SPDX-License-Identifier: Apache-2.0
// Receives: the command line. Hands on: the demonstration, step by step; the exit code.
// Owns: the fabric and the devices while it runs.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/parse.hpp"
#include "demo/steps.hpp"

namespace {

using namespace farlane;
using namespace farlane::demo;

constexpr std::uint32_t kDrawnWidth = 1280, kDrawnHeight = 720;

struct Settings {
    FabricOptions fabric;
    std::string accel, nvme;
    std::filesystem::path picture, out, file;
    std::uint32_t size = 0;
    bool json = false;
};

Settings settings_of(const cli::Arguments& a) {
    Settings s;
    s.accel = a.get("--accel");
    s.nvme = a.get("--nvme");
    s.picture = a.get("--picture");
    s.out = a.get("--out");
    s.file = a.get("--file");
    s.size = static_cast<std::uint32_t>(a.number("--size", 1, 4096));
    s.json = a.has("--json");
    if (a.has("--port")) {
        if (a.get("--provider") == "kernel") throw Error(Status::invalid, "--provider kernel goes without --port");
        s.fabric.provider = ProviderKind::embedded;
        s.fabric.port = a.get("--port");
        s.fabric.peer = a.get("--peer");
        s.fabric.progress = Progress::caller;
    } else {
        if (a.has("--peer"))
            throw Error(Status::invalid, "--peer needs --port; with a daemon its configuration names the peers");
        s.fabric.socket = a.get("--socket");
        if (a.get("--provider") == "kernel") s.fabric.provider = ProviderKind::kernel;
    }
    return s;
}

void show_functions(Fabric& fabric, Report& report) {
    auto list = nlohmann::json::array();
    std::string line = "functions   ";
    for (const auto& f : fabric.list()) {
        line += " " + f.name + " (" + f.model + (f.target.empty() ? "" : ", at " + f.target) + ")";
        list.push_back({{"name", f.name}, {"model", f.model}, {"target", f.target}});
    }
    if (list.empty()) line += " none";
    report.result(line, "functions", std::move(list));
}

Picture input_picture(const Settings& s) {
    return s.picture.empty() ? draw_picture(kDrawnWidth, kDrawnHeight) : read_picture(s.picture);
}

/// Writes the pictures; gives the name of the filtered one and its bytes.
std::vector<std::byte> write_pictures(const Settings& s, const Picture& input, const Filtered& filtered,
                                      std::filesystem::path& name) {
    if (s.picture.empty()) write_file(s.out / "farlane-demo-input.png", encode_png(input));
    write_file(s.out / "farlane-demo-edges.png", encode_png(filtered.edges));
    name = s.out / "farlane-demo-filtered.png";
    auto file = encode_png(filtered.picture);
    write_file(name, file);
    return file;
}

void run(const Settings& s) {
    Report report(s.json);
    // What the user gave is looked at before anything is attached.
    if (!std::filesystem::is_directory(s.out))
        throw Error(Status::not_found,
                    s.out.string() + ": there is no such folder for the pictures; make it, or name another by --out");
    const Picture input = input_picture(s);
    std::vector<std::byte> file;
    if (!s.file.empty()) file = read_file(s.file, kMaxFileBytes);

    Fabric fabric = Fabric::open(s.fabric);
    show_functions(fabric, report);
    std::filesystem::path name;
    {
        Device device = fabric.attach(s.accel);
        accel::Context context(device);
        const auto properties = context.properties();
        report.result(
            "accelerator  " + s.accel + " attached: " + properties.executor + " executor, " +
                std::to_string(properties.units) + " units, " + size_text(properties.memory_bytes) + " of memory",
            "accelerator",
            {{"name", s.accel}, {"executor", properties.executor}, {"memory_bytes", properties.memory_bytes}});
        const Filtered filtered = filter_picture(context, input, report);
        auto written = write_pictures(s, input, filtered, name);
        if (s.file.empty()) file = std::move(written);
        multiply_matrices(context, s.size, report);
        measure(device, context, report);
    }
    if (s.nvme != "none") {
        Device device = fabric.attach(s.nvme);
        store_file(device, file, (s.file.empty() ? name : s.file).filename().string(), report);
    }
    report.result("detached     everything", "detached", true);
    const auto where = std::filesystem::absolute(name).lexically_normal().string();
    report.result("output       " + where, "output", where);
    report.finish();
}

int complain(Status status, const std::string& text) {
    std::fprintf(stderr, "farlane-demo: %s\n", text.c_str());
    return status_exit_code(status);
}

}  // namespace

int main(int argc, char** argv) {
    const cli::Parsed parsed = cli::parse(cli::demo_program(), argc, argv);
    if (!parsed.arguments) {
        if (parsed.exit_code != 0) return complain(Status::invalid, parsed.text);
        std::fputs(parsed.text.c_str(), stdout);
        return 0;
    }
    try {
        run(settings_of(*parsed.arguments));
        return 0;
    } catch (const Error& e) {
        return complain(e.status(), e.detail());
    } catch (const std::filesystem::filesystem_error& e) {
        return complain(Status::io, e.what());
    } catch (const std::exception& e) {
        return complain(Status::no_memory, e.what());
    }
}

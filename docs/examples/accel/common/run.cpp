// SPDX-License-Identifier: Apache-2.0
// Receives: the command line of an example. Hands on: a fabric, results, the exit code (run.hpp). Owns: nothing
// further.
#include "common/run.hpp"

#include <algorithm>
#include <cstdio>
#include <new>

namespace example {
namespace {

using farlane::Error;
using farlane::Status;

constexpr std::chrono::milliseconds kFoundWithin{10'000}, kLookAgain{500};

void add_common_options(About& about) {
    const std::vector<Option> common = {
        {"--executor", "KIND",
         "of the accelerator started here: opencl, cuda, cpu; auto: opencl if there is one, else cpu", "auto"},
        {"--memory", "SIZE", "of the accelerator started here; a power of two from 32M", "256M"},
        {"--farlaned", "FILE", "the daemon to start", ""},
        {"--device", "NAME", "use this accelerator of a fabric that is there, and start nothing", ""},
        {"--socket", "PATH", "with --device: control socket of its farlaned", ""},
        {"--provider", "KIND", "with --device: daemon, or kernel: /dev/farlane/NAME of farlane.ko", "daemon"},
        {"--peer", "HOST:PORT", "with --device: reach the target from this process, without a farlaned here", ""},
        {"--port", "PORT", "with --peer: port to reach it by (docs/ports.md)", "udp:"},
        {"-o", "FORM", "results as text or json", "text"},
        {"--help", "", "this text", ""}};
    for (const Option& o : common) {  // an example may have its own standard value
        const auto same = [&](const Option& own) { return own.name == o.name; };
        if (std::none_of(about.options.begin(), about.options.end(), same)) about.options.push_back(o);
    }
}

bool wants_help(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--help" || std::string_view(argv[i]) == "-h") return true;
    }
    return false;
}

int complain(const About& about, Status status, const std::string& text) {
    std::fprintf(stderr, "%s: %s\n", about.name.c_str(), text.c_str());
    return farlane::status_exit_code(status);
}

}  // namespace

Run::Run(const About& about, int argc, const char* const* argv)
    : arguments_(about, argc, argv), report_(about.name, arguments_.choice("-o", "text|json") == "json") {}

farlane::FabricOptions Run::fabric(bool shared) {
    if (!arguments_.has("--device")) {
        for (const char* name : {"--socket", "--provider", "--peer", "--port"}) {
            if (arguments_.has(name))
                throw Error(Status::invalid, std::string(name) + " goes with --device NAME: which accelerator there");
        }
        start(arguments_.choice("--executor", "auto|opencl|cuda|cpu"), shared);
        return own_->how_to_reach();
    }
    farlane::FabricOptions options;
    options.socket = arguments_.text("--socket");
    if (arguments_.choice("--provider", "daemon|kernel") == "kernel") options.provider = farlane::ProviderKind::kernel;
    if (arguments_.has("--peer")) {
        if (shared) throw Error(Status::invalid, "several processes share an accelerator through a farlaned: --socket");
        options.provider = farlane::ProviderKind::embedded;
        options.port = arguments_.text("--port");
        options.peer = arguments_.text("--peer");
    }
    return options;
}

void Run::start(const std::string& executor, bool shared) {
    OwnFabricOptions options{arguments_.text("--farlaned"), executor, arguments_.text("--memory"), shared};
    report_.progress("starting an accelerator", 0);
    if (executor != "auto") {
        own_ = std::make_unique<OwnFabric>(options);
        return;
    }
    options.executor = "opencl";
    try {
        own_ = std::make_unique<OwnFabric>(options);
    } catch (const Error& e) {
        if (e.detail().find("executor") == std::string::npos) throw;
        report_.say("no OpenCL here, going on with the cpu executor (" + e.detail() + ")");
        options.executor = "cpu";
        own_ = std::make_unique<OwnFabric>(options);
    }
}

void Run::wait_for_device(farlane::Fabric& fabric) {
    const auto until = std::chrono::steady_clock::now() + kFoundWithin;
    const auto there = [&] {
        const auto list = fabric.list();
        return std::any_of(list.begin(), list.end(), [&](const auto& f) { return f.name == device(); });
    };
    while (!there()) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            throw Error(Status::not_found, "no accelerator '" + device() + "': farlane list shows what there is");
        (void)fabric.next_event(std::min(left, kLookAgain));
    }
}

void Run::describe(farlane::accel::Context& context) {
    const auto p = context.properties();
    report_.result("accelerator",
                   device() + ": " + p.executor + " executor" + (p.device_name.empty() ? "" : ", " + p.device_name) +
                       ", " + std::to_string(p.units) + " units, " + size_text(static_cast<double>(p.memory_bytes)) +
                       " of memory",
                   {{"name", device()},
                    {"executor", p.executor},
                    {"device_name", p.device_name},
                    {"memory_bytes", p.memory_bytes}});
}

void need_opencl_c(const farlane::accel::Context& context, const std::string& what) {
    if (context.takes(farlane::accel::ModuleKind::opencl_c)) return;
    throw Error(Status::unsupported, "this accelerator takes no OpenCL C, and no built-in kernel does " + what +
                                         ": use one with executor = \"opencl\" (Debian: apt install pocl-opencl-icd)");
}

int run(About about, int argc, char** argv, const std::function<void(Run&)>& work) {
    add_common_options(about);
    if (wants_help(argc, argv)) {
        std::fputs(help(about).c_str(), stdout);
        return 0;
    }
    try {
        Run run(about, argc, argv);
        work(run);
        run.report().finish();
        return 0;
    } catch (const Error& e) {
        const bool memory = e.status() == Status::no_memory;
        return complain(about, e.status(), e.detail() + (memory ? " (--memory gives the accelerator more)" : ""));
    } catch (const std::bad_alloc&) {
        return complain(about, Status::no_memory, "this machine has not enough memory");
    } catch (const std::exception& e) {
        return complain(about, Status::io, e.what());
    }
}

}  // namespace example

// SPDX-License-Identifier: Apache-2.0
// Receives: which accelerator to serve: "cpu", "programs" (accel/module_executor.hpp), or "opencl" and the worker
// program. Hands on: the address of its port on standard output. Owns: the target, until standard input ends.
#include <cstdio>
#include <string>

#include "accel/module_executor.hpp"

int main(int argc, char** argv) {
    using namespace farlane;
    const std::string kind = argc > 1 ? argv[1] : "cpu";
    try {
        const auto memory = backend::process_memory();
        std::unique_ptr<backend::Device> device;
        if (kind == "programs") {
            auto made = test::make_program_device(false);
            made.executor->open_gate();
            device = std::move(made.device);
        } else {
            backend::DeviceConfig config{"accel0", "accel", {{"memory", "64M"}}};
            if (kind == "opencl") {
                config.options.emplace_back("executor", "opencl");
                config.options.emplace_back("worker", argc > 2 ? argv[2] : "");
            }
            device = firmware::make_accel(config, *memory).take();
        }
        const std::string address = "127.0.0.1:" + std::to_string(test::free_udp_port());
        test::TargetThread target("udp:" + address);
        target.add("accel0", std::move(device));
        target.start();
        std::puts(address.c_str());
        std::fflush(stdout);
        while (std::getchar() != EOF) {
        }
        return 0;
    } catch (const Error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}

// SPDX-License-Identifier: Apache-2.0
// Receives: how to reach the fabric and a function's name. Hands on: what it found, on stdout.
// Owns: one attachment while it runs.
#include <cstdio>
#include <string>

#include <farlane/fabric.hpp>

namespace {

farlane::FabricOptions options_from(int argc, char** argv) {
    farlane::FabricOptions options;
    if (std::string(argv[1]) == "embedded") {
        options.provider = farlane::ProviderKind::embedded;
        options.port = argc > 3 ? argv[3] : "udp:";
        options.peer = argc > 4 ? argv[4] : "";
    } else if (argc > 3) {
        options.socket = argv[3];
    }
    return options;
}

void use(farlane::Device& device) {
    device.enable();  // memory decoding and bus mastering
    std::printf("%s: %04x:%04x, first register 0x%08x\n", device.info().name.c_str(), device.config_read16(0),
                device.config_read16(2), device.read32(0, 0));

    farlane::DmaBuffer buffer = device.domain().allocate(64 * 1024);
    farlane::Mapping mapping = device.domain().map(buffer, 0, 4096, farlane::DmaDirection::bidirectional);
    std::printf("%zu bytes at IOVA 0x%llx may be read and written by the device\n", mapping.size(),
                static_cast<unsigned long long>(mapping.iova()));
    mapping.unmap();  // once this returns, the device can not reach the buffer any more
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s daemon FUNCTION [SOCKET] | embedded FUNCTION [PORT [PEER]]\n", argv[0]);
        return 2;
    }
    try {
        farlane::Fabric fabric = farlane::Fabric::open(options_from(argc, argv));
        for (const farlane::FunctionInfo& f : fabric.list())
            std::printf("%s of %s: %s\n", f.name.c_str(), f.target.c_str(), f.model.c_str());
        farlane::Device device = fabric.attach(argv[2]);
        use(device);
        device.detach();
        std::puts("done");
        return 0;
    } catch (const farlane::Error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return farlane::status_exit_code(e.status());
    }
}

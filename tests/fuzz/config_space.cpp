// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as a configuration space. Hands on: nothing; decoding ends, and what it
// says lies inside the bytes. Owns: nothing.
#include "farlane/config_space.hpp"

#include "fuzz/fuzz.hpp"

using namespace farlane;
using fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const cli::ConfigSpace space = cli::decode_config_space(bytes);
    require(space.present || space.capabilities.empty(), "nothing is decoded where nothing answers");
    // 48 dwords from 0x40 to 0xff, 960 from 0x100 on: each offset is visited once.
    require(space.capabilities.size() <= 48 + 960, "lists end");
    for (const cli::Capability& c : space.capabilities)
        for (const cli::Register& r : c.registers)
            require(std::size_t{r.offset} + r.bytes <= size && r.offset < 4096, "registers lie inside");
    require(space.bars.size() <= 6, "there are six BARs");
    (void)cli::class_name(size >= 4 ? static_cast<std::uint32_t>(data[0]) << 16 | data[1] << 8 | data[2] : 0);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Receives: the memory of a daemon and the name of a function. Hands on: where its state lies. Owns: nothing. Cold.
#include "lane/function_place.hpp"

namespace farlane::lane {

static_assert(sizeof(proto::FunctionCounts) <= backend::kSmallRegionBytes);

Result<proto::FunctionPlace> function_place(backend::Memory& memory, const std::string& what, bool& fresh) {
    const auto region = memory.region(what, sizeof(proto::FunctionMemory), fresh);
    if (!region.ok()) return region.failure();
    bool fresh_counts = false;
    const auto counts = memory.small_region(what, fresh_counts);
    if (!counts.ok()) return counts.failure();
    proto::FunctionPlace place(*reinterpret_cast<proto::FunctionMemory*>(region.value().data()),  // page-aligned
                               *reinterpret_cast<proto::FunctionCounts*>(counts.value().data()));
    place.take_over();
    return place;
}

}  // namespace farlane::lane

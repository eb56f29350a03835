// SPDX-License-Identifier: Apache-2.0
// Receives: a reason to drop. Hands on: its name and its sentence. Owns: nothing.
#include "proto/counters.hpp"

namespace farlane::proto {

std::string_view drop_name(Drop d) noexcept {
    switch (d) {
#define FL_DROP_NAME(name, weight, text) \
    case Drop::name: return #name;
        FL_DROP_REASONS(FL_DROP_NAME)
#undef FL_DROP_NAME
        case Drop::count: break;
    }
    return "none";
}

std::string_view drop_text(Drop d) noexcept {
    switch (d) {
#define FL_DROP_TEXT(name, weight, text) \
    case Drop::name: return text;
        FL_DROP_REASONS(FL_DROP_TEXT)
#undef FL_DROP_TEXT
        case Drop::count: break;
    }
    return "nothing dropped";
}

bool drop_is_odd(Drop d) noexcept {
    constexpr bool odd = true, usual = false;
    switch (d) {
#define FL_DROP_WEIGHT(name, weight, text) \
    case Drop::name: return weight;
        FL_DROP_REASONS(FL_DROP_WEIGHT)
#undef FL_DROP_WEIGHT
        case Drop::count: break;
    }
    return usual && odd;
}

}  // namespace farlane::proto

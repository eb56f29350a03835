// SPDX-License-Identifier: Apache-2.0
// Receives: a call that may be made twice. Hands on: its result, also on a machine so slow that it times out. Owns:
// nothing.
#pragma once

#include <chrono>

#include <farlane/status.hpp>

namespace farlane::chaos {

/// No verdict depends on how long something takes, except that work which has not gone on for this long hangs.
constexpr std::chrono::seconds kHangs{120};

/// For what is done while nothing is wrong: setting up and taking down.
template <class Call>
decltype(auto) patiently(Call&& call) {
    const auto until = std::chrono::steady_clock::now() + kHangs;
    for (;;) {
        try {
            return call();
        } catch (const Error& e) {
            const bool slow = e.status() == Status::timeout || e.status() == Status::unreachable;
            if (!slow || std::chrono::steady_clock::now() > until) throw;
        }
    }
}

}  // namespace farlane::chaos

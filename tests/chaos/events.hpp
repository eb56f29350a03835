// SPDX-License-Identifier: Apache-2.0
// Receives: the events of a fabric. Hands on: how many of each kind came for a function. Owns: the thread that waits
// for them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include <farlane/fabric.hpp>

namespace farlane::chaos {

class Events {
public:
    explicit Events(Fabric& fabric);

    [[nodiscard]] std::uint64_t count(const std::string& function, std::initializer_list<EventKind> kinds) const;
    /// Until there are more than `before`; false: they do not come.
    [[nodiscard]] bool more_than(std::uint64_t before, const std::string& function,
                                 std::initializer_list<EventKind> kinds) const;
    /// By kind.
    [[nodiscard]] nlohmann::json all() const;

private:
    void watch(const std::stop_token& stop);
    [[nodiscard]] std::uint64_t sum(const std::string& function, std::initializer_list<EventKind> kinds) const;

    Fabric& fabric_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::map<std::pair<std::string, EventKind>, std::uint64_t> counts_;
    std::jthread thread_;
};

}  // namespace farlane::chaos

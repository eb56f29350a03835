// SPDX-License-Identifier: Apache-2.0
// Receives: parsed arguments. Hands on: data on `out`, an exit code, or an Error thrown.
// Owns: nothing. One function per verb; definitions in cli/farlane_program.cpp.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

#include "cli/parse.hpp"
#include "farlane/output.hpp"
#include "lib/daemon_client.hpp"

namespace farlane::cli {

/// What every verb gets.
struct Context {
    const Arguments& arguments;
    std::ostream& out;
    bool json = false;
    std::string socket;
    std::chrono::milliseconds timeout{10000};

    /// farlaned is to give up before this program does, so that it can say which target did not answer.
    [[nodiscard]] std::chrono::milliseconds patience() const { return timeout - timeout / 5; }
    [[nodiscard]] control::ControlClient connect() const { return control::ControlClient::connect(socket, timeout); }
    /// Connects, calls one verb, returns its result.
    [[nodiscard]] Json call(const std::string& verb, Json args = Json::object()) const;
    void print(const Json& document) const { out << document.dump(2) << '\n'; }
};

int run_list(const Context& c);
int run_show(const Context& c);
int run_attach(const Context& c);
int run_detach(const Context& c);
int run_events(const Context& c);
int run_stats(const Context& c);
int run_top(const Context& c);
int run_probe(const Context& c);
int run_doctor(const Context& c);
int run_upgrade(const Context& c);
int run_version(const Context& c);

/// The whole program but for std::exit: parses, runs, prints errors on `err`.
int run_program(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace farlane::cli

// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: a target and an initiator over udp on loopback, in this process, the
// initiator with a kernel module of the test. Owns: both engines and their state.
#pragma once

#include <future>
#include <memory>

#include <gtest/gtest.h>

#include "daemon/engine.hpp"
#include "daemon/fake_module.hpp"
#include "daemon/lock_file.hpp"
#include "daemon/process.hpp"

namespace farlane::test {

struct KernelPair {
    explicit KernelPair(const std::string& exports, const std::string& kernel = "");
    ~KernelPair();

    /// One side of it.
    [[nodiscard]] std::unique_ptr<daemon::Engine> open(const std::string& name, const std::string& body);
    void start_initiator();
    void start_target();

    /// What a client with all rights is told.
    [[nodiscard]] daemon::Reply call(const std::function<void(daemon::Holdings&, const daemon::Answer&)>& work);
    [[nodiscard]] daemon::Reply attach(const std::string& name, daemon::Use use = daemon::Use::automatic);
    [[nodiscard]] daemon::Reply detach(const std::string& name, bool force = false);
    [[nodiscard]] daemon::Json holding(const std::string& name);
    /// Until `ready` of what stats say of the attachment `name`.
    [[nodiscard]] bool wait_for(const std::string& name, const std::function<bool(const daemon::Json&)>& ready);

    TempDir dir;
    FakeHost host;
    unsigned port = free_udp_port();
    std::string exports, kernel;
    std::unique_ptr<daemon::Engine> target, initiator;
    daemon::Client client;
    std::mutex mutex;
    std::vector<daemon::Json> events;  ///< of the initiator, under `mutex`
};

}  // namespace farlane::test

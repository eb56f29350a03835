// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: a target and an initiator over udp on loopback, in this process.
// Owns: see the header.
#include "daemon/kernel_pair.hpp"

#include <stdexcept>
#include <thread>

namespace farlane::test {

using namespace daemon;

KernelPair::KernelPair(const std::string& e, const std::string& k) : exports(e), kernel(k) {
    client.role = Role::admin;
    start_target();
    start_initiator();
}

KernelPair::~KernelPair() {
    initiator.reset();
    target.reset();
}

std::unique_ptr<Engine> KernelPair::open(const std::string& name, const std::string& body) {
    const std::string state = dir / name;
    const std::string text = "[daemon]\nname = \"" + name + "\"\nsocket = \"" + state + ".sock\"\nstate_dir = \"" +
                             state + "\"\n[session]\ngrace_ms = 60000\n" + body;
    const auto config = parse_config(text, name).take();
    (void)make_directory(state).take();
    const auto identity = read_identity(state, "").take();
    Engine::Callbacks callbacks;
    callbacks.event = [this](const Json& event) {
        const std::scoped_lock lock(mutex);
        events.push_back(event);
    };
    callbacks.kick = [](ClientId, const std::string&) {};
    callbacks.open_kernel = host.opener();
    auto engine = Engine::open(config, identity, callbacks).take();
    engine->start();
    return engine;
}

void KernelPair::start_target() {
    target = open("box", "[kernel]\nmode = \"off\"\n[[port]]\nname = \"lan\"\nurl = \"udp:127.0.0.1:" +
                             std::to_string(port) + "\"\nlisten = true\n" + exports);
}

void KernelPair::start_initiator() {
    initiator = open("laptop", "[kernel]\n" + kernel +
                                   "[[port]]\nname = \"lan\"\nurl = \"udp:127.0.0.1:0\"\n[[peer]]\naddress = "
                                   "\"127.0.0.1:" +
                                   std::to_string(port) + "\"\n");
}

Reply KernelPair::call(const std::function<void(Holdings&, const Answer&)>& work) {
    auto promise = std::make_shared<std::promise<Reply>>();
    auto future = promise->get_future();
    initiator->post([this, work, promise] {
        work(initiator->holdings(), [promise](Reply r) { promise->set_value(std::move(r)); });
    });
    if (future.wait_for(60s) != std::future_status::ready) throw std::runtime_error("the daemon does not answer");
    return future.get();
}

Reply KernelPair::attach(const std::string& name, Use use) {
    return call([&](Holdings& h, const Answer& answer) { h.attach(client, name, true, answer, 30s, use); });
}

Reply KernelPair::detach(const std::string& name, bool force) {
    return call([&](Holdings& h, const Answer& answer) { h.detach(client, name, force, answer); });
}

Json KernelPair::holding(const std::string& name) {
    return call([&](Holdings& h, const Answer& answer) {
               Json found;
               h.each([&](const Holding& one) {
                   if (one.info().name == name) found = one.stats();
               });
               answer({Status::ok, "", found, {}});
           })
        .body;
}

bool KernelPair::wait_for(const std::string& name, const std::function<bool(const Json&)>& ready) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < deadline) {
        if (ready(holding(name))) return true;
        std::this_thread::sleep_for(2ms);
    }
    return false;
}

}  // namespace farlane::test

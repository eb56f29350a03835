// SPDX-License-Identifier: Apache-2.0
// Receives: the sessions and questions of an initiator. Hands on: a function that it may attach and never send a byte
// to: no credit is ever given, no request answered. Owns: a lane and its thread.
#pragma once

#include <cstring>
#include <string>
#include <thread>

#include "lane/lane.hpp"
#include "proto/silent_handler.hpp"

namespace farlane::test {

class StingyTarget final : public lane::Acceptor, public proto::test::SilentHandler {
public:
    StingyTarget(unsigned port, const std::string& function) {
        std::strncpy(desc_.name, function.c_str(), sizeof desc_.name - 1);
        desc_.vendor_id.set(0xf1a0);
        desc_.device_id.set(0x7a11);
        desc_.class_code.set(0xff000000);
        desc_.bar[0].size_bytes.set(65536);
        port_ = lane_.add_port(transport::open_port("udp:127.0.0.1:" + std::to_string(port)).take());
        lane_.listen(port_, *this);
        thread_ = std::jthread([this](const std::stop_token& stop) { lane_.run(stop); });
    }
    ~StingyTarget() override {
        thread_.request_stop();
        lane_.wake();
        thread_.join();
        if (session_ != nullptr) lane_.drop(*session_);
    }

    void on_hello(lane::PortId port, const transport::Address* from, const proto::Hello& hello,
                  lane::Time) noexcept override {
        if (session_ != nullptr && hello.nonce == nonce_) return lane_.join(*session_, port, from, hello);
        if (session_ != nullptr) lane_.drop(*session_);
        nonce_ = hello.nonce;
        proto::SessionConfig c;
        c.instance.fill(0x5a);
        c.name = "stingy";
        c.keepalive = std::chrono::milliseconds(100);
        session_ = &lane_.accept(port, from, hello, c, *this);
    }
    void on_list(proto::Session& s, std::uint32_t request) noexcept override {
        s.send_list_reply(request, 0, 1, desc_);
    }
    void on_attach(proto::Session& s, const proto::AttachRequest& r) noexcept override {
        proto::AttachReply reply;
        reply.request = r.request;
        reply.handle = {0, 1};
        reply.desc = desc_;
        s.send_attach_reply(reply);
    }
    void on_detach(proto::Session& s, std::uint32_t request, proto::FunctionHandle h, Status) noexcept override {
        s.send_detach_reply(request, h, Status::ok);
    }

private:
    fl_function_desc desc_{};
    lane::Lane lane_;
    lane::PortId port_ = 0;
    proto::Session* session_ = nullptr;
    std::uint64_t nonce_ = 0;
    std::jthread thread_;
};

}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of a function under test. Hands on: answers, and a verdict on order and
// repetition. Owns: a piece of memory that the peer reads and writes.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proto/function.hpp"

namespace farlane::proto::sim {

inline Tlp write_tlp(std::uint64_t address, std::uint16_t bytes, bool relaxed = false) {
    Tlp t;
    t.type = TlpType::memory_write;
    t.address = address;
    t.length_bytes = bytes;
    t.attr = relaxed ? FL_ATTR_RO : 0;
    return t;
}

inline Tlp read_tlp(std::uint64_t address, std::uint16_t bytes) {
    Tlp t;
    t.type = TlpType::memory_read;
    t.address = address;
    t.length_bytes = bytes;
    return t;
}

/// A handler that keeps count of everything and complains about what the protocol forbids.
class Endpoint : public FunctionHandler {
public:
    explicit Endpoint(std::size_t bytes = 1u << 20) : ram(bytes) {}

    void on_posted(Function& f, const Tlp& tlp, std::span<const std::byte> payload) noexcept override {
        if (payload.size() != tlp.length_bytes) complain("payload is not whole");
        if (tlp.sequence != next_place_) complain("posted record out of order", tlp.sequence);
        if (tlp.type == TlpType::memory_write && tlp.relaxed()) complain("relaxed write given as strict");
        next_place_ = tlp.sequence + 1;
        pass_relaxed();
        ++posted;
        if (tlp.type == TlpType::memory_write) store(tlp.address, payload);
        if (tlp.type == TlpType::msi) ++interrupts;
        if (on_posted_do) on_posted_do(f, tlp, payload);
    }
    void on_relaxed(Function&, const Tlp& tlp, std::uint32_t offset,
                    std::span<const std::byte> payload) noexcept override {
        std::size_t& have = relaxed_bytes_[tlp.sequence];
        have += payload.size();
        if (have > tlp.length_bytes) complain("relaxed byte placed twice", tlp.sequence);
        if (tlp.sequence < next_place_) complain("relaxed record placed again", tlp.sequence);
        relaxed_lengths_[tlp.sequence] = tlp.length_bytes;
        store(tlp.address + offset, payload);
        pass_relaxed();
    }
    Answer on_request(Function& f, const Tlp& tlp, std::span<const std::byte> payload, RequestId id,
                      std::span<std::byte> result, Status& status) noexcept override {
        ++requests;
        if (!executed_.insert(tlp.sequence).second && !forgive_repeats)
            complain("request executed twice", tlp.sequence);
        if (tlp.follows_posted >= next_place_) complain("request overtook a posted record", tlp.sequence);
        if (on_request_do) return on_request_do(f, tlp, payload, id, result, status);
        if (tlp.address + tlp.length_bytes > ram.size()) {
            status = Status::unsupported_request;
            return Answer::done;
        }
        if (tlp.type == TlpType::fetch_add) {
            std::uint64_t old = 0, operand = 0;
            std::memcpy(&old, ram.data() + tlp.address, result.size());
            std::memcpy(&operand, payload.data(), payload.size());
            std::memcpy(result.data(), &old, result.size());
            old += operand;
            std::memcpy(ram.data() + tlp.address, &old, result.size());
            return Answer::done;
        }
        if (fetch_longer_than != 0 && tlp.length_bytes > fetch_longer_than) return Answer::by_fetch;
        if (!result.empty()) std::memcpy(result.data(), ram.data() + tlp.address, result.size());
        return Answer::done;
    }
    Status fetch(Function&, std::uint64_t address, std::uint32_t, std::uint32_t offset,
                 std::span<std::byte> out) noexcept override {
        ++fetches;
        if (address + offset + out.size() > ram.size()) return Status::out_of_bounds;
        std::memcpy(out.data(), ram.data() + address + offset, out.size());
        return Status::ok;
    }
    void on_completion(Function& f, std::uint64_t cookie, Status status) noexcept override {
        ++completions;
        if (!completed.emplace(cookie, status).second) complain("completed twice", cookie);
        if (on_completion_do) on_completion_do(f, cookie, status);
    }
    void on_released(Function&, std::uint64_t cookie) noexcept override {
        if (!released.empty() && cookie <= released.back()) complain("released out of order", cookie);
        released.push_back(cookie);
    }
    void on_event(Function& f, FunctionEvent e, const Tlp* about) noexcept override {
        events.push_back(e);
        if (e == FunctionEvent::reset) {
            next_place_ = 1;
            relaxed_bytes_.clear();
            relaxed_lengths_.clear();
            executed_.clear();
        }
        if (on_event_do) on_event_do(f, e, about);
    }

    /// Sequence of the first posted record that is not placed.
    [[nodiscard]] std::uint64_t next_place() const { return next_place_; }
    /// After a kill of this side: the handler goes on, records from here on may come again.
    void rewind_to(std::uint64_t released_posted) {
        next_place_ = released_posted + 1;
        relaxed_bytes_.clear();
        relaxed_lengths_.clear();
    }
    [[nodiscard]] bool ok() const { return complaint.empty(); }

    std::vector<std::byte> ram;
    std::uint64_t posted = 0, requests = 0, completions = 0, interrupts = 0, fetches = 0;
    std::map<std::uint64_t, Status> completed;
    std::vector<std::uint64_t> released;
    std::vector<FunctionEvent> events;
    std::string complaint;
    unsigned fetch_longer_than = 0;
    bool forgive_repeats = false;
    std::function<void(Function&, const Tlp&, std::span<const std::byte>)> on_posted_do;
    std::function<Answer(Function&, const Tlp&, std::span<const std::byte>, RequestId, std::span<std::byte>, Status&)>
        on_request_do;
    std::function<void(Function&, std::uint64_t, Status)> on_completion_do;
    std::function<void(Function&, FunctionEvent, const Tlp*)> on_event_do;

private:
    void store(std::uint64_t address, std::span<const std::byte> payload) {
        if (address + payload.size() <= ram.size()) std::memcpy(ram.data() + address, payload.data(), payload.size());
    }
    void pass_relaxed() {
        for (auto it = relaxed_bytes_.find(next_place_);
             it != relaxed_bytes_.end() && it->second == relaxed_lengths_[next_place_];
             it = relaxed_bytes_.find(next_place_)) {
            relaxed_lengths_.erase(next_place_);
            relaxed_bytes_.erase(it);
            ++next_place_;
        }
    }
    void complain(const char* what, std::uint64_t number = 0) {
        if (complaint.empty()) complaint = std::string(what) + " " + std::to_string(number);
    }

    std::uint64_t next_place_ = 1;
    std::map<std::uint64_t, std::size_t> relaxed_bytes_, relaxed_lengths_;
    std::set<std::uint64_t> executed_;
};

/// A function at one side with its memory, as a lane keeps it.
struct Port {
    explicit Port(FunctionHandle h = {3, 1}) : memory(std::make_unique<FunctionMemory>()) { memory->create(h); }
    /// Makes the Function object; after a kill it adopts what the memory holds.
    Function& start(const FunctionLimits& l = {}) {
        function = std::make_unique<Function>(*memory, endpoint, l);
        return *function;
    }
    std::unique_ptr<FunctionMemory> memory;
    Endpoint endpoint;
    std::unique_ptr<Function> function;
};

}  // namespace farlane::proto::sim

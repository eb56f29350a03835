// SPDX-License-Identifier: Apache-2.0
// Receives: commands. Hands on: the same to the engine, in order or not.
// Owns: what can not be sent yet. OpenCL 3.0, 5.1.
#pragma once

#include <deque>
#include <vector>

#include "opencl/context.hpp"

namespace farlane::opencl {

class CommandQueue : public Object {
public:
    using Handle = cl_command_queue;
    static constexpr Kind kKind = Kind::queue;
    static constexpr cl_int kInvalid = CL_INVALID_COMMAND_QUEUE;

    CommandQueue(Context& context, cl_command_queue_properties properties, std::vector<cl_queue_properties> list);
    ~CommandQueue();
    [[nodiscard]] Context& context() const noexcept { return *context_; }
    [[nodiscard]] Engine& engine() const noexcept { return context_->engine(); }
    [[nodiscard]] cl_command_queue_properties properties() const noexcept { return properties_; }
    [[nodiscard]] const std::vector<cl_queue_properties>& property_list() const noexcept { return list_; }
    [[nodiscard]] bool profiles() const noexcept { return (properties_ & CL_QUEUE_PROFILING_ENABLE) != 0; }
    [[nodiscard]] bool in_order() const noexcept { return (properties_ & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) == 0; }

    /// The common part of all enqueue calls: checks the wait list, enqueues, gives the event out, and for a blocking
    /// call waits.
    struct Call {
        cl_uint wait_count = 0;
        const cl_event* wait_list = nullptr;
        cl_event* event = nullptr;
        enum class Until : std::uint8_t { enqueued, sent, complete } until = Until::enqueued;
        bool barrier = false, behind_all = false;
    };
    void enqueue(cl_command_type type, std::unique_ptr<Work> work, const Call& call);
    /// Waits for all commands so far. Fails with CL_OUT_OF_RESOURCES when one of them did not run, once.
    void finish();

    // --- of the engine, with its lock
    Track* track = nullptr;
    std::deque<Ref<Event>> waiting;
    std::size_t unfinished = 0;
    bool failed = false;

private:
    Ref<Context> context_;
    cl_command_queue_properties properties_;
    std::vector<cl_queue_properties> list_;
};

}  // namespace farlane::opencl

// SPDX-License-Identifier: Apache-2.0
// Receives: requests of an application about its attachment. Hands on: work for the lane.
// Owns: nothing. What can block or allocate much (mapping memory) is done here, not in the lane.
#include "daemon/arguments.hpp"
#include "daemon/verbs.hpp"

namespace farlane::daemon {
namespace {

// Descriptors and memory on their way into a std::function, which wants copies.
template <class T>
std::shared_ptr<T> boxed(T value) {
    return std::make_shared<T>(std::move(value));
}

void need_fds(const Request& r, std::size_t count) {
    if (r.fds.size() != count)
        throw Error(Status::invalid, "'" + r.verb + "' comes with " + std::to_string(count) + " descriptor(s)");
}

}  // namespace

void Verbs::with(const Client& client, std::uint32_t id, const Answer& answer,
                 std::function<void(Holding&, const Answer&)> work) {
    engine_.post([this, client, id, answer, work = std::move(work)] {
        if (Holding* h = engine_.holdings().of(client, id, answer)) work(*h, answer);
    });
}

void Verbs::open_channel(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    channel::Geometry g;
    g.submit_entries =
        static_cast<std::uint32_t>(args.optional_number("submit_entries", 1U << 20).value_or(g.submit_entries));
    g.complete_entries =
        static_cast<std::uint32_t>(args.optional_number("complete_entries", 1U << 20).value_or(g.complete_entries));
    g.staging_bytes =
        static_cast<std::uint32_t>(args.optional_number("staging_bytes", 1U << 30).value_or(g.staging_bytes));
    args.finish();
    if (!g.valid())
        throw Error(Status::invalid,
                    "entries are powers of two from 64 to 65536; staging_bytes is a multiple of 4096 "
                    "from 65536 to 67108864");
    with(r.client, id, answer, [g](Holding& h, const Answer& a) { a(h.open_channel(g)); });
}

void Verbs::register_buffer(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint64_t bytes = args.number("bytes");
    const auto wanted = args.optional_number("buffer", ~std::uint32_t{0});
    args.finish();
    need_fds(r, 1);
    auto memory = SharedMemory::adopt(std::move(r.fds[0]), bytes);
    if (!memory.ok()) return answer(refusal(memory.failure()));
    std::optional<std::uint32_t> number;
    if (wanted) number = static_cast<std::uint32_t>(*wanted);
    with(r.client, id, answer,
         [memory = *memory, number](Holding& h, const Answer& a) { a(h.register_buffer(memory, number)); });
}

void Verbs::unregister_buffer(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint32_t buffer = args.number32("buffer");
    args.finish();
    with(r.client, id, answer, [buffer](Holding& h, const Answer& a) { a(h.unregister_buffer(buffer)); });
}

void Verbs::map(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint32_t buffer = args.number32("buffer");
    const std::uint64_t offset = args.number("offset");
    const std::uint64_t bytes = args.number("bytes");
    const std::uint32_t direction = args.number32("direction");
    const std::uint64_t token = args.optional_number("token").value_or(0);
    args.finish();
    with(r.client, id, answer, [=](Holding& h, const Answer& a) { h.map(buffer, offset, bytes, direction, token, a); });
}

void Verbs::unmap(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint64_t iova = args.number("iova");
    args.finish();
    with(r.client, id, answer, [iova](Holding& h, const Answer& a) { h.unmap(iova, a); });
}

void Verbs::enable_interrupts(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint32_t count = args.number32("count");
    const auto first = static_cast<std::uint32_t>(args.optional_number("first", ~std::uint32_t{0}).value_or(0));
    args.finish();
    with(r.client, id, answer, [count, first, fds = boxed(std::move(r.fds))](Holding& h, const Answer& a) {
        a(h.enable_interrupts(count, first, std::move(*fds)));
    });
}

void Verbs::open_context(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    args.finish();
    with(r.client, id, answer, [](Holding& h, const Answer& a) { h.open_context(a); });
}

void Verbs::close_context(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint32_t context = args.number32("context");
    args.finish();
    with(r.client, id, answer, [context](Holding& h, const Answer& a) { h.close_context(context, a); });
}

void Verbs::make_queue(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    QueueWish wish;
    wish.context = args.number32("context");
    wish.entries = args.number32("entries");
    wish.cq_iova = args.number("cq_iova");
    wish.vector = static_cast<std::uint32_t>(args.optional_number("vector", kMaxVectors).value_or(FL_ACCEL_NO_VECTOR));
    args.finish();
    with(r.client, id, answer, [wish](Holding& h, const Answer& a) { h.make_queue(wish, a); });
}

void Verbs::drop_queue(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    const std::uint32_t queue = args.number32("queue");
    args.finish();
    with(r.client, id, answer, [queue](Holding& h, const Answer& a) { h.drop_queue(queue, a); });
}

void Verbs::reset(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    args.finish();
    with(r.client, id, answer, [](Holding& h, const Answer& a) { h.reset(a); });
}

void Verbs::acknowledge_reset(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    args.finish();
    with(r.client, id, answer, [](Holding& h, const Answer& a) { h.acknowledge_reset(a); });
}

void Verbs::resume_attachment(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::string token = args.text("token");
    args.finish();
    engine_.post(
        [this, answer, token, client = r.client] { engine_.holdings().resume_attachment(client, token, answer); });
}

void Verbs::resume_channel(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    args.finish();
    need_fds(r, 3);
    with(r.client, id, answer, [fds = boxed(std::move(r.fds))](Holding& h, const Answer& a) {
        auto memory = SharedMemory::adopt(std::move((*fds)[0]), h.saved().geometry().total_bytes());
        if (!memory.ok()) return a(refusal(memory.failure()));
        a(h.open_resumed_channel({*memory, std::move((*fds)[1]), std::move((*fds)[2])}));
    });
}

void Verbs::resume_done(Request& r, const Answer& answer) {
    Arguments args(r.args);
    const std::uint32_t id = args.number32("attachment");
    args.finish();
    engine_.post([this, answer, id, client = r.client] { engine_.holdings().resume_done(client, id, answer); });
}

}  // namespace farlane::daemon

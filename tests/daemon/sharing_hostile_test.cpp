// SPDX-License-Identifier: Apache-2.0
// Receives: applications that reach for what is another's: doorbells, queues, memory, numbers, handles, IOVAs.
// Hands on: proof that each of it is refused by name, and that the other's results stay right. Owns: processes.
#include <cstring>

#include <sys/mman.h>

#include <farlane/uapi/accel.h>

#include "daemon/share_fixture.hpp"
#include "lib/daemon_channel.hpp"

namespace farlane::test {
namespace {

using control::Json;

/// An application that speaks to farlaned without the library: nothing but farlaned holds it back.
class RawShare {
public:
    explicit RawShare(const std::string& socket) : client_(control::ControlClient::connect(socket, 10s)) {
        const Json a = client_.call("attach", {{"name", "accel0"}, {"shared", true}});
        id_ = a.at("attachment");
        std::vector<control::UniqueFd> fds;
        const Json c = client_.call_fds("open_channel", {{"attachment", id_}}, {}, &fds);
        channel_ = std::make_unique<channel::AppChannel>(
            channel::Geometry{c.at("submit_entries"), c.at("complete_entries"), c.at("staging_bytes")}, std::move(fds));
        const Json context = call("open_context", {});
        context_ = context.at("context");
        memory_ = context.at("memory_address");
        memory_bytes_ = context.at("memory_bytes");
        buffer_ = control::UniqueFd(::memfd_create("share", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        EXPECT_EQ(::ftruncate(buffer_.get(), kBytes), 0);
        EXPECT_EQ(::fcntl(buffer_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
        void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, buffer_.get(), 0);
        bytes_ = {static_cast<std::byte*>(at), kBytes};
        const Json b =
            client_.call_fds("register_buffer", {{"attachment", id_}, {"bytes", kBytes}}, {buffer_.get()}, nullptr);
        iova_ =
            call("map", {{"buffer", b.at("buffer")}, {"offset", 0}, {"bytes", kBytes}, {"direction", 3}}).at("iova");
        const Json q = call("make_queue", {{"context", context_}, {"entries", 64}, {"cq_iova", iova_}});
        queue_ = q.at("queue");
        const fl_accel_registers r = registers();
        sq_ = q.at("sq_address").get<std::uint64_t>() - r.aperture_address.get();
        aperture_ = r.aperture_address.get();
    }
    ~RawShare() { ::munmap(bytes_.data(), bytes_.size()); }

    Json call(const std::string& verb, Json args) {
        args["attachment"] = id_;
        return client_.call(verb, std::move(args));
    }
    [[nodiscard]] Status refused(const std::string& verb, Json args) {
        return status_of([&] { (void)call(verb, std::move(args)); });
    }
    /// A posted write and what became of it.
    Status write(unsigned bar, std::uint64_t offset, std::uint32_t value, std::size_t bytes = 4) {
        std::array<std::byte, 64> data{};
        std::memcpy(data.data(), &value, 4);
        EXPECT_TRUE(channel_->write(channel::make_tlp(FL_TLP_MWR, bar, offset, bytes), std::span(data).first(bytes)));
        (void)config_read();  // behind it
        return channel_->take_refused();
    }
    Status request(fl_tlp tlp, std::span<const std::byte> operand, std::span<std::byte> into) {
        channel::Waiter waiter;
        EXPECT_TRUE(channel_->request(tlp, operand, into, waiter));
        while (waiter.outstanding != 0) {
            channel_->announce_sleep(false);
            pollfd p{channel_->bell(), POLLIN, 0};
            if (!channel_->drain() && ::poll(&p, 1, 60'000) != 1) throw std::runtime_error("no answer");
            channel_->announce_awake();
            channel_->hush();
            channel_->drain();
        }
        return waiter.status;
    }
    Status read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) {
        return request(channel::make_tlp(FL_TLP_MRD, bar, offset, into.size()), {}, into);
    }
    Status read(unsigned bar, std::uint64_t offset) {
        std::array<std::byte, 8> into{};
        return read(bar, offset, into);
    }
    Status config_read() {
        std::array<std::byte, 4> into{};
        return request(channel::make_tlp(FL_TLP_CFGRD, FL_BAR_NONE, 0, 4), {}, into);
    }
    Status config_write(std::uint64_t offset) {
        const std::array<std::byte, 4> data{};
        return request(channel::make_tlp(FL_TLP_CFGWR, FL_BAR_NONE, offset, 4), data, {});
    }
    Status fetch_add(unsigned bar, std::uint64_t offset) {
        const std::array<std::byte, 4> data{};
        std::array<std::byte, 4> into{};
        return request(channel::make_tlp(FL_TLP_FETCHADD, bar, offset, 4), data, into);
    }
    [[nodiscard]] fl_accel_registers registers() {
        fl_accel_registers r;
        EXPECT_EQ(read(0, 0, std::as_writable_bytes(std::span(&r, 1))), Status::ok);
        return r;
    }
    /// Runs one command; its completion.
    fl_accel_completion run(fl_accel_command c) {
        c.head.slots = 1;
        c.head.command_id.set(tail_);
        const std::uint64_t slot = sq_ + std::uint64_t{tail_ & 63} * sizeof c;
        EXPECT_TRUE(channel_->write(channel::make_tlp(FL_TLP_MWR, 2, slot, sizeof c), std::as_bytes(std::span(&c, 1))));
        const std::uint32_t head = tail_++;
        EXPECT_EQ(write(0, FL_ACCEL_DOORBELL_OFFSET + std::uint64_t{queue_} * FL_ACCEL_DOORBELL_STRIDE, tail_),
                  Status::ok);
        fl_accel_completion done;
        const auto* at = bytes_.data() + std::size_t{head & 63} * sizeof done;
        const std::uint16_t phase = (head / 64) % 2 == 0 ? FL_ACCEL_PHASE : 0;
        EXPECT_TRUE(comes_true([&] {
            std::memcpy(static_cast<void*>(&done), at, sizeof done);
            return done.phase.get() == phase;
        }));
        return done;
    }

    static constexpr std::size_t kBytes = 65536;
    control::ControlClient client_;
    std::unique_ptr<channel::AppChannel> channel_;
    control::UniqueFd buffer_;
    std::span<std::byte> bytes_;
    std::uint32_t id_ = 0, context_ = 0, queue_ = 0, tail_ = 0;
    std::uint64_t memory_ = 0, memory_bytes_ = 0, iova_ = 0, sq_ = 0, aperture_ = 0;
};

struct HostileTest : ShareTest {
    RawShare victim{socket()}, hostile{socket()};
    Fabric fabric = open_fabric(socket());
    Device device = fabric.attach("accel0", AttachMode::shared);
    ShareWork work{device, 5};
    void TearDown() override {
        work.round();  // whatever was tried: somebody else's results are right
        fl_accel_command nop{};
        nop.head.opcode = FL_ACCEL_OP_NOP;
        EXPECT_EQ(victim.run(nop).status.get(), FL_STATUS_SC) << "and the victim's queue pair goes on";
        ShareTest::TearDown();
    }
    std::uint64_t doorbell(std::uint32_t queue) {
        return FL_ACCEL_DOORBELL_OFFSET + std::uint64_t{queue} * FL_ACCEL_DOORBELL_STRIDE;
    }
    std::uint64_t queue_register(std::uint32_t queue) {
        return FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queue} * FL_ACCEL_QUEUE_STRIDE;
    }
    std::uint64_t violations() {
        const Json all = attachment().at("holders");
        for (const Json& h : all)
            if (h.at("contexts").at(0) == hostile.context_) return h.at("violations");
        return 0;
    }
};

TEST_F(HostileTest, WritesOutsideItsOwnAreRefused) {
    EXPECT_EQ(hostile.write(0, doorbell(hostile.queue_), 0), Status::ok) << "its own doorbell";
    EXPECT_EQ(hostile.write(0, doorbell(victim.queue_), 1), Status::denied);
    EXPECT_EQ(hostile.write(0, doorbell(victim.queue_) - 4, 1, 8), Status::denied) << "across a border";
    EXPECT_EQ(hostile.write(0, doorbell(hostile.queue_) + FL_ACCEL_DOORBELL_STRIDE - 4, 1, 8), Status::denied);
    EXPECT_EQ(hostile.write(0, doorbell(200), 1), Status::denied) << "of nobody";
    EXPECT_EQ(hostile.write(2, victim.sq_, 1), Status::denied);
    EXPECT_EQ(hostile.write(2, hostile.sq_ - 4, 1, 8), Status::denied);
    EXPECT_EQ(hostile.write(2, hostile.sq_ + 64 * 64 - 4, 1, 8), Status::denied) << "more slots than it asked for";
    const std::uint64_t theirs = victim.memory_ - victim.aperture_, own = hostile.memory_ - hostile.aperture_;
    EXPECT_EQ(hostile.write(2, own, 1), Status::ok);
    EXPECT_EQ(hostile.write(2, own + hostile.memory_bytes_ - 4, 1), Status::ok);
    EXPECT_EQ(hostile.write(2, own + hostile.memory_bytes_ - 4, 1, 8), Status::denied);
    EXPECT_EQ(hostile.write(2, theirs, 1), Status::denied);
    EXPECT_EQ(hostile.write(2, theirs + victim.memory_bytes_ - 4, 1), Status::denied);
    EXPECT_EQ(hostile.write(0, offsetof(fl_accel_registers, control), FL_ACCEL_CONTROL_RESET), Status::denied);
    EXPECT_EQ(hostile.write(0, FL_ACCEL_MSIX_TABLE_OFFSET, 1), Status::denied);
    EXPECT_EQ(hostile.write(0, queue_register(victim.queue_) + 36, 0), Status::denied);
    EXPECT_EQ(hostile.write(0, queue_register(hostile.queue_) + 36, 0), Status::denied) << "not even its own";
    EXPECT_EQ(hostile.write(0, FL_ACCEL_CONTEXT_OFFSET, 0), Status::denied);
    EXPECT_EQ(violations(), 15U);
}

TEST_F(HostileTest, ReadsOutsideItsOwnAreRefused) {
    EXPECT_EQ(hostile.registers().magic.get(), FL_ACCEL_MAGIC);
    EXPECT_EQ(hostile.read(0, queue_register(hostile.queue_)), Status::ok);
    EXPECT_EQ(hostile.read(0, queue_register(victim.queue_)), Status::denied);
    EXPECT_EQ(hostile.read(0, FL_ACCEL_MSIX_TABLE_OFFSET), Status::denied);
    EXPECT_EQ(hostile.read(2, hostile.memory_ - hostile.aperture_), Status::ok);
    EXPECT_EQ(hostile.read(2, victim.memory_ - victim.aperture_), Status::denied);
    EXPECT_EQ(hostile.read(2, victim.sq_), Status::denied);
    EXPECT_EQ(hostile.read(2, hostile.sq_), Status::denied) << "commands of who had it before are there";
    EXPECT_EQ(hostile.config_read(), Status::ok);
    EXPECT_EQ(hostile.config_write(4), Status::denied);
    EXPECT_EQ(hostile.fetch_add(2, hostile.memory_ - hostile.aperture_), Status::denied);
    EXPECT_EQ(violations(), 7U);
}

TEST_F(HostileTest, NumbersOfOthersAreRefused) {
    EXPECT_EQ(hostile.refused("drop_queue", {{"queue", victim.queue_}}), Status::denied);
    EXPECT_EQ(hostile.refused("drop_queue", {{"queue", 4000000000U}}), Status::denied);
    EXPECT_EQ(hostile.refused("close_context", {{"context", victim.context_}}), Status::denied);
    EXPECT_EQ(hostile.refused("close_context", {{"context", 70000}}), Status::denied);
    const auto queue = [&](std::uint32_t context, std::uint64_t iova, std::uint64_t entries = 64) {
        return hostile.refused("make_queue", {{"context", context}, {"entries", entries}, {"cq_iova", iova}});
    };
    EXPECT_EQ(queue(victim.context_, hostile.iova_ + 4096), Status::denied);
    EXPECT_EQ(queue(hostile.context_, hostile.iova_ + RawShare::kBytes - 1024), Status::out_of_bounds);
    EXPECT_EQ(queue(hostile.context_, hostile.iova_ + 8), Status::out_of_bounds);
    EXPECT_EQ(queue(hostile.context_, 0), Status::out_of_bounds);
    EXPECT_EQ(queue(hostile.context_, ~std::uint64_t{0} - 63), Status::invalid);
    EXPECT_EQ(queue(hostile.context_, hostile.iova_ + 4096, 100), Status::invalid);
    EXPECT_EQ(queue(hostile.context_, hostile.iova_ + 4096, 0), Status::invalid);
    EXPECT_EQ(hostile.refused(
                  "make_queue",
                  {{"context", hostile.context_}, {"entries", 64}, {"cq_iova", hostile.iova_ + 4096}, {"vector", 3}}),
              Status::out_of_bounds);
    EXPECT_EQ(hostile.refused("reset", {}), Status::denied);
    EXPECT_EQ(hostile.refused("unmap", {{"iova", 4096}}), Status::not_found);
    EXPECT_EQ(status_of([&] {
                  (void)hostile.client_.call("drop_queue", {{"attachment", victim.id_}, {"queue", victim.queue_}});
              }),
              Status::not_found)
        << "another's attachment";
}

fl_accel_command copy(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_COPY;
    c.u.copy.kind.set(kind);
    c.u.copy.destination.set(to);
    c.u.copy.source.set(from);
    c.u.copy.bytes.set(bytes);
    return c;
}

fl_accel_command alloc(std::uint64_t address, std::uint64_t bytes) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_ALLOC;
    c.u.alloc.address.set(address);
    c.u.alloc.bytes.set(bytes);
    return c;
}

TEST_F(HostileTest, CommandsThatNameWhatIsAnothersFailAlone) {
    EXPECT_EQ(victim.run(alloc(victim.memory_, 4096)).status.get(), FL_STATUS_SC);
    EXPECT_EQ(victim.write(2, victim.memory_ - victim.aperture_, 0x5ec4e7), Status::ok);
    EXPECT_EQ(hostile.run(alloc(victim.memory_ + 4096, 4096)).reason.get(), FL_ACCEL_REASON_BAD_ADDRESS)
        << "memory that nobody has taken, in the other's part";
    fl_accel_command fence{};
    fence.head.opcode = FL_ACCEL_OP_FENCE;
    const auto fails = [&](const fl_accel_command& c, std::uint32_t reason) {
        EXPECT_EQ(hostile.run(fence).status.get(), FL_STATUS_SC);
        EXPECT_EQ(hostile.run(c).reason.get(), reason) << "opcode " << unsigned{c.head.opcode};
    };
    EXPECT_EQ(hostile.run(fence).status.get(), FL_STATUS_SC);
    EXPECT_EQ(hostile.run(alloc(hostile.memory_, 8192)).status.get(), FL_STATUS_SC);
    fails(copy(FL_ACCEL_COPY_DEVICE_TO_DEVICE, hostile.memory_, victim.memory_, 4096), FL_ACCEL_REASON_NOT_ALLOCATED);
    fails(copy(FL_ACCEL_COPY_DEVICE_TO_DEVICE, victim.memory_, hostile.memory_, 4096), FL_ACCEL_REASON_NOT_ALLOCATED);
    fails(copy(FL_ACCEL_COPY_DEVICE_TO_HOST, hostile.iova_, victim.memory_, 4096), FL_ACCEL_REASON_NOT_ALLOCATED);
    fl_accel_command free{};
    free.head.opcode = FL_ACCEL_OP_FREE;
    free.u.alloc.address.set(victim.memory_);
    fails(free, FL_ACCEL_REASON_BAD_FREE);
    fl_accel_command launch{};
    launch.head.opcode = FL_ACCEL_OP_LAUNCH;
    launch.u.launch.kernel.set(1);  // of the library's contexts; none of this one's
    fails(launch, FL_ACCEL_REASON_BAD_HANDLE);
    std::array<std::byte, 4> there{};
    EXPECT_EQ(victim.read(2, victim.memory_ - victim.aperture_, there), Status::ok);
    std::uint32_t value = 0;
    std::memcpy(&value, there.data(), 4);
    EXPECT_EQ(value, 0x5ec4e7U);
}

// Both have the same numbers: an IOVA means one thing to each of them, and nothing beyond what it mapped.
TEST_F(HostileTest, AnIovaOfAnotherReachesNothing) {
    const Json b = victim.client_.call_fds("register_buffer", {{"attachment", victim.id_}, {"bytes", RawShare::kBytes}},
                                           {victim.buffer_.get()}, nullptr);
    const std::uint64_t theirs =
        victim.call("map", {{"buffer", b.at("buffer")}, {"offset", 0}, {"bytes", 65536}, {"direction", 3}}).at("iova");
    std::memset(victim.bytes_.data() + 8192, 0x77, 4096);
    const std::vector<std::byte> before(victim.bytes_.begin() + 8192, victim.bytes_.begin() + 12288);
    EXPECT_EQ(hostile.run(alloc(hostile.memory_, 8192)).status.get(), FL_STATUS_SC);
    EXPECT_EQ(hostile.run(copy(FL_ACCEL_COPY_DEVICE_TO_HOST, theirs + 8192, hostile.memory_, 4096)).reason.get(),
              FL_ACCEL_REASON_HOST_ADDRESS);
    fl_accel_command fence{};
    fence.head.opcode = FL_ACCEL_OP_FENCE;
    EXPECT_EQ(hostile.run(fence).status.get(), FL_STATUS_SC);
    EXPECT_EQ(hostile.run(copy(FL_ACCEL_COPY_HOST_TO_DEVICE, hostile.memory_, theirs + 8192, 4096)).reason.get(),
              FL_ACCEL_REASON_HOST_ADDRESS);
    EXPECT_EQ(hostile.run(fence).status.get(), FL_STATUS_SC);
    EXPECT_EQ(hostile.iova_, victim.iova_);
    EXPECT_EQ(hostile.run(copy(FL_ACCEL_COPY_DEVICE_TO_HOST, victim.iova_ + 8192, hostile.memory_, 4096)).status.get(),
              FL_STATUS_SC)
        << "its own";
    EXPECT_TRUE(std::equal(before.begin(), before.end(), victim.bytes_.begin() + 8192));
    EXPECT_EQ(hostile.bytes_[8192], std::byte{0});
}

TEST_F(HostileTest, MappingsAreNotTakenFromOthers) {
    const auto map = [&](RawShare& who, std::uint64_t page) {
        return who.refused("map", {{"buffer", 1}, {"offset", page * 512}, {"bytes", 512}, {"direction", 3}});
    };
    Status last = Status::ok;
    std::size_t had = 1;  // its completion queue
    for (; last == Status::ok && had < 5000; ++had) last = map(hostile, had % 128);
    EXPECT_EQ(last, Status::limit);
    EXPECT_EQ(had - 1, 128U);
    EXPECT_EQ(map(victim, 3), Status::ok);
}

// A doorbell that can not be stops its own pair, and nobody else's.
TEST_F(HostileTest, AnImpossibleDoorbellStopsItsOwnPair) {
    EXPECT_EQ(hostile.write(0, doorbell(hostile.queue_), 0x7fffffff), Status::ok);
    work.round();
    EXPECT_EQ(hostile.refused("drop_queue", {{"queue", hostile.queue_}}), Status::ok);
    const Json again =
        hostile.call("make_queue", {{"context", hostile.context_}, {"entries", 64}, {"cq_iova", hostile.iova_}});
    EXPECT_EQ(again.at("queue"), hostile.queue_);
}

// Unmapped below a queue pair that works: completions find nothing, and nobody else is asked.
TEST_F(HostileTest, ACompletionQueueThatWasUnmapped) {
    EXPECT_EQ(hostile.refused("unmap", {{"iova", hostile.iova_}}), Status::ok);
    fl_accel_command nop{};
    nop.head.opcode = FL_ACCEL_OP_NOP;
    nop.head.slots = 1;
    EXPECT_TRUE(hostile.channel_->write(channel::make_tlp(FL_TLP_MWR, 2, hostile.sq_, sizeof nop),
                                        std::as_bytes(std::span(&nop, 1))));
    EXPECT_EQ(hostile.write(0, doorbell(hostile.queue_), 1), Status::ok);
    work.round();
    EXPECT_EQ(hostile.refused("close_context", {{"context", hostile.context_}}), Status::ok);
}

}  // namespace
}  // namespace farlane::test

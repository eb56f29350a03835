// SPDX-License-Identifier: Apache-2.0
// Receives: memory and eventfds of a hostile application. Hands on: proof that they do not bring
// the daemon down or hold it up. Owns: the files it makes.
#include <atomic>
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/bell.hpp"
#include "daemon/fault_guard.hpp"
#include "daemon/saved_state.hpp"
#include "daemon/shared_memory.hpp"

namespace farlane::daemon {
namespace {

UniqueFd memfd(std::size_t bytes, unsigned seals) {
    UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
}

TEST(SharedMemory, TakesOnlySealedMemoryOfTheSizeSaid) {
    EXPECT_TRUE(SharedMemory::adopt(memfd(8192, F_SEAL_SHRINK), 8192).ok());
    EXPECT_EQ(SharedMemory::adopt(memfd(8192, 0), 8192).status(), Status::invalid);
    EXPECT_EQ(SharedMemory::adopt(memfd(8192, F_SEAL_SHRINK), 8193).status(), Status::out_of_bounds);
    EXPECT_EQ(SharedMemory::adopt(memfd(8192, F_SEAL_SHRINK), 0).status(), Status::out_of_bounds);
    EXPECT_EQ(SharedMemory::adopt(memfd(8192, F_SEAL_SHRINK | F_SEAL_WRITE), 8192).status(), Status::invalid);
    EXPECT_EQ(SharedMemory::adopt(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), 4096).status(), Status::invalid);
    EXPECT_EQ(SharedMemory::adopt(UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), 4096).status(),
              Status::invalid);
}

TEST(SharedMemory, OwnMemoryCanNotShrink) {
    auto m = SharedMemory::create("test", 8192);
    ASSERT_TRUE(m.ok());
    EXPECT_NE(::ftruncate((*m)->fd(), 0), 0);
    EXPECT_EQ((*m)->bytes().size(), 8192U);
}

// What a hole in a huge page file without free pages does: the page is gone when it is touched.
TEST(FaultGuard, MissingPageBecomesZeros) {
    UniqueFd fd = memfd(8192, 0);
    void* at = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(at, MAP_FAILED);
    const auto guard = guard_memory(at, 8192);
    ASSERT_TRUE(guard);
    auto* bytes = static_cast<volatile unsigned char*>(at);
    bytes[4096] = 7;
    EXPECT_FALSE(guard_tripped(*guard));
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    EXPECT_EQ(bytes[4096], 0);
    bytes[0] = 9;
    EXPECT_EQ(bytes[0], 9);
    EXPECT_TRUE(guard_tripped(*guard));
    unguard_memory(*guard);
    ::munmap(at, 8192);
}

TEST(Eventfd, IsToldFromOtherDescriptors) {
    const UniqueFd e(::eventfd(0, EFD_CLOEXEC));
    const UniqueFd f = memfd(4096, 0);
    EXPECT_TRUE(is_eventfd(e.get()));
    EXPECT_FALSE(is_eventfd(f.get()));
    EXPECT_FALSE(is_eventfd(-1));
}

TEST(Bell, RingsAndHushes) {
    const UniqueFd e(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    BellRinger bells;
    EXPECT_TRUE(bells.ring(e.get()));
    std::uint64_t count = 0;
    ASSERT_EQ(::read(e.get(), &count, sizeof count), 8);
    EXPECT_EQ(count, 1U);
    EXPECT_TRUE(bells.ring(e.get()));
    BellRinger::hush(e.get());
    EXPECT_LT(::read(e.get(), &count, sizeof count), 0);
    EXPECT_EQ(::fcntl(e.get(), F_SETFL, 0), 0);
    BellRinger::hush(e.get());  // blocking and empty: returns all the same
}

// The application made the eventfd blocking and filled it: the ringing thread is freed by the
// checks of another one.
TEST(Bell, FullBlockingEventfdHoldsNobodyUp) {
    const UniqueFd e(::eventfd(0, EFD_CLOEXEC));
    const std::uint64_t full = ~std::uint64_t{0} - 1;
    ASSERT_EQ(::write(e.get(), &full, sizeof full), 8);
    BellRinger bells;
    std::atomic<bool> over{false};
    std::thread lane([&] {
        bells.adopt_thread();
        EXPECT_FALSE(bells.ring(e.get()));
        over = true;
    });
    while (!over) {
        bells.check();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    lane.join();
}

struct StateFiles : testing::Test {
    std::string dir = [] {
        char name[] = "/tmp/farlane-state-XXXXXX";
        return std::string(::mkdtemp(name));
    }();
    ~StateFiles() override { (void)!std::system(("rm -rf " + dir).c_str()); }
};

TEST_F(StateFiles, AreFoundAgain) {
    {
        auto f = StateFile::create(dir, 3);
        ASSERT_TRUE(f.ok()) << f.failure().detail;
        (*f)->state().vectors = 5;
        auto gone = StateFile::create(dir, 4);
        ASSERT_TRUE(gone.ok());
        (*gone)->forget();
    }
    std::vector<std::string> bad;
    const auto found = StateFile::find(dir, bad);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_TRUE(bad.empty());
    EXPECT_EQ(found[0]->state().id, 3U);
    EXPECT_EQ(found[0]->state().vectors, 5U);
}

TEST_F(StateFiles, ImplausibleOnesAreRemoved) {
    const auto spoil = [&](std::uint32_t id, const std::function<void(SavedState&)>& how) {
        auto f = StateFile::create(dir, id);
        ASSERT_TRUE(f.ok());
        how((*f)->state());
    };
    spoil(1, [](SavedState& s) { s.magic = 0; });
    spoil(2, [](SavedState& s) { s.vectors = kMaxVectors + 1; });
    spoil(3, [](SavedState& s) { s.has_channel = 1; });
    spoil(4, [](SavedState& s) { std::memset(s.function_json, 'x', sizeof s.function_json); });
    spoil(5, [](SavedState& s) {
        s.mappings[7].bytes = ~0ULL;
        s.mappings[7].iova = 4096;
        s.mappings[7].direction = 1;
    });
    spoil(6, [](SavedState& s) { s.announcements[0].code = 99; });
    UniqueFd small(::open((dir + "/held-9").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    std::vector<std::string> bad;
    EXPECT_TRUE(StateFile::find(dir, bad).empty());
    EXPECT_EQ(bad.size(), 7U);
    std::vector<std::string> again;
    (void)StateFile::find(dir, again);
    EXPECT_TRUE(again.empty());
}

}  // namespace
}  // namespace farlane::daemon

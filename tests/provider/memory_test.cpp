// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof that memory of the application itself is mapped as it is, of every
// kind that can be, and that other kinds are refused with words that help. Owns: a device and its queue per test.
#include <algorithm>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

constexpr std::size_t kPage = 4096, kHugePage = 2 << 20;

/// mmap, and munmap at the end.
class Region {
public:
    Region(std::size_t bytes, int flags, int protection = PROT_READ | PROT_WRITE, int fd = -1)
        : bytes_(bytes), at_(::mmap(nullptr, bytes, protection, flags, fd, 0)) {}
    ~Region() { unmap(); }
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;
    [[nodiscard]] bool there() const { return at_ != MAP_FAILED; }
    [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(at_), bytes_}; }
    void unmap() {
        if (there()) ::munmap(at_, bytes_);
        at_ = MAP_FAILED;
    }

private:
    std::size_t bytes_;
    void* at_;
};

bool is_memory(const char* path) {
    struct statfs info {};
    return ::statfs(path, &info) == 0 && info.f_type == TMPFS_MAGIC;
}

class ProviderMemory : public ProviderTest {
protected:
    Fabric fabric_ = open();
    Device device_ = attach(fabric_);
    Copier copier_{device_};
    Domain& domain_ = device_.domain();

    /// True: this provider can not, and has said so.
    bool refuses() {
        if (stage().maps_own_memory()) return false;
        std::vector<std::byte> some(100);
        expect_refused(Status::unsupported, "Domain::allocate",
                       [&] { (void)domain_.map(some, DmaDirection::bidirectional); });
        return true;
    }
    /// There and back, byte exact, with what lies beside it untouched; `all` holds `part`.
    void round_trip(std::span<std::byte> all, std::size_t offset, std::size_t bytes) {
        const auto part = all.subspan(offset, bytes);
        const auto data = pattern(bytes, static_cast<unsigned>(bytes + offset));
        const std::size_t before = std::min<std::size_t>(offset, 64);
        const std::size_t behind = std::min<std::size_t>(all.size() - offset - bytes, 64);
        std::memset(all.data() + offset - before, 0x5a, before);
        std::memset(part.data() + bytes, 0x5a, behind);
        std::ranges::copy(data, part.begin());
        const Mapping m = domain_.map(part, DmaDirection::bidirectional);
        EXPECT_EQ(m.size(), bytes);
        EXPECT_EQ(m.iova() % kPage, reinterpret_cast<std::uintptr_t>(part.data()) % kPage);
        ASSERT_TRUE(copier_.to_device(m.iova(), 0, bytes).ok());
        std::memset(part.data(), 0, bytes);
        ASSERT_TRUE(copier_.to_host(0, m.iova(), bytes).ok());
        (void)device_.read32(0, 0);
        EXPECT_EQ(std::memcmp(part.data(), data.data(), bytes), 0) << bytes << " at " << offset;
        (void)copier_.to_host(0, m.iova() - 1, 2);
        (void)copier_.to_host(0, m.iova() + bytes - 1, 2);
        (void)device_.read32(0, 0);
        for (std::size_t i = 0; i < before; ++i)
            ASSERT_EQ(part.data()[-1 - static_cast<std::ptrdiff_t>(i)], std::byte{0x5a});
        for (std::size_t i = 0; i < behind; ++i) ASSERT_EQ(part.data()[bytes + i], std::byte{0x5a});
    }
};

TEST_P(ProviderMemory, AnonymousOfAnySizeAndPlace) {
    if (refuses()) return;
    Region region(kPage * 64, MAP_PRIVATE | MAP_ANONYMOUS);
    for (const std::size_t bytes : {1U, 7U, 64U, 4095U, 4096U, 4097U, 100'001U})
        for (const std::size_t offset : {0U, 1U, 63U, 4095U}) round_trip(region.bytes(), offset, bytes);
    std::vector<std::byte> heap(10'000);
    round_trip(heap, 3, 9'990);
    std::array<std::byte, 300> stack{};
    round_trip(stack, 100, 101);
}

// More than the accelerator has: from one end to the other, at places that no page table covers at once.
TEST_P(ProviderMemory, AQuarterOfAGibibyte) {
    if (refuses()) return;
    constexpr std::size_t kBytes = 256 << 20, kPiece = 50'001;
    Region region(kBytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    ASSERT_TRUE(region.there());
    const Mapping m = domain_.map(region.bytes(), DmaDirection::bidirectional);
    for (const std::size_t at : {std::size_t{0}, kBytes / 3, kBytes / 2 - 17, kBytes - kPiece}) {
        const auto data = pattern(kPiece, static_cast<unsigned>(at >> 12));
        copier_.fill(0, data);
        ASSERT_TRUE(copier_.to_host(0, m.iova() + at, kPiece).ok());
        (void)device_.read32(0, 0);
        EXPECT_EQ(std::memcmp(region.bytes().data() + at, data.data(), kPiece), 0) << at;
        ASSERT_TRUE(copier_.to_device(m.iova() + at, 65'536, kPiece).ok());
        EXPECT_EQ(copier_.look(65'536, kPiece), data) << at;
    }
}

TEST_P(ProviderMemory, SharedMemory) {
    if (refuses()) return;
    Region shared(kPage * 8, MAP_SHARED | MAP_ANONYMOUS);
    round_trip(shared.bytes(), 5, 20'000);
    const int fd = ::memfd_create("provider-test", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(fd, kPage * 8), 0);
    Region memfd(kPage * 8, MAP_SHARED, PROT_READ | PROT_WRITE, fd);
    round_trip(memfd.bytes(), 4090, 20'000);
    std::byte seen{};
    ASSERT_EQ(::pread(fd, &seen, 1, 4090), 1);
    EXPECT_EQ(seen, memfd.bytes()[4090]) << "it is the file's memory that the device wrote";
    Region own(kPage * 8, MAP_PRIVATE, PROT_READ | PROT_WRITE, fd);
    round_trip(own.bytes(), 1, 20'000);
    ::close(fd);
}

TEST_P(ProviderMemory, HugePages) {
    if (refuses()) return;
    Region region(2 * kHugePage, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
    if (!region.there()) GTEST_SKIP() << "no huge pages are reserved: echo 8 > /proc/sys/vm/nr_hugepages";
    round_trip(region.bytes(), 0, 2 * kHugePage);
    round_trip(region.bytes(), kHugePage - 1000, 2001);
    Region shared(kHugePage, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB);
    if (shared.there()) round_trip(shared.bytes(), 77, 100'000);
}

TEST_P(ProviderMemory, ReadOnlyMemoryIsForTheDeviceToRead) {
    if (refuses()) return;
    Region region(kPage * 4, MAP_PRIVATE | MAP_ANONYMOUS);
    Region shared(kPage * 4, MAP_SHARED | MAP_ANONYMOUS);
    for (const Region* r : {&region, &shared}) {
        const auto data = pattern(kPage * 4, 6);
        std::ranges::copy(data, r->bytes().begin());
        ASSERT_EQ(::mprotect(r->bytes().data(), kPage * 4, PROT_READ), 0);
        for (const auto direction : {DmaDirection::from_device, DmaDirection::bidirectional})
            expect_refused(Status::denied, "writ", [&] { (void)domain_.map(r->bytes(), direction); });
        const Mapping m = domain_.map(std::span<const std::byte>(r->bytes()));
        EXPECT_EQ(m.direction(), DmaDirection::to_device);
        ASSERT_TRUE(copier_.to_device(m.iova() + 1, 0, data.size() - 1).ok());
        EXPECT_TRUE(std::ranges::equal(copier_.look(0, data.size() - 1), std::span(data).subspan(1)));
        copier_.fill(0, pattern(64, 9));
        (void)copier_.to_host(0, m.iova(), 64);
        (void)device_.read32(0, 0);
        EXPECT_TRUE(std::ranges::equal(r->bytes(), data)) << "not written";
    }
}

// Written after it was mapped: the device sees it, whatever page the kernel had there at first.
TEST_P(ProviderMemory, TheDeviceReadsWhatIsWrittenLater) {
    if (refuses()) return;
    Region region(kPage * 4, MAP_PRIVATE | MAP_ANONYMOUS);  // no page is there yet
    const Mapping m = domain_.map(std::span<const std::byte>(region.bytes()));
    const auto data = pattern(kPage * 4, 7);
    std::ranges::copy(data, region.bytes().begin());
    ASSERT_TRUE(copier_.to_device(m.iova(), 0, data.size()).ok());
    EXPECT_EQ(copier_.look(0, data.size()), data);
}

TEST_P(ProviderMemory, OtherKindsAreRefusedWithWordsThatHelp) {
    if (refuses()) return;
    Region program(kPage, MAP_PRIVATE, PROT_READ, ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(program.there());
    if (is_memory("/proc/self/exe")) {  // a guest's root is memory, as shmem is
        EXPECT_NO_THROW((void)domain_.map(std::span<const std::byte>(program.bytes())));
    } else {
        const auto text = std::span<const std::byte>(program.bytes());
        expect_refused(Status::unsupported, "memfd", [&] { (void)domain_.map(text); });
    }
    // Pages of the kernel that have no owner, as a device's memory.
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (!line.ends_with("[vvar]")) continue;
        const auto* at = reinterpret_cast<const std::byte*>(std::stoull(line, nullptr, 16));
        expect_refused(Status::unsupported, "memfd", [&] { (void)domain_.map(std::span(at, kPage)); });
    }

    Region hole(kPage * 4, MAP_PRIVATE | MAP_ANONYMOUS);
    const auto addresses = hole.bytes();
    ::munmap(addresses.data() + kPage, kPage);
    for (const auto part : {addresses, addresses.first(kPage + 1), addresses.subspan(kPage, 1)})
        expect_refused(Status::invalid, "nothing", [&] { (void)domain_.map(part, DmaDirection::to_device); });
    EXPECT_NE(refusal_of([&] {
                  (void)domain_.map(std::span(addresses.data(), ~std::size_t{0} / 2), DmaDirection::to_device);
              }).status,
              Status::ok);
    expect_refused(Status::invalid, "one byte",
                   [&] { (void)domain_.map(std::span<std::byte>(), DmaDirection::to_device); });
    round_trip(addresses.subspan(2 * kPage), 0, 2 * kPage);
}

TEST_P(ProviderMemory, UnmappedByTheApplicationItIsHarmless) {
    if (refuses()) return;
    Region region(kPage * 16, MAP_PRIVATE | MAP_ANONYMOUS), shared(kPage * 16, MAP_SHARED | MAP_ANONYMOUS);
    for (Region* r : {&region, &shared}) {
        std::memset(r->bytes().data(), 1, r->bytes().size());
        Mapping m = domain_.map(r->bytes(), DmaDirection::bidirectional);
        ASSERT_TRUE(copier_.to_device(m.iova(), 0, m.size()).ok());
        r->unmap();
        (void)copier_.to_host(0, m.iova(), m.size());  // refused, or into pages that nobody sees
        (void)copier_.to_device(m.iova(), 0, m.size());
        EXPECT_NO_THROW(m.unmap());
        EXPECT_EQ(device_.read32(0, 0), 0x43414c46U);
    }
    std::vector<std::byte> more(5000);
    round_trip(more, 0, 5000);
}

TEST_P(ProviderMemory, AForkedChildHasCopiesOfItsOwn) {
    if (refuses()) return;
    Region region(kPage * 4, MAP_PRIVATE | MAP_ANONYMOUS);
    const auto data = pattern(kPage * 4, 8), later = pattern(kPage * 4, 9);
    std::ranges::copy(data, region.bytes().begin());
    const Mapping m = domain_.map(region.bytes(), DmaDirection::bidirectional);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        std::memset(region.bytes().data(), 0xcc, region.bytes().size());
        char go = 0;
        (void)!::read(ends[0], &go, 1);
        for (const std::byte b : region.bytes())
            if (b != std::byte{0xcc}) ::_exit(1);
        ::_exit(0);
    }
    ASSERT_TRUE(copier_.to_device(m.iova(), 0, data.size()).ok());
    EXPECT_EQ(copier_.look(0, data.size()), data) << "the parent's";
    copier_.fill(0, later);
    ASSERT_TRUE(copier_.to_host(0, m.iova(), later.size()).ok());
    (void)device_.read32(0, 0);
    EXPECT_TRUE(std::ranges::equal(region.bytes(), later)) << "the parent keeps the pages";
    ASSERT_EQ(::write(ends[1], "", 1), 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "and nothing of it came to the child";
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_P(ProviderMemory, UpToTheLimitAndNotBeyond) {
    if (refuses()) return;
    std::vector<std::byte> memory(Domain::kMaxMappings * 64);
    std::vector<Mapping> all;
    Refusal refusal;
    while (refusal.status == Status::ok && all.size() <= Domain::kMaxMappings)
        refusal = refusal_of([&] {
            all.push_back(
                domain_.map(std::span(memory).subspan(all.size() * 64 % memory.size(), 64), DmaDirection::from_device));
        });
    EXPECT_EQ(all.size() + 1, Domain::kMaxMappings) << "one is the queue's";
    EXPECT_EQ(refusal.status, Status::limit) << refusal.text;
    all.clear();
    round_trip(memory, 1, 100'000);
}

// Who may not lock memory is told so (pins of the module; elsewhere nothing is locked).
TEST_P(ProviderMemory, LockedMemoryHasTheLimitOfItsUser) {
    if (stage().kind() != ProviderKind::kernel) GTEST_SKIP() << "nothing is pinned";
    Region region(64 << 20, MAP_PRIVATE | MAP_ANONYMOUS);
    const auto locked = [] {
        std::ifstream status("/proc/self/status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("VmLck:")) return std::stoul(line.substr(6));
        return 0UL;
    };
    const auto before = locked();
    {
        const Mapping m = domain_.map(region.bytes().first(8 << 20), DmaDirection::to_device);
        EXPECT_GE(locked(), before + 8192) << "kB";
    }
    EXPECT_EQ(locked(), before);
}

FARLANE_PROVIDER_SUITE(ProviderMemory);

}  // namespace
}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// Receives: a port that is destroyed while a thread of DPDK is telling it something.
// Hands on: verdicts. Owns: the place of rte_eth_dev_callback_unregister().
#include <cerrno>

#include <dlfcn.h>

#include "port_test_util.hpp"

namespace farlane::transport::test {
namespace {

constexpr int kBusyCalls = 3;
int calls = 0, last_result = -1;

int unregister(std::uint16_t id, int event, void* callback, void* argument) {
    using Real = int (*)(std::uint16_t, int, void*, void*);
    void* const library = ::dlopen("librte_ethdev.so.23", RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) return last_result = -ENOSYS;  // without it dlsym() finds the one below
    const auto real = reinterpret_cast<Real>(::dlsym(library, "rte_eth_dev_callback_unregister"));
    return last_result = ++calls <= kBusyCalls ? -EAGAIN : real(id, event, callback, argument);
}

// -EAGAIN: the callback is running, or about to, with a pointer to the port.
TEST(DpdkLinkEvent, APortOutlivesWhatIsToldToIt) {
    auto port = must_open("dpdk:net_ring80");
    EXPECT_EQ(calls, 0);
    port.reset();
    EXPECT_EQ(calls, kBusyCalls + 1);
    EXPECT_EQ(last_result, 0);
}

}  // namespace
}  // namespace farlane::transport::test

// DPDK's own is in a library that the plug-in loads; the program's comes first.
extern "C" __attribute__((visibility("default"))) int rte_eth_dev_callback_unregister(std::uint16_t id, int event,
                                                                                      void* callback, void* argument) {
    return farlane::transport::test::unregister(id, event, callback, argument);
}

// SPDX-License-Identifier: Apache-2.0
// Receives: a kind of provider. Hands on: a fabric of that kind with two functions, accel0 and nvme0, and
// all that a test must know of the provider. Owns: what stands behind it for the whole run.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <farlane/fabric.hpp>

namespace farlane::test {

constexpr const char* kAccelerator = "accel0";
/// For what has to happen, on any machine.
constexpr std::chrono::seconds kPatience{60};

class Stage {
public:
    virtual ~Stage() = default;
    [[nodiscard]] virtual ProviderKind kind() const = 0;
    /// For one more application.
    [[nodiscard]] virtual FabricOptions options() const = 0;
    /// What has to be in order when all tests are over; "" or what is not.
    [[nodiscard]] virtual std::string end() { return ""; }
    /// The device reaches memory that the application made itself (Domain::map of a span).
    [[nodiscard]] bool maps_own_memory() const { return kind() != ProviderKind::daemon; }
};

[[nodiscard]] const char* kind_name(ProviderKind kind) noexcept;
/// Throws std::runtime_error for a name of none.
[[nodiscard]] ProviderKind kind_of(const std::string& name);
/// Those of FARLANE_TEST_PROVIDER ("kernel"), or the two that need no module.
[[nodiscard]] std::vector<ProviderKind> kinds_to_test();
/// Made when it is asked for first.
[[nodiscard]] Stage& stage_of(ProviderKind kind);
/// Ends all of them; complaints.
[[nodiscard]] std::string end_stages();

/// One contract for all providers: each test runs with each of them.
class ProviderTest : public testing::TestWithParam<ProviderKind> {
protected:
    [[nodiscard]] Stage& stage() const { return stage_of(GetParam()); }
    [[nodiscard]] Fabric open() const { return Fabric::open(stage().options()); }
    /// Attaches the accelerator; waits while an application that has ended still holds it.
    [[nodiscard]] static Device attach(Fabric& fabric);
};

/// What a call says when it fails.
struct Refusal {
    Status status = Status::ok;
    std::string text;
};
template <class F>
[[nodiscard]] Refusal refusal_of(F call) {
    try {
        call();
    } catch (const Error& e) {
        return {e.status(), e.what()};
    }
    return {};
}
/// It fails with this status, and its text has these words.
template <class F>
void expect_refused(Status status, const std::string& words, F call) {
    const Refusal r = refusal_of(call);
    EXPECT_EQ(status_name(r.status), status_name(status)) << r.text;
    EXPECT_NE(r.text.find(words), std::string::npos) << "'" << words << "' is not in: " << r.text;
}

/// Bytes that differ from one seed and place to the next.
[[nodiscard]] std::vector<std::byte> pattern(std::size_t bytes, unsigned seed);

#define FARLANE_PROVIDER_SUITE(Suite)                                             \
    INSTANTIATE_TEST_SUITE_P(Provider, Suite, testing::ValuesIn(kinds_to_test()), \
                             [](const auto& i) { return std::string(kind_name(i.param)); })

}  // namespace farlane::test

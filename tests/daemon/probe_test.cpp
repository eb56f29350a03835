// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes over udp on loopback. Hands on: proof that `farlane probe` measures, changes
// nothing, and says what is wrong. Owns: processes.
#include <gtest/gtest.h>

#include <sstream>

#include "daemon/process.hpp"
#include "farlane/verbs.hpp"

namespace farlane::test {
namespace {

using Json = nlohmann::json;

struct Ran {
    int code = 0;
    std::string out, err;
};

struct ProbeTest : testing::Test {
    Pair pair{
        "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n"
        "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n"};
    ProbeTest() { pair.wait_for_functions(2); }

    Ran run(std::vector<std::string> arguments) {
        std::vector<const char*> argv = {"farlane", "--socket", pair.initiator.socket().c_str()};
        for (const auto& a : arguments) argv.push_back(a.c_str());
        std::ostringstream out, err;
        const int code = cli::run_program(static_cast<int>(argv.size()), argv.data(), out, err);
        return {code, out.str(), err.str()};
    }
    Json probe(std::vector<std::string> more = {}) {
        std::vector<std::string> arguments = {"-o", "json", "probe", "box", "--seconds", "0.2"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const Ran r = run(arguments);
        EXPECT_EQ(r.code, 0) << r.err;
        return r.code == 0 ? Json::parse(r.out) : Json::object();
    }
};

TEST_F(ProbeTest, MeasuresWithTheFunctionThatHasMemory) {
    const Json j = probe();
    EXPECT_EQ(j.at("target"), "box");
    EXPECT_EQ(j.at("function"), "accel0") << "its memory can be read in bulk";
    EXPECT_GT(j.at("read_round_trip").at("count"), 0);
    EXPECT_LE(j.at("read_round_trip").at("p50_ns"), j.at("read_round_trip").at("p99_ns"));
    EXPECT_GT(j.at("bulk_read_bytes_per_s"), 0);
    EXPECT_GT(j.at("frames").at("sent"), 0);
    ASSERT_EQ(j.at("paths").size(), 1U);
    EXPECT_GE(j.at("paths")[0].at("frame_bytes"), 1200);
    for (const auto& [what, value] : j.at("prediction").items()) {
        if (value.is_boolean()) continue;
        EXPECT_GT(value, 0) << what;
    }
    auto c = pair.initiator.client();
    EXPECT_EQ(c.call("show", {{"name", "accel0"}}).at("function").at("state"), "free") << "given back";
}

TEST_F(ProbeTest, WithoutMemoryNothingIsInvented) {
    const Json j = probe({"--function", "nvme0"});
    EXPECT_TRUE(j.at("bulk_read_bytes_per_s").is_null());
    EXPECT_TRUE(j.at("prediction").at("bulk_bytes_per_s").is_null());
    EXPECT_GT(j.at("prediction").at("reads_depth1_per_s"), 0);
    const Json told = probe({"--function", "nvme0", "--link-rate", "10"});
    EXPECT_GT(told.at("prediction").at("bulk_bytes_per_s"), 1e8);
}

TEST_F(ProbeTest, NoFunctionIsFree) {
    for (const char* name : {"accel0", "nvme0"}) ASSERT_EQ(run({"attach", name}).code, 0);
    const Json j = probe();
    EXPECT_TRUE(j.at("read_round_trip").is_null());
    EXPECT_GT(j.at("prediction").at("reads_depth1_per_s"), 0) << "the session's own round trip";
    EXPECT_EQ(run({"probe", "box", "--function", "nvme0"}).code, status_exit_code(Status::busy));
}

TEST_F(ProbeTest, SaysWhatIsWrong) {
    const Ran nobody = run({"probe", "nobody"});
    EXPECT_EQ(nobody.code, status_exit_code(Status::not_found));
    EXPECT_NE(nobody.err.find("box"), std::string::npos) << "names the targets there are: " << nobody.err;
    EXPECT_EQ(run({"probe", "box", "--function", "nothing"}).code, status_exit_code(Status::not_found));
    EXPECT_EQ(run({"probe", "box", "--seconds", "never"}).code, 2);
    const Ran people = run({"probe", "box", "--seconds", "0.1"});
    EXPECT_NE(people.out.find("NVMe"), std::string::npos) << people.out;
}

}  // namespace
}  // namespace farlane::test

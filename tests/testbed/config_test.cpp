// SPDX-License-Identifier: Apache-2.0
// Configurations of the emulator that are wrong: each says where.
#include "config.hpp"

#include "network.hpp"
#include "testbed/network_fixture.hpp"

namespace farlane::link::test {
namespace {

using nlohmann::json;

std::string mistake(const json& config) {
    Loop loop;
    try {
        Network network(config, loop);
    } catch (const std::exception& e) {
        return e.what();
    }
    return "(none)";
}

struct Config : ::testing::Test {
    Folder folder;
    json good{
        {"endpoints",
         {{"a", {{"stream", folder / "a"}}},
          {"t",
           {{"native", {{"address", "10.0.0.1"}, {"mac", "02:00:00:00:00:01"}, {"ports", {{"1", "127.0.0.1:2"}}}}}}}}},
        {"links", {{"net", {"a", "t"}}}}};

    void expect(const char* path, const json& value, const std::string& wanted) {
        json wrong = good;
        wrong[json::json_pointer(path)] = value;
        EXPECT_NE(mistake(wrong).find(wanted), std::string::npos) << path << " = " << value << ": " << mistake(wrong);
    }
};

TEST_F(Config, GoodOneIsTaken) {
    EXPECT_EQ(mistake(good), "(none)");
}

TEST_F(Config, MistakesNameTheirPlace) {
    expect("/mtu", 10, "68 to 65535");
    expect("/mtu", "x", "a number");
    expect("/colour", 1, "no key 'colour'");
    expect("/links", json::object(), "there is no link");
    expect("/links/net", json::array({"a"}), "two ends");
    expect("/links/net", json::array({"a", "b"}), "'b', which is not there");
    expect("/links/net", json::array({"a", "a"}), "cycle");
    expect("/links/more", json::array({"a", "t"}), "cycle");
    expect("/switches", json::array({"a"}), "twice");
    expect("/switches", json::array({"sw"}), "on no link");
    expect("/switches", 7, "list of names");
    expect("/endpoints/a", json::object(), "either 'stream' or 'native'");
    expect("/endpoints/a/stream", std::string(200, 'x'), "107 bytes");
    expect("/endpoints/t/native/address", "ten", "IPv4");
    expect("/endpoints/t/native/mac", "01:00:00:00:00:01", "'mac'");
    expect("/endpoints/t/native/ports", json{{"0", "127.0.0.1:2"}}, "'ports'");
    expect("/endpoints/t/native/ports", json{{"1", "localhost:2"}}, "'ports'");
    expect("/endpoints/t/native/ports", json{{"1", "127.0.0.1:70000"}}, "'ports'");
    expect("/endpoints/t/native/ports", json{{"1", 7}}, "'ports'");
}

TEST_F(Config, FilesThatAreNone) {
    EXPECT_THROW((void)read_config_file(folder / "none"), std::runtime_error);
    EXPECT_EQ(mistake(json::array()).find("the configuration has to be"), 0u);
}

TEST_F(Config, ASocketInUseIsAnError) {
    Loop loop;
    const Network first(good, loop);
    EXPECT_NE(mistake(good).find("cannot listen"), std::string::npos);
}

}  // namespace
}  // namespace farlane::link::test

// SPDX-License-Identifier: Apache-2.0
// The control commands: what each changes, and that a wrong one changes nothing and says what is right.
#include "commands.hpp"

#include "testbed/network_fixture.hpp"

namespace farlane::link::test {
namespace {

using nlohmann::json;

struct Commands : ::testing::Test {
    Folder folder;
    Loop loop;
    Network network{{{"endpoints", {{"a", {{"stream", folder / "a"}}}, {"b", {{"stream", folder / "b"}}}}},
                     {"switches", {"sw"}},
                     {"links", {{"left", {"a", "sw"}}, {"right", {"sw", "b"}}}}},
                    loop};

    json ok(const json& request) {
        const json reply = json::parse(answer(network, request.dump()));
        EXPECT_TRUE(reply["ok"].get<bool>()) << reply;
        return reply.value("result", json());
    }
    std::string refused(const std::string& line) {
        const json before = network.stats();
        const json reply = json::parse(answer(network, line));
        EXPECT_FALSE(reply["ok"].get<bool>()) << line;
        EXPECT_EQ(network.stats(), before) << line << " changed something";
        return reply.value("error", "");
    }
    json direction(const char* link, const char* from) { return network.stats()["links"][link]["from"][from]; }
};

TEST_F(Commands, SetReachesWhatItNames) {
    ok({{"cmd", "set"}, {"link", "left"}, {"from", "a"}, {"loss", 0.25}, {"delay", "5ms"}});
    EXPECT_EQ(direction("left", "a")["set"]["loss"], "0.25");
    EXPECT_TRUE(direction("left", "sw")["set"].empty());
    EXPECT_TRUE(direction("right", "sw")["set"].empty());
    ok({{"cmd", "set"}, {"rate", "10M"}});
    for (const auto& [link, from] : {std::pair{"left", "a"}, {"left", "sw"}, {"right", "sw"}, {"right", "b"}})
        EXPECT_EQ(direction(link, from)["set"]["rate"], "10M") << link << from;
}

TEST_F(Commands, CutHealReset) {
    ok({{"cmd", "cut"}, {"link", "right"}});
    EXPECT_TRUE(direction("right", "b")["cut"].get<bool>());
    EXPECT_FALSE(direction("left", "a")["cut"].get<bool>());
    ok({{"cmd", "heal"}, {"link", "right"}, {"from", "b"}});
    EXPECT_FALSE(direction("right", "b")["cut"].get<bool>());
    EXPECT_TRUE(direction("right", "sw")["cut"].get<bool>());
    ok({{"cmd", "set"}, {"loss", "1%"}});
    ok({{"cmd", "reset"}});
    EXPECT_FALSE(direction("right", "sw")["cut"].get<bool>());
    EXPECT_TRUE(direction("right", "sw")["set"].empty());
}

TEST_F(Commands, CaptureStartsAndEnds) {
    EXPECT_TRUE(ok({{"cmd", "pcap"}, {"file", folder / "x.pcap"}})["open"].get<bool>());
    EXPECT_FALSE(ok({{"cmd", "pcap"}})["open"].get<bool>());
}

TEST_F(Commands, MistakesSayWhatIsValidAndChangeNothing) {
    for (const auto& [line, wanted] : std::vector<std::pair<std::string, std::string>>{
             {"", "not JSON"},
             {"7", "JSON object"},
             {"[]", "JSON object"},
             {"{}", "no command ''"},
             {R"({"cmd":7})", "'cmd' has to be a text"},
             {R"({"cmd":"fly"})", "valid: stats, set"},
             {R"({"cmd":"stats","x":1})", "valid: none"},
             {R"({"cmd":"cut","link":"middle"})", "there are: left, right"},
             {R"({"cmd":"cut","from":"c"})", "there are: a, sw, sw, b"},
             {R"({"cmd":"cut","loss":1})", "valid: link, from"},
             {R"({"cmd":"set"})", "nothing to set"},
             {R"({"cmd":"set","loss":2})", "0 to 1"},
             {R"({"cmd":"set","loss":-1})", "0 to 1"},
             {R"({"cmd":"set","loss":[1]})", "a number or a text"},
             {R"({"cmd":"set","delay":"99h"})", "delay"},
             {R"({"cmd":"set","loss":0.1,"colour":"red"})", "colour"},
             {R"({"cmd":"pcap","file":"/nonexistent/x"})", "/nonexistent/x"},
         })
        EXPECT_NE(refused(line).find(wanted), std::string::npos) << line << ": " << refused(line);
}

}  // namespace
}  // namespace farlane::link::test

// SPDX-License-Identifier: Apache-2.0
// Receives: command lines. Hands on: verdicts on what `farlane` prints, and on which stream,
// and on its exit codes. Owns: a stand-in for farlaned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include <farlane/status.hpp>

#include "cli/fake_daemon.hpp"
#include "farlane/verbs.hpp"

namespace farlane::cli {
namespace {

using test::FakeDaemon;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct Outcome {
    int code = 0;
    std::string out, err;
    [[nodiscard]] Json json() const { return Json::parse(out); }
    [[nodiscard]] Json error() const { return Json::parse(err).at("error"); }
};

Outcome run(std::vector<std::string> words) {
    std::vector<const char*> argv{"farlane"};
    for (const std::string& w : words) argv.push_back(w.c_str());
    std::ostringstream out, err;
    const int code = run_program(static_cast<int>(argv.size()), argv.data(), out, err);
    return {code, out.str(), err.str()};
}

Outcome run_at(const FakeDaemon& daemon, std::vector<std::string> words) {
    words.insert(words.end(), {"--socket", daemon.path()});
    return run(std::move(words));
}

Json accelerator() {
    return {
        {"name", "accel0"},
        {"target", "box"},
        {"model", "Farlane accelerator"},
        {"holder", "laptop"},
        {"vendor_id", 0x1af4},
        {"device_id", 0x1001},
        {"class_code", 0x120000},
        {"msix_vectors", 16},
        {"serial", "0x00a1b2c3d4e5f607"},
        {"state", "attached"},
        {"bars", {{{"index", 0}, {"size_bytes", 65536}, {"is_64bit", false}, {"prefetchable", false}}}},
        {"attachment", {{"id", 2}, {"state", "ready"}, {"holders", {{{"pid", 812}, {"comm", "filter"}, {"uid", 0}}}}}}};
}

FakeDaemon::Answer always(Json answer) {
    return [answer = std::move(answer)](const std::string&, const Json&) { return answer; };
}

// farlaned gives up first: it knows which target did not answer.
TEST(List, farlanedAnswersInTime) {
    const std::vector<std::pair<std::string, int>> cases = {{"2", 1600}, {"0.5", 400}, {"10", 2000}};
    for (const auto& [seconds, wait_ms] : cases) {
        FakeDaemon daemon(always({{"result", {{"functions", Json::array()}}}}));
        EXPECT_EQ(run_at(daemon, {"list", "--timeout", seconds}).code, 0);
        EXPECT_EQ(daemon.requests().back().at("args").at("timeout_ms"), wait_ms);
    }
    FakeDaemon daemon(always({{"result", {{"function", accelerator()}}}}));
    EXPECT_EQ(run_at(daemon, {"show", "accel0", "--timeout", "5"}).code, 0);
    EXPECT_EQ(daemon.requests().back().at("args").at("timeout_ms"), 4000);
}

TEST(List, tableAndJson) {
    FakeDaemon daemon(always({{"result", {{"functions", {accelerator()}}}}}));
    const Outcome table = run_at(daemon, {"list"});
    EXPECT_EQ(table.code, 0);
    EXPECT_THAT(table.err, IsEmpty());
    EXPECT_THAT(table.out, StartsWith("FUNCTION"));
    EXPECT_THAT(table.out, HasSubstr("accel0"));
    EXPECT_THAT(table.out, HasSubstr("processing accelerator"));
    EXPECT_THAT(table.out, HasSubstr("0:64 KiB"));
    EXPECT_THAT(table.out, HasSubstr("filter (pid 812, root)"));
    EXPECT_THAT(table.out, Not(HasSubstr("--persist")));
    const Outcome json = run_at(daemon, {"-o", "json", "list"});
    EXPECT_EQ(json.code, 0);
    EXPECT_EQ(json.json().at("functions").at(0), accelerator());
    Json standing = accelerator();
    standing["attachment"]["stands"] = true;
    FakeDaemon other(always({{"result", {{"functions", {standing}}}}}));
    EXPECT_THAT(run_at(other, {"list"}).out, HasSubstr("attached here, ready, --persist"));
}

TEST(List, whatWaitsAndDeadPaths) {
    const Json waiting = {{"name", "nvme0"}, {"target", "box"}, {"why", "its target does not answer"}};
    const auto path = [](unsigned id, const char* state) {
        return Json{
            {"id", id}, {"port", "lan"}, {"address", "10.0.0.2:4793"}, {"state", state}, {"usable", *state == 'u'}};
    };
    const Json peer = {
        {"name", "box"}, {"state", "open"}, {"paths", {path(0, "up"), path(1, "dead"), path(2, "opening")}}};
    FakeDaemon daemon(always({{"result", {{"functions", Json::array()}, {"waiting", {waiting}}, {"peers", {peer}}}}}));
    const std::string out = run_at(daemon, {"list"}).out;
    EXPECT_THAT(out, HasSubstr("waiting: its target does not answer"));
    EXPECT_THAT(out, HasSubstr("path 1 to box on lan to 10.0.0.2:4793 is dead"));
    EXPECT_THAT(out, HasSubstr("path 2 to box on lan to 10.0.0.2:4793 is not answered yet"));
    EXPECT_THAT(out, Not(HasSubstr("path 0")));
}

TEST(List, targetsThatDoNotAnswer) {
    const auto peer = [](const char* name, const char* state) {
        return Json{{"name", name}, {"address", "10.0.0.9:4793"}, {"state", state}, {"paths", Json::array()}};
    };
    const Json peers = {peer("box", "open"), peer("shelf", "silent"), peer("", "hello"), peer("\033", "closed"), 7};
    for (const Json& functions : {Json::array(), Json{accelerator()}}) {
        const Json all = {{"functions", functions}, {"exports", {accelerator()}}, {"peers", peers}};
        FakeDaemon daemon(always({{"result", all}}));
        const Outcome o = run_at(daemon, {"list"});
        EXPECT_EQ(o.code, 0);
        EXPECT_THAT(o.out, HasSubstr("\ntarget shelf does not answer\ntarget 10.0.0.9:4793 does not answer\n"));
        EXPECT_THAT(o.out, Not(HasSubstr("target box")));
        EXPECT_THAT(o.out, Not(HasSubstr("\033")));
    }
}

TEST(List, controlCharactersNeverReachTheTerminal) {
    Json evil = accelerator();
    evil["name"] = "a\033[2Jb\n";
    const Json waiting = {{"name", "a\033b"}, {"target", "\033"}, {"why", "\033"}};
    const Json path = {{"id", 1}, {"port", "\033"}, {"address", "\033"}, {"state", "\033"}};
    const Json peer = {{"name", "\033"}, {"state", "open"}, {"paths", {path}}};
    FakeDaemon daemon(always({{"result", {{"functions", {evil}}, {"waiting", {waiting}}, {"peers", {peer}}}}}));
    EXPECT_THAT(run_at(daemon, {"list"}).out, Not(HasSubstr("\033")));
}

TEST(Show, decodesTheConfigurationSpace) {
    std::string config(8192, '0');
    config.replace(0, 8, "f41a0110");
    FakeDaemon daemon(always({{"result", {{"function", accelerator()}, {"config", config}, {"config_status", "ok"}}}}));
    const Outcome table = run_at(daemon, {"show", "accel0"});
    EXPECT_EQ(table.code, 0);
    EXPECT_THAT(table.out, HasSubstr("1af4"));
    EXPECT_EQ(daemon.requests().back().at("args").at("name"), "accel0");
    const Json json = run_at(daemon, {"show", "accel0", "-o", "json", "--raw"}).json();
    EXPECT_EQ(json.at("config").at("header").at("vendor_id").at("value"), 0x1af4);
    EXPECT_EQ(json.at("raw"), config);
}

Json exported() {
    Json e = accelerator();
    e.erase("attachment");
    e["kind"] = "accel";
    e["accelerator"] = {
        {"executor", "opencl"},
        {"device_name", "A Device With a Name of More Than Sixty-Three Letters, As Processors Have Them"},
        {"vendor", "Somebody"},
        {"driver_version", "5.0"},
        {"units", 132},
        {"time_limit_ms", 60000},
        {"contexts", 15},
        {"queue_pairs", 16},
        {"memory_bytes", std::uint64_t{1} << 30},
        {"memory_used_bytes", 4096},
        {"local_bytes", 0},
        {"local_used_bytes", 0},
        {"kernels", 12},
        {"busy_ns", 1500000000},
        {"energy_uj", 2500000},
        {"contexts_used",
         {{{"context", 3},
           {"queue_pairs", 2},
           {"lost", true},
           {"memory_used_bytes", 4096},
           {"kernels", 12},
           {"busy_ns", 1500000000},
           {"worker_bytes", 1 << 20}}}}};
    return e;
}

TEST(List, whatThisHostExports) {
    Json drive = accelerator();
    drive["name"] = "nvme0";
    drive["kind"] = "nvme";
    drive["model"] = "A drive";
    drive["accelerator"] = nullptr;
    const Json all = {{"functions", Json::array()}, {"exports", {exported(), drive}}};
    FakeDaemon daemon(always({{"result", all}}));
    const std::string out = run_at(daemon, {"list"}).out;
    EXPECT_THAT(out, StartsWith("EXPORT"));
    EXPECT_THAT(out,
                HasSubstr("opencl: A Device With a Name of More Than Sixty-Three Letters, As Processors Have Them"));
    EXPECT_THAT(out, HasSubstr("1 of 15"));
    EXPECT_THAT(out, HasSubstr("4 KiB of 1 GiB"));
    EXPECT_THAT(out, HasSubstr("A drive"));
    EXPECT_EQ(run_at(daemon, {"list", "-o", "json"}).json().at("exports"), all.at("exports"));
    FakeDaemon empty(always({{"result", {{"functions", Json::array()}, {"exports", Json::array()}}}}));
    EXPECT_THAT(run_at(empty, {"list"}).out, StartsWith("no functions"));
    Json evil = exported();
    evil["accelerator"]["device_name"] = "\033[2J";
    evil["accelerator"]["contexts_used"] = {"\033", 5, nullptr};
    FakeDaemon bad(always({{"result", {{"functions", Json::array()}, {"exports", {evil, 7}}}}}));
    EXPECT_THAT(run_at(bad, {"list"}).out, Not(HasSubstr("\033")));
    FakeDaemon bad_show(always({{"result", {{"function", evil}, {"config", nullptr}, {"export", evil}}}}));
    EXPECT_THAT(run_at(bad_show, {"show", "accel0"}).out, Not(HasSubstr("\033")));
}

TEST(Show, whatThisHostExports) {
    Json function = exported();
    function["attachment"] = nullptr;
    FakeDaemon daemon(always({{"result",
                               {{"function", function},
                                {"config", nullptr},
                                {"config_status", "unsupported"},
                                {"config_detail", "it is exported here"},
                                {"export", exported()}}}}));
    const Outcome table = run_at(daemon, {"show", "accel0"});
    EXPECT_EQ(table.code, 0) << table.err;
    for (const char* part : {"exported here: kind accel, attached, held by laptop", "executor opencl: A Device With",
                             "As Processors Have Them", "vendor Somebody, driver 5.0, 132 units",
                             "1 of 15 contexts, 2 of 16 queue pairs in use; a kernel may run 60000 ms",
                             "memory 4 KiB of 1 GiB in use", "12 kernels in 1.5 s, 2.5 J",
                             "context 3: 2 queue pairs, 4 KiB, 12 kernels in 1.5 s, worker process of 1 MiB, lost"})
        EXPECT_THAT(table.out, HasSubstr(part));
    EXPECT_EQ(run_at(daemon, {"show", "accel0", "-o", "json"}).json().at("export"), exported());
}

TEST(Show, saysThatThisHostExportsOneOfThatNameToo) {
    FakeDaemon daemon(always({{"result",
                               {{"function", accelerator()},
                                {"config", nullptr},
                                {"config_status", "busy"},
                                {"config_detail", "held by tokyo"},
                                {"exported_here", "laptop/accel0"}}}}));
    EXPECT_THAT(run_at(daemon, {"show", "accel0"}).out,
                HasSubstr("this host exports one of that name, too: farlane show laptop/accel0\n"));
    EXPECT_EQ(run_at(daemon, {"show", "accel0", "-o", "json"}).json().at("exported_here"), "laptop/accel0");
}

TEST(Show, saysWhyTheSpaceWasNotRead) {
    FakeDaemon daemon(always({{"result",
                               {{"function", accelerator()},
                                {"config", nullptr},
                                {"config_status", "busy"},
                                {"config_detail", "held by tokyo"}}}}));
    const Outcome o = run_at(daemon, {"show", "accel0"});
    EXPECT_EQ(o.code, 0);
    EXPECT_THAT(o.out, HasSubstr("held by tokyo"));
    EXPECT_TRUE(run_at(daemon, {"show", "accel0", "-o", "json"}).json().at("config").is_null());
}

TEST(Show, refusesNonsenseFromTheDaemon) {
    for (const std::string& config : {std::string("xy"), std::string("123"), std::string(9000, '0')}) {
        FakeDaemon daemon(always({{"result", {{"function", accelerator()}, {"config", config}}}}));
        EXPECT_EQ(run_at(daemon, {"show", "accel0"}).code, 9) << config.substr(0, 8);
    }
}

TEST(Attach, isPersistentAndKeepsTheTokenSecret) {
    FakeDaemon daemon(always(
        {{"result", {{"attachment", 2}, {"function", accelerator()}, {"state", "ready"}, {"token", "s3cret"}}}}));
    const Outcome json = run_at(daemon, {"attach", "accel0", "-o", "json"});
    EXPECT_EQ(json.code, 0);
    EXPECT_THAT(json.out, Not(HasSubstr("s3cret")));
    EXPECT_EQ(daemon.requests().back().at("args"),
              (Json{{"name", "accel0"}, {"persistent", true}, {"timeout_ms", 8000}}));
    EXPECT_THAT(run_at(daemon, {"attach", "accel0"}).out, StartsWith("attached accel0 of box"));
    (void)run_at(daemon, {"attach", "accel0", "--timeout", "1"});
    EXPECT_EQ(daemon.requests().back().at("args").at("timeout_ms"), 800) << "farlaned answers first";
}

TEST(Attach, persistAndOnce) {
    const auto answer = [](bool survives) {
        return always({{"result",
                        {{"attachment", 2},
                         {"function", accelerator()},
                         {"state", "ready"},
                         {"stands", true},
                         {"survives_reboot", survives}}}});
    };
    FakeDaemon daemon(answer(false));
    EXPECT_THAT(run_at(daemon, {"attach", "accel0", "--persist"}).out, HasSubstr("a reboot ends it: persist_file"));
    EXPECT_EQ(daemon.requests().back().at("args").at("stands"), true);
    (void)run_at(daemon, {"attach", "accel0", "--once"});
    EXPECT_EQ(daemon.requests().back().at("args").at("stands"), false);
    EXPECT_EQ(run_at(daemon, {"attach", "accel0", "--once", "--persist"}).code, 2);
    FakeDaemon other(answer(true));
    EXPECT_THAT(run_at(other, {"attach", "accel0", "--persist"}).out, Not(HasSubstr("reboot")));
}

TEST(Attach, saysThatNoDriverBinds) {
    const auto attached = [](const char* off, const char* node) {
        const Json bus = {{"state", "live"},      {"slot", 0},         {"address", ""}, {"node", node},
                          {"drivers", *off == 0}, {"drivers_off", off}};
        FakeDaemon daemon(
            always({{"result", {{"attachment", 2}, {"function", accelerator()}, {"state", "ready"}, {"bus", bus}}}}));
        return run_at(daemon, {"attach", "accel0"}).out;
    };
    EXPECT_THAT(attached("trap", ""), HasSubstr("on the PCI bus, no driver binds: farlane.ko was loaded with trap=0"));
    EXPECT_THAT(attached("allow", ""),
                HasSubstr("neither its class nor its id is in /sys/module/farlane/parameters/allow"));
    EXPECT_THAT(attached("", ""), Not(HasSubstr("no driver")));
    EXPECT_THAT(attached("trap", "/dev/farlane/accel0"), Not(HasSubstr("trap"))) << "applications have the node";
}

TEST(Upgrade, refusalHasItsExitCode) {
    FakeDaemon daemon(always({{"error", {{"status", "busy"}, {"code", 17}, {"message", "in use: accel0"}}}}));
    const Outcome o = run_at(daemon, {"upgrade"});
    EXPECT_EQ(o.code, 4);
    EXPECT_THAT(o.err, HasSubstr("accel0"));
    EXPECT_EQ(daemon.requests().back().at("args"), (Json{{"force", false}, {"timeout_ms", 8000}}));
    (void)run_at(daemon, {"upgrade", "--force"});
    EXPECT_EQ(daemon.requests().back().at("args").at("force"), true);
}

// It answers, and is still the one that said it would go: the new one did not come.
TEST(Upgrade, successorThatDoesNotComeIsUnreachable) {
    FakeDaemon daemon(always({{"result", {{"version", "0.1.0"}, {"pid", 7}, {"started_ms", 0}}}}));
    const Outcome o = run_at(daemon, {"upgrade", "--timeout", "0.3"});
    EXPECT_EQ(o.code, 7);
    EXPECT_THAT(o.err, HasSubstr("the new one is not there"));
}

TEST(Detach, busyListsTheHolders) {
    FakeDaemon daemon(always({{"error",
                               {{"status", "busy"},
                                {"code", 17},
                                {"message", "accel0 is in use"},
                                {"holders", {{{"pid", 812}, {"comm", "filter"}, {"uid", 0}}}}}}}));
    const Outcome text = run_at(daemon, {"detach", "accel0"});
    EXPECT_EQ(text.code, 4);
    EXPECT_THAT(text.out, IsEmpty());
    EXPECT_THAT(text.err, HasSubstr("held by filter (pid 812, root)"));
    const Outcome json = run_at(daemon, {"detach", "accel0", "-o", "json"});
    EXPECT_EQ(json.code, 4);
    EXPECT_THAT(json.out, IsEmpty());
    EXPECT_EQ(json.error().at("status"), "busy");
    EXPECT_EQ(json.error().at("exit_code"), 4);
    EXPECT_EQ(json.error().at("holders").at(0).at("pid"), 812);
}

TEST(Detach, forceIsAsked) {
    FakeDaemon daemon(always({{"result", Json::object()}}));
    EXPECT_EQ(run_at(daemon, {"detach", "accel0", "--force"}).code, 0);
    EXPECT_EQ(daemon.requests().back().at("args"), (Json{{"name", "accel0"}, {"force", true}}));
}

TEST(Detach, drainHasATime) {
    FakeDaemon daemon(always({{"result", Json::object()}}));
    EXPECT_EQ(run_at(daemon, {"detach", "accel0", "--drain", "2.5"}).code, 0);
    EXPECT_EQ(daemon.requests().back().at("args"), (Json{{"name", "accel0"}, {"force", false}, {"drain_ms", 2500}}));
    const auto asked = daemon.requests().size();
    for (const char* wrong : {"", "soon", "-1", "3601", "nan"})
        EXPECT_EQ(run_at(daemon, {"detach", "accel0", "--drain", wrong}).code, 2) << wrong;
    EXPECT_EQ(daemon.requests().size(), asked);
}

// As after `farlane upgrade`.
TEST(Events, goOnWithTheNextDaemon) {
    int connections = 0;
    FakeDaemon daemon([&](const std::string&, const Json&) -> Json {
        const bool first = connections++ == 0;
        const Json event{{"role", "initiator"}, {"kind", first ? "added" : "resumed"}, {"function", "accel0"}};
        return {{"result", {{"subscribed", true}}}, {"events", {event}}, {"hang_up", first}};
    });
    const Outcome o = run_at(daemon, {"events", "-n", "2"});
    EXPECT_EQ(o.code, 0) << o.err;
    const auto at = [&](const char* kind) { return o.out.find(kind); };
    EXPECT_LT(at("added"), at("reconnected"));
    EXPECT_LT(at("reconnected"), at("resumed"));
    EXPECT_NE(at("resumed"), std::string::npos);
}

TEST(Events, oneObjectALineAndThenTheEnd) {
    const Json first{{"role", "initiator"}, {"kind", "added"}, {"function", "accel0"}, {"when", "now"}};
    const Json second{{"role", "daemon"}, {"kind", "overflow"}, {"lost", 12}};
    FakeDaemon daemon(always({{"result", {{"subscribed", true}}}, {"events", {first, second, first}}}));
    const Outcome json = run_at(daemon, {"events", "-n", "2", "-o", "json"});
    EXPECT_EQ(json.code, 0);
    EXPECT_EQ(json.out, first.dump() + "\n" + second.dump() + "\n");
    EXPECT_THAT(run_at(daemon, {"events", "-n", "2"}).out, HasSubstr("12 events left out"));
}

TEST(Stats, namesReasonsOfDrops) {
    const Json session{{"session", 17},   {"role", "initiator"},
                       {"peer", "box"},   {"frames_in", 5},
                       {"frames_out", 0}, {"drops", {{"frame_crc", 3}, {"frame_short", 0}, {"of_the_future", 1}}}};
    FakeDaemon daemon(always({{"result", {{"daemon", {{"name", "fake"}}}, {"sessions", {session}}}}}));
    const Outcome table = run_at(daemon, {"stats"});
    EXPECT_THAT(table.out, HasSubstr("CRC32C does not match"));
    EXPECT_THAT(table.out, HasSubstr("of_the_future"));
    EXPECT_THAT(table.out, Not(HasSubstr("frame_short")));
    EXPECT_THAT(run_at(daemon, {"stats", "--all"}).out, HasSubstr("frame_short"));
    EXPECT_EQ(run_at(daemon, {"stats", "-o", "json"}).json().at("sessions").at(0), session);
}

TEST(Top, subtractsTwoReadings) {
    int reading = 0;
    FakeDaemon daemon([&reading](const std::string&, const Json&) -> Json {
        const std::uint64_t n = static_cast<std::uint64_t>(reading++);
        return {{"result",
                 {{"when_ns", 1000000000 + n * 2000000000},
                  {"rows", {{{"role", "initiator"}, {"name", "accel0"}, {"records_out", 100 + n * 500}}}}}}};
    });
    const Json document = run_at(daemon, {"top", "--once", "--interval", "0.1", "-o", "json"}).json();
    EXPECT_EQ(document.at("interval_seconds"), 2.0);
    EXPECT_EQ(document.at("rows").at(0).at("records_out_per_second"), 250.0);
    EXPECT_EQ(document.at("rows").at(0).at("records_in_per_second"), 0.0);
}

TEST(Doctor, addsTheDaemonsChecks) {
    const Json report{
        {"version", FARLANE_VERSION},
        {"build", {{"dpdk", true}, {"port_kinds", {"loop", "udp"}}}},
        {"checks", {{{"name", "peers"}, {"status", "fail"}, {"detail", "0 of 1"}, {"hint", "start it"}}}}};
    FakeDaemon daemon(always({{"result", report}}));
    const Outcome table = run_at(daemon, {"doctor"});
    EXPECT_EQ(table.code, 1);
    EXPECT_THAT(table.out, HasSubstr("-> start it"));
    EXPECT_THAT(table.out, HasSubstr("plug-in is not found"));
    const Json json = run_at(daemon, {"doctor", "-o", "json"}).json();
    EXPECT_EQ(json.at("ok"), false);
    EXPECT_GE(json.at("checks").size(), 9u);
}

TEST(Doctor, worksWithoutADaemon) {
    const Outcome o = run({"doctor", "-o", "json", "--socket", "/nonexistent/socket"});
    EXPECT_EQ(o.code, 7);
    EXPECT_EQ(o.json().at("checks").at(0).at("status"), "fail");
    EXPECT_THAT(o.json().at("checks").at(0).at("hint").get<std::string>(), Not(IsEmpty()));
}

TEST(Version, needsNoDaemon) {
    const Outcome o = run({"version", "-o", "json", "--socket", "/nonexistent/socket"});
    EXPECT_EQ(o.code, 0);
    EXPECT_EQ(o.json().at("farlane"), FARLANE_VERSION);
    EXPECT_TRUE(o.json().at("farlaned").is_null());
}

TEST(Exit, everyStatusHasItsCode) {
    Status now = Status::ok;
    FakeDaemon daemon([&now](const std::string&, const Json&) -> Json {
        return {
            {"error", {{"status", status_name(now)}, {"code", static_cast<unsigned>(now)}, {"message", "made up"}}}};
    });
    const auto try_one = [&](Status status, int expected) {
        now = status;
        const Outcome o = run_at(daemon, {"list", "-o", "json"});
        EXPECT_EQ(o.code, expected) << status_name(status);
        EXPECT_EQ(o.error().at("status"), status_name(status));
        EXPECT_THAT(o.error().at("text").get<std::string>(), HasSubstr("made up"));
        EXPECT_THAT(o.out, IsEmpty());
    };
#define FL_TRY(NAME, name, number, err, exit_code, text) \
    if (Status::name != Status::ok) try_one(Status::name, exit_code);
    FL_STATUS_TABLE(FL_TRY)
#undef FL_TRY
}

TEST(Exit, nobodyThere) {
    for (const char* verb : {"list", "stats", "events", "top"})
        EXPECT_EQ(run({verb, "--socket", "/nonexistent/socket"}).code, 7) << verb;
}

TEST(Usage, errorsGoToStderrWithCode2) {
    const std::vector<std::vector<std::string>> wrong = {{},
                                                         {"frobnicate"},
                                                         {"list", "--frob"},
                                                         {"show"},
                                                         {"list", "-o", "xml"},
                                                         {"show", ""},
                                                         {"list", "extra"},
                                                         {"list", "--timeout", "abc"},
                                                         {"list", "--timeout", "nan"},
                                                         {"top", "--interval", "0"}};
    FakeDaemon daemon([](const std::string&, const Json&) -> Json {
        return {{"error", {{"status", "invalid"}, {"code", 22}, {"message", "no such name"}}}};
    });
    for (const auto& words : wrong) {
        const Outcome o = run_at(daemon, words);
        EXPECT_EQ(o.code, 2) << ::testing::PrintToString(words);
        EXPECT_THAT(o.out, IsEmpty());
        EXPECT_THAT(o.err, StartsWith("farlane: "));
    }
    const Outcome json = run({"-o", "json", "frobnicate"});
    EXPECT_EQ(json.error().at("exit_code"), 2);
    EXPECT_THAT(json.error().at("text").get<std::string>(), HasSubstr("there are: list, show"));
}

TEST(Usage, helpGoesToStdout) {
    for (const Verb& v : farlane_program().verbs) {
        const Outcome o = run({std::string(v.name), "--help"});
        EXPECT_EQ(o.code, 0);
        EXPECT_THAT(o.out, HasSubstr(std::string(v.summary)));
        for (const Option& option : v.options) EXPECT_THAT(o.out, HasSubstr(std::string(option.name)));
        EXPECT_THAT(o.err, IsEmpty());
    }
}

}  // namespace
}  // namespace farlane::cli

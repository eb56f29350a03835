// SPDX-License-Identifier: Apache-2.0
// Receives: the definitions of the programs. Hands on: verdicts on man pages and completion.
// Owns: a temporary folder.
#include "cli/pages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <farlane/status.hpp>

namespace farlane::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

const std::array kPrograms{&farlane_program(), &farlaned_program(), &fldump_program(), &demo_program()};

class Pages : public ::testing::Test {
protected:
    Pages() {
        std::string folder = (std::filesystem::temp_directory_path() / "farlane-pages-XXXXXX").string();
        if (mkdtemp(folder.data()) == nullptr) std::abort();
        folder_ = folder;
    }
    ~Pages() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path write(const std::string& name, const std::string& text) {
        std::ofstream(folder_ / name, std::ios::binary) << text;
        return folder_ / name;
    }
    /// stdout and stderr of a shell command; its exit status.
    static std::pair<int, std::string> shell(const std::string& command) {
        FILE* pipe = popen((command + " 2>&1").c_str(), "r");
        if (pipe == nullptr) return {-1, "popen failed"};
        std::string out;
        std::array<char, 4096> part;
        for (std::size_t n = 0; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) out.append(part.data(), n);
        const int status = pclose(pipe);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
    }
    static bool have(const std::string& program) { return shell("command -v " + program).first == 0; }

    /// What bash offers behind `words`; the last one is what is being typed.
    std::vector<std::string> complete(const std::string& function, const std::vector<std::string>& words) {
        const auto script = write("completion", bash_completion(kPrograms));
        std::string list;
        for (const std::string& w : words) list += " '" + w + "'";
        // No farlaned: a function that stands in for the tool lists names.
        const auto test =
            write("test.sh",
                  "set -eu\nfarlane() { printf 'FUNCTION X\\naccel0 a\\nnvme0 b\\n\\nEXPORT KIND\\ntape0 x\\n"
                  "target shelf does not answer\\npath 1 to box is dead\\n'; }\nsource '" +
                      script.string() + "'\nCOMP_WORDS=(" + list + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n" +
                      function + "\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
        const auto [status, out] = shell("bash --norc '" + test.string() + "'");
        EXPECT_EQ(status, 0) << out;
        std::vector<std::string> offered;
        std::istringstream lines(out);
        for (std::string line; std::getline(lines, line);)
            if (!line.empty()) offered.push_back(line);
        return offered;
    }

private:
    std::filesystem::path folder_;
};

TEST(ExitCodes, everyCodeOfTheStatusTableIsDocumented) {
    std::set<int> documented;
    for (const ExitCode& e : exit_codes()) EXPECT_TRUE(documented.insert(e.code).second) << e.code;
    std::set<int> used;
#define FL_USE(NAME, name, code, err, exit_code, text) used.insert(exit_code);
    FL_STATUS_TABLE(FL_USE)
#undef FL_USE
    EXPECT_EQ(documented, used);
}

TEST_F(Pages, oneForEachProgramAndVerb) {
    std::set<std::string> names;
    for (const Program* p : kPrograms)
        for (const auto& [name, text] : man_pages(*p)) {
            names.insert(name);
            EXPECT_THAT(text, HasSubstr(".SH NAME")) << name;
            EXPECT_THAT(text, HasSubstr(".SH DESCRIPTION\n.PP\n")) << name;
        }
    EXPECT_THAT(names, IsSupersetOf({"farlane.1", "farlane-list.1", "farlane-show.1", "farlane-attach.1",
                                     "farlane-detach.1", "farlane-events.1", "farlane-stats.1", "farlane-top.1",
                                     "farlane-doctor.1", "farlane-version.1", "farlaned.8", "fldump.1"}));
}

TEST_F(Pages, carryEveryOptionAndExitCode) {
    for (const Program* p : kPrograms) {
        const std::string text = man_pages(*p).front().second;
        for (const Option& o : p->self.options) {
            std::string name(o.name);
            for (std::size_t at = 0; (at = name.find('-', at)) != std::string::npos; at += 2) name.insert(at, "\\");
            EXPECT_THAT(text, HasSubstr(name)) << p->self.name;
        }
        if (!p->exit_codes) continue;
        for (const ExitCode& e : exit_codes())
            EXPECT_THAT(text, HasSubstr("\n\\fB" + std::to_string(e.code) + "\\fR\n"));
    }
}

TEST_F(Pages, groffHasNoComplaint) {
    if (!have("groff")) GTEST_SKIP() << "groff is not installed";
    for (const Program* p : kPrograms)
        for (const auto& [name, text] : man_pages(*p)) {
            const auto [status, out] = shell("groff -man -ww -z -Tutf8 '" + write(name, text).string() + "'");
            EXPECT_EQ(status, 0) << name;
            EXPECT_THAT(out, IsEmpty()) << name;
        }
}

TEST_F(Pages, manShowsThem) {
    if (!have("man")) GTEST_SKIP() << "man is not installed";
    for (const auto& [name, text] : man_pages(farlane_program())) {
        const auto [status, out] =
            shell("LC_ALL=C MANPAGER=cat man --warnings -l '" + write(name, text).string() + "'");
        EXPECT_EQ(status, 0) << name << out;
        EXPECT_THAT(out, HasSubstr("EXIT STATUS")) << name;
    }
}

TEST_F(Pages, completionOffersVerbs) {
    EXPECT_THAT(complete("_farlane_complete", {"farlane", ""}),
                ElementsAre("list", "show", "attach", "detach", "events", "stats", "top", "probe", "doctor", "upgrade",
                            "version"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "-o", "json", "d"}), ElementsAre("detach", "doctor"));
}

TEST_F(Pages, completionOffersOptionsOfTheVerb) {
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "detach", "--"}),
                IsSupersetOf({"--force", "--output", "--socket", "--timeout", "--help"}));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "list", "--f"}), IsEmpty());
}

TEST_F(Pages, completionOffersValues) {
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "list", "-o", ""}), ElementsAre("table", "json"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "list", "--output", "=", "j"}), ElementsAre("json"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "show", "n"}), ElementsAre("nvme0"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "show", ""}), ElementsAre("accel0", "nvme0", "tape0"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "attach", ""}), ElementsAre("accel0", "nvme0"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "probe", "--function", ""}), ElementsAre("accel0", "nvme0"));
    EXPECT_THAT(complete("_farlane_demo_complete", {"farlane-demo", "--accel", "a"}), ElementsAre("accel0"));
    EXPECT_THAT(complete("_farlane_complete", {"farlane", "events", "-n", ""}), IsEmpty());
}

TEST_F(Pages, completionPassesShellcheck) {
    if (!have("shellcheck")) GTEST_SKIP() << "shellcheck is not installed";
    const auto [status, out] = shell("shellcheck -s bash '" + write("c", bash_completion(kPrograms)).string() + "'");
    EXPECT_EQ(status, 0) << out;
}

}  // namespace
}  // namespace farlane::cli

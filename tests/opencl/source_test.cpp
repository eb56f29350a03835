// SPDX-License-Identifier: Apache-2.0
// Build options, #include lines, binaries and linked parts as text; the configuration file. No device.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "opencl/config.hpp"
#include "opencl/source.hpp"

namespace farlane::opencl {

// The parts under test log through the library's platform; here nobody asks.
namespace {

TEST(OpenclOptions, AreTakenApart) {
    const auto o = parse_options(R"(-D A -DB=2 -D "C=\"x y\"" -I/usr/x -I "a dir" -cl-mad-enable -create-library)", -1);
    ASSERT_EQ(o.definitions.size(), 3u);
    EXPECT_EQ(o.definitions[0], (std::pair<std::string, std::string>("A", "1")));
    EXPECT_EQ(o.definitions[1].second, "2");
    EXPECT_EQ(o.definitions[2].second, "\"x y\"");
    EXPECT_EQ(o.include_dirs, (std::vector<std::string>{"/usr/x", "a dir"}));
    EXPECT_TRUE(o.create_library);
    EXPECT_EQ(o.remote(), "-DA=1 -DB=2 -cl-mad-enable");
    EXPECT_EQ(o.preamble(), "#define C \"x y\"\n#line 1\n");
    EXPECT_EQ(parse_options(o.text().c_str(), -1).definitions, o.definitions);
    for (const char* bad : {"word", "-D", "-I", "-D=3", "-DA \"open", "-"}) {
        EXPECT_THROW((void)parse_options(bad, CL_INVALID_BUILD_OPTIONS), Failure) << bad;
    }
}

TEST(OpenclIncludes, AreReplacedWhereTheyCount) {
    const std::map<std::string, std::string> headers{{"a.h", "A\n#include <b.h>\n"}, {"b.h", "B\n#include \"a.h\"\n"}};
    const std::string text =
        expand_includes("/* x\n#include \"a.h\"\n*/\n  # include \"a.h\" // y\n#include \"no.h\"\nend", {}, headers);
    EXPECT_EQ(text,
              "/* x\n#include \"a.h\"\n*/\n#line 1 \"a.h\"\nA\n#line 1 \"b.h\"\nB\n#line 3 \"b.h\"\n#line 3 \"a.h\"\n"
              "#line 5 \"program.cl\"\n#include \"no.h\"\nend\n");
}

/// A directory of its own, for headers.
class Headers : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "farlane-headers-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        dir_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(dir_); }
    void write(const std::string& name, const char* text) const {
        std::filesystem::create_directories((dir_ / name).parent_path());
        std::ofstream(dir_ / name) << text;
    }
    [[nodiscard]] std::string expand(const char* text) const { return expand_includes(text, {dir_.string()}, {}); }
    std::filesystem::path dir_;
};

TEST_F(Headers, InQuotesAreBesideWhoIncludesThemFirst) {
    write("part/outer.h", "#include \"inner.h\"\n#include <inner.h>\n");
    write("part/inner.h", "beside\n");
    write("inner.h", "above\n");
    EXPECT_EQ(expand("#include \"part/outer.h\"\n"),
              "#line 1 \"part/outer.h\"\n#line 1 \"inner.h\"\nbeside\n#line 2 \"part/outer.h\"\n"
              "#line 1 \"inner.h\"\nabove\n#line 3 \"part/outer.h\"\n#line 2 \"program.cl\"\n");
}

/// Inside a condition, too: the one in the branch that is not taken does not count.
TEST_F(Headers, WithPragmaOnceGetAGuard) {
    write("once.h", "// #pragma once upon a time\n # pragma once \nint x;\n");
    write("often.h", "// #pragma once upon a time\nint y;\n");
    const std::string text = expand("#if 0\n#include \"once.h\"\n#endif\n#include \"once.h\"\n#include \"often.h\"\n");
    const std::size_t at = text.find("FARLANE_ONCE_");
    ASSERT_NE(at, std::string::npos) << text;
    const std::string guard = text.substr(at, text.find('\n', at) - at);
    const std::string once = "#ifndef " + guard + "\n#define " + guard +
                             "\n#line 1 \"once.h\"\n// #pragma once upon a time\n\nint x;\n#endif\n";
    EXPECT_EQ(text, "#if 0\n" + once + "#line 3 \"program.cl\"\n#endif\n" + once +
                        "#line 5 \"program.cl\"\n#line 1 \"often.h\"\n// #pragma once upon a time\nint y;\n"
                        "#line 6 \"program.cl\"\n");
}

std::vector<std::string> guards_in(const std::string& text) {
    std::vector<std::string> all;
    const std::string start = "#ifndef FARLANE_ONCE_";
    for (std::size_t at = text.find(start); at != std::string::npos; at = text.find(start, at + 1)) {
        all.push_back(text.substr(at, text.find('\n', at) - at));
    }
    return all;
}

TEST_F(Headers, AreTheSameWhateverTheWayToThem) {
    write("x.h", "#pragma once\nint x;\n");
    write("sub/y.h", "#pragma once\n#include \"../x.h\"\n");
    const auto guards = guards_in(expand("#include \"x.h\"\n#include <sub/../x.h>\n#include \"sub/y.h\"\n"));
    ASSERT_EQ(guards.size(), 4u);
    EXPECT_EQ(guards[0], guards[1]);
    EXPECT_NE(guards[0], guards[2]);  // y.h, with x.h in it
    EXPECT_EQ(guards[0], guards[3]);
}

TEST(OpenclIncludes, OfOneNameAreNotOneHeader) {
    const auto guard = [](const char* text) { return guards_in(expand_includes("#include <h>\n", {}, {{"h", text}})); };
    const auto one = guard("#pragma once\nint a;\n");
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one, guard("#pragma once\nint a;\n"));
    EXPECT_NE(one, guard("#pragma once\nint b;\n"));
}

/// Beside one that was given as text are others that were, not this machine's files.
TEST_F(Headers, BesideGivenOnesAreGiven) {
    const std::string place = dir_.string() + "/";
    write("beside.h", "of the disk\n");
    const std::string source = "#include \"" + place + "a.h\"\n";
    const std::map<std::string, std::string> one{{place + "a.h", "#include \"beside.h\"\n"}};
    EXPECT_EQ(expand_includes(source, {}, one).find("of the disk"), std::string::npos);
    auto two = one;
    two[place + "beside.h"] = "given\n";
    EXPECT_NE(expand_includes(source, {}, two).find("given"), std::string::npos);
}

TEST(OpenclIl, PrintsWhereItCallsPrintf) {
    std::vector<std::uint32_t> words{0x07230203, 0x00010000, 0, 10, 0, 2u << 16 | 17, 6};
    const auto prints = [&](std::size_t cut = 0) {
        const auto* text = reinterpret_cast<const char*>(words.data());
        return il_prints(std::string_view(text, words.size() * 4 - cut));
    };
    EXPECT_FALSE(prints());
    EXPECT_TRUE(prints(4));  // ends in the middle: who knows
    const std::uint32_t sine[] = {6u << 16 | 12, 1, 2, 3, 57, 184};
    words.insert(words.end(), std::begin(sine), std::end(sine));
    EXPECT_FALSE(prints());
    const std::uint32_t call[] = {6u << 16 | 12, 1, 2, 3, 184, 4};
    words.insert(words.end(), std::begin(call), std::end(call));
    EXPECT_TRUE(prints());
    words[0] = 0x03022307;
    EXPECT_TRUE(prints());
    EXPECT_TRUE(il_prints(""));
}

TEST(OpenclBinary, IsItselfOrNothing) {
    Binary b;
    b.type = CL_PROGRAM_BINARY_TYPE_EXECUTABLE;
    b.options = "-DX=1 ";
    b.image = std::string("kernel\0text", 11);
    std::string bytes = pack(b);
    const auto view = [&] { return std::span(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()); };
    const auto back = unpack(view());
    ASSERT_TRUE(back);
    EXPECT_EQ(back->image, b.image);
    EXPECT_EQ(back->options, b.options);
    for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(unpack(view().first(n))) << n;
    for (const std::size_t at : {0, 8, 12, 16, 23, 24, 31}) {
        bytes[at] = static_cast<char>(bytes[at] ^ 0x80);
        EXPECT_FALSE(unpack(view())) << at;
        bytes[at] = static_cast<char>(bytes[at] ^ 0x80);
    }
}

TEST(OpenclLink, KeepsDefinitionsApart) {
    const Part both =
        link_parts({{parse_options("-DF(x)=x -cl-opt", -1), "one"}, {parse_options("-DG=2 -cl-opt", -1), "two"}});
    EXPECT_EQ(both.source,
              "#define F(x) x\n#line 1 \"program0.cl\"\none\n#undef F\n#define G 2\n#line 1 "
              "\"program1.cl\"\ntwo\n#undef G\n");
    EXPECT_EQ(both.options.remote(), "-cl-opt");
}

TEST(OpenclConfig, IsReadOrRefusedWithItsPlace) {
    const Config c = parse_config(
        "log = \"stderr\"\n[[fabric]]\nprovider = \"embedded\"\nport = \"udp:\"\npeer = \"h:1\"\n"
        "accelerators = [\"a\", \"b\"]\n[[fabric]]\nsocket = \"/s\"\n",
        "f");
    ASSERT_EQ(c.fabrics.size(), 2u);
    EXPECT_EQ(c.log, "stderr");
    EXPECT_EQ(c.fabrics[0].options.provider, ProviderKind::embedded);
    EXPECT_EQ(c.fabrics[0].accelerators.size(), 2u);
    EXPECT_EQ(c.fabrics[1].options.socket, "/s");
    for (const char* bad : {"x = 1", "\nfabric = 3", "[[fabric]]\nport = 3", "[[fabric]]\nprovider = \"x\"", "log = [",
                            "[[fabric]]\nconnect_timeout_ms = 0"}) {
        try {
            (void)parse_config(bad, "file.toml");
            ADD_FAILURE() << bad;
        } catch (const Error& e) {
            EXPECT_NE(std::string(e.what()).find("file.toml:"), std::string::npos) << e.what();
        }
    }
}

}  // namespace
}  // namespace farlane::opencl

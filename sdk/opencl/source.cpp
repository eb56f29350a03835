// SPDX-License-Identifier: Apache-2.0
// Receives: source text and build options. Hands on: text without files of this machine, binaries.
// Owns: nothing (source.hpp).
#include "opencl/source.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

namespace farlane::opencl {
namespace {

constexpr std::size_t kMaxBytes = 64 << 20;  // of an expanded text
constexpr unsigned kMaxDepth = 64;
constexpr char kMagic[8] = {'F', 'L', 'C', 'L', 'B', 'I', 'N', '1'};

/// Words of a command line: blanks between them, quotes around them.
std::vector<std::string> words_of(std::string_view text, cl_int otherwise) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote != 0) {
            if (c == '\\' && quote == '"' && i + 1 < text.size()) {
                word += text[++i];
            } else if (c == quote) {
                quote = 0;
            } else {
                word += c;
            }
        } else if (c == '"' || c == '\'') {
            quote = c;
            in_word = true;
        } else if (c == '\\' && i + 1 < text.size()) {
            word += text[++i];
            in_word = true;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            if (in_word) words.push_back(std::exchange(word, {}));
            in_word = false;
        } else {
            word += c;
            in_word = true;
        }
    }
    require(quote == 0, otherwise);
    if (in_word) words.push_back(word);
    return words;
}

bool awkward(const std::string& word) {
    return word.find_first_of(" \t\"'\\") != std::string::npos;
}

std::string quoted(const std::string& word) {
    if (!awkward(word)) return word;
    std::string text = "\"";
    for (const char c : word) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    return text + '"';
}

void define(BuildOptions& o, const std::string& text, cl_int otherwise) {
    require(!text.empty() && text[0] != '=', otherwise);
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
        o.definitions.emplace_back(text, "1");
    } else {
        o.definitions.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
}

// --- #include

struct Header {
    std::string place;   ///< folder, with its slash; "" = none
    std::string key;     ///< the same for the same file; the name of one that was given as text
    bool given = false;  ///< as text
    std::string text;
};

struct Includes {
    const std::vector<std::string>& dirs;
    const std::map<std::string, std::string>& headers;
    std::vector<Header> open;  ///< from the outside in, without their text
    std::string out;
};

/// What an #include line says.
struct Include {
    std::string name;
    bool quoted = false;
};

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    std::ostringstream text;
    text << in.rdbuf();
    if (!in.good() && !in.eof()) return std::nullopt;
    return std::move(text).str();
}

std::string place_of(const std::string& path) {
    return path.substr(0, path.rfind('/') + 1);  // "" where there is no slash
}

/// However it is named.
std::string key_of(const std::string& path) {
    std::error_code error;
    const auto key = std::filesystem::weakly_canonical(path, error);
    return error ? path : key.string();
}

/// A name in quotes is looked for beside the header that has the line, first; beside one that was given as text are
/// such only.
std::optional<Header> find_header(const Includes& in, const Include& line) {
    const std::string& name = line.name;
    if (name.empty()) return std::nullopt;
    const auto given = [&](const std::string& path) -> std::optional<Header> {
        const auto at = in.headers.find(path);
        if (at == in.headers.end()) return std::nullopt;
        return Header{place_of(path), path, true, at->second};
    };
    const bool beside = line.quoted && name[0] != '/' && !in.open.empty() && !in.open.back().place.empty();
    if (beside && in.open.back().given) {
        if (auto header = given(in.open.back().place + name)) return header;
    }
    if (auto header = given(name)) return header;
    std::vector<std::string> places;
    if (name[0] == '/') {
        places.emplace_back();
    } else {
        if (beside && !in.open.back().given) places.push_back(in.open.back().place);
        for (const std::string& dir : in.dirs) places.push_back(dir + "/");
    }
    for (const std::string& place : places) {
        const std::string path = place + name;
        if (auto text = read_file(path)) return Header{place_of(path), key_of(path), false, std::move(*text)};
    }
    return std::nullopt;
}

/// What is behind `#word` in a line; nothing for any other line.
std::optional<std::string_view> directive(std::string_view line, std::string_view word) {
    const auto skip = [&] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
    skip();
    if (!line.starts_with('#')) return std::nullopt;
    line.remove_prefix(1);
    skip();
    if (!line.starts_with(word)) return std::nullopt;
    line.remove_prefix(word.size());
    skip();
    return line;
}

/// The name in `#include "name"` or <name>; nothing for any other line.
std::optional<Include> included(std::string_view text) {
    const auto line = directive(text, "include");
    if (!line || line->empty() || (line->front() != '"' && line->front() != '<')) return std::nullopt;
    const bool quoted = line->front() == '"';
    const std::size_t end = line->find(quoted ? '"' : '>', 1);
    if (end == std::string_view::npos) return std::nullopt;
    return Include{std::string(line->substr(1, end - 1)), quoted};
}

/// `#pragma once` means files, and what the remote compiler gets is one.
bool is_once(std::string_view text) {
    const auto line = directive(text, "pragma");
    return line && line->starts_with("once") && line->find_first_not_of(" \t\r", 4) == std::string_view::npos;
}

bool has_once(std::string_view text) {
    for (std::size_t at = text.find("once"); at != std::string_view::npos; at = text.find("once", at + 1)) {
        const std::size_t begin = text.rfind('\n', at) + 1;  // 0 where there is none
        if (is_once(text.substr(begin, text.find('\n', at) - begin))) return true;
    }
    return false;
}

/// The same for every text that has this header, since they may be linked; another one of that name is not meant.
std::string once_name(const Header& header) {
    return "FARLANE_ONCE_" + std::to_string(std::hash<std::string>()(header.key + '\0' + header.text));
}

/// Whether a comment is open behind `line`, when it was (or not) before.
bool comment_behind(std::string_view line, bool open) {
    bool in_text = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const std::string_view two = line.substr(i, 2);
        if (open) {
            if (two == "*/") open = false, ++i;
        } else if (in_text) {
            if (line[i] == '\\') {
                ++i;
            } else if (line[i] == '"') {
                in_text = false;
            }
        } else if (two == "//") {
            return false;
        } else if (two == "/*") {
            open = true, ++i;
        } else if (line[i] == '"') {
            in_text = true;
        }
    }
    return open;
}

void expand(Includes& in, std::string_view source, const std::string& name) {
    bool comment = false;
    std::size_t number = 0;
    while (!source.empty()) {
        const std::size_t end = std::min(source.find('\n'), source.size());
        const std::string_view line = source.substr(0, end);
        source.remove_prefix(std::min(end + 1, source.size()));
        ++number;
        const auto header = comment ? std::nullopt : included(line);
        const bool once = !comment && !in.open.empty() && is_once(line);
        comment = comment_behind(line, comment);
        std::optional<Header> found;
        if (header && in.open.size() < kMaxDepth) found = find_header(in, *header);
        require(in.out.size() + line.size() + (found ? found->text.size() : 0) < kMaxBytes, CL_OUT_OF_HOST_MEMORY);
        if (!found) {
            in.out.append(once ? "" : line).append("\n");
            continue;
        }
        // A header that includes itself has a guard, or it would not end elsewhere either.
        const bool inside =
            std::any_of(in.open.begin(), in.open.end(), [&](const Header& h) { return h.key == found->key; });
        if (!inside) {
            const std::string guard = has_once(found->text) ? once_name(*found) : "";
            if (!guard.empty()) in.out += "#ifndef " + guard + "\n#define " + guard + "\n";
            in.open.push_back({found->place, found->key, found->given, ""});
            in.out += "#line 1 \"" + header->name + "\"\n";
            expand(in, found->text, header->name);
            in.open.pop_back();
            if (!guard.empty()) in.out += "#endif\n";
        }
        in.out += "#line " + std::to_string(number + 1) + " \"" + name + "\"\n";
    }
}

}  // namespace

std::string BuildOptions::remote() const {
    std::string text;
    const auto add = [&](const std::string& word) { text += (text.empty() ? "" : " ") + word; };
    for (const auto& [name, value] : definitions) {
        if (!awkward(name + value)) add("-D" + name + "=" + value);
    }
    for (const std::string& o : others) add(o);
    return text;
}

std::string BuildOptions::preamble() const {
    std::string text;
    for (const auto& [name, value] : definitions) {
        if (awkward(name + value)) text += "#define " + name + " " + value + "\n";
    }
    return text.empty() ? text : text + "#line 1\n";
}

std::string BuildOptions::text() const {
    std::string text;
    for (const auto& [name, value] : definitions) text += quoted("-D" + name + "=" + value) + " ";
    for (const std::string& o : others) text += quoted(o) + " ";
    return text;
}

BuildOptions parse_options(const char* options, cl_int otherwise) {
    BuildOptions o;
    const auto words = words_of(options == nullptr ? "" : options, otherwise);
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& w = words[i];
        const auto argument = [&]() -> std::string {
            if (w.size() > 2) return w.substr(2);
            require(i + 1 < words.size(), otherwise);
            return words[++i];
        };
        require(w.size() >= 2 && w[0] == '-', otherwise);
        if (w.starts_with("-D")) {
            define(o, argument(), otherwise);
        } else if (w.starts_with("-I")) {
            o.include_dirs.push_back(argument());
        } else if (w == "-create-library") {
            o.create_library = true;
        } else if (w == "-enable-link-options") {
            continue;  // says nothing to a compiler
        } else {
            o.others.push_back(w);
        }
    }
    return o;
}

std::string expand_includes(std::string_view source, const std::vector<std::string>& dirs,
                            const std::map<std::string, std::string>& headers) {
    if (source.find("include") == std::string_view::npos) return std::string(source);
    std::vector<std::string> places = dirs;
    places.emplace_back(".");
    Includes in{places, headers, {}, {}};
    expand(in, source, "program.cl");
    return std::move(in.out);
}

bool il_prints(std::string_view il) noexcept {
    constexpr std::size_t kHeadWords = 5;
    constexpr std::uint32_t kMagicWord = 0x07230203, kExtInst = 12, kPrintf = 184;  // OpExtInst; OpenCL.std
    const auto word = [&](std::size_t i) {
        std::uint32_t w = 0;
        std::memcpy(&w, il.data() + i * sizeof w, sizeof w);
        return w;
    };
    const std::size_t words = il.size() / sizeof(std::uint32_t);
    if (words < kHeadWords || word(0) != kMagicWord) return true;
    for (std::size_t at = kHeadWords; at < words;) {
        const std::uint32_t count = word(at) >> 16;
        if (count == 0 || count > words - at) return true;
        if ((word(at) & 0xffff) == kExtInst && count > 4 && word(at + 4) == kPrintf) return true;
        at += count;
    }
    return false;
}

// --- binaries

std::string pack(const Binary& b) {
    std::string out(kMagic, sizeof kMagic);
    const auto number = [&](std::uint64_t v) {
        for (unsigned i = 0; i < 8; ++i) out += static_cast<char>(v >> 8 * i & 0xff);
    };
    number(static_cast<std::uint64_t>(b.content) << 32 | b.type);
    number(b.options.size());
    number(b.image.size());
    return out + b.options + b.image;
}

std::optional<Binary> unpack(std::span<const unsigned char> bytes) {
    constexpr std::size_t kHead = sizeof kMagic + 24;
    if (bytes.size() < kHead || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return std::nullopt;
    const auto number = [&](std::size_t at) {
        std::uint64_t v = 0;
        for (unsigned i = 8; i > 0; --i) v = v << 8 | bytes[sizeof kMagic + at * 8 + i - 1];
        return v;
    };
    Binary b;
    const std::uint64_t content = number(0) >> 32, options = number(1), image = number(2);
    b.content = static_cast<Binary::Content>(content);
    b.type = static_cast<cl_program_binary_type>(number(0));
    const std::size_t rest = bytes.size() - kHead;
    const bool good = (content == 1 || content == 2) && options <= rest && image == rest - options &&
                      (b.type == CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT || b.type == CL_PROGRAM_BINARY_TYPE_LIBRARY ||
                       b.type == CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    if (!good) return std::nullopt;
    const auto* text = reinterpret_cast<const char*>(bytes.data() + kHead);
    b.options.assign(text, options);
    b.image.assign(text + options, image);
    return b;
}

// --- linking

Part link_parts(const std::vector<Part>& parts) {
    if (parts.size() == 1) return parts[0];
    Part all;
    std::size_t number = 0;
    for (const Part& p : parts) {
        for (const auto& [name, value] : p.options.definitions) {
            all.source += "#define " + name + " " + value + "\n";
        }
        all.source += "#line 1 \"program" + std::to_string(number++) + ".cl\"\n" + p.source + "\n";
        for (const auto& [name, value] : p.options.definitions) {
            all.source += "#undef " + name.substr(0, name.find('(')) + "\n";
        }
        for (const std::string& o : p.options.others) {
            auto& others = all.options.others;
            if (std::find(others.begin(), others.end(), o) == others.end()) others.push_back(o);
        }
    }
    return all;
}

}  // namespace farlane::opencl

// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a configuration file. Hands on: what in them the TOML parser must not see.
// Owns: nothing. Text is UTF-8 (TOML 1.0, "Spec"); other than ASCII it has only in comments and strings.
// toml++ 3.3 runs into undefined behaviour on such characters elsewhere, in its test for odd white space.
#include "daemon/config_reader.hpp"

namespace farlane::daemon {
namespace {

// Bytes of the well-formed sequence at `at` (RFC 3629, 4), 0 = it is none.
std::size_t utf8_bytes(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return 0;
    for (std::size_t i = 1; i < bytes; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const unsigned second = byte(1);
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool outside = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
    return overlong || outside ? 0 : bytes;
}

// Where a character stands, as far as it matters here.
class Place {
public:
    void pass(std::string_view text, std::size_t& at) {
        const char c = text[at];
        const bool triple = (c == '"' || c == '\'') && text.substr(at, 3) == std::string(3, c);
        if (comment_) {
            comment_ = c != '\n';
            begin_ = true;
        } else if (quote_ != 0) {
            if (c == '\\' && quote_ == '"') {
                escaped_ = !escaped_;
                return;
            }
            const bool was_escaped = escaped_;
            if (c != ' ' && c != '\t' && c != '\r' && c != '\n') escaped_ = false;
            if (c == '\n' && !long_) quote_ = 0, begin_ = true;
            if (c != quote_ || was_escaped || (long_ && !triple)) return;
            if (long_) at += 2;
            quote_ = 0;
        } else if (c == '#') {
            comment_ = true;
        } else if ((c == '"' || c == '\'') && begin_) {
            quote_ = c;
            begin_ = false;
            long_ = triple;
            escaped_ = false;
            if (triple) at += 2;
        } else if (c == '\n' || c == '=' || c == ',' || c == '{') {
            begin_ = true;
        } else if (c != ' ' && c != '\t' && c != '\r' && c != '[') {
            begin_ = false;
        }
    }
    [[nodiscard]] bool takes_any() const { return comment_ || (quote_ != 0 && !escaped_); }

private:
    bool comment_ = false, long_ = false;
    bool escaped_ = false;  ///< behind a backslash, and the white space that it may swallow
    char quote_ = 0;
    bool begin_ = true;  ///< a string may begin here; elsewhere a quote is a part of something malformed
};

}  // namespace

void check_text(std::string_view text, const std::string& name) {
    Place place;
    std::size_t line = 1, line_begin = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const std::size_t bytes = utf8_bytes(text, at);
        const auto fail = [&](const char* what) {
            throw ConfigError{name + ":" + std::to_string(line) + ":" + std::to_string(at - line_begin + 1) + ": " +
                              what};
        };
        if (bytes == 0) fail("not UTF-8 text; save the file as UTF-8");
        if (bytes > 1) {
            const bool mark = at == 0 && text.starts_with("\xef\xbb\xbf");  // byte order mark: harmless
            if (!mark && !place.takes_any()) fail("only ASCII is valid here; other characters belong into quotes");
            at += bytes - 1;
            continue;
        }
        if (text[at] == '\n') {
            ++line;
            line_begin = at + 1;
        }
        place.pass(text, at);
    }
}

}  // namespace farlane::daemon

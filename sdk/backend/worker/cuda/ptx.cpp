// SPDX-License-Identifier: Apache-2.0
// Receives: PTX text. Hands on: its kernels and their parameters. Owns: nothing. Pure.
#include "backend/worker/cuda/ptx.hpp"

#include <cctype>
#include <charconv>

namespace farlane::backend::worker::cuda {
namespace {

/// Words, and the marks ( ) [ ] , { ; each alone; comments left out.
class Tokens {
public:
    explicit Tokens(std::string_view text) : rest_(text) {}
    [[nodiscard]] std::string_view next() {
        skip();
        if (rest_.empty()) return {};
        std::size_t length = 0;
        while (length < rest_.size() && is_word(rest_[length])) ++length;
        return cut(length == 0 ? 1 : length);
    }

private:
    static bool is_word(char c) noexcept {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '$' || c == '%';
    }
    void skip() {
        for (;;) {
            while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0)
                rest_.remove_prefix(1);
            if (rest_.starts_with("//")) {
                cut_behind("\n");
            } else if (rest_.starts_with("/*")) {
                cut_behind("*/");
            } else {
                return;
            }
        }
    }
    void cut_behind(std::string_view mark) {
        const std::size_t at = rest_.find(mark);
        rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + mark.size());
    }
    std::string_view cut(std::size_t length) {
        const std::string_view token = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return token;
    }
    std::string_view rest_;
};

/// Of a fundamental type: .u32, .f64, .b8, .pred, ...; 0 = it is none.
std::uint32_t bytes_of(std::string_view type) noexcept {
    if (type.size() < 3 || type[0] != '.' || std::string_view("usfb").find(type[1]) == std::string_view::npos) return 0;
    std::uint32_t bits = 0;
    const auto end = std::from_chars(type.data() + 2, type.data() + type.size(), bits);
    return end.ptr == type.data() + type.size() && bits <= 128 ? bits / 8 : 0;
}

/// From behind .param to the ',' or ')' behind it.
PtxParameter parameter(Tokens& tokens, std::string_view& token) {
    PtxParameter p;
    std::uint32_t count = 1;
    for (token = tokens.next(); !token.empty() && token != "," && token != ")"; token = tokens.next()) {
        if (token == ".ptr") p.is_pointer = true;
        if (token == ".align") token = tokens.next();
        if (const std::uint32_t bytes = bytes_of(token); bytes != 0) p.bytes = bytes;
        if (token == "[") {
            token = tokens.next();
            (void)std::from_chars(token.data(), token.data() + token.size(), count);
        }
    }
    p.bytes *= count;
    return p;
}

}  // namespace

std::map<std::string, std::vector<PtxParameter>> ptx_kernels(std::string_view text) {
    std::map<std::string, std::vector<PtxParameter>> kernels;
    Tokens tokens(text);
    for (std::string_view token = tokens.next(); !token.empty(); token = tokens.next()) {
        if (token != ".entry") continue;
        std::vector<PtxParameter> parameters;
        const std::string name(tokens.next());
        token = tokens.next();
        while (token == "(" || token == ",") {
            token = tokens.next();
            if (token == ".param") parameters.push_back(parameter(tokens, token));
        }
        if (!name.empty()) kernels[name] = std::move(parameters);
    }
    return kernels;
}

}  // namespace farlane::backend::worker::cuda

// SPDX-License-Identifier: Apache-2.0
// Receives: a port string. Hands on: its parts, and the values of its keys, checked.
// Owns: nothing. The one parser of port strings; what each port accepts is in docs/ports.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <farlane/status.hpp>

namespace farlane::transport {

/// "fault+udp:127.0.0.1:0?loss=1%" = fault, "udp", "127.0.0.1:0", {loss, 1%}.
struct PortUrl {
    std::string text;    ///< as given
    bool fault = false;  ///< it began with "fault+"
    std::string scheme;
    std::string body;  ///< between the colon and the question mark
    std::vector<std::pair<std::string, std::string>> query;
};

/// Splits a port string. Refuses control characters, strings above 4096 bytes, a key without a
/// value and a key given twice; does not know which schemes and keys there are.
[[nodiscard]] Result<PortUrl> parse_url(std::string_view text);

/// Reads the keys of a port string, each with its unit and range. Every read also declares its
/// key, so that finish() can name what is valid. The first mistake is kept; later reads change
/// nothing of it.
class Query {
public:
    explicit Query(const PortUrl& url);

    /// "1%" or "0.01", from 0 to 1.
    void probability(std::string_view key, double& out);
    /// "200us", "5ms", "1s", "100ns", "0".
    void duration_ns(std::string_view key, std::int64_t& out, std::int64_t max_ns);
    /// A plain number.
    void count(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
    /// A number of bytes; k, M, G are powers of 1024.
    void bytes(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
    /// Bits per second; k, M, G are powers of 1000.
    void bits_per_second(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
    /// One of `words`; `out` becomes its index.
    void choice(std::string_view key, std::size_t& out, const std::vector<std::string>& words);
    void text(std::string_view key, std::string& out);

    /// The first mistake, or a key that no reader declared. Nothing = the whole query is good.
    [[nodiscard]] std::optional<Failure> finish() const;
    /// A failure of the whole string, for what stands in the body.
    [[nodiscard]] Failure fail(const std::string& sentence, Status status = Status::invalid) const;

private:
    const std::string* take(std::string_view key, std::string_view form);
    void bad(std::string_view key, const std::string& value, const std::string& valid);
    void scaled(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max, std::uint64_t kilo,
                std::string_view unit);

    const PortUrl& url_;
    std::vector<std::pair<std::string, std::string>> known_;  // key, form of its value
    std::optional<Failure> first_;
};

}  // namespace farlane::transport

// SPDX-License-Identifier: Apache-2.0
// Receives: any text as a port string. Hands on: nothing; every failure must name what is valid.
// No port is opened. Owns: nothing.
#include "fuzz/fuzz.hpp"
#include "transport/url.hpp"

using namespace farlane;
using fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto url = transport::parse_url(text);
    if (!url) {
        require(!url.failure().detail.empty(), "a failure says what is wrong");
        return 0;
    }
    require(url.value().text == text, "the string is kept as given");
    transport::Query query(url.value());
    double loss = 0;
    std::int64_t delay = 0;
    std::uint64_t seed = 0, buffer = 4096, rate = 0;
    std::size_t word = 0;
    std::string name;
    query.probability("loss", loss);
    query.duration_ns("delay", delay, 1000000000);
    query.count("seed", seed, 0, UINT64_MAX);
    query.bytes("buffer", buffer, 4096, std::uint64_t{1} << 30);
    query.bits_per_second("rate", rate, 0, UINT64_MAX);
    query.choice("mode", word, {"one", "two"});
    query.text("eal", name);
    require(loss >= 0 && loss <= 1, "a probability is one");
    require(delay >= 0 && delay <= 1000000000, "a duration is in its range");
    require(buffer >= 4096 && buffer <= std::uint64_t{1} << 30, "a number is in its range");
    require(word < 2, "a choice is one of the words");
    if (const auto failure = query.finish()) require(!failure->detail.empty(), "a failure says what is wrong");
    return 0;
}

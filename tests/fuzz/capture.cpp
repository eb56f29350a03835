// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as a file for fldump, of the kind its first byte says. Hands on: nothing;
// the listing must come to an end, and as JSON it must be one document. Owns: the listing.
#include "fuzz/fuzz.hpp"
#include "tools/fldump/dump.hpp"

using namespace farlane;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    constexpr fldump::Kind kinds[] = {fldump::Kind::automatic, fldump::Kind::pcap, fldump::Kind::channel,
                                      fldump::Kind::hex, fldump::Kind::frame};
    const unsigned how = input.byte();
    fldump::Request request;
    request.kind = kinds[how % std::size(kinds)];
    request.options.payload = (how & 0x10) != 0;
    request.json = (how & 0x20) != 0;
    std::string listing;
    const auto outcome =
        fldump::dump(std::as_bytes(input.rest()), request, [&](const std::string& text) { listing += text; });
    fuzz::require(outcome.status == Status::ok || !outcome.message.empty(), "a failure says what is wrong");
    if (request.json && !listing.empty()) {
        const auto parsed = fldump::Json::parse(listing, nullptr, false);
        fuzz::require(!parsed.is_discarded(), "the listing is one JSON document");
    }
    return 0;
}

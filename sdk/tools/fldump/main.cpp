// SPDX-License-Identifier: Apache-2.0
// Receives: a file name and options. Hands on: the listing on stdout, complaints on stderr, and
// an exit code of the status table. Owns: the bytes of the file.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cli/parse.hpp"
#include "tools/fldump/dump.hpp"

namespace {

using namespace farlane;
constexpr std::size_t kMaxFileBytes = std::size_t{2} << 30;

int complain(Status status, const std::string& text) {
    std::fprintf(stderr, "fldump: %s\n", text.c_str());
    return status_exit_code(status);
}

Status status_of_errno(int error) noexcept {
    if (error == ENOENT || error == ENOTDIR) return Status::not_found;
    return error == EACCES || error == EPERM ? Status::denied : Status::io;
}

fldump::Kind kind_named(const std::string& name) {
    if (name == "pcap") return fldump::Kind::pcap;
    if (name == "channel") return fldump::Kind::channel;
    if (name == "hex") return fldump::Kind::hex;
    return name == "frame" ? fldump::Kind::frame : fldump::Kind::automatic;
}

fldump::Request request_of(const cli::Arguments& arguments) {
    fldump::Request request;
    request.kind = kind_named(arguments.get("--kind"));
    request.json = arguments.get("--output") == "json";
    request.udp_port = static_cast<std::uint16_t>(arguments.number("--port", 1, 65535));
    request.options.payload = arguments.has("--payload");
    return request;
}

// The whole file, or stdin for "-".
Result<std::vector<std::byte>> read_file(const std::string& path) {
    std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
    if (file == nullptr) return Failure{status_of_errno(errno), path + ": " + std::strerror(errno)};
    std::vector<std::byte> bytes;
    std::vector<std::byte> part(1 << 16);
    std::size_t got = 0;
    while ((got = std::fread(part.data(), 1, part.size(), file)) != 0 && bytes.size() <= kMaxFileBytes)
        bytes.insert(bytes.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(got));
    const bool failed = std::ferror(file) != 0;
    const int error = errno;
    if (file != stdin) std::fclose(file);
    if (failed) return Failure{status_of_errno(error), path + ": " + std::strerror(error)};
    if (bytes.size() > kMaxFileBytes)
        return Failure{Status::limit, path + ": larger than 2 GiB; split it (editcap -c 1000000 IN OUT)"};
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    const cli::Parsed parsed = cli::parse(cli::fldump_program(), argc, argv);
    if (!parsed.arguments) {
        if (parsed.exit_code != 0) return complain(Status::invalid, parsed.text);
        std::fputs(parsed.text.c_str(), stdout);
        return 0;
    }
    const std::string path = parsed.arguments->get("FILE");
    try {
        const fldump::Request request = request_of(*parsed.arguments);
        auto file = read_file(path);
        if (!file) return complain(file.status(), file.failure().detail);
        const fldump::Outcome outcome =
            fldump::dump(*file, request, [](const std::string& text) { std::fputs(text.c_str(), stdout); });
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
            return complain(Status::io, "can not write the listing");
        return outcome.status == Status::ok ? 0 : complain(outcome.status, path + ": " + outcome.message);
    } catch (const Error& e) {
        return complain(e.status(), e.what());
    } catch (const std::exception& e) {
        return complain(Status::no_memory, e.what());
    }
}

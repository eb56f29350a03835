// SPDX-License-Identifier: Apache-2.0
// Receives: attachments that are wanted for good. Hands on: the same to the next daemon, after a reboot as well.
// Owns: nothing.
#include "daemon/standing_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <farlane/uapi/frame.h>

namespace farlane::daemon {
namespace {

constexpr std::size_t kMaxStandingBytes = 64 * 1024;
constexpr unsigned kFileVersion = 1;
constexpr std::array kUses{std::pair{Use::automatic, "auto"}, std::pair{Use::applications, "daemon"},
                           std::pair{Use::bus, "kernel"}};

bool good_name(const std::string& name) {
    return !name.empty() && name.size() < FL_NAME_BYTES &&
           std::ranges::all_of(name, [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '/'; });
}

StandingEntry entry_of(const Json& j) {
    StandingEntry e;
    e.name = j.at("name").get<std::string>();
    e.target = j.at("target").get<std::string>();
    e.uid = j.at("uid").get<uid_t>();
    const auto use = use_of(j.at("provider").get<std::string>());
    if (!good_name(e.name) || !good_name(e.target) || !use) throw std::invalid_argument("an entry that can not be");
    e.use = *use;
    return e;
}

std::vector<StandingEntry> parse_entries(const std::string& text) {
    const Json all = Json::parse(text);
    if (all.at("version").get<unsigned>() != kFileVersion) throw std::invalid_argument("of another version");
    std::vector<StandingEntry> entries;
    for (const Json& j : all.at("attachments")) {
        if (entries.size() == kMaxAttachments) throw std::invalid_argument("too many entries");
        entries.push_back(entry_of(j));
    }
    return entries;
}

}  // namespace

const char* use_name(Use use) noexcept {
    return std::ranges::find(kUses, use, [](const auto& u) { return u.first; })->second;
}

std::optional<Use> use_of(std::string_view name) noexcept {
    const auto* at = std::ranges::find_if(kUses, [&](const auto& u) { return name == u.second; });
    return at != kUses.end() ? std::optional(at->first) : std::nullopt;
}

Result<std::vector<StandingEntry>> read_standing(const std::string& path) {
    const control::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid() && errno == ENOENT) return std::vector<StandingEntry>();
    std::string why = std::strerror(errno);
    if (fd.valid()) {
        std::string text(kMaxStandingBytes + 1, '\0');
        const ssize_t got = ::read(fd.get(), text.data(), text.size());
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        try {
            if (text.size() > kMaxStandingBytes) throw std::invalid_argument("longer than 64 KiB");
            return parse_entries(text);
        } catch (const std::exception& e) {
            why = e.what();
        }
    }
    const std::string aside = path + ".bad";
    const bool moved = std::rename(path.c_str(), aside.c_str()) == 0;
    return {Status::malformed,
            path + ": " + why + (moved ? "; it is " + aside + " now" : "") + "; attach with --persist once more"};
}

// Not synced: the lane does not wait for a disk, and a rename replaces the file whole or not at all.
Result<bool> write_standing(const std::string& path, const std::vector<StandingEntry>& entries) {
    Json all = {{"version", kFileVersion}, {"attachments", Json::array()}};
    for (const StandingEntry& e : entries)
        all["attachments"].push_back(
            {{"name", e.name}, {"target", e.target}, {"provider", use_name(e.use)}, {"uid", e.uid}});
    const std::string text = all.dump(1) + '\n', fresh = path + ".new";
    (void)::unlink(fresh.c_str());
    const control::UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    const bool written = fd.valid() && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (written && std::rename(fresh.c_str(), path.c_str()) == 0) return true;
    return {Status::io, path + ": " + std::strerror(errno)};
}

bool ends_with_reboot(const std::string& path) noexcept {
    struct statfs info {};
    const std::string folder = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    if (::statfs(folder.c_str(), &info) != 0) return false;
    return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

}  // namespace farlane::daemon

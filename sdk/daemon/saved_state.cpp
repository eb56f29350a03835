// SPDX-License-Identifier: Apache-2.0
// Receives: what must be known of an attachment after kill -9 of this daemon.
// Hands on: the same to the next daemon. Owns: one memory-mapped file per attachment.
#include "daemon/saved_state.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <farlane/uapi/tlp.h>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {
namespace {

constexpr const char* kPrefix = "held-";
constexpr std::uint32_t kDirections = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;

bool plausible_mapping(const SavedMapping& m, std::uint64_t next_iova) noexcept {
    if (m.bytes == 0) return true;
    const bool direction = m.direction != 0 && (m.direction & ~kDirections) == 0;
    return direction && m.iova != 0 && m.iova + m.bytes > m.iova && m.iova + m.bytes <= next_iova &&
           m.offset + m.bytes > m.offset;
}

bool plausible_announcement(const SavedAnnouncement& a) noexcept {
    if (a.code == 0) return true;
    const bool direction = (a.direction & ~kDirections) == 0;
    return (a.code == FL_MSG_MAP || a.code == FL_MSG_UNMAP) && direction && a.iova != 0 && a.bytes != 0;
}

}  // namespace

bool SavedState::plausible() const noexcept {
    if (magic != kMagic || bytes != sizeof(SavedState)) return false;
    if (memchr(function_json, 0, sizeof function_json) == nullptr) return false;
    if (vectors > kMaxVectors) return false;
    if (has_channel != 0 && !geometry().valid()) return false;
    if (has_channel != 0 && submit_tail - submit_released > submit_entries) return false;
    const auto mapping_ok = [&](const SavedMapping& m) { return plausible_mapping(m, next_iova); };
    return std::ranges::all_of(mappings, mapping_ok) && std::ranges::all_of(announcements, plausible_announcement);
}

Result<std::unique_ptr<StateFile>> StateFile::map(const std::string& path, bool fresh) {
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_CREAT | O_EXCL : 0);
    control::UniqueFd fd(::open(path.c_str(), flags, 0600));
    if (!fd.valid()) return {Status::io, path + ": " + std::strerror(errno)};
    if (fresh && ::ftruncate(fd.get(), sizeof(SavedState)) != 0)
        return {Status::io, path + ": " + std::strerror(errno)};
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0 || info.st_size != static_cast<off_t>(sizeof(SavedState)))
        return {Status::malformed, path + ": not a state file of this version"};
    void* at = ::mmap(nullptr, sizeof(SavedState), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) return {Status::no_memory, path + ": " + std::strerror(errno)};
    return std::unique_ptr<StateFile>(new StateFile(path, static_cast<SavedState*>(at)));
}

Result<std::unique_ptr<StateFile>> StateFile::create(const std::string& directory, std::uint32_t id) {
    const std::string path = directory + "/" + kPrefix + std::to_string(id);
    ::unlink(path.c_str());
    auto file = map(path, true);
    if (!file.ok()) return file;
    file.value()->begin(id);
    return file;
}

Result<std::unique_ptr<StateFile>> StateFile::nameless(std::uint32_t id) {
    void* at = ::mmap(nullptr, sizeof(SavedState), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return {Status::no_memory, std::string("state of an attachment: ") + std::strerror(errno)};
    std::unique_ptr<StateFile> file(new StateFile("", static_cast<SavedState*>(at)));
    file->begin(id);
    return file;
}

void StateFile::begin(std::uint32_t id) noexcept {
    state_->id = id;
    state_->bytes = sizeof(SavedState);
    state_->next_iova = std::uint64_t{1} << 32;
    state_->next_order = 1;
    store_in_order(state_->magic, std::uint64_t{SavedState::kMagic});
}

std::vector<std::unique_ptr<StateFile>> StateFile::find(const std::string& directory, std::vector<std::string>& bad) {
    std::vector<std::unique_ptr<StateFile>> found;
    std::error_code ignored;
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored))
        if (entry.path().filename().string().starts_with(kPrefix)) paths.push_back(entry.path().string());
    std::ranges::sort(paths);
    for (const std::string& path : paths) {
        auto file = map(path, false);
        if (file.ok() && file.value()->state().plausible()) {
            found.push_back(std::move(file.value()));
            continue;
        }
        bad.push_back(path);
        ::unlink(path.c_str());
    }
    return found;
}

StateFile::~StateFile() {
    ::munmap(state_, sizeof(SavedState));
    if (forget_ && !path_.empty()) ::unlink(path_.c_str());
}

}  // namespace farlane::daemon

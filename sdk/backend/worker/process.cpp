// SPDX-License-Identifier: Apache-2.0
// Receives: the path of the worker program. Hands on: processes of it. Owns: process.hpp.
#include "backend/worker/process.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <string_view>

namespace farlane::backend::worker {
namespace {

/// What ran there may have closed folders to its own user. Follows no links.
void remove_tree(const std::filesystem::path& top) noexcept {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::remove_all(top, error);
    if (!error) return;
    // Foreign code made it, and what that left running may change it meanwhile: no link is followed.
    const Handle root(::open(top.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    std::vector<fs::path> folders{"."};
    for (std::size_t i = 0; root.valid() && i < folders.size(); ++i) {
        open_how how{};
        how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
        const Handle at(static_cast<int>(::syscall(SYS_openat2, root.get(), folders[i].c_str(), &how, sizeof how)));
        if (!at.valid()) continue;
        const std::string here = "/proc/self/fd/" + std::to_string(at.get());
        (void)::chmod(here.c_str(), S_IRWXU);
        for (const auto& entry : fs::directory_iterator(here, error)) {
            if (entry.symlink_status(error).type() == fs::file_type::directory)
                folders.push_back(folders[i] / entry.path().filename());
        }
    }
    fs::remove_all(top, error);
    if (error)
        std::cerr << "farlane: folder " << top << " of a worker process can not be removed: " << error.message()
                  << '\n';
}

constexpr const char* kFolderPrefix = "farlane-accel-";

/// The process that made a folder of this name; 0: not known.
pid_t owner_of(std::string_view name) noexcept {
    pid_t pid = 0;
    name.remove_prefix(std::string_view(kFolderPrefix).size());
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    return parsed.ec == std::errc{} && parsed.ptr != name.data() + name.size() && *parsed.ptr == '-' ? pid : 0;
}

constexpr int kOutOfTheWay = 64;  // above every number that a program finds a descriptor under

/// What a vendor's runtime reads; all else of the daemon's environment stays here.
bool is_for_runtimes(std::string_view variable) noexcept {
    static constexpr std::array<std::string_view, 7> kPrefixes = {"OCL_ICD_", "OPENCL_", "POCL_",           "CUDA_",
                                                                  "NVIDIA_",  "LANG=",   "LD_LIBRARY_PATH="};
    return std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](auto p) { return variable.starts_with(p); });
}

std::vector<std::string> environment_for(const std::string& folder) {
    static constexpr std::array<std::string_view, 5> kFolders = {"HOME", "TMPDIR", "XDG_CACHE_HOME", "POCL_CACHE_DIR",
                                                                 "CUDA_CACHE_PATH"};
    std::vector<std::string> all = {"PATH=/usr/local/bin:/usr/bin:/bin"};
    for (char** e = environ; *e != nullptr; ++e) {
        const std::string_view variable = *e;
        const bool is_folder = std::any_of(kFolders.begin(), kFolders.end(),
                                           [&](auto f) { return variable.starts_with(std::string(f) + "="); });
        if (is_for_runtimes(variable) && !is_folder) all.emplace_back(variable);
    }
    for (const auto name : kFolders) all.push_back(std::string(name) + "=" + folder);
    return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& t : texts) all.push_back(t.data());
    all.push_back(nullptr);
    return all;
}

/// posix_spawn's two kinds of parameters.
class SpawnParameters {
public:
    SpawnParameters() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    }
    ~SpawnParameters() {
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
    }
    SpawnParameters(const SpawnParameters&) = delete;
    SpawnParameters& operator=(const SpawnParameters&) = delete;

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
};

std::string beside_running_program() {
    std::array<char, PATH_MAX> path;
    const ssize_t got = ::readlink("/proc/self/exe", path.data(), path.size());
    if (got <= 0) return "/";
    return std::filesystem::path(std::string(path.data(), static_cast<std::size_t>(got))).parent_path();
}

std::string temporary_folder() {
    std::error_code error;
    const std::string path = std::filesystem::temp_directory_path(error).string();
    return error ? "/tmp" : path;
}

}  // namespace

Result<std::string> find_program(const std::string& wanted) {
    static constexpr const char* kName = "farlane-accel-worker";
    std::vector<std::string> places;
    if (!wanted.empty()) {
        places = {wanted};
    } else {
        // Beside comes first: a program of a build tree must not meet the worker of an installed version.
        const std::string beside = beside_running_program();
        places = {beside + "/" + kName, beside + "/../bin/" + kName, beside + "/../libexec/farlane/" + kName,
                  std::string(FARLANE_WORKER_FOLDER "/") + kName};
    }
    std::string looked;
    for (const std::string& place : places) {
        if (::access(place.c_str(), X_OK) == 0) return std::filesystem::path(place).lexically_normal().string();
        looked += (looked.empty() ? "" : ", ") + place;
    }
    return {Status::not_found,
            "no worker program for accelerators (looked for " + looked + "); install it, or say where it is (worker=)"};
}

// --- Folder

Result<Folder> Folder::make() {
    std::string path = temporary_folder() + "/" + kFolderPrefix + std::to_string(::getpid()) + "-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
        return {Status::io, "no folder " + path + " for a worker process: " + std::strerror(errno)};
    }
    Folder made;
    made.path_ = std::move(path);
    made.lock_ = Handle(::open(made.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!made.lock_.valid() || ::flock(made.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        return {Status::io, "no lock on folder " + made.path_ + ": " + std::strerror(errno)};
    }
    // Until it was locked, a farlaned in another namespace may have taken it for one of the dead.
    struct stat status {};
    if (::fstat(made.lock_.get(), &status) != 0 || status.st_nlink == 0)
        return {Status::io, "folder " + made.path_ + " was removed by somebody else"};
    return made;
}

void Folder::sweep(std::chrono::seconds age, bool self) noexcept {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(temporary_folder(), error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(kFolderPrefix)) continue;
        const Handle folder(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        struct stat status {};
        const bool ours = folder.valid() && ::fstat(folder.get(), &status) == 0 && status.st_uid == ::geteuid();
        const pid_t owner = owner_of(name);
        const bool gone = owner == ::getpid() ? self : owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH;
        if (!ours || (!gone && std::time(nullptr) - status.st_ctime < age.count())) continue;
        // A process that another namespace hides from us looks gone, too: its folder is locked, or make() looks again.
        if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) continue;
        remove_tree(entry.path());
    }
}

void Folder::remove() noexcept {
    if (path_.empty()) return;
    remove_tree(path_);
    path_.clear();
    lock_.reset();
}

// --- Process

Result<Process> Process::spawn(const std::vector<std::string>& command, std::span<const Passed> passed,
                               const std::string& folder) {
    SpawnParameters parameters;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        posix_spawn_file_actions_addopen(&parameters.actions, fd, "/dev/null", O_RDWR, 0);
    }
    std::vector<Handle> sources;  // none of them is a number that another becomes
    int highest = STDERR_FILENO;
    for (const Passed& p : passed) {
        sources.emplace_back(::fcntl(p.fd, F_DUPFD_CLOEXEC, kOutOfTheWay));
        if (!sources.back().valid()) return {Status::limit, "no file descriptor left; raise the limit (ulimit -n)"};
        posix_spawn_file_actions_adddup2(&parameters.actions, sources.back().get(), p.as);
        highest = std::max(highest, p.as);
    }
    posix_spawn_file_actions_addclosefrom_np(&parameters.actions, highest + 1);
    std::vector<std::string> words = command;
    std::vector<std::string> environment = environment_for(folder);
    Process made;
    const int error = ::posix_spawn(&made.pid_, words.front().c_str(), &parameters.actions, &parameters.attributes,
                                    pointers(words).data(), pointers(environment).data());
    if (error != 0) return {Status::not_found, words.front() + ": " + std::strerror(error)};
    made.pidfd_ = Handle(static_cast<int>(::syscall(SYS_pidfd_open, made.pid_, 0)));
    if (!made.pidfd_.valid()) {
        const int why = errno;
        (void)::kill(made.pid_, SIGKILL);
        (void)::waitpid(made.pid_, nullptr, 0);
        return {Status::limit, std::string("no descriptor of a process: ") + std::strerror(why)};
    }
    return made;
}

Process& Process::operator=(Process&& other) noexcept {
    if (this != &other) {
        end();
        pid_ = other.pid_;
        pidfd_ = std::move(other.pidfd_);
    }
    return *this;
}

void Process::kill() noexcept {
    if (!running()) return;
    // Not reaped yet, so both numbers are still its own.
    (void)::kill(-pid_, SIGKILL);
    (void)::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

int Process::reap() noexcept {
    (void)::kill(-pid_, SIGKILL);  // what it started
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 && errno == EINTR) {
    }
    pidfd_.reset();
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

}  // namespace farlane::backend::worker

// SPDX-License-Identifier: Apache-2.0
// Receives: configurations. Hands on: running farlaned processes. Owns: them and their directory.
#include "daemon/process.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace farlane::test {

TempDir::TempDir() {
    char name[] = "/tmp/farlane-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
}

std::string read_file(const std::string& path) {
    std::ifstream in(path);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
}

Process::Process(const std::vector<std::string>& arguments, std::string log, const Environment& environment)
    : log_(std::move(log)) {
    std::vector<char*> argv;
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ != 0) return;
    const int fd = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    ::unsetenv("NOTIFY_SOCKET");
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
}

Process::~Process() {
    kill();
}

void Process::signal(int number) const {
    if (pid_ <= 0 || ::kill(pid_, number) != 0 || number != SIGSTOP) return;
    siginfo_t stopped{};  // its threads go on until the kernel has reached them all
    (void)::waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT);
}

int Process::wait(std::chrono::milliseconds at_most) {
    const auto until = std::chrono::steady_clock::now() + at_most;
    for (;;) {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) == pid_) {
            pid_ = -1;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        if (std::chrono::steady_clock::now() > until) throw std::runtime_error("process goes on: " + output());
        std::this_thread::sleep_for(5ms);
    }
}

bool Process::running() const {
    siginfo_t info{};
    return pid_ > 0 && ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

void Process::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

Daemon::Daemon(const TempDir& dir, std::string name, std::string config_body)
    : dir_(dir), name_(std::move(name)), socket_(dir / (name_ + ".sock")), config_(dir / (name_ + ".toml")) {
    rewrite(config_body);
    start();
}

void Daemon::rewrite(const std::string& config_body) {
    write_file(config_, "[daemon]\nname = \"" + name_ + "\"\nsocket = \"" + socket_ + "\"\nstate_dir = \"" +
                            (dir_ / (name_ + ".state")) + "\"\n" + config_body);
}

void Daemon::start() {
    process_.reset();
    process_ =
        std::make_unique<Process>(std::vector<std::string>{FARLANED, "--config", config_}, dir_ / (name_ + ".log"));
    const auto until = std::chrono::steady_clock::now() + 60s;
    for (;;) {
        try {
            (void)client().call("ping");
            return;
        } catch (const Error& e) {
            if (std::chrono::steady_clock::now() > until || !process_->running())
                throw std::runtime_error(std::string(e.what()) + "\n" + process_->output());
        }
        std::this_thread::sleep_for(5ms);
    }
}

int Daemon::stop() {
    process_->signal(SIGTERM);
    return process_->wait();
}

Pair::Pair(const std::string& exports, const std::string& session_keys)
    : session("[session]\nkeepalive_ms = 100\nreconnect_delay_ms = 20\ncompletion_timeout_ms = 8000\n" + session_keys),
      target(dir, "box",
             session + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:" + std::to_string(port) +
                 "\"\nlisten = true\n" + exports),
      initiator(dir, "laptop",
                session + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:0\"\n[[peer]]\naddress = \"127.0.0.1:" +
                    std::to_string(port) + "\"\n") {}

void Pair::wait_for_functions(std::size_t count) {
    auto c = initiator.client();
    const auto until = std::chrono::steady_clock::now() + 60s;
    for (;;) {
        std::string why;
        try {
            const auto list = c.call("list");
            if (list.at("functions").size() == count) return;
            why = list.dump();
        } catch (const control::CallError& e) {
            why = e.what();
        }
        if (std::chrono::steady_clock::now() > until) throw std::runtime_error(why);
        std::this_thread::sleep_for(10ms);
    }
}

}  // namespace farlane::test

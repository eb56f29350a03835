// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: rows beside UCX and libfabric on the same cores, and throughput by size.
// Owns: the peers' processes.
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "groups.hpp"
#include "measures.hpp"
#include "ports.hpp"
#include "run.hpp"

namespace farlane::bench {
namespace {

constexpr std::size_t kPage = 4096;
constexpr double kMib = 1048576;

/// What one side measured of a medium.
struct Figures {
    double put_us = 0, put_4k_us = 0, get_us = 0, gb_per_s = 0;
};

Figures ours_on(const std::string& port) {
    const auto v = measure_pair(pair_on(port), [](Fabric& f) {
        return std::vector{put_latency(f, false), put_latency(f, true), read_rtt(f)[kP50] / 1e3, write_rate(f, kPage)};
    });
    return {v[0], v[1], v[2], v[3]};
}

std::string last_line(const std::string& text) {
    std::stringstream all(text);
    std::string line, last;
    while (std::getline(all, line))
        if (!line.empty()) last = line;
    return last;
}

std::vector<double> numbers(std::string line, char separator) {
    std::vector<double> all;
    std::stringstream in(line);
    for (std::string word; std::getline(in, word, separator);)
        if (!word.empty()) all.push_back(std::atof(word.c_str()));
    return all;
}

// A server takes a moment to listen: the client is tried until it connects.
std::string client_of(const std::vector<std::string>& server, const std::vector<std::string>& client) {
    const Background background(server);
    for (int left = 20;; --left) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        try {
            return output_of(client, 30);
        } catch (const std::runtime_error&) {
            if (left == 0) throw;
        }
    }
}

// Columns of `ucx_perftest -f -v`: iterations, p50 us, average us, overall us, MiB/s, ...
std::vector<double> ucx(const std::string& transports, const std::vector<std::string>& test) {
    const auto port = std::to_string(free_udp_port());
    const std::vector<std::string> environment = {"env", "UCX_TLS=" + transports, "UCX_LOG_LEVEL=error"};
    auto server = environment, client = environment;
    server.insert(server.end(), {"ucx_perftest", "-c", "1", "-p", port});
    client.insert(client.end(), {"ucx_perftest", "-c", "0", "-p", port, "127.0.0.1", "-f", "-v", "-t"});
    client.insert(client.end(), test.begin(), test.end());
    auto columns = numbers(last_line(client_of(server, client)), ',');
    if (columns.size() < 6 || columns[1] <= 0) throw std::runtime_error("ucx_perftest printed no figures");
    return columns;
}

Figures ucx_figures(const std::string& transports) {
    const bool tcp = transports == "tcp";
    const std::string many = tcp ? "20000" : "1000000";
    Figures f;
    f.put_us = ucx(transports, {"ucp_put_lat", "-s", "8", "-n", many, "-w", "1000"})[1];
    f.put_4k_us = ucx(transports, {"ucp_put_lat", "-s", "4096", "-n", many, "-w", "1000"})[1];
    f.get_us = ucx(transports, {"ucp_get", "-s", "8", "-n", tcp ? "200" : many, "-w", "10"})[1];
    f.gb_per_s =
        ucx(transports, {"ucp_put_bw", "-s", "4096", "-n", tcp ? "200000" : many, "-w", "1000"})[5] * kMib / 1e9;
    return f;
}

// Columns of fi_pingpong: bytes, sent, acknowledged, total, time, MB/s, us one way, Mxfers/s
std::vector<double> pingpong(const std::string& provider, const std::string& endpoint, const std::string& bytes) {
    const auto port = std::to_string(free_udp_port());
    const std::vector<std::string> what = {"-p", provider, "-e", endpoint, "-I", "20000", "-S", bytes};
    std::vector<std::string> server = {"taskset", "-c", "1", "fi_pingpong", "-B", port};
    std::vector<std::string> client = {"taskset", "-c", "0", "fi_pingpong", "-P", port};
    server.insert(server.end(), what.begin(), what.end());
    client.insert(client.end(), what.begin(), what.end());
    client.push_back("127.0.0.1");
    const auto columns = numbers(last_line(client_of(server, client)), ' ');
    if (columns.size() < 7 || columns[6] <= 0) throw std::runtime_error("fi_pingpong printed no figures");
    return columns;
}

Figures fabric_figures(const std::string& provider, const std::string& endpoint) {
    Figures f;
    f.put_us = pingpong(provider, endpoint, "8")[6];
    const auto page = pingpong(provider, endpoint, "4096");
    f.put_4k_us = page[6];
    f.gb_per_s = kPage / page[6] / 1e3;  // one in flight, as it does
    return f;
}

/// A peer on a medium, and ours that stands beside it.
struct Peer {
    std::string key, port, program, package;
    std::function<Figures()> measure;
    bool one_in_flight = false;  ///< its bandwidth is of a ping-pong: so is ours then
    double latency_goal = 0, bandwidth_goal = 0;
};

std::vector<Peer> peers() {
    return {{"vs_ucx_tcp", "udp", "ucx_perftest", "ucx-utils", [] { return ucx_figures("tcp"); }, false, 0.67, 1.5},
            {"vs_ucx_shm", "memif", "ucx_perftest", "ucx-utils", [] { return ucx_figures("posix,self"); }},
            {"vs_libfabric", "udp", "fi_pingpong", "libfabric-bin", [] { return fabric_figures("tcp", "msg"); }, true},
            {"vs_libfabric_shm", "memif", "fi_pingpong", "libfabric-bin", [] { return fabric_figures("shm", "rdm"); },
             true}};
}

void beside(const Options& o, const Peer& peer, Report& report) {
    Series put{peer.key, "us", {}, true}, put_4k{peer.key + "_4k", "us", {}, true},
        get{peer.key + "_get", "us", {}, true}, rate{peer.key + "_bw", "GB/s"};
    if (peer.latency_goal > 0) put.reach = peer.latency_goal, rate.reach = peer.bandwidth_goal;
    for (auto* s : {&put, &put_4k, &get, &rate}) s->more = {{"port", peer.port}, {"limit_is", peer.program}};
    rate.more["in_flight"] = peer.one_in_flight ? "one" : "many";
    for (int i = 0; i < o.repeats; ++i) {
        progress(peer.key, i + 1, o.repeats);
        const Figures theirs = peer.measure(), ours = ours_on(peer.port);
        put.limit.push_back(theirs.put_us);
        put.ours.push_back(ours.put_us);
        put_4k.limit.push_back(theirs.put_4k_us);
        put_4k.ours.push_back(ours.put_4k_us);
        get.limit.push_back(theirs.get_us);
        get.ours.push_back(ours.get_us);
        rate.limit.push_back(theirs.gb_per_s);
        rate.ours.push_back(peer.one_in_flight ? kPage / ours.put_4k_us / 1e3 : ours.gb_per_s);
    }
    report.add(put);
    report.add(put_4k);
    if (get.limit[0] > 0) report.add(get);
    report.add(rate);
}

}  // namespace

void measure_peers(const Options& o, Report& report) {
    for (const Peer& peer : peers()) {
        if (!in_path(peer.program)) {
            report.missing(peer.key, "us", peer.program + " is not installed (Debian package " + peer.package + ")");
            continue;
        }
        try {
            beside(o, peer, report);
        } catch (const std::exception& e) {
            report.fail(peer.key, e.what());
        }
    }
}

void measure_sizes(const Options& o, Report& report) {
    for (const auto& port : o.ports) {
        progress("throughput " + port, 1, 1);
        try {
            const std::vector<std::size_t> sizes = {8, 64, 256, 512, 1024, 2048, 4096, 16384, 65536, 1048576};
            const auto rates = measure_pair(pair_on(port), [&](Fabric& f) {
                std::vector<double> all;
                for (const auto bytes : sizes) all.push_back(write_rate(f, bytes));
                return all;
            });
            json points = json::array();
            for (std::size_t i = 0; i < sizes.size(); ++i)
                points.push_back({{"bytes", sizes[i]}, {"gb_per_s", rates[i]}});
            report.plot("throughput_" + port, points);
            Series s{"throughput_4k_" + port, "GB/s"};
            s.ours = {rates[6]};
            s.more = {{"what", "relaxed writes of 4 KiB by the initiator into the function's memory"}};
            report.add(s);
        } catch (const std::exception& e) {
            report.fail("throughput_" + port, e.what());
        }
    }
}

}  // namespace farlane::bench

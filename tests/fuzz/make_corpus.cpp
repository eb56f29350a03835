// SPDX-License-Identifier: Apache-2.0
// Receives: a folder. Hands on: the corpus of every fuzz target as small files in it, valid
// inputs and nearly valid ones. Owns: nothing. The result is committed; run it again when a
// format changes: make_corpus tests/fuzz/corpus
#include "fuzz/make_corpus.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>

using namespace farlane;

namespace {
std::filesystem::path g_root;
}

void fuzz::write(const std::string& target, const std::string& name, std::span<const std::byte> bytes) {
    std::filesystem::create_directories(g_root / target);
    std::ofstream out(g_root / target / name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!out) throw std::runtime_error("can not write " + (g_root / target / name).string());
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: make_corpus FOLDER\n";
        return 2;
    }
    g_root = argv[1];
    try {
        fuzz::accel_corpus();
        fuzz::capture_corpus();
        fuzz::channel_slot_corpus();
        fuzz::config_corpus();
        fuzz::control_corpus();
        fuzz::config_space_corpus();
        fuzz::frame_corpus();
        fuzz::hello_corpus();
        fuzz::insn_corpus();
        fuzz::nvme_corpus();
        fuzz::port_url_corpus();
        fuzz::session_corpus();
        fuzz::worker_corpus();
    } catch (const std::exception& e) {
        std::cerr << "make_corpus: " << e.what() << "\n";
        return 1;
    }
    return 0;
}

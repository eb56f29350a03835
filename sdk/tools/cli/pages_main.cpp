// SPDX-License-Identifier: Apache-2.0
// Receives: a folder. Hands on: man pages and bash completion in it. Owns: those files.
// Run by the build.
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cli/pages.hpp"

namespace {

using namespace farlane::cli;

bool write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) std::fprintf(stderr, "farlane-pages: can not write %s\n", path.c_str());
    return static_cast<bool>(file);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: farlane-pages FOLDER\n");
        return 2;
    }
    const std::filesystem::path folder = argv[1];
    const std::array programs{&farlane_program(), &farlaned_program(), &fldump_program(), &demo_program()};
    bool fine = write(folder / "bash-completion/farlane", bash_completion(programs));
    for (const Program* p : programs)
        for (const auto& [name, text] : man_pages(*p))
            fine = write(folder / "man" / ("man" + std::to_string(p->section)) / name, text) && fine;
    return fine ? 0 : 1;
}

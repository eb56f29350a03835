// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what the parts of make_corpus share: one function per fuzz target.
// Owns: nothing.
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace farlane::fuzz {

/// Writes one corpus file; throws when that fails.
void write(const std::string& target, const std::string& name, std::span<const std::byte> bytes);

inline void must(bool written) {
    if (!written) throw std::runtime_error("a sample does not fit its frame");
}

void accel_corpus();
void capture_corpus();
void channel_slot_corpus();
void config_corpus();
void control_corpus();
void config_space_corpus();
void frame_corpus();
void hello_corpus();
void insn_corpus();
void nvme_corpus();
void port_url_corpus();
void session_corpus();
void worker_corpus();

}  // namespace farlane::fuzz

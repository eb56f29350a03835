// SPDX-License-Identifier: Apache-2.0
// Receives: a path. Hands on: a listening unix socket there, for its owner alone.
// Owns: nothing; the caller closes and unlinks it.
#pragma once

#include <string>

namespace farlane::link {

/// Throws std::runtime_error that names the path. A socket nobody listens on any more is replaced.
[[nodiscard]] int listen_unix(const std::string& path);

}  // namespace farlane::link

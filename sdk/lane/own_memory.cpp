// SPDX-License-Identifier: Apache-2.0
// Receives: addresses of this process that need not be there any more. Hands on: bytes. Owns: nothing.
#include "lane/own_memory.hpp"

#include <sys/uio.h>
#include <unistd.h>

namespace farlane::lane {
namespace {

iovec vec(const std::byte* at, std::size_t bytes) noexcept {
    return {const_cast<std::byte*>(at), bytes};
}

// The whole of a page or nothing: what crosses into a hole is cut there, and said to be.
bool give(std::byte* to, std::span<const std::byte> from) noexcept {
    const iovec local = vec(from.data(), from.size()), remote = vec(to, from.size());
    return from.empty() ||
           ::process_vm_writev(::getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(from.size());
}

}  // namespace

// What an application polls for is the last word of a write: it goes behind the rest.
bool copy_to_own(std::byte* to, std::span<const std::byte> from) noexcept {
    constexpr std::size_t kWord = sizeof(unsigned);
    const std::size_t body = from.size() > kWord && from.size() <= 64 ? from.size() - kWord : 0;
    return give(to, from.first(body)) && give(to + body, from.subspan(body));
}

bool copy_from_own(std::span<std::byte> into, const std::byte* from) noexcept {
    const iovec local = vec(into.data(), into.size()), remote = vec(from, into.size());
    return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(into.size());
}

}  // namespace farlane::lane

// SPDX-License-Identifier: Apache-2.0
// Receives: what an application asks of a device now and then. Hands on: calls to farlaned.
// Owns: see the header. Every call here can be made twice: a daemon may die before it
// answers. docs/control-socket.md.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>

#include "lib/daemon_device.hpp"

namespace farlane::provider {
namespace {

using control::Json;

constexpr std::size_t kVectorsPerCall = 100;

template <class T>
T number(const Json& j, const char* key) {
    const auto at = j.find(key);
    if (at == j.end() || !at->is_number_unsigned())
        throw Error(Status::protocol, std::string("farlaned answered without '") + key + "'");
    return at->get<T>();
}

std::string text(const Json& j, const char* key) {
    const auto at = j.find(key);
    if (at == j.end() || !at->is_string())
        throw Error(Status::protocol, std::string("farlaned answered without '") + key + "'");
    return at->get<std::string>();
}

}  // namespace

std::shared_ptr<DaemonDevice> DaemonDevice::attach(const std::shared_ptr<DaemonLink>& link, const std::string& name,
                                                   bool shared) {
    Json wish = {{"name", name}};
    if (shared) wish["shared"] = true;
    const Json a = link->call("attach", wish, false);
    const auto attachment = number<std::uint32_t>(a, "attachment");
    std::vector<control::UniqueFd> fds;
    const Json c = link->call("open_channel", {{"attachment", attachment}}, false, {}, &fds);
    const channel::Geometry geometry{number<std::uint32_t>(c, "submit_entries"),
                                     number<std::uint32_t>(c, "complete_entries"),
                                     number<std::uint32_t>(c, "staging_bytes")};
    auto ring = std::make_unique<channel::AppChannel>(geometry, std::move(fds));
    const auto function = a.find("function");
    if (function == a.end()) throw Error(Status::protocol, "farlaned answered without 'function'");
    std::shared_ptr<DaemonDevice> d(new DaemonDevice(link, control::function_from_json(*function), attachment,
                                                     text(a, "token"), std::move(ring), shared));
    if (text(a, "state") == "reset") d->channel_->set_device_state(Status::device_reset);
    link->add(d);
    return d;
}

DaemonDevice::DaemonDevice(std::shared_ptr<DaemonLink> link, FunctionInfo info, std::uint32_t attachment,
                           std::string token, std::unique_ptr<channel::AppChannel> channel, bool shared)
    : RingDevice(std::move(info), std::move(channel)),
      link_(std::move(link)),
      token_(std::move(token)),
      attachment_(attachment),
      shared_(shared) {}

DaemonDevice::~DaemonDevice() {
    try {
        detach();
    } catch (const std::exception&) {
        // The daemon frees it when our connection ends.
    }
}

Json DaemonDevice::args(Json more) {
    const Lock held(lists_);
    more["attachment"] = attachment_;
    return more;
}

// What is shared ends with its daemon, and nobody waits for the next one.
Json DaemonDevice::call(const char* verb, const Json& args, bool again, const std::vector<int>& give) {
    if (!shared_) return link_->call(verb, args, again, give);
    try {
        return link_->call_now(verb, args, give);
    } catch (const control::CallError&) {
        throw;
    } catch (const Error& e) {
        if (e.status() == Status::unreachable) throw Error(Status::device_lost, e.what());
        throw;
    }
}

std::shared_ptr<Buffer> DaemonDevice::allocate(std::size_t bytes) {
    forget_freed_buffers();
    auto pages = SharedPages::make(bytes);
    // The daemon takes only memory that can not shrink under it.
    if (::fcntl(pages->fd(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        throw Error(Status::io, std::string("sealing a DMA buffer: ") + std::strerror(errno));
    return pages;
}

std::optional<std::uint32_t> DaemonDevice::number_of(Buffer& buffer) {
    {
        const Lock held(lists_);
        for (const Registered& r : registered_)
            if (r.buffer.lock().get() == &buffer) return r.number;
    }
    auto* pages = dynamic_cast<SharedPages*>(&buffer);
    if (pages == nullptr) throw Error(Status::invalid, "the buffer was not allocated by this device's domain");
    (void)::fcntl(pages->fd(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    Registered r{buffer.weak_from_this(), 0, control::UniqueFd(::fcntl(pages->fd(), F_DUPFD_CLOEXEC, 0)),
                 pages->mapped_bytes()};
    if (!r.fd.valid()) throw Error(Status::limit, std::string("dup: ") + std::strerror(errno));
    const Json reply = call("register_buffer", args({{"bytes", r.bytes}}), true, {r.fd.get()});
    r.number = number<std::uint32_t>(reply, "buffer");
    const Lock held(lists_);
    registered_.push_back(std::move(r));
    return registered_.back().number;
}

// Buffers of the application that are gone: the daemon may let go of them too.
void DaemonDevice::forget_freed_buffers() {
    std::vector<std::uint32_t> numbers;
    {
        const Lock held(lists_);
        std::erase_if(registered_, [&](const Registered& r) {
            if (!r.buffer.expired()) return false;
            numbers.push_back(r.number);
            return true;
        });
    }
    for (const std::uint32_t n : numbers) {
        try {
            call("unregister_buffer", args({{"buffer", n}}), true);
        } catch (const Error&) {
            // It goes with the attachment at the latest.
        }
    }
}

std::uint64_t DaemonDevice::map(const std::shared_ptr<Buffer>& buffer, std::size_t offset, std::size_t bytes,
                                DmaDirection direction) {
    const std::size_t size = buffer->bytes().size();
    if (bytes == 0 || offset > size || bytes > size - offset)
        throw Error(Status::out_of_bounds, "bytes " + std::to_string(offset) + "+" + std::to_string(bytes) +
                                               " are not inside the buffer of " + std::to_string(size));
    const std::uint32_t n = *number_of(*buffer);
    std::uint64_t token = 0;
    {
        const Lock held(lists_);
        token = next_token_++;
    }
    const Json reply = call("map",
                            args({{"buffer", n},
                                  {"offset", offset},
                                  {"bytes", bytes},
                                  {"direction", static_cast<unsigned>(direction)},
                                  {"token", token}}),
                            true);
    const auto iova = number<std::uint64_t>(reply, "iova");
    const Lock held(lists_);
    mapped_[iova] = buffer;
    return iova;
}

// It is in another process: what it was given is all that it reaches.
std::uint64_t DaemonDevice::map_own(std::span<std::byte>, DmaDirection) {
    throw Error(Status::unsupported,
                "farlaned reaches no memory of this application but that of Domain::allocate: map a DmaBuffer, or "
                "use the provider 'kernel'");
}

void DaemonDevice::unmap(std::uint64_t iova) {
    try {
        call("unmap", args({{"iova", iova}}), true);
    } catch (const Error& e) {
        // Gone with the device, or by a first call whose answer died with a daemon.
        if (e.status() != Status::not_found && e.status() != Status::device_lost) throw;
    }
    std::shared_ptr<Buffer> last;
    const Lock held(lists_);
    if (const auto at = mapped_.find(iova); at != mapped_.end()) {
        last = std::move(at->second);
        mapped_.erase(at);
    }
}

void DaemonDevice::send_interrupts(const std::function<Json(Json, const std::vector<int>&)>& call,
                                   std::size_t from) const {
    for (std::size_t first = from; first < vectors_.size(); first += kVectorsPerCall) {
        std::vector<int> fds;
        for (std::size_t v = first; v < std::min(vectors_.size(), first + kVectorsPerCall); ++v)
            fds.push_back(vectors_[v].get());
        (void)call({{"count", vectors_.size()}, {"first", first}}, fds);
    }
}

void DaemonDevice::enable_interrupts(unsigned count) {
    if (count == 0 || count > info_.msix_vectors)
        throw Error(Status::limit, "'" + info_.name + "' has " + std::to_string(info_.msix_vectors) +
                                       " interrupt vectors; ask for 1 to " + std::to_string(info_.msix_vectors));
    while (vectors_.size() < count) {
        control::UniqueFd fd = make_eventfd();
        const Lock held(lists_);
        vectors_.push_back(std::move(fd));
    }
    // The daemon listens before the device may speak.
    send_interrupts(
        [this](Json more, const std::vector<int>& fds) {
            return call("enable_interrupts", args(std::move(more)), true, fds);
        },
        0);
    if (!shared_) program_msix(*this, count);
}

// --- a part of a shared accelerator. Not made again at another daemon: it knows nothing of them.

ContextGrant DaemonDevice::open_context() {
    if (!shared_) return DeviceProvider::open_context();
    const Json r = call("open_context", args(), false);
    return {number<std::uint32_t>(r, "context"), number<std::uint64_t>(r, "memory_address"),
            number<std::uint64_t>(r, "memory_bytes"), number<std::uint64_t>(r, "local_address"),
            number<std::uint64_t>(r, "local_bytes")};
}

// What was written before goes before: a call would overtake it, and find it no longer allowed.
void DaemonDevice::push_ring() {
    std::array<std::byte, 4> id{};
    config_read(0, id);
}

void DaemonDevice::close_context(std::uint32_t number) {
    if (!shared_) return DeviceProvider::close_context(number);
    push_ring();
    (void)call("close_context", args({{"context", number}}), false);
}

QueueGrant DaemonDevice::make_queue(std::uint32_t context, std::uint32_t entries, std::uint64_t cq_iova,
                                    std::optional<std::uint32_t> vector) {
    if (!shared_) return DeviceProvider::make_queue(context, entries, cq_iova, vector);
    Json wish = {{"context", context}, {"entries", entries}, {"cq_iova", cq_iova}};
    if (vector) wish["vector"] = *vector;
    const Json r = call("make_queue", args(std::move(wish)), false);
    return {number<std::uint32_t>(r, "queue"), number<std::uint64_t>(r, "sq_address")};
}

void DaemonDevice::drop_queue(std::uint32_t number) {
    if (!shared_) return DeviceProvider::drop_queue(number);
    push_ring();
    (void)call("drop_queue", args({{"queue", number}}), false);
}

void DaemonDevice::reset() {
    if (!shared_) return DeviceProvider::reset();
    throw Error(Status::denied, "'" + info_.name + "' is shared: no application resets it for all");
}

void DaemonDevice::acknowledge_reset() {
    call("acknowledge_reset", args(), true);
    const Lock held(mutex_);
    channel_->drain();
    if (channel_->device_state() == Status::device_reset) channel_->set_device_state(Status::ok);
}

void DaemonDevice::detach() {
    {
        const Lock held(mutex_);
        if (detached_) return;
        if (state() == Status::device_lost) detached_ = true;
    }
    // What was written before the detach reaches the device before it.
    try {
        if (!detached_) flush();
    } catch (const Error&) {
        // It is detached all the same.
    }
    {
        const Lock held(mutex_);
        detached_ = true;
        channel_->fail_all(Status::device_lost);
    }
    Json request = args();
    try {
        call("detach", request, false);
    } catch (const Error& e) {
        if (e.status() != Status::not_found && e.status() != Status::device_lost) throw;
    }
    const Lock held(lists_);
    registered_.clear();
    mapped_.clear();
}

// Runs in the link's watcher: everything of ours goes to the new daemon.
void DaemonDevice::resume(control::ControlClient& client, std::chrono::milliseconds grace) {
    {
        const Lock held(mutex_);
        if (detached_ || !lost_.empty()) return;
    }
    const Lock held(lists_);
    const Json r = client.call("resume_attachment", {{"token", token_}});
    attachment_ = number<std::uint32_t>(r, "attachment");
    const auto with_id = [&](Json more) {
        more["attachment"] = attachment_;
        return more;
    };
    const std::array<int, 3> fds = channel_->fds();
    client.call_fds("resume_channel", with_id(Json::object()), {fds.begin(), fds.end()}, nullptr);
    for (const Registered& b : registered_)
        client.call_fds("register_buffer", with_id({{"bytes", b.bytes}, {"buffer", b.number}}), {b.fd.get()}, nullptr);
    send_interrupts(
        [&](Json more, const std::vector<int>& v) {
            return client.call_fds("enable_interrupts", with_id(std::move(more)), v, nullptr);
        },
        0);
    client.call("resume_done", with_id(Json::object()), grace + std::chrono::seconds(5));
}

}  // namespace farlane::provider

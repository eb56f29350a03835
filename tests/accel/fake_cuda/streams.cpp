// SPDX-License-Identifier: Apache-2.0
// Receives: calls about streams, events, copies. Hands on: the same work, on one thread per stream. Owns: the threads.
#include <chrono>

#include "fake.hpp"

namespace fake {

std::atomic<CuResult> lost{kSuccess};

namespace {

std::atomic<unsigned> under_way{0};

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

Stream* of(CuStream stream) {
    return reinterpret_cast<Stream*>(stream);
}
Event* of(CuEvent event) {
    return reinterpret_cast<Event*>(event);
}

template <class T>
CuResult set(CuAddress address, T value, std::size_t count, CuStream stream) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    if (stream == nullptr || address % sizeof(T) != 0 || mapped(address, count * sizeof(T)) == nullptr) {
        return kInvalidValue;
    }
    of(stream)->put([=] {
        std::byte* to = mapped(address, count * sizeof(T));
        if (to == nullptr) {
            lost = kIllegalAddress;
            return;
        }
        for (std::size_t i = 0; i < count; ++i) std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    });
    return kSuccess;
}

CuResult move(std::uint64_t to, std::uint64_t from, std::size_t bytes, bool to_device, bool from_device,
              CuStream stream) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    const auto host = [&](std::uint64_t at) { return registered(reinterpret_cast<const void*>(at), bytes); };
    const bool ok = stream != nullptr && (to_device ? mapped(to, bytes) != nullptr : host(to)) &&
                    (from_device ? mapped(from, bytes) != nullptr : host(from));
    if (!ok || (to < from + bytes && from < to + bytes)) return kInvalidValue;
    of(stream)->put([=] {
        const bool there =
            (!to_device || mapped(to, bytes) != nullptr) && (!from_device || mapped(from, bytes) != nullptr);
        if (!there) {
            lost = kIllegalAddress;
            return;
        }
        std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    });
    return kSuccess;
}

}  // namespace

void wait_for_all() {
    while (under_way != 0 && lost == kSuccess) std::this_thread::yield();
}

void Stream::put(std::function<void()> one) {
    // A device that takes no time, to see what everything else takes.
    static const bool instant = is_set("instant");
    if (instant) {
        if (lost == kSuccess) one();
        return;
    }
    ++under_way;
    const std::lock_guard lock(mutex);
    work.push_back(std::move(one));
    changed.notify_one();
}

void Stream::run() {
    for (;;) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return !work.empty(); });
        const auto one = std::move(work.front());
        work.pop_front();
        lock.unlock();
        if (lost == kSuccess) one();
        --under_way;
    }
}

}  // namespace fake

using namespace fake;

extern "C" {

CuResult cuStreamCreate(CuStream* stream, unsigned flags) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    if (flags != kStreamNonBlocking) return kInvalidValue;
    auto* made = new Stream;
    made->thread = std::thread([made] { made->run(); });
    *stream = reinterpret_cast<CuStream>(made);
    return kSuccess;
}

CuResult cuEventCreate(CuEvent* event, unsigned) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    *event = reinterpret_cast<CuEvent>(new Event);
    return kSuccess;
}

CuResult cuEventRecord(CuEvent event, CuStream stream) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    if (stream == nullptr) return kInvalidValue;
    Event* e = of(event);
    of(stream)->put([e, number = ++e->recorded] {
        e->ns = now_ns();
        e->reached = number;
    });
    return kSuccess;
}

CuResult cuEventQuery(CuEvent event) {
    if (lost) return lost;
    return of(event)->recorded == of(event)->reached ? kSuccess : kNotReady;
}

CuResult cuEventElapsedTime(float* ms, CuEvent begin, CuEvent end) {
    if (lost) return lost;
    if (cuEventQuery(begin) != kSuccess || cuEventQuery(end) != kSuccess) return kNotReady;
    *ms = static_cast<float>(of(end)->ns - of(begin)->ns) / 1e6F;
    return kSuccess;
}

CuResult cuMemcpyHtoDAsync_v2(CuAddress to, const void* from, std::size_t bytes, CuStream stream) {
    return move(to, reinterpret_cast<std::uint64_t>(from), bytes, true, false, stream);
}
CuResult cuMemcpyDtoHAsync_v2(void* to, CuAddress from, std::size_t bytes, CuStream stream) {
    return move(reinterpret_cast<std::uint64_t>(to), from, bytes, false, true, stream);
}
CuResult cuMemcpyDtoDAsync_v2(CuAddress to, CuAddress from, std::size_t bytes, CuStream stream) {
    return move(to, from, bytes, true, true, stream);
}
CuResult cuMemsetD8Async(CuAddress to, unsigned char value, std::size_t count, CuStream stream) {
    return set(to, value, count, stream);
}
CuResult cuMemsetD16Async(CuAddress to, unsigned short value, std::size_t count, CuStream stream) {
    return set(to, value, count, stream);
}
CuResult cuMemsetD32Async(CuAddress to, unsigned value, std::size_t count, CuStream stream) {
    return set(to, value, count, stream);
}

CuResult cuLaunchKernel(CuFunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned shared, CuStream stream, void** parameters, void**) {
    if (const CuResult r = usable(); r != kSuccess) return r;
    auto* f = reinterpret_cast<Function*>(function);
    const auto* sizes = parameters_of(f->name);
    const bool fits = gx != 0 && gy != 0 && gz != 0 && gy <= 65535 && gz <= 65535 && bx != 0 && by != 0 && bz != 0 &&
                      bx * by * bz <= 1024 && bz <= 64 && shared <= static_cast<unsigned>(f->dynamic_limit);
    if (stream == nullptr || !fits || sizes == nullptr) return kInvalidValue;
    if (!f->loaded.exchange(true)) wait_for_all();
    Launch launch{{gx, gy, gz}, {bx, by, bz}, shared, {}};
    for (std::size_t i = 0; i < sizes->size(); ++i) {
        const auto* from = static_cast<const std::byte*>(parameters[i]);
        if (from == nullptr) return kInvalidValue;
        launch.parameters.emplace_back(from, from + (*sizes)[i]);
    }
    ++f->module->running;
    of(stream)->put([f, launch = std::move(launch)] {
        run(f->name, launch);
        --f->module->running;
    });
    return kSuccess;
}

}  // extern "C"

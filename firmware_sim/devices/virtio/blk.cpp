// SPDX-License-Identifier: Apache-2.0
// Receives: requests of a block driver. Hands on: data, and the status byte of each. Owns: the medium.
#include "devices/virtio/blk.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

namespace farlane::firmware::virtio {
namespace {

// 5.2.3 and 5.2.6
constexpr std::uint64_t kSegMax = feature::bit(2), kBlkSize = feature::bit(6), kFlush = feature::bit(9);
constexpr std::uint64_t kMq = feature::bit(12), kDiscard = feature::bit(13), kWriteZeroes = feature::bit(14);
enum Type : std::uint32_t { in = 0, out = 1, flush = 4, get_id = 8, discard = 11, write_zeroes = 13 };
constexpr std::uint8_t kOk = 0, kIoError = 1, kUnsupported = 2;

constexpr std::uint32_t kHeaderBytes = 16, kRangeBytes = 16, kSerialBytes = 20, kSectorBytes = 512;
constexpr std::uint32_t kChunkBytes = 4096;            // of data, whole sectors
constexpr std::uint32_t kSegments = 126;               // of data, in a request
constexpr std::uint32_t kMostRangeSectors = 1u << 22;  // 2 GiB
constexpr std::uint64_t kZeroSliceBytes = 8u << 20;    // per turn of the lane

enum Stage : std::uint32_t { fresh, header, reading, writing, flushing, zeroing, answering };

Profile profile(const BlkOptions& o) {
    Profile p;
    p.kind = Kind::block;
    p.model = "Farlane virtio disk";
    p.class_code = 0x010000;
    p.features = kSegMax | kBlkSize | kFlush | kDiscard | kWriteZeroes | (o.queues > 1 ? kMq : 0);
    p.queues = o.queues;
    p.blocks = 1024;
    return p;
}

template <class T>
void put(std::span<std::byte> to, std::size_t at, T v) noexcept {
    std::memcpy(to.data() + at, &v, sizeof v);
}
template <class T>
T get(std::span<const std::byte> from, std::size_t at) noexcept {
    T v;
    std::memcpy(&v, from.data() + at, sizeof v);
    return v;
}

}  // namespace

Blk::Blk(const BlkOptions& options, State& state, std::unique_ptr<nvme::Media> media)
    : Transport(profile(options), state),
      options_(options),
      media_(std::move(media)),
      flushing_(std::size_t{options.queues} * kMaxQueueSize),
      zeroing_(std::size_t{options.queues} * kMaxQueueSize) {}

Blk::~Blk() {
    media_->on_durable({});
}

// 5.2.4
void Blk::device_config(std::span<std::byte, kDeviceBytes> c) const noexcept {
    put(c, 0, fl_le64(media_->size_bytes() / kSectorBytes));
    put(c, 12, fl_le32(kSegments));
    put(c, 20, fl_le32(options_.block_bytes));
    put(c, 34, fl_le16(static_cast<std::uint16_t>(options_.queues)));
    put(c, 36, fl_le32(kMostRangeSectors));  // discard: sectors, ranges, alignment
    put(c, 40, fl_le32(1));
    put(c, 44, fl_le32(options_.block_bytes / kSectorBytes));
    put(c, 48, fl_le32(kMostRangeSectors));  // write zeroes: sectors, ranges
    put(c, 52, fl_le32(1));
    c[56] = std::byte{1};  // write_zeroes_may_unmap
}

void Blk::on_port(backend::HostPort* p) noexcept {
    if (p == nullptr) return media_->on_durable({});
    media_->on_durable([p] { p->wake(); });
    p->wake();  // what became durable before
}

void Blk::on_halt() noexcept {
    flushing_.clear();
    zeroing_.clear();
}

void Blk::proceed(Request& r) noexcept {
    switch (r.work.stage) {
        case fresh: return begin(r);
        case reading: return read_chunks(r);
        case writing: return write_chunks(r);
        case answering: return respond(r);
        default: return;
    }
}

// The header comes with the first chunk of what is to be written.
void Blk::begin(Request& r) noexcept {
    if (r.out_bytes < kHeaderBytes || r.in_bytes == 0) return broken(Fault::request);
    if (!can_move()) return stall(r);
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(r.out_bytes, kHeaderBytes + kChunkBytes));
    r.work.stage = header;
    if (gather(r, 0, n) == Moved::failed) answer(r, kIoError);
}

void Blk::on_gathered(Request& r, std::uint32_t block, Status status) noexcept {
    const auto raw = staging().used_bytes(block);
    if (r.work.stage == header) {
        if (status == Status::ok)
            dispatch(r, raw);
        else
            answer(r, kIoError);
    } else {
        --r.work.in_flight;
        if (status == Status::ok)
            store(r, staging()[block].offset - kHeaderBytes, raw);
        else
            r.work.failed = true;
    }
    staging().give(block);
    if (r.step == Step::running && r.work.stage == writing) write_chunks(r);
}

bool Blk::locate(Request& r, std::uint64_t sector, std::uint64_t bytes) const noexcept {
    const std::uint64_t sectors = media_->size_bytes() / kSectorBytes;
    if (bytes % kSectorBytes != 0 || sector > sectors || bytes / kSectorBytes > sectors - sector) return false;
    r.work.media_at = sector * kSectorBytes;
    r.work.cursor = 0;
    r.work.end = bytes;
    return true;
}

void Blk::dispatch(Request& r, std::span<const std::byte> raw) noexcept {
    Work& w = r.work;
    w.type = get<fl_le32>(raw, 0).get();
    const std::uint64_t sector = get<fl_le64>(raw, 8).get();
    switch (w.type) {
        case in:
            if (!locate(r, sector, r.in_bytes - 1)) return answer(r, kIoError);
            w.stage = reading;
            ++reads_;
            return read_chunks(r);
        case out: {
            if (!locate(r, sector, r.out_bytes - kHeaderBytes)) return answer(r, kIoError);
            w.stage = writing;
            ++writes_;
            w.cursor = raw.size() - kHeaderBytes;
            return store(r, 0, raw.subspan(kHeaderBytes));  // on_gathered() goes on
        }
        case flush:
            ++flushes_;
            w.stage = flushing;
            w.ticket = media_->flush();
            return flushing_.push(reference(r));
        case get_id: return identify(r);
        case discard:
        case write_zeroes: return take_range(r, raw.subspan(kHeaderBytes));
        default: return answer(r, kUnsupported);
    }
}

// 5.2.6.1: one range, as the configuration says.
void Blk::take_range(Request& r, std::span<const std::byte> raw) noexcept {
    if (raw.size() != kRangeBytes || r.out_bytes != kHeaderBytes + kRangeBytes) return answer(r, kIoError);
    const std::uint64_t sectors = get<fl_le32>(raw, 8).get();
    const std::uint32_t flags = get<fl_le32>(raw, 12).get();
    const std::uint32_t allowed = r.work.type == write_zeroes ? 1 : 0;  // unmap
    if ((flags & ~allowed) != 0) return answer(r, kUnsupported);
    if (sectors > kMostRangeSectors || !locate(r, get<fl_le64>(raw, 0).get(), sectors * kSectorBytes))
        return answer(r, kIoError);
    r.work.stage = zeroing;
    zeroing_.push(reference(r));
}

void Blk::identify(Request& r) noexcept {
    if (r.in_bytes < kSerialBytes + 1) return answer(r, kIoError);
    r.work.stage = reading;
    r.work.end = kSerialBytes;
    read_chunks(r);
}

void Blk::read_chunks(Request& r) noexcept {
    Work& w = r.work;
    while (!w.failed && w.cursor < w.end) {
        if (!can_move()) return stall(r);
        const std::uint32_t block = staging().take();
        const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunkBytes, w.end - w.cursor));
        const auto bytes = staging().bytes(block);
        if (w.type == get_id) {
            std::fill_n(bytes.begin(), n, std::byte{0});
            std::memcpy(bytes.data(), options_.serial.data(), std::min<std::size_t>(options_.serial.size(), n));
        } else if (media_->read(w.media_at + w.cursor, bytes.first(n)) != Status::ok) {
            w.failed = true;
            staging().give(block);
            break;
        }
        switch (scatter(r, w.cursor, block, n)) {
            case Moved::started: ++w.in_flight; break;
            case Moved::failed: w.failed = true; break;
            case Moved::given: break;
        }
        w.cursor += n;
        bytes_read_ += n;
    }
    settle(r);
}

void Blk::on_scattered(Request& r, Status status) noexcept {
    Work& w = r.work;
    if (w.stage == answering) return complete(r, r.written);  // the status byte; nothing is left to tell an error with
    --w.in_flight;
    if (status != Status::ok) w.failed = true;
    if (w.failed || w.cursor == w.end) settle(r);
}

void Blk::write_chunks(Request& r) noexcept {
    Work& w = r.work;
    while (!w.failed && w.cursor < w.end) {
        if (!can_move()) return stall(r);
        const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunkBytes, w.end - w.cursor));
        if (gather(r, kHeaderBytes + w.cursor, n) == Moved::failed) {
            w.failed = true;
            break;
        }
        ++w.in_flight;
        w.cursor += n;
    }
    settle(r);
}

void Blk::store(Request& r, std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (data.empty()) return;
    if (media_->write(r.work.media_at + offset, data) != Status::ok) r.work.failed = true;
    bytes_written_ += data.size();
}

// Ends the request once nothing of it is on its way.
void Blk::settle(Request& r) noexcept {
    Work& w = r.work;
    if (w.in_flight != 0 || r.stalled) return;
    if (w.failed) return answer(r, kIoError);
    if (w.stage == writing) return make_durable(r);
    answer(r, kOk);
}

// 5.2.6.2: a driver that does not know of flushes has no volatile cache to care for.
void Blk::make_durable(Request& r) noexcept {
    if (!media_->volatile_cache() || negotiated(kFlush)) return answer(r, kOk);
    r.work.stage = flushing;
    r.work.ticket = media_->flush();
    flushing_.push(reference(r));
}

void Blk::answer(Request& r, std::uint8_t status) noexcept {
    Work& w = r.work;
    if (status != kOk) ++errors_;
    // All that was written is data from the first byte on, and the status behind it when it is whole
    const bool whole = status == kOk && w.stage == reading && w.end + 1 == r.in_bytes;
    r.written = whole ? static_cast<std::uint32_t>(r.in_bytes) : (r.in_bytes == 1 ? 1 : 0);
    w.status = status;
    w.stage = answering;
    respond(r);
}

void Blk::respond(Request& r) noexcept {
    if (!can_move()) return stall(r);
    const std::uint32_t block = staging().take();
    staging().bytes(block)[0] = static_cast<std::byte>(r.work.status);
    if (scatter(r, r.in_bytes - 1, block, 1) != Moved::started) complete(r, r.written);
}

bool Blk::run_flushing() noexcept {
    bool did = false;
    while (!flushing_.empty()) {
        Request* r = find(flushing_.front());
        if (r != nullptr && media_->durable() < r->work.ticket) break;
        flushing_.pop();
        if (r != nullptr) answer(*r, media_->healthy() ? kOk : kIoError);
        did = true;
    }
    return did;
}

// One slice per turn, so that other functions of the lane go on.
bool Blk::run_zeroing() noexcept {
    if (zeroing_.empty()) return false;
    const RequestRef ref = zeroing_.pop();
    Request* r = find(ref);
    if (r == nullptr) return true;
    Work& w = r->work;
    const std::uint64_t n = std::min(kZeroSliceBytes, w.end - w.cursor);
    if (n != 0 && media_->zero(w.media_at + w.cursor, n) != Status::ok) {
        answer(*r, kIoError);
        return true;
    }
    w.cursor += n;
    if (w.cursor < w.end)
        zeroing_.push(ref);
    else
        make_durable(*r);
    return true;
}

bool Blk::device_work() noexcept {
    const bool did = run_flushing();
    return run_zeroing() || did;
}

bool Blk::has_device_work() const noexcept {
    if (!zeroing_.empty()) return true;
    if (flushing_.empty()) return false;
    const Request* r = const_cast<Blk*>(this)->find(flushing_.front());
    return r == nullptr || media_->durable() >= r->work.ticket;
}

void Blk::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Transport::counters(each);
    each("blk_reads", reads_);
    each("blk_writes", writes_);
    each("blk_bytes_read", bytes_read_);
    each("blk_bytes_written", bytes_written_);
    each("blk_flushes", flushes_);
    each("blk_errors", errors_);
}

}  // namespace farlane::firmware::virtio

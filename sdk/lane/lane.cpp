// SPDX-License-Identifier: Apache-2.0
// Receives: frames of its ports, work of its tasks. Hands on: frames to sessions and back.
// Owns: ports, sessions and one turn of the loop.
#include "lane/lane.hpp"

#include <sched.h>
#include <sys/random.h>

namespace farlane::lane {
namespace {

constexpr Duration kFirstNap = std::chrono::microseconds(20);
constexpr unsigned kSlotBits = 16;  // session id = random << kSlotBits | slot: dispatch is one index
constexpr std::size_t kPathOffset = offsetof(fl_frame_header, path);
constexpr std::size_t kTypeOffset = sizeof(fl_frame_header) + offsetof(fl_tlp, type);  // of the first record
static_assert(kTypeOffset < FL_FRAME_MIN_BYTES);

std::uint64_t random64() noexcept {
    std::uint64_t v = 0;
    while (getrandom(&v, sizeof v, 0) != static_cast<ssize_t>(sizeof v)) {
    }
    return v;
}

proto::PathId path_of(const transport::RxFrame& f) noexcept {
    return static_cast<proto::PathId>(std::to_integer<unsigned>(f.data[kPathOffset]) |
                                      std::to_integer<unsigned>(f.data[kPathOffset + 1]) << 8);
}

}  // namespace

PortId Lane::add_port(std::unique_ptr<transport::Port> port) {
    if (const int fd = port->wait_fd(); fd >= 0) watch(fd);
    const std::size_t burst_bytes = port->info().burst_bytes;
    ports_.push_back({std::move(port), nullptr, false, {}, burst_bytes});
    return static_cast<PortId>(ports_.size() - 1);
}

transport::Port& Lane::port(PortId id) noexcept {
    return *ports_[id].port;
}

std::size_t Lane::port_count() const noexcept {
    return ports_.size();
}

void Lane::listen(PortId port, Acceptor& acceptor) {
    ports_[port].acceptor = &acceptor;
}

void Lane::add(Task& task) {
    tasks_.push_back(&task);
    if (task.polls()) polling_.push_back(&task);
}

void Lane::remove(Task& task) noexcept {
    std::erase(tasks_, &task);
    std::erase(polling_, &task);
}

proto::PathConfig Lane::path_config(PortId port) const noexcept {
    const transport::Port& p = *ports_[port].port;
    return {.max_frame_bytes = p.info().max_frame_bytes,
            .reliable_mtu = p.info().reliable_mtu,
            .link_bits_per_s = p.link_bits_per_s()};
}

Lane::SessionSlot& Lane::new_slot(proto::SessionConfig& config) {
    std::size_t at = 0;
    while (at < slots_.size() && slots_[at]) ++at;
    if (at == slots_.size()) slots_.emplace_back();
    slots_[at] = std::make_unique<SessionSlot>();
    const auto high = static_cast<std::uint32_t>(random64()) | 1U;
    slots_[at]->number = static_cast<std::uint32_t>(at);
    slots_[at]->id = high << kSlotBits | slots_[at]->number;
    config.session_id = slots_[at]->id;
    config.nonce = random64();
    return *slots_[at];
}

Lane::SessionSlot* Lane::slot_of(std::uint32_t session_id) noexcept {
    const auto at = session_id & ((1U << kSlotBits) - 1);
    if (at >= slots_.size() || !slots_[at] || slots_[at]->id != session_id || slots_[at]->dropped) return nullptr;
    return slots_[at].get();
}

void Lane::set_path(SessionSlot& slot, proto::PathId path, PortId port, const transport::Address* to) {
    if (slot.paths.size() <= path) slot.paths.resize(path + 1U);
    slot.paths[path] = {port, to != nullptr ? *to : transport::Address{}, true};
    if (path == slot.last_path) slot.last_port = port;
}

proto::Session& Lane::connect(PortId port, const transport::Address& to, proto::SessionConfig config,
                              proto::SessionHandler& handler) {
    tick();
    auto& slot = new_slot(config);
    slot.session.emplace(config, handler, std::make_unique<proto::ClearSeal>());
    slot.session->attend(awake_, slot.number, work_);
    set_path(slot, slot.session->add_path(path_config(port), now_), port, &to);
    wake();
    return *slot.session;
}

Status Lane::add_path(proto::Session& session, PortId port, const transport::Address& to) {
    auto* slot = slot_of(session.session_id());
    if (slot == nullptr) return Status::not_found;
    set_path(*slot, session.add_path(path_config(port), clock()), port, &to);
    wake();
    return Status::ok;
}

proto::Session& Lane::accept(PortId port, const transport::Address* from, const proto::Hello& hello,
                             proto::SessionConfig config, proto::SessionHandler& handler) {
    auto& slot = new_slot(config);
    set_path(slot, hello.path, port, from);
    slot.session.emplace(config, handler, std::make_unique<proto::ClearSeal>(), hello, path_config(port), now_);
    slot.session->attend(awake_, slot.number, work_);
    return *slot.session;
}

void Lane::join(proto::Session& session, PortId port, const transport::Address* from, const proto::Hello& hello) {
    auto* slot = slot_of(session.session_id());
    if (slot == nullptr) return;
    set_path(*slot, hello.path, port, from);
    session.on_hello(hello, path_config(port), now_);
}

void Lane::reject(PortId port, const transport::Address* from, const proto::Hello& hello, Status why) noexcept {
    auto& p = *ports_[port].port;
    transport::TxFrame frame;
    if (p.tx_alloc({&frame, 1}) != 1) return;
    frame.size_bytes = static_cast<std::uint32_t>(proto::build_reject({frame.data, frame.capacity_bytes}, hello, why));
    frame.to = from;
    p.tx_send({&frame, 1});
}

void Lane::drop(proto::Session& session) noexcept {
    if (auto* slot = slot_of(session.session_id()); slot != nullptr) {
        slot->dropped = true;
        some_dropped_ = true;
    }
}

void Lane::forget_dropped() noexcept {
    some_dropped_ = false;
    for (auto& slot : slots_)
        if (slot && slot->dropped) {
            (void)transmit(*slot);  // its goodbye
            ++ended_.count;
            for (unsigned d = 0; d < proto::kDrops; ++d) ended_.drops[d] += slot->session->counters().drops[d];
            timers_.set(slot->number, kNever);
            slot.reset();
        }
}

void Lane::hello(PortId id, transport::RxFrame& frame) noexcept {
    if (const auto hint = proto::parse_hint({frame.data, frame.size_bytes})) return take_hint(id, frame.from, *hint);
    auto* acceptor = ports_[id].acceptor;
    proto::Drop why = proto::Drop::hello_refused;
    const auto hello = proto::parse_hello({frame.data, frame.size_bytes}, &why);
    if (!hello.ok() || acceptor == nullptr) {
        ++counters_.bad_hello;
        count(id, why);
        return;
    }
    acceptor->on_hello(id, frame.from, hello.value(), now_);
}

// From the peer's address, or it is nobody's.
void Lane::take_hint(PortId id, const transport::Address* from, const proto::Hint& hint) noexcept {
    for (auto& slot : slots_) {
        if (!slot || slot->dropped || hint.path >= slot->paths.size()) continue;
        const PathSlot& path = slot->paths[hint.path];
        if (!path.used || path.port != id || (from != nullptr && !(path.to == *from))) continue;
        if (!slot->session->on_hint(hint, now_)) continue;
        ++counters_.hints_taken;
        return;
    }
    ++counters_.hints_ignored;
}

// A peer whose target was killed would wait for silence: it is told that its session is not known.
// Only where sessions are accepted, since only there it can open another.
void Lane::send_hint(PortId id, const transport::RxFrame& frame) noexcept {
    if (ports_[id].acceptor == nullptr || !hint_limit_.allow(frame.from, now_)) return;
    auto& port = *ports_[id].port;
    transport::TxFrame out;
    if (port.tx_alloc({&out, 1}) != 1) return;
    const auto bytes = proto::build_hint({out.data, out.capacity_bytes}, {frame.data, frame.size_bytes});
    if (bytes == 0) return port.tx_free({&out, 1});
    out.size_bytes = static_cast<std::uint32_t>(bytes);
    out.to = frame.from;
    port.tx_send({&out, 1});
    ++counters_.hints_sent;
}

void Lane::dispatch(PortId id, transport::RxFrame& frame) noexcept {
    const auto session_id = proto::peek_session({frame.data, frame.size_bytes});
    if (!session_id) {
        ++counters_.not_ours;
        count(id, frame.size_bytes < FL_FRAME_MIN_BYTES ? proto::Drop::frame_short : proto::Drop::frame_version);
        return;
    }
    if (*session_id == 0) return hello(id, frame);
    auto* slot = slot_of(*session_id);
    if (slot == nullptr) {
        ++counters_.unknown_session;
        count(id, proto::Drop::frame_session);
        return send_hint(id, frame);
    }
    slot->session->on_frame({frame.data, frame.size_bytes}, path_of(frame), now_);
}

// A register access that comes alone is answered before anything else is looked at, the clock too: a look costs as much
// as a tenth of the answer. It is stamped afterwards: stamped before it came, it would make the round trip shorter than
// the path. Not so a write: it has no answer, and what a device does for it should not count as time on the way.
void Lane::receive_one(PortId id) noexcept {
    transport::RxFrame& frame = rx_[0];
    const auto session_id = proto::peek_session({frame.data, frame.size_bytes});
    SessionSlot* const slot = session_id ? slot_of(*session_id) : nullptr;
    if (slot == nullptr || frame.data[kTypeOffset] == std::byte{FL_TLP_MWR}) {
        tick();
        return dispatch(id, frame);
    }
    proto::Session& session = *slot->session;
    if (session.on_lone_frame({frame.data, frame.size_bytes}, path_of(frame), now_)) {
        if (slot->dropped || !send_lone(*slot, true)) tick();
        return session.stamp(now_);
    }
    tick();
    session.on_other_frame({frame.data, frame.size_bytes}, path_of(frame), now_);
}

bool Lane::receive_from(PortId id) noexcept {
    auto& port = *ports_[id].port;
    port.flush();
    std::size_t ask = ports_[id].rx_ask;
    auto n = port.rx_burst(std::span(rx_).first(ask));
    if (n == 0) return false;
    if (n == 1) {
        receive_one(id);
        ports_[id].set_ask(1, rx_[0].size_bytes);
        port.rx_release({rx_.data(), 1});
        return true;
    }
    std::size_t bytes = 0;
    for (unsigned bursts = 1;; ++bursts) {
        tick();  // with each burst: stamped before it came, a frame would make the round trip shorter than the path
        const std::size_t before = bytes;
        for (std::size_t i = 0; i < n; ++i) {
            if (i + 1 < n) __builtin_prefetch(rx_[i + 1].data);
            bytes += rx_[i].size_bytes;
            dispatch(id, rx_[i]);
        }
        port.rx_release({rx_.data(), n});
        const bool all = n < ask;
        ports_[id].set_ask(n, bytes - before);
        if (all || bursts == kBurstsPerTurn || bytes > kBytesPerTurn) break;
        ask = ports_[id].rx_ask;
        if ((n = port.rx_burst(std::span(rx_).first(ask))) == 0) break;
    }
    return true;
}

bool Lane::alloc(SessionSlot& slot, transport::TxFrame& frame, PortId port) noexcept {
    if (ports_[port].port->tx_alloc({&frame, 1}) == 1) [[likely]]
        return true;
    for (std::size_t i = 0; i < slot.paths.size() && i < 64; ++i)
        if (slot.paths[i].port == port) slot.not_on |= std::uint64_t{1} << i;
    return false;
}

// A port that takes no more, for a moment or for good, holds up the paths over it and no others.
bool Lane::alloc_any(SessionSlot& slot, transport::TxFrame& frame, PortId& port) noexcept {
    const auto takes = [&](std::size_t path) { return path >= 64 || (slot.not_on >> path & 1) == 0; };
    port = slot.last_port;
    if (takes(slot.last_path) && alloc(slot, frame, port)) [[likely]]
        return true;
    for (std::size_t i = 0; i < slot.paths.size(); ++i) {
        port = slot.paths[i].port;
        if (slot.paths[i].used && takes(i) && alloc(slot, frame, port)) return true;
    }
    return false;
}

// One frame of the session into a buffer of the port its path uses. The path is known only
// after building; a wrong guess (two ports, taking turns) costs one copy.
bool Lane::build_one(SessionSlot& slot, transport::TxFrame& frame, PortId& port) noexcept {
    return alloc_any(slot, frame, port) &&
           address(slot, frame, port, slot.session->build({frame.data, frame.capacity_bytes}, now_, slot.not_on));
}

bool Lane::address(SessionSlot& slot, transport::TxFrame& frame, PortId& port, proto::Session::Built built) noexcept {
    if (built.bytes == 0) {
        ports_[port].port->tx_free({&frame, 1});
        return false;
    }
    frame.size_bytes = static_cast<std::uint32_t>(built.bytes);
    if (built.path != slot.last_path) [[unlikely]] {
        slot.last_path = built.path;
        slot.last_port = slot.paths[built.path].port;
    }
    const PortId right = slot.last_port;
    if (right != port) [[unlikely]] {
        transport::TxFrame other;
        if (alloc(slot, other, right)) {
            std::copy_n(frame.data, built.bytes, other.data);
            other.size_bytes = frame.size_bytes;
            ports_[port].port->tx_free({&frame, 1});
            frame = other;
            port = right;
        }  // else: sent on the wrong port; it arrives all the same, or is recovered as any loss
    }
    frame.to = &slot.paths[built.path].to;
    return true;
}

// One request or one completion, if that is what is there: the rest, credits say, need not go before it. `first`: nor
// is the clock looked at before it, nor anything noted of it; the former is done when this is true.
bool Lane::send_lone(SessionSlot& slot, bool first) noexcept {
    proto::Session& session = *slot.session;
    PortId port = 0;
    slot.not_on = 0;
    transport::TxFrame& frame = tx_[0];
    if (!session.has_lone() || !alloc_any(slot, frame, port)) return false;
    const Time then = now_;
    auto built = session.build_lone({frame.data, frame.capacity_bytes}, then);
    const bool alone = built.bytes != 0;
    if (!alone) {
        if (first) tick();  // an acknowledgement goes along, which says how long it waited
        built = session.build({frame.data, frame.capacity_bytes}, now_, slot.not_on);
    }
    if (!address(slot, frame, port, built)) return false;
    ports_[port].port->tx_send({&frame, 1});
    if (!alone) return true;
    if (first) tick();
    session.left_lone(then, now_);
    return true;
}

bool Lane::transmit(SessionSlot& slot) noexcept {
    slot.blocked = slot.more = false;
    bool sent = send_lone(slot, false);
    slot.not_on = 0;
    if (!slot.session->wants_to_send(now_)) return sent;
    std::size_t n = 0, built = 0, bytes = 0;
    PortId batch_port = 0;
    do {
        PortId port = 0;
        if (!build_one(slot, tx_[n], port)) break;
        if (n > 0 && port != batch_port) {
            ports_[batch_port].port->tx_send({tx_.data(), n});
            tx_[0] = tx_[n];
            n = bytes = 0;
        }
        bytes += tx_[n++].size_bytes;
        batch_port = port;
        sent = true;
        const std::size_t most = ports_[port].burst_bytes;
        if (most != 0 && bytes >= most) {
            ports_[port].port->tx_send({tx_.data(), n});
            n = bytes = 0;
        }
        slot.more = slot.session->wants_to_send(now_);
    } while (++built < kBurst && slot.more);
    if (n > 0) ports_[batch_port].port->tx_send({tx_.data(), n});
    slot.blocked = slot.not_on != 0 && slot.session->wants_to_send(now_);
    return sent;
}

bool Lane::run_timers(SessionSlot& slot) noexcept {
    if (slot.session->next_timer() > now_) return false;
    slot.session->on_timer(now_);
    return true;
}

bool Lane::turn_tasks() noexcept {
    const bool all = now_ >= look_at_;
    if (all) look_at_ = now_ + std::max<Duration>(kLookEvery, kLookEach * static_cast<int>(tasks_.size()));
    auto& tasks = all ? tasks_ : polling_;
    bool busy = false;
    for (std::size_t i = 0; i < tasks.size(); ++i) busy |= tasks[i]->turn(now_);
    return busy;
}

// Only those that may have something to send or whose time has come: the others cost nothing, however many there are.
bool Lane::turn_sessions() noexcept {
    while (timers_.first() <= now_) {
        const std::uint32_t number = timers_.first_number();
        timers_.set(number, kNever);
        if (slots_[number]) slots_[number]->session->rouse();
    }
    if (awake_.empty()) return false;
    bool busy = false;
    const std::size_t n = awake_.size();  // who is roused meanwhile has its turn next time
    for (std::size_t i = 0; i < n; ++i) {
        auto* slot = slots_[awake_[i]].get();
        if (slot == nullptr || slot->dropped) continue;
        busy |= transmit(*slot);  // answers first
        slot->session->settle();
        busy |= run_timers(*slot);
        busy |= transmit(*slot);
        if (const Time at = slot->session->rest(); at != timers_.at(slot->number)) timers_.set(slot->number, at);
        if (slot->blocked || slot->more) slot->session->rouse();
    }
    if (awake_.size() == n)
        awake_.clear();
    else
        awake_.erase(awake_.begin(), awake_.begin() + static_cast<std::ptrdiff_t>(n));
    return busy;
}

bool Lane::run_posted() noexcept {
    if (!has_posted_.load(std::memory_order_relaxed)) return false;
    {
        const std::scoped_lock lock(posted_mutex_);
        running_.swap(posted_);
        has_posted_.store(false, std::memory_order_relaxed);
    }
    for (auto& work : running_) work();
    running_.clear();
    return true;
}

bool Lane::turn() noexcept {
    const bool received = receive();
    return work() || received;
}

bool Lane::receive() noexcept {
    if (++turns_since_look_ >= kTurnsPerLook) tick();
    bool busy = false;
    for (PortId id = 0; id < ports_.size(); ++id) busy |= receive_from(id);
    received_ = busy;
    return busy;
}

bool Lane::work() noexcept {
    bool busy = run_posted() || std::exchange(received_, false);
    busy |= turn_tasks();
    busy |= turn_sessions();
    if (some_dropped_) forget_dropped();
    ++counters_.turns;
    if (busy) {
        ++counters_.busy_turns;
        nap_ = kFirstNap;
    }
    return busy;
}

void Lane::post(std::function<void()> work) {
    {
        const std::scoped_lock lock(posted_mutex_);
        posted_.push_back(std::move(work));
        has_posted_.store(true, std::memory_order_relaxed);
    }
    wake();
}

Lane::PathPlace Lane::place_of(const proto::Session& session, proto::PathId id) const {
    for (const auto& slot : slots_) {
        if (!slot || &*slot->session != &session || id >= slot->paths.size()) continue;
        const PathSlot& path = slot->paths[id];
        const auto& port = *ports_[path.port].port;
        return {path.port, port.info().point_to_point ? "" : port.to_string(path.to)};
    }
    return {};
}

std::string Lane::address_of(const proto::Session& session) const {
    for (const auto& slot : slots_)
        if (slot && &*slot->session == &session) return place_of(session, slot->last_path).address;
    return {};
}

void Lane::each_session(const std::function<void(proto::Session&, PortId)>& f) {
    for (auto& slot : slots_)
        if (slot && !slot->dropped) f(*slot->session, slot->paths[slot->last_path].port);
}

}  // namespace farlane::lane

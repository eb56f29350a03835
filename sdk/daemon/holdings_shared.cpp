// SPDX-License-Identifier: Apache-2.0
// Receives: applications that want an accelerator beside others. Hands on: a holding to each, on a share of the
// attachment. Owns: see holdings.hpp. docs/control-socket.md, "Sharing".
#include <algorithm>

#include "daemon/holdings.hpp"

namespace farlane::daemon {

std::size_t Holdings::size() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(holdings_, [](const Pointer& h) { return h->share() == nullptr; }));
}

Json Holdings::shares_json(const Holding& base) const {
    Json all = Json::array();
    if (base.sharing() == nullptr) return all;
    for (const Pointer& h : holdings_) {
        if (h->share() == nullptr || h->share()->sharing() != base.sharing()) continue;
        const Json stats = h->stats();
        Json share = {{"holder", base.sharing()->json_of(*h->share())}};
        for (const char* key : {"id", "state", "buffers", "mappings", "interrupts", "interrupts_refused", "channel"})
            share[key] = stats.at(key);
        all.push_back(std::move(share));
    }
    return all;
}

std::string Holdings::sharers() const {
    std::string text;
    for (const Pointer& h : holdings_)
        if (h->sharing() != nullptr && h->in_use())
            text += (text.empty() ? "'" : "; '") + h->info().name + "' by " + h->sharing()->names();
    return text;
}

void Holdings::attach_shared(const Client& client, const std::string& name, const Answer& answer,
                             std::optional<lane::Duration> timeout) {
    if (gone_while_attaching_.contains(client.id)) return;
    const auto again = [this, client, name, answer, timeout] { attach_shared(client, name, answer, timeout); };
    if (Holding* h = named(name)) {
        if (h->phase() == Holding::Phase::waiting || h->phase() == Holding::Phase::resuming)
            return answer(refusal(Status::busy, "'" + name + "' waits for its application to come back"));
        if (h->on_bus()) return answer(on_bus_reply(*h, false));
        if (is_drained(*h))
            return answer(refusal(Status::busy, "'" + name + "' is being detached as soon as its users are done"));
        if (h->user()) {
            Reply r = refusal(Status::busy, "'" + name + "' is in use by " + h->user()->comm + " (pid " +
                                                std::to_string(h->user()->pid) + "), which has it alone");
            r.body["holders"] = h->holders();
            return answer(std::move(r));
        }
        if (h->sharing() == nullptr || h->sharing()->over())
            return h->when_free(while_waiting([this, keep = shared(*h), client, answer, again] {
                if (keep->in_use() || keep->on_bus()) return again();
                keep->share_out();
                enter(keep, client, answer);
            }));
        return enter(shared(*h), client, answer);
    }
    const bool leaving = std::ranges::any_of(holdings_, [&](const Pointer& h) {
        return h->named(name) && h->sharing() != nullptr && h->phase() == Holding::Phase::ending;
    });
    if (leaving || attaching_.contains(name)) {
        later_.emplace(name, while_waiting(again));
        return;
    }
    if (size() >= kMaxAttachments)
        return answer(refusal(Status::limit, "at most " + std::to_string(kMaxAttachments) + " attachments"));
    attaching_.insert(name);
    ++waiting_attaches_;
    const auto done = [this, client, name, answer](Result<lane::Attachment*> result) {
        attaching_.erase(name);
        share_new(client, name, std::move(result), answer);
        try_again(name);
        if (--waiting_attaches_ == 0) gone_while_attaching_.clear();
    };
    initiator_.attach(name, done, timeout);
}

void Holdings::share_new(const Client& client, const std::string& name, Result<lane::Attachment*> result,
                         const Answer& answer) {
    if (!result.ok()) return answer(refusal(result.failure()));
    lane::Attachment& a = **result;
    auto file = StateFile::create(directory_, free_id());
    const bool gone = gone_while_attaching_.contains(client.id) && !later_.contains(name);
    if (!file.ok() || gone) {
        initiator_.detach(a, [](Status) {});
        if (!gone) answer(refusal(file.failure()));
        return;
    }
    auto base = std::make_shared<Holding>(host_, std::move(*file));
    base->start(a, client, false);
    holdings_.push_back(base);
    base->share_out();
    enter(base, client, answer);
}

std::function<void()> Holdings::while_waiting(std::function<void()> work) {
    ++waiting_attaches_;
    return [this, work = std::move(work)] {
        work();
        if (--waiting_attaches_ == 0) gone_while_attaching_.clear();
    };
}

void Holdings::try_again(const std::string& name) {
    std::vector<std::function<void()>> all;
    const auto [first, last] = later_.equal_range(name);
    for (auto at = first; at != last; ++at) all.push_back(std::move(at->second));
    later_.erase(first, last);
    for (auto& one : all) host_.lane.post(std::move(one));
}

void Holdings::enter(const Pointer& base, const Client& client, const Answer& answer) {
    ++waiting_attaches_;
    base->sharing()->when_ready([this, base, client, answer](Result<bool> ready) {
        entered(base, client, std::move(ready), answer);
        if (--waiting_attaches_ == 0) gone_while_attaching_.clear();
    });
}

void Holdings::entered(const Pointer& base, const Client& client, Result<bool> ready, const Answer& answer) {
    const auto refuse = [&](const Failure& why) {
        // Told when the function can be used otherwise, and not in the middle of the driver's own call.
        host_.lane.post([this, base, answer, why] {
            end_if_empty(base->sharing(), [answer, why](Status) { answer(refusal(why)); });
        });
    };
    if (gone_while_attaching_.contains(client.id)) return refuse({Status::canceled, "the client is gone"});
    if (!ready.ok()) return refuse(ready.failure());
    auto share = base->sharing()->admit(client);
    if (!share.ok()) return refuse(share.failure());
    auto file = StateFile::nameless(free_id());
    if (!file.ok()) {
        base->sharing()->leave(**share, [keep = std::shared_ptr<Share>(std::move(*share))] {});
        return refuse(file.failure());
    }
    auto h = std::make_shared<Holding>(host_, std::move(*file));
    h->start_share(std::move(*share), client);
    holdings_.push_back(h);
    Json result = attach_result(*h, base->persistent());
    result["shared"] = true;
    answer({Status::ok, "", std::move(result), {}, 1});
}

// The client's part ends when nothing of the device reaches its memory any more; the last one takes the
// attachment along, unless that is persistent.
void Holdings::leave(const Pointer& h, std::function<void(Status)> done) {
    const auto left = [this, h, sharing = h->share()->sharing(), done = std::move(done)] {
        h->end();
        h->forget();
        erase(*h);
        end_if_empty(sharing, done);
    };
    if (h->share()->sharing() == nullptr) return left();
    h->share()->sharing()->leave(*h->share(), left);
}

void Holdings::end_if_empty(Sharing* sharing, std::function<void(Status)> done) {
    const auto at = std::ranges::find_if(holdings_, [sharing](const Pointer& h) {
        return sharing != nullptr && h->sharing() == sharing && h->phase() != Holding::Phase::ending;
    });
    if (at == holdings_.end() || !sharing->empty() || sharing->over()) return done(Status::ok);
    if (!(*at)->persistent()) return drop(**at, std::move(done));
    (*at)->end_sharing([done = std::move(done)] { done(Status::ok); });
}

// What applications shared does not outlive a daemon: they were told. The target still knows the mappings and queue
// pairs of then, so it has to let go of all before the function is attached again.
void Holdings::attach_anew(const Pointer& h) {
    h->forget();
    if (!h->persistent()) return;
    holdings_.push_back(h);
    h->set_phase(Holding::Phase::resuming);
    resume(h, [this, h](Result<lane::Attachment*> result) {
        const Client owner{0, 0, h->owner_uid(), 0, "", Role::admin};
        const std::string name = h->info().target + "/" + h->info().name;
        h->set_phase(Holding::Phase::ending);
        h->end();
        erase(*h);
        const auto told = [this, h](const Reply& r) {
            if (r.status != Status::ok)
                host_.emit({EventKind::device_lost, h->info().name, h->info().target, r.message,
                            std::chrono::system_clock::now()});
        };
        const auto attach_now = [this, owner, name, told](Status) { attach(owner, name, true, told); };
        if (!result.ok()) return attach_now(result.status());
        initiator_.detach(**result, attach_now);
    });
}

}  // namespace farlane::daemon

// SPDX-License-Identifier: Apache-2.0
// Receives: attach, detach and the life of clients. Hands on: attachments to the initiator and
// its answers to clients. Owns: every attachment of this daemon. Lane thread.
#include "daemon/holdings.hpp"

#include <algorithm>

#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

std::string names_of(const Json& holders) {
    std::string text;
    for (const Json& h : holders)
        text += (text.empty() ? "" : ", ") + h.at("comm").get<std::string>() + " (pid " +
                std::to_string(h.at("pid").get<int>()) + ")";
    return text;
}

Reply busy_reply(const Holding& h) {
    Reply r = refusal(Status::busy, "'" + h.info().name + "' is in use by " + names_of(h.holders()));
    r.body["holders"] = h.holders();
    return r;
}

}  // namespace

Json attach_result(const Holding& h, bool adopted) {
    const Json j = h.json();
    return {{"attachment", h.id()},   {"function", control::function_to_json(h.info())},
            {"adopted", adopted},     {"persistent", h.persistent()},
            {"state", j.at("state")}, {"token", h.token()},
            {"bus", j.at("bus")}};
}

Holdings::Holdings(HoldingHost& host, lane::Initiator& initiator, std::string directory, lane::Duration grace,
                   std::function<void(ClientId, const std::string&)> kick)
    : host_(host), initiator_(initiator), directory_(std::move(directory)), grace_(grace), kick_(std::move(kick)) {
    host_.lane.add(*this);
    if (host_.kernel == nullptr) return;
    host_.kernel->on_node([this](std::uint32_t id) {
        for (const Pointer& h : std::vector<Pointer>(holdings_))
            if (h->on_bus() && h->bus()->function.id == id) h->look_at_node();
    });
}

Holdings::~Holdings() {
    later_.clear();
    // Questions to the initiator that are open may own a holding for longer than its attachment lives.
    for (const Pointer& h : std::vector<Pointer>(holdings_)) {
        h->let_go();
        h->end();
    }
    holdings_.clear();
    host_.lane.remove(*this);
}

Holdings::Pointer Holdings::shared(const Holding& h) const {
    const auto at = std::ranges::find(holdings_, &h, &Pointer::get);
    return at != holdings_.end() ? *at : nullptr;
}

Holding* Holdings::named(const std::string& name) const {
    const auto at = std::ranges::find_if(holdings_, [&](const Pointer& h) {
        return h->named(name) && h->share() == nullptr && h->phase() != Holding::Phase::ending && !h->lost();
    });
    return at != holdings_.end() ? at->get() : nullptr;
}

Holding* Holdings::of(const Client& client, std::uint32_t id, const Answer& answer) {
    for (const Pointer& h : holdings_) {
        if (h->id() != id || h->phase() == Holding::Phase::ending) continue;
        if (h->user() && h->user()->id == client.id) return h.get();
    }
    answer(refusal(Status::not_found, "this connection has no attachment " + std::to_string(id)));
    return nullptr;
}

bool Holdings::has(const std::string& name, const std::string& target) const {
    return std::ranges::any_of(holdings_, [&](const Pointer& h) {
        return h->info().name == name && h->info().target == target && h->share() == nullptr && !h->lost();
    });
}

void Holdings::each(const std::function<void(const Holding&)>& f) const {
    for (const Pointer& h : holdings_)
        if (h->share() == nullptr) f(*h);
}

std::uint32_t Holdings::free_id() const {
    std::uint32_t id = 1;
    while (std::ranges::any_of(holdings_, [&](const Pointer& h) { return h->id() == id; })) ++id;
    return id;
}

void Holdings::attach(const Client& client, const std::string& name, bool persistent, const Answer& answer,
                      std::optional<lane::Duration> timeout, Use use) {
    const bool to_bus = wants_bus(use, persistent);
    if (Holding* h = named(name)) {
        if (h->phase() == Holding::Phase::waiting || h->phase() == Holding::Phase::resuming)
            return answer(refusal(Status::busy, "'" + name + "' waits for its application to come back"));
        if (h->on_bus() && drop_if_off_bus(shared(*h)))
            return answer(refusal(Status::busy, "the kernel has just removed '" + name + "'; try again"));
        if (h->on_bus()) return answer(on_bus_reply(*h, to_bus));
        if (is_drained(*h))
            return answer(refusal(Status::busy, "'" + name + "' is being detached as soon as its users are done"));
        const bool adopts = persistent && !to_bus && h->persistent() && h->sharing() != nullptr;
        if (h->in_use() && !adopts) return answer(busy_reply(*h));
        if (to_bus) return h->when_free([this, keep = shared(*h), answer] { plug(*keep, true, answer); });
        if (persistent) return answer({Status::ok, "", attach_result(*h, true), {}});
        const Pointer keep = shared(*h);
        return h->when_free([this, keep, client, answer] {
            if (keep->on_bus()) return answer(on_bus_reply(*keep, false));
            if (keep->in_use()) return answer(busy_reply(*keep));
            adopt(*keep, client, answer);
        });
    }
    if (size() >= kMaxAttachments)
        return answer(refusal(Status::limit, "at most " + std::to_string(kMaxAttachments) + " attachments"));
    if (!attaching_.insert(name).second)
        return answer(refusal(Status::busy, "'" + name + "' is being attached by somebody else"));
    ++waiting_attaches_;
    const auto done = [this, client, name, persistent, to_bus, answer](Result<lane::Attachment*> result) {
        attaching_.erase(name);
        try_again(name);
        attached(client, persistent, to_bus, std::move(result), answer);
        if (--waiting_attaches_ == 0) gone_while_attaching_.clear();
    };
    initiator_.attach(name, done, timeout);
}

void Holdings::adopt(Holding& h, const Client& client, const Answer& answer) {
    if (gone_while_attaching_.contains(client.id)) return;
    h.take_user(client);
    answer({Status::ok, "", attach_result(h, true), {}, 1});
}

void Holdings::attached(const Client& client, bool persistent, bool to_bus, Result<lane::Attachment*> result,
                        const Answer& answer) {
    if (!result.ok()) return answer(refusal(result.failure()));
    lane::Attachment& a = **result;
    auto file = StateFile::create(directory_, free_id());
    const bool gone = !persistent && gone_while_attaching_.contains(client.id);
    if (!file.ok() || gone) {
        initiator_.detach(a, [](Status) {});
        if (!gone) answer(refusal(file.failure()));
        return;
    }
    auto h = std::make_shared<Holding>(host_, std::move(*file));
    h->start(a, client, persistent);
    if (!persistent) h->take_user(client);
    holdings_.push_back(h);
    if (to_bus) return plug(*h, false, answer);
    answer({Status::ok, "", attach_result(*h, false), {}, persistent ? 0 : 1});
}

// The attachment ends; the holding lives until the session does not touch its memory any more.
void Holdings::drop(Holding& h, std::function<void(Status)> done, bool surprise) {
    const Pointer keep = shared(h);
    if (keep == nullptr || h.phase() == Holding::Phase::ending) return done(Status::ok);
    if (h.on_bus())  // the device goes on answering until its driver has let go
        return h.unplug(surprise, [this, keep, done = std::move(done)](Status status) {
            if (status != Status::ok) return done(status);
            drop(*keep, done);
        });
    h.set_phase(Holding::Phase::ending);
    h.expel();
    if (h.share() != nullptr) return leave(keep, std::move(done));
    if (h.attachment() == nullptr) {
        h.forget();
        erase(h);
        return done(Status::ok);
    }
    initiator_.detach(*h.attachment(), [this, keep, done = std::move(done)](Status status) {
        keep->end();
        keep->forget();
        erase(*keep);
        // Not answered: the target frees the function itself after its grace.
        done(status == Status::not_found ? Status::ok : status);
    });
}

void Holdings::erase(const Holding& h) {
    // Not in the middle of its own turn: the last owner goes with the lane's next work.
    const Pointer keep = shared(h);
    std::erase(holdings_, keep);
    host_.lane.post([keep] {});
    if (keep != nullptr && keep->sharing() != nullptr) {
        try_again(keep->info().name);
        try_again(keep->info().target + "/" + keep->info().name);
    }
}

void Holdings::detach(const Client& client, const std::string& name, bool force, const Answer& answer,
                      std::optional<lane::Duration> drain) {
    Holding* h = named(name);
    if (h == nullptr) {
        std::string have;
        each([&](const Holding& p) { have += (have.empty() ? "" : ", ") + p.info().name; });
        return answer(refusal(Status::not_found,
                              "'" + name + "' is not attached here; attached: " + (have.empty() ? "nothing" : have)));
    }
    if (h->in_use() && !force && !drain) return answer(busy_reply(*h));
    const uid_t owner = h->user() ? h->user()->uid : h->owner_uid();
    if (client.role != Role::admin && client.uid != owner)
        return answer(refusal(Status::denied, "'" + name + "' was attached by uid " + std::to_string(owner) +
                                                  "; only that user and admins may detach it"));
    if (!h->in_use() || !drain) return detach_now(shared(*h), name, force, answer);
    if (is_drained(*h)) return answer(refusal(Status::busy, "'" + name + "' is being drained already"));
    drains_.push_back({shared(*h), client.id, name, host_.lane.now() + *drain, force, answer});
}

void Holdings::detach_now(const Pointer& h, const std::string& name, bool force, const Answer& answer) {
    if (h->on_bus() && h->bus()->phase == BusPort::Phase::plugging)
        return answer(refusal(Status::busy, "'" + name + "' is being put on the PCI bus; try again"));
    const auto dropped = [answer, name, keep = h](Status status) {
        if (status == Status::ok || status == Status::device_lost) return answer({});
        if (keep->on_bus())
            return answer(refusal(status, "the kernel does not let '" + name + "' go: " +
                                              std::string(status_text(status)) + "; --force removes it by surprise"));
        answer(refusal(status, "'" + name +
                                   "' is detached here, but its target did not answer; it frees the function "
                                   "after its grace"));
    };
    drop(*h, dropped, force);
}

bool Holdings::is_drained(const Holding& h) const noexcept {
    return std::ranges::any_of(drains_, [&](const Drain& d) { return d.holding.get() == &h; });
}

// Over when the last application has closed it, or at the deadline; who has it open by then is named, or loses it.
// An attachment of the application's own ends with its use: then the target's word is waited for.
bool Holdings::look_at_drains(lane::Time now) {
    const auto ending = [](const Holding& h) { return h.phase() == Holding::Phase::ending; };
    const auto over = std::ranges::find_if(drains_, [&](const Drain& d) {
        return d.deadline <= now || (ending(*d.holding) ? shared(*d.holding) == nullptr : !d.holding->in_use());
    });
    if (over == drains_.end()) return false;
    const Drain d = *over;
    drains_.erase(over);
    if (ending(*d.holding))
        d.answer({});
    else if (!d.holding->in_use() || d.force)
        detach_now(d.holding, d.name, d.force, d.answer);
    else
        d.answer(busy_reply(*d.holding));
    return true;
}

void Holdings::give_back(const Client& client, std::uint32_t id, const Answer& answer) {
    Holding* h = of(client, id, answer);
    if (h == nullptr) return;
    const auto given_back = [answer](Reply r) {
        r.holds = -1;
        answer(std::move(r));
    };
    if (!h->release_user()) return h->when_free([given_back] { given_back({}); });
    drop(*h, [given_back](Status status) {
        given_back(status == Status::ok ? Reply{} : refusal(status, "the target did not answer the detach"));
    });
}

void Holdings::client_gone(ClientId client) {
    if (waiting_attaches_ != 0) gone_while_attaching_.insert(client);
    kicked_.erase(client);
    std::erase_if(drains_, [&](const Drain& d) { return d.client == client; });  // nobody waits for it any more
    for (const Pointer& h : std::vector<Pointer>(holdings_)) {
        if (!h->user() || h->user()->id != client || h->phase() == Holding::Phase::ending) continue;
        if (h->release_user()) drop(*h, [](Status) {});
    }
}

std::vector<std::string> Holdings::restore() {
    std::vector<std::string> report, refused;
    if (host_.kernel != nullptr) host_.kernel->look_for_kept();
    for (auto& file : StateFile::find(directory_, refused)) {
        auto h = std::make_shared<Holding>(host_, std::move(file));
        h->set_phase(Holding::Phase::waiting);
        if (h->saved().on_bus != 0) {
            report.push_back(restore_bus(h));
            continue;
        }
        if (h->saved().has_user == kSharedUsers) {
            report.push_back("'" + h->info().name + "' of an earlier daemon, that applications shared: they lose it" +
                             (h->persistent() ? ", attaching it anew" : ""));
            attach_anew(h);
            continue;
        }
        report.push_back("'" + h->info().name + "' of an earlier daemon" +
                         (h->saved().has_user != 0 ? ": waiting for its application" : ": taking it up again"));
        holdings_.push_back(h);
        if (h->saved().has_user != 0)
            give_up_at_ = lane::Lane::clock() + grace_;
        else
            resume_alone(h);
    }
    if (host_.kernel != nullptr)
        for (const std::string& name : host_.kernel->drop_kept())
            report.push_back("'" + name + "' on the PCI bus: nothing is known of it any more, it is removed");
    for (const std::string& path : refused) report.push_back(path + " is not usable and was removed");
    return report;
}

// The initiator takes an attachment up at the peer that has the target's name, and names are known
// only when targets answer: with several peers it has to wait for that.
void Holdings::resume(Pointer h, std::function<void(Result<lane::Attachment*>)> done) {
    resumes_.push_back({std::move(h), host_.lane.now() + grace_, std::move(done)});
    (void)start_resumes(host_.lane.now());
}

bool Holdings::start_resumes(lane::Time now) {
    if (resumes_.empty()) return false;
    const std::vector<lane::PeerStatus> peers = initiator_.peers();
    bool busy = false;
    for (std::size_t i = 0; i < resumes_.size();) {
        const Pointer h = resumes_[i].holding;
        const bool known = peers.size() == 1 || std::ranges::any_of(peers, [&](const lane::PeerStatus& p) {
                               return p.name == h->info().target;
                           });
        if (!known && now < resumes_[i].deadline) {
            ++i;
            continue;
        }
        const auto done = std::move(resumes_[i].done);
        resumes_.erase(resumes_.begin() + static_cast<std::ptrdiff_t>(i));
        busy = true;
        if (known)
            initiator_.resume(h->saved_attachment(), done);
        else
            done(Failure{Status::unreachable, "target '" + h->info().target + "' did not answer within the grace"});
    }
    return busy;
}

void Holdings::resume_alone(const Pointer& h) {
    h->set_phase(Holding::Phase::resuming);
    resume(h, [this, h](Result<lane::Attachment*> result) {
        if (result.ok() && h->phase() == Holding::Phase::ending)  // detached meanwhile
            return initiator_.detach(**result, [h](Status) {});
        if (result.ok()) return h->resumed(**result, [] {});
        host_.emit({EventKind::device_lost, h->info().name, h->info().target, result.failure().detail,
                    std::chrono::system_clock::now()});
        drop(*h, [](Status) {});
    });
}

void Holdings::resume_attachment(const Client& client, const std::string& token, const Answer& answer) {
    for (const Pointer& h : holdings_) {
        if (h->phase() != Holding::Phase::waiting || h->token() != token || h->saved().has_user == 0) continue;
        h->take_user(client);
        h->set_phase(Holding::Phase::resuming);
        Json mappings = Json::array();
        for (const SavedMapping& m : h->saved().mappings)
            if (m.bytes != 0)
                mappings.push_back({{"iova", m.iova}, {"buffer", m.buffer}, {"offset", m.offset}, {"bytes", m.bytes}});
        return answer({Status::ok,
                       "",
                       {{"attachment", h->id()},
                        {"function", control::function_to_json(h->info())},
                        {"has_channel", h->saved().has_channel != 0},
                        {"vectors", h->saved().vectors},
                        {"mappings", std::move(mappings)}},
                       {},
                       1});
    }
    answer(refusal(Status::stale, "no attachment waits for this token; its grace is over"));
}

void Holdings::resume_done(const Client& client, std::uint32_t id, const Answer& answer) {
    Holding* h = of(client, id, answer);
    if (h == nullptr) return;
    if (h->phase() != Holding::Phase::resuming || h->attachment() != nullptr)
        return answer(refusal(Status::invalid, "resume_attachment comes first"));
    const Pointer keep = shared(*h);
    resume(keep, [this, keep, answer](Result<lane::Attachment*> result) {
        if (!result.ok()) {
            keep->expel();
            keep->end();
            keep->forget();
            erase(*keep);
            return answer(refusal(result.failure()));
        }
        if (!keep->user() || keep->phase() == Holding::Phase::ending)  // it died once more
            return initiator_.detach(**result, [keep](Status) {});
        keep->resumed(**result, [keep, answer] { answer({Status::ok, "", {{"attachment", keep->id()}}, {}}); });
    });
}

void Holdings::pause(bool on) noexcept {
    for (const Pointer& h : holdings_) h->pause(on);
}

std::string Holdings::unsettled() const {
    if (!attaching_.empty()) return *attaching_.begin();
    for (const Resume& r : resumes_) return r.holding->info().name;
    for (const Pointer& h : holdings_)
        if (!h->settled()) return h->info().name;
    return {};
}

void Holdings::leave() {
    for (const Pointer& h : holdings_)
        if (h->attachment() != nullptr) h->attachment()->set_sink(nullptr);
    give_up_at_ = lane::kNever;
}

bool Holdings::turn(lane::Time now) noexcept {
    bool busy = start_resumes(now) || look_at_drains(now);
    const bool look = now >= bus_look_at_;
    if (look) bus_look_at_ = now + kBusLook;
    for (std::size_t i = 0; i < holdings_.size(); ++i) {
        const Pointer h = holdings_[i];
        if (h->phase() == Holding::Phase::ending) continue;
        if (h->misbehaved() && h->user() && kicked_.insert(h->user()->id).second) {
            kick_(h->user()->id, "it broke the channel of '" + h->info().name + "'");
            busy = true;
        }
        if (h->on_bus()) {
            busy |= look_after_bus(h) || (look && drop_if_off_bus(h));
            continue;
        }
        // Lost, and nobody is there to be told.
        if (h->lost() && !h->user()) {
            drop(*h, [](Status) {});
            busy = true;
        }
    }
    if (now < give_up_at_) return busy;
    give_up_at_ = lane::kNever;
    for (const Pointer& h : std::vector<Pointer>(holdings_)) {
        if (h->phase() != Holding::Phase::waiting) continue;
        // What its ring held can not be known without it: the target frees it after its own grace.
        host_.emit({EventKind::device_lost, h->info().name, h->info().target, "its application did not come back",
                    std::chrono::system_clock::now()});
        h->forget();
        erase(*h);
    }
    return true;
}

lane::Time Holdings::next_timer() const noexcept {
    const bool bus = std::ranges::any_of(holdings_, [](const Pointer& h) { return h->on_bus(); });
    lane::Time next = bus ? std::min(give_up_at_, bus_look_at_) : give_up_at_;
    for (const Drain& d : drains_) next = std::min(next, d.deadline);
    return next;
}

void Holdings::list(lane::Duration timeout, const Answer& answer) {
    initiator_.list(timeout, [this, answer](Result<std::vector<FunctionInfo>> all) {
        if (!all.ok() && holdings_.empty()) return answer(refusal(all.failure()));
        Json functions = Json::array();
        std::set<const Holding*> listed;
        for (const FunctionInfo& f : all.ok() ? *all : std::vector<FunctionInfo>()) {
            Json j = control::function_to_json(f);
            j["attachment"] = nullptr;
            for (const Pointer& h : holdings_) {
                if (h->info().name != f.name || h->info().target != f.target || h->share() != nullptr) continue;
                j["attachment"] = h->json();
                listed.insert(h.get());
            }
            functions.push_back(std::move(j));
        }
        for (const Pointer& h : holdings_) {  // their target is silent
            if (listed.contains(h.get()) || h->share() != nullptr) continue;
            Json j = control::function_to_json(h->info());
            j["state"] = "attached";
            j["attachment"] = h->json();
            functions.push_back(std::move(j));
        }
        answer({Status::ok, "", {{"functions", std::move(functions)}}, {}});
    });
}

void Holdings::show_config(const Pointer& h, const Json& listed, const Answer& answer) {
    h->read_space([this, h, answer, listed](Status status, const std::shared_ptr<ConfigSpace>& space) {
        const bool detach_after = !listed.is_null();  // attached for this look only
        Json body = {{"function", detach_after ? listed : control::function_to_json(h->info())},
                     {"config", nullptr},
                     {"config_status", status_name(status)},
                     {"config_detail", status == Status::ok ? "" : std::string(status_text(status))}};
        if (!detach_after) body["function"]["attachment"] = h->json();
        if (status == Status::ok) {
            static constexpr char kDigits[] = "0123456789abcdef";
            std::string hex;
            hex.reserve(2 * space->size());
            for (const std::byte b : *space) {
                hex += kDigits[std::to_integer<unsigned>(b) >> 4];
                hex += kDigits[std::to_integer<unsigned>(b) & 15];
            }
            body["config"] = std::move(hex);
        }
        if (!detach_after) return answer({Status::ok, "", std::move(body), {}});
        drop(*h, [answer, body = std::move(body)](Status) { answer({Status::ok, "", body, {}}); });
    });
}

void Holdings::show(const Client& client, const std::string& name, bool may_attach, const Answer& answer,
                    std::optional<lane::Duration> timeout) {
    if (Holding* h = named(name); h != nullptr && h->attachment() != nullptr)
        return show_config(shared(*h), nullptr, answer);
    const std::string leaf = name.substr(name.find('/') == std::string::npos ? 0 : name.find('/') + 1);
    const lane::Duration looking = timeout ? std::min(kLookTime, *timeout / 2) : kLookTime;
    if (timeout) *timeout -= looking;
    list(looking, [this, client, name, leaf, may_attach, answer, timeout](Reply all) {
        if (all.status != Status::ok) return answer(std::move(all));
        Json found;
        std::string names;
        for (const Json& f : all.body.at("functions")) {
            names += (names.empty() ? "" : ", ") + f.at("name").get<std::string>();
            const std::string full = f.at("target").get<std::string>() + "/" + leaf;
            if (f.at("name") == leaf && (name == leaf || name == full)) found = f;
        }
        if (found.is_null())
            return answer(refusal(Status::not_found,
                                  "no function '" + name + "'; there is: " + (names.empty() ? "nothing" : names)));
        Json body = {{"function", found}, {"config", nullptr}, {"config_status", "busy"}, {"config_detail", ""}};
        if (found.at("state") != "free" || !may_attach || named(name) != nullptr || !attaching_.insert(name).second) {
            body["config_detail"] = found.at("state") == "free" ? "it is free, but was not to be attached for a look"
                                                                : "held by " + found.at("holder").get<std::string>();
            return answer({Status::ok, "", std::move(body), {}});
        }
        ++waiting_attaches_;
        auto attached = [this, client, name, answer, body, found](Result<lane::Attachment*> result) mutable {
            attaching_.erase(name);
            try_again(name);
            --waiting_attaches_;
            auto file = result.ok() ? StateFile::create(directory_, free_id())
                                    : Result<std::unique_ptr<StateFile>>(result.failure());
            if (!file.ok()) {
                if (result.ok()) initiator_.detach(**result, [](Status) {});
                body["config_status"] = status_name(file.status());
                body["config_detail"] = file.failure().detail;
                return answer({Status::ok, "", std::move(body), {}});
            }
            auto h = std::make_shared<Holding>(host_, std::move(*file));
            h->start(**result, client, false);
            h->take_user(client);
            holdings_.push_back(h);
            show_config(h, found, answer);
        };
        initiator_.attach(name, std::move(attached), timeout);
    });
}

}  // namespace farlane::daemon

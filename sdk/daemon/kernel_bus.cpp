// SPDX-License-Identifier: Apache-2.0
// Receives: the wish to have functions on this host's PCI bus. Hands on: the module, and work of it
// that takes long to threads of its own. Owns: the open control node, as long as it is needed.
#include "daemon/kernel_bus.hpp"

#include <algorithm>
#include <thread>

#include <unistd.h>

namespace farlane::daemon {
namespace {

constexpr lane::Duration kLook = std::chrono::milliseconds(2);

}  // namespace

KernelBus::KernelBus(lane::Lane& lane, const Config& config, const Identity& identity, backend::Memory& memory,
                     Opener opener)
    : lane_(lane),
      settings_(config.kernel),
      instance_(identity.instance),
      grace_ms_(static_cast<std::uint32_t>(config.session.grace.count())),
      // A little more than the session takes, which answers first and knows why.
      completion_timeout_ms_(static_cast<std::uint32_t>(config.session.completion_timeout.count()) + 1000),
      memory_(memory),
      opener_(std::move(opener)) {
    mailbox_->lane = &lane_;
    lane_.add(*this);
}

KernelBus::~KernelBus() {
    if (module_ != nullptr) lane_.unwatch(module_->event_fd());
    lane_.remove(*this);
    const std::scoped_lock lock(mailbox_->mutex);
    mailbox_->lane = nullptr;
}

bool KernelBus::active() const {
    if (settings_.mode != KernelMode::automatic) return settings_.mode == KernelMode::on;
    return module_ != nullptr || opener_ || ::access(kControlNode, R_OK | W_OK) == 0;
}

Result<std::shared_ptr<KernelModule>> KernelBus::open() {
    if (module_ != nullptr) return module_;
    if (settings_.mode == KernelMode::off)
        return {Status::unsupported, "[kernel] mode = \"off\": this farlaned puts no functions on the PCI bus"};
    auto opened = opener_ ? opener_() : open_kernel_device();
    if (!opened.ok()) return opened;
    auto became = (*opened)->become(instance_, grace_ms_);
    if (!became.ok()) return became.failure();
    module_ = *opened;
    lane_.watch(module_->event_fd());
    return module_;
}

// A system call a turn would be too much; a sleeping lane is woken by the descriptor.
bool KernelBus::turn(lane::Time now) noexcept {
    if (module_ == nullptr || now < look_at_) return false;
    look_at_ = now + kLook;
    const std::vector<std::uint32_t> news = module_->events();
    for (const std::uint32_t id : news)
        if (on_node_) on_node_(id);
    return !news.empty();
}

Result<SavedState*> KernelBus::node_note(const std::string& name) {
    bool fresh = false;
    auto region = memory_.region("node-" + name, sizeof(SavedState), fresh);
    if (!region.ok()) return region.failure();
    return reinterpret_cast<SavedState*>(region->data());  // page-aligned plain data
}

void KernelBus::close_if_unused() {
    if (!ours_.empty() || !kept_.empty() || module_ == nullptr) return;
    lane_.unwatch(module_->event_fd());
    module_.reset();
}

void KernelBus::release_function(std::uint32_t id) {
    ours_.erase(id);
    close_if_unused();
}

void KernelBus::look_for_kept() {
    if (!active()) return;
    auto module = open();
    if (!module.ok()) return;
    for (std::uint32_t index = 0; index < kMaxKept; ++index) {
        auto f = (*module)->get(index);
        if (!f.ok()) break;
        // Another daemon's, or one that is on its way out.
        if (f->state == FL_FUNCTION_ORPHANED || f->state == FL_FUNCTION_DOWN || f->state == FL_FUNCTION_LIVE)
            kept_.push_back(std::move(*f));
    }
    close_if_unused();
}

bool KernelBus::has(KernelModule& module, std::uint32_t id) {
    for (std::uint32_t index = 0; index < kMaxKept; ++index) {
        auto f = module.get(index);
        if (!f.ok()) return f.failure().status != Status::not_found;  // not known: as before
        if (f->id == id) return f->state != FL_FUNCTION_REMOVING;
    }
    return true;
}

const KernelFunction* KernelBus::kept(const std::string& name, const std::string& peer) const noexcept {
    const auto at =
        std::ranges::find_if(kept_, [&](const KernelFunction& f) { return f.name == name && f.peer == peer; });
    return at != kept_.end() ? &*at : nullptr;
}

void KernelBus::claim(std::uint32_t id) {
    std::erase_if(kept_, [&](const KernelFunction& f) { return f.id == id; });
    ours_.insert(id);
}

std::vector<std::string> KernelBus::drop_kept() {
    std::vector<std::string> names;
    for (const KernelFunction& f : std::exchange(kept_, {})) {
        names.push_back(f.name);
        ours_.insert(f.id);
        run([module = module_, id = f.id] { (void)module->remove(id, true); },
            [this, id = f.id] { release_function(id); });
    }
    close_if_unused();
    return names;
}

Result<DmaJournal*> KernelBus::journal(const std::string& name) {
    bool fresh = false;
    auto region = memory_.region("kernel-" + name, sizeof(DmaJournal), fresh);
    if (!region.ok()) return region.failure();
    return reinterpret_cast<DmaJournal*>(region->data());  // page-aligned plain data
}

// Detached: a driver that hangs may keep the module's call for as long as it likes, and nobody waits
// for it, not even the end of the daemon.
void KernelBus::run(std::function<void()> work, std::function<void()> then) {
    std::thread([work = std::move(work), then = std::move(then), box = mailbox_] {
        work();
        const std::scoped_lock lock(box->mutex);
        if (box->lane != nullptr) box->lane->post(then);
    }).detach();
}

}  // namespace farlane::daemon

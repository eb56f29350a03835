// SPDX-License-Identifier: Apache-2.0
// Receives: records that the module writes into a submit ring. Hands on: answers: the memory that
// was written last. Owns: that memory, and the daemon's side of one channel.
#pragma once

#include <vector>

#include <poll.h>

#include "control.hpp"

namespace farlane::kmodtest {

class Echo {
public:
    static constexpr std::size_t kMemoryBytes = 64 << 10;

    Echo(const Control& control, std::uint32_t id, std::uint64_t offset, std::uint64_t bytes, Sizes sizes, int bell)
        : control_(control), id_(id), channel_(control, offset, bytes, sizes), bell_(bell), memory_(kMemoryBytes) {
        if (!channel_.valid()) fail("mmap of the channel");
        for (std::size_t i = 0; i < memory_.size(); ++i) memory_[i] = static_cast<std::byte>(i * 31 + (i >> 8));
        tail_ = Channel::load(channel_.header().submit.tail);
        head_ = Channel::load(channel_.header().complete.head);
    }

    /// Until `stop`, which takes a ring of the bell to be seen. `polls`: it never sleeps.
    void run(const std::atomic<bool>& stop, bool polls = false) {
        for (unsigned idle = 0; !stop;) {
            if (turn()) {
                idle = 0;
            } else if (!polls && ++idle > 1000) {
                sleep();
                idle = 0;
            }
        }
    }

private:
    bool turn() {
        const std::uint32_t head = Channel::load(channel_.header().submit.head);
        if (head == tail_) return false;
        for (; tail_ != head; ++tail_) take(channel_.submit(tail_));
        Channel::store(channel_.header().submit.tail, tail_);
        Channel::store(channel_.header().submit.released, tail_);
        return true;
    }

    void sleep() {
        fl_ring& ring = channel_.header().submit;
        std::atomic_ref<std::uint32_t>(ring.sleeping).store(FL_RING_SLEEPS_HEAD);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (Channel::load(ring.head) == tail_) {
            pollfd p{bell_, POLLIN, 0};
            ::poll(&p, 1, -1);
            std::uint64_t count = 0;
            (void)!::read(bell_, &count, sizeof count);
        }
        std::atomic_ref<std::uint32_t>(ring.sleeping).store(FL_RING_AWAKE);
    }

    [[nodiscard]] std::byte* data_of(fl_slot& slot) const {
        if (slot.kind == FL_SLOT_REFERENCE) return channel_.staging() + slot.u.ref.offset_bytes;
        return reinterpret_cast<std::byte*>(slot.u.payload);
    }

    static void copy(std::byte* to, const std::byte* from, std::size_t bytes) {
        if (bytes == 4)
            std::memcpy(to, from, 4);  // a register: no call
        else
            std::memcpy(to, from, bytes);
    }

    void take(fl_slot& slot) {
        const std::size_t bytes = slot.tlp.length_bytes.get();
        const std::uint64_t at = slot.tlp.address.get() % (kMemoryBytes - 4096);
        if (slot.tlp.type == FL_TLP_MWR) {
            copy(memory_.data() + at, data_of(slot), bytes);
            return;
        }
        fl_slot& answer = next_answer();
        answer.tlp = fl_tlp{};
        answer.tlp.family = FL_FAMILY_TLP;
        answer.tlp.type = FL_TLP_CPL;
        answer.kind = FL_SLOT_INLINE;
        answer.status = FL_STATUS_SC;
        answer.cookie = slot.cookie;
        if (slot.tlp.type == FL_TLP_MRD || slot.tlp.type == FL_TLP_CFGRD) {
            answer.tlp.type = FL_TLP_CPLD;
            answer.tlp.length_bytes.set(static_cast<std::uint16_t>(bytes));
            copy(slot.kind == FL_SLOT_REFERENCE ? data_of(slot) : data_of(answer), memory_.data() + at, bytes);
        }
        publish();
    }

    fl_slot& next_answer() {
        while (head_ - Channel::load(channel_.header().complete.released) >= channel_.sizes().complete) poke();
        return channel_.complete(head_);
    }

    void publish() {
        fl_ring& ring = channel_.header().complete;
        Channel::store(ring.head, ++head_);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        std::atomic_ref<std::uint32_t> sleeping(ring.sleeping);
        if (sleeping.load() != FL_RING_AWAKE && sleeping.exchange(FL_RING_AWAKE) != FL_RING_AWAKE) poke();
    }

    void poke() {
        fl_ioc_poke p{sizeof p, id_};
        (void)control_.call(FL_IOC_POKE, p);
    }

    const Control& control_;
    std::uint32_t id_;
    Channel channel_;
    int bell_;
    std::vector<std::byte> memory_;
    std::uint32_t tail_, head_;
};

}  // namespace farlane::kmodtest

// SPDX-License-Identifier: Apache-2.0
// Receives: objects that carry a Link. Hands on: them, in order. Owns: nothing.
#pragma once

namespace farlane::proto {

template <class T>
struct Link {
    T* previous = nullptr;
    T* next = nullptr;
    bool linked = false;
};

template <class T, Link<T> T::*Member>
class IntrusiveList {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    [[nodiscard]] T* front() const noexcept { return head_; }
    [[nodiscard]] static T* next(const T& item) noexcept { return (item.*Member).next; }

    /// Goes to the front even when it is in the list.
    void push_front(T& item) noexcept {
        remove(item);
        item.*Member = {nullptr, head_, true};
        (head_ != nullptr ? (head_->*Member).previous : tail_) = &item;
        head_ = &item;
    }
    /// Nothing happens when it is in the list.
    void push_back(T& item) noexcept {
        Link<T>& l = item.*Member;
        if (l.linked) return;
        l = {tail_, nullptr, true};
        (tail_ != nullptr ? (tail_->*Member).next : head_) = &item;
        tail_ = &item;
    }
    /// Nothing happens when it is not.
    void remove(T& item) noexcept {
        Link<T>& l = item.*Member;
        if (!l.linked) return;
        (l.previous != nullptr ? (l.previous->*Member).next : head_) = l.next;
        (l.next != nullptr ? (l.next->*Member).previous : tail_) = l.previous;
        l = {};
    }
    void rotate() noexcept {
        if (head_ == tail_) return;
        T& item = *head_;
        remove(item);
        push_back(item);
    }

private:
    T* head_ = nullptr;
    T* tail_ = nullptr;
};

}  // namespace farlane::proto

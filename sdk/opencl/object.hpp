// SPDX-License-Identifier: Apache-2.0
// Receives: handles of applications. Hands on: the objects behind them, when they are what they should be.
// Owns: reference counts. OpenCL 3.0, 2.7 (object retention); cl_khr_icd (the dispatch pointer comes first).
#pragma once

#include <atomic>
#include <cstdint>

#include "opencl/api.hpp"

namespace farlane::opencl {

/// The entry points (dispatch.cpp).
extern const cl_icd_dispatch kDispatch;

enum class Kind : std::uint32_t {
    platform = 0x464c4f31,
    device,
    context,
    queue,
    memory,
    program,
    kernel,
    event,
};

/// What a handle points to. The application's references together are one hold; commands in flight have holds of their
/// own. An object without references is no valid handle any more, one without holds is gone.
class Object {
public:
    explicit Object(Kind kind, cl_uint references = 1) noexcept : kind_(kind), references_(references) {}
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    [[nodiscard]] cl_uint references() const noexcept { return references_.load(std::memory_order_relaxed); }
    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void hold() noexcept { holds_.fetch_add(1, std::memory_order_relaxed); }
    /// From now on the application has a reference, of an object that was made without.
    void publish() noexcept {
        hold();
        retain();
    }

protected:
    ~Object() { kind_ = Kind{}; }

private:
    template <class T>
    friend void let_go(T* object) noexcept;
    template <class T>
    friend bool release(T* object) noexcept;

    const cl_icd_dispatch* dispatch_ = &kDispatch;  // the loader reads it
    Kind kind_;
    std::atomic<cl_uint> references_, holds_{1};
};

template <class T>
void let_go(T* object) noexcept {
    if (object->holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete object;
}

/// Ends one reference of the application; true = it was the last one (and the object may be gone).
template <class T>
bool release(T* object) noexcept {
    if (object->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
    let_go(object);
    return true;
}

/// A hold.
template <class T>
class Ref {
public:
    Ref() noexcept = default;
    explicit Ref(T* object) noexcept : object_(object) {
        if (object_ != nullptr) object_->hold();
    }
    /// Takes over a hold that is there already (of a new object).
    [[nodiscard]] static Ref adopt(T* object) noexcept {
        Ref r;
        r.object_ = object;
        return r;
    }
    Ref(const Ref& other) noexcept : Ref(other.object_) {}
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_ != nullptr) let_go(object_);
    }
    [[nodiscard]] T* get() const noexcept { return object_; }
    [[nodiscard]] T* operator->() const noexcept { return object_; }
    [[nodiscard]] T& operator*() const noexcept { return *object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }

private:
    T* object_ = nullptr;
};

/// The object behind a handle; fails with T::kInvalid when it is none of that kind.
template <class T>
T& checked(typename T::Handle handle) {
    auto* object = reinterpret_cast<T*>(handle);
    require(object != nullptr && object->kind() == T::kKind && object->references() != 0, T::kInvalid);
    return *object;
}
template <class T>
typename T::Handle handle_of(T* object) noexcept {
    return reinterpret_cast<typename T::Handle>(object);
}

}  // namespace farlane::opencl

// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the status codes of Farlane as C++ types.
// Owns: nothing.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include <farlane/uapi/status.h>

namespace farlane {

/// Outcome of an operation. One table for PCIe status, errno, text and exit
/// code: farlane/uapi/status.h. `ok` is zero.
enum class Status : unsigned short {
#define FL_STATUS_ENUM(NAME, name, code, err, exit_code, text) name = (code),
    FL_STATUS_TABLE(FL_STATUS_ENUM)
#undef FL_STATUS_ENUM
};

/// Short name of a status ("out_of_bounds"), for JSON and logs. Any thread.
[[nodiscard]] constexpr std::string_view status_name(Status s) noexcept {
    switch (s) {
#define FL_STATUS_NAME(NAME, name, code, err, exit_code, text) \
    case Status::name: return #name;
        FL_STATUS_TABLE(FL_STATUS_NAME)
#undef FL_STATUS_NAME
    }
    return "unknown";
}

/// Sentence for people. Any thread.
[[nodiscard]] constexpr std::string_view status_text(Status s) noexcept {
    switch (s) {
#define FL_STATUS_TEXT(NAME, name, code, err, exit_code, text) \
    case Status::name: return text;
        FL_STATUS_TABLE(FL_STATUS_TEXT)
#undef FL_STATUS_TEXT
    }
    return "unknown status";
}

/// errno that fits best; 0 for ok. Any thread.
[[nodiscard]] constexpr int status_errno(Status s) noexcept {
    switch (s) {
#define FL_STATUS_ERRNO(NAME, name, code, err, exit_code, text) \
    case Status::name: return err;
        FL_STATUS_TABLE(FL_STATUS_ERRNO)
#undef FL_STATUS_ERRNO
    }
    return EPROTO;
}

/// Exit code of a program that ends because of it. Any thread.
[[nodiscard]] constexpr int status_exit_code(Status s) noexcept {
    switch (s) {
#define FL_STATUS_EXIT(NAME, name, code, err, exit_code, text) \
    case Status::name: return exit_code;
        FL_STATUS_TABLE(FL_STATUS_EXIT)
#undef FL_STATUS_EXIT
    }
    return 1;
}

/// Status from a number that came from outside; an unknown one is `protocol`.
[[nodiscard]] constexpr Status status_from_code(unsigned code) noexcept {
    switch (code) {
#define FL_STATUS_FROM(NAME, name, number, err, exit_code, text) \
    case (number): return Status::name;
        FL_STATUS_TABLE(FL_STATUS_FROM)
#undef FL_STATUS_FROM
        default: return Status::protocol;
    }
}

/// The std::error_category of Status ("farlane").
[[nodiscard]] const std::error_category& status_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(Status s) noexcept {
    return {static_cast<int>(s), status_category()};
}

/// The one exception type of the API. what() says what failed and what to do; the sentence of the status, which
/// std::system_error puts behind it, only where there is nothing else to say.
class Error : public std::system_error {
public:
    Error(Status s, const std::string& what)
        : std::system_error(make_error_code(s)), status_(s), text_(what.empty() ? std::string(status_text(s)) : what) {}
    [[nodiscard]] Status status() const noexcept { return status_; }
    [[nodiscard]] const char* what() const noexcept override { return text_.what(); }
    /// what(), as a string.
    [[nodiscard]] std::string detail() const { return what(); }

private:
    Status status_;
    std::runtime_error text_;  ///< a text whose copies can not throw
};

/// A status with a sentence that says what to do about it.
struct Failure {
    Status status = Status::invalid;
    std::string detail;
};

/// A value or a Failure; what functions inside the SDK return. Not for the hot path.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}
    Result(Status s, std::string detail) : state_(std::in_place_index<1>, Failure{s, std::move(detail)}) {}

    [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }
    /// Precondition of both: ok().
    [[nodiscard]] T& value() { return std::get<0>(state_); }
    [[nodiscard]] const T& value() const { return std::get<0>(state_); }
    T& operator*() { return value(); }
    T* operator->() { return &value(); }
    /// Precondition: !ok().
    [[nodiscard]] const Failure& failure() const { return std::get<1>(state_); }
    [[nodiscard]] Status status() const noexcept { return ok() ? Status::ok : std::get<1>(state_).status; }
    /// The value, or throws Error.
    T take() {
        if (!ok()) throw Error(failure().status, failure().detail);
        return std::move(value());
    }

private:
    std::variant<T, Failure> state_;
};

}  // namespace farlane

template <>
struct std::is_error_code_enum<farlane::Status> : std::true_type {};

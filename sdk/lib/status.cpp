// SPDX-License-Identifier: Apache-2.0
// Receives: status codes. Hands on: their texts to std::error_code. Owns: nothing.
#include <farlane/status.hpp>

namespace farlane {
namespace {

class Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "farlane"; }
    std::string message(int code) const override {
        return std::string(status_text(status_from_code(static_cast<unsigned>(code))));
    }
    std::error_condition default_error_condition(int code) const noexcept override {
        return {status_errno(status_from_code(static_cast<unsigned>(code))), std::generic_category()};
    }
};

}  // namespace

const std::error_category& status_category() noexcept {
    static const Category& category = *new Category;  // threads may still fail while the program's own objects go
    return category;
}

}  // namespace farlane

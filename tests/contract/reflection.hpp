// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what the contract headers declare, as data. The functions are
// generated from the headers by reflect_contract. Owns: nothing.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace farlane::test {

struct FieldInfo {
    std::string name;
    std::size_t offset, bytes;
};

struct StructInfo {
    std::string name, header;
    std::size_t bytes;
    std::vector<FieldInfo> fields;
};

/// An enumerator or an object-like macro.
struct ConstantInfo {
    std::string name, header;
    unsigned long long value;
};

const std::vector<StructInfo>& contract_structs();
const std::vector<ConstantInfo>& contract_constants();

}  // namespace farlane::test

// SPDX-License-Identifier: Apache-2.0
// Receives: calls on domains, buffers and mappings. Hands on: the same to the provider.
// Owns: buffers and mappings, for as long as their objects live.
#include <farlane/domain.hpp>

#include "lib/provider.hpp"

namespace farlane {

DmaBuffer::DmaBuffer() noexcept = default;
DmaBuffer::DmaBuffer(std::shared_ptr<provider::Buffer> b) noexcept : buffer_(std::move(b)) {}
DmaBuffer::DmaBuffer(DmaBuffer&&) noexcept = default;
DmaBuffer& DmaBuffer::operator=(DmaBuffer&&) noexcept = default;
DmaBuffer::~DmaBuffer() = default;

std::byte* DmaBuffer::data() const noexcept {
    return buffer_ ? buffer_->bytes().data() : nullptr;
}
std::size_t DmaBuffer::size() const noexcept {
    return buffer_ ? buffer_->bytes().size() : 0;
}
bool DmaBuffer::huge_pages() const noexcept {
    return buffer_ && buffer_->huge_pages();
}

provider::Buffer& DmaBuffer::provider() const {
    if (!buffer_) throw Error(Status::invalid, "this DmaBuffer is empty: allocate one with Domain::allocate");
    return *buffer_;
}

Mapping::Mapping() noexcept = default;
Mapping::Mapping(std::shared_ptr<provider::DeviceProvider> p, std::uint64_t iova, std::size_t bytes,
                 DmaDirection d) noexcept
    : provider_(std::move(p)), iova_(iova), bytes_(bytes), direction_(d) {}
Mapping::Mapping(Mapping&& o) noexcept {
    *this = std::move(o);
}

Mapping& Mapping::operator=(Mapping&& o) noexcept {
    std::swap(provider_, o.provider_);
    std::swap(iova_, o.iova_);
    std::swap(bytes_, o.bytes_);
    std::swap(direction_, o.direction_);
    return *this;
}

Mapping::~Mapping() {
    try {
        unmap();
    } catch (const Error&) {
        // The device is gone, and with it every mapping.
    }
}

void Mapping::unmap() {
    if (!provider_) return;
    const auto p = std::move(provider_);
    p->unmap(iova_);
}

DmaBuffer Domain::allocate(std::size_t bytes) {
    return DmaBuffer(provider_->allocate(bytes));
}

Mapping Domain::map(const DmaBuffer& buffer, std::size_t offset, std::size_t bytes, DmaDirection direction) {
    const auto iova = provider_->map(buffer.provider().shared_from_this(), offset, bytes, direction);
    return {provider_->shared_from_this(), iova, bytes, direction};
}

Mapping Domain::map(std::span<std::byte> memory, DmaDirection direction) {
    if (memory.empty()) throw Error(Status::invalid, "a mapping has at least one byte");
    const auto iova = provider_->map_own(memory, direction);
    return {provider_->shared_from_this(), iova, memory.size(), direction};
}

Mapping Domain::map(std::span<const std::byte> memory) {
    return map(std::span(const_cast<std::byte*>(memory.data()), memory.size()), DmaDirection::to_device);
}

}  // namespace farlane

// SPDX-License-Identifier: Apache-2.0
// Receives: calls of C programs about a device, its buffers and mappings. Hands on: the same to
// farlane::Device and farlane::Domain. Owns: the handles until they are given back.
#include "lib/c_api.hpp"

using farlane::Error;
using farlane::Status;
using farlane::c_api::guard;
using farlane::c_api::need;

namespace {

farlane::Device& device_of(fl_device* device) {
    need(device, "device");
    return device->device;
}

static_assert(FL_DMA_TO_DEVICE == static_cast<unsigned>(farlane::DmaDirection::to_device));
static_assert(FL_DMA_FROM_DEVICE == static_cast<unsigned>(farlane::DmaDirection::from_device));
static_assert(FL_DMA_BIDIRECTIONAL == static_cast<unsigned>(farlane::DmaDirection::bidirectional));

}  // namespace

extern "C" {

int fl_device_detach(fl_device* device) {
    if (device == nullptr) return 0;
    const std::unique_ptr<fl_device> gone(device);
    return guard([&] { gone->device.detach(); });
}

int fl_device_info(fl_device* device, struct fl_function_info* out) {
    return guard([&] {
        need(out, "out");
        farlane::c_api::fill(*out, device_of(device).info());
    });
}

int fl_device_config_read(fl_device* device, uint32_t offset, unsigned bytes, uint32_t* value) {
    return guard([&] {
        need(value, "value");
        farlane::Device& d = device_of(device);
        switch (bytes) {
            case 1: *value = d.config_read8(offset); return;
            case 2: *value = d.config_read16(offset); return;
            case 4: *value = d.config_read32(offset); return;
            default: throw Error(Status::invalid, "bytes: must be 1, 2 or 4");
        }
    });
}

int fl_device_config_write(fl_device* device, uint32_t offset, unsigned bytes, uint32_t value) {
    return guard([&] {
        farlane::Device& d = device_of(device);
        if (bytes < 4 && value >> (8 * bytes) != 0) throw Error(Status::invalid, "value: larger than `bytes`");
        switch (bytes) {
            case 1: d.config_write8(offset, static_cast<std::uint8_t>(value)); return;
            case 2: d.config_write16(offset, static_cast<std::uint16_t>(value)); return;
            case 4: d.config_write32(offset, value); return;
            default: throw Error(Status::invalid, "bytes: must be 1, 2 or 4");
        }
    });
}

int fl_device_enable(fl_device* device) {
    return guard([&] { device_of(device).enable(); });
}

int fl_device_read32(fl_device* device, unsigned bar, uint64_t offset, uint32_t* value) {
    return guard([&] {
        need(value, "value");
        *value = device_of(device).read32(bar, offset);
    });
}

int fl_device_read64(fl_device* device, unsigned bar, uint64_t offset, uint64_t* value) {
    return guard([&] {
        need(value, "value");
        *value = device_of(device).read64(bar, offset);
    });
}

int fl_device_write32(fl_device* device, unsigned bar, uint64_t offset, uint32_t value) {
    return guard([&] { device_of(device).write32(bar, offset, value); });
}

int fl_device_write64(fl_device* device, unsigned bar, uint64_t offset, uint64_t value) {
    return guard([&] { device_of(device).write64(bar, offset, value); });
}

int fl_device_read(fl_device* device, unsigned bar, uint64_t offset, void* data, size_t bytes) {
    return guard([&] {
        if (bytes > 0) need(data, "data");
        device_of(device).read(bar, offset, {static_cast<std::byte*>(data), bytes});
    });
}

int fl_device_write(fl_device* device, unsigned bar, uint64_t offset, const void* data, size_t bytes, int relaxed) {
    return guard([&] {
        if (bytes > 0) need(data, "data");
        device_of(device).write(bar, offset, {static_cast<const std::byte*>(data), bytes}, relaxed != 0);
    });
}

int fl_device_write_from(fl_device* device, unsigned bar, uint64_t offset, const fl_buffer* buffer,
                         size_t buffer_offset, size_t bytes) {
    return guard([&] {
        need(buffer, "buffer");
        device_of(device).write_from(bar, offset, buffer->buffer, buffer_offset, bytes);
    });
}

int fl_device_flush(fl_device* device) {
    return guard([&] { device_of(device).flush(); });
}

int fl_device_enable_interrupts(fl_device* device, unsigned count) {
    return guard([&] { device_of(device).enable_interrupts(count); });
}

int fl_device_interrupt_fd(fl_device* device, unsigned vector, int* fd) {
    return guard([&] {
        need(fd, "fd");
        *fd = device_of(device).interrupt_fd(vector);
    });
}

int fl_device_wait_interrupt(fl_device* device, unsigned vector, uint32_t timeout_ms) {
    bool came = false;
    const int status =
        guard([&] { came = device_of(device).wait_interrupt(vector, std::chrono::milliseconds(timeout_ms)); });
    if (status != 0 || came) return status;
    return farlane::c_api::fail(Status::timeout, "no interrupt within the time given");
}

int fl_device_reset(fl_device* device) {
    return guard([&] { device_of(device).reset(); });
}

int fl_device_acknowledge_reset(fl_device* device) {
    return guard([&] { device_of(device).acknowledge_reset(); });
}

int fl_device_progress(fl_device* device, uint32_t timeout_us) {
    return guard([&] { device_of(device).progress(std::chrono::microseconds(timeout_us)); });
}

int fl_buffer_allocate(fl_device* device, size_t bytes, fl_buffer** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        if (bytes == 0) throw Error(Status::invalid, "bytes: must not be 0");
        *out = std::make_unique<fl_buffer>(fl_buffer{device_of(device).domain().allocate(bytes)}).release();
    });
}

void fl_buffer_free(fl_buffer* buffer) {
    delete buffer;
}

void* fl_buffer_data(const fl_buffer* buffer) {
    return buffer != nullptr ? buffer->buffer.data() : nullptr;
}

size_t fl_buffer_bytes(const fl_buffer* buffer) {
    return buffer != nullptr ? buffer->buffer.size() : 0;
}

int fl_buffer_huge_pages(const fl_buffer* buffer) {
    return buffer != nullptr && buffer->buffer.huge_pages() ? 1 : 0;
}

int fl_buffer_map(fl_device* device, const fl_buffer* buffer, size_t offset, size_t bytes, uint32_t direction,
                  fl_mapping** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        need(buffer, "buffer");
        if (direction < FL_DMA_TO_DEVICE || direction > FL_DMA_BIDIRECTIONAL)
            throw Error(Status::invalid, "direction: FL_DMA_*");
        farlane::Domain& domain = device_of(device).domain();
        *out = std::make_unique<fl_mapping>(
                   fl_mapping{domain.map(buffer->buffer, offset, bytes, static_cast<farlane::DmaDirection>(direction))})
                   .release();
    });
}

int fl_memory_map(fl_device* device, void* memory, size_t bytes, uint32_t direction, fl_mapping** out) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        need(memory, "memory");
        if (direction < FL_DMA_TO_DEVICE || direction > FL_DMA_BIDIRECTIONAL)
            throw Error(Status::invalid, "direction: FL_DMA_*");
        const std::span<std::byte> own(static_cast<std::byte*>(memory), bytes);
        auto mapping = device_of(device).domain().map(own, static_cast<farlane::DmaDirection>(direction));
        *out = std::make_unique<fl_mapping>(fl_mapping{std::move(mapping)}).release();
    });
}

uint64_t fl_mapping_iova(const fl_mapping* mapping) {
    return mapping != nullptr ? mapping->mapping.iova() : 0;
}

int fl_mapping_unmap(fl_mapping* mapping) {
    if (mapping == nullptr) return 0;
    const std::unique_ptr<fl_mapping> gone(mapping);
    return guard([&] { gone->mapping.unmap(); });
}

}  // extern "C"

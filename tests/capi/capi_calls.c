/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: a fabric with a scratch device. Hands on: complaints. Owns: what it opens.
 * Written in C: that it compiles is a part of the test.
 */
#include <farlane/farlane.h>

#include <errno.h>
#include <string.h>

#include "capi/capi_calls.h"
#include "capi/capi_check.h"

static fl_fabric *open_fabric(const char *port, capi_complain complain)
{
	struct fl_fabric_options options;
	fl_fabric *fabric = NULL;

	fl_fabric_options_init(&options);
	options.provider = FL_PROVIDER_EMBEDDED;
	options.port = port;
	options.name = "capi";
	options.connect_timeout_ms = 20000;
	CHECK_STATUS(fl_fabric_open(&options, &fabric), 0);
	return fabric;
}

void capi_status(capi_complain complain)
{
	CHECK(strcmp(fl_status_name(FL_STATUS_OUT_OF_BOUNDS), "out_of_bounds") == 0);
	CHECK(strcmp(fl_status_name(0), "ok") == 0);
	CHECK(strcmp(fl_status_name(-1), "unknown") == 0);
	CHECK(strcmp(fl_status_name(1 << 20), "unknown") == 0);
	CHECK(fl_status_errno(FL_STATUS_BUSY) == EBUSY);
	CHECK(fl_status_errno(0) == 0);
	CHECK(fl_status_errno(999) == EPROTO);
	CHECK(strlen(fl_status_text(FL_STATUS_TIMEOUT)) > 0);
	CHECK(strlen(fl_version()) > 0);
	CHECK(strcmp(fl_event_kind_name(FL_EV_LINK_DOWN), "link_down") == 0);
	CHECK(strcmp(fl_event_kind_name(FL_EV_PATH_DOWN), "path_down") == 0);
	CHECK(strcmp(fl_event_kind_name(12345), "unknown") == 0);
}

/* Null handles and pointers give INVALID, never a crash. */
void capi_arguments(capi_complain complain)
{
	struct fl_function_info info;
	struct fl_event_info event;
	fl_buffer *buffer = NULL;
	fl_mapping *mapping = NULL;
	fl_device *device = NULL;
	uint64_t value64;
	uint32_t value;
	size_t count;
	int fd;

	CHECK_STATUS(fl_fabric_open(NULL, NULL), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "out") != NULL);
	CHECK_STATUS(fl_fabric_list(NULL, NULL, 0, &count), FL_STATUS_INVALID);
	CHECK_STATUS(fl_fabric_attach(NULL, "x", &device), FL_STATUS_INVALID);
	CHECK_STATUS(fl_fabric_next_event(NULL, 0, &event), FL_STATUS_INVALID);
	CHECK_STATUS(fl_fabric_poll(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_info(NULL, &info), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_config_read(NULL, 0, 4, &value), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_config_write(NULL, 0, 4, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_enable(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_read32(NULL, 0, 0, &value), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_read64(NULL, 0, 0, &value64), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_write32(NULL, 0, 0, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_write64(NULL, 0, 0, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_read(NULL, 0, 0, &value, 4), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_write(NULL, 0, 0, &value, 4, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_write_from(NULL, 0, 0, NULL, 0, 4), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_flush(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_enable_interrupts(NULL, 1), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_interrupt_fd(NULL, 0, &fd), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_wait_interrupt(NULL, 0, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_reset(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_acknowledge_reset(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_progress(NULL, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_buffer_allocate(NULL, 4096, &buffer), FL_STATUS_INVALID);
	CHECK_STATUS(fl_buffer_map(NULL, NULL, 0, 1, FL_DMA_TO_DEVICE, &mapping), FL_STATUS_INVALID);
	CHECK_STATUS(fl_memory_map(NULL, NULL, 1, FL_DMA_TO_DEVICE, &mapping), FL_STATUS_INVALID);
	CHECK(fl_buffer_data(NULL) == NULL && fl_buffer_bytes(NULL) == 0 && fl_buffer_huge_pages(NULL) == 0);
	CHECK(fl_mapping_iova(NULL) == 0);
	fl_fabric_options_init(NULL);
	fl_fabric_close(NULL);
	fl_buffer_free(NULL);
	CHECK_STATUS(fl_device_detach(NULL), 0);
	CHECK_STATUS(fl_mapping_unmap(NULL), 0);
}

void capi_open_errors(capi_complain complain)
{
	struct fl_fabric_options options;
	fl_fabric *fabric = (fl_fabric *)&options; /* must be set to null */

	memset(&options, 0, sizeof options);
	CHECK_STATUS(fl_fabric_open(&options, &fabric), FL_STATUS_INVALID);
	CHECK(fabric == NULL);
	CHECK(strstr(fl_last_error(), "fl_fabric_options_init") != NULL);
	fl_fabric_options_init(&options);
	options.provider = 17;
	CHECK_STATUS(fl_fabric_open(&options, &fabric), FL_STATUS_INVALID);
	fl_fabric_options_init(&options);
	options.socket = "/nonexistent/farlane.sock";
	CHECK_STATUS(fl_fabric_open(&options, &fabric), FL_STATUS_UNREACHABLE);
	CHECK(strstr(fl_last_error(), "/nonexistent/farlane.sock") != NULL);
	fl_fabric_options_init(&options);
	options.provider = FL_PROVIDER_EMBEDDED;
	options.port = "carrier-pigeon:";
	CHECK_STATUS(fl_fabric_open(&options, &fabric), FL_STATUS_INVALID);
	CHECK(fabric == NULL);
}

void capi_list_and_attach(const char *port, const struct scratch_layout *s, capi_complain complain)
{
	struct fl_function_info info[4];
	struct fl_event_info event;
	fl_device *device = NULL, *other = NULL;
	fl_fabric *fabric = open_fabric(port, complain);
	size_t count = 0;
	int status;

	if (!fabric)
		return;
	CHECK_STATUS(fl_fabric_list(fabric, NULL, 0, &count), 0);
	CHECK(count == 1);
	CHECK_STATUS(fl_fabric_list(fabric, info, 4, &count), 0);
	CHECK(count == 1 && strcmp(info[0].name, "scratch0") == 0);
	CHECK(info[0].bar[0].size_bytes == s->bar0_bytes && info[0].bar[2].size_bytes == s->bar2_bytes);
	CHECK(info[0].bar[2].is_64bit == 1 && info[0].state == FL_STATE_FREE);
	CHECK_STATUS(fl_fabric_attach(fabric, "nothing", &device), FL_STATUS_NOT_FOUND);
	CHECK(device == NULL && strstr(fl_last_error(), "nothing") != NULL);
	CHECK_STATUS(fl_fabric_attach(fabric, "scratch0", &device), 0);
	if (!device) {
		fl_fabric_close(fabric);
		return;
	}
	CHECK_STATUS(fl_device_info(device, &info[1]), 0);
	CHECK(info[1].msix_vectors == s->vectors);
	CHECK_STATUS(fl_fabric_attach(fabric, "scratch0", &other), FL_STATUS_BUSY);
	/* Whatever events came, the last word is TIMEOUT. */
	do
		status = fl_fabric_next_event(fabric, 0, &event);
	while (status == 0);
	CHECK(status == FL_STATUS_TIMEOUT);
	CHECK_STATUS(fl_device_detach(device), 0);
	fl_fabric_close(fabric);
}

void capi_registers(const char *port, const struct scratch_layout *s, capi_complain complain)
{
	fl_fabric *fabric = open_fabric(port, complain);
	fl_device *device = NULL;
	unsigned char out[1000], in[1000];
	uint64_t value64 = 0;
	uint32_t value = 0;
	size_t i;

	if (!fabric)
		return;
	CHECK_STATUS(fl_fabric_attach(fabric, "scratch0", &device), 0);
	if (!device) {
		fl_fabric_close(fabric);
		return;
	}
	CHECK_STATUS(fl_device_config_read(device, 0, 2, &value), 0);
	CHECK(value == 0x1d1d);
	CHECK_STATUS(fl_device_config_read(device, 0, 3, &value), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_config_write(device, 4, 1, 0x100), FL_STATUS_INVALID);
	CHECK_STATUS(fl_device_enable(device), 0);
	CHECK_STATUS(fl_device_config_read(device, 4, 2, &value), 0);
	CHECK((value & 6) == 6);
	CHECK_STATUS(fl_device_read64(device, 0, s->ident, &value64), 0);
	CHECK(value64 == s->ident_value);
	CHECK_STATUS(fl_device_read32(device, 0, s->ident, &value), 0);
	CHECK(value == (uint32_t)s->ident_value);
	CHECK_STATUS(fl_device_write64(device, 0, s->scratch, 0x1122334455667788u), 0);
	CHECK_STATUS(fl_device_write32(device, 0, s->scratch, 0xa5a5a5a5u), 0);
	CHECK_STATUS(fl_device_read64(device, 0, s->scratch, &value64), 0);
	CHECK((uint32_t)value64 == 0xa5a5a5a5u);
	CHECK_STATUS(fl_device_read64(device, 0, s->bar0_bytes, &value64), FL_STATUS_OUT_OF_BOUNDS);
	CHECK_STATUS(fl_device_read64(device, 0, 4, &value64), FL_STATUS_INVALID);
	for (i = 0; i < sizeof out; i++)
		out[i] = (unsigned char)(i * 7);
	CHECK_STATUS(fl_device_write(device, 2, 64, out, sizeof out, 1), 0);
	CHECK_STATUS(fl_device_flush(device), 0);
	CHECK_STATUS(fl_device_read(device, 2, 64, in, sizeof in), 0);
	CHECK(memcmp(in, out, sizeof in) == 0);
	CHECK_STATUS(fl_device_reset(device), FL_STATUS_UNSUPPORTED); /* the scratch device has no FLR */
	CHECK_STATUS(fl_device_detach(device), 0);
	fl_fabric_close(fabric);
}

/* Asks the scratch device for a transfer and waits until it is done. go: 1 = to host, 2 = from host. */
static void transfer(fl_device *device, const struct scratch_layout *s, uint64_t go, uint64_t iova, uint64_t bytes,
		     capi_complain complain)
{
	uint64_t before = 0, now = 0;

	CHECK_STATUS(fl_device_read64(device, 0, s->done, &before), 0);
	CHECK_STATUS(fl_device_write64(device, 0, s->iova, iova), 0);
	CHECK_STATUS(fl_device_write64(device, 0, s->length, bytes), 0);
	CHECK_STATUS(fl_device_write64(device, 0, s->memory, 0), 0);
	CHECK_STATUS(fl_device_write64(device, 0, s->go, go), 0);
	do {
		if (fl_device_read64(device, 0, s->done, &now) != 0) {
			complain(__FILE__, __LINE__, "the device went away");
			return;
		}
	} while (now == before);
}

void capi_dma(const char *port, const struct scratch_layout *s, capi_complain complain)
{
	fl_fabric *fabric = open_fabric(port, complain);
	fl_device *device = NULL;
	fl_buffer *buffer = NULL;
	fl_mapping *mapping = NULL;
	unsigned char pattern[512], own[600] = {0};
	uint64_t refused = 0;
	unsigned char *data;
	int fd = -1;
	size_t i;

	if (!fabric)
		return;
	CHECK_STATUS(fl_fabric_attach(fabric, "scratch0", &device), 0);
	if (!device) {
		fl_fabric_close(fabric);
		return;
	}
	CHECK_STATUS(fl_device_enable(device), 0);
	CHECK_STATUS(fl_buffer_allocate(device, 0, &buffer), FL_STATUS_INVALID);
	CHECK_STATUS(fl_buffer_allocate(device, 8192, &buffer), 0);
	CHECK(fl_buffer_bytes(buffer) >= 8192);
	data = fl_buffer_data(buffer);
	CHECK_STATUS(fl_buffer_map(device, buffer, 8192, fl_buffer_bytes(buffer), FL_DMA_FROM_DEVICE, &mapping),
		     FL_STATUS_OUT_OF_BOUNDS);
	CHECK_STATUS(fl_buffer_map(device, buffer, 0, 512, 0, &mapping), FL_STATUS_INVALID);
	CHECK_STATUS(fl_buffer_map(device, buffer, 4096, 512, FL_DMA_FROM_DEVICE, &mapping), 0);
	CHECK(fl_mapping_iova(mapping) != 0);
	for (i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(i ^ 0x5a);
	CHECK_STATUS(fl_device_write(device, 2, 0, pattern, sizeof pattern, 0), 0);

	CHECK_STATUS(fl_device_enable_interrupts(device, s->vectors + 1), FL_STATUS_LIMIT);
	CHECK_STATUS(fl_device_enable_interrupts(device, 1), 0);
	CHECK_STATUS(fl_device_interrupt_fd(device, 0, &fd), 0);
	CHECK(fd >= 0);
	transfer(device, s, 1, fl_mapping_iova(mapping), sizeof pattern, complain);
	CHECK(memcmp(data + 4096, pattern, sizeof pattern) == 0);
	CHECK(data[4095] == 0 && data[4096 + 512] == 0); /* byte-exact */
	CHECK_STATUS(fl_device_write64(device, 0, s->go, 3), 0); /* interrupt only */
	CHECK_STATUS(fl_device_wait_interrupt(device, 0, 20000), 0);

	/* The device may write this mapping, not read it; and nothing once it is gone. */
	transfer(device, s, 2, fl_mapping_iova(mapping), sizeof pattern, complain);
	CHECK_STATUS(fl_device_read64(device, 0, s->refused, &refused), 0);
	CHECK(refused > 0);
	CHECK_STATUS(fl_mapping_unmap(mapping), 0);

	/* Memory of the program itself. */
	CHECK_STATUS(fl_memory_map(device, own, 0, FL_DMA_FROM_DEVICE, &mapping), FL_STATUS_INVALID);
	CHECK_STATUS(fl_memory_map(device, own, sizeof own, 9, &mapping), FL_STATUS_INVALID);
	CHECK_STATUS(fl_memory_map(device, own + 1, sizeof pattern, FL_DMA_FROM_DEVICE, &mapping), 0);
	transfer(device, s, 1, fl_mapping_iova(mapping), sizeof pattern, complain);
	CHECK(memcmp(own + 1, pattern, sizeof pattern) == 0);
	CHECK(own[0] == 0 && own[1 + sizeof pattern] == 0);
	CHECK_STATUS(fl_mapping_unmap(mapping), 0);
	fl_buffer_free(buffer);
	CHECK_STATUS(fl_device_detach(device), 0);
	fl_fabric_close(fabric);
}

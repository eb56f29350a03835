/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: a fabric with an accelerator. Hands on: complaints. Owns: what it opens.
 * Written in C: that it compiles is a part of the test.
 */
#include <farlane/accel.h>

#include <string.h>

#include "capi/capi_calls.h"
#include "capi/capi_check.h"

#define COUNT 1000

/* Null handles and pointers give INVALID, never a crash. */
void capi_accel_arguments(capi_complain complain)
{
	struct fl_accel_view none = fl_accel_whole(NULL);
	struct fl_accel_properties properties;
	fl_accel_context *context;
	fl_accel_stream *stream;
	fl_accel_buffer *buffer;
	fl_accel_event *event;
	fl_accel_host *host;
	char byte = 0;
	int64_t ns;
	int done;

	CHECK(none.buffer == NULL && none.bytes == 0);
	CHECK(fl_accel_is_accelerator(NULL) == 0);
	CHECK_STATUS(fl_accel_open(NULL, NULL, &context), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_get_properties(NULL, &properties), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_context_synchronize(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_allocate(NULL, 1, &buffer), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_allocate_host(NULL, 1, &host), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_stream_create(NULL, &stream), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_event_create(NULL, &event), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_synchronize(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_query(NULL, &done), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_ping(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_upload(NULL, none, &byte), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_upload_host(NULL, none, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_download(NULL, none, &byte), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_download_host(NULL, none, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_fill(NULL, none, &byte, 1), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_copy(NULL, none, none), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_axpy(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_gemm(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_reduce(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_conv2d_f32(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_conv2d_rgba8(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_sha256(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch_copy_rows(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_record(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_wait(NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_event_query(NULL, &done), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_event_synchronize(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_elapsed_ns(NULL, NULL, &ns), FL_STATUS_INVALID);
	fl_accel_close(NULL);
	fl_accel_free(NULL);
	fl_accel_free_host(NULL);
	fl_accel_stream_destroy(NULL);
	fl_accel_event_destroy(NULL);
	CHECK(fl_accel_default_stream(NULL) == NULL && fl_accel_host_data(NULL) == NULL);
}

static void memory_and_copies(fl_accel_context *context, fl_accel_stream *stream, capi_complain complain)
{
	fl_accel_buffer *a = NULL, *b = NULL;
	fl_accel_host *host = NULL;
	unsigned char out[COUNT], in[COUNT];
	struct fl_accel_view part;
	uint32_t pattern = 0x04030201;
	size_t i;

	CHECK_STATUS(fl_accel_allocate(context, 0, &a), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_allocate(context, COUNT, &a), 0);
	CHECK_STATUS(fl_accel_allocate(context, COUNT, &b), 0);
	CHECK_STATUS(fl_accel_allocate_host(context, COUNT, &host), 0);
	CHECK(fl_accel_buffer_bytes(a) >= COUNT && fl_accel_buffer_address(a) != fl_accel_buffer_address(b));
	CHECK(fl_accel_host_bytes(host) == COUNT);
	for (i = 0; i < COUNT; i++)
		out[i] = (unsigned char)(i * 11 + 3);
	part = (struct fl_accel_view){ a, 0, COUNT };
	CHECK_STATUS(fl_accel_upload(stream, part, out), 0);
	CHECK_STATUS(fl_accel_copy(stream, (struct fl_accel_view){ b, 0, COUNT }, part), 0);
	CHECK_STATUS(fl_accel_download(stream, (struct fl_accel_view){ b, 0, COUNT }, in), 0);
	CHECK(memcmp(in, out, COUNT) == 0);

	memcpy(fl_accel_host_data(host), out, COUNT);
	CHECK_STATUS(fl_accel_fill(stream, (struct fl_accel_view){ b, 0, 400 }, &pattern, 4), 0);
	CHECK_STATUS(fl_accel_fill(stream, (struct fl_accel_view){ b, 0, 400 }, &pattern, 3), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_upload_host(stream, part, host), 0);
	CHECK_STATUS(fl_accel_synchronize(stream), 0);
	CHECK_STATUS(fl_accel_download_host(stream, (struct fl_accel_view){ b, 0, COUNT }, host), 0);
	CHECK_STATUS(fl_accel_synchronize(stream), 0);
	CHECK(memcmp(fl_accel_host_data(host), "\1\2\3\4\1\2\3\4", 8) == 0);
	CHECK(memcmp((char *)fl_accel_host_data(host) + 400, out + 400, COUNT - 400) == 0);

	part.offset_bytes = fl_accel_buffer_bytes(a);
	part.bytes = 1;
	CHECK_STATUS(fl_accel_upload(stream, part, out), FL_STATUS_OUT_OF_BOUNDS);
	part.offset_bytes = UINT64_MAX;
	CHECK_STATUS(fl_accel_download(stream, part, in), FL_STATUS_OUT_OF_BOUNDS);
	fl_accel_free_host(host);
	fl_accel_free(b);
	fl_accel_free(a);
}

static void kernels(fl_accel_context *context, fl_accel_stream *stream, capi_complain complain)
{
	static const unsigned char sha_of_abc[4] = { 0xba, 0x78, 0x16, 0xbf };
	float x[6] = { 1, 2, 3, 4, 5, 6 }, y[4] = { 0, 0, 0, 0 }, sum = 0;
	struct fl_accel_axpy axpy = { .a = 2 };
	struct fl_accel_gemm gemm = { .m = 2, .n = 2, .k = 3, .alpha = 1, .transpose_b = 1 };
	struct fl_accel_reduce reduce = { .operation = FL_ACCEL_SUM };
	struct fl_accel_sha256 sha = { .message_bytes = 3 };
	fl_accel_buffer *bx = NULL, *by = NULL, *bz = NULL;
	unsigned char digest[32];

	CHECK_STATUS(fl_accel_allocate(context, sizeof x, &bx), 0);
	CHECK_STATUS(fl_accel_allocate(context, sizeof x, &by), 0);
	CHECK_STATUS(fl_accel_allocate(context, 64, &bz), 0);
	CHECK_STATUS(fl_accel_upload(stream, (struct fl_accel_view){ bx, 0, sizeof x }, x), 0);
	CHECK_STATUS(fl_accel_upload(stream, (struct fl_accel_view){ by, 0, sizeof x }, x), 0);

	/* y = 2x + x = 3x; the sum of 1..6 is 21. */
	axpy.x = (struct fl_accel_view){ bx, 0, sizeof x };
	axpy.y = (struct fl_accel_view){ by, 0, sizeof x };
	CHECK_STATUS(fl_accel_launch_axpy(stream, &axpy), 0);
	reduce.x = axpy.y;
	reduce.result = (struct fl_accel_view){ bz, 0, 4 };
	CHECK_STATUS(fl_accel_launch_reduce(stream, &reduce), 0);
	CHECK_STATUS(fl_accel_download(stream, reduce.result, &sum), 0);
	CHECK(sum == 63);
	reduce.operation = 9;
	CHECK_STATUS(fl_accel_launch_reduce(stream, &reduce), FL_STATUS_INVALID);
	axpy.x.offset_bytes = 2;
	axpy.x.bytes = 4;
	CHECK_STATUS(fl_accel_launch_axpy(stream, &axpy), FL_STATUS_INVALID);

	/* [1 2 3; 4 5 6] times its transposed. */
	gemm.a = gemm.b = (struct fl_accel_view){ bx, 0, sizeof x };
	gemm.c = (struct fl_accel_view){ bz, 0, sizeof y };
	CHECK_STATUS(fl_accel_launch_gemm(stream, &gemm), 0);
	CHECK_STATUS(fl_accel_download(stream, gemm.c, y), 0);
	CHECK(y[0] == 14 && y[1] == 32 && y[2] == 32 && y[3] == 77);

	CHECK_STATUS(fl_accel_upload(stream, (struct fl_accel_view){ bx, 0, 3 }, "abc"), 0);
	sha.messages = (struct fl_accel_view){ bx, 0, 3 };
	sha.digests = (struct fl_accel_view){ bz, 32, 32 };
	CHECK_STATUS(fl_accel_launch_sha256(stream, &sha), 0);
	CHECK_STATUS(fl_accel_download(stream, sha.digests, digest), 0);
	CHECK(memcmp(digest, sha_of_abc, sizeof sha_of_abc) == 0);
	fl_accel_free(bz);
	fl_accel_free(by);
	fl_accel_free(bx);
}

static void streams_and_events(fl_accel_context *context, fl_accel_stream *stream, capi_complain complain)
{
	fl_accel_event *from = NULL, *to = NULL;
	fl_accel_stream *second = NULL;
	int64_t ns = -1;
	int done = 0;

	CHECK_STATUS(fl_accel_event_create(context, &from), 0);
	CHECK_STATUS(fl_accel_event_create(context, &to), 0);
	CHECK_STATUS(fl_accel_stream_create(context, &second), 0);
	CHECK_STATUS(fl_accel_wait(second, from), FL_STATUS_INVALID); /* never recorded */
	CHECK_STATUS(fl_accel_record(stream, from), 0);
	CHECK_STATUS(fl_accel_wait(second, from), 0);
	CHECK_STATUS(fl_accel_record(second, to), 0);
	CHECK_STATUS(fl_accel_event_synchronize(to), 0);
	CHECK_STATUS(fl_accel_event_query(from, &done), 0);
	CHECK(done == 1);
	CHECK_STATUS(fl_accel_elapsed_ns(from, to, &ns), 0);
	CHECK(ns >= 0);
	CHECK_STATUS(fl_accel_ping(stream), 0);
	CHECK_STATUS(fl_accel_query(stream, &done), 0);
	CHECK(done == 1);
	CHECK_STATUS(fl_accel_context_synchronize(context), 0);
	fl_accel_stream_destroy(second);
	fl_accel_event_destroy(to);
	fl_accel_event_destroy(from);
}

void capi_accel_work(const char *port, capi_complain complain)
{
	struct fl_accel_properties properties;
	struct fl_function_info info;
	struct fl_fabric_options options;
	fl_accel_context *context = NULL;
	fl_fabric *fabric = NULL;
	fl_device *device = NULL;
	fl_accel_stream *stream;

	fl_fabric_options_init(&options);
	options.provider = FL_PROVIDER_EMBEDDED;
	options.port = port;
	options.connect_timeout_ms = 20000;
	CHECK_STATUS(fl_fabric_open(&options, &fabric), 0);
	CHECK_STATUS(fl_fabric_attach(fabric, "accel0", &device), 0);
	CHECK_STATUS(fl_device_info(device, &info), 0);
	CHECK(fl_accel_is_accelerator(&info) == 1);
	info.class_code = 0x010802;
	CHECK(fl_accel_is_accelerator(&info) == 0);
	CHECK_STATUS(fl_accel_open(device, NULL, &context), 0);
	if (context) {
		stream = fl_accel_default_stream(context);
		CHECK_STATUS(fl_accel_get_properties(context, &properties), 0);
		CHECK(strcmp(properties.executor, "cpu") == 0 && properties.memory_bytes > 0);
		memory_and_copies(context, stream, complain);
		kernels(context, stream, complain);
		streams_and_events(context, stream, complain);
		fl_accel_stream_destroy(stream); /* does nothing: it is the context's */
		fl_accel_close(context);
	}
	CHECK_STATUS(fl_device_detach(device), 0);
	fl_fabric_close(fabric);
}

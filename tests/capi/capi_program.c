/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: a fabric with an accelerator that takes programs. Hands on: complaints. Owns: what it opens.
 * Written in C: that it compiles is a part of the test.
 */
#include <farlane/accel.h>

#include <pthread.h>
#include <string.h>

#include "capi/capi_calls.h"
#include "capi/capi_check.h"

#define COUNT 1000

void capi_program_arguments(capi_complain complain)
{
	struct fl_accel_kernel_info info;
	struct fl_accel_argument_info argument;
	fl_accel_program *program;
	fl_accel_kernel *kernel;
	char text[8];
	int done;

	CHECK(fl_accel_takes(NULL, FL_ACCEL_PROGRAM_OPENCL_C) == 0);
	CHECK_STATUS(fl_accel_load(NULL, FL_ACCEL_PROGRAM_PTX, "x", 1, NULL, NULL, &program), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_load_file(NULL, "x.cl", NULL, &program), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_program_query(NULL, &done), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_program_wait(NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_program_log(NULL, text, sizeof text, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_program_kernels(NULL, text, sizeof text, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_kernel_create(NULL, "x", &kernel), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_kernel_get_info(NULL, &info), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_kernel_get_argument(NULL, 0, &argument), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch(NULL, NULL, NULL, NULL, 0), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_on_complete(NULL, NULL, NULL), FL_STATUS_INVALID);
	fl_accel_unload(NULL);
	fl_accel_kernel_destroy(NULL);
}

static void launches(fl_accel_context *context, fl_accel_program *program, capi_complain complain)
{
	fl_accel_stream *stream = fl_accel_default_stream(context);
	struct fl_accel_shape shape = { 1, 0, { COUNT, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } };
	struct fl_accel_arg arguments[3];
	struct fl_accel_kernel_info info;
	struct fl_accel_argument_info argument;
	fl_accel_kernel *scale = NULL, *missing = NULL;
	fl_accel_buffer *x = NULL;
	float values[COUNT], factor = 3;
	uint32_t count = COUNT;
	int i;

	for (i = 0; i < COUNT; i++)
		values[i] = (float)i;
	CHECK_STATUS(fl_accel_kernel_create(program, "scale", &scale), 0);
	CHECK_STATUS(fl_accel_allocate(context, sizeof values, &x), 0);
	CHECK_STATUS(fl_accel_upload(stream, fl_accel_whole(x), values), 0);
	arguments[0] = fl_accel_arg_buffer(x);
	arguments[1] = fl_accel_arg_value(&factor, sizeof factor);
	arguments[2] = fl_accel_arg_value(&count, sizeof count);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), 0);
	CHECK_STATUS(fl_accel_download(stream, fl_accel_whole(x), values), 0);
	for (i = 0; i < COUNT; i++)
		CHECK(values[i] == 3.0f * (float)i);

	CHECK_STATUS(fl_accel_kernel_get_info(scale, &info), 0);
	CHECK(info.argument_count == 3 && info.known_arguments == 3 && info.max_block == 256);
	CHECK_STATUS(fl_accel_kernel_get_argument(scale, 2, &argument), 0);
	CHECK(argument.kind == FL_ACCEL_ARG_VALUE && argument.bytes == 4 && strcmp(argument.name, "n") == 0);
	CHECK_STATUS(fl_accel_kernel_get_argument(scale, 3, &argument), FL_STATUS_OUT_OF_BOUNDS);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 2), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "'scale'") != NULL && strstr(fl_last_error(), "takes 3") != NULL);
	arguments[1] = fl_accel_arg_shared(64);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "argument 1 'a'") != NULL);
	arguments[1].kind = 77;
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), FL_STATUS_INVALID);
	arguments[1] = fl_accel_arg_value(NULL, 4);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), FL_STATUS_INVALID);
	arguments[1] = fl_accel_arg_value(&factor, UINT64_MAX); /* not even looked at */
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "argument 1") != NULL && strstr(fl_last_error(), "4032") != NULL);
	arguments[1] = fl_accel_arg_value(NULL, 0);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, SIZE_MAX), FL_STATUS_INVALID);
	arguments[0] = fl_accel_arg_buffer(NULL);
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 3), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "argument 0.buffer") != NULL);
	arguments[0] = fl_accel_arg_buffer(x);
	shape.dimensions = 4;
	CHECK_STATUS(fl_accel_launch(stream, scale, &shape, arguments, 1), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "shape.dimensions 4") != NULL);
	CHECK_STATUS(fl_accel_kernel_create(program, "nothing", &missing), FL_STATUS_NOT_FOUND);
	CHECK(missing == NULL && strstr(fl_last_error(), "scale") != NULL);
	CHECK_STATUS(fl_accel_synchronize(stream), 0);
	fl_accel_free(x);
	fl_accel_kernel_destroy(scale);
}

static void programs_that_do_not_compile(fl_accel_context *context, capi_complain complain)
{
	static const char source[] = "error: no such thing\n";
	fl_accel_program *program = NULL;
	char text[16];
	size_t bytes = 0;

	CHECK_STATUS(fl_accel_load(context, FL_ACCEL_PROGRAM_OPENCL_C, source, sizeof source - 1, "-w", "bad.cl", &program),
		     0);
	CHECK_STATUS(fl_accel_program_wait(program), FL_STATUS_INVALID);
	CHECK(strstr(fl_last_error(), "'bad.cl'") != NULL && strstr(fl_last_error(), "no such thing") != NULL);
	CHECK_STATUS(fl_accel_program_log(program, text, sizeof text, &bytes), 0);
	CHECK(bytes == strlen("options: -w\nerror: no such thing") && strlen(text) == sizeof text - 1);
	CHECK_STATUS(fl_accel_program_log(program, NULL, 0, &bytes), 0);
	CHECK_STATUS(fl_accel_program_kernels(program, text, sizeof text, NULL), FL_STATUS_INVALID);
	fl_accel_unload(program);
	CHECK_STATUS(fl_accel_load(context, FL_ACCEL_PROGRAM_CUBIN, source, 1, NULL, NULL, &program), FL_STATUS_UNSUPPORTED);
	CHECK_STATUS(fl_accel_load(context, 1, source, 1, NULL, NULL, &program), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_load(context, FL_ACCEL_PROGRAM_OPENCL_C, source, 0, NULL, NULL, &program), FL_STATUS_INVALID);
	CHECK(program == NULL && fl_accel_takes(context, FL_ACCEL_PROGRAM_OPENCL_C) == 1);
	CHECK_STATUS(fl_accel_load_file(context, "/nowhere/a.cl", NULL, &program), FL_STATUS_NOT_FOUND);
}

/* However long: who looks for the line that is wrong must find it. Cut texts end with a whole letter. */
static void long_logs(fl_accel_context *context, capi_complain complain)
{
	static char source[8192];
	fl_accel_program *program = NULL;
	char text[7];
	size_t at;

	for (at = 0; at + 16 < sizeof source - 16; at += 16)
		memcpy(source + at, "error: \xc3\xa4\xc3\xa4wxyz\n", 16);
	memcpy(source + at, "error: last\n", 12);
	CHECK_STATUS(fl_accel_load(context, FL_ACCEL_PROGRAM_OPENCL_C, source, at + 12, NULL, "long.cl", &program), 0);
	CHECK_STATUS(fl_accel_program_wait(program), FL_STATUS_INVALID);
	CHECK(strlen(fl_last_error()) > 8000 && strstr(fl_last_error(), "error: last") != NULL);
	CHECK_STATUS(fl_accel_program_log(program, text, sizeof text, NULL), 0);
	CHECK(strcmp(text, "error:") == 0);
	fl_accel_unload(program);
	CHECK_STATUS(fl_accel_load(context, FL_ACCEL_PROGRAM_OPENCL_C, "x\xc3\xa4\xc3\xa4\xc3\xa4", 7, NULL, NULL, &program), 0);
	CHECK_STATUS(fl_accel_program_log(program, text, sizeof text, NULL), 0);
	CHECK(strcmp(text, "x\xc3\xa4\xc3\xa4") == 0); /* six bytes would end in half an a-umlaut */
	CHECK_STATUS(fl_accel_program_wait(program), FL_STATUS_INVALID);
	fl_accel_unload(program);
}

struct called {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int count, status;
};

static void call(int status, void *user)
{
	struct called *c = user;

	pthread_mutex_lock(&c->mutex);
	c->count++;
	c->status = status;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

static void callbacks(fl_accel_context *context, capi_complain complain)
{
	struct called c = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, -1 };
	fl_accel_stream *stream = fl_accel_default_stream(context);

	CHECK_STATUS(fl_accel_on_complete(stream, NULL, NULL), FL_STATUS_INVALID);
	CHECK_STATUS(fl_accel_on_complete(stream, call, &c), 0);
	pthread_mutex_lock(&c.mutex);
	while (c.count == 0)
		pthread_cond_wait(&c.changed, &c.mutex);
	CHECK(c.count == 1 && c.status == 0);
	pthread_mutex_unlock(&c.mutex);
}

void capi_program_work(const char *port, capi_complain complain)
{
	static const char source[] = "scale\nadd\n";
	struct fl_accel_properties properties;
	struct fl_fabric_options options;
	fl_accel_context *context = NULL;
	fl_accel_program *program = NULL;
	fl_fabric *fabric = NULL;
	fl_device *device = NULL;
	char names[32];
	int done = 0;

	fl_fabric_options_init(&options);
	options.provider = FL_PROVIDER_EMBEDDED;
	options.port = port;
	options.connect_timeout_ms = 20000;
	CHECK_STATUS(fl_fabric_open(&options, &fabric), 0);
	CHECK_STATUS(fl_fabric_attach(fabric, "accel0", &device), 0);
	CHECK_STATUS(fl_accel_open(device, NULL, &context), 0);
	CHECK_STATUS(fl_accel_load(context, FL_ACCEL_PROGRAM_OPENCL_C, source, sizeof source - 1, NULL, NULL, &program), 0);
	launches(context, program, complain);
	CHECK_STATUS(fl_accel_program_query(program, &done), 0);
	CHECK(done == 1);
	CHECK_STATUS(fl_accel_program_kernels(program, names, sizeof names, NULL), 0);
	CHECK(strcmp(names, "scale;add") == 0);
	fl_accel_unload(program);
	programs_that_do_not_compile(context, complain);
	long_logs(context, complain);
	callbacks(context, complain);
	CHECK_STATUS(fl_accel_get_properties(context, &properties), 0);
	CHECK(strcmp(properties.device_name, "fake") == 0 && strcmp(properties.vendor, "nobody") == 0);
	CHECK(properties.has_energy == 1 && properties.energy_uj == 4711 && properties.time_limit_ms == 1234);
	fl_accel_close(context);
	CHECK_STATUS(fl_device_detach(device), 0);
	fl_fabric_close(fabric);
}

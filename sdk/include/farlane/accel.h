/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: calls of C programs about accelerators. Hands on: the same to farlane::accel (accel.hpp),
 * whose rules hold here, too. Owns: the handles until they are given back.
 *
 * Conventions are those of farlane.h. In addition:
 * - A context and all that was made from it belong to one thread at a time.
 * - Handles are given back in reverse order: events, streams and buffers before their context, the context
 *   before its device.
 * - Every call on a stream but the synchronize, ping, query and fl_accel_download functions returns before
 *   its work is done. Errors of commands are returned by whatever waits next for the stream, with the status of
 *   the first command that failed and a text that names it. Argument errors are returned at once: INVALID,
 *   OUT_OF_BOUNDS. Specification: docs/accelerator.md.
 * - A kernel that runs longer than the accelerator's time limit, or crashes its worker, costs the whole context:
 *   every later call of it returns the status and text of that kernel. Others go on; a new one can be opened.
 * - A view is a part of a device buffer, in bytes. For the kernels, offset and length are multiples of the
 *   element's size.
 */
#ifndef FARLANE_ACCEL_H
#define FARLANE_ACCEL_H

#include <farlane/farlane.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fl_accel_context fl_accel_context; /* work of one program on an accelerator */
typedef struct fl_accel_stream fl_accel_stream;	  /* commands that run one after the other */
typedef struct fl_accel_event fl_accel_event;	  /* a point in a stream */
typedef struct fl_accel_buffer fl_accel_buffer;	  /* device memory */
typedef struct fl_accel_host fl_accel_host;	  /* host memory that the device reaches */
typedef struct fl_accel_program fl_accel_program; /* a module: kernels from source text or a binary */
typedef struct fl_accel_kernel fl_accel_kernel;	  /* one kernel of a program */

struct fl_accel_view {
	const fl_accel_buffer *buffer;
	uint64_t offset_bytes;
	uint64_t bytes;
};

/* --- context ----------------------------------------------------------------------------- */

struct fl_accel_options {
	uint32_t queue_slots; /* of each stream: a power of two of 64 and more; 0 = standard */
	uint32_t spin_us;     /* how long a wait polls before it sleeps until an interrupt */
};

struct fl_accel_properties {
	char executor[32]; /* "cpu", ... */
	uint32_t units;	   /* compute units */
	uint32_t max_streams;
	uint64_t memory_bytes;
	uint64_t memory_free_bytes;
	uint64_t memory_context_bytes;
	uint64_t kernels_run;
	uint64_t busy_ns; /* in kernels, since power-on */
	char device_name[128], vendor[128], driver_version[64]; /* of what executes; "": not told */
	uint64_t local_bytes;	   /* memory of the accelerator itself, where buffers lie then; 0: none */
	uint64_t local_free_bytes;
	uint64_t time_limit_ms;	   /* that one kernel may run; 0: none */
	uint64_t has_energy;	   /* 1: energy_uj was measured */
	uint64_t energy_uj;	   /* used since power-on */
	uint64_t context_kernels;  /* kernels of this context that finished */
	uint64_t context_busy_ns;  /* in kernels of this context */
	uint64_t worker_bytes;	   /* host memory of this context's worker process; 0: it has none */
};

/* 1 when the function has the class code of accelerators (12.00.00). */
int fl_accel_is_accelerator(const struct fl_function_info *info);
/* Opens a context on an attached accelerator; null options = the standard ones. *out is given back with
 * fl_accel_close(). UNSUPPORTED: not an accelerator or another version; LIMIT; TIMEOUT: not ready within 5 s. */
FL_NODISCARD int fl_accel_open(fl_device *device, const struct fl_accel_options *options, fl_accel_context **out);
/* Waits for what runs, then gives everything of the context back. */
void fl_accel_close(fl_accel_context *context);
/* Asks the device; one round trip, the first time two. */
FL_NODISCARD int fl_accel_get_properties(fl_accel_context *context, struct fl_accel_properties *out);
/* Waits for every stream; the first error of any. */
FL_NODISCARD int fl_accel_context_synchronize(fl_accel_context *context);

/* --- memory ------------------------------------------------------------------------------ */

/* Zeroed device memory; costs no round trip. *out is given back with fl_accel_free(). NO_MEMORY, INVALID (0). */
FL_NODISCARD int fl_accel_allocate(fl_accel_context *context, uint64_t bytes, fl_accel_buffer **out);
/* Frees it once the commands that use it have run. */
void fl_accel_free(fl_accel_buffer *buffer);
uint64_t fl_accel_buffer_bytes(const fl_accel_buffer *buffer);
/* Device address of the first byte; 0 for a null buffer. */
uint64_t fl_accel_buffer_address(const fl_accel_buffer *buffer);
/* The whole buffer. */
struct fl_accel_view fl_accel_whole(const fl_accel_buffer *buffer);

/* Zeroed host memory that the device writes and reads without a copy on the way. *out is given back with
 * fl_accel_free_host(). NO_MEMORY, LIMIT, INVALID (0). */
FL_NODISCARD int fl_accel_allocate_host(fl_accel_context *context, uint64_t bytes, fl_accel_host **out);
/* Unmaps and frees it; no late write lands after that. */
void fl_accel_free_host(fl_accel_host *host);
void *fl_accel_host_data(const fl_accel_host *host);
uint64_t fl_accel_host_bytes(const fl_accel_host *host);

/* --- streams ----------------------------------------------------------------------------- */

/* The stream every context has; belongs to the context. Null for a null context. */
fl_accel_stream *fl_accel_default_stream(fl_accel_context *context);
/* Another one, given back with fl_accel_stream_destroy(). LIMIT. */
FL_NODISCARD int fl_accel_stream_create(fl_accel_context *context, fl_accel_stream **out);
/* Waits for its commands; errors nobody waited for are lost. Does nothing to a default stream. */
void fl_accel_stream_destroy(fl_accel_stream *stream);
/* Waits until everything so far has run; the first error since the last time. */
FL_NODISCARD int fl_accel_synchronize(fl_accel_stream *stream);
/* *done = 1 when everything so far has run. Does not wait. */
FL_NODISCARD int fl_accel_query(fl_accel_stream *stream, int *done);
/* Does nothing, on the device, and waits for it: one round trip. */
FL_NODISCARD int fl_accel_ping(fl_accel_stream *stream);

/* Data in. `data` (view.bytes long) is free again when this returns. */
FL_NODISCARD int fl_accel_upload(fl_accel_stream *stream, struct fl_accel_view to, const void *data);
/* From the start of host memory; unchanged until the stream is synchronized. */
FL_NODISCARD int fl_accel_upload_host(fl_accel_stream *stream, struct fl_accel_view to, const fl_accel_host *from);
/* Data out, into ordinary memory (view.bytes long): waits, and returns errors of the stream. */
FL_NODISCARD int fl_accel_download(fl_accel_stream *stream, struct fl_accel_view from, void *data);
/* Into the start of host memory; there once the stream is synchronized. */
FL_NODISCARD int fl_accel_download_host(fl_accel_stream *stream, struct fl_accel_view from, const fl_accel_host *into);
/* Repeats a pattern of 1, 2, 4, 8 or 16 bytes. */
FL_NODISCARD int fl_accel_fill(fl_accel_stream *stream, struct fl_accel_view to, const void *pattern,
			       size_t pattern_bytes);
/* As memmove; the same length on both sides. */
FL_NODISCARD int fl_accel_copy(fl_accel_stream *stream, struct fl_accel_view to, struct fl_accel_view from);

/* --- kernels: docs/accelerator.md, "Built-in kernels" ------------------------------------- */

/* y[i] = a * x[i] + y[i]; float. */
struct fl_accel_axpy {
	float a;
	struct fl_accel_view x, y;
};
FL_NODISCARD int fl_accel_launch_axpy(fl_accel_stream *stream, const struct fl_accel_axpy *arguments);

/* C = alpha * op(A) * op(B) + beta * C; float, row-major. op(A) is m x k, op(B) k x n, C m x n. */
struct fl_accel_gemm {
	struct fl_accel_view a, b, c;
	uint32_t m, n, k;
	uint32_t lda, ldb, ldc; /* elements from row to row; 0 = no gaps */
	float alpha, beta;
	uint32_t transpose_a, transpose_b;
};
FL_NODISCARD int fl_accel_launch_gemm(fl_accel_stream *stream, const struct fl_accel_gemm *arguments);

#define FL_ACCEL_SUM 1u
#define FL_ACCEL_MINIMUM 2u
#define FL_ACCEL_MAXIMUM 3u
/* result[0] = operation over all of x; float. */
struct fl_accel_reduce {
	uint32_t operation; /* FL_ACCEL_SUM, ... */
	struct fl_accel_view x, result;
};
FL_NODISCARD int fl_accel_launch_reduce(fl_accel_stream *stream, const struct fl_accel_reduce *arguments);

#define FL_ACCEL_BORDER_CLAMP 1u /* outside stands the nearest element */
#define FL_ACCEL_BORDER_ZERO 2u
/* Correlation of a float picture with size x size weights. */
struct fl_accel_conv2d_f32 {
	struct fl_accel_view in, weights, out;
	uint32_t width, height, size, border;
};
FL_NODISCARD int fl_accel_launch_conv2d_f32(fl_accel_stream *stream, const struct fl_accel_conv2d_f32 *arguments);

/* The same for four channels of 8 bits with int16 weights, exact:
 * out = clamp(((sum + round) >> shift) + bias, 0, 255). */
struct fl_accel_conv2d_rgba8 {
	struct fl_accel_view in, weights, out;
	uint32_t width, height, size, border;
	uint32_t shift;
	int32_t bias;
	uint32_t keep_alpha;
};
FL_NODISCARD int fl_accel_launch_conv2d_rgba8(fl_accel_stream *stream, const struct fl_accel_conv2d_rgba8 *arguments);

/* digests[i] (32 bytes) = SHA-256 of messages [i * stride_bytes, + message_bytes). */
struct fl_accel_sha256 {
	struct fl_accel_view messages, digests;
	uint64_t message_bytes;
	uint64_t stride_bytes; /* 0 = no gaps */
};
FL_NODISCARD int fl_accel_launch_sha256(fl_accel_stream *stream, const struct fl_accel_sha256 *arguments);

/* Rows from one pitch to another. */
struct fl_accel_copy_rows {
	struct fl_accel_view from, to;
	uint64_t rows, row_bytes, from_pitch_bytes, to_pitch_bytes;
};
FL_NODISCARD int fl_accel_launch_copy_rows(fl_accel_stream *stream, const struct fl_accel_copy_rows *arguments);

/* --- programs: docs/accelerator.md, "Modules and kernels" ---------------------------------- */

/* Kinds of programs. */
#define FL_ACCEL_PROGRAM_OPENCL_C 2u /* source text */
#define FL_ACCEL_PROGRAM_SPIRV 3u
#define FL_ACCEL_PROGRAM_PTX 4u
#define FL_ACCEL_PROGRAM_CUBIN 5u
#define FL_ACCEL_PROGRAM_CUDA_C 6u /* source text; kernels are best extern "C" */

/* 1 when the accelerator takes programs of this kind. */
int fl_accel_takes(fl_accel_context *context, uint32_t kind);
/* Loads (and compiles, on the accelerator) `bytes` bytes, which are free again when this returns: before anything was
 * compiled. `options` (of the compiler) and `name` (for errors) may be null. What goes wrong is returned by the next call
 * that waits, here or for the stream, with the build log in the error's text. *out is given back with
 * fl_accel_unload(). UNSUPPORTED: not this kind (the text says which); INVALID: 0 bytes; LIMIT; NO_MEMORY. */
FL_NODISCARD int fl_accel_load(fl_accel_context *context, uint32_t kind, const void *image, uint64_t bytes,
			       const char *options, const char *name, fl_accel_program **out);
/* The same from a file, whose ending tells the kind: .cl, .spv, .ptx, .cubin, .cu. Also NOT_FOUND, DENIED, IO. */
FL_NODISCARD int fl_accel_load_file(fl_accel_context *context, const char *path, const char *options,
				    fl_accel_program **out);
/* Unloads it once its kernels are given back and their launches have run. */
void fl_accel_unload(fl_accel_program *program);
/* *done = 1 when it is loaded, or has failed to. Does not wait. */
FL_NODISCARD int fl_accel_program_query(fl_accel_program *program, int *done);
/* Waits until it is loaded; what loading failed with. */
FL_NODISCARD int fl_accel_program_wait(fl_accel_program *program);
/* The build log. Waits; OK also when loading failed. Writes at most `room` bytes, the last one 0; *bytes (may be null) =
 * length of the whole text without the zero. */
FL_NODISCARD int fl_accel_program_log(fl_accel_program *program, char *text, size_t room, size_t *bytes);
/* The names of the kernels with ';' between them, in the same way. Waits; what loading failed with. */
FL_NODISCARD int fl_accel_program_kernels(fl_accel_program *program, char *text, size_t room, size_t *bytes);

/* The kernel `name`; does not wait. *out is given back with fl_accel_kernel_destroy(). NOT_FOUND when the program is
 * known to have none of that name, else the next call that waits says so; LIMIT. */
FL_NODISCARD int fl_accel_kernel_create(fl_accel_program *program, const char *name, fl_accel_kernel **out);
void fl_accel_kernel_destroy(fl_accel_kernel *kernel);

struct fl_accel_kernel_info {
	uint32_t argument_count;
	uint32_t known_arguments; /* that fl_accel_kernel_get_argument() tells of */
	uint64_t max_block;	  /* work items of a block at most */
	uint64_t preferred_block; /* a multiple of this is fast */
	uint64_t shared_bytes;	  /* of a block, without what a launch adds */
	uint64_t private_bytes;	  /* of a work item */
	uint32_t required_block[3]; /* block the source asks for; 0: any */
	uint32_t reserved;
};

#define FL_ACCEL_ARG_UNKNOWN 0u
#define FL_ACCEL_ARG_VALUE 1u
#define FL_ACCEL_ARG_ADDRESS 2u /* a buffer or view */
#define FL_ACCEL_ARG_SHARED 3u	/* memory that a block shares (__local) */

struct fl_accel_argument_info {
	uint32_t kind;	/* FL_ACCEL_ARG_* */
	uint32_t bytes; /* of a value; 0: not known */
	uint32_t is_const, is_restrict, is_volatile, is_constant;
	char type_name[48], name[48]; /* "": not known */
};

/* What the device knows of a kernel. Both wait until it is bound. NOT_FOUND: the program has no such kernel; what loading
 * failed with; OUT_OF_BOUNDS: index. */
FL_NODISCARD int fl_accel_kernel_get_info(fl_accel_kernel *kernel, struct fl_accel_kernel_info *out);
FL_NODISCARD int fl_accel_kernel_get_argument(fl_accel_kernel *kernel, uint32_t index,
					      struct fl_accel_argument_info *out);

/* How many work items run a kernel: grid x block when block is given, `grid` in blocks that the device chooses when
 * block is all 0. */
struct fl_accel_shape {
	uint32_t dimensions;   /* 1 to 3 */
	uint32_t shared_bytes; /* dynamic shared memory (CUDA) */
	uint64_t grid[3];
	uint64_t block[3];
	uint64_t offset[3]; /* of the first work item (OpenCL) */
};

/* One argument: what the functions below make. */
struct fl_accel_arg {
	uint32_t kind;		   /* FL_ACCEL_ARG_* */
	uint32_t is_null;	   /* ADDRESS: the null pointer */
	const void *value;	   /* VALUE: `bytes` bytes, copied by the launch */
	uint64_t bytes;		   /* of a value or of shared memory */
	struct fl_accel_view view; /* ADDRESS */
};

/* A value; `bytes` exactly as the kernel's parameter has. */
static inline struct fl_accel_arg fl_accel_arg_value(const void *value, uint64_t bytes)
{
	struct fl_accel_arg a = { FL_ACCEL_ARG_VALUE, 0, value, bytes, { 0, 0, 0 } };
	return a;
}
static inline struct fl_accel_arg fl_accel_arg_view(struct fl_accel_view view)
{
	struct fl_accel_arg a = { FL_ACCEL_ARG_ADDRESS, 0, 0, 0, { 0, 0, 0 } };
	a.view = view;
	return a;
}
static inline struct fl_accel_arg fl_accel_arg_buffer(const fl_accel_buffer *buffer)
{
	return fl_accel_arg_view(fl_accel_whole(buffer));
}
static inline struct fl_accel_arg fl_accel_arg_null(void)
{
	struct fl_accel_arg a = { FL_ACCEL_ARG_ADDRESS, 1, 0, 0, { 0, 0, 0 } };
	return a;
}
static inline struct fl_accel_arg fl_accel_arg_shared(uint32_t bytes)
{
	struct fl_accel_arg a = { FL_ACCEL_ARG_SHARED, 0, 0, 0, { 0, 0, 0 } };
	a.bytes = bytes;
	return a;
}

/* Runs a kernel. Number, kinds and sizes of the arguments are checked here when the device has told them already, else by
 * the device: INVALID, naming kernel and argument. */
FL_NODISCARD int fl_accel_launch(fl_accel_stream *stream, const fl_accel_kernel *kernel,
				 const struct fl_accel_shape *shape, const struct fl_accel_arg *arguments,
				 size_t count);

/* --- callbacks --------------------------------------------------------------------------- */

/* status: FL_STATUS_SC (0), or that of the first command before this point that failed and was not reported yet. */
typedef void (*fl_accel_callback)(int status, void *user);
/* Calls `callback` once everything so far in this stream has run, failed, or can not run any more; never lost, once, in
 * order, on a thread of the context. It must not call anything of its context: that gives INVALID. With FL_PROGRESS_CALLER it comes
 * after calls of the application. fl_accel_close() waits for it. */
FL_NODISCARD int fl_accel_on_complete(fl_accel_stream *stream, fl_accel_callback callback, void *user);

/* --- events ------------------------------------------------------------------------------ */

/* *out is given back with fl_accel_event_destroy(). */
FL_NODISCARD int fl_accel_event_create(fl_accel_context *context, fl_accel_event **out);
void fl_accel_event_destroy(fl_accel_event *event);
FL_NODISCARD int fl_accel_record(fl_accel_stream *stream, fl_accel_event *event);
/* What comes behind in `stream` runs after `event` as it is recorded now. INVALID: never recorded. */
FL_NODISCARD int fl_accel_wait(fl_accel_stream *stream, fl_accel_event *event);
FL_NODISCARD int fl_accel_event_query(fl_accel_event *event, int *reached);
FL_NODISCARD int fl_accel_event_synchronize(fl_accel_event *event);
/* Device time from one event to another of the same context; waits for both. */
FL_NODISCARD int fl_accel_elapsed_ns(fl_accel_event *from, fl_accel_event *to, int64_t *ns);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FARLANE_ACCEL_H */

/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: the accelerator function (docs/accelerator.md).
 *
 * PCI class 12.00.00. BAR0 holds registers, doorbells and the MSI-X tables; BAR2
 * (64 bit, prefetchable) is an aperture onto device memory, and the submission
 * queues live in it. The host pushes commands and input into device memory and
 * the device pushes completions and results into host memory: nothing on the
 * fast path is read across the link.
 */
#ifndef _UAPI_FARLANE_ACCEL_H
#define _UAPI_FARLANE_ACCEL_H

#include "types.h"

#define FL_ACCEL_CLASS_CODE 0x120000u /* processing accelerator, PCI Code and ID Assignment 1.11 */
#define FL_ACCEL_VENDOR_ID 0xf1a0u    /* for development: not assigned by PCI-SIG */
#define FL_ACCEL_DEVICE_ID 0x0acau    /* for development */
#define FL_ACCEL_MAGIC 0x43414c46u    /* "FLAC" */
#define FL_ACCEL_VERSION 0x00010001u  /* major << 16 | minor */

/* BAR0 */
#define FL_ACCEL_BAR_REGISTERS 0
#define FL_ACCEL_BAR0_BYTES 0x100000u
#define FL_ACCEL_MSIX_TABLE_OFFSET 0x2000u
#define FL_ACCEL_MSIX_PBA_OFFSET 0x3000u
#define FL_ACCEL_QUEUE_OFFSET 0x4000u /* struct fl_accel_queue_registers, one per queue pair */
#define FL_ACCEL_QUEUE_STRIDE 64u
#define FL_ACCEL_CONTEXT_OFFSET 0x8000u /* struct fl_accel_context_registers, one per context */
#define FL_ACCEL_CONTEXT_STRIDE 16u
#define FL_ACCEL_DOORBELL_OFFSET 0x10000u /* struct fl_accel_doorbell, one page per queue pair */
#define FL_ACCEL_DOORBELL_STRIDE 0x1000u
#define FL_ACCEL_MAX_QUEUES 240u

/* BAR2 */
#define FL_ACCEL_BAR_APERTURE 2
#define FL_ACCEL_PAGE_BYTES 4096u /* unit of ALLOC and of the queues' places */

#define FL_ACCEL_COMMAND_BYTES 64u
#define FL_ACCEL_COMPLETION_BYTES 32u
#define FL_ACCEL_MIN_ENTRIES 64u   /* of either queue; a power of two */
#define FL_ACCEL_MAX_ENTRIES 4096u /* what a device may offer at most */
#define FL_ACCEL_MAX_SLOTS 64u	   /* of one command, the command itself included */
#define FL_ACCEL_MAX_INLINE_BYTES 4032u /* (FL_ACCEL_MAX_SLOTS - 1) * 64 */
#define FL_ACCEL_NO_VECTOR 0xffffffffu
#define FL_ACCEL_NO_COMMAND 0xffffffffu /* command_id of a completion that reports the queue */

/* fl_accel_registers.capabilities */
#define FL_ACCEL_CAP_HOST_READS 0x1u /* COPY host to device by IOVA */
#define FL_ACCEL_CAP_PASID 0x2u	     /* queue pairs may be bound to a PASID other than 0 */
#define FL_ACCEL_CAP_OPENCL_C 0x4u   /* MODULE_LOAD kinds besides the built-in one */
#define FL_ACCEL_CAP_SPIRV 0x8u
#define FL_ACCEL_CAP_PTX 0x10u
#define FL_ACCEL_CAP_CUBIN 0x20u
#define FL_ACCEL_CAP_ENERGY 0x40u /* QUERY of energy */
#define FL_ACCEL_CAP_CUDA_C 0x80u
#define FL_ACCEL_CAP_CONTEXT_PART 0x100u /* a context can be given a part of its range only */

/* fl_accel_registers.control */
#define FL_ACCEL_CONTROL_RESET 0x1u /* clears itself; everything as after power-on */
/* fl_accel_registers.status */
#define FL_ACCEL_STATUS_READY 0x1u	 /* queue pairs can be enabled */
#define FL_ACCEL_STATUS_FAILED 0x2u	 /* the executor is gone; only a reset helps */
#define FL_ACCEL_STATUS_QUEUE_ERROR 0x4u /* a queue pair stopped: error_queue, error_reason; cleared by writing 1 */

enum fl_accel_executor {
	FL_ACCEL_EXECUTOR_CPU = 1,
	FL_ACCEL_EXECUTOR_OPENCL = 2,
	FL_ACCEL_EXECUTOR_CUDA = 3,
};

struct fl_accel_registers { /* BAR0 + 0 */
	fl_le32 magic;	       /* ro: FL_ACCEL_MAGIC */
	fl_le32 version;       /* ro: FL_ACCEL_VERSION */
	fl_le64 capabilities;  /* ro: FL_ACCEL_CAP_* */
	fl_le64 memory_address; /* ro: first device address that ALLOC may give */
	fl_le64 memory_bytes;  /* ro: bytes from there on */
	fl_le64 aperture_address; /* ro: device address seen at offset 0 of BAR2 */
	fl_le64 aperture_bytes; /* ro: bytes of device memory seen through BAR2 */
	fl_le32 page_bytes;    /* ro: unit of ALLOC */
	fl_le32 max_queues;    /* ro: queue pairs */
	fl_le32 max_sq_entries; /* ro: slots of a submission queue, at least 1024 */
	fl_le32 max_cq_entries; /* ro: entries of a completion queue, at least 1024 */
	fl_le32 max_contexts;  /* ro: contexts 0..max_contexts-1 */
	fl_le32 max_streams;   /* ro: streams of one queue pair, numbered from 0 */
	fl_le32 max_allocations; /* ro: of the function */
	fl_le32 max_modules;   /* ro: of a context; handles 1..max_modules */
	fl_le32 max_kernels;   /* ro: of a context; handles 1..max_kernels */
	fl_le32 max_events;    /* ro: of a context; handles 1..max_events */
	fl_le32 max_inline_bytes; /* ro: payload of one command, behind its first slot */
	fl_le32 executor;      /* ro: enum fl_accel_executor */
	fl_le32 control;       /* rw: FL_ACCEL_CONTROL_* */
	fl_le32 status;	       /* ro, rw1c: FL_ACCEL_STATUS_* */
	fl_le32 error_queue;   /* ro: queue pair that stopped last */
	fl_le32 error_reason;  /* ro: enum fl_accel_reason, why */
	fl_le64 life;	       /* ro: another number after every reset and every start of the device */
	/* version 1.1 */
	fl_le64 context_stride; /* ro: from one context's range of memory to the next; 0: all share one */
	fl_le64 local_address; /* ro: first device address of context 0's local memory, or 0 */
	fl_le64 local_bytes;   /* ro: local memory that ALLOC can give in all; 0: there is none */
	fl_le64 local_stride;  /* ro: from one context's range of local memory to the next */
	fl_le32 time_limit_ms; /* ro: that one kernel may run; 0: no limit */
	fl_le32 lost_contexts; /* ro: bit c: context c, below 32, is lost */
};
FL_ASSERT_SIZE(fl_accel_registers, 160);
FL_ASSERT_OFFSET(fl_accel_registers, context_stride, 120);
FL_ASSERT_OFFSET(fl_accel_registers, aperture_address, 32);
FL_ASSERT_OFFSET(fl_accel_registers, page_bytes, 48);
FL_ASSERT_OFFSET(fl_accel_registers, control, 96);
FL_ASSERT_OFFSET(fl_accel_registers, life, 112);

#define FL_ACCEL_QUEUE_ENABLE 0x1u /* fl_accel_queue_registers.control */

enum fl_accel_queue_state {
	FL_ACCEL_QUEUE_DISABLED = 0,  /* fields may be written */
	FL_ACCEL_QUEUE_ENABLED = 1,   /* fetches commands */
	FL_ACCEL_QUEUE_DISABLING = 2, /* lets go of what runs; no completion comes any more */
	FL_ACCEL_QUEUE_ERROR = 3,     /* stopped for `reason`; goes on after disable and enable */
};

struct fl_accel_queue_registers { /* BAR0 + FL_ACCEL_QUEUE_OFFSET + queue * FL_ACCEL_QUEUE_STRIDE */
	fl_le64 sq_address; /* ro: device address of the submission queue */
	fl_le64 cq_iova;    /* rw while disabled: completion queue in host memory, 64-byte aligned */
	fl_le32 sq_entries; /* rw while disabled: slots, a power of two */
	fl_le32 cq_entries; /* rw while disabled: entries, a power of two */
	fl_le32 context;    /* rw while disabled */
	fl_le32 pasid;	    /* rw while disabled; 0 without FL_ACCEL_CAP_PASID */
	fl_le32 vector;	    /* rw while disabled: MSI-X vector or FL_ACCEL_NO_VECTOR */
	fl_le32 control;    /* rw: FL_ACCEL_QUEUE_ENABLE */
	fl_le32 state;	    /* ro: enum fl_accel_queue_state */
	fl_le32 reason;	    /* ro: enum fl_accel_reason: why in error, or why enabling was refused */
	fl_le32 sq_head;    /* ro: slots taken */
	fl_le32 cq_tail;    /* ro: completions posted */
	fl_le64 commands;   /* ro: commands completed since enabled */
};
FL_ASSERT_SIZE(fl_accel_queue_registers, 64);
FL_ASSERT_OFFSET(fl_accel_queue_registers, control, 36);

/* The part of its range of memory that a context may use; of local memory it has its whole range. */
struct fl_accel_context_registers { /* BAR0 + FL_ACCEL_CONTEXT_OFFSET + context * FL_ACCEL_CONTEXT_STRIDE */
	fl_le64 part_address; /* rw while no queue pair of the context is enabled; page aligned */
	fl_le64 part_bytes;   /* the same; 0: the whole range */
};
FL_ASSERT_SIZE(fl_accel_context_registers, 16);

/* Counts are free-running; slot = count & (entries - 1). Each field may be written alone. */
struct fl_accel_doorbell { /* BAR0 + FL_ACCEL_DOORBELL_OFFSET + queue * FL_ACCEL_DOORBELL_STRIDE */
	fl_le32 sq_tail; /* slots written; whole commands only */
	fl_le32 cq_head; /* completions consumed */
	fl_le32 cq_arm;	 /* one interrupt as soon as more than this many completions are posted */
	fl_le32 reserved; /* 0 */
};
FL_ASSERT_SIZE(fl_accel_doorbell, 16);

enum fl_accel_opcode {
	FL_ACCEL_OP_NOP = 1,
	FL_ACCEL_OP_FENCE = 2,
	FL_ACCEL_OP_ALLOC = 3,
	FL_ACCEL_OP_FREE = 4,
	FL_ACCEL_OP_COPY = 5,
	FL_ACCEL_OP_FILL = 6,
	FL_ACCEL_OP_MODULE_LOAD = 7,
	FL_ACCEL_OP_MODULE_UNLOAD = 8,
	FL_ACCEL_OP_KERNEL_BIND = 9,
	FL_ACCEL_OP_LAUNCH = 10,
	FL_ACCEL_OP_EVENT_RECORD = 11,
	FL_ACCEL_OP_EVENT_WAIT = 12,
	FL_ACCEL_OP_TIMESTAMP = 13,
	FL_ACCEL_OP_QUERY = 14,
};

struct fl_accel_header {
	__u8 opcode;	    /* enum fl_accel_opcode */
	__u8 slots;	    /* 64-byte slots of this command, itself included: 1..FL_ACCEL_MAX_SLOTS */
	fl_le16 flags;	    /* 0 */
	fl_le32 command_id; /* any but FL_ACCEL_NO_COMMAND; repeated by the completion */
	fl_le16 stream;	    /* below max_streams */
	fl_le16 reserved0;  /* 0 */
	fl_le32 reserved1;  /* 0 */
};
FL_ASSERT_SIZE(fl_accel_header, 16);

struct fl_accel_alloc_command { /* ALLOC, and FREE with bytes = 0 */
	fl_le64 address; /* device address, page aligned; chosen by the initiator */
	fl_le64 bytes;	 /* a multiple of the page */
	fl_le64 reserved[4];
};
FL_ASSERT_SIZE(fl_accel_alloc_command, 48);

enum fl_accel_copy_kind {
	FL_ACCEL_COPY_DEVICE_TO_DEVICE = 1,
	FL_ACCEL_COPY_DEVICE_TO_HOST = 2, /* destination is an IOVA */
	FL_ACCEL_COPY_HOST_TO_DEVICE = 3, /* source is an IOVA; pushing is faster */
};

struct fl_accel_copy_command {
	fl_le64 destination;
	fl_le64 source;
	fl_le64 bytes;
	fl_le32 kind; /* enum fl_accel_copy_kind */
	fl_le32 reserved0;
	fl_le64 reserved1[2];
};
FL_ASSERT_SIZE(fl_accel_copy_command, 48);

#define FL_ACCEL_PATTERN_BYTES 16
struct fl_accel_fill_command {
	fl_le64 destination;
	fl_le64 bytes;	      /* a multiple of pattern_bytes */
	__u8 pattern[FL_ACCEL_PATTERN_BYTES]; /* the first pattern_bytes count, the rest is 0 */
	fl_le32 pattern_bytes; /* 1, 2, 4, 8 or 16 */
	fl_le32 reserved0;
	fl_le64 reserved1;
};
FL_ASSERT_SIZE(fl_accel_fill_command, 48);

enum fl_accel_module_kind {
	FL_ACCEL_MODULE_BUILTIN = 1, /* no image */
	FL_ACCEL_MODULE_OPENCL_C = 2,
	FL_ACCEL_MODULE_SPIRV = 3,
	FL_ACCEL_MODULE_PTX = 4,
	FL_ACCEL_MODULE_CUBIN = 5,
	FL_ACCEL_MODULE_CUDA_C = 6,
};

struct fl_accel_module_command { /* MODULE_LOAD, and MODULE_UNLOAD with all but `module` 0 */
	fl_le32 module;	       /* handle, chosen by the initiator */
	fl_le32 kind;	       /* enum fl_accel_module_kind */
	fl_le64 image_address; /* device memory */
	fl_le64 image_bytes;
	fl_le64 report_address; /* device memory for struct fl_accel_module_report, or 0 */
	fl_le32 report_bytes;  /* room there; 0: no report */
	fl_le32 options_bytes; /* build options: the payload */
	fl_le64 reserved;
};
FL_ASSERT_SIZE(fl_accel_module_command, 48);

/*
 * What MODULE_LOAD found, written whether it succeeds or not: this header, the names of the
 * kernels with ';' between them, the build log. Cut where the room ends.
 */
struct fl_accel_module_report {
	fl_le32 names_bytes; /* whole length, also of what was cut */
	fl_le32 log_bytes;
};
FL_ASSERT_SIZE(fl_accel_module_report, 8);

struct fl_accel_bind_command { /* KERNEL_BIND; the name is the payload */
	fl_le32 kernel; /* handle, chosen by the initiator */
	fl_le32 module;
	fl_le32 name_bytes; /* without terminating zero */
	fl_le32 report_bytes; /* room at report_address; 0: no report */
	fl_le64 report_address; /* device memory for struct fl_accel_kernel_report, or 0 */
	fl_le64 reserved[3];
};
FL_ASSERT_SIZE(fl_accel_bind_command, 48);

/* What KERNEL_BIND found: this header, then `arguments` argument reports. Cut where the room ends. */
struct fl_accel_kernel_report {
	fl_le32 arguments;	/* of the kernel */
	fl_le32 argument_report_bytes; /* of one, from one to the next */
	fl_le64 max_block;	/* work items of a block at most */
	fl_le64 preferred_block; /* a multiple of this is fast */
	fl_le64 shared_bytes;	/* of a block, without what a launch adds */
	fl_le64 private_bytes;	/* of a work item */
	fl_le32 required_block[3]; /* block the source asks for; 0: any */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_accel_kernel_report, 56);

#define FL_ACCEL_ARGUMENT_NAME_BYTES 48
struct fl_accel_argument_report {
	fl_le32 kind;  /* enum fl_accel_argument_kind; 0: not known */
	fl_le32 bytes; /* of a value; 0: not known */
	fl_le32 flags; /* FL_ACCEL_ARGUMENT_* */
	fl_le32 reserved;
	__u8 type_name[FL_ACCEL_ARGUMENT_NAME_BYTES]; /* of the source, cut, zero-terminated; "": not known */
	__u8 name[FL_ACCEL_ARGUMENT_NAME_BYTES];
};
FL_ASSERT_SIZE(fl_accel_argument_report, 112);

/* fl_accel_argument_report.flags */
#define FL_ACCEL_ARGUMENT_CONST 0x1u	/* what it points to is not written */
#define FL_ACCEL_ARGUMENT_RESTRICT 0x2u
#define FL_ACCEL_ARGUMENT_VOLATILE 0x4u
#define FL_ACCEL_ARGUMENT_CONSTANT 0x8u /* ADDRESS of constant memory */

/* fl_accel_header.flags of LAUNCH: dimensions of the grid, 1 to 3; built-in kernels: 0 */
#define FL_ACCEL_LAUNCH_DIMENSIONS 0x3u

struct fl_accel_launch_command { /* LAUNCH; the argument block is the payload */
	fl_le32 kernel;
	fl_le32 argument_bytes;
	fl_le32 grid[3];  /* blocks, or work items when block is 0; built-in kernels: 0 */
	fl_le32 block[3]; /* work items of a block; all 0: the device chooses; built-in kernels: 0 */
	fl_le32 shared_bytes; /* dynamic shared memory (CUDA); else 0 */
	fl_le32 offset[3]; /* of the first work item (OpenCL); else 0 */
};
FL_ASSERT_SIZE(fl_accel_launch_command, 48);

/*
 * The argument block of a kernel that is not built in: one of these per argument, in order, each
 * followed by its data, padded with zeros to a multiple of 8.
 */
enum fl_accel_argument_kind {
	FL_ACCEL_ARGUMENT_VALUE = 1,   /* data: the value */
	FL_ACCEL_ARGUMENT_ADDRESS = 2, /* data: fl_le64, a device address within an allocation, or 0 */
	FL_ACCEL_ARGUMENT_SHARED = 3,  /* no data: `bytes` of shared memory (OpenCL's __local) */
};

struct fl_accel_argument {
	fl_le32 kind;  /* enum fl_accel_argument_kind */
	fl_le32 bytes; /* of the data, without padding; SHARED: size of the memory */
};
FL_ASSERT_SIZE(fl_accel_argument, 8);

struct fl_accel_event_command { /* EVENT_RECORD, EVENT_WAIT */
	fl_le32 event; /* handle, chosen by the initiator */
	fl_le32 reserved0;
	fl_le64 value; /* RECORD: the event has reached this; WAIT: until it has. At least 1 */
	fl_le64 reserved1[4];
};
FL_ASSERT_SIZE(fl_accel_event_command, 48);

/* fl_accel_query_command.property: what `value` of the completion says */
enum fl_accel_property {
	FL_ACCEL_PROPERTY_MEMORY_TOTAL = 1,   /* bytes that ALLOC can give */
	FL_ACCEL_PROPERTY_MEMORY_FREE = 2,    /* bytes not allocated by anybody */
	FL_ACCEL_PROPERTY_MEMORY_CONTEXT = 3, /* bytes allocated by this context */
	FL_ACCEL_PROPERTY_EXECUTOR = 4,	      /* enum fl_accel_executor */
	FL_ACCEL_PROPERTY_UNITS = 5,	      /* compute units (threads of the cpu executor) */
	FL_ACCEL_PROPERTY_KERNELS_RUN = 6,    /* kernels finished since power-on */
	FL_ACCEL_PROPERTY_BUSY_NS = 7,	      /* time spent in kernels since power-on */
	FL_ACCEL_PROPERTY_ENERGY_UJ = 8,      /* energy used since power-on; FL_ACCEL_CAP_ENERGY */
	FL_ACCEL_PROPERTY_LOCAL_FREE = 9,     /* bytes of local memory not allocated by anybody */
	FL_ACCEL_PROPERTY_CONTEXT_KERNELS = 10, /* kernels of this context that finished */
	FL_ACCEL_PROPERTY_CONTEXT_BUSY_NS = 11, /* time in kernels of this context */
	FL_ACCEL_PROPERTY_WORKER_BYTES = 12,  /* host memory of the context's worker process; 0: it has none */
	FL_ACCEL_PROPERTY_DEVICE_NAMES = 13,  /* report: "name\0vendor\0driver version\0"; value: its length */
	FL_ACCEL_PROPERTY_OPENCL_INFO = 14,   /* report: fl_accel_info records; value: its length */
	FL_ACCEL_PROPERTY_OUTPUT = 15,	      /* report: what kernels printed since the last one, and a zero; value: its length */
};

struct fl_accel_query_command {
	fl_le32 property; /* enum fl_accel_property */
	fl_le32 report_bytes; /* room at report_address; 0: no report */
	fl_le64 report_address; /* device memory of the context, or 0 */
	fl_le64 reserved[4];
};

/*
 * One item of FL_ACCEL_PROPERTY_OPENCL_INFO: what clGetDeviceInfo of the executor's device answers
 * to `parameter`, little-endian, padded with zeros to a multiple of 8. Records follow each other.
 */
struct fl_accel_info {
	fl_le32 parameter; /* cl_device_info, OpenCL 3.0, 4.2 */
	fl_le32 bytes;	   /* of the answer, without padding */
};
FL_ASSERT_SIZE(fl_accel_info, 8);

FL_ASSERT_SIZE(fl_accel_query_command, 48);

struct fl_accel_command {
	struct fl_accel_header head;
	union {
		struct fl_accel_alloc_command alloc;
		struct fl_accel_copy_command copy;
		struct fl_accel_fill_command fill;
		struct fl_accel_module_command module;
		struct fl_accel_bind_command bind;
		struct fl_accel_launch_command launch;
		struct fl_accel_event_command event;
		struct fl_accel_query_command query;
		__u8 raw[48];
	} u;
};
FL_ASSERT_SIZE(fl_accel_command, 64);
FL_ASSERT_OFFSET(fl_accel_command, u, 16);

#define FL_ACCEL_PHASE 0x1u /* fl_accel_completion.phase: 1 in the first round of the queue, then 0, ... */

struct fl_accel_completion {
	fl_le32 command_id; /* of the command, or FL_ACCEL_NO_COMMAND: the queue pair stopped */
	fl_le16 stream;
	fl_le16 status;	  /* enum fl_status */
	fl_le64 value;	  /* result, by opcode; 0 when there is none */
	fl_le16 reason;	  /* enum fl_accel_reason */
	fl_le16 opcode;	  /* of the command */
	fl_le32 detail;	  /* by reason: offending handle, byte offset or command id; else by opcode */
	fl_le32 sq_head;  /* slots taken; those before may be written again */
	fl_le16 reserved; /* 0 */
	fl_le16 phase;	  /* FL_ACCEL_PHASE; written last */
};
FL_ASSERT_SIZE(fl_accel_completion, 32);
FL_ASSERT_OFFSET(fl_accel_completion, phase, 30);

/*
 * Why a command failed. X(NAME, name, code, status, text); `status` is the row of
 * FL_STATUS_TABLE that the completion carries.
 */
#define FL_ACCEL_REASON_TABLE(X)                                                                          \
	X(NONE, none, 0, SC, "no error")                                                                  \
	X(BAD_OPCODE, bad_opcode, 1, UNSUPPORTED, "unknown opcode")                                       \
	X(BAD_FLAGS, bad_flags, 2, INVALID, "a flag that is not defined is set")                          \
	X(BAD_SLOTS, bad_slots, 3, INVALID, "slots do not fit the command, or reach past the tail")       \
	X(BAD_STREAM, bad_stream, 4, INVALID, "stream number is not below max_streams")                   \
	X(RESERVED, reserved, 5, INVALID, "a reserved byte is not zero")                                  \
	X(BAD_HANDLE, bad_handle, 6, NOT_FOUND, "no such handle")                                         \
	X(HANDLE_RANGE, handle_range, 7, INVALID, "handle is 0 or above the limit")                       \
	X(HANDLE_IN_USE, handle_in_use, 8, BUSY, "handle is in use")                                      \
	X(BAD_ADDRESS, bad_address, 9, OUT_OF_BOUNDS, "range is outside device memory")                   \
	X(NOT_ALLOCATED, not_allocated, 10, OUT_OF_BOUNDS, "range is not within one allocation of this context") \
	X(MISALIGNED, misaligned, 11, INVALID, "address or length is not aligned")                        \
	X(BAD_LENGTH, bad_length, 12, INVALID, "length is zero or too large")                             \
	X(OVERLAP, overlap, 13, BUSY, "range overlaps an allocation")                                     \
	X(OUT_OF_MEMORY, out_of_memory, 14, NO_MEMORY, "device memory or table of allocations is full")   \
	X(BAD_FREE, bad_free, 15, NOT_FOUND, "no allocation of this context starts there")                \
	X(BAD_KIND, bad_kind, 16, UNSUPPORTED, "kind is unknown or not offered by this device")           \
	X(BAD_PATTERN, bad_pattern, 17, INVALID, "pattern is not 1, 2, 4, 8 or 16 bytes")                 \
	X(HOST_ADDRESS, host_address, 18, OUT_OF_BOUNDS, "host memory is not mapped for this direction")  \
	X(HOST_READ, host_read, 19, IO, "reading host memory failed")                                     \
	X(BAD_IMAGE, bad_image, 20, INVALID, "module image is not valid")                                 \
	X(UNKNOWN_KERNEL, unknown_kernel, 21, NOT_FOUND, "module has no kernel of that name")             \
	X(ARGUMENT_BYTES, argument_bytes, 22, INVALID, "argument block has the wrong size")               \
	X(ARGUMENT_VALUE, argument_value, 23, INVALID, "argument is not valid")                           \
	X(OPERAND_OVERLAP, operand_overlap, 24, INVALID, "operands overlap in a way the command does not allow") \
	X(BAD_GRID, bad_grid, 25, INVALID, "grid, block or shared memory is not valid")                   \
	X(POISONED, poisoned, 26, CANCELED, "depends on a command that failed; FENCE clears this")        \
	X(EXECUTION, execution, 27, IO, "the kernel failed")                                              \
	X(BAD_PROPERTY, bad_property, 28, UNSUPPORTED, "property is unknown or not offered by this device") \
	X(BAD_VALUE, bad_value, 29, INVALID, "event value is 0")                                          \
	X(BAD_QUEUE, bad_queue, 30, INVALID, "queue registers are not valid: entries, address or vector") \
	X(BAD_CONTEXT, bad_context, 31, INVALID, "context or PASID is not offered, or another PASID has the context") \
	X(BAD_DOORBELL, bad_doorbell, 32, PROTOCOL, "doorbell names slots or completions that are not there") \
	X(CQ_ADDRESS, cq_address, 33, OUT_OF_BOUNDS, "completion queue is not mapped for the device to write") \
	X(NOT_READY, not_ready, 34, BUSY, "device is resetting, or the context ends")                     \
	X(BAD_COMMAND_ID, bad_command_id, 35, INVALID, "command id is reserved")                          \
	X(BUILD, build, 36, INVALID, "module does not compile; its report has the build log")             \
	X(TIME_LIMIT, time_limit, 37, TIMEOUT, "the kernel ran longer than the time limit; the context is lost") \
	X(CRASHED, crashed, 38, IO, "the worker process died while it ran; the context is lost")          \
	X(CONTEXT_LOST, context_lost, 39, DEVICE_RESET, "the context was lost; open a new one")           \
	X(NO_WORKER, no_worker, 40, UNSUPPORTED, "the worker process of the context can not start")       \
	X(ARGUMENT_COUNT, argument_count, 41, INVALID, "the kernel takes another number of arguments")    \
	X(CONTEXT_MEMORY, context_memory, 42, NO_MEMORY, "the context has all the device memory that one context may have") \
	X(CONTEXT_ALLOCATIONS, context_allocations, 43, NO_MEMORY, "the context has all the allocations that one context may have") \
	X(BUILD_LIMIT, build_limit, 44, TIMEOUT, "compiling took longer than the time limit; the context is lost")

/* detail of `crashed`, when the worker process ended by itself: a signal, or this + its exit status */
#define FL_ACCEL_CRASHED_EXIT 256u

enum fl_accel_reason {
#define FL_ACCEL_REASON_ENUM(NAME, name, code, status, text) FL_ACCEL_REASON_##NAME = code,
	FL_ACCEL_REASON_TABLE(FL_ACCEL_REASON_ENUM)
#undef FL_ACCEL_REASON_ENUM
};

/* Names of the built-in kernels, for KERNEL_BIND. */
#define FL_ACCEL_KERNEL_FILL "fill"
#define FL_ACCEL_KERNEL_COPY "copy"
#define FL_ACCEL_KERNEL_AXPY_F32 "axpy_f32"
#define FL_ACCEL_KERNEL_GEMM_F32 "gemm_f32"
#define FL_ACCEL_KERNEL_REDUCE_F32 "reduce_f32"
#define FL_ACCEL_KERNEL_CONV2D_F32 "conv2d_f32"
#define FL_ACCEL_KERNEL_CONV2D_RGBA8 "conv2d_rgba8"
#define FL_ACCEL_KERNEL_SHA256 "sha256"

/*
 * Their argument blocks. Addresses are device addresses, aligned to the element;
 * f32 values are IEEE 754 binary32, little-endian, as their bits in an fl_le32.
 */
struct fl_accel_args_fill { /* destination[i] = pattern, count times */
	fl_le64 destination;
	fl_le64 count;	       /* patterns */
	__u8 pattern[FL_ACCEL_PATTERN_BYTES];
	fl_le32 pattern_bytes; /* 1, 2, 4, 8 or 16 */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_fill, 40);

struct fl_accel_args_copy { /* rows of a picture or matrix; source and destination do not overlap */
	fl_le64 destination;
	fl_le64 source;
	fl_le64 destination_pitch_bytes; /* from one row to the next, at least row_bytes */
	fl_le64 source_pitch_bytes;
	fl_le64 row_bytes;
	fl_le64 rows;
};
FL_ASSERT_SIZE(fl_accel_args_copy, 48);

struct fl_accel_args_axpy_f32 { /* y[i] = a * x[i] + y[i] */
	fl_le64 x;
	fl_le64 y; /* may be x, else does not overlap */
	fl_le64 count;
	fl_le32 a; /* f32 */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_axpy_f32, 32);

#define FL_ACCEL_GEMM_TRANSPOSE_A 0x1u
#define FL_ACCEL_GEMM_TRANSPOSE_B 0x2u
struct fl_accel_args_gemm_f32 { /* C = alpha * op(A) * op(B) + beta * C, row-major */
	fl_le64 a;   /* op(A) is m x k; stored m x k, or k x m when transposed */
	fl_le64 b;   /* op(B) is k x n; stored k x n, or n x k when transposed */
	fl_le64 c;   /* m x n; does not overlap A or B; not read when beta is 0 */
	fl_le32 m;
	fl_le32 n;
	fl_le32 k;   /* 0: C = beta * C */
	fl_le32 lda; /* elements from one stored row to the next */
	fl_le32 ldb;
	fl_le32 ldc;
	fl_le32 alpha; /* f32 */
	fl_le32 beta;  /* f32 */
	fl_le32 flags; /* FL_ACCEL_GEMM_* */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_gemm_f32, 64);

enum fl_accel_reduction {
	FL_ACCEL_REDUCE_SUM = 1,
	FL_ACCEL_REDUCE_MIN = 2,
	FL_ACCEL_REDUCE_MAX = 3,
};
struct fl_accel_args_reduce_f32 { /* *destination = operation over source[0..count-1] */
	fl_le64 destination; /* one f32, outside the source */
	fl_le64 source;
	fl_le64 count;
	fl_le32 operation; /* enum fl_accel_reduction */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_reduce_f32, 32);

#define FL_ACCEL_CONV2D_MAX_SIZE 31u
#define FL_ACCEL_CONV2D_MAX_WIDTH 65536u
#define FL_ACCEL_BORDER_CLAMP 1u /* the nearest element of the picture; as <farlane/accel.h> has it */
#define FL_ACCEL_BORDER_ZERO 2u
struct fl_accel_args_conv2d_f32 { /* destination(x,y) = sum w(i,j) * source(x+i-r, y+j-r) */
	fl_le64 destination;	  /* width x height f32; does not overlap source or weights */
	fl_le64 source;		  /* width x height f32 */
	fl_le64 weights;	  /* size x size f32, row-major */
	fl_le32 width;	/* at most FL_ACCEL_CONV2D_MAX_WIDTH */
	fl_le32 height;
	fl_le32 destination_pitch_bytes;
	fl_le32 source_pitch_bytes;
	fl_le32 size;	/* odd, at most FL_ACCEL_CONV2D_MAX_SIZE; r = size / 2 */
	fl_le32 border; /* FL_ACCEL_BORDER_* */
	fl_le64 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_conv2d_f32, 56);

#define FL_ACCEL_CONV2D_KEEP_ALPHA 0x1u /* the fourth channel is copied, not filtered */
#define FL_ACCEL_CONV2D_MAX_SHIFT 20u
struct fl_accel_args_conv2d_rgba8 { /* per channel, exact: ((sum + round) >> shift) + bias, clamped to 0..255 */
	fl_le64 destination;	    /* width x height pixels of four bytes; no overlap */
	fl_le64 source;
	fl_le64 weights; /* size x size signed 16 bit, row-major */
	fl_le32 width;	/* at most FL_ACCEL_CONV2D_MAX_WIDTH */
	fl_le32 height;
	fl_le32 destination_pitch_bytes;
	fl_le32 source_pitch_bytes;
	fl_le32 size;	/* odd, at most FL_ACCEL_CONV2D_MAX_SIZE */
	fl_le32 border; /* FL_ACCEL_BORDER_* */
	fl_le32 shift;	/* at most FL_ACCEL_CONV2D_MAX_SHIFT; round = shift ? 1 << (shift - 1) : 0 */
	fl_le32 bias;	/* signed, -255..255, added behind the shift */
	fl_le32 flags;	/* FL_ACCEL_CONV2D_* */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_conv2d_rgba8, 64);

struct fl_accel_args_sha256 { /* FIPS 180-4, of `count` messages of equal length */
	fl_le64 destination;  /* count digests of 32 bytes; does not overlap the messages */
	fl_le64 source;
	fl_le64 message_bytes; /* may be 0 */
	fl_le64 message_stride_bytes; /* from one message to the next, at least message_bytes */
	fl_le64 count;	      /* at least 1 */
	fl_le64 reserved;
};
FL_ASSERT_SIZE(fl_accel_args_sha256, 48);

#endif /* _UAPI_FARLANE_ACCEL_H */

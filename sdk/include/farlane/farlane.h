/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: calls of C programs. Hands on: the same to the C++ API (fabric.hpp, device.hpp,
 * domain.hpp), whose rules on threads, order and ownership hold here, too.
 * Owns: the handles until they are closed.
 *
 * Conventions
 * - Every function that can fail returns an `int`: 0 (FL_STATUS_SC) or a positive code of
 *   farlane/uapi/status.h. fl_last_error() then has a sentence that says what failed and what
 *   to do. A null pointer where one is needed gives FL_STATUS_INVALID.
 * - A handle that a function hands out belongs to the caller, who gives it back with the function
 *   named there. Handles are given back in reverse order: mappings, buffers, devices, fabric.
 *   Giving back a null pointer does nothing.
 * - Threads: as for farlane::Fabric. With progress by a thread (the standard) and with the daemon,
 *   any thread may call; a handle must not be given back while another thread uses it. With
 *   FL_PROGRESS_CALLER one thread at a time calls for one fabric and everything opened from it.
 * - Units: bytes, milliseconds, microseconds, as the name says. Text is UTF-8, zero-terminated.
 * - No exception leaves a function. Any device call may return FL_STATUS_DEVICE_LOST (surprise
 *   removal) and FL_STATUS_DEVICE_RESET (until fl_device_acknowledge_reset()).
 */
#ifndef FARLANE_FARLANE_H
#define FARLANE_FARLANE_H

#include <stddef.h>
#include <stdint.h>

#include <farlane/uapi/status.h>

#ifdef __cplusplus
extern "C" {
#define FL_NODISCARD [[nodiscard]]
#else
#define FL_NODISCARD __attribute__((warn_unused_result))
#endif

typedef struct fl_fabric fl_fabric;   /* a connection to the fabric */
typedef struct fl_device fl_device;   /* an attached function */
typedef struct fl_buffer fl_buffer;   /* memory that the data plane reaches */
typedef struct fl_mapping fl_mapping; /* a range of a buffer that the device reaches */

/* --- status and errors ------------------------------------------------------------------- */

/* Version of the library, "0.1.0". Static. Any thread. */
const char *fl_version(void);
/* Short name of a status ("out_of_bounds"); "unknown" for a number of none. Static. Any thread. */
const char *fl_status_name(int status);
/* Sentence for people. Static. Any thread. */
const char *fl_status_text(int status);
/* The errno that fits best; 0 for success, EPROTO for a number of none. Any thread. */
int fl_status_errno(int status);
/* What failed last in this thread, and what to do; "" when nothing has. Whole, however long: the log of a program that
 * does not compile is part of it. A call that succeeds leaves it as it is. Valid until the next call of a function of
 * this library in this thread. Never null. */
const char *fl_last_error(void);

/* --- fabric ------------------------------------------------------------------------------ */

#define FL_PROVIDER_DAEMON 0u   /* the data plane is in farlaned */
#define FL_PROVIDER_EMBEDDED 1u /* it is in this process: no daemon, no root */
#define FL_PROVIDER_KERNEL 2u	/* in farlaned, reached by /dev/farlane/<name> of farlane.ko */
#define FL_PROGRESS_THREAD 0u	/* a thread of the library drives it */
#define FL_PROGRESS_CALLER 1u	/* the calls of the program drive it: fastest */

/* One more way to the target of an embedded fabric. */
struct fl_path_options {
	const char *port; /* port string; null = the port of fl_fabric_options, for another address */
	const char *peer; /* address of the target on that port */
};

/* Fill it with fl_fabric_options_init(), then change what is to be otherwise. Texts are read by
 * fl_fabric_open() and not kept. */
struct fl_fabric_options {
	size_t struct_bytes;	       /* set by init: lets the library tell older callers */
	const char *socket;	       /* daemon: control socket; null = /run/farlane/farlaned.sock */
	const char *port;	       /* embedded: port string, docs/ports.md ("udp:") */
	const char *peer;	       /* embedded: address of the target; null on point-to-point ports */
	const char *name;	       /* embedded: who we are, for people; null = program and pid */
	uint32_t provider;	       /* FL_PROVIDER_* */
	uint32_t progress;	       /* FL_PROGRESS_* */
	uint32_t connect_timeout_ms;   /* embedded: how long fl_fabric_open() waits for the target */
	uint32_t completion_timeout_ms; /* base of the completion timeout */
	uint32_t keepalive_ms;
	uint32_t grace_ms;	       /* how long a silent target is waited for */
	uint32_t integrity;	       /* embedded: 0 = frames without CRC; both ends must agree */
	uint32_t further_path_count;   /* embedded: 0 to 7 */
	const struct fl_path_options *further_paths; /* null when there are none */
};
/* Standard values: daemon provider at the standard socket. */
void fl_fabric_options_init(struct fl_fabric_options *options);

/* Connects; null options = the standard ones. *out is given back with fl_fabric_close().
 * UNREACHABLE: nobody answers; INVALID: an option, the text lists what is valid; VERSION; DENIED. */
FL_NODISCARD int fl_fabric_open(const struct fl_fabric_options *options, fl_fabric **out);
/* Gives the fabric back. Everything opened from it must have been given back before. No other thread
 * may be in a call of it. */
void fl_fabric_close(fl_fabric *fabric);

#define FL_STATE_FREE 0u
#define FL_STATE_ATTACHED 1u
#define FL_STATE_GRACE 2u
#define FL_STATE_FAILED 3u

struct fl_bar_info {
	uint64_t size_bytes; /* 0 = the BAR is not there */
	uint32_t is_64bit;
	uint32_t prefetchable;
};

/* A function as its target describes it. */
struct fl_function_info {
	char name[64];	 /* unique at its target */
	char target[64]; /* name of the target daemon */
	char model[64];	 /* for people */
	char holder[64]; /* name of the initiator that has it, "" = nobody */
	uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
	uint32_t class_code; /* 24 bit */
	uint32_t revision;
	uint32_t msix_vectors;
	uint32_t state;	 /* FL_STATE_* */
	uint64_t serial; /* Device Serial Number capability, 0 = none */
	struct fl_bar_info bar[6];
};

/* Functions that the reachable targets export. Writes up to `capacity` of them to `functions` (may
 * be null when capacity is 0) and how many there are in all to *count. UNREACHABLE, TIMEOUT. */
FL_NODISCARD int fl_fabric_list(fl_fabric *fabric, struct fl_function_info *functions, size_t capacity,
				size_t *count);

/* Attaches the function `name`. *out is given back with fl_device_detach().
 * NOT_FOUND (the text lists what there is), BUSY (the text names the holder), DENIED, UNREACHABLE, TIMEOUT. */
FL_NODISCARD int fl_fabric_attach(fl_fabric *fabric, const char *name, fl_device **out);
/* The same beside other applications, which have a part of the accelerator each: AttachMode::shared of
 * farlane/fabric.hpp. Also UNSUPPORTED (another provider than the daemon's, no accelerator), LIMIT. */
FL_NODISCARD int fl_fabric_attach_shared(fl_fabric *fabric, const char *name, fl_device **out);

/* What an event is about; numbers as farlane::EventKind. */
#define FL_EV_ADDED 0u	      /* a function can be attached now */
#define FL_EV_REMOVED 1u      /* it no longer can */
#define FL_EV_ATTACHED 2u     /* this fabric attached it */
#define FL_EV_DETACHED 3u     /* this fabric detached it */
#define FL_EV_LINK_UP 4u      /* the target answers */
#define FL_EV_LINK_DOWN 5u    /* the target is silent; functions are kept for the grace */
#define FL_EV_TIMEOUT 6u      /* a request had no answer in time and completed all-ones */
#define FL_EV_RESUMED 7u      /* an attachment goes on after an outage, nothing lost */
#define FL_EV_DEVICE_RESET 8u /* the device lost its state */
#define FL_EV_DEVICE_LOST 9u  /* surprise removal */
#define FL_EV_ERROR 10u	      /* the device reported an error (AER) */
#define FL_EV_PATH_UP 11u     /* a path to the target carries frames (again), beside others */
#define FL_EV_PATH_DOWN 12u   /* a path to the target is dead; another one goes on */

struct fl_event_info {
	uint32_t kind; /* FL_EV_* */
	uint32_t reserved;
	int64_t when_ns;    /* since the epoch of the system clock */
	char function[64];  /* "" for link and path events */
	char target[64];
	char detail[256];   /* for people; cut when longer */
};
/* Name of an event's kind ("link_down"). Static. Any thread. */
const char *fl_event_kind_name(uint32_t kind);
/* The next event. TIMEOUT: none within `timeout_ms`. */
FL_NODISCARD int fl_fabric_next_event(fl_fabric *fabric, uint32_t timeout_ms, struct fl_event_info *out);
/* FL_PROGRESS_CALLER: one turn of the data plane. *did (may be null) = 1 when something was done. */
FL_NODISCARD int fl_fabric_poll(fl_fabric *fabric, int *did);

/* --- device ------------------------------------------------------------------------------ */

/* Detaches and gives the device back, whatever is returned. Buffers and mappings of the device must
 * have been given back before. */
int fl_device_detach(fl_device *device);
/* What the function is, as its target described it at attach: copied to *out, which is the caller's.
 * No round trip; the identity is that of its configuration space (PCIe 6.0, 7.5.1). INVALID. */
FL_NODISCARD int fl_device_info(fl_device *device, struct fl_function_info *out);

/* Configuration space: `bytes` is 1, 2 or 4, within one dword of 4096 bytes. One round trip.
 * INVALID, OUT_OF_BOUNDS, TIMEOUT. PCI 3.0, 6.1. */
FL_NODISCARD int fl_device_config_read(fl_device *device, uint32_t offset, unsigned bytes, uint32_t *value);
/* The same way round: `value`'s lower `bytes` are written; returns when the device has them (one round
 * trip: configuration writes are not posted, PCIe 6.0, 2.2.7). */
FL_NODISCARD int fl_device_config_write(fl_device *device, uint32_t offset, unsigned bytes, uint32_t value);
/* Sets memory decoding and bus mastering in the command register: needed before BAR access and DMA. */
FL_NODISCARD int fl_device_enable(fl_device *device);

/* BAR access; offsets in bytes, naturally aligned. Reads take one round trip and push every write
 * before them; writes are posted: they return before the device has them and arrive once and in
 * order (PCIe 6.0, 2.4.1). OUT_OF_BOUNDS outside the BAR, TIMEOUT. */
FL_NODISCARD int fl_device_read32(fl_device *device, unsigned bar, uint64_t offset, uint32_t *value);
/* As fl_device_read32, of 8 bytes in one access. */
FL_NODISCARD int fl_device_read64(fl_device *device, unsigned bar, uint64_t offset, uint64_t *value);
/* Posted, see above. No round trip; waits only while the ring has no room. */
FL_NODISCARD int fl_device_write32(fl_device *device, unsigned bar, uint64_t offset, uint32_t value);
/* As fl_device_write32, of 8 bytes in one access. */
FL_NODISCARD int fl_device_write64(fl_device *device, unsigned bar, uint64_t offset, uint64_t value);
/* Bulk access to memory behind a BAR. `data` is the caller's again when the call returns.
 * `relaxed` != 0: parts may be placed out of order among each other; a later strict write, such as
 * a doorbell, still comes after all of them. */
FL_NODISCARD int fl_device_read(fl_device *device, unsigned bar, uint64_t offset, void *data, size_t bytes);
/* Bulk write, see above; posted. OUT_OF_BOUNDS, and nothing is written then. */
FL_NODISCARD int fl_device_write(fl_device *device, unsigned bar, uint64_t offset, const void *data, size_t bytes,
				 int relaxed);
/* Relaxed bulk write from a buffer that stays unchanged until fl_device_flush(): no copy but the one
 * into the frame. */
FL_NODISCARD int fl_device_write_from(fl_device *device, unsigned bar, uint64_t offset, const fl_buffer *buffer,
				      size_t buffer_offset, size_t bytes);
/* Waits until the device has executed every write so far: a read pushes them (PCIe 6.0, 2.4.1). TIMEOUT. */
FL_NODISCARD int fl_device_flush(fl_device *device);

/* MSI-X: enables vectors 0..count-1. LIMIT when the function has fewer. PCI 3.0, 6.8.2. */
FL_NODISCARD int fl_device_enable_interrupts(fl_device *device, unsigned count);
/* The eventfd of a vector: non-blocking, belongs to the device, counts messages. For poll(). */
FL_NODISCARD int fl_device_interrupt_fd(fl_device *device, unsigned vector, int *fd);
/* Waits for a vector and clears it. TIMEOUT: not within `timeout_ms`. */
FL_NODISCARD int fl_device_wait_interrupt(fl_device *device, unsigned vector, uint32_t timeout_ms);

/* Function level reset (PCIe 6.0, 6.6.2); returns when the device answers again. */
FL_NODISCARD int fl_device_reset(fl_device *device);
/* Accepts that the device lost its state; it can be used again from the start. */
FL_NODISCARD int fl_device_acknowledge_reset(fl_device *device);
/* FL_PROGRESS_CALLER: makes progress; waits up to `timeout_us` for something to happen. */
FL_NODISCARD int fl_device_progress(fl_device *device, uint32_t timeout_us);

/* --- DMA --------------------------------------------------------------------------------- */

/* Which way a mapping may be used, seen from the device. */
#define FL_DMA_TO_DEVICE 1u   /* the device reads it */
#define FL_DMA_FROM_DEVICE 2u /* the device writes it */
#define FL_DMA_BIDIRECTIONAL 3u

/* Zeroed, page-aligned shared memory of at least `bytes`; huge pages when there are any. *out is
 * given back with fl_buffer_free(). NO_MEMORY, INVALID (0 bytes). */
FL_NODISCARD int fl_buffer_allocate(fl_device *device, size_t bytes, fl_buffer **out);
/* Frees the buffer; its mappings must have been unmapped. */
void fl_buffer_free(fl_buffer *buffer);
/* Start of the memory, valid until fl_buffer_free(); null for a null buffer. */
void *fl_buffer_data(const fl_buffer *buffer);
/* Its size in bytes, at least what was asked for; 0 for a null buffer. Any thread. */
size_t fl_buffer_bytes(const fl_buffer *buffer);
/* 1 when it is made of huge pages. */
int fl_buffer_huge_pages(const fl_buffer *buffer);

/* Lets the device reach bytes [offset, offset + bytes) of `buffer`, exactly and only those, in
 * that direction; enforced at the target and again here. *out is given back with fl_mapping_unmap().
 * OUT_OF_BOUNDS, LIMIT, INVALID. */
FL_NODISCARD int fl_buffer_map(fl_device *device, const fl_buffer *buffer, size_t offset, size_t bytes,
			       uint32_t direction, fl_mapping **out);
/* The same for memory of the program itself, in place: see farlane::Domain::map of a span for what can be
 * mapped and how it behaves. UNSUPPORTED (provider `daemon`; memory of a file or device), DENIED (read-only
 * and the device is to write), INVALID (nothing is mapped there, 0 bytes), NO_MEMORY, LIMIT. */
FL_NODISCARD int fl_memory_map(fl_device *device, void *memory, size_t bytes, uint32_t direction, fl_mapping **out);
/* Address under which the device reaches the range; never 0. 0 for a null mapping. */
uint64_t fl_mapping_iova(const fl_mapping *mapping);
/* Revokes the mapping and gives it back, whatever is returned. Once it returns, no late write
 * of the device lands in the buffer. */
int fl_mapping_unmap(fl_mapping *mapping);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FARLANE_FARLANE_H */

/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: the channel, a pair of rings in shared memory between an
 * application (or the module) and the daemon. docs/architecture.md, "Channel".
 *
 * One channel serves one function. `submit` carries posted and non-posted
 * records down, `complete` carries completions and messages up. Both sides treat
 * every byte as hostile: copy a slot, validate the copy, use the copy.
 *
 * Single producer, single consumer. `head`, `tail` and `released` are free-running
 * counts; slot = count & (entries - 1). The producer writes slots and then
 * publishes head (release); the consumer reads head (acquire). A slot may be
 * written again when `released` has passed it, not when it has been read: the
 * slot is the source of a resend.
 */
#ifndef _UAPI_FARLANE_RING_H
#define _UAPI_FARLANE_RING_H

#include "tlp.h"

#define FL_CHANNEL_MAGIC 0x4c464843u /* "CHFL" */
#define FL_CHANNEL_VERSION 1
#define FL_RING_MIN_ENTRIES 64
#define FL_RING_MAX_ENTRIES 65536
#define FL_CHANNEL_HEADER_BYTES 4096

/* fl_slot.kind */
#define FL_SLOT_INLINE 0    /* payload (or a read's result) within the slot */
#define FL_SLOT_REFERENCE 1 /* payload in a registered buffer: fl_slot.ref */
#define FL_BUFFER_STAGING 0 /* buffer number of the channel's own staging area */

/*
 * fl_slot.status of a submit slot: the producer writes 0, the consumer FL_SLOT_DONE
 * when the record needs nothing more (answered, released or refused). After a restart
 * of the consumer what is not done between `released` and `head` is submitted again,
 * under the sequence that the consumer left in tlp.sequence.
 */
#define FL_SLOT_DONE 1

/* fl_ring.sleeping: when the sleeper wants its bell */
#define FL_RING_AWAKE 0
#define FL_RING_SLEEPS_HEAD 1	  /* consumer: after the next head of this ring */
#define FL_RING_SLEEPS_RELEASED 2 /* complete ring: also after the next `released` of submit */

struct fl_buffer_ref {
	__u32 buffer; /* number given at registration, or FL_BUFFER_STAGING */
	__u32 reserved;
	__u64 offset_bytes;
};
FL_ASSERT_SIZE(fl_buffer_ref, 16);

struct fl_slot {
	struct fl_tlp tlp;
	__u32 kind;	  /* FL_SLOT_* */
	__u32 status;	  /* complete ring: enum fl_status, wider than tlp.code */
	__u64 cookie;	  /* submit: any; complete: of the record it answers */
	union {
		__u8 payload[FL_TLP_INLINE_BYTES];
		struct fl_buffer_ref ref; /* submit: source, or where a read's result goes */
	} u;
};
FL_ASSERT_SIZE(fl_slot, 128);

struct fl_ring {
	__u32 head; /* producer: slots written */
	__u32 reserved0[15];
	__u32 tail;	/* consumer: slots read */
	__u32 released; /* consumer: slots that may be written again */
	__u32 sleeping; /* consumer: FL_RING_*; who rings the bell sets it back to FL_RING_AWAKE */
	__u32 reserved1[13];
};
FL_ASSERT_SIZE(fl_ring, 128);

struct fl_channel {
	__u32 magic;
	__u32 version;
	__u32 channel_bytes; /* size of the shared memory */
	__u32 submit_offset; /* of the slots, from here */
	__u32 submit_entries; /* power of two */
	__u32 complete_offset;
	__u32 complete_entries;
	__u32 staging_offset;
	__u32 staging_bytes;
	__u32 reserved0[7];
	struct fl_ring submit;	 /* producer: application */
	struct fl_ring complete; /* producer: daemon */
};
FL_ASSERT_SIZE(fl_channel, 320);
FL_ASSERT_OFFSET(fl_channel, submit, 64);
FL_ASSERT_OFFSET(fl_channel, complete, 192);

#endif /* _UAPI_FARLANE_RING_H */

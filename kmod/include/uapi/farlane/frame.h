/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: the frame and the records that are not transactions
 * (docs/wire.md).
 *
 *   [fl_frame_header 24][record]...[record][trailer]
 *
 * The trailer is CRC32C over everything before it (4 bytes), or, once a session
 * has keys (FL_FRAME_SEALED), an AEAD tag of 16 bytes.
 */
#ifndef _UAPI_FARLANE_FRAME_H
#define _UAPI_FARLANE_FRAME_H

#include "tlp.h"

#define FL_WIRE_VERSION 1
#define FL_UDP_PORT 4793	     /* default UDP port of a target; not registered */
#define FL_ETHERTYPE 0x88b5	     /* IEEE 802 local experimental EtherType 1 */
#define FL_FRAME_CRC_BYTES 4
#define FL_FRAME_TAG_BYTES 16
#define FL_FRAME_MIN_BYTES (24 + FL_FRAME_CRC_BYTES)
#define FL_FRAME_BASE_BYTES 1200     /* every path must carry this much; larger is probed */
#define FL_FRAME_MAX_BYTES 9600
#define FL_RECORD_ALIGN_BYTES 8

/* fl_frame_header.flags; others zero, and checked */
#define FL_FRAME_KEY_PHASE 0x01
#define FL_FRAME_SEALED 0x02
#define FL_FRAME_PATIENT 0x04 /* FL_FEATURE_PATIENCE: nobody waits for its acknowledgement */
#define FL_FRAME_KNOWN 0x07

struct fl_frame_header {
	__u8 version;	      /* FL_WIRE_VERSION */
	__u8 flags;	      /* FL_FRAME_* */
	fl_le16 frame_bytes;  /* header to trailer; what a port adds behind is ignored */
	fl_le32 session;      /* chosen by the receiver; 0: no session, a hello or a hint */
	fl_le64 packet_number; /* per path and key, from 1, never used twice */
	fl_le16 path;	      /* path of the session, given by the side that opened it */
	fl_le16 reserved;     /* 0 */
	fl_le32 sent_ns;      /* low 32 bits of the sender's clock, echoed by the acknowledgement */
};
FL_ASSERT_SIZE(fl_frame_header, 24);
FL_ASSERT_OFFSET(fl_frame_header, packet_number, 8);

/* First four bytes of every record. */
struct fl_record_header {
	__u8 family;	      /* enum fl_family */
	__u8 type;	      /* of the family; 0 where it has none */
	fl_le16 record_bytes; /* with header and padding; a multiple of 8, at least 8 */
};
FL_ASSERT_SIZE(fl_record_header, 4);

/* Acknowledges packets of one path. Ranges go from the newest to the oldest. */
#define FL_ACK_MAX_RANGES 64
struct fl_ack_range {
	fl_le32 gap;	/* packets not received below the range before, at least 1 */
	fl_le32 length; /* packets received below that gap, at least 1 */
};
FL_ASSERT_SIZE(fl_ack_range, 8);

struct fl_ack {
	struct fl_record_header head; /* FL_FAMILY_ACK, 0 */
	fl_le16 path;		      /* path whose packets are acknowledged */
	fl_le16 range_count;	      /* fl_ack_range behind this, 0..FL_ACK_MAX_RANGES */
	fl_le32 echo_sent_ns;	      /* sent_ns of packet `largest` */
	fl_le32 hold_ns;	      /* from its arrival to this record; saturates */
	fl_le64 largest;	      /* newest packet received */
	fl_le32 first_length;	      /* packets received from `largest` downwards, at least 1 */
	fl_le32 reserved;	      /* 0 */
};
FL_ASSERT_SIZE(fl_ack, 32);

/*
 * What the sender of this record has released (executed, and will never need
 * again) of one function's incoming classes, and how far the peer may go. All
 * counts grow for ever. Data units are 16 bytes, as in PCIe flow control.
 */
#define FL_CREDIT_DATA_UNIT_BYTES 16
struct fl_credit {
	struct fl_record_header head; /* FL_FAMILY_CREDIT, 0 */
	fl_le16 function_index;
	fl_le16 function_generation;
	fl_le64 released[FL_CLASS_COUNT];     /* every sequence up to this one */
	fl_le64 header_limit[FL_CLASS_COUNT]; /* highest sequence the peer may send */
	fl_le64 data_limit[FL_CLASS_COUNT];   /* data units the peer may send in all */
};
FL_ASSERT_SIZE(fl_credit, 80);

/* Control records: sequence 0 stands alone, others are reliable and in order. */
enum fl_control_type {
	FL_CONTROL_HELLO = 1,	     /* alone, in a frame of session 0 */
	FL_CONTROL_HELLO_ACK = 2,    /* alone, in a frame of the session it accepts */
	FL_CONTROL_HELLO_REJECT = 3, /* alone; body fl_control_status */
	FL_CONTROL_KEEPALIVE = 4,    /* alone; asks for an acknowledgement */
	FL_CONTROL_PROBE = 5,	     /* alone; path MTU probe, followed by padding */
	FL_CONTROL_BYE = 6,	     /* body fl_control_status: why */
	FL_CONTROL_LIST = 7,	     /* body fl_control_status: request */
	FL_CONTROL_LIST_REPLY = 8,   /* body fl_control_list_reply, one per function */
	FL_CONTROL_ATTACH = 9,	     /* body fl_control_attach */
	FL_CONTROL_ATTACH_REPLY = 10, /* body fl_control_attach_reply */
	FL_CONTROL_DETACH = 11,	     /* body fl_control_detach */
	FL_CONTROL_DETACH_REPLY = 12, /* body fl_control_detach */
	FL_CONTROL_EVENT = 13,	     /* body fl_control_event: hot-plug and link state */
	FL_CONTROL_KEY_PHASE = 14,   /* reserved for rekeying */
};

struct fl_control {
	struct fl_record_header head; /* FL_FAMILY_CONTROL, enum fl_control_type */
	fl_le32 sequence;	      /* per session and direction, from 1; 0 = stands alone */
};
FL_ASSERT_SIZE(fl_control, 8);

#define FL_NAME_BYTES 64 /* names: printable ASCII, zero-terminated, zero-padded */
#define FL_INSTANCE_BYTES 16

/* features; a bit that both sides set is in force */
#define FL_FEATURE_RELAXED_ORDERING 0x1
#define FL_FEATURE_MAPS 0x2 /* initiator announces mappings with FL_MSG_MAP */
#define FL_FEATURE_PATIENCE 0x4 /* frames may say FL_FRAME_PATIENT */

struct fl_control_hello { /* HELLO and HELLO_ACK */
	struct fl_control head;
	fl_le32 session;	 /* the id the peer has to write into its frames */
	__u8 version_min;	 /* HELLO: range spoken; HELLO_ACK: both = the one chosen */
	__u8 version_max;
	fl_le16 path;		 /* path this hello opens; its frame travels on it */
	__u8 instance[FL_INSTANCE_BYTES]; /* who: stable over restarts */
	fl_le64 incarnation;	 /* which life of that instance's state; grows */
	fl_le64 nonce;		 /* HELLO: random; HELLO_ACK: repeated */
	fl_le32 features;	 /* FL_FEATURE_* */
	fl_le32 max_frame_bytes; /* largest frame this side can receive */
	fl_le32 keepalive_ms;	 /* this side sends at least this often */
	fl_le32 grace_ms;	 /* how long functions of a silent session are kept */
	char name[FL_NAME_BYTES]; /* for people */
};
FL_ASSERT_SIZE(fl_control_hello, 128);

struct fl_control_status { /* HELLO_REJECT, BYE, LIST */
	struct fl_control head;
	fl_le32 request; /* LIST: repeated by its replies; else 0 */
	fl_le32 status;	 /* enum fl_status */
	fl_le64 nonce;	 /* HELLO_REJECT: of the hello; else 0 */
};
FL_ASSERT_SIZE(fl_control_status, 24);

/* fl_bar_desc.flags: as in the low bits of a BAR, PCI 3.0 6.2.5.1 */
#define FL_BAR_64BIT 0x4
#define FL_BAR_PREFETCHABLE 0x8
struct fl_bar_desc {
	fl_le64 size_bytes; /* power of two, 0 = not there */
	fl_le32 flags;
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_bar_desc, 16);

enum fl_export_state {
	FL_FUNCTION_FREE = 0,	  /* exported, nobody has it */
	FL_FUNCTION_ATTACHED = 1, /* held by an initiator */
	FL_FUNCTION_GRACE = 2,	  /* its initiator is silent, kept for it */
	FL_FUNCTION_FAILED = 3,	  /* firmware does not answer */
};

struct fl_function_desc {
	char name[FL_NAME_BYTES];   /* as exported, unique at its target */
	char model[FL_NAME_BYTES];  /* for people */
	char holder[FL_NAME_BYTES]; /* name of the initiator that has it */
	fl_le16 vendor_id;
	fl_le16 device_id;
	fl_le16 subsystem_vendor_id;
	fl_le16 subsystem_id;
	fl_le32 class_code; /* 24 bit, revision below: as dword 2 of config space */
	fl_le16 msix_vectors;
	fl_le16 state; /* enum fl_export_state */
	fl_le64 serial; /* Device Serial Number capability, 0 = none */
	struct fl_bar_desc bar[6];
};
FL_ASSERT_SIZE(fl_function_desc, 312);

struct fl_control_list_reply {
	struct fl_control head;
	fl_le32 request;
	fl_le16 index; /* of this function */
	fl_le16 count; /* functions in all; 0 = none, desc is zero */
	struct fl_function_desc desc;
};
FL_ASSERT_SIZE(fl_control_list_reply, 328);

/* fl_control_attach.flags */
#define FL_ATTACH_RESUME 0x1 /* take the attachment (index, generation) up again */
/* fl_control_attach_reply.flags */
#define FL_ATTACH_KEPT 0x1 /* resumed: the target's state of it is whole */
#define FL_ATTACH_ORIGIN_LOST 0x2 /* the replying origin forgot records it had not had released */

struct fl_control_attach {
	struct fl_control head;
	fl_le32 request;
	fl_le16 function_index; /* resume: the handle; else 0 */
	fl_le16 function_generation;
	fl_le32 flags; /* FL_ATTACH_* ; ORIGIN_LOST may be set here too */
	fl_le32 completion_timeout_ms;
	fl_le64 released[FL_CLASS_COUNT]; /* incoming classes of the sender, resume only */
	fl_le64 lease_epoch; /* 0 until leases exist */
	char name[FL_NAME_BYTES];
};
FL_ASSERT_SIZE(fl_control_attach, 120);

struct fl_control_attach_reply {
	struct fl_control head;
	fl_le32 request;
	fl_le32 status;
	fl_le16 function_index;
	fl_le16 function_generation;
	fl_le32 flags;
	fl_le64 released[FL_CLASS_COUNT]; /* incoming classes of the target, resume only */
	fl_le64 header_limit[FL_CLASS_COUNT];
	fl_le64 data_limit[FL_CLASS_COUNT];
	struct fl_function_desc desc;
};
FL_ASSERT_SIZE(fl_control_attach_reply, 408);

struct fl_control_detach { /* DETACH and DETACH_REPLY */
	struct fl_control head;
	fl_le32 request;
	fl_le16 function_index;
	fl_le16 function_generation;
	fl_le32 status; /* DETACH: why; DETACH_REPLY: result */
	fl_le32 reserved;
};
FL_ASSERT_SIZE(fl_control_detach, 24);

enum fl_event_code {
	FL_EVENT_ADDED = 1,   /* a function is exported now */
	FL_EVENT_REMOVED = 2, /* a function is no longer exported */
	FL_EVENT_RESET = 3,   /* the device lost its state */
	FL_EVENT_FAILED = 4,  /* the device does not answer */
};

struct fl_control_event {
	struct fl_control head;
	fl_le16 code; /* enum fl_event_code */
	fl_le16 reserved;
	fl_le16 function_index; /* RESET, FAILED: the handle; else 0 */
	fl_le16 function_generation;
	struct fl_function_desc desc;
};
FL_ASSERT_SIZE(fl_control_event, 328);

#endif /* _UAPI_FARLANE_FRAME_H */

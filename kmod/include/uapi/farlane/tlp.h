/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: the transaction record (docs/wire.md, "Transaction").
 *
 * The same 48 bytes stand in a ring slot and in a frame. In a ring slot the
 * payload is inline or a reference (ring.h); in a frame it follows the record,
 * padded with zeros to 8 bytes.
 */
#ifndef _UAPI_FARLANE_TLP_H
#define _UAPI_FARLANE_TLP_H

#include "types.h"

/* First byte of every record. 0 is never valid. */
enum fl_family {
	FL_FAMILY_TLP = 1,
	FL_FAMILY_ACK = 2,
	FL_FAMILY_CREDIT = 3,
	FL_FAMILY_CONTROL = 4,
	FL_FAMILY_PAD = 5, /* ignored; fills path MTU probes */
};

/* fl_tlp.type. PCIe 6.0, 2.2.1; the class of each is in fl_tlp_class(). */
enum fl_tlp_type {
	FL_TLP_MRD = 1,	      /* non-posted: memory read */
	FL_TLP_MWR = 2,	      /* posted: memory write */
	FL_TLP_CFGRD = 3,     /* non-posted: configuration read */
	FL_TLP_CFGWR = 4,     /* non-posted: configuration write */
	FL_TLP_CPL = 5,	      /* completion without data */
	FL_TLP_CPLD = 6,      /* completion with data */
	FL_TLP_MSI = 7,	      /* posted: MSI or MSI-X message; payload = 4 bytes message data */
	FL_TLP_FETCHADD = 8,  /* non-posted: payload = operand, 4 or 8 bytes */
	FL_TLP_SWAP = 9,      /* non-posted: payload = operand, 4 or 8 bytes */
	FL_TLP_CAS = 10,      /* non-posted: payload = compare then swap, 4+4 or 8+8 bytes */
	FL_TLP_MSG = 11,      /* posted: message; code = enum fl_msg_code */
	FL_TLP_CXL_FIRST = 64, /* 64..95 reserved for CXL.mem */
	FL_TLP_CXL_LAST = 95,
};

/* fl_tlp.attr. Bits without a name are zero, and checked. */
#define FL_ATTR_RO 0x01	      /* relaxed ordering: a bulk write that may be placed on arrival */
#define FL_ATTR_NS 0x02	      /* no snoop */
#define FL_ATTR_IDO 0x04      /* ID-based ordering */
#define FL_ATTR_EP 0x08	      /* poisoned payload */
#define FL_ATTR_FRAGMENT 0x10 /* this record carries a part of the payload, from offset_bytes on */
#define FL_ATTR_KNOWN 0x1f

/* fl_tlp.bar of a downstream memory request; upstream it is FL_BAR_NONE. */
#define FL_BAR_ROM 6
#define FL_BAR_NONE 0xff

#define FL_TLP_MAX_PAYLOAD_BYTES 4096
#define FL_TLP_INLINE_BYTES 64	      /* payload of a ring slot */
#define FL_TLP_NEVER_SPLIT_BYTES 8    /* payloads up to this long travel whole */
#define FL_TLP_FRAGMENT_ALIGN_BYTES 64 /* offsets of fragments; all but the last are multiples */
#define FL_PASID_MAX 0xfffff

struct fl_tlp {
	__u8 family;		    /* FL_FAMILY_TLP */
	__u8 type;		    /* enum fl_tlp_type */
	fl_le16 record_bytes;	    /* this record with its payload and padding: a multiple of 8 */
	fl_le16 function_index;	    /* handle given at attach ... */
	fl_le16 function_generation; /* ... and its generation; a stale one is dropped */
	fl_le32 tag;		    /* names the request; a completion repeats it */
	fl_le32 pasid;		    /* 20 bit; 0 = the function's own domain */
	__u8 attr;		    /* FL_ATTR_* */
	__u8 byte_enables;	    /* length <= 8: bit i enables byte i, 0 = all; else 0 */
	__u8 bar;		    /* downstream memory request: BAR 0..5 or FL_BAR_ROM; else FL_BAR_NONE */
	__u8 code;		    /* completion: enum fl_status 0..15; message: enum fl_msg_code; else 0 */
	fl_le16 length_bytes;	    /* payload of the whole transaction; of a read: bytes wanted. <= 4096 */
	fl_le16 offset_bytes;	    /* with FL_ATTR_FRAGMENT: where this part belongs; else 0 */
	fl_le64 address;	    /* downstream: offset in the BAR or in config space; upstream: IOVA */
	fl_le64 sequence;	    /* record sequence, from 1, per function, direction and class */
	fl_le64 follows_posted;	    /* non-posted, completion: released only after this posted sequence */
};
FL_ASSERT_SIZE(fl_tlp, 48);
FL_ASSERT_OFFSET(fl_tlp, tag, 8);
FL_ASSERT_OFFSET(fl_tlp, attr, 16);
FL_ASSERT_OFFSET(fl_tlp, length_bytes, 20);
FL_ASSERT_OFFSET(fl_tlp, address, 24);
FL_ASSERT_OFFSET(fl_tlp, sequence, 32);
FL_ASSERT_OFFSET(fl_tlp, follows_posted, 40);

/* fl_tlp.code of FL_TLP_MSG */
enum fl_msg_code {
	FL_MSG_MAP = 1,	  /* downstream; payload struct fl_msg_map: the device may reach this range */
	FL_MSG_UNMAP = 2, /* downstream; payload struct fl_msg_map: no longer */
	FL_MSG_ERROR = 3, /* upstream; payload struct fl_msg_error: what AER would report */
};

/* direction of a mapping, seen from the device */
#define FL_MAP_DEVICE_READS 0x1	 /* host to device */
#define FL_MAP_DEVICE_WRITES 0x2 /* device to host */

struct fl_msg_map {
	fl_le64 iova;
	fl_le64 length_bytes;
	fl_le32 direction; /* FL_MAP_DEVICE_*; at least one */
	fl_le32 reserved;  /* 0 */
};
FL_ASSERT_SIZE(fl_msg_map, 24);

struct fl_msg_error {
	fl_le32 severity; /* 0 correctable, 1 non-fatal, 2 fatal */
	fl_le32 source;	  /* bit of the AER status register of that severity */
};
FL_ASSERT_SIZE(fl_msg_error, 8);

enum fl_class {
	FL_CLASS_POSTED = 0,
	FL_CLASS_NON_POSTED = 1,
	FL_CLASS_COMPLETION = 2,
	FL_CLASS_COUNT = 3,
};

/* The class a type belongs to, or -1 for a type that is not valid. */
static inline int fl_tlp_class(__u8 type)
{
	switch (type) {
	case FL_TLP_MWR:
	case FL_TLP_MSI:
	case FL_TLP_MSG:
		return FL_CLASS_POSTED;
	case FL_TLP_MRD:
	case FL_TLP_CFGRD:
	case FL_TLP_CFGWR:
	case FL_TLP_FETCHADD:
	case FL_TLP_SWAP:
	case FL_TLP_CAS:
		return FL_CLASS_NON_POSTED;
	case FL_TLP_CPL:
	case FL_TLP_CPLD:
		return FL_CLASS_COMPLETION;
	default:
		return -1;
	}
}

#endif /* _UAPI_FARLANE_TLP_H */

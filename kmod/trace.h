/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints, "farlane:*". `tag` is the tag of the transaction record, the number
 * the daemon's log and a frame of the wire carry for the same request.
 * Receives: what the rooms report. Hands on: trace events. Owns: nothing.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM farlane

#if !defined(FARLANE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FARLANE_TRACE_H

#include <linux/tracepoint.h>

#include "farlane.h"

#define fl_show_tlp(type)                                                            \
	__print_symbolic(type, { FL_TLP_MRD, "MRd" }, { FL_TLP_MWR, "MWr" },         \
			 { FL_TLP_CFGRD, "CfgRd" }, { FL_TLP_CFGWR, "CfgWr" },       \
			 { FL_TLP_FETCHADD, "FetchAdd" }, { FL_TLP_SWAP, "Swap" },   \
			 { FL_TLP_CAS, "CAS" }, { FL_TLP_MSG, "Msg" })

/* A transaction leaves for the device. */
TRACE_EVENT(farlane_submit,
	TP_PROTO(const struct fl_function *f, const struct fl_tlp *tlp),
	TP_ARGS(f, tlp),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, tag)
		__field(u64, address)
		__field(u16, length)
		__field(u8, type)
		__field(u8, bar)),
	TP_fast_assign(
		__entry->id = f->id;
		__entry->tag = le32_to_cpu(tlp->tag);
		__entry->address = le64_to_cpu(tlp->address);
		__entry->length = le16_to_cpu(tlp->length_bytes);
		__entry->type = tlp->type;
		__entry->bar = tlp->bar;),
	TP_printk("function=%u tag=%u type=%s bar=%u address=0x%llx length=%u", __entry->id,
		  __entry->tag, fl_show_tlp(__entry->type), __entry->bar, __entry->address,
		  __entry->length)
);

/* The answer of a request, or why there is none. */
TRACE_EVENT(farlane_complete,
	TP_PROTO(const struct fl_function *f, u32 tag, u32 status),
	TP_ARGS(f, tag, status),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, tag)
		__field(u32, status)),
	TP_fast_assign(
		__entry->id = f->id;
		__entry->tag = tag;
		__entry->status = status;),
	TP_printk("function=%u tag=%u status=%u", __entry->id, __entry->tag, __entry->status)
);

/* outcome: 0 delivered, 1 kept because it is masked, 2 refused because it is not enabled */
TRACE_EVENT(farlane_interrupt,
	TP_PROTO(const struct fl_function *f, u32 vector, u32 outcome),
	TP_ARGS(f, vector, outcome),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, vector)
		__field(u32, outcome)),
	TP_fast_assign(
		__entry->id = f->id;
		__entry->vector = vector;
		__entry->outcome = outcome;),
	TP_printk("function=%u vector=%u outcome=%s", __entry->id, __entry->vector,
		  __print_symbolic(__entry->outcome, { 0, "delivered" }, { 1, "masked" },
				   { 2, "refused" }))
);

/* One request of the device to memory of this host. */
TRACE_EVENT(farlane_dma,
	TP_PROTO(const struct fl_function *f, u32 kind, u64 iova, u32 length, u32 status),
	TP_ARGS(f, kind, iova, length, status),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, kind)
		__field(u64, iova)
		__field(u32, length)
		__field(u32, status)),
	TP_fast_assign(
		__entry->id = f->id;
		__entry->kind = kind;
		__entry->iova = iova;
		__entry->length = length;
		__entry->status = status;),
	TP_printk("function=%u kind=%s iova=0x%llx length=%u status=%u", __entry->id,
		  __print_symbolic(__entry->kind, { FL_DMA_READ, "read" }, { FL_DMA_WRITE, "write" },
				   { FL_DMA_FETCHADD, "fetchadd" }, { FL_DMA_SWAP, "swap" },
				   { FL_DMA_CAS, "cas" }),
		  __entry->iova, __entry->length, __entry->status)
);

/* An access of this host to the configuration space, as the shadow answered it. */
TRACE_EVENT(farlane_config,
	TP_PROTO(const struct fl_function *f, bool write, int where, int size, u32 value),
	TP_ARGS(f, write, where, size, value),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(bool, write)
		__field(u16, where)
		__field(u8, size)
		__field(u32, value)),
	TP_fast_assign(
		__entry->id = f->id;
		__entry->write = write;
		__entry->where = where;
		__entry->size = size;
		__entry->value = value;),
	TP_printk("function=%u %s where=0x%03x size=%u value=0x%x", __entry->id,
		  __entry->write ? "write" : "read", __entry->where, __entry->size, __entry->value)
);

/* Something happened to a function: the FARLANE_EVENT of its uevent. */
TRACE_EVENT(farlane_event,
	TP_PROTO(const struct fl_function *f, const char *event),
	TP_ARGS(f, event),
	TP_STRUCT__entry(
		__field(u32, id)
		__array(char, name, FL_NAME_BYTES)
		__array(char, event, 32)),
	TP_fast_assign(
		__entry->id = f->id;
		strscpy(__entry->name, f->name, FL_NAME_BYTES);
		strscpy(__entry->event, event, 32);),
	TP_printk("function=%u name=%s event=%s", __entry->id, __entry->name, __entry->event)
);

#endif /* FARLANE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

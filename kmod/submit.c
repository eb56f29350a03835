// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: transactions of bar.c and config.c, in any context. Hands on: slots of the submit
 * ring, one FIFO per function for all CPUs. Owns: its head, and who uses the staging area.
 *
 * A slot is written again when the daemon has released it. Payloads above 64 bytes go through the
 * staging area when it has room, else in pieces of 64 bytes: a posted write never waits for more
 * than slots. A CPU may spend FULL_NS on a full ring, all CPUs together; the time is given back
 * when a sixteenth of the ring has been released. Then the function is contained.
 */
#include <linux/preempt.h>

#include "compat/preempt.h"
#include "rings.h"
#include "trace.h"

#define FULL_NS (100 * NSEC_PER_MSEC)
#define PROGRESS_SHARE 16
#define STAGING_ALIGN 64
#define NOT_STAGED U32_MAX

/* What goes into one slot. */
struct record {
	struct fl_tlp tlp;
	const void *payload; /* NULL: none */
	u32 payload_bytes;
	u64 cookie;
	struct fl_tag *tag; /* of a request, else NULL */
};

/* Only what the requester may say; the daemon checks that the rest is zero. */
static void fill_tlp(struct fl_tlp *to, const struct fl_tlp *from, u32 offset, u32 bytes)
{
	memset(to, 0, sizeof(*to));
	to->family = FL_FAMILY_TLP;
	to->type = from->type;
	to->attr = from->attr;
	to->byte_enables = from->byte_enables;
	to->bar = from->bar;
	to->length_bytes = cpu_to_le16(bytes);
	to->address = cpu_to_le64(le64_to_cpu(from->address) + offset);
}

/* `released` is the daemon's: it goes forward, and never past what was written. */
static bool look_at_released(struct fl_rings *r)
{
	/* what the daemon had read of a slot before it released it */
	u32 released = smp_load_acquire(&r->header->submit.released);

	if (released - r->released > r->head - r->released)
		return false;
	if (released != r->released)
		r->staging_free = r->staging_end[(released - 1) & (r->submit_entries - 1)];
	r->released = released;
	/* an answer may still be on its way into the staging area: then a later look */
	if (!atomic_read(&r->tags.staged))
		r->staging_tail = r->staging_free;
	if (released == r->head || released - r->progress >= r->submit_entries / PROGRESS_SHARE) {
		r->progress = released;
		atomic64_set(&r->full_ns, 0);
	}
	return true;
}

static u32 stage(struct fl_rings *r, u32 bytes)
{
	u64 size = r->staging_bytes, at = r->staging_head;
	u64 want = round_up(bytes, STAGING_ALIGN);
	u32 offset;

	if (want > size)
		return NOT_STAGED;
	div64_u64_rem(at, size, &at);
	offset = at + want > size ? 0 : at; /* not across the end */
	want += offset == at ? 0 : size - at;
	if (r->staging_head + want - r->staging_tail > size)
		return NOT_STAGED;
	r->staging_head += want;
	return offset;
}

/* The daemon sleeps: after this the flag is down and the bell is ours to ring. */
static bool take_sleeper(struct fl_ring *ring)
{
	smp_mb(); /* head before the look at `sleeping`; the daemon does the reverse */
	if (READ_ONCE(ring->sleeping) < FL_RING_SLEEPS_HEAD)
		return false;
	return xchg(&ring->sleeping, FL_RING_AWAKE) >= FL_RING_SLEEPS_HEAD;
}

static void trace_record(struct fl_rings *r, const struct record *record)
{
	struct fl_tlp tlp = record->tlp;

	tlp.tag = cpu_to_le32((u32)record->cookie);
	trace_farlane_submit(r->function, &tlp);
}

/* There is room; the lock is held. */
static void put(struct fl_rings *r, const struct record *record, u32 offset)
{
	u32 index = r->head & (r->submit_entries - 1);
	struct fl_slot slot = { .tlp = record->tlp, .cookie = record->cookie };

	if (offset != NOT_STAGED) {
		slot.kind = FL_SLOT_REFERENCE;
		slot.u.ref.buffer = FL_BUFFER_STAGING;
		slot.u.ref.offset_bytes = offset;
		if (record->payload)
			memcpy(r->staging + offset, record->payload, record->payload_bytes);
	} else if (record->payload) {
		memcpy(slot.u.payload, record->payload, record->payload_bytes);
	}
	r->staging_end[index] = r->staging_head;
	memcpy(&r->submit[index], &slot, sizeof(slot));
	r->head++;
	/* the slot before the count that hands it over */
	smp_store_release(&r->header->submit.head, r->head);
}

/* A place in the staging area for data that a slot can't hold. */
static bool find_place(struct fl_rings *r, const struct record *record, u32 *offset)
{
	u32 bytes = record->tag ? record->tag->bytes : record->payload_bytes;

	*offset = NOT_STAGED;
	if (bytes <= FL_TLP_INLINE_BYTES)
		return true;
	*offset = stage(r, bytes);
	if (*offset == NOT_STAGED)
		return false;
	if (record->tag) {
		record->tag->staging_offset = *offset;
		record->tag->staged = true;
	}
	return true;
}

/* From here on the tag can be answered, failed and overdue. */
static bool arm(struct fl_rings *r, struct fl_tag *tag)
{
	bool alive;

	raw_spin_lock(&r->complete_lock);
	/* under the lock: fl_complete_fail() comes after `gone` */
	alive = !fl_function_is_gone(r->function);
	if (alive)
		fl_tag_arm(&r->tags, tag);
	raw_spin_unlock(&r->complete_lock);
	return alive;
}

/* -EAGAIN: no slot; -EMSGSIZE: no place in the staging area; -EPROTO: the ring is broken. */
static int try_submit(struct fl_rings *r, const struct record *record)
{
	unsigned long flags;
	bool bell = false;
	int error = 0;
	u32 offset;

	raw_spin_lock_irqsave(&r->submit_lock, flags);
	if (!look_at_released(r)) {
		error = -EPROTO;
	} else if (r->head - r->released >= r->submit_entries) {
		error = -EAGAIN;
	} else if (!find_place(r, record, &offset)) {
		error = -EMSGSIZE;
	} else if (record->tag && !arm(r, record->tag)) {
		error = -ENODEV;
	} else {
		trace_record(r, record);
		put(r, record, offset);
		bell = take_sleeper(&r->header->submit);
	}
	raw_spin_unlock_irqrestore(&r->submit_lock, flags);
	if (bell)
		fl_rings_wake(r);
	return error;
}

/* Adds the time since `last` to what all CPUs have spent on the full ring. */
static bool may_go_on(struct fl_rings *r, u64 *last)
{
	u64 now = fl_rings_now_ns();
	s64 spent = atomic64_add_return(now - *last, &r->full_ns);

	*last = now;
	return spent < FULL_NS;
}

static int submit(struct fl_rings *r, const struct record *record, bool spin)
{
	u64 last = 0;
	int error;

	for (;;) {
		if (fl_function_is_gone(r->function))
			return -ENODEV;
		error = try_submit(r, record);
		if (error == -EPROTO)
			fl_rings_broken(r, "submit ring: an impossible count");
		if (error != -EAGAIN || !spin)
			return error;
		if (!last) {
			last = fl_rings_now_ns();
			atomic64_inc(&r->function->counters.ring_full_spins);
		}
		/* the daemon may wait for room in the other ring */
		fl_complete_drain(r, false);
		if (!may_go_on(r, &last)) {
			fl_function_contain(r->function, "the ring to the daemon is full");
			return -ENOSPC;
		}
		fl_relax();
	}
}

static bool is_sane(const struct fl_tlp *tlp)
{
	u32 bytes = le16_to_cpu(tlp->length_bytes);

	return bytes && bytes <= FL_TLP_MAX_PAYLOAD_BYTES;
}

static int post_piece(struct fl_rings *r, const struct fl_tlp *tlp, const void *payload, u32 offset,
		      u32 bytes)
{
	struct record record = { .payload = payload + offset, .payload_bytes = bytes };

	fill_tlp(&record.tlp, tlp, offset, bytes);
	return submit(r, &record, true);
}

static int fl_ring_posted(struct fl_function *f, const struct fl_tlp *tlp, const void *payload)
{
	u32 bytes = le16_to_cpu(tlp->length_bytes), at;
	int error;

	if (!is_sane(tlp) || in_nmi())
		return -EINVAL;
	atomic64_inc(&f->counters.posted);
	error = post_piece(f->rings, tlp, payload, 0, bytes);
	if (error != -EMSGSIZE)
		return error;
	for (at = 0, error = 0; at < bytes && !error; at += FL_TLP_INLINE_BYTES)
		error = post_piece(f->rings, tlp, payload, at,
				   min_t(u32, bytes - at, FL_TLP_INLINE_BYTES));
	return error;
}

static struct fl_tag *take_tag(struct fl_rings *r, u64 deadline_ns)
{
	struct fl_tag *tag;
	unsigned long flags;

	raw_spin_lock_irqsave(&r->complete_lock, flags);
	tag = fl_tag_take(&r->tags);
	raw_spin_unlock_irqrestore(&r->complete_lock, flags);
	if (tag)
		tag->deadline_ns = deadline_ns;
	return tag;
}

static void give_tag(struct fl_rings *r, struct fl_tag *tag)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&r->complete_lock, flags);
	fl_tag_give_back(&r->tags, tag);
	raw_spin_unlock_irqrestore(&r->complete_lock, flags);
}

static u64 deadline_after(const struct fl_function *f)
{
	return fl_rings_now_ns() + (u64)f->completion_timeout_ms * NSEC_PER_MSEC;
}

static struct fl_tag *wait_for_tag(struct fl_rings *r, u64 deadline_ns)
{
	for (;;) {
		struct fl_tag *tag = take_tag(r, deadline_ns);

		if (tag || fl_function_is_gone(r->function) || fl_rings_now_ns() >= deadline_ns)
			return tag;
		fl_complete_drain(r, false);
		fl_relax();
	}
}

static enum fl_status status_of(struct fl_rings *r, int error)
{
	return fl_function_is_gone(r->function) ? FL_STATUS_DEVICE_LOST :
	       error == -EMSGSIZE		? FL_STATUS_WOULD_BLOCK :
						  FL_STATUS_IO;
}

/* WOULD_BLOCK: the answer has no place in the staging area. */
static enum fl_status request_piece(struct fl_rings *r, const struct fl_tlp *tlp,
				    const void *operand, void *into, u32 offset, u32 bytes)
{
	u64 deadline_ns = deadline_after(r->function);
	struct record record = { .payload = operand, .payload_bytes = operand ? bytes : 0 };
	int error;

	record.tag = wait_for_tag(r, deadline_ns);
	if (!record.tag)
		return fl_function_is_gone(r->function) ? FL_STATUS_DEVICE_LOST : FL_STATUS_TIMEOUT;
	fill_tlp(&record.tlp, tlp, offset, bytes);
	record.cookie = record.tag->cookie;
	record.tag->owner = FL_OWNER_SPINS;
	record.tag->into = into;
	record.tag->bytes = fl_tag_result_bytes(&record.tlp);
	error = submit(r, &record, true);
	if (error) {
		give_tag(r, record.tag);
		return status_of(r, error);
	}
	return fl_complete_wait(r, record.tag, deadline_ns);
}

static enum fl_status fl_ring_request(struct fl_function *f, const struct fl_tlp *tlp,
				      const void *operand, void *into)
{
	u32 bytes = le16_to_cpu(tlp->length_bytes), at;
	enum fl_status status;

	if (!is_sane(tlp) || in_nmi())
		return FL_STATUS_INVALID;
	atomic64_inc(&f->counters.requests);
	status = request_piece(f->rings, tlp, operand, into, 0, bytes);
	if (status != FL_STATUS_WOULD_BLOCK || bytes <= FL_TLP_INLINE_BYTES)
		return status;
	for (at = 0, status = FL_STATUS_SC; at < bytes && status == FL_STATUS_SC;
	     at += FL_TLP_INLINE_BYTES)
		status = request_piece(f->rings, tlp, NULL, into + at, at,
				       min_t(u32, bytes - at, FL_TLP_INLINE_BYTES));
	return status;
}

/* The daemon is asked for a poke before the request can be answered. */
static int request_without_spinner(struct fl_function *f, const struct fl_tlp *tlp,
				   const void *operand, fl_done_fn done, void *arg, bool spin)
{
	struct record record = { .payload = operand };
	struct fl_rings *r = f->rings;
	int error;

	fill_tlp(&record.tlp, tlp, 0, le16_to_cpu(tlp->length_bytes));
	record.payload_bytes = operand ? le16_to_cpu(tlp->length_bytes) : 0;
	if (!is_sane(tlp) || in_nmi() || record.payload_bytes > FL_TLP_INLINE_BYTES ||
	    fl_tag_result_bytes(&record.tlp) > sizeof(record.tag->data))
		return -EINVAL;
	record.tag = take_tag(r, deadline_after(f));
	if (!record.tag)
		return -EAGAIN;
	atomic64_inc(&f->counters.requests);
	record.cookie = record.tag->cookie;
	record.tag->bytes = fl_tag_result_bytes(&record.tlp);
	record.tag->owner = done ? FL_OWNER_CALL : FL_OWNER_NONE;
	record.tag->done = done;
	record.tag->arg = arg;
	WRITE_ONCE(r->header->complete.sleeping, FL_RING_SLEEPS_HEAD);
	error = submit(r, &record, spin);
	if (error)
		give_tag(r, record.tag);
	else
		fl_rings_todo(r, FL_TODO_SWEEP);
	return error;
}

static int fl_ring_request_nowait(struct fl_function *f, const struct fl_tlp *tlp,
				  const void *operand)
{
	return request_without_spinner(f, tlp, operand, NULL, NULL, true);
}

static int fl_ring_request_async(struct fl_function *f, const struct fl_tlp *tlp,
				 const void *operand, fl_done_fn done, void *arg)
{
	return request_without_spinner(f, tlp, operand, done, arg, false);
}

const struct fl_function_ops fl_ring_ops = {
	.posted = fl_ring_posted,
	.request = fl_ring_request,
	.request_nowait = fl_ring_request_nowait,
	.request_async = fl_ring_request_async,
};

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

/* Who asks: what its tag will know of it. */
struct asker {
	enum fl_tag_owner owner;
	void *into;
	fl_done_fn done;
	void *arg;
	u64 deadline_ns; /* of one that does not spin */
};

/* What goes into one slot: a transaction, or a part of it. */
struct record {
	const struct fl_tlp *tlp;
	const void *payload; /* of this part; NULL: none */
	u32 offset, bytes;
	const struct asker *asker; /* of a request, else NULL */
	struct fl_tag *tag;	   /* of a request, once it was submitted */
};

/*
 * Only what the requester may say; the daemon checks that the rest is zero. Field by field:
 * a string instruction that clears 48 bytes takes longer than all the rest of it.
 */
static void fill_tlp(struct fl_tlp *to, const struct record *record)
{
	const struct fl_tlp *from = record->tlp;

	to->family = FL_FAMILY_TLP;
	to->type = from->type;
	to->record_bytes = 0;
	to->function_index = 0;
	to->function_generation = 0;
	to->tag = 0;
	to->pasid = 0;
	to->attr = from->attr;
	to->byte_enables = from->byte_enables;
	to->bar = from->bar;
	to->code = 0;
	to->length_bytes = cpu_to_le16(record->bytes);
	to->offset_bytes = 0;
	to->address = cpu_to_le64(le64_to_cpu(from->address) + record->offset);
	to->sequence = 0;
	to->follows_posted = 0;
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

/* As long as half of the ring is free by the last look, and no staging area is wanted. */
static bool has_room(const struct fl_rings *r, const struct record *record)
{
	return record->bytes <= FL_TLP_INLINE_BYTES &&
	       r->head - r->released < r->submit_entries / 2;
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

static u64 cookie_of(const struct record *record)
{
	return record->tag ? record->tag->cookie : 0;
}

static void trace_record(struct fl_rings *r, const struct record *record)
{
	struct fl_tlp tlp;

	if (!trace_farlane_submit_enabled())
		return;
	fill_tlp(&tlp, record);
	tlp.tag = cpu_to_le32((u32)cookie_of(record));
	trace_farlane_submit(r->function, &tlp);
}

/* There is room; the lock is held. The slot is written and never read: it is the daemon's, too. */
static void put(struct fl_rings *r, const struct record *record, u32 offset)
{
	u32 index = r->head & (r->submit_entries - 1);
	struct fl_slot *slot = &r->submit[index];
	bool staged = offset != NOT_STAGED;

	fill_tlp(&slot->tlp, record);
	slot->kind = staged ? FL_SLOT_REFERENCE : FL_SLOT_INLINE;
	slot->status = 0;
	slot->cookie = cookie_of(record);
	if (staged) {
		slot->u.ref.buffer = FL_BUFFER_STAGING;
		slot->u.ref.reserved = 0;
		slot->u.ref.offset_bytes = offset;
	}
	if (record->payload)
		fl_copy_payload(staged ? r->staging + offset : slot->u.payload, record->payload,
				record->bytes);
	r->staging_end[index] = r->staging_head;
	r->head++;
	/* the slot before the count that hands it over */
	smp_store_release(&r->header->submit.head, r->head);
}

/* A place in the staging area for data that a slot can't hold. */
static bool find_place(struct fl_rings *r, u32 bytes, u32 *offset)
{
	*offset = bytes <= FL_TLP_INLINE_BYTES ? NOT_STAGED : stage(r, bytes);
	return bytes <= FL_TLP_INLINE_BYTES || *offset != NOT_STAGED;
}

/* From here on the tag can be answered, failed and overdue. */
static int arm(struct fl_rings *r, struct record *record, u32 *offset)
{
	struct fl_tag *tag = fl_tag_take(&r->tags);

	if (!tag)
		return -EBUSY;
	tag->bytes = fl_tag_result_bytes(record->tlp->type, record->bytes);
	if (!find_place(r, tag->bytes, offset)) {
		fl_tag_give_back(&r->tags, tag);
		return -EMSGSIZE;
	}
	tag->staged = *offset != NOT_STAGED;
	tag->staging_offset = *offset;
	tag->owner = record->asker->owner;
	tag->into = record->asker->into;
	tag->done = record->asker->done;
	tag->arg = record->asker->arg;
	tag->deadline_ns = record->asker->deadline_ns;
	fl_tag_arm(&r->tags, tag);
	record->tag = tag;
	return 0;
}

static int prepare(struct fl_rings *r, struct record *record, u32 *offset)
{
	int error = -ENODEV;

	if (!record->asker)
		return find_place(r, record->bytes, offset) ? 0 : -EMSGSIZE;
	raw_spin_lock(&r->complete_lock);
	/* under the lock: fl_complete_fail() comes after `gone` */
	if (!fl_function_is_gone(r->function))
		error = arm(r, record, offset);
	raw_spin_unlock(&r->complete_lock);
	return error;
}

/*
 * -EAGAIN: no slot; -EBUSY: no tag; -EMSGSIZE: no place in the staging area; -EPROTO: the ring
 * is broken.
 */
static int try_submit(struct fl_rings *r, struct record *record)
{
	unsigned long flags;
	bool bell = false;
	int error;
	u32 offset;

	raw_spin_lock_irqsave(&r->submit_lock, flags);
	if (!has_room(r, record) && !look_at_released(r))
		error = -EPROTO;
	else if (r->head - r->released >= r->submit_entries)
		error = -EAGAIN;
	else
		error = prepare(r, record, &offset);
	if (!error) {
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

static int submit(struct fl_rings *r, struct record *record, bool spin)
{
	u64 last = 0;
	int error;

	for (;;) {
		if (fl_function_is_gone(r->function))
			return -ENODEV;
		error = try_submit(r, record);
		if (error == -EPROTO)
			fl_rings_broken(r, "an impossible count in the submit ring");
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
	struct record record = { .tlp = tlp,
				 .payload = payload + offset,
				 .offset = offset,
				 .bytes = bytes };

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

/* All tags may be in use: then until one is free, or the time is over. */
static int submit_request(struct fl_rings *r, struct record *record, u64 *deadline_ns)
{
	int error;

	for (;;) {
		error = submit(r, record, true);
		if (error != -EBUSY || fl_rings_overdue(r, deadline_ns))
			return error;
		fl_complete_drain(r, false);
		fl_relax();
	}
}

static enum fl_status status_of(struct fl_rings *r, int error)
{
	return fl_function_is_gone(r->function) ? FL_STATUS_DEVICE_LOST :
	       error == -EMSGSIZE		? FL_STATUS_WOULD_BLOCK :
	       error == -EBUSY			? FL_STATUS_TIMEOUT :
						  FL_STATUS_IO;
}

/* WOULD_BLOCK: the answer has no place in the staging area. */
static enum fl_status request_piece(struct fl_rings *r, const struct fl_tlp *tlp,
				    const void *operand, void *into, u32 offset, u32 bytes)
{
	struct asker asker = { .owner = FL_OWNER_SPINS, .into = into };
	struct record record = { .tlp = tlp,
				 .payload = operand,
				 .offset = offset,
				 .bytes = bytes,
				 .asker = &asker };
	u64 deadline_ns = 0;
	int error = submit_request(r, &record, &deadline_ns);

	return error ? status_of(r, error) : fl_complete_wait(r, record.tag, &deadline_ns);
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
	struct asker asker = { .owner = done ? FL_OWNER_CALL : FL_OWNER_NONE,
			       .done = done,
			       .arg = arg };
	struct record record = { .tlp = tlp, .payload = operand, .asker = &asker };
	struct fl_rings *r = f->rings;
	int error;

	record.bytes = le16_to_cpu(tlp->length_bytes);
	if (!is_sane(tlp) || in_nmi() || (operand && record.bytes > FL_TLP_INLINE_BYTES) ||
	    fl_tag_result_bytes(tlp->type, record.bytes) > sizeof(record.tag->data))
		return -EINVAL;
	fl_rings_overdue(r, &asker.deadline_ns);
	WRITE_ONCE(r->header->complete.sleeping, FL_RING_SLEEPS_HEAD);
	error = submit(r, &record, spin);
	if (error)
		return error == -EBUSY ? -EAGAIN : error;
	atomic64_inc(&f->counters.requests);
	fl_rings_todo(r, FL_TODO_SWEEP);
	return 0;
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

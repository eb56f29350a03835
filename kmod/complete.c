// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the complete ring, written by the daemon. Hands on: answers to those who wait.
 * Owns: the count of what was read of it.
 *
 * Who reads it: any CPU that waits for an answer, for all others too (one at a time, by trylock);
 * each call of the daemon for this function (INTERRUPT, DMA_COPY, POKE); and, while a request
 * without a spinner is in flight, a delayed work. The daemon needs no bell: `complete.sleeping`
 * is set while such a request is in flight and asks it for one FL_IOC_POKE, which only saves time.
 *
 * A completion pushes the DMA writes before it: the daemon calls DMA_COPY, which returns when the
 * bytes are in memory, before it publishes the completion.
 */
#include <linux/ktime.h>
#include <linux/prefetch.h>

#include "compat/preempt.h"
#include "rings.h"
#include "trace.h"

#define DRAIN_BURST 64	     /* slots for which interrupts are off */
#define EAGER_TURNS 32	     /* of a spinner, before it pauses between looks */
#define CLOCK_EVERY 16	     /* turns of a spinner between looks at the clock */
#define WAKE_EVERY 4096	     /* turns until another CPU is asked to ring */

u64 fl_rings_now_ns(void)
{
	return ktime_get_mono_fast_ns();
}

bool fl_rings_overdue(const struct fl_rings *r, u64 *deadline_ns)
{
	u64 now = fl_rings_now_ns();

	if (!*deadline_ns)
		*deadline_ns = now + (u64)r->function->completion_timeout_ms * NSEC_PER_MSEC;
	return now >= *deadline_ns;
}

static bool peek(const struct fl_rings *r)
{
	return READ_ONCE(r->header->complete.head) != READ_ONCE(r->tail);
}

/* A message: of the device (cookie ~0), or about a posted write that was refused. */
static const char *take_message(struct fl_rings *r, const struct fl_slot *slot)
{
	if (slot->cookie != ~0ULL) {
		atomic64_inc(&r->function->counters.posted_refused);
		return NULL;
	}
	switch (fl_checked_status(slot->status)) {
	case FL_STATUS_SC:
		fl_rings_todo(r, FL_TODO_LIVE);
		return NULL;
	case FL_STATUS_UNREACHABLE:
		fl_rings_todo(r, FL_TODO_DOWN);
		return NULL;
	case FL_STATUS_DEVICE_LOST:
		return "the daemon says that the device is lost";
	case FL_STATUS_DEVICE_RESET: /* its driver can't know otherwise */
		return "the device has lost its state";
	default:
		return "a message that says nothing";
	}
}

/* `slot` is a copy. Returns why the function has to go, or NULL. */
static const char *take_slot(struct fl_rings *r, const struct fl_slot *slot,
			     struct list_head *finished)
{
	if (slot->tlp.family != FL_FAMILY_TLP)
		return "complete ring: a record of no family";
	if (slot->tlp.type == FL_TLP_MSG)
		return take_message(r, slot);
	if (slot->tlp.type != FL_TLP_CPL && slot->tlp.type != FL_TLP_CPLD)
		return "complete ring: a record that is no completion";
	trace_farlane_complete(r->function, (u32)slot->cookie, slot->status);
	if (!fl_tag_answer(&r->tags, slot, r->staging, finished))
		atomic64_inc(&r->function->counters.late_completions);
	return NULL;
}

/* What it holds, once: what is checked is what is used. */
static const struct fl_slot *copy_slot(struct fl_rings *r)
{
	const struct fl_slot *from = &r->complete[r->tail & (r->complete_entries - 1)];
	struct fl_slot *to = &r->answer;

	memcpy(to, from, offsetof(struct fl_slot, u));
	barrier(); /* the length that was copied is the one that counts */
	if (le16_to_cpu(to->tlp.length_bytes) <= sizeof(u64))
		memcpy(to->u.payload, from->u.payload, sizeof(u64));
	else
		memcpy(to->u.payload, from->u.payload, sizeof(to->u.payload));
	barrier(); /* never back to the shared memory */
	return to;
}

/* At most DRAIN_BURST slots. */
static const char *take_burst(struct fl_rings *r, struct list_head *finished)
{
	struct fl_ring *ring = &r->header->complete;
	const char *why = NULL;
	u32 n;

	/* before any look at the slots that it hands over */
	n = smp_load_acquire(&ring->head) - r->tail;
	if (n > r->complete_entries)
		return "complete ring: an impossible head";
	for (n = min_t(u32, n, DRAIN_BURST); n && !why; n--) {
		const struct fl_slot *copy = copy_slot(r);

		WRITE_ONCE(r->tail, r->tail + 1);
		why = take_slot(r, copy, finished);
	}
	WRITE_ONCE(ring->tail, r->tail);
	/* all copies before the daemon may write there again */
	smp_store_release(&ring->released, r->tail);
	return why;
}

/* done() runs without any lock of ours. */
static void make_calls(struct fl_rings *r, struct list_head *finished)
{
	struct fl_tag *tag, *next;
	unsigned long flags;

	list_for_each_entry_safe(tag, next, finished, node) {
		bool good = tag->status == FL_STATUS_SC;

		list_del_init(&tag->node);
		tag->done(r->function, tag->arg, tag->status, good ? tag->data : NULL,
			  good ? tag->bytes : 0);
		raw_spin_lock_irqsave(&r->complete_lock, flags);
		fl_tag_give_back(&r->tags, tag);
		raw_spin_unlock_irqrestore(&r->complete_lock, flags);
	}
}

void fl_complete_drain(struct fl_rings *r, bool certain)
{
	u32 budget = r->complete_entries; /* a daemon that answers as fast as we read */

	while (budget && peek(r) && !fl_function_is_gone(r->function)) {
		LIST_HEAD(finished);
		unsigned long flags;
		const char *why;

		if (certain)
			raw_spin_lock_irqsave(&r->complete_lock, flags);
		else if (!raw_spin_trylock_irqsave(&r->complete_lock, flags))
			return;
		why = take_burst(r, &finished);
		raw_spin_unlock_irqrestore(&r->complete_lock, flags);
		make_calls(r, &finished);
		if (why)
			fl_rings_broken(r, why);
		budget -= min_t(u32, budget, DRAIN_BURST);
	}
}

/* Takes a burst, and with it what this spinner waits for; true: it was there. */
static bool collect(struct fl_rings *r, struct fl_tag *tag, enum fl_status *status)
{
	LIST_HEAD(finished);
	unsigned long flags;
	const char *why;
	bool answered;

	prefetch(&r->complete[READ_ONCE(r->tail) & (r->complete_entries - 1)].u);
	if (!raw_spin_trylock_irqsave(&r->complete_lock, flags))
		return false;
	why = take_burst(r, &finished);
	answered = tag->state == FL_TAG_DONE;
	if (answered) {
		*status = tag->status;
		fl_tag_give_back(&r->tags, tag);
	}
	raw_spin_unlock_irqrestore(&r->complete_lock, flags);
	if (!list_empty(&finished))
		make_calls(r, &finished);
	if (why)
		fl_rings_broken(r, why);
	return answered;
}

/* The spinner leaves with its answer, or leaves its tag in quarantine. */
static enum fl_status leave(struct fl_rings *r, struct fl_tag *tag)
{
	enum fl_status status = FL_STATUS_TIMEOUT;
	unsigned long flags;

	raw_spin_lock_irqsave(&r->complete_lock, flags);
	if (tag->state == FL_TAG_DONE) {
		status = tag->status;
		fl_tag_give_back(&r->tags, tag);
	} else {
		fl_tag_quarantine(&r->tags, tag);
	}
	raw_spin_unlock_irqrestore(&r->complete_lock, flags);
	return status;
}

/* The answer, taken by this CPU or by another one that waits. */
static enum fl_status spin(struct fl_rings *r, struct fl_tag *tag, u64 *deadline_ns)
{
	enum fl_status status;
	unsigned int turn;

	/* pairs with finish(): then the answer is there as well */
	for (turn = 1; smp_load_acquire(&tag->state) != FL_TAG_DONE; turn++) {
		if (fl_function_is_gone(r->function))
			break;
		if (peek(r) && collect(r, tag, &status)) {
			if (peek(r)) /* what did not fit into the burst */
				fl_complete_drain(r, false);
			return status;
		}
		if (turn % WAKE_EVERY == 0)
			fl_rings_wake_again(r);
		if (turn % CLOCK_EVERY == 0 && fl_rings_overdue(r, deadline_ns)) {
			/* this CPU may have been away for long: the answer counts, not the clock */
			fl_complete_drain(r, true);
			break;
		}
		if (turn > EAGER_TURNS)
			fl_relax();
	}
	return leave(r, tag);
}

enum fl_status fl_complete_wait(struct fl_rings *r, struct fl_tag *tag, u64 *deadline_ns)
{
	enum fl_status status = spin(r, tag, deadline_ns);

	if (status == FL_STATUS_TIMEOUT && !fl_function_is_gone(r->function)) {
		atomic64_inc(&r->function->counters.timeouts);
		fl_rings_todo(r, FL_TODO_TIMEOUT);
	}
	return fl_function_is_gone(r->function) ? FL_STATUS_DEVICE_LOST : status;
}

void fl_complete_fail(struct fl_rings *r, enum fl_status status)
{
	LIST_HEAD(finished);
	unsigned long flags;

	raw_spin_lock_irqsave(&r->complete_lock, flags);
	fl_tags_fail(&r->tags, status, &finished);
	raw_spin_unlock_irqrestore(&r->complete_lock, flags);
	make_calls(r, &finished);
}

void fl_complete_sweep(struct fl_rings *r)
{
	LIST_HEAD(finished);
	unsigned int expired;
	unsigned long flags;

	fl_complete_drain(r, true);
	raw_spin_lock_irqsave(&r->complete_lock, flags);
	expired = fl_tags_expire(&r->tags, fl_rings_now_ns(), &finished);
	raw_spin_unlock_irqrestore(&r->complete_lock, flags);
	make_calls(r, &finished);
	if (!expired)
		return;
	atomic64_add(expired, &r->function->counters.timeouts);
	fl_rings_todo(r, FL_TODO_TIMEOUT);
}

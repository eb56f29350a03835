/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between ring.c (life), submit.c and complete.c (the two rings) and tag.c (requests in flight).
 * Receives: transactions. Hands on: slots, answers. Owns: the shape of the module's side of a channel.
 */
#ifndef FARLANE_RINGS_H
#define FARLANE_RINGS_H

#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "farlane.h"

#define FL_TAGS 512 /* power of two; requests in flight of one function */

enum fl_tag_state {
	FL_TAG_FREE = 0,    /* its number is in tags->free */
	FL_TAG_TAKEN,	    /* being filled by the requester; no answer can match */
	FL_TAG_WAITING,	    /* in flight */
	FL_TAG_DONE,	    /* answered; its owner has not taken the answer yet */
	FL_TAG_QUARANTINED, /* nobody waits any more; the late answer frees it */
};

enum fl_tag_owner {
	FL_OWNER_SPINS, /* a CPU waits: `into` takes the answer */
	FL_OWNER_CALL,	/* done() takes the answer */
	FL_OWNER_NONE,	/* the answer is dropped */
};

/*
 * One request in flight. The cookie that travels names the tag and its use, so that an
 * answer never reaches another request, whatever the daemon does with slots.
 */
struct fl_tag {
	struct list_head node; /* quarantined, or finished with a call to make */
	u64 cookie;
	u64 deadline_ns;
	enum fl_tag_state state; /* DONE by release: the spinner reads it without the lock */
	enum fl_tag_owner owner;
	enum fl_status status;
	u32 bytes; /* of the answer */
	bool staged;
	u32 staging_offset;
	void *into;
	fl_done_fn done;
	void *arg;
	u8 data[8]; /* answer for done() */
};

struct fl_tags {
	u16 free[FL_TAGS]; /* a stack: what was used last is in the cache */
	unsigned int free_count;
	struct list_head quarantined;
	unsigned int asynchronous; /* waiting, and without a CPU that spins */
	atomic_t staged;	   /* waiting or quarantined with an answer in the staging area */
	struct fl_tag tag[FL_TAGS];
};

/* All under the lock of the complete ring. */
void fl_tags_init(struct fl_tags *tags);
struct fl_tag *fl_tag_take(struct fl_tags *tags);
/* All its fields are set. */
static inline void fl_tag_arm(struct fl_tags *tags, struct fl_tag *tag)
{
	if (tag->owner != FL_OWNER_SPINS)
		tags->asynchronous++;
	if (tag->staged)
		atomic_inc(&tags->staged);
	WRITE_ONCE(tag->state, FL_TAG_WAITING);
}
void fl_tag_give_back(struct fl_tags *tags, struct fl_tag *tag);
void fl_tag_quarantine(struct fl_tags *tags, struct fl_tag *tag);
/* false: nobody has asked for this. `slot` is a copy. A call to make goes to `finished`. */
bool fl_tag_answer(struct fl_tags *tags, const struct fl_slot *slot, const u8 *staging,
		   struct list_head *finished);
void fl_tags_fail(struct fl_tags *tags, enum fl_status status, struct list_head *finished);
/* Those without a spinner whose time is over. Returns how many. */
unsigned int fl_tags_expire(struct fl_tags *tags, u64 now_ns, struct list_head *finished);

/* r->todo, for the irq_work: nothing of this is done where a driver's access was trapped */
#define FL_TODO_BELL 0	  /* the daemon sleeps, and this is the only CPU */
#define FL_TODO_SWEEP 1	  /* a request without a spinner is in flight */
#define FL_TODO_TIMEOUT 2 /* event: a completion timed out */
#define FL_TODO_DOWN 3	  /* the daemon says: the device is out of reach */
#define FL_TODO_LIVE 4	  /* ... and is there again */

/* Rings the daemon's bell on that CPU. */
struct fl_bell_call {
	call_single_data_t csd;
	unsigned long asked; /* bit 0: from the asking until it rings */
};

struct fl_rings {
	struct fl_function *function;
	void *memory; /* the channel; every byte of it belongs to the daemon as well */
	size_t bytes;
	struct fl_channel *header;
	struct fl_slot *submit, *complete;
	u8 *staging;
	u32 submit_entries, complete_entries, staging_bytes;

	/* producer of `submit` */
	raw_spinlock_t submit_lock;
	u32 head, released;  /* ours, and the daemon's as last believed */
	u32 progress;	     /* `released` when the time for a full ring was last given back */
	u64 *staging_end;    /* by slot: staging used up to here */
	u64 staging_head, staging_tail; /* grow for ever */
	u64 staging_free; /* the tail, once no answer is on its way into the area any more */
	atomic64_t full_ns; /* spent on a full ring */

	/* consumer of `complete`; the lock nests inside submit_lock */
	raw_spinlock_t complete_lock;
	u32 tail;
	struct fl_slot answer; /* the copy of a slot that is being looked at */
	struct fl_tags tags;

	spinlock_t bell_lock; /* bell, which is signaled within */
	struct eventfd_ctx *bell;
	/*
	 * This CPU may be about to spin for the answer with interrupts off, so that an irq_work
	 * of its own would wait for it: another one rings, best the one that the daemon uses.
	 */
	struct fl_bell_call __percpu *bell_calls;
	atomic_t bells_called; /* and not yet rung */
	bool bell_due;	       /* the daemon sleeps and nobody has rung yet */
	int bell_cpu;	       /* where the daemon was last seen */
	unsigned long todo; /* FL_TODO_* */
	struct irq_work irq_work;
	struct work_struct work;
	struct delayed_work sweep;
};

/* complete.c */
/* Takes what the daemon has answered. `certain`: waits for the lock; else another CPU is at it. */
void fl_complete_drain(struct fl_rings *r, bool certain);
enum fl_status fl_complete_wait(struct fl_rings *r, struct fl_tag *tag, u64 *deadline_ns);
void fl_complete_fail(struct fl_rings *r, enum fl_status status);
void fl_complete_sweep(struct fl_rings *r); /* drains, and ends what is overdue */
/* The daemon did what it can not do. Contains the function. */
void fl_rings_broken(struct fl_rings *r, const char *why);
void fl_rings_todo(struct fl_rings *r, unsigned int what); /* any context */
void fl_rings_wake(struct fl_rings *r); /* the daemon sleeps; any context but NMI */
void fl_rings_wake_again(struct fl_rings *r); /* the CPU that was to ring may spin as well */
u64 fl_rings_now_ns(void);
/*
 * The completion timeout is over. It begins with the first question, when *deadline_ns is 0: an
 * answer that comes at once costs no look at the clock.
 */
bool fl_rings_overdue(const struct fl_rings *r, u64 *deadline_ns);

/* Registers have 4 or 8 bytes: no call, and no string instruction, for those. */
static inline void fl_copy_payload(void *to, const void *from, u32 bytes)
{
	if (bytes == sizeof(u32))
		memcpy(to, from, sizeof(u32));
	else if (bytes == sizeof(u64))
		memcpy(to, from, sizeof(u64));
	else
		memcpy(to, from, bytes);
}

/* Bytes that the answer of a request has. */
static inline u32 fl_tag_result_bytes(u8 type, u32 bytes)
{
	if (type == FL_TLP_CFGWR)
		return 0;
	return type == FL_TLP_CAS ? bytes / 2 : bytes;
}
/* A status of the table, or MALFORMED. */
enum fl_status fl_checked_status(u32 code);

#endif /* FARLANE_RINGS_H */

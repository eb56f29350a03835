// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the wish for a channel, and who the daemon is. Hands on: shared memory, the daemon's
 * bell. Owns: the memory of the channel and both sides' private counts (rings.h).
 *
 * The geometry is fixed here: nothing that stands in the memory says where something is. What was
 * trapped on its way to a register never rings, prints or queues: an irq_work does it, or, for
 * the bell, another CPU.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat/class.h"
#include "compat/eventfd.h"
#include "rings.h"

#define SWEEP_INTERVAL msecs_to_jiffies(10)

void fl_rings_todo(struct fl_rings *r, unsigned int what)
{
	set_bit(what, &r->todo);
	irq_work_queue(&r->irq_work);
}

void fl_rings_broken(struct fl_rings *r, const char *why)
{
	atomic64_inc(&r->function->counters.ring_broken);
	fl_function_contain(r->function, why);
}

static void ring_bell(struct fl_rings *r)
{
	unsigned long flags;

	spin_lock_irqsave(&r->bell_lock, flags);
	if (r->bell)
		fl_compat_eventfd_signal(r->bell);
	spin_unlock_irqrestore(&r->bell_lock, flags);
}

static void on_bell_call(void *data)
{
	struct fl_rings *r = data;

	clear_bit(0, &this_cpu_ptr(r->bell_calls)->asked);
	smp_mb__after_atomic(); /* whoever found it set is served by this bell */
	WRITE_ONCE(r->bell_due, false);
	ring_bell(r);
	atomic_dec(&r->bells_called); /* the last touch: fl_ring_destroy() waits for it */
}

/*
 * Asks that CPU to ring. One that has been asked already will: two CPUs that hand over the same
 * call at once would make a loop of the other's list.
 */
static bool call_cpu(struct fl_rings *r, int cpu)
{
	struct fl_bell_call *call = per_cpu_ptr(r->bell_calls, cpu);

	if (test_and_set_bit(0, &call->asked))
		return true;
	atomic_inc(&r->bells_called);
	if (!smp_call_function_single_async(cpu, &call->csd))
		return true;
	atomic_dec(&r->bells_called);
	clear_bit(0, &call->asked);
	return false;
}

static void call_other(struct fl_rings *r, int cpu)
{
	int here;

	preempt_disable(); /* no CPU goes offline meanwhile */
	here = smp_processor_id();
	if (cpu == here || !cpu_online(cpu))
		cpu = cpumask_any_but(cpu_online_mask, here);
	if (cpu >= nr_cpu_ids || !call_cpu(r, cpu))
		fl_rings_todo(r, FL_TODO_BELL);
	preempt_enable();
}

void fl_rings_wake(struct fl_rings *r)
{
	WRITE_ONCE(r->bell_due, true);
	call_other(r, READ_ONCE(r->bell_cpu));
}

void fl_rings_wake_again(struct fl_rings *r)
{
	int cpu;

	if (!READ_ONCE(r->bell_due))
		return;
	cpu = cpumask_next(READ_ONCE(r->bell_cpu), cpu_online_mask);
	if (cpu >= nr_cpu_ids)
		cpu = cpumask_first(cpu_online_mask);
	WRITE_ONCE(r->bell_cpu, cpu);
	call_other(r, cpu);
}

static void on_irq_work(struct irq_work *work)
{
	struct fl_rings *r = container_of(work, struct fl_rings, irq_work);

	if (test_and_clear_bit(FL_TODO_BELL, &r->todo)) {
		WRITE_ONCE(r->bell_due, false);
		ring_bell(r);
	}
	if (test_and_clear_bit(FL_TODO_SWEEP, &r->todo))
		queue_delayed_work(system_wq, &r->sweep, SWEEP_INTERVAL);
	if (READ_ONCE(r->todo))
		queue_work(system_wq, &r->work);
}

/* What may sleep. */
static void on_work(struct work_struct *work)
{
	struct fl_rings *r = container_of(work, struct fl_rings, work);

	if (test_and_clear_bit(FL_TODO_TIMEOUT, &r->todo))
		fl_function_event(r->function, "completion_timeout");
	if (test_and_clear_bit(FL_TODO_DOWN, &r->todo))
		fl_function_set_state(r->function, FL_FUNCTION_DOWN);
	if (test_and_clear_bit(FL_TODO_LIVE, &r->todo))
		fl_function_set_state(r->function, FL_FUNCTION_LIVE);
}

static void on_sweep(struct work_struct *work)
{
	struct fl_rings *r = container_of(to_delayed_work(work), struct fl_rings, sweep);

	fl_complete_sweep(r);
	if (READ_ONCE(r->tags.asynchronous))
		queue_delayed_work(system_wq, &r->sweep, SWEEP_INTERVAL);
}

static bool is_ring_size(u32 entries)
{
	return entries >= FL_RING_MIN_ENTRIES && entries <= FL_RING_MAX_ENTRIES &&
	       is_power_of_2(entries);
}

static void lay_out(struct fl_rings *r)
{
	u32 submit_offset = FL_CHANNEL_HEADER_BYTES;
	u32 complete_offset = submit_offset + r->submit_entries * sizeof(struct fl_slot);
	u32 staging_offset =
		PAGE_ALIGN(complete_offset + r->complete_entries * sizeof(struct fl_slot));
	struct fl_channel *h = r->memory;

	r->header = h;
	r->submit = r->memory + submit_offset;
	r->complete = r->memory + complete_offset;
	r->staging = r->memory + staging_offset;
	h->magic = FL_CHANNEL_MAGIC;
	h->version = FL_CHANNEL_VERSION;
	h->channel_bytes = r->bytes;
	h->submit_offset = submit_offset;
	h->submit_entries = r->submit_entries;
	h->complete_offset = complete_offset;
	h->complete_entries = r->complete_entries;
	h->staging_offset = staging_offset;
	h->staging_bytes = r->staging_bytes;
}

static size_t bytes_of(u32 submit_entries, u32 complete_entries, u32 staging_bytes)
{
	return PAGE_ALIGN(FL_CHANNEL_HEADER_BYTES +
			  (submit_entries + complete_entries) * sizeof(struct fl_slot)) +
	       staging_bytes;
}

static void init_rings(struct fl_rings *r)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_CSD(&per_cpu_ptr(r->bell_calls, cpu)->csd, on_bell_call, r);
	raw_spin_lock_init(&r->submit_lock);
	raw_spin_lock_init(&r->complete_lock);
	spin_lock_init(&r->bell_lock);
	init_irq_work(&r->irq_work, on_irq_work);
	INIT_WORK(&r->work, on_work);
	INIT_DELAYED_WORK(&r->sweep, on_sweep);
	fl_tags_init(&r->tags);
	lay_out(r);
}

static void free_rings(struct fl_rings *r)
{
	free_percpu(r->bell_calls);
	vfree(r->memory);
	kvfree(r->staging_end);
	kvfree(r);
}

int fl_ring_create(struct fl_function *f, u32 submit_entries, u32 complete_entries,
		   u32 staging_bytes, struct eventfd_ctx *submit_bell)
{
	struct fl_rings *r;

	if (!is_ring_size(submit_entries) || !is_ring_size(complete_entries) ||
	    staging_bytes > FL_MAX_STAGING_BYTES || !PAGE_ALIGNED(staging_bytes))
		return -EINVAL;
	r = kvzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return -ENOMEM;
	r->function = f;
	r->submit_entries = submit_entries;
	r->complete_entries = complete_entries;
	r->staging_bytes = staging_bytes;
	r->bytes = bytes_of(submit_entries, complete_entries, staging_bytes);
	r->staging_end = kvcalloc(submit_entries, sizeof(u64), GFP_KERNEL_ACCOUNT);
	r->memory = vmalloc_user(r->bytes);
	r->bell_calls = alloc_percpu(struct fl_bell_call);
	if (!r->staging_end || !r->memory || !r->bell_calls) {
		free_rings(r);
		return -ENOMEM;
	}
	init_rings(r);
	r->bell = submit_bell;
	f->rings = r;
	return 0;
}

/*
 * Nobody is in an operation of the ring any more (the function is gone and its last trap has
 * left). Pages that a process still has mapped live until it unmaps them.
 */
void fl_ring_destroy(struct fl_function *f)
{
	struct fl_rings *r = f->rings;

	if (!r)
		return;
	fl_ring_fail_all(f, FL_STATUS_DEVICE_LOST);
	irq_work_sync(&r->irq_work);
	cancel_delayed_work_sync(&r->sweep);
	cancel_work_sync(&r->work);
	/* the sweep may have asked for one more event */
	irq_work_sync(&r->irq_work);
	cancel_work_sync(&r->work);
	while (atomic_read(&r->bells_called))
		usleep_range(10, 100);
	fl_ring_set_bell(f, NULL);
	f->rings = NULL;
	free_rings(r);
}

size_t fl_ring_bytes(const struct fl_function *f)
{
	return f->rings ? f->rings->bytes : 0;
}

int fl_ring_mmap(struct fl_function *f, struct vm_area_struct *vma)
{
	if (!f->rings || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* it ends with the daemon, not with a child of it */
	fl_compat_vm_flags_set(vma, VM_DONTCOPY);
	return remap_vmalloc_range(vma, f->rings->memory, 0);
}

void fl_ring_geometry(const struct fl_function *f, struct fl_ioc_function_get *out)
{
	if (!f->rings)
		return;
	out->submit_entries = f->rings->submit_entries;
	out->complete_entries = f->rings->complete_entries;
	out->staging_bytes = f->rings->staging_bytes;
}

void fl_ring_set_bell(struct fl_function *f, struct eventfd_ctx *bell)
{
	struct fl_rings *r = f->rings;
	struct eventfd_ctx *before = bell;
	unsigned long flags;

	if (r) {
		spin_lock_irqsave(&r->bell_lock, flags);
		before = r->bell;
		r->bell = bell;
		spin_unlock_irqrestore(&r->bell_lock, flags);
		/* what came while nobody was there */
		if (bell)
			fl_rings_wake(r);
	}
	if (before)
		eventfd_ctx_put(before);
}

void fl_ring_wake(struct fl_function *f)
{
	if (f->rings)
		ring_bell(f->rings);
}

void fl_ring_poke(struct fl_function *f)
{
	if (!f->rings)
		return;
	WRITE_ONCE(f->rings->bell_cpu, raw_smp_processor_id());
	fl_complete_drain(f->rings, true);
}

void fl_ring_fail_all(struct fl_function *f, enum fl_status status)
{
	if (f->rings)
		fl_complete_fail(f->rings, status);
}

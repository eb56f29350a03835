// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: vector numbers from the daemon, the root ports and the selftest.
 * Hands on: interrupts of this host, on the CPU they are bound to.
 * Owns: the MSI domain, and one struct fl_vector per vector of a device.
 *
 * The message a driver writes into its device is (0xfee00000, vector index): the
 * device gives the index back, no real APIC sees it. Masks of MSI-X are kept twice:
 * by the device in its table, which is written through the BAR trap, and here, where
 * an interrupt that was under way when the mask came waits for the unmask.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "compat/compat.h"
#include "compat/isolated_msi.h"
#include "farlane.h"
#include "trace.h"

#define MSI_ADDRESS 0xfee00000 /* x86: where interrupt messages go */
#define MSI_INDEX_BITS 11      /* MSI-X has at most 2048 vectors */
#define MSI_MOST_VECTORS BIT(MSI_INDEX_BITS)

enum {
	VECTOR_QUEUED, /* on its way to its CPU; a second one until then is the same edge */
};

struct fl_vector {
	raw_spinlock_t lock;
	unsigned int virq; /* 0: not allocated */
	unsigned int cpu;
	bool masked, pending;
	unsigned long state;
	atomic_t running; /* handlers queued or at work: the end of the vector waits for them */
	call_single_data_t csd;
	struct irq_work work;
};

struct fl_msi {
	struct fl_function *f; /* NULL: a root port */
	unsigned int count;
	struct fl_vector vectors[];
};

static struct irq_domain *msi_domain;
static struct fwnode_handle *msi_fwnode;

struct irq_domain *fl_msi_domain(void)
{
	return msi_domain;
}

/* --- delivery ---------------------------------------------------------------- */

static void deliver(struct fl_vector *v)
{
	unsigned int virq;

	/* Before the handler reads the device's state: an edge from here on is a new one. */
	clear_bit(VECTOR_QUEUED, &v->state);
	smp_mb__after_atomic(); /* pairs with the test_and_set_bit of send() */
	virq = READ_ONCE(v->virq);
	if (virq)
		generic_handle_irq(virq);
	atomic_dec(&v->running);
}

static void deliver_work(struct irq_work *work)
{
	deliver(container_of(work, struct fl_vector, work));
}

/*
 * An idle CPU flushes its calls from the idle task: that is no interrupt context, which a
 * handler needs. irq_work interrupts.
 */
static void deliver_call(void *info)
{
	struct fl_vector *v = info;

	if (in_hardirq())
		deliver(v);
	else
		irq_work_queue(&v->work);
}

static void send(struct fl_vector *v)
{
	int cpu;

	lockdep_assert_held(&v->lock);
	if (test_and_set_bit(VECTOR_QUEUED, &v->state))
		return;
	atomic_inc(&v->running);
	cpu = cpu_online(v->cpu) ? v->cpu : smp_processor_id();
	/*
	 * A call to the own CPU would run at once, with the locks of who raises; and when that
	 * CPU is leaving, here is as good.
	 */
	if (cpu == smp_processor_id() || smp_call_function_single_async(cpu, &v->csd))
		irq_work_queue(&v->work);
}

int fl_msi_fire(struct fl_msi *msi, unsigned int vector)
{
	struct fl_vector *v;
	unsigned long flags;
	int err = 0;

	if (vector >= msi->count)
		return -ENOENT;
	v = &msi->vectors[vector];
	raw_spin_lock_irqsave(&v->lock, flags);
	if (!v->virq) {
		err = -ENOENT;
	} else if (v->masked) {
		v->pending = true;
		err = -EBUSY;
	} else {
		send(v);
	}
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return err;
}

static void raise_one(struct fl_function *f, unsigned int vector)
{
	int err = fl_msi_fire(f->msi, vector);

	if (!err)
		atomic64_inc(&f->counters.interrupts);
	else if (err == -EBUSY)
		atomic64_inc(&f->counters.interrupts_masked);
	else
		atomic64_inc(&f->counters.interrupts_refused);
	trace_farlane_interrupt(f, vector, !err ? 0 : err == -EBUSY ? 1 : 2);
}

void fl_msi_raise(struct fl_function *f, u32 first, u64 mask)
{
	if (fl_function_is_gone(f))
		return;
	for (; mask; mask &= mask - 1) {
		u32 bit = __ffs64(mask);

		/* A sum that wraps would name a vector the daemon did not mean. */
		raise_one(f, first <= U32_MAX - bit ? first + bit : U32_MAX);
	}
}

/* --- the chip ----------------------------------------------------------------- */

static void vector_mask(struct irq_data *data)
{
	struct fl_vector *v = irq_data_get_irq_chip_data(data);

	WRITE_ONCE(v->masked, true);
	pci_msi_mask_irq(data);
}

static void vector_unmask(struct irq_data *data)
{
	struct fl_vector *v = irq_data_get_irq_chip_data(data);
	unsigned long flags;

	pci_msi_unmask_irq(data);
	raw_spin_lock_irqsave(&v->lock, flags);
	v->masked = false;
	if (v->pending && v->virq) {
		v->pending = false;
		send(v);
	}
	raw_spin_unlock_irqrestore(&v->lock, flags);
}

static void vector_ack(struct irq_data *data)
{
}

static int vector_retrigger(struct irq_data *data)
{
	struct fl_vector *v = irq_data_get_irq_chip_data(data);
	unsigned long flags;

	raw_spin_lock_irqsave(&v->lock, flags);
	if (v->virq)
		send(v);
	raw_spin_unlock_irqrestore(&v->lock, flags);
	return 1;
}

static int vector_affinity(struct irq_data *data, const struct cpumask *mask, bool force)
{
	struct fl_vector *v = irq_data_get_irq_chip_data(data);
	unsigned int cpu = cpumask_first_and(mask, cpu_online_mask);

	if (cpu >= nr_cpu_ids)
		return -EINVAL;
	/* Nothing to write anywhere: the message does not say which CPU. */
	WRITE_ONCE(v->cpu, cpu);
	irq_data_update_effective_affinity(data, cpumask_of(cpu));
	return IRQ_SET_MASK_OK_DONE;
}

static void vector_compose(struct irq_data *data, struct msi_msg *msg)
{
	msg->address_hi = 0;
	msg->address_lo = MSI_ADDRESS;
	msg->data = data->hwirq & (MSI_MOST_VECTORS - 1);
}

static struct irq_chip vector_chip = {
	.name = "farlane",
	.irq_mask = vector_mask,
	.irq_unmask = vector_unmask,
	.irq_ack = vector_ack,
	.irq_retrigger = vector_retrigger,
	.irq_set_affinity = vector_affinity,
	.irq_compose_msi_msg = vector_compose,
	.flags = IRQCHIP_SKIP_SET_WAKE,
};

/* --- the domain ------------------------------------------------------------------ */

static struct fl_msi *msi_of(struct pci_dev *pdev)
{
	struct fl_msi *msi = fl_port_msi(pdev);
	struct fl_function *f;

	if (msi)
		return msi;
	f = fl_function_of(pdev);
	return f ? f->msi : NULL;
}

/*
 * The hardware interrupt number is what the PCI core computes from domain, device
 * and index: never the same twice, which a number of our own would have to ensure.
 */
static int vector_init(struct irq_domain *domain, struct msi_domain_info *info, unsigned int virq,
		       irq_hw_number_t hwirq, msi_alloc_info_t *arg)
{
	struct fl_msi *msi = msi_of(msi_desc_to_pci_dev(arg->desc));
	unsigned int index = hwirq & (MSI_MOST_VECTORS - 1);
	struct fl_vector *v;
	unsigned long flags;

	if (!msi || index >= msi->count)
		return -ENOSPC;
	v = &msi->vectors[index];
	raw_spin_lock_irqsave(&v->lock, flags);
	v->cpu = cpumask_first(cpu_online_mask);
	v->masked = false;
	v->pending = false;
	v->virq = virq;
	raw_spin_unlock_irqrestore(&v->lock, flags);
	irq_domain_set_info(domain, virq, hwirq, info->chip, v, handle_edge_irq, NULL, "edge");
	fl_compat_irq_can_move(virq);
	return 0;
}

/* Process context. Nothing runs on behalf of the vector once this returns. */
static void vector_free(struct irq_domain *domain, struct msi_domain_info *info, unsigned int virq)
{
	struct fl_vector *v = irq_get_chip_data(virq);
	unsigned long flags;

	if (!v)
		return;
	raw_spin_lock_irqsave(&v->lock, flags);
	v->virq = 0;
	v->pending = false;
	raw_spin_unlock_irqrestore(&v->lock, flags);
	while (atomic_read(&v->running))
		usleep_range(20, 200);
	irq_work_sync(&v->work);
}

static struct msi_domain_ops domain_ops = {
	.msi_init = vector_init,
	.msi_free = vector_free,
};

static struct msi_domain_info domain_info = {
	.flags = MSI_FLAG_USE_DEF_DOM_OPS | MSI_FLAG_USE_DEF_CHIP_OPS | MSI_FLAG_PCI_MSIX |
		 MSI_FLAG_MULTI_PCI_MSI,
	.ops = &domain_ops,
	.chip = &vector_chip,
};

int fl_msi_init(void)
{
	msi_fwnode = irq_domain_alloc_named_fwnode("farlane-msi");
	if (!msi_fwnode)
		return -ENOMEM;
	msi_domain = pci_msi_create_irq_domain(msi_fwnode, &domain_info, NULL);
	if (!msi_domain) {
		irq_domain_free_fwnode(msi_fwnode);
		return -ENOMEM;
	}
	fl_compat_set_isolated_msi(msi_domain);
	return 0;
}

void fl_msi_exit(void)
{
	irq_domain_remove(msi_domain);
	irq_domain_free_fwnode(msi_fwnode);
}

/* --- per device -------------------------------------------------------------------- */

struct fl_msi *fl_msi_create(struct fl_function *f, unsigned int vectors)
{
	struct fl_msi *msi;
	unsigned int i;

	if (vectors > MSI_MOST_VECTORS)
		return NULL;
	msi = kvzalloc(struct_size(msi, vectors, vectors), GFP_KERNEL);
	if (!msi)
		return NULL;
	msi->f = f;
	msi->count = vectors;
	for (i = 0; i < vectors; i++) {
		struct fl_vector *v = &msi->vectors[i];

		raw_spin_lock_init(&v->lock);
		INIT_CSD(&v->csd, deliver_call, v);
		v->work = IRQ_WORK_INIT_HARD(deliver_work);
	}
	return msi;
}

void fl_msi_destroy(struct fl_msi *msi)
{
	kvfree(msi);
}

int fl_msi_attach(struct fl_function *f)
{
	f->msi = fl_msi_create(f, fl_config_vectors(f));
	return f->msi ? 0 : -ENOMEM;
}

void fl_msi_detach(struct fl_function *f)
{
	fl_msi_destroy(f->msi);
	f->msi = NULL;
}

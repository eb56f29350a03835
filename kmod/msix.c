// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: accesses to the MSI-X table of a function. Hands on: what is in it, without asking.
 * Owns: a copy of the table. Only this host writes it (PCIe 6.0, 7.7.2), so the copy is
 * as true as the original, which every write reaches as well.
 *
 * Why: the PCI core reads the table back under the interrupt's lock, with interrupts off. A CPU that
 * spins there for an answer from the network may be the one that has to take it in.
 */
#include <linux/pci_regs.h>
#include <linux/slab.h>

#include "farlane.h"

struct fl_msix {
	unsigned int bar;
	u32 offset, bytes;
	u8 table[];
};

void fl_msix_reset(struct fl_function *f)
{
	struct fl_msix *x = f->msix;
	u32 at;

	if (!x)
		return;
	memset(x->table, 0, x->bytes);
	for (at = PCI_MSIX_ENTRY_VECTOR_CTRL; at < x->bytes; at += PCI_MSIX_ENTRY_SIZE)
		x->table[at] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static bool inside(const struct fl_msix *x, unsigned int bar, u64 offset, unsigned int bytes)
{
	return x && bar == x->bar && offset >= x->offset && bytes <= x->bytes &&
	       offset - x->offset <= x->bytes - bytes;
}

bool fl_msix_read(struct fl_function *f, unsigned int bar, u64 offset, void *into,
		  unsigned int bytes)
{
	const struct fl_msix *x = f->msix;

	if (!inside(x, bar, offset, bytes))
		return false;
	memcpy(into, x->table + (offset - x->offset), bytes);
	return true;
}

/* A write that reaches over an edge of the table counts with what is inside. */
void fl_msix_write(struct fl_function *f, unsigned int bar, u64 offset, const void *from,
		   unsigned int bytes)
{
	struct fl_msix *x = f->msix;
	u64 first, last;

	if (!x || bar != x->bar)
		return;
	first = max_t(u64, offset, x->offset);
	last = min_t(u64, offset + bytes, (u64)x->offset + x->bytes);
	if (first < last)
		memcpy(x->table + (first - x->offset), from + (first - offset), last - first);
}

int fl_msix_attach(struct fl_function *f)
{
	struct fl_msix *x;
	u32 offset, vectors;
	unsigned int bar;

	if (!fl_config_msix(f, &bar, &offset, &vectors))
		return 0;
	x = kzalloc(struct_size(x, table, vectors * PCI_MSIX_ENTRY_SIZE), GFP_KERNEL_ACCOUNT);
	if (!x)
		return -ENOMEM;
	x->bar = bar;
	x->offset = offset;
	x->bytes = vectors * PCI_MSIX_ENTRY_SIZE;
	f->msix = x;
	fl_msix_reset(f);
	return 0;
}

void fl_msix_detach(struct fl_function *f)
{
	kfree(f->msix);
	f->msix = NULL;
}

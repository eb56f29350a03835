// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: ranges of an application's memory. Hands on: byte-exact mappings in the table of its
 * function. Owns: the pins, what they count against RLIMIT_MEMLOCK, the IOVAs of these mappings.
 *
 * No driver is bound to a node's function, so that nothing else hands out IOVAs of its table; these
 * lie above 4 GiB, where no window of the host bridge and no interrupt address is.
 */
#include "pin.h"

#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat/gup.h"
#include "domain.h"
#include "farlane.h"

#define FIRST_IOVA_PFN (SZ_4G >> PAGE_SHIFT)
#define LAST_IOVA_PFN ((BIT_ULL(FL_IOVA_BITS) >> PAGE_SHIFT) - 1)
#define MAX_MAP_BYTES BIT_ULL(38)

struct fl_pin {
	struct list_head node;
	u64 iova, address, bytes;
	struct mm_struct *mm; /* whose limit it counts against */
	unsigned long count;
	unsigned int flags; /* FOLL_* */
	struct page **pages;
};

static bool is_supported(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return false;
	if (!vma->vm_file || (vma->vm_flags & VM_HUGETLB))
		return true;
	return file_inode(vma->vm_file)->i_sb->s_magic == TMPFS_MAGIC;
}

/* How memory that is not writable is pinned depends on what it is; the flags are of all of it. */
static int pin_flags(bool writable, bool force, bool plain, unsigned int *flags)
{
	*flags = FOLL_LONGTERM;
	if (!plain)
		*flags |= FOLL_WRITE | (force ? FOLL_FORCE : 0);
	else if ((writable || force) && !FL_COMPAT_READ_PINS_HOLD)
		return -EOPNOTSUPP;
	return 0;
}

/* Clear words instead of what a pin would say: files would be written behind their cache. */
static int check_kind(u64 address, u64 bytes, u32 direction, unsigned int *flags)
{
	struct mm_struct *mm = current->mm;
	u64 at = address, end = address + bytes;
	bool writable = false, force = false, plain = false;
	int error = 0;

	mmap_read_lock(mm);
	while (at < end && !error) {
		struct vm_area_struct *vma = vma_lookup(mm, at);

		if (!vma)
			error = -EFAULT;
		else if (!is_supported(vma))
			error = -EOPNOTSUPP;
		else if (vma->vm_flags & VM_WRITE)
			writable = true;
		else if (direction & FL_MAP_DEVICE_WRITES)
			error = -EACCES;
		else if (fl_compat_needs_force(vma))
			force = true;
		else
			plain = true;
		if (!error)
			at = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return error ?: pin_flags(writable, force, plain, flags);
}

void fl_pin_put(struct fl_pin *pin)
{
	unpin_user_pages_dirty_lock(pin->pages, pin->count, pin->flags & FOLL_WRITE);
	account_locked_vm(pin->mm, pin->count, false);
	mmdrop(pin->mm);
	kvfree(pin->pages);
	kfree(pin);
}

static int pin_pages(struct fl_pin *pin, u64 address, unsigned long wanted)
{
	while (pin->count < wanted) {
		unsigned long n = min(wanted - pin->count, 1UL << 16);
		long got = pin_user_pages_fast((address & PAGE_MASK) + (pin->count << PAGE_SHIFT),
					       n, pin->flags, pin->pages + pin->count);

		if (got <= 0)
			return got ? got : -EFAULT;
		pin->count += got;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static struct fl_pin *make_pin(u64 address, u64 bytes, unsigned int flags)
{
	unsigned long wanted = PAGE_ALIGN(offset_in_page(address) + bytes) >> PAGE_SHIFT;
	struct fl_pin *pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	int error;

	if (!pin)
		return ERR_PTR(-ENOMEM);
	pin->address = address;
	pin->bytes = bytes;
	pin->flags = flags;
	error = account_locked_vm(current->mm, wanted, true);
	if (error)
		goto err_pin;
	pin->mm = current->mm;
	mmgrab(pin->mm);
	error = -ENOMEM;
	pin->pages = kvmalloc_array(wanted, sizeof(*pin->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (pin->pages)
		error = pin_pages(pin, address, wanted);
	if (!error)
		return pin;
	/* what was accounted and not pinned */
	account_locked_vm(pin->mm, wanted - pin->count, false);
	fl_pin_put(pin);
	return ERR_PTR(error);
err_pin:
	kfree(pin);
	return ERR_PTR(error);
}

/* One table entry per run of pages that follow each other in memory. */
static int map_runs(struct fl_table *table, const struct fl_pin *pin, u32 direction)
{
	u64 at = pin->iova, end = pin->iova + pin->bytes;
	unsigned long i = 0;
	int error = 0;

	while (at < end && !error) {
		unsigned long run = 1;
		phys_addr_t address = page_to_phys(pin->pages[i]) + offset_in_page(at);
		u64 bytes;

		while (i + run < pin->count &&
		       page_to_pfn(pin->pages[i + run]) == page_to_pfn(pin->pages[i]) + run)
			run++;
		bytes = min(end - at, ((u64)run << PAGE_SHIFT) - offset_in_page(at));
		error = fl_table_map(table, at, address, bytes, direction, GFP_KERNEL_ACCOUNT);
		at += bytes;
		i += run;
		cond_resched();
	}
	if (error)
		fl_table_unmap(table, pin->iova, pin->bytes);
	return error;
}

struct fl_pin *fl_pin_get(u64 address, u64 bytes, u32 direction)
{
	unsigned int flags;
	int error;

	if (!bytes || bytes > MAX_MAP_BYTES || address + bytes < address ||
	    !access_ok((void __user *)address, bytes))
		return ERR_PTR(-EINVAL);
	error = check_kind(address, bytes, direction, &flags);
	return error ? ERR_PTR(error) : make_pin(address, bytes, flags);
}

int fl_pins_add(struct fl_pins *pins, struct fl_pin *pin, u32 direction, u64 *iova)
{
	struct fl_table *table = READ_ONCE(pins->domain->table);
	struct iova *range;
	int error;

	if (!table)
		return -ENODEV;
	if (pins->count >= FL_NODE_MAPPINGS)
		return -ENOSPC;
	range = alloc_iova(&pins->iova, pin->count, LAST_IOVA_PFN, false);
	if (!range)
		return -ENOSPC;
	pin->iova = ((u64)range->pfn_lo << PAGE_SHIFT) + offset_in_page(pin->address);
	error = map_runs(table, pin, direction);
	if (error) {
		free_iova(&pins->iova, pin->iova >> PAGE_SHIFT);
		return error;
	}
	list_add_tail(&pin->node, &pins->maps);
	pins->count++;
	*iova = pin->iova;
	return 0;
}

static void drop(struct fl_pins *pins, struct fl_pin *pin)
{
	struct fl_table *table = READ_ONCE(pins->domain->table);

	/* no table: the device has left its domain, and nothing is in reach */
	if (table)
		fl_table_unmap(table, pin->iova, pin->bytes);
	free_iova(&pins->iova, pin->iova >> PAGE_SHIFT);
	list_del(&pin->node);
	pins->count--;
	fl_pin_put(pin);
}

int fl_pins_unmap(struct fl_pins *pins, u64 iova)
{
	struct fl_pin *pin;

	list_for_each_entry(pin, &pins->maps, node) {
		if (pin->iova == iova) {
			drop(pins, pin);
			return 0;
		}
	}
	return -ENOENT;
}

void fl_pins_init(struct fl_pins *pins, struct fl_domain *domain)
{
	pins->domain = domain;
	pins->count = 0;
	INIT_LIST_HEAD(&pins->maps);
	init_iova_domain(&pins->iova, PAGE_SIZE, FIRST_IOVA_PFN);
}

void fl_pins_exit(struct fl_pins *pins)
{
	struct fl_pin *pin, *next;

	list_for_each_entry_safe(pin, next, &pins->maps, node) {
		drop(pins, pin);
		cond_resched();
	}
	put_iova_domain(&pins->iova);
}

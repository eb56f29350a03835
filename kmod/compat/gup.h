/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: since 6.2 a page of private memory that is pinned for reading stays the one
 * that its owner sees, whatever is written later. Before, only a pin for writing makes it so, by
 * force where the owner may not write himself.
 * Receives: a kernel. Hands on: one name for what it does differently. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_GUP_H
#define FARLANE_COMPAT_GUP_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define FL_COMPAT_READ_PINS_HOLD false
#else
#define FL_COMPAT_READ_PINS_HOLD true
#endif

/* Huge pages have no page of zeros that could be pinned instead. */
static inline bool fl_compat_needs_force(const struct vm_area_struct *vma)
{
	return !FL_COMPAT_READ_PINS_HOLD && is_cow_mapping(vma->vm_flags) &&
	       !(vma->vm_flags & VM_HUGETLB);
}

#endif /* FARLANE_COMPAT_GUP_H */

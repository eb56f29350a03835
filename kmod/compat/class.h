/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: where callbacks of a class and VMA flags got const and accessors.
 * Receives: a kernel. Hands on: one name for what it calls differently. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_CLASS_H
#define FARLANE_COMPAT_CLASS_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define fl_compat_class_device struct device
#else
#define fl_compat_class_device const struct device
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void fl_compat_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#else
static inline void fl_compat_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vm_flags_set(vma, flags);
}
#endif

#endif /* FARLANE_COMPAT_CLASS_H */

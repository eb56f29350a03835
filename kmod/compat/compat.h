/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between kernels, and the only place where a version is asked for.
 * Receives: nothing. Hands on: one name for each thing. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_H
#define FARLANE_COMPAT_H

#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "farlane.ko needs Linux 6.1 or later: update the kernel (docs/kernel.md, \"Kernels\")"
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#error "farlane.ko is proven up to Linux 6.12, and from 6.17 on interrupt domains are made differently: use an earlier kernel (docs/kernel.md, \"Kernels\")"
#endif
#ifndef CONFIG_X86_64
#error "farlane.ko needs x86-64: the BAR trap decodes its instructions"
#endif
#if !defined(CONFIG_PCI_MSI) || !defined(CONFIG_HOTPLUG_PCI_PCIE)
#error "farlane.ko needs a kernel with CONFIG_PCI_MSI and CONFIG_HOTPLUG_PCI_PCIE"
#endif

/* From 6.15 on a chip says that it can not move, instead of an interrupt that it can. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
static inline void fl_compat_irq_can_move(unsigned int virq)
{
	irq_set_status_flags(virq, IRQ_MOVE_PCNTXT);
}
#else
static inline void fl_compat_irq_can_move(unsigned int virq)
{
}
#endif

#endif /* FARLANE_COMPAT_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: how VFIO learns that a device can't forge another one's interrupts.
 * Receives: our interrupt domain. Hands on: it, marked. Owns: nothing.
 *
 * Until 6.3 the IOMMU says it (compat/iommu.h), then the domain. Here a function names a vector
 * of its own, never an address.
 */
#ifndef FARLANE_COMPAT_ISOLATED_MSI_H
#define FARLANE_COMPAT_ISOLATED_MSI_H

#include <linux/irqdomain.h>
#include <linux/version.h>

static inline void fl_compat_set_isolated_msi(struct irq_domain *domain)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	domain->flags |= IRQ_DOMAIN_FLAG_ISOLATED_MSI;
#endif
}

#endif /* FARLANE_COMPAT_ISOLATED_MSI_H */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receives: pciehp's call of init_rwsem(), in the debug kernels. Hands on: a lock that lockdep
 * does not judge. Owns: nothing.
 *
 * pciehp's thread takes pci_rescan_remove_lock within its reset_lock, and its reset_lock, for
 * reading, within pci_rescan_remove_lock (pciehp_configure_device, pciehp_unconfigure_device;
 * 6.1 to 6.12 at least). Nobody else waits for one of them while he holds the other, so nothing
 * locks up, but lockdep reports it at the first card that comes, and looks at nothing from then on.
 */
#include <linux/lockdep.h>
#include <linux/rwsem.h>

#undef init_rwsem
#define init_rwsem(sem)				\
	do {					\
		static struct lock_class_key __key; \
						\
		__init_rwsem((sem), #sem, &__key); \
		lockdep_set_novalidate_class(sem); \
	} while (0)

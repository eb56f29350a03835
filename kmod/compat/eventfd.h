/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: eventfd_signal() lost its count in 6.8.
 * Receives: a kernel. Hands on: one name for what it calls differently. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_EVENTFD_H
#define FARLANE_COMPAT_EVENTFD_H

#include <linux/eventfd.h>
#include <linux/version.h>

static inline void fl_compat_eventfd_signal(struct eventfd_ctx *bell)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(bell, 1);
#else
	eventfd_signal(bell);
#endif
}

#endif /* FARLANE_COMPAT_EVENTFD_H */

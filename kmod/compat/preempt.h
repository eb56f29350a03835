/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel configurations: what a CPU does that waits and must not sleep.
 * Receives: a kernel. Hands on: one name for what it calls differently. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_PREEMPT_H
#define FARLANE_COMPAT_PREEMPT_H

#include <linux/preempt.h>
#include <linux/sched.h>

/* Whoever may be preempted gives way at once; the rest of the machine must get its time. */
static inline void fl_relax(void)
{
#ifdef CONFIG_PREEMPTION
	if (preemptible() && need_resched()) {
		preempt_schedule();
		return;
	}
#endif
	cpu_relax();
}

#endif /* FARLANE_COMPAT_PREEMPT_H */

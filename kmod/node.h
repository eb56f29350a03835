/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between node.c and node_channel.c.
 * Receives: nothing. Hands on: what a node is. Owns: nothing.
 */
#ifndef FARLANE_NODE_H
#define FARLANE_NODE_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "farlane.h"

struct eventfd_ctx;
struct fl_pins;

enum fl_node_use {
	FL_NODE_FREE = 0,
	FL_NODE_HELD,	 /* an application has it open */
	FL_NODE_CLOSING, /* it has ended; the daemon still has its channel */
};

/* The channel of an application; the module never reads it. */
struct fl_app_channel {
	void *memory;
	size_t bytes;
	u32 submit_entries, complete_entries, staging_bytes, generation;
};

struct fl_node {
	struct kref ref; /* of the table, and of the open file */
	struct rcu_head rcu;
	struct fl_function *function;
	struct device *dev;
	u32 minor;

	struct mutex lock; /* all below, except what says otherwise */
	/*
	 * Written under both locks. CHANNEL_CREATE waits for the daemon under the first: the daemon
	 * takes only this one, within which nobody waits.
	 */
	struct mutex channel_lock;
	enum fl_node_use use;
	struct fl_app_channel channel; /* memory NULL: none */

	struct pid *holder; /* FL_NODE_HELD: the process that opened it */
	char comm[TASK_COMM_LEN];
	bool leaving; /* the function is being removed */
	bool enabled; /* pci_enable_device() and bus master */
	struct pci_dev *pdev;
	struct fl_pins *pins;
	u32 generation;
	bool is_new; /* event for the daemon; fl_events_lock */

	spinlock_t bells_lock; /* the eventfds; inside it they are signaled */
	struct eventfd_ctx *complete_bell;
	struct eventfd_ctx *vectors[FL_NODE_VECTORS];
};

/* A reference to the node of a function, or NULL. No lock: also under mmap_lock. */
struct fl_node *fl_node_of(const struct fl_function *f);
void fl_node_put(struct fl_node *node);

/* node_channel.c */
int fl_node_make_channel(struct fl_node *node, const struct fl_ioc_channel_create *ask);
void fl_node_free_channel(struct fl_node *node);

#endif /* FARLANE_NODE_H */

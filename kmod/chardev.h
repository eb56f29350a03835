/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between chardev.c (files), node.c (applications), control.c and daemon.c (the daemon).
 * Receives: open files. Hands on: their calls. Owns: the shape of an open file.
 */
#ifndef FARLANE_CHARDEV_H
#define FARLANE_CHARDEV_H

#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include <linux/types.h>

#include "farlane.h"

/* One open file. */
struct fl_file {
	struct file *file;
	struct fl_node *node; /* of /dev/farlane/<name>, else NULL */
	/*
	 * Calls of the daemon hold it for reading; whoever replaces the daemon takes it for
	 * writing, so that the old one does nothing any more afterwards.
	 */
	struct rw_semaphore gate;
	bool is_daemon;	 /* under the gate */
	bool is_current; /* daemon.c points to it; the end of the file has to tell it */
};

/* daemon.c */
int fl_daemon_become(struct fl_file *file, const struct fl_ioc_daemon_open *ask, u32 *kept);
void fl_daemon_left(struct fl_file *file);
int fl_daemon_recover(struct fl_file *file, struct fl_function *f, struct eventfd_ctx *bell);
void fl_daemon_exit(void);

/* node.c */
#define FL_NODE_MINORS FL_MAX_SLOTS /* from 1 on; 0 is the control node */

struct fl_node *fl_node_hold(unsigned int minor); /* for one open file, or an error */
void fl_node_let_go(struct fl_node *node);
ssize_t fl_node_show_holder(struct fl_function *f, char *text);
long fl_node_ioctl(struct fl_node *node, unsigned int number, void __user *argument);
int fl_node_mmap(struct fl_node *node, struct vm_area_struct *vma);
/* The daemon's side; false, -ENOENT: the function has no application with a channel. */
int fl_node_channel_get(struct fl_function *f, struct fl_ioc_channel_get *out);
int fl_node_channel_release(struct fl_function *f, u32 generation);
int fl_node_channel_mmap(struct fl_function *f, struct vm_area_struct *vma);
int fl_node_ring_bell(struct fl_function *f);
bool fl_node_interrupt(struct fl_function *f, u32 first, u64 mask);
ssize_t fl_node_read_events(struct fl_file *file, char __user *to, size_t bytes);
__poll_t fl_node_poll_events(struct fl_file *file, struct poll_table_struct *wait);

/* chardev.c */
struct device *fl_chardev_device(struct fl_function *f, unsigned int minor);
void fl_chardev_device_destroy(unsigned int minor);

/* control.c; the gate is held and the file is the daemon's, except for INFO and DAEMON_OPEN */
long fl_control_ioctl(struct fl_file *file, unsigned int number, void __user *argument);
int fl_control_mmap(struct fl_file *file, struct vm_area_struct *vma);
int fl_ioctl_info(void __user *argument);
/* Copies a structure whose first word must be its size. */
int fl_copy_sized(void *to, size_t bytes, const void __user *from);

#endif /* FARLANE_CHARDEV_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between chardev.c (nodes), control.c (ioctls of the daemon) and daemon.c (who it is).
 * Receives: open files. Hands on: their calls. Owns: the shape of an open file.
 */
#ifndef FARLANE_CHARDEV_H
#define FARLANE_CHARDEV_H

#include <linux/fs.h>
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
	bool is_daemon; /* under the gate */
};

/* daemon.c */
int fl_daemon_become(struct fl_file *file, const struct fl_ioc_daemon_open *ask, u32 *kept);
void fl_daemon_left(struct fl_file *file);
int fl_daemon_recover(struct fl_file *file, struct fl_function *f, struct eventfd_ctx *bell);
void fl_daemon_exit(void);

/* control.c; the gate is held and the file is the daemon's, except for INFO and DAEMON_OPEN */
long fl_control_ioctl(struct fl_file *file, unsigned int number, void __user *argument);
int fl_control_mmap(struct fl_file *file, struct vm_area_struct *vma);
int fl_ioctl_info(void __user *argument);
/* Copies a structure whose first word must be its size. */
int fl_copy_sized(void *to, size_t bytes, const void __user *from);

#endif /* FARLANE_CHARDEV_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: processes that want to feed the module, and their end. Hands on: functions to the
 * one that does. Owns: who the daemon is, and the grace of functions without one.
 *
 * One host has one daemon. When it goes, also by kill -9, its functions stay on the bus:
 * configuration is answered from the shadow, posted writes wait in the ring, requests wait for
 * their completion timeout. A daemon of the same instance takes them up; one of another instance
 * finds them removed. What nobody has taken up when the grace ends is removed by surprise.
 */
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "chardev.h"

static void on_grace_end(struct work_struct *work);

static DEFINE_MUTEX(fl_daemon_lock);
static DECLARE_DELAYED_WORK(fl_grace, on_grace_end);

/* Under fl_daemon_lock. */
static struct {
	struct fl_file *file; /* NULL: there is none */
	bool known;	      /* there was one since the module was loaded */
	u8 instance[FL_INSTANCE_BYTES];
	u32 grace_ms;
} fl_daemon;

static bool is_orphan(const struct fl_function *f)
{
	return f->ops == &fl_ring_ops && !READ_ONCE(f->owner);
}

/* A reference to some function that `matches`, or NULL. */
static struct fl_function *find(bool (*matches)(const struct fl_function *f))
{
	struct fl_function *f;
	u32 index;

	for (index = 0; (f = fl_function_get_index(index)); index++) {
		if (matches(f) && !fl_function_is_gone(f))
			return f;
		fl_function_put(f);
	}
	return NULL;
}

static u32 count_orphans(void)
{
	struct fl_function *f;
	u32 index, count = 0;

	for (index = 0; (f = fl_function_get_index(index)); index++) {
		count += is_orphan(f) && !fl_function_is_gone(f);
		fl_function_put(f);
	}
	return count;
}

static void remove_orphans(void)
{
	struct fl_function *f;

	/* `gone` is set by the removal at the latest: the loop ends */
	while ((f = find(is_orphan))) {
		if (fl_function_remove(f, true) && !fl_function_is_gone(f))
			fl_function_contain(f, "its daemon is gone");
		fl_function_put(f);
	}
}

static void on_grace_end(struct work_struct *work)
{
	mutex_lock(&fl_daemon_lock);
	remove_orphans();
	mutex_unlock(&fl_daemon_lock);
}

static void orphan_functions(const struct fl_file *file)
{
	struct fl_function *f;
	u32 index;

	for (index = 0; (f = fl_function_get_index(index)); index++) {
		if (READ_ONCE(f->owner) == file) {
			WRITE_ONCE(f->owner, NULL);
			fl_ring_set_bell(f, NULL);
			fl_function_set_state(f, FL_FUNCTION_ORPHANED);
		}
		fl_function_put(f);
	}
}

static void start_grace(void)
{
	mod_delayed_work(system_long_wq, &fl_grace, msecs_to_jiffies(fl_daemon.grace_ms));
}

/* The file stays open perhaps; it can do nothing any more, and has nothing mapped. */
static void retire(struct fl_file *file)
{
	down_write(&file->gate);
	file->is_daemon = false;
	up_write(&file->gate);
	unmap_mapping_range(file->file->f_mapping, 0, 0, 1);
	orphan_functions(file);
	fl_daemon.file = NULL;
}

int fl_daemon_become(struct fl_file *file, const struct fl_ioc_daemon_open *ask, u32 *kept)
{
	bool same;
	int error = 0;

	mutex_lock(&fl_daemon_lock);
	same = fl_daemon.known &&
	       !memcmp(fl_daemon.instance, ask->instance, sizeof(fl_daemon.instance));
	if (fl_daemon.file == file || (fl_daemon.file && !same)) {
		error = -EBUSY;
		goto out;
	}
	if (fl_daemon.file)
		retire(fl_daemon.file);
	if (!same)
		remove_orphans();
	memcpy(fl_daemon.instance, ask->instance, sizeof(fl_daemon.instance));
	fl_daemon.known = true;
	fl_daemon.grace_ms = ask->grace_ms ?: fl_param_grace_ms;
	fl_daemon.file = file;
	down_write(&file->gate);
	file->is_daemon = true;
	up_write(&file->gate);
	*kept = count_orphans();
	/* what the new one does not take up goes as well */
	if (*kept)
		start_grace();
out:
	mutex_unlock(&fl_daemon_lock);
	return error;
}

void fl_daemon_left(struct fl_file *file)
{
	mutex_lock(&fl_daemon_lock);
	if (fl_daemon.file == file) {
		file->is_daemon = false;
		orphan_functions(file);
		fl_daemon.file = NULL;
		start_grace();
	}
	mutex_unlock(&fl_daemon_lock);
}

/*
 * Under the gate, which fl_daemon_become() takes inside fl_daemon_lock: so without that lock. When
 * the grace ends at this very moment the function is removed, and the daemon hears of it.
 */
int fl_daemon_recover(struct fl_file *file, struct fl_function *f, struct eventfd_ctx *bell)
{
	int error;

	if (fl_function_is_gone(f))
		return -ENODEV;
	if (f->ops != &fl_ring_ops)
		return -EPERM;
	if (cmpxchg(&f->owner, NULL, file))
		return -EBUSY;
	error = fl_function_set_state(f, FL_FUNCTION_LIVE);
	if (error) {
		WRITE_ONCE(f->owner, NULL);
		return error;
	}
	fl_ring_set_bell(f, bell);
	return 0;
}

void fl_daemon_exit(void)
{
	cancel_delayed_work_sync(&fl_grace);
}

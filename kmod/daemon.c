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

static u32 count_orphans(void)
{
	struct fl_function *f;
	u32 id, count = 0;

	for (id = 0; (f = fl_function_next(id)); fl_function_put(f)) {
		id = f->id;
		count += is_orphan(f) && !fl_function_is_gone(f);
	}
	return count;
}

/* Their removal begins; nobody waits here for a driver that can't let go. */
static void lose_orphans(void)
{
	struct fl_function *f;
	u32 id;

	for (id = 0; (f = fl_function_next(id)); fl_function_put(f)) {
		id = f->id;
		if (is_orphan(f) && !fl_function_is_gone(f))
			fl_function_lose(f);
	}
}

/* Names and slots of what was lost are free afterwards. */
static int wait_for_lost(void)
{
	struct fl_function *f;
	int error = 0;
	u32 id;

	for (id = 0; !error && (f = fl_function_next(id)); fl_function_put(f)) {
		id = f->id;
		if (is_orphan(f) && fl_function_is_gone(f))
			error = fl_function_wait_end(f);
	}
	return error;
}

/* A new daemon may be waiting for the old one, with the lock: then later. */
static void on_grace_end(struct work_struct *work)
{
	if (!mutex_trylock(&fl_daemon_lock)) {
		mod_delayed_work(system_long_wq, &fl_grace, HZ);
		return;
	}
	lose_orphans();
	mutex_unlock(&fl_daemon_lock);
}

static void orphan_functions(const struct fl_file *file)
{
	struct fl_function *f;
	u32 id;

	for (id = 0; (f = fl_function_next(id)); fl_function_put(f)) {
		id = f->id;
		if (READ_ONCE(f->owner) != file)
			continue;
		WRITE_ONCE(f->owner, NULL);
		fl_ring_set_bell(f, NULL);
		fl_function_set_state(f, FL_FUNCTION_ORPHANED);
	}
}

static void start_grace(void)
{
	mod_delayed_work(system_long_wq, &fl_grace, msecs_to_jiffies(fl_daemon.grace_ms));
}

static void set_current(struct fl_file *file)
{
	fl_daemon.file = file;
	WRITE_ONCE(file->is_current, true); /* its end comes after this call */
}

/* The last touch of the file: fl_daemon_left() waits for nobody any more. */
static void forget_current(void)
{
	struct fl_file *file = fl_daemon.file;

	fl_daemon.file = NULL;
	/* pairs with fl_daemon_left(): the file may be freed from here on */
	smp_store_release(&file->is_current, false);
}

/*
 * The file stays open perhaps; it can do nothing any more, and has nothing mapped. A call of it may
 * be waiting for its own memory: killable.
 */
static int retire(struct fl_file *file)
{
	if (down_write_killable(&file->gate))
		return -EINTR;
	file->is_daemon = false;
	up_write(&file->gate);
	unmap_mapping_range(file->file->f_mapping, 0, 0, 1);
	orphan_functions(file);
	forget_current();
	return 0;
}

static int become(struct fl_file *file, const struct fl_ioc_daemon_open *ask, bool *same)
{
	int error = 0;

	*same = fl_daemon.known &&
		!memcmp(fl_daemon.instance, ask->instance, sizeof(fl_daemon.instance));
	if (fl_daemon.file == file || (fl_daemon.file && !*same))
		return -EBUSY;
	if (fl_daemon.file)
		error = retire(fl_daemon.file);
	if (error)
		return error;
	down_write(&file->gate); /* calls of who is no daemon end at once */
	file->is_daemon = true;
	up_write(&file->gate);
	if (!*same)
		lose_orphans();
	memcpy(fl_daemon.instance, ask->instance, sizeof(fl_daemon.instance));
	fl_daemon.known = true;
	fl_daemon.grace_ms = ask->grace_ms ?: fl_param_grace_ms;
	set_current(file);
	return 0;
}

int fl_daemon_become(struct fl_file *file, const struct fl_ioc_daemon_open *ask, u32 *kept)
{
	bool same;
	int error;

	if (mutex_lock_killable(&fl_daemon_lock))
		return -EINTR;
	error = become(file, ask, &same);
	if (!error)
		*kept = count_orphans();
	/* what the new one does not take up goes as well */
	if (!error && *kept)
		start_grace();
	mutex_unlock(&fl_daemon_lock);
	return error || same ? error : wait_for_lost();
}

void fl_daemon_left(struct fl_file *file)
{
	/* pairs with forget_current(): nobody touches the file any more */
	if (!smp_load_acquire(&file->is_current))
		return;
	mutex_lock(&fl_daemon_lock);
	if (fl_daemon.file == file) {
		file->is_daemon = false;
		orphan_functions(file);
		forget_current();
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

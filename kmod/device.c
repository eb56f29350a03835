// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: functions that the daemon adds and removes, and what goes wrong with them.
 * Hands on: a device in a slot, its events, its end.
 * Owns: every struct fl_function, from fl_function_add to its last reference.
 *
 * There is one way out, end_function(), which runs on our own work queue: removed by the
 * daemon, contained, or at the end of the grace, it is the same steps. Proof that
 * nothing uses a function when it is freed:
 *  - `gone` is set and the slot's pointer cleared, then an RCU grace period: no accessor
 *    of configuration space and no trap that went through the slot is under way;
 *  - the bus behind the slot is empty: no driver, no vector, no mapping is left;
 *  - fl_dma_revoke() and fl_ring_fail_all() have returned: no copy, no waiting CPU;
 *  - it is in no list: who has a reference drops it, the last one frees.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/compat.h"
#include "compat/driver_override.h"
#include "farlane.h"
#include "trace.h"

#define EVENTS_WAITING 16 /* a power of two */

struct fl_device {
	struct fl_function f;
	struct work_struct end, free, tell;
	raw_spinlock_t events_lock;
	const char *events[EVENTS_WAITING];
	unsigned int events_set, events_told; /* grow for ever */
	struct completion ended;
	atomic_t ending;
	bool surprise;
	bool holds_module;
	struct rcu_head rcu;
};

static LIST_HEAD(functions);
static DEFINE_MUTEX(functions_lock);
static u32 next_id = 1;
static struct workqueue_struct *life;

static struct fl_device *device_of(struct fl_function *f)
{
	return container_of(f, struct fl_device, f);
}

/* --- events --------------------------------------------------------------------- */

static struct device *get_place(struct fl_function *f)
{
	struct pci_dev *pdev;
	unsigned long flags;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	pdev = f->pdev ? pci_dev_get(f->pdev) : NULL;
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	return pdev ? &pdev->dev : fl_slot_get_device(f->slot);
}

static void tell(struct fl_function *f, const char *event)
{
	char name[FL_NAME_BYTES + 16], peer[FL_NAME_BYTES + 16], lease[FL_NAME_BYTES + 16];
	char what[64], slot[32];
	char *variables[] = { name, peer, lease, what, slot, NULL };
	struct device *place = get_place(f);

	snprintf(name, sizeof(name), "FARLANE_NAME=%s", f->name);
	snprintf(peer, sizeof(peer), "FARLANE_PEER=%s", f->peer);
	snprintf(lease, sizeof(lease), "FARLANE_LEASE=%s", f->lease);
	snprintf(what, sizeof(what), "FARLANE_EVENT=%s", event);
	snprintf(slot, sizeof(slot), "FARLANE_SLOT=farlane%u", f->slot);
	kobject_uevent_env(&place->kobj, KOBJ_CHANGE, variables);
	put_device(place);
}

static const char *next_event(struct fl_device *d)
{
	const char *event = NULL;

	raw_spin_lock_irq(&d->events_lock);
	if (d->events_told != d->events_set)
		event = d->events[d->events_told++ % EVENTS_WAITING];
	raw_spin_unlock_irq(&d->events_lock);
	return event;
}

static void tell_events(struct work_struct *work)
{
	struct fl_device *d = container_of(work, struct fl_device, tell);
	const char *event;

	while ((event = next_event(d)))
		tell(&d->f, event);
	fl_function_put(&d->f);
}

/*
 * No allocation: this is called under pci_lock and from traps. When events come faster
 * than user space is told, the oldest that wait make room; the trace has them all.
 */
void fl_function_event(struct fl_function *f, const char *event)
{
	struct fl_device *d = device_of(f);
	unsigned long flags;

	trace_farlane_event(f, event);
	raw_spin_lock_irqsave(&d->events_lock, flags);
	d->events[d->events_set++ % EVENTS_WAITING] = event;
	if (d->events_set - d->events_told > EVENTS_WAITING)
		d->events_told = d->events_set - EVENTS_WAITING;
	raw_spin_unlock_irqrestore(&d->events_lock, flags);
	if (!kref_get_unless_zero(&f->ref))
		return; /* a late word of its ring, which is being taken down */
	if (!queue_work(life, &d->tell))
		fl_function_put(f);
}

/* --- state ----------------------------------------------------------------------- */

static const char *const state_events[] = {
	[FL_FUNCTION_LIVE] = "live",
	[FL_FUNCTION_ORPHANED] = "orphaned",
	[FL_FUNCTION_DOWN] = "down",
	[FL_FUNCTION_REMOVING] = "removing",
};

/* 0 is a function that is being made. Nothing leads back to it, nothing out of REMOVING. */
static bool may_follow(unsigned int from, enum fl_function_state to)
{
	switch (to) {
	case FL_FUNCTION_LIVE:
		return from == 0 || from == FL_FUNCTION_ORPHANED || from == FL_FUNCTION_DOWN;
	case FL_FUNCTION_ORPHANED:
		return from == FL_FUNCTION_LIVE || from == FL_FUNCTION_DOWN;
	case FL_FUNCTION_DOWN:
		return from == FL_FUNCTION_LIVE || from == FL_FUNCTION_ORPHANED;
	case FL_FUNCTION_REMOVING:
		return from != FL_FUNCTION_REMOVING;
	}
	return false;
}

int fl_function_set_state(struct fl_function *f, enum fl_function_state state)
{
	unsigned int from;

	do {
		from = READ_ONCE(f->state);
		if (from == state)
			return 0;
		if (from == FL_FUNCTION_REMOVING)
			return -ENODEV;
		if (!may_follow(from, state))
			return -EINVAL;
	} while (cmpxchg((unsigned int *)&f->state, from, state) != from);
	fl_function_event(f, state_events[state]);
	return 0;
}

/* --- end ---------------------------------------------------------------------------- */

static void free_function(struct work_struct *work)
{
	struct fl_device *d = container_of(work, struct fl_device, free);
	bool holds_module = d->holds_module;

	fl_ring_destroy(&d->f);
	fl_dma_detach(&d->f);
	fl_msix_detach(&d->f);
	fl_msi_detach(&d->f);
	fl_config_free(&d->f);
	kfree_rcu(d, rcu);
	if (holds_module)
		module_put(THIS_MODULE);
}

static void last_reference(struct kref *ref)
{
	struct fl_device *d = container_of(ref, struct fl_device, f.ref);

	/* What is freed sleeps, and the last reference may go anywhere. */
	queue_work(life, &d->free);
}

void fl_function_put(struct fl_function *f)
{
	kref_put(&f->ref, last_reference);
}

static void mark_lost(struct fl_function *f)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	if (f->pdev)
		WRITE_ONCE(f->pdev->error_state, pci_channel_io_perm_failure);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
}

static void end_function(struct work_struct *work)
{
	struct fl_device *d = container_of(work, struct fl_device, end);
	struct fl_function *f = &d->f;

	fl_function_set_state(f, FL_FUNCTION_REMOVING);
	fl_chardev_node_remove(f);
	fl_slot_unplug(f, READ_ONCE(d->surprise));
	fl_bar_forget(f);
	fl_dma_revoke(f);
	fl_ring_fail_all(f, FL_STATUS_DEVICE_LOST);
	synchronize_rcu();
	fl_debugfs_remove(f);
	fl_slot_release(f);
	mutex_lock(&functions_lock);
	list_del(&f->node);
	mutex_unlock(&functions_lock);
	fl_function_event(f, "removed");
	complete_all(&d->ended);
	fl_function_put(f); /* that of the list */
}

static void start_end(struct fl_device *d, bool surprise)
{
	struct fl_function *f = &d->f;

	if (surprise && !xchg(&d->surprise, true)) {
		/* First of all: from here on every access is all-ones and no CPU waits. */
		WRITE_ONCE(f->gone, true);
		mark_lost(f);
		fl_ring_fail_all(f, FL_STATUS_DEVICE_LOST);
	}
	if (!atomic_xchg(&d->ending, 1))
		queue_work(life, &d->end);
}

void fl_function_contain(struct fl_function *f, const char *why)
{
	struct fl_device *d = device_of(f);

	if (READ_ONCE(d->surprise))
		return;
	atomic64_inc(&f->counters.contained);
	fl_function_event(f, why);
	start_end(d, true);
}

void fl_function_lose(struct fl_function *f)
{
	fl_function_event(f, "lost");
	start_end(device_of(f), true);
}

/*
 * Killable: a daemon that is told to die does not wait for a driver that can't let go.
 * The removal goes on without it.
 */
int fl_function_wait_end(struct fl_function *f)
{
	return wait_for_completion_killable(&device_of(f)->ended);
}

int fl_function_remove(struct fl_function *f, bool surprise)
{
	if (surprise)
		fl_function_lose(f);
	else
		start_end(device_of(f), false);
	return fl_function_wait_end(f);
}

/* --- birth ------------------------------------------------------------------------------ */

static bool is_text(const char *text, bool may_be_empty)
{
	size_t i, n = strnlen(text, FL_NAME_BYTES);

	if (n == FL_NAME_BYTES || (!n && !may_be_empty))
		return false;
	for (i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	return true;
}

/* It becomes a file of /dev/farlane. */
static bool is_name(const char *name)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	return is_text(name, false) && name[0] != '.' && strspn(name, allowed) == strlen(name) &&
	       strcmp(name, "control");
}

static int check_spec(const struct fl_function_spec *spec)
{
	const struct fl_ioc_function_add *add = spec->add;
	int i;

	if (!is_name(add->name) || !is_text(add->peer, true) || !is_text(add->lease, true)) {
		pr_warn("a function was refused: its name, peer or lease has characters that no name has\n");
		return -EINVAL;
	}
	if (add->completion_timeout_ms > FL_MAX_COMPLETION_TIMEOUT_MS) {
		pr_warn("function %s refused: a completion timeout of %u ms, and CPUs wait that long; at most %u ms\n",
			add->name, add->completion_timeout_ms, FL_MAX_COMPLETION_TIMEOUT_MS);
		return -EINVAL;
	}
	if (add->flags & ~FL_ADD_NODE)
		return -EINVAL;
	for (i = 0; i < FL_BAR_COUNT; i++) {
		if (add->bars[i].reserved ||
		    (add->bars[i].flags & ~(FL_BAR_FLAG_64 | FL_BAR_FLAG_PREFETCH)))
			return -EINVAL;
	}
	return 0;
}

static struct fl_device *make_device(const struct fl_function_spec *spec)
{
	const struct fl_ioc_function_add *add = spec->add;
	struct fl_device *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	struct fl_function *f;
	int i;

	if (!d)
		return NULL;
	f = &d->f;
	kref_init(&f->ref);
	INIT_WORK(&d->end, end_function);
	INIT_WORK(&d->free, free_function);
	INIT_WORK(&d->tell, tell_events);
	raw_spin_lock_init(&d->events_lock);
	init_completion(&d->ended);
	strscpy(f->name, add->name, sizeof(f->name));
	strscpy(f->peer, add->peer, sizeof(f->peer));
	strscpy(f->lease, add->lease, sizeof(f->lease));
	f->flags = add->flags;
	f->owner = spec->owner;
	f->ops = spec->ops ? spec->ops : &fl_ring_ops;
	f->completion_timeout_ms = add->completion_timeout_ms ? add->completion_timeout_ms :
								fl_param_completion_timeout_ms;
	for (i = 0; i < FL_BAR_COUNT; i++) {
		f->bars[i].size = add->bars[i].size_bytes;
		f->bars[i].flags = add->bars[i].flags;
	}
	return d;
}

/* What it did make is freed with the last reference, also when it fails. */
static int build(struct fl_function *f, struct fl_function_spec *spec)
{
	const struct fl_ioc_function_add *add = spec->add;
	int err;

	err = fl_config_init(f, spec->config, add->config_bytes);
	if (err)
		return err;
	fl_virtio_find(f);
	err = fl_msi_attach(f);
	if (!err)
		err = fl_msix_attach(f);
	if (!err)
		err = fl_dma_attach(f);
	if (err || spec->ops)
		return err;
	err = fl_ring_create(f, add->submit_entries, add->complete_entries, add->staging_bytes,
			     spec->submit_bell);
	if (!err)
		spec->submit_bell = NULL; /* the ring has it now */
	return err;
}

/* The name is ours and can be found, in one step with the check that nobody has it. */
static int enlist(struct fl_device *d, struct fl_function_spec *spec)
{
	struct fl_function *f = &d->f, *other;
	int err;

	lockdep_assert_held(&functions_lock);
	list_for_each_entry(other, &functions, node) {
		if (!strcmp(other->name, f->name)) {
			pr_warn("function %s refused: there is one of that name\n", f->name);
			return -EEXIST;
		}
	}
	err = fl_slot_reserve(f);
	if (err)
		return err;
	err = build(f, spec);
	if (err) {
		fl_slot_release(f);
		return err;
	}
	if (!spec->ops) {
		/* The module can't go before what a daemon has added has gone. */
		__module_get(THIS_MODULE);
		d->holds_module = true;
	}
	f->id = next_id++;
	kref_get(&f->ref);
	list_add_tail(&f->node, &functions);
	return 0;
}

static struct fl_function *plug(struct fl_device *d)
{
	struct fl_function *f = &d->f;
	int err = 0;

	fl_debugfs_add(f);
	if (f->flags & FL_ADD_NODE)
		err = fl_chardev_node_add(f);
	if (err) {
		start_end(d, true);
		wait_for_completion(&d->ended);
		fl_function_put(f);
		return ERR_PTR(err);
	}
	fl_slot_plug(f);
	fl_function_set_state(f, FL_FUNCTION_LIVE);
	return f;
}

struct fl_function *fl_function_add(struct fl_function_spec *spec)
{
	struct fl_device *d = NULL;
	int err;

	err = check_spec(spec);
	if (err)
		goto out;
	err = -ENOMEM;
	d = make_device(spec);
	if (!d)
		goto out;
	mutex_lock(&functions_lock);
	err = enlist(d, spec);
	mutex_unlock(&functions_lock);
	if (err)
		fl_function_put(&d->f);
out:
	if (spec->submit_bell)
		eventfd_ctx_put(spec->submit_bell);
	spec->submit_bell = NULL;
	return err ? ERR_PTR(err) : plug(d);
}

/* One that is still being made is nobody's yet: its id could be guessed. */
static bool is_born(const struct fl_function *f)
{
	return READ_ONCE(f->state) != 0;
}

struct fl_function *fl_function_get(u32 id)
{
	struct fl_function *f, *found = NULL;

	mutex_lock(&functions_lock);
	list_for_each_entry(f, &functions, node) {
		if (f->id == id && is_born(f)) {
			kref_get(&f->ref);
			found = f;
			break;
		}
	}
	mutex_unlock(&functions_lock);
	return found;
}

/* They are listed by their ids: whatever goes meanwhile, the others are found once. */
struct fl_function *fl_function_next(u32 id)
{
	struct fl_function *f, *found = NULL;

	mutex_lock(&functions_lock);
	list_for_each_entry(f, &functions, node) {
		if (is_born(f) && f->id > id) {
			kref_get(&f->ref);
			found = f;
			break;
		}
	}
	mutex_unlock(&functions_lock);
	return found;
}

struct fl_function *fl_function_get_index(u32 index)
{
	struct fl_function *f, *found = NULL;

	mutex_lock(&functions_lock);
	list_for_each_entry(f, &functions, node) {
		if (is_born(f) && !index--) {
			kref_get(&f->ref);
			found = f;
			break;
		}
	}
	mutex_unlock(&functions_lock);
	return found;
}

/* --- on the bus ---------------------------------------------------------------------------- */

static void set_pdev(struct fl_function *f, struct pci_dev *pdev)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	f->pdev = pdev;
	if (pdev && fl_function_is_gone(f))
		WRITE_ONCE(pdev->error_state, pci_channel_io_perm_failure);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
}

/* A node's function belongs to whoever opens the node: no stock driver may have it. */
static void appeared(struct fl_function *f, struct pci_dev *pdev)
{
	set_pdev(f, pdev);
	if ((f->flags & FL_ADD_NODE) && fl_driver_override_set(pdev, "farlane-node"))
		fl_function_contain(f, "no-memory");
	fl_function_event(f, "added");
}

static int on_bus(struct notifier_block *nb, unsigned long action, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct fl_function *f;

	if (action != BUS_NOTIFY_ADD_DEVICE && action != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;
	f = fl_function_of(pdev);
	if (!f)
		return NOTIFY_DONE;
	if (action == BUS_NOTIFY_ADD_DEVICE)
		appeared(f, pdev);
	else
		set_pdev(f, NULL);
	return NOTIFY_OK;
}

static struct notifier_block bus_notifier = { .notifier_call = on_bus };

bool fl_device_busy(void)
{
	bool busy;

	mutex_lock(&functions_lock);
	busy = !list_empty(&functions);
	mutex_unlock(&functions_lock);
	return busy;
}

void fl_device_drain(void)
{
	struct fl_function *f;

	mutex_lock(&functions_lock);
	list_for_each_entry(f, &functions, node)
		start_end(device_of(f), true);
	mutex_unlock(&functions_lock);
	/* The end of a function queues its free, and an event that holds a reference. */
	while (fl_device_busy())
		flush_workqueue(life);
	drain_workqueue(life);
}

int fl_device_init(void)
{
	int err;

	life = alloc_workqueue("farlane", WQ_UNBOUND, 0);
	if (!life)
		return -ENOMEM;
	err = bus_register_notifier(&pci_bus_type, &bus_notifier);
	if (err)
		destroy_workqueue(life);
	return err;
}

void fl_device_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &bus_notifier);
	destroy_workqueue(life);
}

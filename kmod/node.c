// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: calls of the application that has /dev/farlane/<name> open. Hands on: its channel to the
 * daemon, its memory to the function's table, interrupts to its eventfds. Owns: the nodes, and
 * what belongs to the application that holds one.
 *
 * One application has a node at a time. Its channel is memory of the module that application and
 * daemon map: who speaks follows from the channel. When the file is closed the device loses its
 * memory at once; the node is free again when the daemon has let go of the channel too, so that no
 * record of one application ever runs for the next.
 */
#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "chardev.h"
#include "node.h"
#include "pin.h"

static DEFINE_XARRAY_ALLOC1(fl_nodes); /* by minor */
static DEFINE_MUTEX(fl_nodes_lock);
static DEFINE_SPINLOCK(fl_events_lock);
static DECLARE_WAIT_QUEUE_HEAD(fl_events_wait);

/* Whoever walks the table looks at the function as well. */
static void free_node_later(struct rcu_head *rcu)
{
	struct fl_node *node = container_of(rcu, struct fl_node, rcu);

	fl_function_put(node->function);
	kvfree(node);
}

static void free_node(struct kref *ref)
{
	struct fl_node *node = container_of(ref, struct fl_node, ref);

	fl_node_free_channel(node);
	call_rcu(&node->rcu, free_node_later);
}

struct fl_node *fl_node_of(const struct fl_function *f)
{
	struct fl_node *node;
	unsigned long minor;

	if (!(f->flags & FL_ADD_NODE))
		return NULL;
	rcu_read_lock();
	xa_for_each(&fl_nodes, minor, node)
		if (node->function == f)
			break;
	if (node && !kref_get_unless_zero(&node->ref))
		node = NULL;
	rcu_read_unlock();
	return node;
}

void fl_node_put(struct fl_node *node)
{
	kref_put(&node->ref, free_node);
}

/* --- events of the daemon --------------------------------------------------------------- */

static void tell_daemon(struct fl_node *node)
{
	unsigned long flags;

	spin_lock_irqsave(&fl_events_lock, flags);
	node->is_new = true;
	spin_unlock_irqrestore(&fl_events_lock, flags);
	wake_up_interruptible(&fl_events_wait);
}

static bool take_event(struct fl_node *node)
{
	unsigned long flags;
	bool is_new;

	spin_lock_irqsave(&fl_events_lock, flags);
	is_new = node->is_new;
	node->is_new = false;
	spin_unlock_irqrestore(&fl_events_lock, flags);
	return is_new;
}

/* Never waits: poll() does. As many records as fit. */
ssize_t fl_node_read_events(struct fl_file *file, char __user *to, size_t bytes)
{
	struct fl_ioc_event events[FL_NODE_MINORS] = {};
	size_t most = min(bytes / sizeof(*events), ARRAY_SIZE(events)), n = 0;
	struct fl_node *node;
	unsigned long minor;

	if (!most)
		return -EINVAL;
	rcu_read_lock();
	xa_for_each(&fl_nodes, minor, node)
		if (n < most && READ_ONCE(node->function->owner) == file && take_event(node))
			events[n++].function_id = node->function->id;
	rcu_read_unlock();
	if (!n)
		return -EAGAIN;
	/* who gives an address that is none has lost them: CHANNEL_GET tells as well */
	return copy_to_user(to, events, n * sizeof(*events)) ? -EFAULT : n * sizeof(*events);
}

__poll_t fl_node_poll_events(struct fl_file *file, struct poll_table_struct *wait)
{
	struct fl_node *node;
	unsigned long minor;
	__poll_t found = 0;

	poll_wait(file->file, &fl_events_wait, wait);
	rcu_read_lock();
	xa_for_each(&fl_nodes, minor, node)
		if (READ_ONCE(node->function->owner) == file && READ_ONCE(node->is_new))
			found = EPOLLIN | EPOLLRDNORM;
	rcu_read_unlock();
	return found;
}

/* --- the application's calls -------------------------------------------------------------- */

static struct pci_dev *get_pdev(struct fl_function *f)
{
	struct pci_dev *pdev;
	unsigned long flags;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	pdev = pci_dev_get(f->pdev);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	return pdev;
}

/* No driver does it: memory decoding and bus master are on while an application is there. */
static int enable_device(struct fl_node *node)
{
	int error;

	node->pdev = get_pdev(node->function);
	error = -EAGAIN;
	/* found on the bus, and its BARs have addresses */
	if (node->pdev && node->pdev->match_driver)
		error = pci_enable_device_mem(node->pdev);
	if (error) {
		pci_dev_put(node->pdev);
		node->pdev = NULL;
		return error;
	}
	pci_set_master(node->pdev);
	node->enabled = true;
	return 0;
}

struct fl_node_answer {
	struct completion come;
	enum fl_status status;
};

static void answered(struct fl_function *f, void *arg, enum fl_status status, const void *data,
		     unsigned int bytes)
{
	struct fl_node_answer *answer = arg;

	answer->status = status;
	complete(&answer->come);
}

/*
 * The application's channel is another one than the kernel's: what the kernel has written to the
 * command register on the way here must not come behind what the application does. A read that
 * is answered has pushed it.
 */
static int push_writes(struct fl_function *f)
{
	struct fl_node_answer answer = {};
	struct fl_tlp tlp = {
		.family = FL_FAMILY_TLP,
		.type = FL_TLP_CFGRD,
		.bar = FL_BAR_NONE,
		.length_bytes = cpu_to_le16(4),
		.record_bytes = cpu_to_le16(sizeof(tlp)),
	};

	init_completion(&answer.come);
	if (f->ops->request_async(f, &tlp, NULL, answered, &answer))
		return -EAGAIN;
	/* it is always answered: by the daemon, by its timeout, by the removal */
	wait_for_completion(&answer.come);
	return answer.status == FL_STATUS_SC ? 0 : -EAGAIN;
}

static void disable_device(struct fl_node *node)
{
	if (!node->enabled)
		return;
	node->enabled = false;
	pci_clear_master(node->pdev);
	pci_disable_device(node->pdev);
	pci_dev_put(node->pdev);
	node->pdev = NULL;
}

static int make_pins(struct fl_node *node)
{
	node->pins = kzalloc(sizeof(*node->pins), GFP_KERNEL_ACCOUNT);
	if (!node->pins)
		return -ENOMEM;
	fl_pins_init(node->pins, node->function->domain);
	return 0;
}

static void drop_pins(struct fl_node *node)
{
	if (!node->pins)
		return;
	fl_pins_exit(node->pins);
	kfree(node->pins);
	node->pins = NULL;
}

static void set_bell(struct fl_node *node, struct eventfd_ctx **where, struct eventfd_ctx *bell)
{
	struct eventfd_ctx *before;
	unsigned long flags;

	spin_lock_irqsave(&node->bells_lock, flags);
	before = *where;
	*where = bell;
	spin_unlock_irqrestore(&node->bells_lock, flags);
	if (before)
		eventfd_ctx_put(before);
}

static void drop_bells(struct fl_node *node)
{
	unsigned int i;

	set_bell(node, &node->complete_bell, NULL);
	for (i = 0; i < FL_NODE_VECTORS; i++)
		set_bell(node, &node->vectors[i], NULL);
}

static struct eventfd_ctx *get_bell(s32 fd)
{
	return fd == -1 ? NULL : eventfd_ctx_fdget(fd);
}

static int create_with(struct fl_node *node, struct fl_ioc_channel_create *ask)
{
	struct eventfd_ctx *bell = get_bell(ask->complete_bell);
	int error;

	if (IS_ERR(bell))
		return PTR_ERR(bell);
	error = enable_device(node);
	if (error)
		goto err_bell;
	error = push_writes(node->function) ?: make_pins(node);
	if (error)
		goto err_device;
	error = fl_node_make_channel(node, ask);
	if (error)
		goto err_pins;
	set_bell(node, &node->complete_bell, bell);
	return 0;
err_pins:
	drop_pins(node);
err_device:
	disable_device(node);
err_bell:
	if (bell)
		eventfd_ctx_put(bell);
	return error;
}

/*
 * What an application is asked for and told is copied without the lock: it may spend any time on a
 * page fault of its own, and whoever removes the function waits for the lock.
 */
static int lock_node(struct fl_node *node)
{
	if (mutex_lock_killable(&node->lock))
		return -EINTR;
	if (!node->leaving)
		return 0;
	mutex_unlock(&node->lock);
	return -ENODEV;
}

static int channel_create(struct fl_node *node, void __user *argument)
{
	struct fl_ioc_channel_create ask;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.generation || ask.channel_bytes)
		return -EINVAL;
	error = lock_node(node);
	if (error)
		return error;
	error = node->channel.memory ? -EBUSY : create_with(node, &ask);
	ask.generation = node->channel.generation;
	ask.channel_bytes = node->channel.bytes;
	mutex_unlock(&node->lock);
	if (error)
		return error;
	tell_daemon(node);
	return copy_to_user(argument, &ask, sizeof(ask)) ? -EFAULT : 0;
}

/* Before anything is pinned in vain; add_pin() looks again. */
static int may_pin(struct fl_node *node)
{
	int error = lock_node(node);

	if (error)
		return error;
	error = node->pins ? 0 : -ENOTCONN;
	mutex_unlock(&node->lock);
	return error;
}

static int add_pin(struct fl_node *node, struct fl_pin *pin, u32 direction, u64 *iova)
{
	int error = lock_node(node);

	if (error)
		return error;
	error = node->pins ? fl_pins_add(node->pins, pin, direction, iova) : -ENOTCONN;
	mutex_unlock(&node->lock);
	return error;
}

static int drop_pin(struct fl_node *node, u64 iova)
{
	int error = lock_node(node);

	if (error)
		return error;
	error = node->pins ? fl_pins_unmap(node->pins, iova) : -ENOTCONN;
	mutex_unlock(&node->lock);
	return error;
}

static int map(struct fl_node *node, void __user *argument)
{
	struct fl_ioc_map ask;
	struct fl_pin *pin;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (!ask.direction || ask.iova ||
	    (ask.direction & ~(FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES)))
		return -EINVAL;
	error = may_pin(node);
	if (error)
		return error;
	pin = fl_pin_get(ask.address, ask.length_bytes, ask.direction);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	error = add_pin(node, pin, ask.direction, &ask.iova);
	if (error) {
		fl_pin_put(pin);
		return error;
	}
	if (!copy_to_user(argument, &ask, sizeof(ask)))
		return 0;
	drop_pin(node, ask.iova);
	return -EFAULT;
}

static int unmap(struct fl_node *node, void __user *argument)
{
	struct fl_ioc_unmap ask;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	return ask.reserved ? -EINVAL : drop_pin(node, ask.iova);
}

static int interrupt_fd(struct fl_node *node, void __user *argument)
{
	struct fl_ioc_interrupt_fd ask;
	struct eventfd_ctx *bell;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.reserved || ask.vector >= FL_NODE_VECTORS)
		return -EINVAL;
	bell = get_bell(ask.fd);
	if (IS_ERR(bell))
		return PTR_ERR(bell);
	error = lock_node(node);
	if (!error) {
		set_bell(node, &node->vectors[ask.vector], bell);
		mutex_unlock(&node->lock);
	} else if (bell) {
		eventfd_ctx_put(bell);
	}
	return error;
}

static int wake_daemon(struct fl_node *node, void __user *argument)
{
	struct fl_ioc_channel_bell ask;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.function_id)
		return -EINVAL;
	fl_ring_wake(node->function);
	return 0;
}

long fl_node_ioctl(struct fl_node *node, unsigned int number, void __user *argument)
{
	switch (number) {
	case FL_IOC_CHANNEL_BELL: /* hot: needs nothing of the node */
		return wake_daemon(node, argument);
	case FL_IOC_CHANNEL_CREATE:
		return channel_create(node, argument);
	case FL_IOC_MAP:
		return map(node, argument);
	case FL_IOC_UNMAP:
		return unmap(node, argument);
	case FL_IOC_INTERRUPT_FD:
		return interrupt_fd(node, argument);
	default:
		return -ENOTTY;
	}
}

/* --- life -------------------------------------------------------------------------------------- */

/* Its device may be on the way out: it is only looked at under the lock that ends it for us. */
static bool has_driver(struct fl_function *f)
{
	unsigned long flags;
	bool bound;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	bound = f->pdev && READ_ONCE(f->pdev->dev.driver);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	return bound;
}

static int hold(struct fl_node *node)
{
	if (node->leaving || fl_function_is_gone(node->function))
		return -ENODEV;
	if (node->use != FL_NODE_FREE || has_driver(node->function))
		return -EBUSY;
	mutex_lock(&node->channel_lock);
	node->use = FL_NODE_HELD; /* the daemon only makes it free */
	mutex_unlock(&node->channel_lock);
	node->holder = get_pid(task_tgid(current));
	get_task_comm(node->comm, current->group_leader);
	kref_get(&node->ref);
	return 0;
}

struct fl_node *fl_node_hold(unsigned int minor)
{
	struct fl_node *node;
	int error = -ENODEV;

	mutex_lock(&fl_nodes_lock);
	node = xa_load(&fl_nodes, minor);
	if (node) {
		mutex_lock(&node->lock);
		error = hold(node);
		mutex_unlock(&node->lock);
	}
	mutex_unlock(&fl_nodes_lock);
	return error ? ERR_PTR(error) : node;
}

/* One line for people and libraries: whoever finds the node in use can say by whom. */
ssize_t fl_node_show_holder(struct fl_function *f, char *text)
{
	struct fl_node *node = fl_node_of(f);
	ssize_t bytes = 0;

	if (!node)
		return -ENODEV;
	mutex_lock(&node->lock);
	if (node->holder)
		bytes = sysfs_emit(text, "%s (pid %d)\n", node->comm, pid_vnr(node->holder));
	mutex_unlock(&node->lock);
	fl_node_put(node);
	return bytes;
}

/* The device reaches nothing of the application any more; nobody hears from it. */
static void cut_off(struct fl_node *node)
{
	disable_device(node);
	drop_pins(node);
	drop_bells(node);
}

void fl_node_let_go(struct fl_node *node)
{
	mutex_lock(&node->lock);
	cut_off(node);
	put_pid(node->holder);
	node->holder = NULL;
	mutex_lock(&node->channel_lock);
	node->use = node->channel.memory && !node->leaving ? FL_NODE_CLOSING : FL_NODE_FREE;
	mutex_unlock(&node->channel_lock);
	mutex_unlock(&node->lock);
	tell_daemon(node);
	fl_node_put(node);
}

/* Its device leaves the table that the pins are in: VFIO, or a removal through sysfs. */
void fl_node_domain_leaves(struct fl_function *f)
{
	struct fl_node *node = fl_node_of(f);

	if (!node)
		return;
	mutex_lock(&node->lock);
	drop_pins(node);
	mutex_unlock(&node->lock);
	fl_node_put(node);
}

/* The node of an earlier function of that name may still be on its way out. */
static int take_minor(struct fl_node *node)
{
	struct fl_node *other;
	unsigned long minor;
	int error = 0;

	mutex_lock(&fl_nodes_lock);
	xa_for_each(&fl_nodes, minor, other)
		if (!strcmp(other->function->name, node->function->name))
			error = -EEXIST;
	if (!error)
		error = xa_alloc(&fl_nodes, &node->minor, node, XA_LIMIT(1, FL_NODE_MINORS),
				 GFP_KERNEL);
	mutex_unlock(&fl_nodes_lock);
	return error;
}

int fl_chardev_node_add(struct fl_function *f)
{
	struct fl_node *node = kvzalloc(sizeof(*node), GFP_KERNEL);
	int error;

	if (!node)
		return -ENOMEM;
	kref_init(&node->ref);
	mutex_init(&node->lock);
	mutex_init(&node->channel_lock);
	spin_lock_init(&node->bells_lock);
	node->function = f;
	kref_get(&f->ref);
	error = take_minor(node);
	if (error)
		goto err_node;
	node->dev = fl_chardev_device(f, node->minor);
	error = PTR_ERR_OR_ZERO(node->dev);
	if (error)
		goto err_minor;
	return 0;
err_minor:
	mutex_lock(&fl_nodes_lock);
	xa_erase(&fl_nodes, node->minor);
	mutex_unlock(&fl_nodes_lock);
err_node:
	fl_node_put(node);
	return error;
}

/* Before the device leaves the bus: its table goes then. */
void fl_chardev_node_remove(struct fl_function *f)
{
	struct fl_node *node = fl_node_of(f);

	if (!node)
		return;
	mutex_lock(&node->lock);
	node->leaving = true;
	cut_off(node);
	mutex_unlock(&node->lock);
	/* the name is free again when the device has gone */
	fl_chardev_device_destroy(node->minor);
	mutex_lock(&fl_nodes_lock);
	xa_erase(&fl_nodes, node->minor);
	mutex_unlock(&fl_nodes_lock);
	fl_node_put(node); /* of the table */
	fl_node_put(node);
}

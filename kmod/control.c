// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: ioctls and mmaps of /dev/farlane/control. Hands on: checked requests to the rooms.
 * Owns: nothing. Contract: farlane/ioctl.h. Every number in them is hostile: it is copied once,
 * checked, then used; what is not known is refused.
 */
#include <linux/eventfd.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "chardev.h"

#define MMAP_ID_SHIFT 32
#define MMAP_APPLICATION BIT_ULL(31) /* added for the application's channel */
#define MAX_VECTORS 2048

int fl_copy_sized(void *to, size_t bytes, const void __user *from)
{
	u32 says;

	if (get_user(says, (const u32 __user *)from))
		return -EFAULT;
	if (says != bytes)
		return -EINVAL;
	if (copy_from_user(to, from, bytes))
		return -EFAULT;
	*(u32 *)to = bytes; /* it may have changed meanwhile */
	return 0;
}

static u64 mmap_offset_of(const struct fl_function *f)
{
	return (u64)f->id << MMAP_ID_SHIFT;
}

/* A reference to a function that this daemon feeds. */
static struct fl_function *get_own(struct fl_file *file, u32 id)
{
	struct fl_function *f = fl_function_get(id);
	int error;

	if (!f)
		return ERR_PTR(-ENOENT);
	if (READ_ONCE(f->owner) == file)
		return f;
	/* an orphan has to be recovered first */
	error = f->ops == &fl_ring_ops ? -ESTALE : -EPERM;
	fl_function_put(f);
	return ERR_PTR(error);
}

/* -1: none */
static struct eventfd_ctx *get_bell(s32 fd)
{
	if (fd == -1)
		return NULL;
	return eventfd_ctx_fdget(fd);
}

int fl_ioctl_info(void __user *argument)
{
	struct fl_ioc_info info;
	int error = fl_copy_sized(&info, sizeof(info), argument);

	if (error)
		return error;
	memset(&info, 0, sizeof(info));
	info.bytes = sizeof(info);
	info.abi = FL_KERNEL_ABI;
	info.features = fl_dma_feature() | (fl_trap_active() ? FL_FEATURE_TRAP : 0);
	info.slots = fl_param_slots;
	info.slots_free = fl_slots_free();
	info.max_submit_entries = FL_RING_MAX_ENTRIES;
	strscpy(info.version, THIS_MODULE->version ?: "", sizeof(info.version));
	return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}

static int daemon_open(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_daemon_open ask;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.abi != FL_KERNEL_ABI)
		return -EPROTONOSUPPORT;
	ask.functions = 0;
	error = fl_daemon_become(file, &ask, &ask.functions);
	if (error)
		return error;
	/* who can't hear the answer can ask FUNCTION_GET */
	return copy_to_user(argument, &ask, sizeof(ask)) ? -EFAULT : 0;
}

static bool is_text(const char *text)
{
	return strnlen(text, FL_NAME_BYTES) < FL_NAME_BYTES;
}

/* The rest is checked by fl_function_add(). */
static int check_add(const struct fl_ioc_function_add *add)
{
	unsigned int i;

	if (add->flags & ~FL_ADD_NODE)
		return -EINVAL;
	if (!is_text(add->name) || !is_text(add->peer) || !is_text(add->lease))
		return -EINVAL;
	if (!add->name[0] || add->name[0] == '.')
		return -EINVAL;
	for (i = 0; i < FL_BAR_COUNT; i++)
		if (add->bars[i].reserved)
			return -EINVAL;
	if (add->config_bytes != 256 && add->config_bytes != FL_CONFIG_BYTES)
		return -EINVAL;
	if (add->function_id || add->slot || add->mmap_offset || add->channel_bytes)
		return -EINVAL;
	return 0;
}

static int report_added(struct fl_function *f, struct fl_ioc_function_add *add,
			void __user *argument)
{
	add->function_id = f->id;
	add->slot = f->slot;
	add->mmap_offset = mmap_offset_of(f);
	add->channel_bytes = fl_ring_bytes(f);
	return copy_to_user(argument, add, sizeof(*add)) ? -EFAULT : 0;
}

static int add_with(struct fl_file *file, struct fl_ioc_function_add *add, const u8 *config,
		    void __user *argument)
{
	struct fl_function_spec spec = { .add = add, .config = config, .owner = file };
	struct fl_function *f;
	int error;

	spec.submit_bell = get_bell(add->submit_bell);
	if (IS_ERR(spec.submit_bell))
		return PTR_ERR(spec.submit_bell);
	f = fl_function_add(&spec); /* takes the bell over, also when it fails */
	if (IS_ERR(f))
		return PTR_ERR(f);
	error = report_added(f, add, argument);
	if (error)
		fl_function_remove(f, true);
	fl_function_put(f);
	return error;
}

static int function_add(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_function_add add;
	int error = fl_copy_sized(&add, sizeof(add), argument);
	u8 *config;

	if (!error)
		error = check_add(&add);
	if (error)
		return error;
	config = memdup_user(u64_to_user_ptr(add.config), add.config_bytes);
	if (IS_ERR(config))
		return PTR_ERR(config);
	error = add_with(file, &add, config, argument);
	kfree(config);
	return error;
}

static int function_remove(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_function_remove ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if ((ask.flags & ~FL_REMOVE_SURPRISE) || ask.reserved)
		return -EINVAL;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	error = fl_function_remove(f, ask.flags & FL_REMOVE_SURPRISE);
	fl_function_put(f);
	return error;
}

static int interrupt(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_interrupt ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.reserved || ask.first_vector >= MAX_VECTORS)
		return -EINVAL;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	if (!fl_node_interrupt(f, ask.first_vector, ask.mask))
		fl_msi_raise(f, ask.first_vector, ask.mask);
	fl_ring_poke(f);
	fl_function_put(f);
	return 0;
}

/*
 * Each status is written at once: a daemon that is killed in the middle finds out in its journal
 * what has been done.
 */
static int run_ops(struct fl_function *f, const struct fl_ioc_dma_copy *ask, void *bounce,
		   u32 *failed)
{
	struct fl_dma_op __user *ops = u64_to_user_ptr(ask->ops);
	u32 i;

	for (i = 0; i < ask->count; i++) {
		struct fl_dma_op op;

		if (copy_from_user(&op, &ops[i], sizeof(op)))
			return -EFAULT;
		op.status = fl_dma_op(f, &op, bounce);
		if (put_user(op.status, &ops[i].status))
			return -EFAULT;
		*failed += op.status != FL_STATUS_SC;
	}
	return 0;
}

static int dma_copy(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_dma_copy __user *answer = argument;
	struct fl_ioc_dma_copy ask;
	struct fl_function *f;
	u32 failed = 0;
	void *bounce;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (!ask.count || ask.count > FL_DMA_MAX_OPS)
		return -EINVAL;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	bounce = (void *)__get_free_page(GFP_KERNEL);
	error = bounce ? run_ops(f, &ask, bounce, &failed) : -ENOMEM;
	free_page((unsigned long)bounce);
	fl_ring_poke(f);
	fl_function_put(f);
	if (!error && put_user(failed, &answer->failed))
		error = -EFAULT;
	return error;
}

static int function_get(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_function_get get;
	struct fl_function *f;
	u32 index;
	int error = fl_copy_sized(&get, sizeof(get), argument);

	if (error)
		return error;
	index = get.index;
	f = fl_function_get_index(index);
	if (!f)
		return -ENOENT;
	memset(&get, 0, sizeof(get));
	get.bytes = sizeof(get);
	get.index = index;
	get.function_id = f->id;
	get.state = READ_ONCE(f->state);
	get.slot = f->slot;
	get.flags = f->flags;
	get.mmap_offset = mmap_offset_of(f);
	get.channel_bytes = fl_ring_bytes(f);
	fl_ring_geometry(f, &get);
	strscpy(get.name, f->name, sizeof(get.name));
	strscpy(get.peer, f->peer, sizeof(get.peer));
	fl_function_put(f);
	return copy_to_user(argument, &get, sizeof(get)) ? -EFAULT : 0;
}

static int function_recover(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_function_recover ask;
	struct eventfd_ctx *bell;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.reserved)
		return -EINVAL;
	f = fl_function_get(ask.function_id);
	if (!f)
		return -ENOENT;
	bell = get_bell(ask.submit_bell);
	if (IS_ERR(bell)) {
		fl_function_put(f);
		return PTR_ERR(bell);
	}
	error = fl_daemon_recover(file, f, bell);
	if (error && bell)
		eventfd_ctx_put(bell);
	fl_function_put(f);
	return error;
}

static int function_state(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_function_state ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if ((ask.state != FL_FUNCTION_LIVE && ask.state != FL_FUNCTION_DOWN) || ask.reserved)
		return -EINVAL;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	error = fl_function_set_state(f, ask.state);
	fl_function_put(f);
	return error;
}

static int report_error(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_error ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.severity > 2)
		return -EINVAL;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fl_port_error(f, ask.severity, ask.source);
	fl_function_put(f);
	return 0;
}

static int poke(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_poke ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	fl_ring_poke(f);
	fl_function_put(f);
	return 0;
}

static int channel_get(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_channel_get get;
	struct fl_function *f;
	int error = fl_copy_sized(&get, sizeof(get), argument);

	if (error)
		return error;
	f = get_own(file, get.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	memset(&get, 0, sizeof(get));
	get.bytes = sizeof(get);
	get.function_id = f->id;
	get.mmap_offset = mmap_offset_of(f) + MMAP_APPLICATION;
	error = fl_node_channel_get(f, &get);
	fl_function_put(f);
	if (error)
		return error;
	return copy_to_user(argument, &get, sizeof(get)) ? -EFAULT : 0;
}

static int channel_release(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_channel_release ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	if (ask.reserved)
		return -EINVAL;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	error = fl_node_channel_release(f, ask.generation);
	fl_function_put(f);
	return error;
}

static int channel_bell(struct fl_file *file, void __user *argument)
{
	struct fl_ioc_channel_bell ask;
	struct fl_function *f;
	int error = fl_copy_sized(&ask, sizeof(ask), argument);

	if (error)
		return error;
	f = get_own(file, ask.function_id);
	if (IS_ERR(f))
		return PTR_ERR(f);
	error = fl_node_ring_bell(f);
	fl_function_put(f);
	return error;
}

static const struct {
	unsigned int number;
	int (*run)(struct fl_file *file, void __user *argument);
} fl_calls[] = {
	{ FL_IOC_INTERRUPT, interrupt },
	{ FL_IOC_DMA_COPY, dma_copy },
	{ FL_IOC_POKE, poke },
	{ FL_IOC_CHANNEL_BELL, channel_bell },
	{ FL_IOC_CHANNEL_GET, channel_get },
	{ FL_IOC_CHANNEL_RELEASE, channel_release },
	{ FL_IOC_FUNCTION_ADD, function_add },
	{ FL_IOC_FUNCTION_REMOVE, function_remove },
	{ FL_IOC_FUNCTION_GET, function_get },
	{ FL_IOC_FUNCTION_RECOVER, function_recover },
	{ FL_IOC_FUNCTION_STATE, function_state },
	{ FL_IOC_ERROR, report_error },
};

long fl_control_ioctl(struct fl_file *file, unsigned int number, void __user *argument)
{
	long result = -ENOTTY;
	unsigned int i;

	if (number == FL_IOC_DAEMON_OPEN)
		return daemon_open(file, argument);
	for (i = 0; i < ARRAY_SIZE(fl_calls) && fl_calls[i].number != number; i++)
		;
	if (i == ARRAY_SIZE(fl_calls))
		return -ENOTTY;
	if (down_read_killable(&file->gate))
		return -EINTR;
	result = file->is_daemon ? fl_calls[i].run(file, argument) : -EPERM;
	up_read(&file->gate);
	return result;
}

/* The daemon maps what it feeds, and what it is about to recover. */
static int map_channel(struct fl_file *file, struct fl_function *f, struct vm_area_struct *vma,
		       bool application)
{
	const void *owner = READ_ONCE(f->owner);

	if (f->ops != &fl_ring_ops || (owner && owner != file))
		return -EPERM;
	return application ? fl_node_channel_mmap(f, vma) : fl_ring_mmap(f, vma);
}

int fl_control_mmap(struct fl_file *file, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	struct fl_function *f;
	int error;

	if ((u32)offset & ~MMAP_APPLICATION)
		return -EINVAL;
	f = fl_function_get(offset >> MMAP_ID_SHIFT);
	if (!f)
		return -EINVAL;
	/* mmap_lock is held and calls under the gate may fault: only a try */
	error = -EAGAIN;
	if (down_read_trylock(&file->gate)) {
		error = file->is_daemon ? map_channel(file, f, vma, offset & MMAP_APPLICATION) :
					  -EPERM;
		up_read(&file->gate);
	}
	fl_function_put(f);
	return error;
}

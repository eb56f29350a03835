// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: calls of ioremap, iounmap, memset_io and of what maps a BAR into a
 * process, through ftrace. Hands on: tokens for the window, bursts, a refusal of the
 * mapping; all other calls pass untouched.
 * Owns: the ftrace hooks. A replacement never sleeps, so that no task is in it when
 * unregister_ftrace_function() returns.
 *
 * Which function a driver calls does not matter: devm_ioremap*, pci_iomap*,
 * pcim_iomap*, memremap and the MSI-X core end in one of the functions below.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/ftrace.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/vfio_pci_core.h>

#include "trap.h"

#define HOOK_MAX_NAMES 8
#define MEMSET_BYTES 256
#define HOOK_FLAGS \
	(FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_RECURSION | \
	 FTRACE_OPS_FL_PERMANENT)
#define VFIO_MODULE "vfio_pci_core"

struct hook {
	struct ftrace_ops ops;
	const char *names[HOOK_MAX_NAMES];
	bool (*wants)(const struct pt_regs *regs);
	void *instead;
	bool on;
};

static void notrace redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			     struct ftrace_regs *fregs)
{
	struct hook *hook = container_of(ops, struct hook, ops);
	struct pt_regs *regs = ftrace_get_regs(fregs);

	if (regs && hook->wants(regs))
		regs->ip = (unsigned long)hook->instead;
}

/* --- ioremap(address, bytes) and its kin ------------------------------------------------ */

static bool wants_map(const struct pt_regs *regs)
{
	return fl_window_contains(regs->di, max(regs->si, 1UL));
}

static void __iomem *map_instead(resource_size_t address, unsigned long bytes)
{
	return (void __iomem *)fl_token_of(address);
}

static bool wants_unmap(const struct pt_regs *regs)
{
	return fl_is_token(regs->di);
}

static void unmap_instead(void __iomem *token)
{
}

/*
 * --- memset_io(token, value, bytes) --------------------------------------------------------
 * It works without: memset() faults. But one fault for every 8 bytes on processors
 * that have no fast rep stos, and KASAN, which looks at the address first, knows no
 * tokens.
 */

static bool wants_memset(const struct pt_regs *regs)
{
	return fl_is_token(regs->di);
}

static void memset_instead(void __iomem *token, int value, size_t bytes)
{
	phys_addr_t address = fl_token_address((__force u64)token);
	u8 pattern[MEMSET_BYTES];
	size_t piece;

	memset(pattern, value, sizeof(pattern));
	for (; bytes; bytes -= piece, address += piece) {
		piece = min(bytes, sizeof(pattern));
		if (!fl_window_contains(address, piece)) /* faults: trap.c says why */
			memset((void *)fl_token_of(address), value, bytes);
		fl_bar_write(address, pattern, piece);
	}
}

/* --- mappings into processes: no access of theirs could be forwarded --------------------- */

static int refuse(void)
{
	pr_info_ratelimited("%s (%d): a BAR of a remote function can not be mapped into a process; use read and write\n",
			    current->comm, task_pid_nr(current));
	return -EINVAL;
}

/* pci_mmap_resource_range(pdev, ...): sysfs and procfs */
static bool wants_pci_mmap(const struct pt_regs *regs)
{
	return fl_is_our_device((const struct pci_dev *)regs->di);
}

/* vfio_pci_core_mmap(vfio device, vma) */
static bool wants_vfio_mmap(const struct pt_regs *regs)
{
	const struct vfio_device *device = (const struct vfio_device *)regs->di;

	return fl_is_our_device(to_pci_dev(device->dev));
}

/* remap_pfn_range(vma, address, pfn, ...): a driver's own mmap */
static bool wants_remap(const struct pt_regs *regs)
{
	return fl_window_contains(PFN_PHYS(regs->dx), 1);
}

#define HOOK(which, replacement, ...) \
	{ \
		.names = { __VA_ARGS__ }, .wants = which, .instead = replacement \
	}

static struct hook hooks[] = {
	HOOK(wants_map, map_instead, "ioremap", "ioremap_uc", "ioremap_wc", "ioremap_wt",
	     "ioremap_cache", "ioremap_prot", "ioremap_encrypted"),
	HOOK(wants_unmap, unmap_instead, "iounmap"),
	HOOK(wants_memset, memset_instead, "memset_io"),
	HOOK(wants_pci_mmap, refuse, "pci_mmap_resource_range"),
	HOOK(wants_remap, refuse, "remap_pfn_range"),
};

/*
 * vfio_pci_core_ioctl(vfio device, ...): before it can answer, its regions do not say that
 * they can be mapped. A process that would believe it goes on with read and write instead.
 */
static bool before_vfio_ioctl(const struct pt_regs *regs)
{
	struct vfio_pci_core_device *device =
		container_of((struct vfio_device *)regs->di, struct vfio_pci_core_device, vdev);

	if (fl_is_our_device(device->pdev))
		memset(device->bar_mmap_supported, 0, sizeof(device->bar_mmap_supported));
	return false; /* the function itself runs in any case */
}

static struct hook vfio_hooks[] = {
	HOOK(wants_vfio_mmap, refuse, "vfio_pci_core_mmap"),
	HOOK(before_vfio_ioctl, NULL, "vfio_pci_core_ioctl"),
};

/* --- life --------------------------------------------------------------------------------- */

static bool is_vfio_hook(const struct hook *hook)
{
	return hook >= vfio_hooks && hook < vfio_hooks + ARRAY_SIZE(vfio_hooks);
}

/* Zero, or why: a name that is missing, or another user of the same function. */
static int install(struct hook *hook)
{
	unsigned int i;
	int err;

	/* ftrace_free_filter() leaves what can not be used again */
	hook->ops = (struct ftrace_ops){ .func = redirect, .flags = HOOK_FLAGS };
	for (i = 0; i < HOOK_MAX_NAMES && hook->names[i]; i++) {
		err = ftrace_set_filter(&hook->ops, (unsigned char *)hook->names[i],
					strlen(hook->names[i]), 0);
		if (err)
			goto err_filter;
	}
	err = register_ftrace_function(&hook->ops);
	if (!err) {
		hook->on = true;
		return 0;
	}
	i = 0;
err_filter:
	ftrace_free_filter(&hook->ops);
	if (!is_vfio_hook(hook))
		pr_err("can not hook %s() (error %d): the kernel lacks it, a live patch has it, or kernel.ftrace_enabled is 0; load with trap=0 to do without stock drivers\n",
		       hook->names[i], err);
	return err;
}

static void remove(struct hook *hook)
{
	if (!hook->on)
		return;
	unregister_ftrace_function(&hook->ops);
	ftrace_free_filter(&hook->ops);
	hook->on = false;
}

/* vfio_pci_core comes and goes when it likes. */
static DEFINE_MUTEX(vfio_lock);

static void remove_vfio(void)
{
	unsigned int i;

	lockdep_assert_held(&vfio_lock);
	for (i = 0; i < ARRAY_SIZE(vfio_hooks); i++)
		remove(&vfio_hooks[i]);
}

static int vfio_comes(void)
{
	unsigned int i;
	int err = 0;

	mutex_lock(&vfio_lock);
	for (i = 0; i < ARRAY_SIZE(vfio_hooks) && !err; i++)
		if (!vfio_hooks[i].on)
			err = install(&vfio_hooks[i]);
	if (err)
		remove_vfio();
	mutex_unlock(&vfio_lock);
	return err;
}

static void vfio_goes(void)
{
	mutex_lock(&vfio_lock);
	remove_vfio();
	mutex_unlock(&vfio_lock);
}

static int on_module(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;
	int err = 0;

	if (strcmp(module->name, VFIO_MODULE))
		return NOTIFY_DONE;
	if (state == MODULE_STATE_COMING)
		err = vfio_comes();
	else if (state == MODULE_STATE_GOING)
		vfio_goes();
	if (err)
		pr_err("can not hook " VFIO_MODULE " (error %d): it is not loaded\n", err);
	return notifier_from_errno(err);
}

static struct notifier_block module_block = { .notifier_call = on_module };

static void remove_all(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		remove(&hooks[i]);
}

void fl_hook_exit(void)
{
	unregister_module_notifier(&module_block);
	vfio_goes();
	remove_all();
}

int fl_hook_init(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(hooks) && !err; i++)
		err = install(&hooks[i]);
	if (!err)
		err = register_module_notifier(&module_block);
	if (err) {
		remove_all();
		return err;
	}
	err = vfio_comes();
	if (!err || err == -EINVAL) /* that one: the module is not there yet */
		return 0;
	pr_err("can not hook " VFIO_MODULE " (error %d): unload it first\n", err);
	fl_hook_exit();
	return err;
}

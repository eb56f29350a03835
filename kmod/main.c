// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: loading, unloading, module parameters; suspend and reboot of the host.
 * Hands on: the stages of the module, in order and in reverse order.
 * Owns: the parameters.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

#include "farlane.h"

unsigned int fl_param_slots = 8;
module_param_named(slots, fl_param_slots, uint, 0444);
MODULE_PARM_DESC(slots, "hot-plug slots of the host bridge, 1 to 32 (default 8)");

unsigned int fl_param_completion_timeout_ms = 1000;

static int set_completion_timeout(const char *text, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(text, parameter, 1, FL_MAX_COMPLETION_TIMEOUT_MS);
}

static const struct kernel_param_ops completion_timeout_ops = {
	.set = set_completion_timeout,
	.get = param_get_uint,
};
module_param_cb(completion_timeout_ms, &completion_timeout_ops, &fl_param_completion_timeout_ms,
		0644);
__MODULE_PARM_TYPE(completion_timeout_ms, "uint");
MODULE_PARM_DESC(completion_timeout_ms,
		 "how long a read waits for its answer before it is all-ones, 1 to 9000 (default 1000)");

unsigned int fl_param_grace_ms = 10000;
module_param_named(grace_ms, fl_param_grace_ms, uint, 0644);
MODULE_PARM_DESC(grace_ms, "how long functions outlive their daemon (default 10000)");

bool fl_param_trap = true;
module_param_named(trap, fl_param_trap, bool, 0444);
MODULE_PARM_DESC(trap, "let unmodified drivers access BARs, by a trap (default Y)");

bool fl_param_selftest;
module_param_named(selftest, fl_param_selftest, bool, 0444);
MODULE_PARM_DESC(selftest, "plug a function that the module itself answers (default N)");

char *fl_param_dma = "auto";
module_param_named(dma, fl_param_dma, charp, 0444);
MODULE_PARM_DESC(dma, "soft-IOMMU: iommu, direct, or auto = what this host can (default auto)");

/*
 * A suspended host answers nobody: the far side would give the functions up, and their
 * drivers would wake up with devices that are gone. Better not to sleep.
 */
static int on_sleep(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action != PM_SUSPEND_PREPARE && action != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;
	if (!fl_device_busy())
		return NOTIFY_DONE;
	pr_warn("suspend refused: remote functions are attached; detach them first\n");
	return notifier_from_errno(-EBUSY);
}

/*
 * Also before kexec. Drivers quiesce their devices after this, which takes a daemon; one
 * that was killed before would cost them a completion timeout per access.
 */
static int on_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	struct fl_function *f;
	u32 id;

	for (id = 0; (f = fl_function_next(id)); fl_function_put(f)) {
		id = f->id;
		if (READ_ONCE(f->state) == FL_FUNCTION_ORPHANED)
			fl_function_contain(f, "reboot");
	}
	return NOTIFY_DONE;
}

static struct notifier_block sleep_notifier = { .notifier_call = on_sleep };
static struct notifier_block reboot_notifier = { .notifier_call = on_reboot };

static int notifiers_init(void)
{
	int err = register_pm_notifier(&sleep_notifier);

	if (err)
		return err;
	err = register_reboot_notifier(&reboot_notifier);
	if (err)
		unregister_pm_notifier(&sleep_notifier);
	return err;
}

static void notifiers_exit(void)
{
	unregister_reboot_notifier(&reboot_notifier);
	unregister_pm_notifier(&sleep_notifier);
}

static int bus_init(void)
{
	return fl_hostbridge_init(fl_param_slots);
}

static void debugfs_stage_exit(void)
{
	fl_debugfs_exit();
}

static int debugfs_stage_init(void)
{
	fl_debugfs_init();
	return 0;
}

/*
 * DMA comes before the bus: a device asks for its IOMMU when it is added. The trap comes
 * behind it, it has to know the window; no function is there before the control node.
 */
static const struct {
	const char *name;
	int (*init)(void);
	void (*exit)(void);
} stages[] = {
	{ "debugfs", debugfs_stage_init, debugfs_stage_exit },
	{ "devices", fl_device_init, fl_device_exit },
	{ "interrupts", fl_msi_init, fl_msi_exit },
	{ "DMA", fl_dma_init, fl_dma_exit },
	{ "BARs", fl_bar_init, fl_bar_exit },
	{ "host bridge", bus_init, fl_hostbridge_exit },
	{ "trap", fl_trap_init, fl_trap_exit },
	{ "control node", fl_chardev_init, fl_chardev_exit },
	{ "power events", notifiers_init, notifiers_exit },
	{ "selftest", fl_selftest_init, fl_selftest_exit },
};

static void leave(unsigned int stage)
{
	while (stage--)
		stages[stage].exit();
}

static int __init farlane_init(void)
{
	unsigned int i;
	int err;

	if (fl_param_slots < 1 || fl_param_slots > FL_MAX_SLOTS) {
		pr_err("slots=%u: a host bridge has 1 to %u\n", fl_param_slots, FL_MAX_SLOTS);
		return -EINVAL;
	}
	for (i = 0; i < ARRAY_SIZE(stages); i++) {
		err = stages[i].init();
		if (err) {
			pr_err("%s: error %d, the module is not loaded\n", stages[i].name, err);
			leave(i);
			return err;
		}
	}
	return 0;
}

/* Functions of a daemon hold the module: there is at most the selftest's here. */
static void __exit farlane_exit(void)
{
	leave(ARRAY_SIZE(stages));
}

module_init(farlane_init);
module_exit(farlane_exit);

MODULE_AUTHOR("Farlane");
MODULE_DESCRIPTION("Remote PCIe functions on a virtual host bridge");
MODULE_LICENSE("GPL");
MODULE_VERSION(FARLANE_VERSION);

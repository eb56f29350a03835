// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that knows no moderation: it posts as many writes as it is told to the NVMe controller
 * of firmware_sim, some of them with interrupts off, and never looks whether the device is there.
 * Receives: the number of writes, in the file "flood" of its device. Hands on: how long they took
 * on the kernel log. Owns: nothing after remove.
 */
#define pr_fmt(fmt) "farlane_flood_test: " fmt

#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched.h>

#define REG_INTMC 0x10 /* NVMe 1.4, 3.1.4: a mask of pin interrupts that are not used */
#define BATCH 64
#define MOST_WRITES 100000000

static void post_batch(u8 __iomem *bar, unsigned int writes, bool irqs_off)
{
	unsigned long flags = 0;
	unsigned int i;

	if (irqs_off)
		local_irq_save(flags);
	for (i = 0; i < writes; i++)
		writel(0, bar + REG_INTMC);
	if (irqs_off)
		local_irq_restore(flags);
}

/* Returns the longest batch. */
static u64 post(u8 __iomem *bar, unsigned int writes)
{
	unsigned int done, batch;
	u64 longest_ns = 0;

	for (done = 0; done < writes; done += batch) {
		u64 begin = ktime_get_ns();

		batch = min_t(unsigned int, writes - done, BATCH);
		post_batch(bar, batch, done / BATCH % 4 == 3);
		longest_ns = max(longest_ns, ktime_get_ns() - begin);
		cond_resched();
	}
	return longest_ns;
}

static ssize_t flood_store(struct device *dev, struct device_attribute *attribute, const char *text,
			   size_t bytes)
{
	u64 longest_ns, begin = ktime_get_ns();
	unsigned int writes;
	int err = kstrtouint(text, 0, &writes);

	if (err)
		return err;
	if (writes > MOST_WRITES)
		return -EINVAL;
	longest_ns = post(dev_get_drvdata(dev), writes);
	pr_info("%u writes in %llu ms, the longest %d of them in %llu ms\n", writes,
		(ktime_get_ns() - begin) / NSEC_PER_MSEC, BATCH, longest_ns / NSEC_PER_MSEC);
	return bytes;
}
static DEVICE_ATTR_WO(flood);

static struct attribute *flood_attrs[] = { &dev_attr_flood.attr, NULL };
ATTRIBUTE_GROUPS(flood);

static int flood_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int err = pcim_enable_device(pdev);

	if (!err)
		err = pcim_iomap_regions(pdev, BIT(0), "farlane_flood_test");
	if (err)
		return err;
	pci_set_drvdata(pdev, pcim_iomap_table(pdev)[0]);
	return 0;
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0xf1a0, 0x0001) }, {} };
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver flood_driver = {
	.name = "farlane_flood_test",
	.id_table = ids,
	.probe = flood_probe,
	.dev_groups = flood_groups,
};
module_pci_driver(flood_driver);

MODULE_DESCRIPTION("A driver that posts without end");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * How long readl and writel of a driver take on functions of farlane.ko, one after the other, the functions
 * by turns, so that all of them see the same machine.
 * Receives: addresses of functions, what to do to a register of BAR 0 and how often. Hands on: a line for each round
 * and function on the kernel log, in cycles of the time stamp counter. Owns: nothing after its load.
 */
#define pr_fmt(fmt) "farlane_timing_test: " fmt

#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#define MOST_DEVICES 4
#define MOST_COUNT 1000000
#define MOST_ROUNDS 1000
#define BATCH 64 /* accesses between two looks whether somebody else wants this CPU */

static char *devices[MOST_DEVICES];
static int device_count;
module_param_array(devices, charp, &device_count, 0444);
MODULE_PARM_DESC(devices, "addresses, such as 10000:01:00.0; by turns");

static unsigned int offset;
module_param(offset, uint, 0444);
MODULE_PARM_DESC(offset, "of the register in BAR 0; writes write 0");

static bool write;
module_param(write, bool, 0444);
MODULE_PARM_DESC(write, "writel instead of readl; each round ends with a readl, which waits for all of them");

static unsigned int count = 2000;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "accesses of one round");

static unsigned int rounds = 5;
module_param(rounds, uint, 0444);

struct place {
	const char *name;
	struct pci_dev *pdev;
	u8 __iomem *bar;
};

static struct place places[MOST_DEVICES];
static u64 *samples;

static int ascending(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void access(u8 __iomem *at)
{
	if (!at)
		return; /* nothing: what the clock costs */
	if (write)
		writel(0, at);
	else
		readl(at);
}

/* One reading of the clock for each sample: the end of one is the begin of the next. */
static void sample(u8 __iomem *at)
{
	unsigned int i = 0, end;

	while (i < count) {
		u64 before = rdtsc_ordered();

		for (end = min(count, i + BATCH); i < end; i++) {
			u64 after;

			access(at);
			after = rdtsc_ordered();
			samples[i] = after - before;
			before = after;
		}
		cond_resched();
	}
}

static void report(const char *name, unsigned int round)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < count; i++)
		sum += samples[i];
	sort(samples, count, sizeof(*samples), ascending, NULL);
	pr_info("round %u of %s: count %u sum %llu min %llu p50 %llu p90 %llu p99 %llu max %llu\n", round,
		name, count, sum, samples[0], samples[count / 2], samples[(u64)count * 90 / 100],
		samples[(u64)count * 99 / 100], samples[count - 1]);
}

static void run_round(unsigned int round)
{
	int i;

	sample(NULL);
	report("nothing", round);
	for (i = 0; i < device_count; i++) {
		sample(places[i].bar + offset);
		if (write)
			readl(places[i].bar + offset);
		report(places[i].name, round);
	}
}

static int open_place(struct place *place, const char *name)
{
	unsigned int domain, bus, slot, function;
	int err;

	if (sscanf(name, "%x:%x:%x.%u", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;
	place->name = name;
	place->pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	if (!place->pdev)
		return -ENODEV;
	err = pci_enable_device_mem(place->pdev);
	if (err)
		goto err_put;
	place->bar = pci_iomap(place->pdev, 0, 0);
	if (place->bar && offset <= pci_resource_len(place->pdev, 0) - sizeof(u32))
		return 0;
	err = place->bar ? -ERANGE : -ENOMEM;
	if (place->bar)
		pci_iounmap(place->pdev, place->bar);
	pci_disable_device(place->pdev);
err_put:
	pci_dev_put(place->pdev);
	place->pdev = NULL;
	return err;
}

static void close_places(void)
{
	int i;

	for (i = 0; i < device_count && places[i].pdev; i++) {
		pci_iounmap(places[i].pdev, places[i].bar);
		pci_disable_device(places[i].pdev);
		pci_dev_put(places[i].pdev);
	}
}

static int __init farlane_timing_test_init(void)
{
	unsigned int round;
	int i, err = 0;

	if (!device_count || !count || count > MOST_COUNT || !rounds || rounds > MOST_ROUNDS || offset % 4) {
		pr_err("needs devices, count 1 to %u, rounds 1 to %u, an offset of 4 bytes\n", MOST_COUNT, MOST_ROUNDS);
		return -EINVAL;
	}
	samples = kvmalloc_array(count, sizeof(*samples), GFP_KERNEL);
	if (!samples)
		return -ENOMEM;
	for (i = 0; i < device_count && !err; i++)
		err = open_place(&places[i], devices[i]);
	if (err)
		pr_err("%s: %d\n", devices[i - 1], err);
	else
		pr_info("tsc_khz %u\n", tsc_khz);
	for (round = 0; round < rounds && !err; round++)
		run_round(round);
	close_places();
	kvfree(samples);
	return err;
}

static void __exit farlane_timing_test_exit(void)
{
}

module_init(farlane_timing_test_init);
module_exit(farlane_timing_test_exit);

MODULE_DESCRIPTION("Times accesses to BARs of functions of farlane.ko");
MODULE_LICENSE("GPL");

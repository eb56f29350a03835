// SPDX-License-Identifier: GPL-2.0
/*
 * A driver for the function that farlane.ko with selftest=1 answers itself, as unmodified as
 * any: readl, writel, MSI-X, DMA, resets. It says on the kernel log what holds.
 * Receives: the selftest function. Hands on: "farlane_test: PASS <what>" or FAIL lines.
 * Owns: nothing after remove.
 */
#define pr_fmt(fmt) "farlane_test: " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "../compat/unaligned.h"

#define VECTORS 16
#define WAIT msecs_to_jiffies(20000)
#define REG_RAISE 0x08
#define REG_SOURCE 0x10
#define REG_TARGET 0x18
#define REG_BYTES 0x20
#define REG_VECTOR 0x24
#define REG_GO 0x28
#define REG_STATUS 0x2c
#define REG_ERROR 0x40
#define REG_VANISH 0x44
#define LANE_START 0x2000
#define LANE_BYTES 64
#define MEMORY_START 0x4000
#define MAGIC 0x54534c46

static unsigned int accesses = 5000;
module_param(accesses, uint, 0444);
MODULE_PARM_DESC(accesses, "how many each CPU does in the lane test");

static unsigned int cpus = 4;
module_param(cpus, uint, 0444);
MODULE_PARM_DESC(cpus, "how many threads do the lane test, at most 64");

struct vector {
	struct completion came;
	atomic_t count;
};

struct test {
	struct pci_dev *pdev;
	u8 __iomem *bar0, *bar2;
	struct vector vectors[VECTORS];
	unsigned int failed;
};

#define EXPECT(t, condition)                                                             \
	do {                                                                             \
		if (!(condition)) {                                                      \
			(t)->failed++;                                                   \
			pr_err("FAIL %s:%d %s\n", __func__, __LINE__, #condition);       \
		}                                                                        \
	} while (0)

static irqreturn_t on_vector(int irq, void *data)
{
	struct vector *v = data;

	atomic_inc(&v->count);
	complete(&v->came);
	return IRQ_HANDLED;
}

static void test_widths(struct test *t)
{
	u8 __iomem *m = t->bar0 + MEMORY_START;
	u8 out[200], in[200];
	int i;

	EXPECT(t, readl(t->bar0) == MAGIC);
	writeq(0x1122334455667788ULL, m);
	EXPECT(t, readb(m) == 0x88 && readb(m + 7) == 0x11);
	EXPECT(t, readw(m + 2) == 0x5566);
	EXPECT(t, readl(m + 4) == 0x11223344);
	writeb(0xaa, m + 1);
	writew(0xbbcc, m + 4);
	EXPECT(t, readq(m) == 0x1122bbcc5566aa88ULL);
	for (i = 0; i < sizeof(out); i++)
		out[i] = i * 7 + 1;
	memcpy_toio(m + 16, out, sizeof(out));
	memcpy_fromio(in, m + 16, sizeof(in));
	EXPECT(t, !memcmp(in, out, sizeof(in)));
	memset_io(m + 16, 0x5a, 100);
	memcpy_fromio(in, m + 16, sizeof(in));
	EXPECT(t, in[0] == 0x5a && in[99] == 0x5a && in[100] == out[100]);
	iowrite32_rep(m, out, 4);
	EXPECT(t, readl(m) == get_unaligned((u32 *)(out + 12)));
	writel(3, t->bar2 + 0xffffc);
	EXPECT(t, readl(t->bar2 + 0xffffc) == 3);
	if (!t->failed)
		pr_info("PASS widths\n");
}

static void test_vectors(struct test *t)
{
	unsigned int before = t->failed;
	int i;

	for (i = 0; i < VECTORS; i++) {
		reinit_completion(&t->vectors[i].came);
		writeq(BIT_ULL(i), t->bar0 + REG_RAISE);
		EXPECT(t, wait_for_completion_timeout(&t->vectors[i].came, WAIT));
	}
	for (i = 0; i < VECTORS; i++)
		EXPECT(t, atomic_read(&t->vectors[i].count) == 1);
	if (t->failed == before)
		pr_info("PASS vectors\n");
}

/* Disabled while it is raised: it has to come at the enable, once. */
static void test_masked(struct test *t)
{
	struct vector *v = &t->vectors[3];
	int irq = pci_irq_vector(t->pdev, 3), count = atomic_read(&v->count);
	unsigned int before = t->failed;

	reinit_completion(&v->came);
	disable_irq(irq);
	writeq(BIT_ULL(3), t->bar0 + REG_RAISE);
	writeq(BIT_ULL(4), t->bar0 + REG_RAISE);
	EXPECT(t, wait_for_completion_timeout(&t->vectors[4].came, WAIT));
	EXPECT(t, atomic_read(&v->count) == count);
	enable_irq(irq);
	EXPECT(t, wait_for_completion_timeout(&v->came, WAIT));
	EXPECT(t, atomic_read(&v->count) == count + 1);
	if (t->failed == before)
		pr_info("PASS masked vector\n");
}

static u32 copy(struct test *t, dma_addr_t source, dma_addr_t target, u32 bytes)
{
	struct vector *v = &t->vectors[7];

	reinit_completion(&v->came);
	writeq(source, t->bar0 + REG_SOURCE);
	writeq(target, t->bar0 + REG_TARGET);
	writel(bytes, t->bar0 + REG_BYTES);
	writel(7, t->bar0 + REG_VECTOR);
	writel(1, t->bar0 + REG_GO);
	EXPECT(t, wait_for_completion_timeout(&v->came, WAIT));
	return readl(t->bar0 + REG_STATUS);
}

static void test_dma(struct test *t)
{
	struct device *dev = &t->pdev->dev;
	unsigned int before = t->failed, i;
	dma_addr_t a, b;
	u8 *from = dma_alloc_coherent(dev, 3 * PAGE_SIZE, &a, GFP_KERNEL);
	u8 *to = kzalloc(3 * PAGE_SIZE, GFP_KERNEL);

	if (!from || !to) {
		EXPECT(t, from && to);
		goto out;
	}
	for (i = 0; i < 3 * PAGE_SIZE; i++)
		from[i] = i % 251;
	b = dma_map_single(dev, to + 100, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
	EXPECT(t, !dma_mapping_error(dev, b));
	EXPECT(t, copy(t, a + 5, b, 2 * PAGE_SIZE) == 2);
	dma_unmap_single(dev, b, 2 * PAGE_SIZE, DMA_FROM_DEVICE);
	EXPECT(t, !memcmp(from + 5, to + 100, 2 * PAGE_SIZE));
	EXPECT(t, to[99] == 0 && to[100 + 2 * PAGE_SIZE] == 0);
	/* Neither what was unmapped nor what never was. */
	EXPECT(t, copy(t, a, b, 64) == 3);
	EXPECT(t, copy(t, a, 0x12345000, 64) == 3);
	pci_clear_master(t->pdev);
	writeq(0, t->bar0 + REG_SOURCE);
	EXPECT(t, copy(t, a, a + 64, 64) == 3);
	pci_set_master(t->pdev);
	EXPECT(t, copy(t, a, a + 64, 64) == 2);
	if (t->failed == before)
		pr_info("PASS DMA\n");
out:
	kfree(to);
	if (from)
		dma_free_coherent(dev, 3 * PAGE_SIZE, from, a);
}

struct lane {
	struct test *t;
	unsigned int number;
	struct completion done;
};

static int run_lane(void *data)
{
	struct lane *lane = data;
	u8 __iomem *at = lane->t->bar0 + LANE_START + lane->number * LANE_BYTES;
	u64 i;

	writel(0, at + 16);
	for (i = 1; i <= accesses; i++) {
		switch (i % 4) {
		case 0:
			writeb(i, at);
			break;
		case 1:
			writew(i, at);
			break;
		case 2:
			writel(i, at);
			break;
		case 3:
			writeq(i, at);
			break;
		}
		if (i % 64 == 0 && readq(at) != i) {
			lane->t->failed++;
			break;
		}
	}
	complete(&lane->done);
	return 0;
}

static void test_lanes(struct test *t)
{
	struct lane *lanes = kcalloc(cpus, sizeof(*lanes), GFP_KERNEL);
	unsigned int before = t->failed, i;

	for (i = 0; lanes && i < cpus; i++) {
		struct task_struct *task;

		lanes[i] = (struct lane){ .t = t, .number = i };
		init_completion(&lanes[i].done);
		task = kthread_run(run_lane, &lanes[i], "farlane_test/%u", i);
		if (IS_ERR(task))
			complete(&lanes[i].done);
	}
	for (i = 0; lanes && i < cpus; i++) {
		u8 __iomem *at = t->bar0 + LANE_START + i * LANE_BYTES;

		wait_for_completion(&lanes[i].done);
		EXPECT(t, readq(at) == accesses);
		EXPECT(t, readq(at + 8) == 0);
	}
	EXPECT(t, lanes);
	kfree(lanes);
	if (t->failed == before)
		pr_info("PASS lanes: %u threads, %u accesses each\n", cpus, accesses);
}

/* The PCI core saves, resets and restores; afterwards the function works as before. */
static void test_reset(struct test *t, const char *what, int (*reset)(struct pci_dev *))
{
	unsigned int before = t->failed;

	writel(1, t->bar0 + MEMORY_START);
	EXPECT(t, reset(t->pdev) == 0);
	EXPECT(t, readl(t->bar0) == MAGIC);
	reinit_completion(&t->vectors[9].came);
	writeq(BIT_ULL(9), t->bar0 + REG_RAISE);
	EXPECT(t, wait_for_completion_timeout(&t->vectors[9].came, WAIT));
	if (t->failed == before)
		pr_info("PASS %s\n", what);
}

static int flr(struct pci_dev *pdev)
{
	int err;

	pci_save_state(pdev);
	err = pcie_reset_flr(pdev, false);
	pci_restore_state(pdev);
	return err;
}

static int bus_reset(struct pci_dev *pdev)
{
	int err;

	pci_save_state(pdev);
	err = pci_bridge_secondary_bus_reset(pci_upstream_bridge(pdev));
	pci_restore_state(pdev);
	return err;
}

static int request_vectors(struct test *t)
{
	int i, err = pci_alloc_irq_vectors(t->pdev, VECTORS, VECTORS, PCI_IRQ_MSIX);

	if (err < 0)
		return err;
	for (i = 0; i < VECTORS; i++) {
		init_completion(&t->vectors[i].came);
		err = request_irq(pci_irq_vector(t->pdev, i), on_vector, 0, "farlane_test",
				  &t->vectors[i]);
		if (err) {
			while (i--)
				free_irq(pci_irq_vector(t->pdev, i), &t->vectors[i]);
			pci_free_irq_vectors(t->pdev);
			return err;
		}
	}
	return 0;
}

static void run(struct test *t)
{
	test_widths(t);
	test_vectors(t);
	test_masked(t);
	test_dma(t);
	test_lanes(t);
	test_reset(t, "function level reset", flr);
	test_reset(t, "secondary bus reset", bus_reset);
	test_dma(t);
	if (t->failed)
		pr_err("FAIL: %u expectations\n", t->failed);
	else
		pr_info("PASS all\n");
}

static int test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct test *t = devm_kzalloc(&pdev->dev, sizeof(*t), GFP_KERNEL);
	int err;

	if (!t)
		return -ENOMEM;
	t->pdev = pdev;
	pci_set_drvdata(pdev, t);
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	err = pcim_iomap_regions(pdev, BIT(0) | BIT(2), "farlane_test");
	if (err)
		return err;
	t->bar0 = pcim_iomap_table(pdev)[0];
	t->bar2 = pcim_iomap_table(pdev)[2];
	pci_set_master(pdev);
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	err = request_vectors(t);
	if (err)
		return err;
	run(t);
	pci_save_state(pdev); /* for slot_reset */
	return 0;
}

/* Severity << 8 | source: the device reports this error. 0x10000: it vanishes instead. */
static ssize_t error_store(struct device *dev, struct device_attribute *attribute, const char *text,
			   size_t bytes)
{
	struct test *t = pci_get_drvdata(to_pci_dev(dev));
	unsigned int error;
	int err = kstrtouint(text, 0, &error);

	if (err)
		return err;
	writel(error, t->bar0 + (error & 0x10000 ? REG_VANISH : REG_ERROR));
	return bytes;
}
static DEVICE_ATTR_WO(error);

static struct attribute *test_attrs[] = { &dev_attr_error.attr, NULL };
ATTRIBUTE_GROUPS(test);

static void test_remove(struct pci_dev *pdev)
{
	struct test *t = pci_get_drvdata(pdev);
	int i;

	pr_info("remove: the device %s\n", readl(t->bar0) == MAGIC ? "answers" : "is gone");
	for (i = 0; i < VECTORS; i++)
		free_irq(pci_irq_vector(pdev, i), &t->vectors[i]);
	pci_free_irq_vectors(pdev);
}

static pci_ers_result_t error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	pr_info("error detected, state %d\n", (int)state);
	if (state == pci_channel_io_perm_failure)
		return PCI_ERS_RESULT_DISCONNECT;
	return state == pci_channel_io_frozen ? PCI_ERS_RESULT_NEED_RESET :
						PCI_ERS_RESULT_CAN_RECOVER;
}

static pci_ers_result_t slot_reset(struct pci_dev *pdev)
{
	struct test *t = pci_get_drvdata(pdev);

	pci_restore_state(pdev);
	pci_save_state(pdev);
	pr_info("slot was reset, the device %s\n", readl(t->bar0) == MAGIC ? "answers" : "is silent");
	return PCI_ERS_RESULT_RECOVERED;
}

static void resume(struct pci_dev *pdev)
{
	pr_info("resumed\n");
}

static const struct pci_error_handlers error_handlers = {
	.error_detected = error_detected,
	.slot_reset = slot_reset,
	.resume = resume,
};

static const struct pci_device_id ids[] = { { PCI_DEVICE(0xf1a0, 0x5e1f) }, {} };
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver test_driver = {
	.name = "farlane_test",
	.id_table = ids,
	.probe = test_probe,
	.remove = test_remove,
	.err_handler = &error_handlers,
	.dev_groups = test_groups,
};
module_pci_driver(test_driver);

MODULE_DESCRIPTION("Test of farlane.ko on its own selftest function");
MODULE_LICENSE("GPL");

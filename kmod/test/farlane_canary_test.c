// SPDX-License-Identifier: GPL-2.0
/*
 * A device that sends DMA anywhere, against a driver's mappings: buffers of odd sizes at odd places
 * between canaries, in all directions. The selftest function of farlane.ko, or firmware_sim's
 * dma_test at the other end of a network, writes to and reads from random addresses, most of them
 * near the mappings, while buffers are mapped and unmapped. What is not mapped keeps every byte,
 * and no byte of it is read.
 * Receives: such a function. Hands on: "farlane_canary_test: PASS" with its counts, or FAIL
 * lines; its load fails then. Owns: nothing afterwards.
 */
#define pr_fmt(fmt) "farlane_canary_test: " fmt

#include <linux/dma-mapping.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#define REG_SOURCE 0x10
#define REG_TARGET 0x18
#define REG_BYTES 0x20
#define REG_VECTOR 0x24
#define REG_GO 0x28
#define REG_STATUS 0x2c
#define STATUS_BUSY 1
#define STATUS_DONE 2
#define STATUS_REFUSED 3
#define NO_VECTOR 255
#define WAIT_US 20000000

#define BUFFERS 12
#define BUFFER_BYTES (4 * PAGE_SIZE) /* canaries and all */
#define CANARY 0xc5 /* never mapped */
#define INSIDE 0x77 /* mapped; dma-iommu may leave it in a bounce buffer */
#define LOOT 0x3a   /* what the device writes */

static unsigned int rounds = 4000;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "how many copies the device is told to do");

static unsigned int seed = 1;
module_param(seed, uint, 0444);

/*
 * dma-iommu maps whole pages. The rest of one is then that of a bounce buffer: the device may
 * be allowed to touch it, there is nothing in it.
 */
static bool exact;
module_param(exact, bool, 0444);
MODULE_PARM_DESC(exact, "the rest of a mapping's pages has to be refused (docs/decisions/0013)");

/* A device that is not in this kernel learns of its reads' fate, but not of its writes'. */
static bool posted;
module_param(posted, bool, 0444);
MODULE_PARM_DESC(posted, "a write that was refused may look as if it was done");

enum verdict { NEVER, PERHAPS, ALWAYS };

/* A place in a buffer of canaries. While it is mapped: [start, start + bytes) is the device's. */
struct buffer {
	u8 *memory;
	u32 start, bytes;
	dma_addr_t iova;
	enum dma_data_direction direction;
	bool mapped;
};

static struct buffer buffers[BUFFERS];
static struct pci_dev *pdev;
static u8 __iomem *bar;
static u8 *loot; /* coherent: a source, and a sink that is always allowed */
static dma_addr_t loot_iova;
static struct rnd_state rnd;
static unsigned int failed, done, refused, outside;

static u32 below(u32 limit)
{
	return prandom_u32_state(&rnd) % limit;
}

/* --- buffers ------------------------------------------------------------------------------ */

static void map_buffer(struct buffer *b)
{
	static const enum dma_data_direction directions[] = { DMA_FROM_DEVICE, DMA_TO_DEVICE,
							      DMA_BIDIRECTIONAL };

	b->bytes = 1 + below(below(2) ? 300 : 2 * PAGE_SIZE);
	b->start = 256 + below(BUFFER_BYTES - b->bytes - 512);
	if (!below(4)) { /* whole pages: nothing is bounced */
		b->start = PAGE_SIZE;
		b->bytes = PAGE_SIZE * (1 + below(2));
	}
	b->direction = directions[below(ARRAY_SIZE(directions))];
	memset(b->memory, CANARY, BUFFER_BYTES);
	memset(b->memory + b->start, INSIDE, b->bytes);
	b->iova = dma_map_single(&pdev->dev, b->memory + b->start, b->bytes, b->direction);
	b->mapped = !dma_mapping_error(&pdev->dev, b->iova);
	if (!b->mapped) {
		failed++;
		pr_err("FAIL a buffer of %u bytes can not be mapped\n", b->bytes);
	}
}

static void count_outside(const char *what, unsigned int bytes, const struct buffer *b)
{
	if (!bytes)
		return;
	outside += bytes;
	failed++;
	pr_err("FAIL %u bytes %s outside of a mapping of %u bytes, direction %d\n", bytes, what,
	       b->bytes, b->direction);
}

/* Inside is as before, or what the device wrote, or zero: bounce buffers begin so. */
static void check_buffer(struct buffer *b)
{
	unsigned int changed = 0, wrong = 0;
	u32 i;

	for (i = 0; i < BUFFER_BYTES; i++) {
		u8 byte = b->memory[i];

		if (i < b->start || i >= b->start + b->bytes)
			changed += byte != CANARY;
		else if (byte != INSIDE)
			wrong += b->direction == DMA_TO_DEVICE || (byte != LOOT && byte);
	}
	count_outside("changed", changed + wrong, b);
}

static void unmap_buffer(struct buffer *b)
{
	if (!b->mapped)
		return;
	dma_unmap_single(&pdev->dev, b->iova, b->bytes, b->direction);
	b->mapped = false;
	check_buffer(b);
}

/* --- the device -------------------------------------------------------------------------- */

static bool is_for(const struct buffer *b, bool to_memory)
{
	return b->mapped && b->direction != (to_memory ? DMA_TO_DEVICE : DMA_FROM_DEVICE);
}

static bool is_byte_mapped(u64 iova, bool to_memory)
{
	u64 whole = exact ? 0 : PAGE_SIZE - 1;
	int i;

	if (iova - loot_iova < PAGE_SIZE)
		return true;
	for (i = 0; i < BUFFERS; i++) {
		const struct buffer *b = &buffers[i];
		u64 first = b->iova & ~whole, end = (b->iova + b->bytes + whole) & ~whole;

		if (is_for(b, to_memory) && iova - first < end - first)
			return true;
	}
	return false;
}

/* May the device do this there? Only in a mapping that is there, in its direction, all of it. */
static enum verdict may(u64 iova, u32 bytes, bool to_memory)
{
	u32 i;

	for (i = 0; i < BUFFERS; i++) {
		const struct buffer *b = &buffers[i];

		if (is_for(b, to_memory) && iova - b->iova < b->bytes &&
		    bytes <= b->iova + b->bytes - iova)
			return ALWAYS;
	}
	/* neighbours may be one range for the device */
	for (i = 0; i < bytes; i++) {
		if (!is_byte_mapped(iova + i, to_memory))
			return NEVER;
	}
	return PERHAPS;
}

/* A canary that was read. */
static void check_loot(u32 bytes, const struct buffer *near)
{
	unsigned int read = 0;
	u32 i;

	for (i = 0; i < bytes; i++)
		read += loot[i] == CANARY;
	count_outside("read", read, near);
}

static u64 somewhere(const struct buffer *b, u32 bytes)
{
	switch (below(8)) {
	case 0: /* the physical address of a canary: without a soft-IOMMU it would be hit */
		return virt_to_phys(b->memory) + below(BUFFER_BYTES);
	case 1:
		return (unsigned long)b->memory + below(BUFFER_BYTES);
	case 2:
		return (u64)prandom_u32_state(&rnd) << 32 | prandom_u32_state(&rnd);
	case 3: /* just before it, across its start */
		return b->iova - below(bytes + 1);
	case 4: /* across its end */
		return b->iova + b->bytes - below(bytes + 1);
	case 5: /* the same page */
		return (b->iova & PAGE_MASK) + below(PAGE_SIZE);
	default:
		return b->iova + below(b->bytes);
	}
}

static u32 copy(u64 source, u64 target, u32 bytes)
{
	u32 status = 0;

	writeq(source, bar + REG_SOURCE);
	writeq(target, bar + REG_TARGET);
	writel(bytes, bar + REG_BYTES);
	writel(NO_VECTOR, bar + REG_VECTOR);
	writel(1, bar + REG_GO);
	if (readl_poll_timeout(bar + REG_STATUS, status, status != STATUS_BUSY, 0, WAIT_US)) {
		failed++;
		pr_err("FAIL the device does not end\n");
	}
	return status;
}

static bool fits(u32 status, enum verdict verdict, bool steals)
{
	if (verdict == PERHAPS || (posted && !steals && status == STATUS_DONE))
		return true;
	return status == (verdict == ALWAYS ? STATUS_DONE : STATUS_REFUSED);
}

static void one_round(void)
{
	u32 bytes = 1 + below(below(4) ? 64 : PAGE_SIZE), status;
	bool steals = !below(3);
	const struct buffer *near = &buffers[below(BUFFERS)];
	u64 victim = somewhere(near, bytes);
	enum verdict verdict = may(victim, bytes, !steals);

	status = steals ? copy(victim, loot_iova, bytes) : copy(loot_iova, victim, bytes);
	if (steals) {
		check_loot(bytes, near);
		memset(loot, LOOT, PAGE_SIZE);
	}
	if (status == STATUS_DONE)
		done++;
	else
		refused++;
	if (fits(status, verdict, steals))
		return;
	failed++;
	pr_err("FAIL %s of %u bytes at 0x%llx: status %u, and it is %s\n",
	       steals ? "a read" : "a write", bytes, victim, status,
	       verdict == ALWAYS ? "mapped" : "not mapped");
}

static void run(void)
{
	unsigned int i;

	for (i = 0; i < BUFFERS; i++)
		map_buffer(&buffers[i]);
	for (i = 0; i < rounds && failed < 10; i++) {
		struct buffer *b = &buffers[below(BUFFERS)];

		if (!below(8)) {
			unmap_buffer(b);
			if (below(2))
				map_buffer(b);
		} else if (!b->mapped) {
			check_buffer(b);
		}
		one_round();
		cond_resched();
	}
	for (i = 0; i < BUFFERS; i++)
		unmap_buffer(&buffers[i]);
	if (!done || !refused)
		failed++; /* then nothing was tried */
	pr_info("%s: %u copies done, %u refused, %u bytes outside\n",
		failed ? "FAIL" : "PASS", done, refused, outside);
}

static int prepare(void)
{
	int i, err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));

	if (err)
		return err;
	loot = dma_alloc_coherent(&pdev->dev, PAGE_SIZE, &loot_iova, GFP_KERNEL);
	if (!loot)
		return -ENOMEM;
	memset(loot, LOOT, PAGE_SIZE);
	for (i = 0; i < BUFFERS; i++) {
		buffers[i].memory = kmalloc(BUFFER_BYTES, GFP_KERNEL);
		if (!buffers[i].memory)
			return -ENOMEM;
		memset(buffers[i].memory, CANARY, BUFFER_BYTES);
	}
	return 0;
}

static void clean_up(void)
{
	int i;

	for (i = 0; i < BUFFERS; i++)
		kfree(buffers[i].memory);
	if (loot)
		dma_free_coherent(&pdev->dev, PAGE_SIZE, loot, loot_iova);
}

static int canary_probe(struct pci_dev *found, const struct pci_device_id *id)
{
	int err = pcim_enable_device(found);

	pdev = found;
	if (!err)
		err = pcim_iomap_regions(pdev, BIT(0), "farlane_canary_test");
	if (err)
		return err;
	bar = pcim_iomap_table(pdev)[0];
	pci_set_master(pdev);
	prandom_seed_state(&rnd, seed);
	err = prepare();
	if (!err)
		run();
	clean_up();
	return err ? err : failed ? -EIO : 0;
}

static const struct pci_device_id ids[] = { { PCI_DEVICE(0xf1a0, 0x5e1f) }, {} };
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver canary_driver = {
	.name = "farlane_canary_test",
	.id_table = ids,
	.probe = canary_probe,
};
module_pci_driver(canary_driver);

MODULE_DESCRIPTION("Memory that a device may not touch, while it tries");
MODULE_LICENSE("GPL");

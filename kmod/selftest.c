// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: transactions, like a remote device. Hands on: answers, interrupts and DMA, all
 * made here: bus, trap, interrupts and DMA can be tried without a daemon and a network.
 * Owns: one function, "selftest", plugged when the module parameter asks for it.
 *
 * BAR 0 has the registers below, BAR 2 is memory. A lane checks what a CPU writes to it:
 * 1, 2, 3, ... cut to the width of each write; what is lost, doubled or out of order
 * is an error. docs/kernel.md, "Selftest".
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/bitops.h>
#include <linux/pci_regs.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "regs.h"
#include "farlane.h"

#define BAR0_BYTES SZ_32K
#define BAR2_BYTES SZ_1M
#define VECTORS 16
#define LANES 64
#define LANE_BYTES 64
#define DMA_MOST_BYTES SZ_1M

enum {
	REG_MAGIC = 0x00,
	REG_VERSION = 0x04,
	REG_RAISE = 0x08,  /* u64: vectors to raise */
	REG_SOURCE = 0x10, /* u64: IOVA */
	REG_TARGET = 0x18, /* u64: IOVA */
	REG_BYTES = 0x20,  /* u32 */
	REG_VECTOR = 0x24, /* u32: raised at the end; VECTORS and up: none */
	REG_GO = 0x28,	   /* u32: any write starts the copy */
	REG_STATUS = 0x2c, /* u32: enum copy_status */
	REG_READS = 0x30,  /* u64: read requests seen so far */
	REG_WRITES = 0x38, /* u64: write requests seen so far */
	REG_ERROR = 0x40,  /* u32: severity << 8 | source, reported to the root port */
	REG_VANISH = 0x44, /* u32: any write unplugs the device, by surprise and at once */
	MSIX_TABLE = 0x1000,
	MSIX_PBA = 0x1800,
	LANE_START = 0x2000, /* +0: write the next value, read the count; +8: errors; +16: clear */
	LANE_END = LANE_START + LANES * LANE_BYTES,
	MEMORY_START = 0x4000,
};

enum copy_status {
	COPY_IDLE,
	COPY_BUSY,
	COPY_DONE,
	COPY_REFUSED, /* a part of it is not mapped, or bus mastering is off */
};

#define MAGIC 0x54534c46 /* "FLST" */

struct lane {
	u64 count, errors;
};

static struct {
	struct fl_function *function;
	raw_spinlock_t lock;   /* registers; memory is memory */
	struct fl_regs config; /* as the device has it, apart from the shadow */
	u8 bar0[BAR0_BYTES];
	u8 *bar2;
	struct lane lanes[LANES];
	u64 reads, writes;
	u32 pending;
	struct work_struct copy;
} *device;

/* --- interrupts: the table is the device's, as with any other --------------------------- */

static u32 entry_word(unsigned int vector, unsigned int at)
{
	return get_unaligned_le32(device->bar0 + MSIX_TABLE + vector * PCI_MSIX_ENTRY_SIZE + at);
}

/* What is masked stays pending; returns the messages to send, by their data. */
static u64 take_messages(void)
{
	u64 messages = 0;
	unsigned int i;

	lockdep_assert_held(&device->lock);
	for (i = 0; i < VECTORS; i++) {
		if (!(device->pending & BIT(i)) ||
		    (entry_word(i, PCI_MSIX_ENTRY_VECTOR_CTRL) & PCI_MSIX_ENTRY_CTRL_MASKBIT))
			continue;
		device->pending &= ~BIT(i);
		messages |= BIT_ULL(entry_word(i, PCI_MSIX_ENTRY_DATA) & 63);
	}
	put_unaligned_le64(device->pending, device->bar0 + MSIX_PBA);
	return messages;
}

static void raise(struct fl_function *f, u64 vectors)
{
	unsigned long flags;
	u64 messages;

	raw_spin_lock_irqsave(&device->lock, flags);
	device->pending |= vectors & GENMASK(VECTORS - 1, 0);
	messages = take_messages();
	raw_spin_unlock_irqrestore(&device->lock, flags);
	if (messages)
		fl_msi_raise(f, 0, messages);
}

/* --- DMA ---------------------------------------------------------------------------------- */

static bool copy_all(struct fl_function *f, u64 source, u64 target, u32 bytes, void *page)
{
	u32 at, n;

	for (at = 0; at < bytes; at += n) {
		n = min_t(u32, bytes - at, FL_DMA_MAX_OP_BYTES);
		if (fl_dma_copy(f, source + at, page, n, false) != FL_STATUS_SC ||
		    fl_dma_copy(f, target + at, page, n, true) != FL_STATUS_SC)
			return false;
	}
	return bytes && bytes <= DMA_MOST_BYTES;
}

static void copy_work(struct work_struct *work)
{
	void *page = (void *)__get_free_page(GFP_KERNEL);
	struct fl_function *f = device->function;
	u64 source, target;
	u32 bytes, vector;
	bool done;

	raw_spin_lock_irq(&device->lock);
	source = get_unaligned_le64(device->bar0 + REG_SOURCE);
	target = get_unaligned_le64(device->bar0 + REG_TARGET);
	bytes = get_unaligned_le32(device->bar0 + REG_BYTES);
	vector = get_unaligned_le32(device->bar0 + REG_VECTOR);
	raw_spin_unlock_irq(&device->lock);
	done = page && bytes <= DMA_MOST_BYTES && copy_all(f, source, target, bytes, page);
	raw_spin_lock_irq(&device->lock);
	put_unaligned_le32(done ? COPY_DONE : COPY_REFUSED, device->bar0 + REG_STATUS);
	raw_spin_unlock_irq(&device->lock);
	free_page((unsigned long)page);
	if (vector < VECTORS)
		raise(f, BIT_ULL(vector));
}

/* --- BARs ----------------------------------------------------------------------------------- */

static void write_lane(u32 offset, const u8 *from, u32 bytes)
{
	struct lane *lane = &device->lanes[(offset - LANE_START) / LANE_BYTES];
	u64 value = 0;

	if ((offset - LANE_START) % LANE_BYTES == 16) {
		*lane = (struct lane){};
		return;
	}
	memcpy(&value, from, min_t(u32, bytes, sizeof(value)));
	lane->count++;
	if (bytes > 8 || (offset - LANE_START) % LANE_BYTES ||
	    value != (bytes == 8 ? lane->count : lane->count & (BIT_ULL(8 * bytes) - 1)))
		lane->errors++;
}

static void read_lane(u32 offset, u8 *into, u32 bytes)
{
	u64 registers[LANE_BYTES / 8] = {};
	u32 at = (offset - LANE_START) % LANE_BYTES;

	registers[0] = device->lanes[(offset - LANE_START) / LANE_BYTES].count;
	registers[1] = device->lanes[(offset - LANE_START) / LANE_BYTES].errors;
	memcpy(into, (u8 *)registers + at, min_t(u32, bytes, LANE_BYTES - at));
}

/* Returns the vectors to raise. */
static u64 write_register(struct fl_function *f, u32 offset, const u8 *from, u32 bytes)
{
	u64 value = 0;

	memcpy(&value, from, min_t(u32, bytes, sizeof(value)));
	if (offset >= LANE_START && offset < LANE_END) {
		write_lane(offset, from, bytes);
	} else if (offset >= MSIX_TABLE && offset + bytes <= MSIX_TABLE + VECTORS * 16) {
		memcpy(device->bar0 + offset, from, bytes);
	} else if (offset == REG_RAISE) {
		return value;
	} else if (offset == REG_ERROR) {
		fl_port_error(f, value >> 8 & 0xff, value & 0xff);
	} else if (offset == REG_VANISH) {
		fl_function_contain(f, "vanished");
	} else if (offset == REG_GO) {
		put_unaligned_le32(COPY_BUSY, device->bar0 + REG_STATUS);
		queue_work(system_unbound_wq, &device->copy);
	} else if (offset >= REG_SOURCE && offset + bytes <= REG_GO) {
		memcpy(device->bar0 + offset, from, bytes);
	}
	return 0;
}

static bool in_bar(u32 bar, u64 offset, u32 bytes)
{
	u64 size = bar == 0 ? BAR0_BYTES : bar == 2 ? BAR2_BYTES : 0;

	return bytes <= size && offset <= size - bytes;
}

static u8 *memory_at(u32 bar, u64 offset)
{
	if (bar == 2)
		return device->bar2 + offset;
	return offset >= MEMORY_START ? device->bar0 + offset : NULL;
}

static int selftest_posted(struct fl_function *f, const struct fl_tlp *tlp, const void *payload)
{
	u32 bytes = le16_to_cpu(tlp->length_bytes);
	u64 offset = le64_to_cpu(tlp->address), vectors = 0, messages = 0;
	unsigned long flags;
	u8 *memory;

	if (tlp->type != FL_TLP_MWR || !in_bar(tlp->bar, offset, bytes))
		return -EINVAL;
	atomic64_inc(&f->counters.posted);
	memory = memory_at(tlp->bar, offset);
	raw_spin_lock_irqsave(&device->lock, flags);
	device->writes++;
	if (memory)
		memcpy(memory, payload, bytes);
	else
		vectors = write_register(f, offset, payload, bytes);
	device->pending |= vectors & GENMASK(VECTORS - 1, 0);
	if (device->pending)
		messages = take_messages();
	raw_spin_unlock_irqrestore(&device->lock, flags);
	if (messages)
		fl_msi_raise(f, 0, messages);
	return 0;
}

static void read_bar(u32 bar, u64 offset, u8 *into, u32 bytes)
{
	u8 *memory = memory_at(bar, offset);

	lockdep_assert_held(&device->lock);
	device->reads++;
	put_unaligned_le64(device->reads, device->bar0 + REG_READS);
	put_unaligned_le64(device->writes, device->bar0 + REG_WRITES);
	if (memory)
		memcpy(into, memory, bytes);
	else if (offset >= LANE_START && offset < LANE_END)
		read_lane(offset, into, bytes);
	else
		memcpy(into, device->bar0 + offset, bytes);
}

/* PCIe 6.0, 2.2.7: 4 or 8 bytes; the old value is the answer. */
static enum fl_status do_atomic(const struct fl_tlp *tlp, u8 *memory, const u8 *operand, u8 *into)
{
	u32 bytes = le16_to_cpu(tlp->length_bytes);
	u64 old = 0, first = 0, second = 0;

	if (tlp->type == FL_TLP_CAS)
		bytes /= 2; /* compare, then swap */
	if (!memory || (bytes != 4 && bytes != 8))
		return FL_STATUS_UR;
	memcpy(&old, memory, bytes);
	memcpy(&first, operand, bytes);
	if (tlp->type == FL_TLP_CAS)
		memcpy(&second, operand + bytes, bytes);
	memcpy(into, &old, bytes);
	if (tlp->type == FL_TLP_FETCHADD)
		old += first;
	else if (tlp->type == FL_TLP_SWAP)
		old = first;
	else if (old == first)
		old = second;
	memcpy(memory, &old, bytes);
	return FL_STATUS_SC;
}

static void write_config(u32 where, const u8 *from, u32 bytes)
{
	u32 value = 0;

	memcpy(&value, from, bytes);
	fl_regs_write(&device->config, where, bytes, value);
}

static enum fl_status selftest_request(struct fl_function *f, const struct fl_tlp *tlp,
				       const void *operand, void *into)
{
	u32 bytes = le16_to_cpu(tlp->length_bytes);
	u64 offset = le64_to_cpu(tlp->address);
	enum fl_status status = FL_STATUS_SC;
	unsigned long flags;
	bool config = tlp->type == FL_TLP_CFGRD || tlp->type == FL_TLP_CFGWR;

	if (config ? bytes > 4 || offset > FL_CONFIG_BYTES - bytes :
		     !in_bar(tlp->bar, offset, bytes))
		return FL_STATUS_UR;
	atomic64_inc(&f->counters.requests);
	raw_spin_lock_irqsave(&device->lock, flags);
	if (tlp->type == FL_TLP_MRD)
		read_bar(tlp->bar, offset, into, bytes);
	else if (tlp->type == FL_TLP_CFGRD)
		memcpy(into, device->config.value + offset, bytes);
	else if (tlp->type == FL_TLP_CFGWR)
		write_config(offset, operand, bytes);
	else
		status = do_atomic(tlp, memory_at(tlp->bar, offset), operand, into);
	raw_spin_unlock_irqrestore(&device->lock, flags);
	return status;
}

static int selftest_nowait(struct fl_function *f, const struct fl_tlp *tlp, const void *operand)
{
	u8 answer[16];

	selftest_request(f, tlp, operand, answer);
	return 0;
}

static int selftest_async(struct fl_function *f, const struct fl_tlp *tlp, const void *operand,
			  fl_done_fn done, void *arg)
{
	u8 answer[16] = {};
	enum fl_status status = selftest_request(f, tlp, operand, answer);

	done(f, arg, status, answer, le16_to_cpu(tlp->length_bytes));
	return 0;
}

static const struct fl_function_ops selftest_ops = {
	.posted = selftest_posted,
	.request = selftest_request,
	.request_nowait = selftest_nowait,
	.request_async = selftest_async,
};

/* --- life ------------------------------------------------------------------------------------- */

enum { AT_PM = 0x40, AT_EXP = 0x48, AT_MSIX = 0x90, AT_VENDOR = 0xa0 };

static void make_config(struct fl_regs *r)
{
	fl_regs_set16(r, PCI_VENDOR_ID, FL_VENDOR_ID, 0, 0);
	fl_regs_set16(r, PCI_DEVICE_ID, FL_DEVICE_ID_SELFTEST, 0, 0);
	fl_regs_set16(r, PCI_COMMAND, 0, 0x0546, 0);
	fl_regs_set16(r, PCI_STATUS, PCI_STATUS_CAP_LIST, 0, 0);
	fl_regs_set32(r, PCI_CLASS_REVISION, PCI_CLASS_OTHERS << 24 | 1, 0, 0);
	fl_regs_set16(r, PCI_SUBSYSTEM_VENDOR_ID, FL_VENDOR_ID, 0, 0);
	fl_regs_set16(r, PCI_SUBSYSTEM_ID, FL_DEVICE_ID_SELFTEST, 0, 0);
	r->value[PCI_CAPABILITY_LIST] = AT_PM;
	fl_regs_set16(r, AT_PM, PCI_CAP_ID_PM | AT_EXP << 8, 0, 0);
	fl_regs_set16(r, AT_PM + PCI_PM_PMC, 3, 0, 0);
	fl_regs_set16(r, AT_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK, 0);
	fl_regs_set16(r, AT_EXP, PCI_CAP_ID_EXP | AT_MSIX << 8, 0, 0);
	fl_regs_set16(r, AT_EXP + PCI_EXP_FLAGS, 2, 0, 0);
	fl_regs_set32(r, AT_EXP + PCI_EXP_DEVCAP, 5 | PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR, 0, 0);
	fl_regs_set16(r, AT_EXP + PCI_EXP_DEVCTL, 0x2810, 0x7fff, 0);
	fl_regs_set32(r, AT_EXP + PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_16_0GB | 16 << 4, 0, 0);
	fl_regs_set16(r, AT_EXP + PCI_EXP_LNKSTA,
		      PCI_EXP_LNKSTA_CLS_16_0GB | 16 << PCI_EXP_LNKSTA_NLW_SHIFT, 0, 0);
	fl_regs_set32(r, AT_EXP + PCI_EXP_DEVCAP2,
		      PCI_EXP_DEVCAP2_ATOMIC_COMP32 | PCI_EXP_DEVCAP2_ATOMIC_COMP64, 0, 0);
	fl_regs_set32(r, AT_EXP + PCI_EXP_LNKCAP2, 0x1e, 0, 0);
	fl_regs_set16(r, AT_EXP + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_16_0GT, 0, 0);
	fl_regs_set16(r, AT_MSIX, PCI_CAP_ID_MSIX | AT_VENDOR << 8, 0, 0);
	fl_regs_set16(r, AT_MSIX + PCI_MSIX_FLAGS, VECTORS - 1,
		      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 0);
	fl_regs_set32(r, AT_MSIX + PCI_MSIX_TABLE, MSIX_TABLE, 0, 0);
	fl_regs_set32(r, AT_MSIX + PCI_MSIX_PBA, MSIX_PBA, 0, 0);
	/* A register the device keeps: four bytes of its own behind the head. */
	fl_regs_set16(r, AT_VENDOR, PCI_CAP_ID_VNDR, 0, 0);
	fl_regs_set16(r, AT_VENDOR + 2, 8, 0, 0);
	fl_regs_set32(r, AT_VENDOR + 4, MAGIC, 0x00ffff00, 0);
	fl_regs_set32(r, PCI_CFG_SPACE_SIZE, PCI_EXT_CAP_ID_DSN | 1 << 16, 0, 0);
	fl_regs_set32(r, PCI_CFG_SPACE_SIZE + 4, MAGIC, 0, 0);
	fl_regs_set32(r, PCI_CFG_SPACE_SIZE + 8, 1, 0, 0);
}

static void free_device(void)
{
	fl_regs_free(&device->config);
	vfree(device->bar2);
	kvfree(device);
	device = NULL;
}

static int make_device(void)
{
	device = kvzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	raw_spin_lock_init(&device->lock);
	INIT_WORK(&device->copy, copy_work);
	device->bar2 = vzalloc(BAR2_BYTES);
	if (!device->bar2 || fl_regs_alloc(&device->config)) {
		free_device();
		return -ENOMEM;
	}
	make_config(&device->config);
	put_unaligned_le32(MAGIC, device->bar0 + REG_MAGIC);
	put_unaligned_le32(1, device->bar0 + REG_VERSION);
	return 0;
}

static struct fl_function *plug_device(void)
{
	struct fl_ioc_function_add *add = kzalloc(sizeof(*add), GFP_KERNEL);
	struct fl_function_spec spec = { .add = add, .ops = &selftest_ops };
	struct fl_function *f;
	int i;

	if (!add)
		return ERR_PTR(-ENOMEM);
	strscpy(add->name, "selftest", sizeof(add->name));
	strscpy(add->peer, "farlane.ko", sizeof(add->peer));
	add->config_bytes = FL_CONFIG_BYTES;
	add->bars[0].size_bytes = BAR0_BYTES;
	add->bars[2].size_bytes = BAR2_BYTES;
	add->bars[2].flags = FL_BAR_FLAG_64 | FL_BAR_FLAG_PREFETCH;
	for (i = 0; i < VECTORS; i++) /* PCIe 6.0, 7.7.2.6: masked after a reset */
		put_unaligned_le32(PCI_MSIX_ENTRY_CTRL_MASKBIT,
				   device->bar0 + MSIX_TABLE + i * 16 + PCI_MSIX_ENTRY_VECTOR_CTRL);
	spec.config = device->config.value;
	f = fl_function_add(&spec);
	kfree(add);
	return f;
}

int fl_selftest_init(void)
{
	struct fl_function *f;
	int err;

	if (!fl_param_selftest)
		return 0;
	err = make_device();
	if (err)
		return err;
	f = plug_device();
	if (IS_ERR(f)) {
		free_device();
		return PTR_ERR(f);
	}
	device->function = f;
	return 0;
}

void fl_selftest_exit(void)
{
	/* Nothing of a function is left after this but its reference here. */
	fl_device_drain();
	if (!device)
		return;
	cancel_work_sync(&device->copy);
	fl_function_put(device->function);
	fl_device_drain();
	free_device();
}

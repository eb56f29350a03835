// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: configuration accesses of this host, under pci_lock with interrupts off.
 * Hands on: values of the shadow at once; writes that the device has to hear of.
 * Owns: the shadow of a function and the course of its resets.
 *
 * Nothing here waits for the device: the PCI core holds a lock of the whole machine. A
 * register that the device changes by itself ("live") therefore reads as the shadow has
 * it, and each such read asks the device behind it: who polls sees the change one
 * round trip later. A write is in the shadow at once and corrected by what the device
 * made of it.
 */
#include <linux/jiffies.h>
#include <linux/pci_regs.h>

#include "config.h"

#define RESET_RETRY_MS 20
/* As long as the PCI core waits for a function that asks for retries. */
#define RESET_LIMIT_MS 60000

static void reset_step(struct fl_config_map *map);
static void refresh(struct fl_config_map *map, int dword);

/* --- requests ----------------------------------------------------------------- */

static void make_tlp(struct fl_tlp *tlp, u8 type, int where, int size)
{
	memset(tlp, 0, sizeof(*tlp));
	tlp->family = FL_FAMILY_TLP;
	tlp->type = type;
	tlp->bar = FL_BAR_NONE;
	tlp->length_bytes = cpu_to_le16(size);
	tlp->address = cpu_to_le64(where);
	tlp->record_bytes = cpu_to_le16(sizeof(*tlp) + (type == FL_TLP_CFGWR ? 8 : 0));
}

static void forward(struct fl_function *f, int where, int size, u32 value)
{
	__le32 payload = cpu_to_le32(value);
	struct fl_tlp tlp;

	make_tlp(&tlp, FL_TLP_CFGWR, where, size);
	/* Both sides would disagree about the function from here on: better none. */
	if (f->ops->request_nowait(f, &tlp, &payload) && !fl_function_is_gone(f))
		fl_function_contain(f, "config-write-lost");
}

/* --- live registers --------------------------------------------------------------- */

/* Bytes of the device go into the shadow where it is the device's, and only there. */
static void adopt(struct fl_config_map *map, int dword, u32 value)
{
	int at;

	lockdep_assert_held(&map->f->config_lock);
	for (at = dword * 4; at < dword * 4 + 4; at++, value >>= 8) {
		if (test_bit(at, map->live))
			map->regs.value[at] = value;
	}
}

/*
 * VPD: the flag says that the data register holds what was asked for (PCI 3.0, 6.4), so the two
 * change together or a driver reads old data behind a new flag.
 */
static bool holds_vpd_back(struct fl_config_map *map, int dword, u32 value)
{
	u16 now = fl_regs_get16(&map->regs, map->at.vpd + PCI_VPD_ADDR);

	if (dword * 4 != map->at.vpd || !(((value >> 16) ^ now) & PCI_VPD_ADDR_F))
		return false;
	map->vpd_address = value;
	return true;
}

static void refreshed(struct fl_function *f, void *arg, enum fl_status status, const void *data,
		      unsigned int bytes)
{
	struct fl_config_map *map = f->config_map;
	int dword = (long)arg, next = -1;
	unsigned long flags;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	clear_bit(dword, map->asked);
	/* An answer from before the last write would take that write back. */
	if (status == FL_STATUS_SC && bytes == 4 && !test_bit(dword, map->changed)) {
		u32 value = get_unaligned_le32(data);

		if (map->at.vpd && holds_vpd_back(map, dword, value)) {
			next = map->at.vpd / 4 + 1;
		} else {
			adopt(map, dword, value);
			if (map->at.vpd && dword == map->at.vpd / 4 + 1 && map->vpd_address) {
				adopt(map, map->at.vpd / 4, map->vpd_address);
				map->vpd_address = 0;
			}
		}
	} else if (test_bit(dword, map->changed)) {
		next = dword;
	}
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	if (next >= 0 && !fl_function_is_gone(f))
		refresh(map, next);
}

static void refresh(struct fl_config_map *map, int dword)
{
	struct fl_function *f = map->f;
	struct fl_tlp tlp;

	if (READ_ONCE(f->resetting) || test_and_set_bit(dword, map->asked))
		return; /* one at a time: polling costs the link one request per round trip */
	clear_bit(dword, map->changed);
	make_tlp(&tlp, FL_TLP_CFGRD, dword * 4, 4);
	if (f->ops->request_async(f, &tlp, NULL, refreshed, (void *)(long)dword))
		clear_bit(dword, map->asked);
}

static bool is_live(const struct fl_config_map *map, int where)
{
	int first = where & ~3;

	return find_next_bit(map->live, first + 4, first) < first + 4;
}

/* --- decoding ------------------------------------------------------------------------ */

static bool in_d0(const struct fl_config_map *map)
{
	return !map->at.pm ||
	       !(fl_regs_get16(&map->regs, map->at.pm + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK);
}

static struct fl_bar_range decode_bar(struct fl_config_map *map, int i, bool memory)
{
	int at = i == FL_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * i;
	struct fl_bar_range bar = map->f->bars[i];
	u64 address = fl_regs_get32(&map->regs, at);
	bool sizing;

	bar.enabled = false;
	bar.base = 0;
	if (!bar.size || !memory || (i == FL_BAR_ROM && !(address & PCI_ROM_ADDRESS_ENABLE)))
		return bar;
	address &= ~(bar.size - 1) & 0xfffffff0;
	sizing = address == (u32)(~(bar.size - 1) & 0xfffffff0);
	if (bar.flags & FL_BAR_FLAG_64)
		address |= (u64)fl_regs_get32(&map->regs, at + 4) << 32;
	if (address && (!sizing || address >> 32))
		bar.enabled = fl_window_from_bus(address, bar.size, &bar.base);
	return bar;
}

/* From the registers to what the rest of the module goes by. pci_lock, or not plugged yet. */
static void settle(struct fl_config_map *map)
{
	struct fl_function *f = map->f;
	struct fl_bar_range bars[FL_BAR_COUNT];
	unsigned long flags;
	bool changed;
	u16 command;
	int i;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	command = in_d0(map) ? fl_regs_get16(&map->regs, PCI_COMMAND) : 0;
	WRITE_ONCE(f->bus_master, command & PCI_COMMAND_MASTER);
	for (i = 0; i < FL_BAR_COUNT; i++)
		bars[i] = decode_bar(map, i, command & PCI_COMMAND_MEMORY);
	changed = false;
	for (i = 0; i < FL_BAR_COUNT; i++) {
		changed |= bars[i].base != f->bars[i].base ||
			   bars[i].enabled != f->bars[i].enabled;
		f->bars[i] = bars[i];
	}
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	if (!(command & PCI_COMMAND_MASTER))
		fl_dma_quiesce(f); /* who cleared it counts on it */
	if (changed)
		fl_bar_update(f);
}

/* --- reset ------------------------------------------------------------------------------ */

static void reset_later(struct fl_config_map *map)
{
	if (fl_function_is_gone(map->f))
		return;
	if (time_after(jiffies, map->reset_deadline)) {
		fl_function_contain(map->f, "reset-failed");
		return;
	}
	schedule_delayed_work(&map->reset_work, msecs_to_jiffies(RESET_RETRY_MS));
}

static void reset_answered(struct fl_function *f, void *arg, enum fl_status status,
			   const void *data, unsigned int bytes)
{
	struct fl_config_map *map = f->config_map;

	if (fl_function_is_gone(f))
		return;
	if (status == FL_STATUS_UR || status == FL_STATUS_CA) {
		fl_function_contain(f, "reset-refused");
	} else if (status != FL_STATUS_SC) {
		reset_later(map); /* the path is cut, or the device is not ready: once more */
	} else if (!map->reset_written) {
		map->reset_written = true;
		reset_step(map);
	} else {
		WRITE_ONCE(f->resetting, false);
		fl_slot_reset_done(f);
	}
}

/* The strongest reset the function has; PCIe 6.0, 6.6.2 and 5.3.1.4.1. */
static void reset_request(struct fl_config_map *map, struct fl_tlp *tlp, __le32 *payload)
{
	const struct fl_regs *r = &map->regs;
	u16 exp = map->at.exp, af = map->at.af, pm = map->at.pm;

	if (exp && (fl_regs_get32(r, exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR)) {
		u16 control = get_unaligned_le16(map->power_on + exp + PCI_EXP_DEVCTL);

		make_tlp(tlp, FL_TLP_CFGWR, exp + PCI_EXP_DEVCTL, 2);
		*payload = cpu_to_le32(control | PCI_EXP_DEVCTL_BCR_FLR);
	} else if (af && (r->value[af + PCI_AF_CAP] & PCI_AF_CAP_FLR)) {
		make_tlp(tlp, FL_TLP_CFGWR, af + PCI_AF_CTRL, 1);
		*payload = cpu_to_le32(PCI_AF_CTRL_FLR);
	} else if (pm && !(fl_regs_get16(r, pm + PCI_PM_CTRL) & PCI_PM_CTRL_NO_SOFT_RESET)) {
		forward(map->f, pm + PCI_PM_CTRL, 2, (__force u32)PCI_D3hot);
		make_tlp(tlp, FL_TLP_CFGWR, pm + PCI_PM_CTRL, 2);
		*payload = 0;
	} else {
		/* It has none. At least it neither decodes nor masters until told to. */
		make_tlp(tlp, FL_TLP_CFGWR, PCI_COMMAND, 2);
		*payload = 0;
	}
}

static void reset_step(struct fl_config_map *map)
{
	struct fl_function *f = map->f;
	__le32 payload = 0;
	struct fl_tlp tlp;

	if (map->reset_written)
		make_tlp(&tlp, FL_TLP_CFGRD, PCI_VENDOR_ID, 4);
	else
		reset_request(map, &tlp, &payload);
	if (f->ops->request_async(f, &tlp, &payload, reset_answered, NULL))
		reset_later(map);
}

static void reset_work(struct work_struct *work)
{
	struct fl_config_map *map = container_of(to_delayed_work(work), struct fl_config_map,
						 reset_work);

	if (!fl_function_is_gone(map->f))
		reset_step(map);
}

void fl_config_reset(struct fl_function *f)
{
	struct fl_config_map *map = f->config_map;
	unsigned long flags;
	bool running;

	raw_spin_lock_irqsave(&f->config_lock, flags);
	running = f->resetting;
	WRITE_ONCE(f->resetting, true);
	memcpy(map->regs.value, map->power_on, FL_CONFIG_BYTES);
	map->vpd_address = 0;
	fl_msix_reset(f);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	settle(map);
	if (running)
		return; /* two resets in a row are one */
	map->reset_written = false;
	map->reset_deadline = jiffies + msecs_to_jiffies(RESET_LIMIT_MS);
	if (f->rings)
		fl_ring_fail_all(f, FL_STATUS_DEVICE_RESET); /* before ours goes out */
	reset_step(map);
}

/* --- accesses ----------------------------------------------------------------------------- */

static u32 size_mask(int size)
{
	return size == 4 ? U32_MAX : (1U << (8 * size)) - 1;
}

u32 fl_config_read(struct fl_function *f, int where, int size, bool retry_visible)
{
	struct fl_config_map *map = f->config_map;
	unsigned long flags;
	u32 value;

	if (where + size > f->config_bytes)
		return size_mask(size);
	if (READ_ONCE(f->resetting)) {
		/* PCIe 6.0, 2.3.2: "Configuration RRS Software Visibility" */
		value = where == PCI_VENDOR_ID && retry_visible ? 0xffff0001 : U32_MAX;
		return value & size_mask(size);
	}
	raw_spin_lock_irqsave(&f->config_lock, flags);
	value = fl_regs_read(&map->regs, where, size);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	if (is_live(map, where))
		refresh(map, where / 4);
	return value;
}

/* Bits that read 0 and start a reset, and the way back from D3 of a function that forgets in D3. */
static bool starts_reset(const struct fl_config_map *map, int where, int size, u32 value,
			 bool was_d0)
{
	u64 written = (u64)value << (8 * (where % 4));
	u16 exp = map->at.exp, af = map->at.af, pm = map->at.pm;

	if (exp && fl_touches(where, size, exp + PCI_EXP_DEVCTL + 1, 1) &&
	    (fl_regs_get32(&map->regs, exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR) &&
	    (written & PCI_EXP_DEVCTL_BCR_FLR))
		return true;
	if (af && fl_touches(where, size, af + PCI_AF_CTRL, 1) &&
	    (map->regs.value[af + PCI_AF_CAP] & PCI_AF_CAP_FLR) && (written & PCI_AF_CTRL_FLR))
		return true;
	return pm && !was_d0 && in_d0(map) &&
	       !(fl_regs_get16(&map->regs, pm + PCI_PM_CTRL) & PCI_PM_CTRL_NO_SOFT_RESET);
}

void fl_config_write(struct fl_function *f, int where, int size, u32 value)
{
	struct fl_config_map *map = f->config_map;
	bool was_d0, reset;
	unsigned long flags;

	/* A function in reset does not hear; PCIe 6.0, 6.6.2 */
	if (where + size > f->config_bytes || READ_ONCE(f->resetting))
		return;
	raw_spin_lock_irqsave(&f->config_lock, flags);
	was_d0 = in_d0(map);
	fl_regs_write(&map->regs, where, size, value);
	set_bit(where / 4, map->changed);
	reset = starts_reset(map, where, size, value, was_d0);
	raw_spin_unlock_irqrestore(&f->config_lock, flags);

	if (test_bit(where / 4, map->forward))
		forward(f, where, size, value);
	if (reset)
		fl_config_reset(f);
	else
		settle(map);
	if (!reset && is_live(map, where))
		refresh(map, where / 4);
}

bool fl_config_error(struct fl_function *f, u32 severity, u32 source)
{
	static const u16 detected[] = { PCI_EXP_DEVSTA_CED, PCI_EXP_DEVSTA_NFED,
					PCI_EXP_DEVSTA_FED };
	struct fl_config_map *map = f->config_map;
	struct fl_regs *r = &map->regs;
	u16 exp = map->at.exp, aer = map->at.aer;
	unsigned long flags;
	bool report = false, masked;
	int status, mask;
	u32 severities;

	if (!exp || !aer)
		return false;
	status = aer + (severity ? PCI_ERR_UNCOR_STATUS : PCI_ERR_COR_STATUS);
	mask = aer + (severity ? PCI_ERR_UNCOR_MASK : PCI_ERR_COR_MASK);
	raw_spin_lock_irqsave(&f->config_lock, flags);
	fl_regs_put16(r, exp + PCI_EXP_DEVSTA,
		      fl_regs_get16(r, exp + PCI_EXP_DEVSTA) | detected[severity]);
	masked = fl_regs_get32(r, mask) & BIT(source);
	if (severity && !masked && !fl_regs_get32(r, status)) {
		fl_regs_put32(r, aer + PCI_ERR_CAP,
			      (fl_regs_get32(r, aer + PCI_ERR_CAP) & ~0x1fU) | source);
	}
	fl_regs_put32(r, status, fl_regs_get32(r, status) | BIT(source));
	if (severity) {
		/* What the core shall believe: the device's word, in the register it looks at. */
		severities = fl_regs_get32(r, aer + PCI_ERR_UNCOR_SEVER) & ~BIT(source);
		fl_regs_put32(r, aer + PCI_ERR_UNCOR_SEVER,
			      severities | (severity == 2 ? BIT(source) : 0));
	}
	/* Device Control enables the three in the order of the severities. */
	report = !masked && (fl_regs_get16(r, exp + PCI_EXP_DEVCTL) & BIT(severity));
	raw_spin_unlock_irqrestore(&f->config_lock, flags);
	return report;
}

/* --- life ------------------------------------------------------------------------------------ */

bool fl_config_msix(const struct fl_function *f, unsigned int *bar, u32 *offset, u32 *vectors)
{
	const struct fl_config_map *map = f->config_map;
	u32 table;
	u16 flags;

	if (!map->at.msix)
		return false;
	table = fl_regs_get32(&map->regs, map->at.msix + PCI_MSIX_TABLE);
	flags = fl_regs_get16(&map->regs, map->at.msix + PCI_MSIX_FLAGS);
	*bar = table & PCI_MSIX_TABLE_BIR;
	*offset = table & PCI_MSIX_TABLE_OFFSET;
	*vectors = (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
	return true;
}

unsigned int fl_config_vectors(const struct fl_function *f)
{
	const struct fl_config_map *map = f->config_map;
	unsigned int msix = 0, msi = 0;
	u16 flags;

	if (map->at.msix) {
		flags = fl_regs_get16(&map->regs, map->at.msix + PCI_MSIX_FLAGS);
		msix = (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
	}
	if (map->at.msi) {
		flags = fl_regs_get16(&map->regs, map->at.msi + PCI_MSI_FLAGS);
		msi = 1U << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
	}
	return max(msix, msi);
}

int fl_config_init(struct fl_function *f, const u8 *image, u32 bytes)
{
	struct fl_config_map *map = kzalloc(sizeof(*map), GFP_KERNEL);
	int err = -ENOMEM;

	if (!map)
		return err;
	map->f = f;
	f->config_map = map;
	raw_spin_lock_init(&f->config_lock);
	INIT_DELAYED_WORK(&map->reset_work, reset_work);
	err = fl_regs_alloc(&map->regs);
	if (err)
		goto err_free;
	f->config = map->regs.value;
	err = fl_config_check(map, image, bytes);
	if (err)
		goto err_free;
	err = -ENOMEM;
	map->power_on = kmemdup(map->regs.value, FL_CONFIG_BYTES, GFP_KERNEL);
	if (map->power_on)
		return 0;
err_free:
	fl_config_free(f);
	return err;
}

/* The function is gone and its requests have ended: no step of a reset starts any more. */
void fl_config_free(struct fl_function *f)
{
	struct fl_config_map *map = f->config_map;

	if (!map)
		return;
	cancel_delayed_work_sync(&map->reset_work);
	fl_regs_free(&map->regs);
	kfree(map->power_on);
	kfree(map);
	f->config_map = NULL;
	f->config = NULL;
}

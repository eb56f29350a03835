// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the configuration space of a device as it says, which may be a lie.
 * Hands on: a shadow that a driver may believe: sizes checked, lists without loops,
 * what can not work at a distance left out; and for every bit who keeps it.
 * Owns: nothing.
 *
 * Three kinds of registers:
 *  - local: BARs (the address means nothing to the device, which sees (BAR, offset)),
 *    link and payload sizes (of our link, there is none), errors (they come as
 *    messages), interrupt line, cache line;
 *  - local and forwarded: command, power state, MSI, MSI-X: both sides act on them;
 *  - live: vendor-specific registers. The device keeps them, the shadow follows.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/log2.h>
#include <linux/pci_regs.h>

#include "config.h"

#define LARGEST_BAR32_BYTES SZ_256M
/* Larger ones go into the prefetchable window, which is the only large one. */
#define LARGEST_PLAIN_BAR_BYTES SZ_16M

#define refuse(f, fmt, ...)                                                                \
	({                                                                                 \
		pr_warn_ratelimited("function %s refused: its configuration space lies: " fmt "\n",    \
			(f)->name, ##__VA_ARGS__);                                         \
		-EINVAL;                                                                   \
	})

enum keep {
	HIDE = 0,  /* taken out of the list */
	FIXED,	   /* shown as it is, writes have no effect */
	LOCAL,	   /* a handler says which bits; nothing is forwarded */
	FORWARD,   /* a handler says which bits; writes are forwarded */
	LIVE,	   /* the device's own */
};

/* A check of one list. */
struct walk {
	struct fl_config_map *map;
	const u8 *image;
	u32 bytes; /* of the image */
	DECLARE_BITMAP(claimed, FL_CONFIG_DWORDS);
};

static u16 image16(const struct walk *w, int where)
{
	return get_unaligned_le16(w->image + where);
}

static u32 image32(const struct walk *w, int where)
{
	return get_unaligned_le32(w->image + where);
}

static int claim(struct walk *w, int at, int bytes, int end)
{
	int first = at / 4, count = DIV_ROUND_UP(bytes, 4);

	if (bytes <= 0 || at + bytes > end)
		return refuse(w->map->f, "the capability at 0x%x does not fit", at);
	if (find_next_bit(w->claimed, first + count, first) < first + count)
		return refuse(w->map->f, "the capability at 0x%x overlaps another or the list loops",
			      at);
	bitmap_set(w->claimed, first, count);
	return 0;
}

static void mark_live(struct fl_config_map *map, int at, int bytes)
{
	bitmap_set(map->live, at, bytes);
	memset(map->regs.writable + at, 0xff, bytes);
	bitmap_set(map->forward, at / 4, DIV_ROUND_UP(at % 4 + bytes, 4));
}

/* --- header ------------------------------------------------------------------ */

static int check_bar(struct fl_config_map *map, const struct walk *w, int i)
{
	struct fl_function *f = map->f;
	struct fl_bar_range *bar = &f->bars[i];
	int at = i == FL_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * i;
	u64 mask = ~(bar->size - 1);
	u32 type = 0;

	if (i != FL_BAR_ROM && (image16(w, at) & PCI_BASE_ADDRESS_SPACE_IO))
		bar->size = 0; /* there are no I/O ports at a distance */
	if (!bar->size)
		return 0;
	if (!is_power_of_2(bar->size) || bar->size < 16)
		return refuse(f, "BAR %d has %llu bytes, no power of two from 16 up", i, bar->size);
	if (i == FL_BAR_ROM) {
		if (bar->size < SZ_2K || bar->size > SZ_16M)
			return refuse(f, "an expansion ROM of %llu bytes", bar->size);
		fl_regs_set32(&map->regs, at, 0, (u32)mask | PCI_ROM_ADDRESS_ENABLE, 0);
		return 0;
	}
	if (!(bar->flags & FL_BAR_FLAG_64)) {
		if (bar->size > LARGEST_BAR32_BYTES)
			return refuse(f, "BAR %d has 32 bits and %llu bytes, at most %u fit", i,
				      bar->size, LARGEST_BAR32_BYTES);
	} else if (i == 5 || f->bars[i + 1].size) {
		return refuse(f, "BAR %d has 64 bits and no place for the upper half", i);
	} else if (bar->size > fl_window_size() / 2) {
		return refuse(f, "BAR %d has %llu bytes, the window of this host has %llu", i,
			      bar->size, (u64)fl_window_size());
	} else {
		type = PCI_BASE_ADDRESS_MEM_TYPE_64;
		if (bar->size > LARGEST_PLAIN_BAR_BYTES)
			bar->flags |= FL_BAR_FLAG_PREFETCH;
		fl_regs_set32(&map->regs, at + 4, 0, mask >> 32, 0);
	}
	if (bar->flags & FL_BAR_FLAG_PREFETCH)
		type |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	fl_regs_set32(&map->regs, at, type, (u32)mask & ~0xfU, 0);
	return 0;
}

static int check_header(struct fl_config_map *map, struct walk *w)
{
	struct fl_regs *r = &map->regs;
	u16 vendor = image16(w, PCI_VENDOR_ID);
	u8 type = w->image[PCI_HEADER_TYPE] & 0x7f;
	int i, err;

	if (vendor == 0 || vendor == 0xffff || vendor == 1)
		return refuse(map->f, "vendor id %04x", vendor);
	if (type != PCI_HEADER_TYPE_NORMAL)
		return refuse(map->f, "header type %u: only endpoints can be attached", type);
	memcpy(r->value, w->image, PCI_COMMAND);
	memcpy(r->value + PCI_CLASS_REVISION, w->image + PCI_CLASS_REVISION, 4);
	memcpy(r->value + PCI_SUBSYSTEM_VENDOR_ID, w->image + PCI_SUBSYSTEM_VENDOR_ID, 4);
	fl_regs_set16(r, PCI_COMMAND, 0,
		      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
			      PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE, 0);
	fl_regs_set16(r, PCI_STATUS, 0, 0, 0xf900);
	__set_bit(PCI_COMMAND / 4, map->forward);
	r->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	/* One function, no BIST, and no interrupt pin: INTx has no message on our wire. */
	r->writable[PCI_INTERRUPT_LINE] = 0xff;
	for (i = 0; i < FL_BAR_COUNT; i++) {
		err = check_bar(map, w, i);
		if (err)
			return err;
	}
	bitmap_set(w->claimed, 0, 0x40 / 4);
	return 0;
}

/* --- capabilities --------------------------------------------------------------- */

static int init_pm(struct fl_config_map *map, int at)
{
	fl_regs_set16(&map->regs, at + PCI_PM_CTRL,
		      fl_regs_get16(&map->regs, at + PCI_PM_CTRL) & PCI_PM_CTRL_NO_SOFT_RESET,
		      PCI_PM_CTRL_STATE_MASK, 0);
	/* No PME: nothing carries it. */
	fl_regs_put16(&map->regs, at + PCI_PM_PMC,
		      fl_regs_get16(&map->regs, at + PCI_PM_PMC) & ~PCI_PM_CAP_PME_MASK);
	map->at.pm = at;
	return 0;
}

static int init_msi(struct fl_config_map *map, int at)
{
	struct fl_regs *r = &map->regs;
	u16 flags = fl_regs_get16(r, at + PCI_MSI_FLAGS);
	bool wide = flags & PCI_MSI_FLAGS_64BIT;

	if ((flags & PCI_MSI_FLAGS_QMASK) >> 1 > 5)
		return refuse(map->f, "MSI with more than 32 vectors");
	fl_regs_set16(r, at + PCI_MSI_FLAGS,
		      flags & (PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT),
		      PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0);
	fl_regs_set32(r, at + PCI_MSI_ADDRESS_LO, 0, 0xfffffffc, 0);
	if (wide)
		fl_regs_set32(r, at + PCI_MSI_ADDRESS_HI, 0, 0xffffffff, 0);
	fl_regs_set32(r, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 0, 0xffff, 0);
	if (flags & PCI_MSI_FLAGS_MASKBIT) {
		fl_regs_set32(r, at + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 0, 0xffffffff, 0);
		fl_regs_set32(r, at + (wide ? PCI_MSI_PENDING_64 : PCI_MSI_PENDING_32), 0, 0, 0);
	}
	map->at.msi = at;
	return 0;
}

static int check_table(struct fl_config_map *map, u32 place, u64 bytes, const char *what)
{
	u32 bir = place & PCI_MSIX_TABLE_BIR, offset = place & PCI_MSIX_TABLE_OFFSET;

	if (bir > 5 || !map->f->bars[bir].size)
		return refuse(map->f, "MSI-X %s in BAR %u, which is not there", what, bir);
	if (bytes > map->f->bars[bir].size || offset > map->f->bars[bir].size - bytes)
		return refuse(map->f, "MSI-X %s outside of BAR %u", what, bir);
	return 0;
}

static int init_msix(struct fl_config_map *map, int at)
{
	struct fl_regs *r = &map->regs;
	u16 flags = fl_regs_get16(r, at + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE;
	u32 table = fl_regs_get32(r, at + PCI_MSIX_TABLE), pba = fl_regs_get32(r, at + PCI_MSIX_PBA);
	u64 vectors = flags + 1, table_bytes = vectors * PCI_MSIX_ENTRY_SIZE;
	u64 pba_bytes = DIV_ROUND_UP(vectors, 64) * 8;
	u32 table_at = table & PCI_MSIX_TABLE_OFFSET, pba_at = pba & PCI_MSIX_TABLE_OFFSET;
	int err;

	err = check_table(map, table, table_bytes, "table");
	if (!err)
		err = check_table(map, pba, pba_bytes, "pending bits");
	if (err)
		return err;
	if ((table & PCI_MSIX_TABLE_BIR) == (pba & PCI_MSIX_TABLE_BIR) &&
	    table_at < pba_at + pba_bytes && pba_at < table_at + table_bytes)
		return refuse(map->f, "MSI-X table and pending bits overlap");
	fl_regs_set16(r, at + PCI_MSIX_FLAGS, flags, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL,
		      0);
	map->at.msix = at;
	return 0;
}

static int init_exp(struct fl_config_map *map, int at)
{
	struct fl_regs *r = &map->regs;
	u16 flags = fl_regs_get16(r, at + PCI_EXP_FLAGS);
	int type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;

	if (type != PCI_EXP_TYPE_ENDPOINT && type != PCI_EXP_TYPE_LEG_END &&
	    type != PCI_EXP_TYPE_RC_END)
		return refuse(map->f, "PCI Express device type %d: only endpoints can be attached",
			      type);
	/* Here it is behind a root port, wherever it is there; one vector for its errors. */
	if (type == PCI_EXP_TYPE_RC_END)
		flags &= ~PCI_EXP_FLAGS_TYPE;
	fl_regs_put16(r, at + PCI_EXP_FLAGS, flags & ~(PCI_EXP_FLAGS_SLOT | PCI_EXP_FLAGS_IRQ));
	fl_regs_set16(r, at + PCI_EXP_DEVCTL,
		      fl_regs_get16(r, at + PCI_EXP_DEVCTL) & ~PCI_EXP_DEVCTL_BCR_FLR,
		      0x7fff & ~PCI_EXP_DEVCTL_AUX_PME, 0);
	fl_regs_set16(r, at + PCI_EXP_DEVSTA, 0, 0, 0xf);
	fl_regs_set16(r, at + PCI_EXP_LNKCTL, 0,
		      PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 0);
	if ((flags & PCI_EXP_FLAGS_VERS) >= 2) {
		fl_regs_set16(r, at + PCI_EXP_DEVCTL2, 0,
			      PCI_EXP_DEVCTL2_COMP_TIMEOUT | PCI_EXP_DEVCTL2_COMP_TMOUT_DIS, 0);
		fl_regs_set16(r, at + PCI_EXP_LNKCTL2, fl_regs_get16(r, at + PCI_EXP_LNKCTL2),
			      PCI_EXP_LNKCTL2_TLS, 0);
		/* LTR, OBFF and ten-bit tags are agreements with a link that is not there. */
		fl_regs_put32(r, at + PCI_EXP_DEVCAP2,
			      fl_regs_get32(r, at + PCI_EXP_DEVCAP2) &
				      (PCI_EXP_DEVCAP2_COMP_TMOUT_DIS | PCI_EXP_DEVCAP2_ATOMIC_COMP32 |
				       PCI_EXP_DEVCAP2_ATOMIC_COMP64));
	}
	map->at.exp = at;
	return 0;
}

static int init_af(struct fl_config_map *map, int at)
{
	fl_regs_set16(&map->regs, at + PCI_AF_CTRL, 0, 0, 0);
	map->at.af = at;
	return 0;
}

static int init_vpd(struct fl_config_map *map, int at)
{
	mark_live(map, at + PCI_VPD_ADDR, 6);
	map->at.vpd = at;
	return 0;
}

static int vendor_bytes(const struct walk *w, int at)
{
	return w->image[at + 2];
}

static int msi_bytes(const struct walk *w, int at)
{
	u16 flags = image16(w, at + PCI_MSI_FLAGS);
	int bytes = flags & PCI_MSI_FLAGS_64BIT ? 14 : 10;

	return flags & PCI_MSI_FLAGS_MASKBIT ? bytes + 10 : bytes;
}

static int exp_bytes(const struct walk *w, int at)
{
	return (image16(w, at + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_VERS) >= 2 ? 60 : 20;
}

struct capability {
	enum keep keep;
	int bytes;
	int (*size)(const struct walk *w, int at); /* where it depends */
	int (*init)(struct fl_config_map *map, int at);
};

/* What is not named is hidden: bridges, buses that are no longer built, Enhanced Allocation. */
static const struct capability capabilities[] = {
	[PCI_CAP_ID_PM] = { FORWARD, PCI_PM_SIZEOF, NULL, init_pm },
	[PCI_CAP_ID_VPD] = { LIVE, 8, NULL, init_vpd },
	[PCI_CAP_ID_MSI] = { FORWARD, 10, msi_bytes, init_msi },
	[PCI_CAP_ID_VNDR] = { LIVE, 3, vendor_bytes, NULL },
	[PCI_CAP_ID_DBG] = { FIXED, 4, NULL, NULL },
	[PCI_CAP_ID_EXP] = { LOCAL, 20, exp_bytes, init_exp },
	[PCI_CAP_ID_MSIX] = { FORWARD, PCI_CAP_MSIX_SIZEOF, NULL, init_msix },
	[PCI_CAP_ID_SATA] = { FIXED, 8, NULL, NULL },
	[PCI_CAP_ID_AF] = { LOCAL, PCI_CAP_AF_SIZEOF, NULL, init_af },
};

static int init_by_kind(struct fl_config_map *map, const struct capability *c, int at, int bytes,
			int head)
{
	if (c->keep == FORWARD)
		bitmap_set(map->forward, at / 4, DIV_ROUND_UP(bytes, 4));
	if (c->init)
		return c->init(map, at);
	if (c->keep == LIVE && bytes > head)
		mark_live(map, at + head, bytes - head);
	return 0;
}

static int check_capability(struct walk *w, int at, int *last)
{
	static const struct capability hidden = { HIDE, 4, NULL, NULL };
	struct fl_config_map *map = w->map;
	const struct capability *c = &hidden;
	u8 id = w->image[at];
	int bytes, err;

	if (id < ARRAY_SIZE(capabilities) && capabilities[id].keep)
		c = &capabilities[id];
	bytes = c->size ? max(c->size(w, at), c->bytes) : c->bytes;
	err = claim(w, at, bytes, PCI_CFG_SPACE_SIZE);
	if (err || !c->keep)
		return err;
	if ((id == PCI_CAP_ID_MSI && map->at.msi) || (id == PCI_CAP_ID_MSIX && map->at.msix) ||
	    (id == PCI_CAP_ID_EXP && map->at.exp) || (id == PCI_CAP_ID_PM && map->at.pm))
		return refuse(map->f, "two capabilities with id 0x%02x", id);
	memcpy(map->regs.value + at, w->image + at, bytes);
	map->regs.value[at + 1] = 0;
	map->regs.value[*last] = at;
	*last = at + 1;
	return init_by_kind(map, c, at, bytes, 3);
}

static int check_capabilities(struct walk *w)
{
	struct fl_regs *r = &w->map->regs;
	int at, last = PCI_CAPABILITY_LIST, err;

	if (!(image16(w, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	for (at = w->image[PCI_CAPABILITY_LIST]; at; at = w->image[at + 1]) {
		if (at < 0x40 || at % 4)
			return refuse(w->map->f, "a capability at 0x%02x", at);
		err = check_capability(w, at, &last);
		if (err)
			return err;
	}
	if (r->value[PCI_CAPABILITY_LIST])
		fl_regs_put16(r, PCI_STATUS, PCI_STATUS_CAP_LIST);
	return 0;
}

/* What no capability describes is the device's own business: registers of its maker. */
static void open_the_rest(struct walk *w)
{
	int at;

	for (at = 0x40; at < PCI_CFG_SPACE_SIZE; at += 4) {
		if (test_bit(at / 4, w->claimed))
			continue;
		memcpy(w->map->regs.value + at, w->image + at, 4);
		mark_live(w->map, at, 4);
	}
}

/* --- extended capabilities --------------------------------------------------------- */

#define AER_BYTES 0x2c
#define AER_VERSION 1

static int init_aer(struct fl_config_map *map, int at)
{
	const u32 uncorrectable = 0x07fff030, correctable = 0x0000f1c1;
	struct fl_regs *r = &map->regs;

	memset(r->value + at + 4, 0, AER_BYTES - 4);
	fl_regs_set32(r, at + PCI_ERR_UNCOR_STATUS, 0, 0, uncorrectable);
	fl_regs_set32(r, at + PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_INTN, uncorrectable, 0);
	fl_regs_set32(r, at + PCI_ERR_UNCOR_SEVER, 0x00462030, uncorrectable, 0);
	fl_regs_set32(r, at + PCI_ERR_COR_STATUS, 0, 0, correctable);
	fl_regs_set32(r, at + PCI_ERR_COR_MASK, 0xe000, correctable, 0);
	map->at.aer = at;
	return 0;
}

static int init_acs(struct fl_config_map *map, int at)
{
	fl_regs_set16(&map->regs, at + PCI_ACS_CTRL, 0,
		      fl_regs_get16(&map->regs, at + PCI_ACS_CAP) & 0x7f, 0);
	return 0;
}

static int vsec_bytes(const struct walk *w, int at)
{
	return PCI_VNDR_HEADER_LEN(image32(w, at + PCI_VNDR_HEADER));
}

/* Before PCIe 5.0 nobody knows this id: PCI_DVSEC_HEADER1 has the length where VSEC has it. */
#define EXT_CAP_DVSEC 0x23

/*
 * What is not named is hidden: SR-IOV, ARI, ATS, PRI and PASID need a bus or an IOMMU
 * that takes part; resizable BARs would change what was agreed at attach; LTR, PTM, DPC
 * and L1 substates are of links; a DOE mailbox can not be read without waiting.
 */
static const struct capability extended[] = {
	[PCI_EXT_CAP_ID_ERR] = { LOCAL, AER_BYTES, NULL, init_aer },
	[PCI_EXT_CAP_ID_VC] = { FIXED, 16, NULL, NULL },
	[PCI_EXT_CAP_ID_DSN] = { FIXED, PCI_EXT_CAP_DSN_SIZEOF, NULL, NULL },
	[PCI_EXT_CAP_ID_VNDR] = { LIVE, 8, vsec_bytes, NULL },
	[PCI_EXT_CAP_ID_ACS] = { LOCAL, 8, NULL, init_acs },
	[PCI_EXT_CAP_ID_SECPCI] = { FIXED, 16, NULL, NULL },
	[EXT_CAP_DVSEC] = { LIVE, 12, vsec_bytes, NULL },
	[PCI_EXT_CAP_ID_DLF] = { FIXED, 12, NULL, NULL },
	[PCI_EXT_CAP_ID_PL_16GT] = { FIXED, 24, NULL, NULL },
};

static void link_extended(struct fl_config_map *map, int at, u32 header, int *last)
{
	struct fl_regs *r = &map->regs;

	fl_regs_put32(r, at, header & 0xfffff);
	if (*last != at)
		fl_regs_put32(r, *last, fl_regs_get32(r, *last) | (u32)at << 20);
	*last = at;
}

static int check_extended_one(struct walk *w, int at, int *last)
{
	static const struct capability hidden = { HIDE, 4, NULL, NULL };
	struct fl_config_map *map = w->map;
	const struct capability *c = &hidden;
	u32 header = image32(w, at);
	u16 id = PCI_EXT_CAP_ID(header);
	int bytes, err;

	if (id < ARRAY_SIZE(extended) && extended[id].keep)
		c = &extended[id];
	err = claim(w, at, 4, w->bytes); /* before its length is read */
	if (err || !c->keep)
		return err;
	if (at + c->bytes > w->bytes)
		return refuse(map->f, "the capability at 0x%x does not fit", at);
	bytes = c->size ? c->size(w, at) : c->bytes;
	if (bytes < c->bytes)
		return refuse(map->f, "the capability at 0x%x has %d bytes", at, bytes);
	err = claim(w, at + 4, bytes - 4, w->bytes);
	if (err)
		return err;
	if (id == PCI_EXT_CAP_ID_ERR && map->at.aer)
		return refuse(map->f, "two capabilities with id 0x%04x", id);
	memcpy(map->regs.value + at + 4, w->image + at + 4, bytes - 4);
	link_extended(map, at, header, last);
	return init_by_kind(map, c, at, bytes, id == EXT_CAP_DVSEC ? 10 : 8);
}

/*
 * The errors of a remote device come as messages whatever its own configuration space
 * can say about them: a PCI Express function without the capability gets one.
 */
static int add_aer(struct walk *w, int *last)
{
	const int first = PCI_CFG_SPACE_SIZE / 4, count = AER_BYTES / 4;
	struct fl_config_map *map = w->map;
	unsigned long at;

	if (map->at.aer || !map->at.exp)
		return 0;
	/* The list starts at 0x100: what is there is either in it or free. */
	at = test_bit(first, w->claimed) && fl_regs_get32(&map->regs, PCI_CFG_SPACE_SIZE) ?
		     bitmap_find_next_zero_area(w->claimed, FL_CONFIG_DWORDS, first, count, 0) :
		     first;
	if (at + count > FL_CONFIG_DWORDS)
		return 0;
	link_extended(map, at * 4, PCI_EXT_CAP_ID_ERR | AER_VERSION << 16, last);
	return init_aer(map, at * 4);
}

static int check_extended(struct walk *w)
{
	int at, last = PCI_CFG_SPACE_SIZE, next, err;
	u32 header;

	for (at = PCI_CFG_SPACE_SIZE; w->map->at.exp && at && at < w->bytes; at = next) {
		header = image32(w, at);
		if (header == 0 || header == U32_MAX)
			break;
		next = PCI_EXT_CAP_NEXT(header);
		if (next && next < PCI_CFG_SPACE_SIZE)
			return refuse(w->map->f, "an extended capability at 0x%03x", next);
		err = check_extended_one(w, at, &last);
		if (err)
			return err;
	}
	return add_aer(w, &last);
}

int fl_config_check(struct fl_config_map *map, const u8 *image, u32 bytes)
{
	struct walk *w;
	int err;

	if (bytes != PCI_CFG_SPACE_SIZE && bytes != FL_CONFIG_BYTES)
		return refuse(map->f, "it has %u bytes", bytes);
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return -ENOMEM;
	w->map = map;
	w->image = image;
	w->bytes = bytes;
	err = check_header(map, w);
	if (!err)
		err = check_capabilities(w);
	if (!err) {
		open_the_rest(w);
		map->f->config_bytes = map->at.exp ? FL_CONFIG_BYTES : PCI_CFG_SPACE_SIZE;
		err = check_extended(w);
	}
	kfree(w);
	return err;
}

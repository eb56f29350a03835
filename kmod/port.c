// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: configuration accesses to an emulated root port; cards that come and go.
 * Hands on: what a hot-plug capable port of PCIe 6.0 would answer, and its
 * interrupts. The stock portdrv, pciehp and AER drivers do the rest.
 * Owns: the port's configuration space and its one MSI vector.
 */
#include <linux/pci_regs.h>

#include "port.h"

enum {
	PORT_PM = 0x40,
	PORT_EXP = 0x48,
	PORT_MSI = 0x90,
	PORT_SSVID = 0xa8,
	PORT_AER = 0x100,
	PORT_ACS = 0x148,
};

/* Physical slot numbers are a machine's own: these are far from those of a chassis. */
#define PORT_FIRST_SLOT_NUMBER 0x1000

/* There is no link. This is what a driver that looks expects of a fast one. */
#define LINK_WIDTH 16

#define ERRORS_PER_SECOND 16

#define PORT_SLOT_EVENTS (PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC)

static void init_header(struct fl_regs *r)
{
	fl_regs_set16(r, PCI_VENDOR_ID, FL_VENDOR_ID, 0, 0);
	fl_regs_set16(r, PCI_DEVICE_ID, FL_DEVICE_ID_PORT, 0, 0);
	fl_regs_set16(r, PCI_COMMAND, 0,
		      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
			      PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE, 0);
	fl_regs_set16(r, PCI_STATUS, PCI_STATUS_CAP_LIST, 0, 0xf900);
	fl_regs_set32(r, PCI_CLASS_REVISION, PCI_CLASS_BRIDGE_PCI_NORMAL << 8 | 1, 0, 0);
	r->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	r->value[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	fl_regs_set32(r, PCI_PRIMARY_BUS, 0, 0x00ffffff, 0);
	/* No I/O window: base and limit stay zero. Memory in steps of 1 MiB. */
	fl_regs_set16(r, PCI_SEC_STATUS, 0, 0, 0xf900);
	fl_regs_set32(r, PCI_MEMORY_BASE, 0xfff0, 0xfff0fff0, 0);
	fl_regs_set32(r, PCI_PREF_MEMORY_BASE, 0x1fff1, 0xfff0fff0, 0);
	fl_regs_set32(r, PCI_PREF_BASE_UPPER32, 0, 0xffffffff, 0);
	fl_regs_set32(r, PCI_PREF_LIMIT_UPPER32, 0, 0xffffffff, 0);
	r->value[PCI_CAPABILITY_LIST] = PORT_PM;
	r->writable[PCI_INTERRUPT_LINE] = 0xff;
	fl_regs_set16(r, PCI_BRIDGE_CONTROL, 0,
		      PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_BUS_RESET, 0);
}

static void init_capability(struct fl_regs *r, int at, u8 id, int next, u16 flags)
{
	r->value[at] = id;
	r->value[at + 1] = next;
	fl_regs_set16(r, at + 2, flags, 0, 0);
}

/* PCIe 6.0, 7.5.3: version 2, root port with a slot. */
static void init_express(struct fl_regs *r, unsigned int slot)
{
	const u16 link = PCI_EXP_LNKSTA_CLS_16_0GB | LINK_WIDTH << PCI_EXP_LNKSTA_NLW_SHIFT | PCI_EXP_LNKSTA_SLC;

	init_capability(r, PORT_EXP, PCI_CAP_ID_EXP, PORT_MSI,
			2 | PCI_EXP_TYPE_ROOT_PORT << 4 | PCI_EXP_FLAGS_SLOT);
	/* Max_Payload 4096: what one record carries. */
	fl_regs_set32(r, PORT_EXP + PCI_EXP_DEVCAP, 5 | PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_EXT_TAG,
		      0, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_DEVCTL, 0x2000, 0x7fff & ~PCI_EXP_DEVCTL_AUX_PME, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_DEVSTA, 0, 0, 0xf);
	fl_regs_set32(r, PORT_EXP + PCI_EXP_LNKCAP,
		      PCI_EXP_LNKCAP_SLS_16_0GB | LINK_WIDTH << 4 | PCI_EXP_LNKCAP_DLLLARC |
			      PCI_EXP_LNKCAP_SDERC | (slot + 1) << 24, 0, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_LNKCTL, 0,
		      PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_LD | PCI_EXP_LNKCTL_CCC |
			      PCI_EXP_LNKCTL_ES, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_LNKSTA, link, 0, 0);
	/*
	 * A power controller, so that "0 > power" takes the power away and the function
	 * comes back reset. No command completed events (NCCS): commands act at once.
	 */
	fl_regs_set32(r, PORT_EXP + PCI_EXP_SLTCAP,
		      PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC |
			      PCI_EXP_SLTCAP_NCCS | (PORT_FIRST_SLOT_NUMBER + slot) << 19, 0, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_PCC,
		      PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PCC |
			      PCI_EXP_SLTCTL_DLLSCE, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_SLTSTA, 0, 0, PORT_SLOT_EVENTS);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_RTCTL, 0,
		      PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE |
			      PCI_EXP_RTCTL_CRSSVE, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_RTCAP, PCI_EXP_RTCAP_CRSVIS, 0, 0);
	fl_regs_set32(r, PORT_EXP + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 0, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_DEVCTL2, 0, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS, 0);
	fl_regs_set32(r, PORT_EXP + PCI_EXP_LNKCAP2, 0x1e, 0, 0);
	fl_regs_set16(r, PORT_EXP + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_16_0GT,
		      PCI_EXP_LNKCTL2_TLS, 0);
}

static void init_capabilities(struct fl_regs *r, unsigned int slot)
{
	init_capability(r, PORT_PM, PCI_CAP_ID_PM, PORT_EXP, 3);
	fl_regs_set16(r, PORT_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK,
		      0);
	init_express(r, slot);
	init_capability(r, PORT_MSI, PCI_CAP_ID_MSI, PORT_SSVID,
			PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
	fl_regs_set16(r, PORT_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT,
		      PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, 0);
	fl_regs_set32(r, PORT_MSI + PCI_MSI_ADDRESS_LO, 0, 0xfffffffc, 0);
	fl_regs_set32(r, PORT_MSI + PCI_MSI_ADDRESS_HI, 0, 0xffffffff, 0);
	fl_regs_set16(r, PORT_MSI + PCI_MSI_DATA_64, 0, 0xffff, 0);
	fl_regs_set32(r, PORT_MSI + PCI_MSI_MASK_64, 0, 1, 0);
	init_capability(r, PORT_SSVID, PCI_CAP_ID_SSVID, 0, 0);
	fl_regs_set16(r, PORT_SSVID + PCI_SSVID_VENDOR_ID, FL_VENDOR_ID, 0, 0);
	fl_regs_set16(r, PORT_SSVID + PCI_SSVID_DEVICE_ID, FL_DEVICE_ID_PORT, 0, 0);
}

/* PCIe 6.0, 7.8.4 with the root registers, and 7.7.11. */
static void init_extended(struct fl_regs *r)
{
	const u32 uncorrectable = 0x005ff030, correctable = 0x0000f1c1;

	fl_regs_set32(r, PORT_AER, PCI_EXT_CAP_ID_ERR | 2 << 16 | PORT_ACS << 20, 0, 0);
	fl_regs_set32(r, PORT_AER + PCI_ERR_UNCOR_STATUS, 0, 0, uncorrectable);
	fl_regs_set32(r, PORT_AER + PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_INTN, uncorrectable, 0);
	fl_regs_set32(r, PORT_AER + PCI_ERR_UNCOR_SEVER, 0x00462030, uncorrectable, 0);
	fl_regs_set32(r, PORT_AER + PCI_ERR_COR_STATUS, 0, 0, correctable);
	fl_regs_set32(r, PORT_AER + PCI_ERR_COR_MASK, 0xe000, correctable, 0);
	fl_regs_set32(r, PORT_AER + PCI_ERR_ROOT_COMMAND, 0, 7, 0);
	fl_regs_set32(r, PORT_AER + PCI_ERR_ROOT_STATUS, 0, 0, 0x7f);
	/*
	 * Access control is what makes each slot an IOMMU group of its own; functions
	 * never reach each other here, so every bit holds.
	 */
	fl_regs_set32(r, PORT_ACS, PCI_EXT_CAP_ID_ACS | 1 << 16, 0, 0);
	fl_regs_set16(r, PORT_ACS + PCI_ACS_CAP,
		      PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF, 0, 0);
	fl_regs_set16(r, PORT_ACS + PCI_ACS_CTRL, 0,
		      PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF, 0);
}

int fl_port_init(struct fl_port *port, unsigned int slot)
{
	int err;

	port->slot = slot;
	raw_spin_lock_init(&port->lock);
	ratelimit_state_init(&port->errors, HZ, ERRORS_PER_SECOND);
	port->errors.flags = RATELIMIT_MSG_ON_RELEASE; /* it is counted, not told */
	err = fl_regs_alloc(&port->regs);
	if (err)
		return err;
	port->msi = fl_msi_create(NULL, 1);
	if (!port->msi) {
		fl_regs_free(&port->regs);
		return -ENOMEM;
	}
	init_header(&port->regs);
	init_capabilities(&port->regs, slot);
	init_extended(&port->regs);
	return 0;
}

void fl_port_free(struct fl_port *port)
{
	if (port->msi)
		fl_msi_destroy(port->msi);
	port->msi = NULL;
	fl_regs_free(&port->regs);
}

void fl_port_set_device(struct fl_port *port, struct pci_dev *pdev)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&port->lock, flags);
	WRITE_ONCE(port->pdev, pdev);
	raw_spin_unlock_irqrestore(&port->lock, flags);
}

struct pci_dev *fl_port_get_device(struct fl_port *port)
{
	struct pci_dev *pdev;
	unsigned long flags;

	raw_spin_lock_irqsave(&port->lock, flags);
	pdev = pci_dev_get(port->pdev);
	raw_spin_unlock_irqrestore(&port->lock, flags);
	return pdev;
}

static void interrupt(struct fl_port *port)
{
	lockdep_assert_held(&port->lock);
	if (fl_regs_get16(&port->regs, PORT_MSI + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE)
		fl_msi_fire(port->msi, 0);
}

/* PCIe 6.0, 6.7.3.4: an event that is enabled and has just been set, or just been enabled. */
static void slot_interrupt(struct fl_port *port)
{
	u16 control = fl_regs_get16(&port->regs, PORT_EXP + PCI_EXP_SLTCTL);
	u16 status = fl_regs_get16(&port->regs, PORT_EXP + PCI_EXP_SLTSTA);

	if (!(control & PCI_EXP_SLTCTL_HPIE))
		return;
	if (((control & PCI_EXP_SLTCTL_PDCE) && (status & PCI_EXP_SLTSTA_PDC)) ||
	    ((control & PCI_EXP_SLTCTL_DLLSCE) && (status & PCI_EXP_SLTSTA_DLLSC)))
		interrupt(port);
}

static bool link_up(const struct fl_port *port)
{
	return fl_regs_get16(&port->regs, PORT_EXP + PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_DLLLA;
}

/* Presence and link follow from card, power and reset; says which events that makes. */
static u16 settle(struct fl_port *port)
{
	struct fl_regs *r = &port->regs;
	u16 slot = fl_regs_get16(r, PORT_EXP + PCI_EXP_SLTSTA);
	u16 link = fl_regs_get16(r, PORT_EXP + PCI_EXP_LNKSTA);
	bool powered = !(fl_regs_get16(r, PORT_EXP + PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC);
	bool disabled = fl_regs_get16(r, PORT_EXP + PCI_EXP_LNKCTL) & PCI_EXP_LNKCTL_LD;
	bool active = port->present && port->ready && powered && !disabled;
	u16 events = 0;

	lockdep_assert_held(&port->lock);
	if (port->present != !!(slot & PCI_EXP_SLTSTA_PDS))
		events |= PCI_EXP_SLTSTA_PDC;
	if (active != !!(link & PCI_EXP_LNKSTA_DLLLA))
		events |= PCI_EXP_SLTSTA_DLLSC;
	slot &= ~PCI_EXP_SLTSTA_PDS;
	fl_regs_put16(r, PORT_EXP + PCI_EXP_SLTSTA,
		      slot | events | (port->present ? PCI_EXP_SLTSTA_PDS : 0));
	link &= ~PCI_EXP_LNKSTA_DLLLA;
	fl_regs_put16(r, PORT_EXP + PCI_EXP_LNKSTA, link | (active ? PCI_EXP_LNKSTA_DLLLA : 0));
	return events;
}

static void set_card(struct fl_port *port, bool in)
{
	lockdep_assert_held(&port->lock);
	port->present = in;
	port->ready = in;
	if (settle(port))
		slot_interrupt(port);
}

void fl_port_card_in(struct fl_port *port, const struct fl_function *f)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&port->lock, flags);
	if (!fl_function_is_gone(f))
		set_card(port, true);
	raw_spin_unlock_irqrestore(&port->lock, flags);
}

void fl_port_card_out(struct fl_port *port)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&port->lock, flags);
	set_card(port, false);
	raw_spin_unlock_irqrestore(&port->lock, flags);
}

bool fl_port_link_active(struct fl_port *port)
{
	unsigned long flags;
	bool up;

	raw_spin_lock_irqsave(&port->lock, flags);
	up = link_up(port);
	raw_spin_unlock_irqrestore(&port->lock, flags);
	return up;
}

/* PCIe 6.0, 2.3.2: software sees a configuration retry as vendor id 0001h, or never sees it. */
bool fl_port_retry_visible(struct fl_port *port)
{
	return READ_ONCE(port->regs.value[PORT_EXP + PCI_EXP_RTCTL]) & PCI_EXP_RTCTL_CRSSVE;
}

u32 fl_port_read(struct fl_port *port, int where, int size)
{
	unsigned long flags;
	u32 value;

	raw_spin_lock_irqsave(&port->lock, flags);
	value = fl_regs_read(&port->regs, where, size);
	raw_spin_unlock_irqrestore(&port->lock, flags);
	return value;
}

bool fl_port_write(struct fl_port *port, int where, int size, u32 value)
{
	struct fl_regs *r = &port->regs;
	bool was_off, off, was_reset, reset, must_reset;
	unsigned long flags;

	raw_spin_lock_irqsave(&port->lock, flags);
	was_off = fl_regs_get16(r, PORT_EXP + PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC;
	was_reset = fl_regs_get16(r, PCI_BRIDGE_CONTROL) & PCI_BRIDGE_CTL_BUS_RESET;
	fl_regs_write(r, where, size, value);
	off = fl_regs_get16(r, PORT_EXP + PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC;
	reset = fl_regs_get16(r, PCI_BRIDGE_CONTROL) & PCI_BRIDGE_CTL_BUS_RESET;
	must_reset = port->present && ((off && !was_off) || (reset && !was_reset));
	/*
	 * Without power the link waits for the end of the reset. In a secondary bus
	 * reset it stays: the function answers with retries for as long as it takes,
	 * and a short link down would be an unplug to pciehp.
	 */
	if (off && !was_off)
		port->ready = false;
	settle(port);
	if (fl_touches(where, size, PORT_EXP + PCI_EXP_SLTCTL, 2))
		slot_interrupt(port);
	raw_spin_unlock_irqrestore(&port->lock, flags);
	return must_reset;
}

void fl_port_message(struct fl_port *port, u32 severity, u16 requester)
{
	const u16 source = severity ? PCI_ERR_ROOT_ERR_SRC + 2 : PCI_ERR_ROOT_ERR_SRC;
	const u32 received = severity ? PCI_ERR_ROOT_UNCOR_RCV : PCI_ERR_ROOT_COR_RCV;
	const u32 again = severity ? PCI_ERR_ROOT_MULTI_UNCOR_RCV : PCI_ERR_ROOT_MULTI_COR_RCV;
	struct fl_regs *r = &port->regs;
	unsigned long flags;
	u32 status;

	raw_spin_lock_irqsave(&port->lock, flags);
	status = fl_regs_get32(r, PORT_AER + PCI_ERR_ROOT_STATUS);
	if (status & received) {
		status |= again;
	} else {
		status |= received;
		if (severity == 2)
			status |= PCI_ERR_ROOT_FIRST_FATAL;
		fl_regs_put16(r, PORT_AER + source, requester);
	}
	if (severity == 1)
		status |= PCI_ERR_ROOT_NONFATAL_RCV;
	if (severity == 2)
		status |= PCI_ERR_ROOT_FATAL_RCV;
	fl_regs_put32(r, PORT_AER + PCI_ERR_ROOT_STATUS, status);
	/* The enable bits stand in the same order: correctable, non-fatal, fatal. */
	if (fl_regs_get32(r, PORT_AER + PCI_ERR_ROOT_COMMAND) & BIT(severity))
		interrupt(port);
	raw_spin_unlock_irqrestore(&port->lock, flags);
}

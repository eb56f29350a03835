/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The emulated root port, between hostbridge.c and port.c.
 * Receives: nothing. Hands on: struct fl_port and its calls. Owns: nothing.
 */
#ifndef FARLANE_PORT_H
#define FARLANE_PORT_H

#include <linux/ratelimit.h>

#include "farlane.h"
#include "regs.h"

struct fl_port {
	unsigned int slot;
	raw_spinlock_t lock; /* everything below; inside pci_lock and f->config_lock */
	struct fl_regs regs;
	bool present;	   /* a function is in the slot */
	bool ready;	   /* and has been reset since it last lost power */
	struct fl_msi *msi;
	struct ratelimit_state errors; /* messages: the kernel logs each of them */
	struct pci_dev *pdev; /* while it is on the bus; no reference */
	struct fl_function *reserved; /* hostbridge.c, under its mutex */
	struct fl_function __rcu *function;
};

int fl_port_init(struct fl_port *port, unsigned int slot);
void fl_port_free(struct fl_port *port);
/* hostbridge.c: the PCI core has added it, or (NULL) removed it. */
void fl_port_set_device(struct fl_port *port, struct pci_dev *pdev);
/* With a reference; NULL: the port was removed through sysfs. Any context. */
struct pci_dev *fl_port_get_device(struct fl_port *port);
static inline bool fl_port_on_bus(const struct fl_port *port)
{
	return READ_ONCE(port->pdev);
}
u32 fl_port_read(struct fl_port *port, int where, int size);
/* True: the function behind has to be reset now, by the caller, without the lock. */
bool fl_port_write(struct fl_port *port, int where, int size, u32 value);
/*
 * Card in, and ready after its reset; or out. The port tells pciehp what changed. Any context.
 * What is `gone` by then does not come in: its card_out is on the way or was before.
 */
void fl_port_card_in(struct fl_port *port, const struct fl_function *f);
void fl_port_card_out(struct fl_port *port);
bool fl_port_link_active(struct fl_port *port);
bool fl_port_retry_visible(struct fl_port *port);
/* An error message from below, PCIe 6.0, 6.2.4.1. */
void fl_port_message(struct fl_port *port, u32 severity, u16 requester);

#endif /* FARLANE_PORT_H */

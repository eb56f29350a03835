/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between node.c and pin.c.
 * Receives: ranges of a process's memory. Hands on: IOVAs of a function. Owns: nothing.
 */
#ifndef FARLANE_PIN_H
#define FARLANE_PIN_H

#include <linux/iova.h>
#include <linux/list.h>
#include <linux/types.h>

struct fl_domain;

/* Memory of an application that its function reaches; the caller serializes. */
struct fl_pins {
	struct fl_domain *domain;
	struct list_head maps;
	unsigned int count; /* of maps */
	struct iova_domain iova;
};

void fl_pins_init(struct fl_pins *pins, struct fl_domain *domain);
void fl_pins_exit(struct fl_pins *pins); /* all of it is out of reach and unpinned */
int fl_pins_map(struct fl_pins *pins, u64 address, u64 bytes, u32 direction, u64 *iova);
int fl_pins_unmap(struct fl_pins *pins, u64 iova);

#endif /* FARLANE_PIN_H */

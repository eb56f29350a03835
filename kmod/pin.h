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
struct fl_pin;

/* Memory of an application that its function reaches; the caller serializes. */
struct fl_pins {
	struct fl_domain *domain;
	struct list_head maps;
	unsigned int count; /* of maps */
	struct iova_domain iova;
};

void fl_pins_init(struct fl_pins *pins, struct fl_domain *domain);
void fl_pins_exit(struct fl_pins *pins); /* all of it is out of reach and unpinned */
int fl_pins_unmap(struct fl_pins *pins, u64 iova);

/*
 * Memory of the calling process, not in anybody's reach yet. No lock of ours may be held: its pages
 * may be ones that the process itself has to provide (userfaultfd), when it likes.
 */
struct fl_pin *fl_pin_get(u64 address, u64 bytes, u32 direction);
void fl_pin_put(struct fl_pin *pin);
/* The pin becomes one of `pins`, or stays the caller's with an error. */
int fl_pins_add(struct fl_pins *pins, struct fl_pin *pin, u32 direction, u64 *iova);

#endif /* FARLANE_PIN_H */

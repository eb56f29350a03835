/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The configuration space of a function, between config.c (accesses, resets) and
 * config_check.c (what a device says about itself, checked and sorted).
 * Receives: nothing. Hands on: struct fl_config_map. Owns: nothing.
 */
#ifndef FARLANE_CONFIG_H
#define FARLANE_CONFIG_H

#include <linux/bitmap.h>
#include <linux/workqueue.h>

#include "farlane.h"
#include "regs.h"

#define FL_CONFIG_DWORDS (FL_CONFIG_BYTES / 4)

/* Where the registers are that mean something to us; 0: the function has none. */
struct fl_config_offsets {
	u16 pm, exp, msi, msix, af, vpd, aer;
};

struct fl_config_map {
	struct fl_function *f;
	struct fl_regs regs; /* under f->config_lock */
	u8 *power_on;	     /* values after a reset */
	/* A set bit per byte that the device may change: read again behind each access. */
	DECLARE_BITMAP(live, FL_CONFIG_BYTES);
	/* Dwords whose writes the device hears of. All others are local. */
	DECLARE_BITMAP(forward, FL_CONFIG_DWORDS);
	DECLARE_BITMAP(asked, FL_CONFIG_DWORDS);   /* a read of the device is under way */
	DECLARE_BITMAP(changed, FL_CONFIG_DWORDS); /* written since it was asked for */
	struct fl_config_offsets at;
	u32 vpd_address; /* waits for the data that belongs to it */

	struct delayed_work reset_work; /* the next step of a reset */
	bool reset_written;		/* the device has it; until it answers a read */
	unsigned long reset_deadline;	/* jiffies */
};

/* Fills the map from the device's image, or refuses with a line in the log. */
int fl_config_check(struct fl_config_map *map, const u8 *image, u32 bytes);

#endif /* FARLANE_CONFIG_H */

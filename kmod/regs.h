/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A configuration space as hardware keeps it: values, bits that software may write
 * and bits that a written 1 clears.
 * Receives: accesses of 1, 2 or 4 bytes. Hands on: values. Owns: nothing, the
 * arrays belong to who embeds this.
 */
#ifndef FARLANE_REGS_H
#define FARLANE_REGS_H

#include <linux/slab.h>

#include <farlane/ioctl.h>

#include "compat/unaligned.h"

struct fl_regs {
	u8 *value;
	u8 *writable;
	u8 *clear; /* write 1 to clear */
};

static inline int fl_regs_alloc(struct fl_regs *r)
{
	r->value = kcalloc(3, FL_CONFIG_BYTES, GFP_KERNEL);
	if (!r->value)
		return -ENOMEM;
	r->writable = r->value + FL_CONFIG_BYTES;
	r->clear = r->writable + FL_CONFIG_BYTES;
	return 0;
}

static inline void fl_regs_free(struct fl_regs *r)
{
	kfree(r->value);
	r->value = NULL;
}

static inline u16 fl_regs_get16(const struct fl_regs *r, int where)
{
	return get_unaligned_le16(r->value + where);
}

static inline u32 fl_regs_get32(const struct fl_regs *r, int where)
{
	return get_unaligned_le32(r->value + where);
}

static inline void fl_regs_put16(struct fl_regs *r, int where, u16 value)
{
	put_unaligned_le16(value, r->value + where);
}

static inline void fl_regs_put32(struct fl_regs *r, int where, u32 value)
{
	put_unaligned_le32(value, r->value + where);
}

static inline u32 fl_regs_read(const struct fl_regs *r, int where, int size)
{
	u32 value = 0;
	int i;

	for (i = 0; i < size; i++)
		value |= (u32)r->value[where + i] << (8 * i);
	return value;
}

static inline void fl_regs_write(struct fl_regs *r, int where, int size, u32 value)
{
	int i;

	for (i = where; i < where + size; i++, value >>= 8) {
		u8 written = value;

		r->value[i] = (r->value[i] & ~r->writable[i]) | (written & r->writable[i]);
		r->value[i] &= ~(written & r->clear[i]);
	}
}

/* A register as it is after power-on. */
static inline void fl_regs_set16(struct fl_regs *r, int where, u16 value, u16 writable, u16 clear)
{
	put_unaligned_le16(value, r->value + where);
	put_unaligned_le16(writable, r->writable + where);
	put_unaligned_le16(clear, r->clear + where);
}

static inline void fl_regs_set32(struct fl_regs *r, int where, u32 value, u32 writable, u32 clear)
{
	put_unaligned_le32(value, r->value + where);
	put_unaligned_le32(writable, r->writable + where);
	put_unaligned_le32(clear, r->clear + where);
}

static inline bool fl_touches(int where, int size, int reg, int bytes)
{
	return where < reg + bytes && reg < where + size;
}

#endif /* FARLANE_REGS_H */

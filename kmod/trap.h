/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What trap.c, hook.c, allow.c and bar.c share and nobody else needs.
 * Receives: nothing. Hands on: the form of a token. Owns: nothing.
 *
 * A token stands for an address in the window: bit 63 set, bits 62..47 clear, below
 * them the offset. It is not canonical with 4 or 5 levels of page tables, so every
 * access through it faults, and it is all the state there is: nothing to look up,
 * nothing to free.
 */
#ifndef FARLANE_TRAP_H
#define FARLANE_TRAP_H

#include <linux/bits.h>

#include "farlane.h"

#define FL_TOKEN BIT_ULL(63)
#define FL_TOKEN_OFFSET_MASK GENMASK_ULL(46, 0)

static inline bool fl_is_token(u64 address)
{
	return (address & ~FL_TOKEN_OFFSET_MASK) == FL_TOKEN;
}

static inline phys_addr_t fl_token_address(u64 token)
{
	return fl_window_start() + (token & FL_TOKEN_OFFSET_MASK);
}

static inline u64 fl_token_of(phys_addr_t address)
{
	return FL_TOKEN | (address - fl_window_start());
}

/* bar.c */
struct fl_place {
	char name[FL_NAME_BYTES];
	unsigned int bar;
	u64 offset;
};

bool fl_bar_place(phys_addr_t address, struct fl_place *place);
/*
 * FL_TLP_FETCHADD, FL_TLP_SWAP or FL_TLP_CAS on 4 or 8 aligned bytes. False: the
 * function does not complete atomics; what hardware does then is a read and a write.
 */
bool fl_bar_atomic(phys_addr_t address, enum fl_tlp_type type, unsigned int bytes, u64 operand,
		   u64 compare, u64 *old);

/* hook.c */
int fl_hook_init(void);
void fl_hook_exit(void);

/* allow.c */
int fl_allow_init(void);
void fl_allow_exit(void);

#endif /* FARLANE_TRAP_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Receives: mappings, from dma.c and dma_direct.c. Hands on: bytes, for fl_dma_op. Owns: the one
 * mapping table of the soft-IOMMU.
 */
#ifndef FARLANE_DOMAIN_H
#define FARLANE_DOMAIN_H

#include <linux/gfp_types.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <farlane/ioctl.h>
#include <farlane/status.h>

struct fl_function;
struct fl_table;

#define FL_IOVA_BITS 48

/*
 * Where the DMA of one function goes: the table that it is attached to, or none. The
 * copying side has interrupts off and marks itself in `copying` (odd: a copy runs), so
 * that an unmap waits for at most one copy, from any context, and never for the daemon.
 */
struct fl_domain {
	struct fl_function *function;
	struct fl_table *table;	   /* NULL: no DMA */
	struct list_head attached; /* of table->domains */
	raw_spinlock_t copy_lock;
	u32 copying;
	bool revoked;
	void *private; /* dma_direct.c */
};

struct fl_table *fl_table_create(void);
void fl_table_destroy(struct fl_table *table); /* nothing is attached any more */
/* Byte exact: what is left of the first and the last page stays out of reach. Any context. */
int fl_table_map(struct fl_table *table, u64 iova, phys_addr_t address, u64 bytes, u32 direction,
		 gfp_t gfp);
/* Whole pages. Once it returns no copy touches them. Any context. Returns the bytes found. */
u64 fl_table_unmap(struct fl_table *table, u64 iova, u64 bytes);
phys_addr_t fl_table_address(struct fl_table *table, u64 iova); /* 0: not mapped */

void fl_domain_attach(struct fl_domain *domain, struct fl_table *table);
/* No copy that began before this call still runs. Any context. */
void fl_domain_wait(struct fl_domain *domain);
/*
 * One request of the device with a kernel buffer: all of it or nothing. Atomics find
 * their operands in `buffer` and leave the old value there.
 */
enum fl_status fl_domain_transfer(struct fl_domain *domain, u32 kind, u64 iova, u32 bytes,
				  void *buffer);

#endif /* FARLANE_DOMAIN_H */

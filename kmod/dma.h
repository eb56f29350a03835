/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between dma.c and dma_direct.c, the two ways in which drivers' mappings come, and memory.c.
 * Receives: functions and devices. Hands on: their mappings. Owns: nothing.
 */
#ifndef FARLANE_DMA_H
#define FARLANE_DMA_H

#include <linux/device.h>
#include <linux/types.h>

struct fl_function;
struct fl_table;

/* A table of its own for the function, and dma_map_ops for its device. */
int fl_direct_attach(struct fl_function *f);
void fl_direct_detach(struct fl_function *f);
void fl_direct_claim(struct device *dev);
struct fl_table *fl_direct_table(struct fl_function *f);
int fl_direct_init(void);
void fl_direct_exit(void);

/* Every byte is memory that the kernel has mapped: no device's, no hole. Any context. */
bool fl_is_memory(phys_addr_t address, u64 bytes);
int fl_memory_init(void);
void fl_memory_exit(void);

#endif /* FARLANE_DMA_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: names in struct dma_map_ops.
 * Receives: a kernel. Hands on: one name for what it calls differently. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_DMA_OPS_H
#define FARLANE_COMPAT_DMA_OPS_H

#include <linux/dma-map-ops.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define fl_compat_alloc_pages alloc_pages
#else
#define fl_compat_alloc_pages alloc_pages_op
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#error "farlane: dma_map_ops take physical addresses from 6.18 on; dma_direct.c has not been ported"
#endif

#endif /* FARLANE_COMPAT_DMA_OPS_H */

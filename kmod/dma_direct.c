// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the DMA API calls of drivers, as dma_map_ops. Hands on: byte-exact mappings to the
 * function's table. Owns: the IOVA space of each function, and coherent memory while it is lent.
 *
 * Each mapping has IOVA pages of its own, so that its bytes are the only ones that the device
 * finds there: nothing needs to be bounced. The CPU does the copying, so there is nothing to sync.
 */
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iova.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat/dma_ops.h"
#include "dma.h"
#include "domain.h"
#include "farlane.h"

/* IOVAs start above the first MiB: no null, no legacy range. */
#define FIRST_IOVA_PFN (SZ_1M >> PAGE_SHIFT)

struct fl_direct {
	struct fl_table *table;
	struct iova_domain iova;
};

static struct fl_direct *direct_of(struct device *dev)
{
	return fl_function_of(to_pci_dev(dev))->domain->private;
}

static u32 direction_of(enum dma_data_direction dir)
{
	switch (dir) {
	case DMA_TO_DEVICE:
		return FL_MAP_DEVICE_READS;
	case DMA_FROM_DEVICE:
		return FL_MAP_DEVICE_WRITES;
	default:
		return FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;
	}
}

static unsigned long pages_of(phys_addr_t address, size_t bytes)
{
	return PAGE_ALIGN(offset_in_page(address) + bytes) >> PAGE_SHIFT;
}

/* 32-bit addresses first, as PCI cores like them; then as far as the device reaches. */
static unsigned long take_iova(struct fl_direct *d, unsigned long pages, u64 mask)
{
	unsigned long pfn = 0;
	u64 limit = min_not_zero(mask, DMA_BIT_MASK(FL_IOVA_BITS));

	if (limit > DMA_BIT_MASK(32))
		pfn = alloc_iova_fast(&d->iova, pages, DMA_BIT_MASK(32) >> PAGE_SHIFT, false);
	if (!pfn)
		pfn = alloc_iova_fast(&d->iova, pages, limit >> PAGE_SHIFT, true);
	return pfn;
}

static u64 reach_of(struct device *dev, u64 mask)
{
	return min_not_zero(mask, dev->bus_dma_limit);
}

static dma_addr_t map_bytes(struct device *dev, phys_addr_t address, size_t bytes, u32 direction,
			    u64 mask)
{
	struct fl_direct *d = direct_of(dev);
	unsigned long pages = pages_of(address, bytes);
	unsigned long pfn;
	dma_addr_t iova;

	if (!fl_is_memory(address, bytes))
		return DMA_MAPPING_ERROR;
	pfn = take_iova(d, pages, reach_of(dev, mask));
	if (!pfn)
		return DMA_MAPPING_ERROR;
	iova = ((dma_addr_t)pfn << PAGE_SHIFT) + offset_in_page(address);
	if (fl_table_map(d->table, iova, address, bytes, direction, GFP_ATOMIC | __GFP_NOWARN)) {
		free_iova_fast(&d->iova, pfn, pages);
		return DMA_MAPPING_ERROR;
	}
	return iova;
}

static void unmap_bytes(struct device *dev, dma_addr_t iova, size_t bytes)
{
	struct fl_direct *d = direct_of(dev);

	fl_table_unmap(d->table, iova, bytes);
	free_iova_fast(&d->iova, iova >> PAGE_SHIFT, pages_of(iova, bytes));
}

static dma_addr_t fl_map_page(struct device *dev, struct page *page, unsigned long offset,
			      size_t bytes, enum dma_data_direction dir, unsigned long attrs)
{
	return map_bytes(dev, page_to_phys(page) + offset, bytes, direction_of(dir),
			 dma_get_mask(dev));
}

static void fl_unmap_page(struct device *dev, dma_addr_t iova, size_t bytes,
			  enum dma_data_direction dir, unsigned long attrs)
{
	unmap_bytes(dev, iova, bytes);
}

static void fl_unmap_sg(struct device *dev, struct scatterlist *list, int count,
			enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(list, sg, count, i)
		unmap_bytes(dev, sg_dma_address(sg), sg_dma_len(sg));
}

static int fl_map_sg(struct device *dev, struct scatterlist *list, int count,
		     enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(list, sg, count, i) {
		sg_dma_address(sg) = map_bytes(dev, sg_phys(sg), sg->length, direction_of(dir),
					       dma_get_mask(dev));
		sg_dma_len(sg) = sg->length;
		if (sg_dma_address(sg) == DMA_MAPPING_ERROR) {
			fl_unmap_sg(dev, list, i, dir, attrs);
			return -ENOMEM;
		}
	}
	return count;
}

/* --- coherent memory ---------------------------------------------------------------------- */

static void *take_memory(size_t bytes, gfp_t gfp)
{
	void *memory;

	gfp = (gfp & ~GFP_ZONEMASK) | __GFP_ZERO | __GFP_NOWARN;
	memory = alloc_pages_exact(bytes, gfp);
	if (!memory && gfpflags_allow_blocking(gfp))
		memory = vzalloc(bytes); /* the table makes it contiguous */
	return memory;
}

static void give_memory(void *memory, size_t bytes)
{
	if (is_vmalloc_addr(memory))
		vfree(memory);
	else
		free_pages_exact(memory, bytes);
}

static phys_addr_t phys_of(void *memory)
{
	if (is_vmalloc_addr(memory))
		return page_to_phys(vmalloc_to_page(memory)) + offset_in_page(memory);
	return virt_to_phys(memory);
}

static int map_scattered(struct fl_direct *d, u64 iova, void *memory, size_t bytes)
{
	size_t at;
	int error;

	for (at = 0; at < bytes; at += PAGE_SIZE) {
		error = fl_table_map(d->table, iova + at, phys_of(memory + at), PAGE_SIZE,
				     FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES, GFP_KERNEL);
		if (error) {
			fl_table_unmap(d->table, iova, at);
			return error;
		}
	}
	return 0;
}

static dma_addr_t map_scattered_memory(struct device *dev, void *memory, size_t bytes)
{
	struct fl_direct *d = direct_of(dev);
	unsigned long pages = bytes >> PAGE_SHIFT;
	unsigned long pfn = take_iova(d, pages, reach_of(dev, dev->coherent_dma_mask));

	if (!pfn)
		return DMA_MAPPING_ERROR;
	if (map_scattered(d, (u64)pfn << PAGE_SHIFT, memory, bytes)) {
		free_iova_fast(&d->iova, pfn, pages);
		return DMA_MAPPING_ERROR;
	}
	return (dma_addr_t)pfn << PAGE_SHIFT;
}

static void *fl_alloc(struct device *dev, size_t bytes, dma_addr_t *handle, gfp_t gfp,
		      unsigned long attrs)
{
	void *memory;

	/* whole pages of its own, and mapped as such: drivers round up themselves */
	bytes = PAGE_ALIGN(bytes);
	memory = take_memory(bytes, gfp);
	if (!memory)
		return NULL;
	if (is_vmalloc_addr(memory))
		*handle = map_scattered_memory(dev, memory, bytes);
	else
		*handle = map_bytes(dev, virt_to_phys(memory), bytes,
				    FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES,
				    dev->coherent_dma_mask);
	if (*handle == DMA_MAPPING_ERROR) {
		give_memory(memory, bytes);
		return NULL;
	}
	return memory;
}

static void fl_free(struct device *dev, size_t bytes, void *memory, dma_addr_t handle,
		    unsigned long attrs)
{
	bytes = PAGE_ALIGN(bytes);
	unmap_bytes(dev, handle, bytes);
	give_memory(memory, bytes);
}

static struct page *fl_alloc_pages(struct device *dev, size_t bytes, dma_addr_t *handle,
				   enum dma_data_direction dir, gfp_t gfp)
{
	void *memory = alloc_pages_exact(PAGE_ALIGN(bytes), (gfp & ~GFP_ZONEMASK) | __GFP_ZERO);

	if (!memory)
		return NULL;
	*handle = map_bytes(dev, virt_to_phys(memory), bytes, direction_of(dir), dma_get_mask(dev));
	if (*handle == DMA_MAPPING_ERROR) {
		free_pages_exact(memory, PAGE_ALIGN(bytes));
		return NULL;
	}
	return virt_to_page(memory);
}

static void fl_free_pages(struct device *dev, size_t bytes, struct page *page, dma_addr_t handle,
			  enum dma_data_direction dir)
{
	unmap_bytes(dev, handle, bytes);
	free_pages_exact(page_address(page), PAGE_ALIGN(bytes));
}

static int fl_mmap(struct device *dev, struct vm_area_struct *vma, void *memory, dma_addr_t handle,
		   size_t bytes, unsigned long attrs)
{
	unsigned long pages = PAGE_ALIGN(bytes) >> PAGE_SHIFT;

	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -ENXIO;
	if (is_vmalloc_addr(memory))
		return -ENXIO; /* no driver that was looked at maps that much */
	return remap_pfn_range(vma, vma->vm_start, PHYS_PFN(virt_to_phys(memory)) + vma->vm_pgoff,
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

static int fl_get_sgtable(struct device *dev, struct sg_table *table, void *memory,
			  dma_addr_t handle, size_t bytes, unsigned long attrs)
{
	if (is_vmalloc_addr(memory))
		return -ENXIO;
	if (sg_alloc_table(table, 1, GFP_KERNEL))
		return -ENOMEM;
	sg_set_page(table->sgl, virt_to_page(memory), PAGE_ALIGN(bytes), 0);
	return 0;
}

static int fl_dma_supported(struct device *dev, u64 mask)
{
	return mask >= DMA_BIT_MASK(24);
}

static u64 fl_required_mask(struct device *dev)
{
	return DMA_BIT_MASK(32);
}

static const struct dma_map_ops fl_direct_ops = {
	.alloc = fl_alloc,
	.free = fl_free,
	.fl_compat_alloc_pages = fl_alloc_pages,
	.free_pages = fl_free_pages,
	.mmap = fl_mmap,
	.get_sgtable = fl_get_sgtable,
	.map_page = fl_map_page,
	.unmap_page = fl_unmap_page,
	.map_sg = fl_map_sg,
	.unmap_sg = fl_unmap_sg,
	.dma_supported = fl_dma_supported,
	.get_required_mask = fl_required_mask,
};

void fl_direct_claim(struct device *dev)
{
	set_dma_ops(dev, &fl_direct_ops);
}

struct fl_table *fl_direct_table(struct fl_function *f)
{
	struct fl_direct *d = f->domain->private;

	return d->table;
}

int fl_direct_attach(struct fl_function *f)
{
	struct fl_direct *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int error = -ENOMEM;

	if (!d)
		return -ENOMEM;
	d->table = fl_table_create();
	if (!d->table)
		goto err_direct;
	init_iova_domain(&d->iova, PAGE_SIZE, FIRST_IOVA_PFN);
	error = iova_domain_init_rcaches(&d->iova);
	if (error)
		goto err_iova;
	f->domain->private = d;
	fl_domain_attach(f->domain, d->table);
	return 0;
err_iova:
	put_iova_domain(&d->iova);
	fl_table_destroy(d->table);
err_direct:
	kfree(d);
	return error;
}

void fl_direct_detach(struct fl_function *f)
{
	struct fl_direct *d = f->domain->private;

	f->domain->private = NULL;
	put_iova_domain(&d->iova);
	fl_table_destroy(d->table);
	kfree(d);
}

int fl_direct_init(void)
{
	return iova_cache_get();
}

void fl_direct_exit(void)
{
	iova_cache_put();
}

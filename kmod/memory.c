// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: physical addresses that are to be mapped for a device. Hands on: whether the CPU may
 * copy there. Owns: the ranges of RAM that Linux was given at boot.
 *
 * The copies go through the kernel's direct map, which has what is RAM of Linux and nothing else.
 * A valid page frame number says less: page arrays are made for whole sections (128 MiB), also for
 * what lies in between, such as firmware's own memory at the end of RAM and device registers.
 * VFIO maps such frames when a process has them from /dev/mem or from another device's BAR.
 *
 * - Sections that are offline, and memory of devices, have no online page.
 * - A page that is not reserved belongs to the page allocator, or did: it is RAM.
 * - Reserved is what the allocator never had: the holes, but also what boot took out of RAM, which
 *   drivers may well map: the kernel's image with its constants and the zero page, memory of the
 *   first per-CPU areas. These are told apart by the boot's own list of RAM. It is a copy:
 *   page_is_ram() takes a lock that interrupts must not take, and maps come in interrupts.
 *   What is added to RAM later has no reserved pages that anybody maps.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/ioport.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "dma.h"

struct frames {
	unsigned long first, end; /* page frame numbers, of whole pages */
};

static struct frames *boot_ram;
static unsigned int boot_ram_count;

static int count_range(struct resource *range, void *count)
{
	++*(unsigned int *)count;
	return 0;
}

static int note_range(struct resource *range, void *room)
{
	if (boot_ram_count == *(unsigned int *)room)
		return -EAGAIN;
	boot_ram[boot_ram_count].first = PFN_UP(range->start);
	boot_ram[boot_ram_count].end = PFN_DOWN(range->end + 1);
	boot_ram_count++;
	return 0;
}

static int each_range(int (*look)(struct resource *range, void *argument), void *argument)
{
	return walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, 0,
				   U64_MAX, argument, look);
}

int fl_memory_init(void)
{
	unsigned int room = 0;
	int error = each_range(count_range, &room);

	if (error)
		return error;
	boot_ram = kcalloc(room, sizeof(*boot_ram), GFP_KERNEL);
	if (!boot_ram)
		return -ENOMEM;
	error = each_range(note_range, &room);
	if (error) {
		pr_err("memory was added just now; load the module again\n");
		fl_memory_exit();
	}
	return error;
}

void fl_memory_exit(void)
{
	kfree(boot_ram);
	boot_ram = NULL;
	boot_ram_count = 0;
}

static bool is_boot_ram(unsigned long pfn)
{
	unsigned int i;

	for (i = 0; i < boot_ram_count; i++)
		if (pfn >= boot_ram[i].first && pfn < boot_ram[i].end)
			return true;
	return false;
}

static bool is_ram(unsigned long pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	return page && (!PageReserved(page) || is_boot_ram(pfn));
}

bool fl_is_memory(phys_addr_t address, u64 bytes)
{
	unsigned long pfn = PHYS_PFN(address), last = PHYS_PFN(address + bytes - 1);

	if (!bytes || address + bytes < address)
		return false;
	for (; pfn <= last; pfn++)
		if (!is_ram(pfn))
			return false;
	return true;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: mappings of the DMA API, requests of devices. Hands on: bytes, to and from the
 * mapped pages. Owns: the tables, which hold addresses and never a reference to a page.
 *
 * A table has four levels: 10, 9 and 9 bits of pointers, then a leaf of 256 entries (1 MiB).
 * Writers change it under its raw lock. Readers take no lock of the table: they run with
 * interrupts off between two steps of fl_domain.copying. A writer first takes an entry (or a
 * node that became empty) out, then waits until no reader that may have seen it is left.
 */
#include "domain.h"

#include <linux/mm.h>
#include <linux/slab.h>

#include "farlane.h"

#define LEAF_BITS 8
#define NODE_BITS 9
#define ROOT_BITS 10
#define LEAF_SHIFT (PAGE_SHIFT + LEAF_BITS)
#define NODE_SHIFT (LEAF_SHIFT + NODE_BITS)
#define TOP_SHIFT (NODE_SHIFT + NODE_BITS)

#define SPARES_KEPT 16
#define NODES_PER_MAP 3
#define DIRECTION_MASK (FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES)
/* One map or unmap step holds the lock for at most one leaf. */
#define LEAF_BYTES BIT_ULL(LEAF_SHIFT)

struct fl_entry {
	u64 page; /* physical address | FL_MAP_DEVICE_*; 0 = nothing here */
	u16 first, last; /* bytes of the page that may be touched */
	u32 reserved;
};

struct fl_table {
	raw_spinlock_t lock;
	struct list_head domains;
	struct list_head spares; /* zeroed pages */
	unsigned int spares_count;
	void *root[BIT(ROOT_BITS)];
};

static_assert(TOP_SHIFT + ROOT_BITS == FL_IOVA_BITS);
static_assert(sizeof(struct fl_entry) << LEAF_BITS == PAGE_SIZE);

static unsigned int index_at(u64 iova, unsigned int shift, unsigned int bits)
{
	return (iova >> shift) & (BIT(bits) - 1);
}

/* How many slots of a node are in use; by the table's lock. */
static void count_add(void *node, long n)
{
	struct page *page = virt_to_page(node);

	set_page_private(page, page_private(page) + n);
}

static bool is_empty(void *node)
{
	return page_private(virt_to_page(node)) == 0;
}

/* Any reader, or a writer under the lock. */
static struct fl_entry *find_leaf(struct fl_table *table, u64 iova)
{
	void **top = READ_ONCE(table->root[index_at(iova, TOP_SHIFT, ROOT_BITS)]);
	void **node;

	if (!top)
		return NULL;
	node = READ_ONCE(top[index_at(iova, NODE_SHIFT, NODE_BITS)]);
	return node ? READ_ONCE(node[index_at(iova, LEAF_SHIFT, NODE_BITS)]) : NULL;
}

static void *take_spare(struct fl_table *table)
{
	struct page *page = list_first_entry(&table->spares, struct page, lru);

	list_del(&page->lru);
	table->spares_count--;
	return page_address(page);
}

static void *step_down(struct fl_table *table, void *parent, void **slot)
{
	if (!*slot) {
		/* the zeroed node before the pointer to it */
		smp_store_release(slot, take_spare(table));
		if (parent)
			count_add(parent, 1);
	}
	return *slot;
}

/* NODES_PER_MAP spares are there. */
static struct fl_entry *make_leaf(struct fl_table *table, u64 iova)
{
	void **top = step_down(table, NULL, &table->root[index_at(iova, TOP_SHIFT, ROOT_BITS)]);
	void **node = step_down(table, top, &top[index_at(iova, NODE_SHIFT, NODE_BITS)]);

	return step_down(table, node, &node[index_at(iova, LEAF_SHIFT, NODE_BITS)]);
}

/* Takes the leaf and what above it became empty out of the tree. */
static void unhook_leaf(struct fl_table *table, u64 iova, struct list_head *dead)
{
	void **slots[3], *nodes[3];
	int i;

	slots[2] = &table->root[index_at(iova, TOP_SHIFT, ROOT_BITS)];
	nodes[2] = *slots[2];
	slots[1] = (void **)nodes[2] + index_at(iova, NODE_SHIFT, NODE_BITS);
	nodes[1] = *slots[1];
	slots[0] = (void **)nodes[1] + index_at(iova, LEAF_SHIFT, NODE_BITS);
	nodes[0] = *slots[0];
	for (i = 0; i < 3 && is_empty(nodes[i]); i++) {
		WRITE_ONCE(*slots[i], NULL);
		if (i < 2)
			count_add(nodes[i + 1], -1);
		list_add(&virt_to_page(nodes[i])->lru, dead);
	}
}

static bool has_spares(const struct fl_table *table)
{
	return READ_ONCE(table->spares_count) >= NODES_PER_MAP;
}

static int stock_spares(struct fl_table *table, gfp_t gfp)
{
	while (!has_spares(table)) {
		struct page *page = alloc_page((gfp & ~GFP_ZONEMASK) | __GFP_ZERO);
		unsigned long flags;

		if (!page)
			return -ENOMEM;
		set_page_private(page, 0);
		raw_spin_lock_irqsave(&table->lock, flags);
		list_add(&page->lru, &table->spares);
		table->spares_count++;
		raw_spin_unlock_irqrestore(&table->lock, flags);
	}
	return 0;
}

/* They are zero again: a node dies when its last slot was cleared. */
static void bury(struct fl_table *table, struct list_head *dead)
{
	struct page *page, *next;
	unsigned long flags;

	if (list_empty(dead))
		return;
	raw_spin_lock_irqsave(&table->lock, flags);
	list_for_each_entry_safe(page, next, dead, lru) {
		if (table->spares_count >= SPARES_KEPT)
			break;
		list_move(&page->lru, &table->spares);
		table->spares_count++;
	}
	raw_spin_unlock_irqrestore(&table->lock, flags);
	list_for_each_entry_safe(page, next, dead, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

void fl_domain_wait(struct fl_domain *domain)
{
	u32 seen;

	/* what was taken away before the look at `copying`; pairs with begin_copy() */
	smp_mb();
	seen = READ_ONCE(domain->copying);
	if (seen & 1)
		/* its copy is in memory before what the caller does next */
		while (smp_load_acquire(&domain->copying) == seen)
			cpu_relax();
}

static void wait_for_copies(struct fl_table *table)
{
	struct fl_domain *domain;
	unsigned long flags;

	raw_spin_lock_irqsave(&table->lock, flags);
	list_for_each_entry(domain, &table->domains, attached)
		fl_domain_wait(domain);
	raw_spin_unlock_irqrestore(&table->lock, flags);
}

static void begin_copy(struct fl_domain *domain)
{
	WRITE_ONCE(domain->copying, domain->copying + 1);
	smp_mb(); /* before any look at the table; pairs with fl_domain_wait() */
}

static void end_copy(struct fl_domain *domain)
{
	/* the copy before the word that it is over */
	smp_store_release(&domain->copying, domain->copying + 1);
}

/* Within one leaf; a leaf that is made here is not left empty. */
static int map_in_leaf(struct fl_table *table, u64 iova, phys_addr_t address, u64 bytes,
		       u32 direction)
{
	struct fl_entry *leaf = make_leaf(table, iova);
	u64 end = iova + bytes;
	u64 at;

	for (at = iova & PAGE_MASK; at < end; at += PAGE_SIZE)
		if (leaf[index_at(at, PAGE_SHIFT, LEAF_BITS)].page)
			return -EEXIST;
	for (at = iova & PAGE_MASK; at < end; at += PAGE_SIZE) {
		struct fl_entry *e = &leaf[index_at(at, PAGE_SHIFT, LEAF_BITS)];

		e->first = at < iova ? offset_in_page(iova) : 0;
		e->last = end - at < PAGE_SIZE ? end - at - 1 : PAGE_SIZE - 1;
		/* the bounds before the page */
		smp_store_release(&e->page, ((address - iova + at) & PAGE_MASK) | direction);
		count_add(leaf, 1);
	}
	return 0;
}

int fl_table_map(struct fl_table *table, u64 iova, phys_addr_t address, u64 bytes, u32 direction,
		 gfp_t gfp)
{
	u64 at = iova, end = iova + bytes;
	int error = 0;

	if (!bytes || end < iova || end > BIT_ULL(FL_IOVA_BITS) || (direction & ~DIRECTION_MASK) ||
	    !direction || offset_in_page(iova) != offset_in_page(address))
		return -EINVAL;
	while (at < end && !error) {
		u64 next = min(end, round_down(at, LEAF_BYTES) + LEAF_BYTES);
		unsigned long flags;
		bool enough;

		raw_spin_lock_irqsave(&table->lock, flags);
		enough = has_spares(table); /* another CPU may have taken them */
		if (enough)
			error = map_in_leaf(table, at, address + (at - iova), next - at, direction);
		raw_spin_unlock_irqrestore(&table->lock, flags);
		if (!enough)
			error = stock_spares(table, gfp);
		else if (!error)
			at = next;
	}
	if (error && at > iova)
		fl_table_unmap(table, iova, at - iova);
	return error;
}

static u64 unmap_in_leaf(struct fl_table *table, u64 at, u64 end, struct list_head *dead)
{
	struct fl_entry *leaf = find_leaf(table, at);
	u64 start = at;
	long found = 0;

	if (!leaf)
		return 0;
	for (; at < end; at += PAGE_SIZE) {
		struct fl_entry *e = &leaf[index_at(at, PAGE_SHIFT, LEAF_BITS)];

		if (!e->page)
			continue;
		WRITE_ONCE(e->page, 0);
		e->first = 0;
		e->last = 0;
		found++;
	}
	count_add(leaf, -found);
	if (found && is_empty(leaf))
		unhook_leaf(table, start, dead);
	return (u64)found << PAGE_SHIFT;
}

u64 fl_table_unmap(struct fl_table *table, u64 iova, u64 bytes)
{
	u64 at = iova & PAGE_MASK, end = PAGE_ALIGN(iova + bytes), found = 0;
	LIST_HEAD(dead);

	if (iova + bytes < iova || end > BIT_ULL(FL_IOVA_BITS))
		return 0;
	while (at < end) {
		u64 next = min(end, round_down(at, LEAF_BYTES) + LEAF_BYTES);
		unsigned long flags;

		raw_spin_lock_irqsave(&table->lock, flags);
		found += unmap_in_leaf(table, at, next, &dead);
		raw_spin_unlock_irqrestore(&table->lock, flags);
		at = next;
	}
	wait_for_copies(table);
	bury(table, &dead);
	return found;
}

phys_addr_t fl_table_address(struct fl_table *table, u64 iova)
{
	phys_addr_t address = 0;
	struct fl_entry *leaf;
	unsigned long flags;

	if (iova >= BIT_ULL(FL_IOVA_BITS))
		return 0;
	raw_spin_lock_irqsave(&table->lock, flags);
	leaf = find_leaf(table, iova);
	if (leaf)
		address = leaf[index_at(iova, PAGE_SHIFT, LEAF_BITS)].page & PAGE_MASK;
	raw_spin_unlock_irqrestore(&table->lock, flags);
	return address ? address + offset_in_page(iova) : 0;
}

struct fl_table *fl_table_create(void)
{
	struct fl_table *table = kvzalloc(sizeof(*table), GFP_KERNEL);

	if (!table)
		return NULL;
	raw_spin_lock_init(&table->lock);
	INIT_LIST_HEAD(&table->domains);
	INIT_LIST_HEAD(&table->spares);
	/* the first map may come from an interrupt */
	if (stock_spares(table, GFP_KERNEL)) {
		fl_table_destroy(table);
		return NULL;
	}
	return table;
}

static void free_nodes(void **slots, unsigned int count, unsigned int depth)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (!slots[i])
			continue;
		if (depth)
			free_nodes(slots[i], BIT(NODE_BITS), depth - 1);
		free_page((unsigned long)slots[i]);
	}
}

void fl_table_destroy(struct fl_table *table)
{
	struct page *page, *next;

	if (!table)
		return;
	WARN_ON(!list_empty(&table->domains));
	free_nodes(table->root, BIT(ROOT_BITS), 2);
	list_for_each_entry_safe(page, next, &table->spares, lru)
		__free_page(page);
	kvfree(table);
}

void fl_domain_attach(struct fl_domain *domain, struct fl_table *table)
{
	struct fl_table *before = domain->table;
	unsigned long flags;

	if (before == table)
		return;
	if (before) {
		WRITE_ONCE(domain->table, NULL);
		fl_domain_wait(domain);
		raw_spin_lock_irqsave(&before->lock, flags);
		list_del_init(&domain->attached);
		raw_spin_unlock_irqrestore(&before->lock, flags);
	}
	if (!table)
		return;
	/* first in the list, so that no unmap misses the copies that begin now */
	raw_spin_lock_irqsave(&table->lock, flags);
	list_add(&domain->attached, &table->domains);
	raw_spin_unlock_irqrestore(&table->lock, flags);
	/* in the list before anybody copies through it */
	smp_store_release(&domain->table, table);
}

/* Bytes within one page. */
struct piece {
	void *at;
	u32 bytes;
};

#define MAX_PIECES 2

static bool piece_of(struct fl_table *table, u64 iova, u32 bytes, u32 direction, struct piece *out)
{
	struct fl_entry *leaf = find_leaf(table, iova), *e;
	u64 page;

	if (!leaf)
		return false;
	e = &leaf[index_at(iova, PAGE_SHIFT, LEAF_BITS)];
	page = smp_load_acquire(&e->page); /* before its bounds */
	if ((page & direction) != direction || !page)
		return false;
	out->bytes = min_t(u32, bytes, PAGE_SIZE - offset_in_page(iova));
	if (offset_in_page(iova) < e->first || offset_in_page(iova) + out->bytes - 1 > e->last)
		return false;
	out->at = phys_to_virt(page & PAGE_MASK) + offset_in_page(iova);
	return true;
}

/* All bytes or none. */
static int resolve(struct fl_table *table, u64 iova, u32 bytes, u32 direction, struct piece *pieces)
{
	int n = 0;

	while (bytes) {
		if (!piece_of(table, iova, bytes, direction, &pieces[n]))
			return 0;
		iova += pieces[n].bytes;
		bytes -= pieces[n].bytes;
		n++;
	}
	return n;
}

static void atomic32(u32 kind, void *at, u32 *operand)
{
	if (kind == FL_DMA_FETCHADD)
		operand[0] = atomic_fetch_add(operand[0], at);
	else if (kind == FL_DMA_SWAP)
		operand[0] = xchg((u32 *)at, operand[0]);
	else
		operand[0] = cmpxchg((u32 *)at, operand[0], operand[1]);
}

static void atomic64(u32 kind, void *at, u64 *operand)
{
	if (kind == FL_DMA_FETCHADD)
		operand[0] = atomic64_fetch_add(operand[0], at);
	else if (kind == FL_DMA_SWAP)
		operand[0] = xchg((u64 *)at, operand[0]);
	else
		operand[0] = cmpxchg((u64 *)at, operand[0], operand[1]);
}

static void move(u32 kind, struct piece *pieces, int count, void *buffer)
{
	u8 *at = buffer;
	int i;

	for (i = 0; i < count; i++) {
		if (kind == FL_DMA_READ)
			memcpy(at, pieces[i].at, pieces[i].bytes);
		else if (kind == FL_DMA_WRITE)
			memcpy(pieces[i].at, at, pieces[i].bytes);
		else if (pieces[i].bytes == sizeof(u32))
			atomic32(kind, pieces[i].at, buffer);
		else
			atomic64(kind, pieces[i].at, buffer);
		at += pieces[i].bytes;
	}
}

static bool fits(u32 kind, u64 iova, u32 bytes)
{
	if (!bytes || bytes > FL_DMA_MAX_OP_BYTES || iova >= BIT_ULL(FL_IOVA_BITS) ||
	    bytes > BIT_ULL(FL_IOVA_BITS) - iova)
		return false;
	if (kind == FL_DMA_READ || kind == FL_DMA_WRITE)
		return true;
	return kind >= FL_DMA_FETCHADD && kind <= FL_DMA_CAS && (bytes == 4 || bytes == 8) &&
	       IS_ALIGNED(iova, bytes);
}

static bool may_copy(const struct fl_domain *domain)
{
	const struct fl_function *f = domain->function;

	return !READ_ONCE(domain->revoked) && READ_ONCE(f->bus_master) && !READ_ONCE(f->resetting) &&
	       !fl_function_is_gone(f);
}

enum fl_status fl_domain_transfer(struct fl_domain *domain, u32 kind, u64 iova, u32 bytes,
				  void *buffer)
{
	u32 direction = kind == FL_DMA_READ  ? FL_MAP_DEVICE_READS :
			kind == FL_DMA_WRITE ? FL_MAP_DEVICE_WRITES :
					       DIRECTION_MASK;
	struct piece pieces[MAX_PIECES];
	struct fl_table *table;
	unsigned long flags;
	int count = 0;

	if (!fits(kind, iova, bytes))
		return FL_STATUS_UR;
	raw_spin_lock_irqsave(&domain->copy_lock, flags);
	begin_copy(domain);
	table = smp_load_acquire(&domain->table); /* pairs with fl_domain_attach() */
	if (table && may_copy(domain))
		count = resolve(table, iova, bytes, direction, pieces);
	if (count)
		move(kind, pieces, count, buffer);
	end_copy(domain);
	raw_spin_unlock_irqrestore(&domain->copy_lock, flags);
	return count ? FL_STATUS_SC : FL_STATUS_UR;
}

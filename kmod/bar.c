// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: accesses to the window. Hands on: memory transactions of the function
 * whose BAR lies there; all-ones where there is none.
 * Owns: the table of ranges. Readers take no lock and write nothing shared, in any
 * context: the table exists twice, and one of the two is always whole.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "trap.h"

#define MAX_RANGES (FL_MAX_SLOTS * FL_BAR_COUNT)
#define SPLIT_BYTES FL_TLP_MAX_PAYLOAD_BYTES /* no request crosses a multiple: PCIe 6.0, 2.2.7 */

#define PCI_CAPABILITIES_MOST 48 /* of a chain that does not end */

struct fl_range {
	phys_addr_t start;
	phys_addr_t last;
	struct fl_function *function;
	u8 bar;
	u8 atomic_bytes; /* sum of the sizes whose atomics the function completes: 4, 8 */
};

struct range_table {
	unsigned int count;
	struct fl_range ranges[MAX_RANGES]; /* sorted, disjoint */
};

/* Readers use tables[sequence & 1], and begin again when `sequence` has changed. */
static struct range_table tables[2];
static unsigned int sequence;
static DEFINE_RAW_SPINLOCK(tables_lock);

/* --- writers ------------------------------------------------------------------ */

static void drop_ranges(struct range_table *t, const struct fl_function *f)
{
	unsigned int from, to = 0;

	for (from = 0; from < t->count; from++)
		if (t->ranges[from].function != f)
			t->ranges[to++] = t->ranges[from];
	WRITE_ONCE(t->count, to);
}

/* Two BARs at one address are a mistake of whoever assigned them: the first stays. */
static void insert_range(struct range_table *t, const struct fl_range *new)
{
	unsigned int at = t->count;

	while (at > 0 && t->ranges[at - 1].start > new->start)
		at--;
	if ((at > 0 && t->ranges[at - 1].last >= new->start) ||
	    (at < t->count && t->ranges[at].start <= new->last) || t->count == MAX_RANGES)
		return;
	memmove(&t->ranges[at + 1], &t->ranges[at], (t->count - at) * sizeof(*new));
	t->ranges[at] = *new;
	WRITE_ONCE(t->count, t->count + 1);
}

static void change_table(struct range_table *t, struct fl_function *f, const struct fl_range *ranges,
			 unsigned int count)
{
	unsigned int i;

	drop_ranges(t, f);
	for (i = 0; i < count; i++)
		insert_range(t, &ranges[i]);
}

static void publish(struct fl_function *f, const struct fl_range *ranges, unsigned int count)
{
	unsigned long flags;
	unsigned int turn;

	raw_spin_lock_irqsave(&tables_lock, flags);
	for (turn = 0; turn < 2; turn++) {
		smp_wmb(); /* the other table is whole before readers are sent there */
		WRITE_ONCE(sequence, sequence + 1);
		smp_wmb(); /* and they are sent before this one is touched */
		change_table(&tables[(sequence & 1) ^ 1], f, ranges, count);
	}
	raw_spin_unlock_irqrestore(&tables_lock, flags);
}

/* Device Capabilities 2 of the shadow: read-only bits, no lock is needed. */
static u32 device_capabilities2(const struct fl_function *f)
{
	unsigned int at = f->config[PCI_CAPABILITY_LIST] & ~3u, left = PCI_CAPABILITIES_MOST;
	__le32 value;

	while (at >= PCI_STD_HEADER_SIZEOF && at <= PCI_CFG_SPACE_SIZE - 64 && left--) {
		if (f->config[at + PCI_CAP_LIST_ID] == PCI_CAP_ID_EXP) {
			if ((f->config[at + PCI_EXP_FLAGS] & PCI_EXP_FLAGS_VERS) < 2)
				return 0;
			memcpy(&value, f->config + at + PCI_EXP_DEVCAP2, sizeof(value));
			return le32_to_cpu(value);
		}
		at = f->config[at + PCI_CAP_LIST_NEXT] & ~3u;
	}
	return 0;
}

static u8 atomic_bytes(const struct fl_function *f)
{
	u32 capabilities = f->config ? device_capabilities2(f) : 0;

	return (capabilities & PCI_EXP_DEVCAP2_ATOMIC_COMP32 ? 4 : 0) +
	       (capabilities & PCI_EXP_DEVCAP2_ATOMIC_COMP64 ? 8 : 0);
}

void fl_bar_update(struct fl_function *f)
{
	struct fl_range ranges[FL_BAR_COUNT];
	unsigned int bar, count = 0;
	u8 atomics = atomic_bytes(f);

	for (bar = 0; bar < FL_BAR_COUNT; bar++) {
		const struct fl_bar_range *b = &f->bars[bar];

		if (!b->enabled || !b->size || !fl_window_contains(b->base, b->size))
			continue;
		ranges[count++] = (struct fl_range){ .start = b->base,
						  .last = b->base + b->size - 1,
						  .function = f,
						  .bar = bar,
						  .atomic_bytes = atomics };
	}
	publish(f, ranges, count);
}

/* Readers may still use f until a grace period of RCU has passed. */
void fl_bar_forget(struct fl_function *f)
{
	publish(f, NULL, 0);
}

/* --- readers ------------------------------------------------------------------- */

/* The first range that ends at or behind address. */
static unsigned int search(const struct range_table *t, phys_addr_t address)
{
	unsigned int low = 0, high = min_t(unsigned int, READ_ONCE(t->count), MAX_RANGES);

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (t->ranges[middle].last < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The range that holds address, or the next one behind it; false: neither. */
static bool find(phys_addr_t address, struct fl_range *found)
{
	unsigned int seen, at;
	bool there;

	do {
		const struct range_table *t;

		seen = smp_load_acquire(&sequence); /* the table after it: publish() */
		t = &tables[seen & 1];
		at = search(t, address);
		there = at < min_t(unsigned int, READ_ONCE(t->count), MAX_RANGES);
		if (there)
			*found = t->ranges[at];
		smp_rmb(); /* the copy is made before the sequence is asked again */
	} while (READ_ONCE(sequence) != seen);
	return there;
}

static bool answers(const struct fl_function *f)
{
	if (in_nmi()) { /* it may have interrupted whoever holds the ring */
		pr_warn_once("an access to %s out of an NMI is not forwarded\n", f->name);
		return false;
	}
	return !fl_function_is_gone(f) && !READ_ONCE(f->resetting);
}

static void make_tlp(struct fl_tlp *tlp, const struct fl_range *range, phys_addr_t address, u8 type,
		     unsigned int bytes)
{
	*tlp = (struct fl_tlp){
		.family = FL_FAMILY_TLP,
		.type = type,
		.bar = range->bar,
		.length_bytes = cpu_to_le16(bytes),
		.address = cpu_to_le64(address - range->start),
	};
}

/*
 * How many of `bytes` one transaction takes, and in which range it lies. False: that
 * many bytes belong to nobody.
 */
static bool next_piece(phys_addr_t address, unsigned int bytes, struct fl_range *range,
		       unsigned int *piece)
{
	bool there = find(address, range);
	phys_addr_t end = address + bytes;

	if (there && range->start > address) { /* a hole, up to the range */
		end = min(end, range->start);
		there = false;
	} else if (there) {
		end = min3(end, range->last + 1, (address | (SPLIT_BYTES - 1)) + 1);
	}
	*piece = end - address;
	return there;
}

static void read_piece(const struct fl_range *range, phys_addr_t address, void *into,
		       unsigned int bytes)
{
	struct fl_function *f = range->function;
	struct fl_tlp tlp;

	atomic64_inc(&f->counters.traps);
	make_tlp(&tlp, range, address, FL_TLP_MRD, bytes);
	if (answers(f) && fl_msix_read(f, range->bar, address - range->start, into, bytes))
		return;
	if (answers(f) && f->ops->request(f, &tlp, NULL, into) == FL_STATUS_SC)
		return;
	memset(into, 0xff, bytes);
	if (fl_function_is_gone(f))
		fl_virtio_settle(f, range->bar, address - range->start, into, bytes);
}

void fl_bar_read(phys_addr_t address, void *into, unsigned int bytes)
{
	struct fl_range range;
	unsigned int piece;

	rcu_read_lock();
	for (; bytes; bytes -= piece, address += piece, into += piece) {
		if (next_piece(address, bytes, &range, &piece))
			read_piece(&range, address, into, piece);
		else
			memset(into, 0xff, piece);
	}
	rcu_read_unlock();
}

static void write_piece(const struct fl_range *range, phys_addr_t address, const void *from,
			unsigned int bytes)
{
	struct fl_function *f = range->function;
	struct fl_tlp tlp;

	atomic64_inc(&f->counters.traps);
	make_tlp(&tlp, range, address, FL_TLP_MWR, bytes);
	if (!answers(f))
		return;
	fl_msix_write(f, range->bar, address - range->start, from, bytes);
	f->ops->posted(f, &tlp, from);
}

void fl_bar_write(phys_addr_t address, const void *from, unsigned int bytes)
{
	struct fl_range range;
	unsigned int piece;

	rcu_read_lock();
	for (; bytes; bytes -= piece, address += piece, from += piece)
		if (next_piece(address, bytes, &range, &piece))
			write_piece(&range, address, from, piece);
	rcu_read_unlock();
}

/* Little-endian, compare before operand. */
static unsigned int atomic_payload(enum fl_tlp_type type, unsigned int bytes, u64 operand,
				   u64 compare, u8 *payload)
{
	__le64 first = cpu_to_le64(type == FL_TLP_CAS ? compare : operand);
	__le64 second = cpu_to_le64(operand);

	memcpy(payload, &first, bytes);
	if (type != FL_TLP_CAS)
		return bytes;
	memcpy(payload + bytes, &second, bytes);
	return 2 * bytes;
}

static void atomic_piece(const struct fl_range *range, phys_addr_t address, enum fl_tlp_type type,
			 unsigned int bytes, u64 operand, u64 compare, u64 *old)
{
	struct fl_function *f = range->function;
	__le64 answer = 0;
	struct fl_tlp tlp;
	u8 payload[16];

	atomic64_inc(&f->counters.traps);
	make_tlp(&tlp, range, address, type, atomic_payload(type, bytes, operand, compare, payload));
	if (!answers(f) || f->ops->request(f, &tlp, payload, &answer) != FL_STATUS_SC)
		memset(&answer, 0xff, bytes);
	*old = le64_to_cpu(answer);
}

bool fl_bar_atomic(phys_addr_t address, enum fl_tlp_type type, unsigned int bytes, u64 operand,
		   u64 compare, u64 *old)
{
	struct fl_range range;
	unsigned int piece;
	bool whole;

	rcu_read_lock();
	whole = next_piece(address, bytes, &range, &piece) && piece == bytes &&
		(range.atomic_bytes & bytes);
	if (whole)
		atomic_piece(&range, address, type, bytes, operand, compare, old);
	rcu_read_unlock();
	return whole;
}

bool fl_bar_place(phys_addr_t address, struct fl_place *place)
{
	struct fl_range range;
	bool there;

	rcu_read_lock();
	there = find(address, &range) && range.start <= address;
	if (there) {
		strscpy(place->name, range.function->name, sizeof(place->name));
		place->bar = range.bar;
		place->offset = address - range.start;
	}
	rcu_read_unlock();
	return there;
}

int fl_bar_init(void)
{
	return 0;
}

/* Every function has left the bus by now. */
void fl_bar_exit(void)
{
	WARN_ON(tables[sequence & 1].count);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: mappings and requests of a device. Hands on: whether domain.c moves exactly
 * the bytes that are mapped. Owns: nothing.
 */
#include "../domain.c"

#include "suites.h"

#define BOTH (FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES)
#define IOVA 0x12345000ULL
#define CANARY 0xa5

struct bench {
	struct fl_function f;
	struct fl_domain domain;
	struct fl_table *table;
	u8 *pages; /* two of them, together */
};

static int set_up(struct kunit *test)
{
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b);
	test->priv = b;
	b->table = fl_table_create();
	b->pages = (u8 *)__get_free_pages(GFP_KERNEL, 1);
	KUNIT_ASSERT_NOT_NULL(test, b->table);
	KUNIT_ASSERT_NOT_NULL(test, b->pages);
	memset(b->pages, CANARY, 2 * PAGE_SIZE);
	b->f.bus_master = true;
	b->domain.function = &b->f;
	INIT_LIST_HEAD(&b->domain.attached);
	raw_spin_lock_init(&b->domain.copy_lock);
	fl_domain_attach(&b->domain, b->table);
	return 0;
}

static void take_down(struct kunit *test)
{
	struct bench *b = test->priv;

	if (!b || !b->table)
		return;
	fl_domain_attach(&b->domain, NULL);
	fl_table_destroy(b->table);
	free_pages((unsigned long)b->pages, 1);
}

static int map_at(struct bench *b, u64 iova, unsigned int offset, u64 bytes, u32 direction)
{
	return fl_table_map(b->table, iova + offset, virt_to_phys(b->pages) + offset, bytes,
			    direction, GFP_KERNEL);
}

static enum fl_status transfer(struct bench *b, u32 kind, u64 iova, u32 bytes)
{
	u8 buffer[64] = {};

	return fl_domain_transfer(&b->domain, kind, iova, bytes, buffer);
}

static void bytes_outside_stay(struct kunit *test)
{
	struct bench *b = test->priv;
	const unsigned int first = 100, bytes = 5000;
	unsigned int at;

	KUNIT_ASSERT_EQ(test, map_at(b, IOVA, first, bytes, BOTH), 0);
	for (at = 0; at < 2 * PAGE_SIZE - 8; at++) {
		bool inside = at >= first && at + 8 <= first + bytes;
		enum fl_status status = transfer(b, FL_DMA_WRITE, IOVA + at, 8);

		KUNIT_ASSERT_EQ_MSG(test, (int)status,
				    (int)(inside ? FL_STATUS_SC : FL_STATUS_UR), "at %u", at);
	}
	for (at = 0; at < 2 * PAGE_SIZE; at++) {
		bool inside = at >= first && at < first + bytes;

		KUNIT_ASSERT_EQ_MSG(test, b->pages[at], (u8)(inside ? 0 : CANARY), "at %u", at);
	}
	KUNIT_EXPECT_EQ(test, fl_table_unmap(b->table, IOVA + first, bytes), 2ULL * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA + first, 8), (int)FL_STATUS_UR);
}

static void directions_are_kept(struct kunit *test)
{
	struct bench *b = test->priv;

	KUNIT_ASSERT_EQ(test, map_at(b, IOVA, 0, 4096, FL_MAP_DEVICE_READS), 0);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA, 8), (int)FL_STATUS_SC);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_WRITE, IOVA, 8), (int)FL_STATUS_UR);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_FETCHADD, IOVA, 8), (int)FL_STATUS_UR);
}

static void who_may_not_gets_nothing(struct kunit *test)
{
	struct bench *b = test->priv;

	KUNIT_ASSERT_EQ(test, map_at(b, IOVA, 0, 4096, BOTH), 0);
	b->f.bus_master = false;
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA, 8), (int)FL_STATUS_UR);
	b->f.bus_master = true;
	b->f.resetting = true;
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA, 8), (int)FL_STATUS_UR);
	b->f.resetting = false;
	b->domain.revoked = true;
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA, 8), (int)FL_STATUS_UR);
	b->domain.revoked = false;
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA, 8), (int)FL_STATUS_SC);
}

static void nonsense_is_refused(struct kunit *test)
{
	struct bench *b = test->priv;
	const u64 end = BIT_ULL(FL_IOVA_BITS);

	KUNIT_EXPECT_EQ(test, map_at(b, IOVA, 0, 0, BOTH), -EINVAL);
	KUNIT_EXPECT_EQ(test, map_at(b, IOVA, 0, 4096, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, map_at(b, IOVA, 0, 4096, BOTH << 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, map_at(b, IOVA + 1, 0, 16, BOTH), -EINVAL);
	KUNIT_EXPECT_EQ(test, map_at(b, end - 4096, 0, 8192, BOTH), -EINVAL);
	KUNIT_EXPECT_EQ(test, map_at(b, U64_MAX - 4095, 0, 8192, BOTH), -EINVAL);
	KUNIT_ASSERT_EQ(test, map_at(b, IOVA, 0, 4096, BOTH), 0);
	KUNIT_EXPECT_EQ(test, map_at(b, IOVA, 8, 8, BOTH), -EEXIST);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, IOVA, 0), (int)FL_STATUS_UR);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_READ, U64_MAX - 4, 8), (int)FL_STATUS_UR);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_CAS, IOVA + 4, 8), (int)FL_STATUS_UR);
	KUNIT_EXPECT_EQ(test, (int)transfer(b, FL_DMA_CAS + 1, IOVA, 8), (int)FL_STATUS_UR);
	KUNIT_EXPECT_EQ(test, fl_table_unmap(b->table, U64_MAX - 4095, 8192), 0ULL);
}

/* Nodes come and go with what is in them; kmemleak and the count of spares look on. */
static void tables_give_back(struct kunit *test)
{
	struct bench *b = test->priv;
	unsigned int i;

	for (i = 0; i < 4096; i++) {
		u64 iova = (u64)i * 0x0f1234567000ULL & (BIT_ULL(FL_IOVA_BITS) - 1);

		KUNIT_ASSERT_EQ(test, map_at(b, iova, 0, 4096, BOTH), 0);
		KUNIT_ASSERT_EQ(test, fl_table_address(b->table, iova + 5),
				virt_to_phys(b->pages) + 5);
		KUNIT_ASSERT_EQ(test, fl_table_unmap(b->table, iova, 4096), 4096ULL);
		KUNIT_ASSERT_EQ(test, fl_table_address(b->table, iova), (phys_addr_t)0);
	}
	for (i = 0; i < BIT(ROOT_BITS); i++)
		KUNIT_ASSERT_NULL(test, b->table->root[i]);
	KUNIT_EXPECT_LE(test, b->table->spares_count, (unsigned int)SPARES_KEPT);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(bytes_outside_stay),
	KUNIT_CASE(directions_are_kept),
	KUNIT_CASE(who_may_not_gets_nothing),
	KUNIT_CASE(nonsense_is_refused),
	KUNIT_CASE(tables_give_back),
	{}
};

struct kunit_suite fl_domain_suite = {
	.name = "farlane_domain", .init = set_up, .exit = take_down, .test_cases = cases,
};

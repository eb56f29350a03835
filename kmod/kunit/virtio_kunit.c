// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: configuration spaces of virtio functions, honest ones and others. Hands on: whether
 * virtio.c finds the common configuration, and zeros what a driver waits for and nothing else.
 * Owns: nothing.
 */
#include "../virtio.c"

#include "suites.h"

#define AT_OTHER 0x40
#define AT_COMMON 0x60
#define COMMON 0x1000 /* of BAR 4 */
#define COMMON_BYTES 60

struct function_under_test {
	struct fl_function f;
	u8 config[FL_CONFIG_BYTES];
};

static void put_capability(u8 *config, unsigned int at, u8 next, u8 type)
{
	config[at + PCI_CAP_LIST_ID] = PCI_CAP_ID_VNDR;
	config[at + PCI_CAP_LIST_NEXT] = next;
	config[at + VIRTIO_PCI_CAP_LEN] = sizeof(struct virtio_pci_cap);
	config[at + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	config[at + VIRTIO_PCI_CAP_BAR] = 4;
	put_unaligned_le32(COMMON, config + at + VIRTIO_PCI_CAP_OFFSET);
	put_unaligned_le32(COMMON_BYTES, config + at + VIRTIO_PCI_CAP_LENGTH);
}

static int a_console(struct kunit *test)
{
	struct function_under_test *u = kunit_kzalloc(test, sizeof(*u), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, u);
	test->priv = u;
	u->f.config = u->config;
	put_unaligned_le16(VENDOR, u->config + PCI_VENDOR_ID);
	put_unaligned_le16(0x1043, u->config + PCI_DEVICE_ID);
	u->config[PCI_CAPABILITY_LIST] = AT_OTHER;
	put_capability(u->config, AT_OTHER, AT_COMMON, VIRTIO_PCI_CAP_ISR_CFG);
	put_capability(u->config, AT_COMMON, 0, VIRTIO_PCI_CAP_COMMON_CFG);
	return 0;
}

/* What a read of the function answers once it is gone: all-ones but for what is waited for. */
static u64 answer(struct function_under_test *u, unsigned int bar, u64 offset, unsigned int bytes)
{
	u8 into[8];
	u64 value = 0;

	memset(into, 0xff, sizeof(into));
	fl_virtio_settle(&u->f, bar, offset, into, bytes);
	memcpy(&value, into, bytes);
	return value;
}

static void what_is_waited_for_is_zero(struct kunit *test)
{
	struct function_under_test *u = test->priv;

	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + VIRTIO_PCI_COMMON_STATUS, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0ULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + QUEUE_RESET, 2), 0ULL);
	/* a wider read, and one of its first byte only */
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + 16, 8), 0xffffff00ffffffffULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + VIRTIO_PCI_COMMON_Q_ENABLE - 1, 2), 0xffULL);
}

static void all_else_is_all_ones(struct kunit *test)
{
	struct function_under_test *u = test->priv;

	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, answer(u, 3, COMMON + VIRTIO_PCI_COMMON_STATUS, 1), 0xffULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + VIRTIO_PCI_COMMON_STATUS - 1, 1), 0xffULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, COMMON + VIRTIO_PCI_COMMON_STATUS + 1, 1), 0xffULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, VIRTIO_PCI_COMMON_STATUS, 1), 0xffULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, ~0ULL - 3, 4), 0xffffffffULL);
}

static void others_are_none_of_it(struct kunit *test)
{
	struct function_under_test *u = test->priv;

	put_unaligned_le16(0x1b36, u->config + PCI_VENDOR_ID);
	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, u->f.virtio.bytes, 0U);
	KUNIT_EXPECT_EQ(test, answer(u, 0, VIRTIO_PCI_COMMON_STATUS, 1), 0xffULL);
	put_unaligned_le16(VENDOR, u->config + PCI_VENDOR_ID);
	put_unaligned_le16(LAST_DEVICE + 1, u->config + PCI_DEVICE_ID);
	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, u->f.virtio.bytes, 0U);
}

static void lies_are_no_harm(struct kunit *test)
{
	struct function_under_test *u = test->priv;
	u8 *common = u->config + AT_COMMON;

	common[VIRTIO_PCI_CAP_BAR] = PCI_STD_NUM_BARS;
	common[PCI_CAP_LIST_NEXT] = AT_OTHER; /* and the list loops */
	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, u->f.virtio.bytes, 0U);
	common[VIRTIO_PCI_CAP_BAR] = 4;
	common[VIRTIO_PCI_CAP_LEN] = sizeof(struct virtio_pci_cap) - 1;
	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, u->f.virtio.bytes, 0U);
	/* at the end of 4 GiB, and too short for the last register */
	common[VIRTIO_PCI_CAP_LEN] = sizeof(struct virtio_pci_cap);
	put_unaligned_le32(U32_MAX, common + VIRTIO_PCI_CAP_OFFSET);
	put_unaligned_le32(QUEUE_RESET, common + VIRTIO_PCI_CAP_LENGTH);
	fl_virtio_find(&u->f);
	KUNIT_EXPECT_EQ(test, answer(u, 4, (u64)U32_MAX + VIRTIO_PCI_COMMON_STATUS, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, answer(u, 4, (u64)U32_MAX + QUEUE_RESET, 2), 0xffffULL);
}

static void any_list_ends(struct kunit *test)
{
	struct function_under_test *u = test->priv;
	unsigned int at;

	for (at = 0; at < PCI_CFG_SPACE_SIZE; at++) {
		u->config[PCI_CAPABILITY_LIST] = at;
		fl_virtio_find(&u->f); /* KASAN looks on */
	}
	KUNIT_EXPECT_LE(test, u->f.virtio.bar, 5U);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_is_waited_for_is_zero),
	KUNIT_CASE(all_else_is_all_ones),
	KUNIT_CASE(others_are_none_of_it),
	KUNIT_CASE(lies_are_no_harm),
	KUNIT_CASE(any_list_ends),
	{}
};

struct kunit_suite fl_virtio_suite = {
	.name = "farlane_virtio", .init = a_console, .test_cases = cases,
};

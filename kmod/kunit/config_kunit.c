// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: configuration spaces, honest ones and others. Hands on: whether
 * config_check.c takes them, and what it makes of them. Owns: nothing.
 */
#include "../config_check.c"

#include "suites.h"

#define AT_EXP 0x40
#define AT_MSIX 0x80
#define AT_PM 0x90
#define AT_AER 0x100

/* hostbridge.c has the one of this host */
resource_size_t fl_window_size(void)
{
	return SZ_1G;
}

struct device_under_test {
	struct fl_function f;
	struct fl_config_map map;
	u8 image[FL_CONFIG_BYTES];
};

static void put16(struct device_under_test *d, int at, u16 value)
{
	put_unaligned_le16(value, d->image + at);
}

static void put32(struct device_under_test *d, int at, u32 value)
{
	put_unaligned_le32(value, d->image + at);
}

static void put_capability(struct device_under_test *d, int at, u8 id, u8 next)
{
	d->image[at] = id;
	d->image[at + 1] = next;
}

/* An endpoint with PCI Express, 16 vectors, power management and AER. */
static int honest(struct kunit *test)
{
	struct device_under_test *d = kunit_kzalloc(test, sizeof(*d), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, d);
	test->priv = d;
	KUNIT_ASSERT_EQ(test, fl_regs_alloc(&d->map.regs), 0);
	d->map.f = &d->f;
	strscpy(d->f.name, "kunit", sizeof(d->f.name));
	d->f.bars[0].size = SZ_16K;
	d->f.bars[2].size = SZ_32M;
	d->f.bars[2].flags = FL_BAR_FLAG_64;
	put16(d, PCI_VENDOR_ID, 0x1b36);
	put16(d, PCI_DEVICE_ID, 0x0010);
	put16(d, PCI_STATUS, PCI_STATUS_CAP_LIST);
	put32(d, PCI_CLASS_REVISION, 0x01080202);
	d->image[PCI_CAPABILITY_LIST] = AT_EXP;
	put_capability(d, AT_EXP, PCI_CAP_ID_EXP, AT_MSIX);
	put16(d, AT_EXP + PCI_EXP_FLAGS, 2);
	put_capability(d, AT_MSIX, PCI_CAP_ID_MSIX, AT_PM);
	put16(d, AT_MSIX + PCI_MSIX_FLAGS, 15);
	put32(d, AT_MSIX + PCI_MSIX_TABLE, 0x2000);
	put32(d, AT_MSIX + PCI_MSIX_PBA, 0x3000);
	put_capability(d, AT_PM, PCI_CAP_ID_PM, 0);
	put32(d, AT_AER, PCI_EXT_CAP_ID_ERR | 2 << 16);
	return 0;
}

static void honest_end(struct kunit *test)
{
	struct device_under_test *d = test->priv;

	if (d)
		fl_regs_free(&d->map.regs);
}

static int checked(struct device_under_test *d)
{
	return fl_config_check(&d->map, d->image, sizeof(d->image));
}

static void an_honest_device_is_taken(struct kunit *test)
{
	struct device_under_test *d = test->priv;

	KUNIT_ASSERT_EQ(test, checked(d), 0);
	KUNIT_EXPECT_EQ(test, d->map.at.exp, (u16)AT_EXP);
	KUNIT_EXPECT_EQ(test, d->map.at.msix, (u16)AT_MSIX);
	KUNIT_EXPECT_EQ(test, d->map.at.pm, (u16)AT_PM);
	KUNIT_EXPECT_EQ(test, d->map.at.aer, (u16)AT_AER);
	KUNIT_EXPECT_EQ(test, d->f.config_bytes, (u32)FL_CONFIG_BYTES);
	KUNIT_EXPECT_TRUE(test, test_bit(PCI_COMMAND / 4, d->map.forward));
	/* what a driver sees when it sizes BAR 0 and BAR 2, and that BAR 2 is prefetchable now */
	KUNIT_EXPECT_EQ(test, get_unaligned_le32(d->map.regs.writable + PCI_BASE_ADDRESS_0),
			(u32)~(SZ_16K - 1));
	KUNIT_EXPECT_EQ(test, fl_regs_get32(&d->map.regs, PCI_BASE_ADDRESS_2),
			(u32)(PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH));
}

static void a_device_without_aer_gets_one(struct kunit *test)
{
	struct device_under_test *d = test->priv;

	put32(d, AT_AER, 0);
	KUNIT_ASSERT_EQ(test, checked(d), 0);
	KUNIT_EXPECT_EQ(test, d->map.at.aer, (u16)AT_AER);
	KUNIT_EXPECT_EQ(test, fl_regs_get32(&d->map.regs, AT_AER) & 0xffff,
			(u32)PCI_EXT_CAP_ID_ERR);
}

static void what_is_not_carried_is_hidden(struct kunit *test)
{
	struct device_under_test *d = test->priv;

	put32(d, AT_AER, PCI_EXT_CAP_ID_SRIOV | 1 << 16);
	put_capability(d, AT_PM, 0x14 /* Enhanced Allocation */, 0);
	KUNIT_ASSERT_EQ(test, checked(d), 0);
	KUNIT_EXPECT_EQ(test, d->map.at.pm, (u16)0);
	KUNIT_EXPECT_EQ(test, d->map.regs.value[AT_MSIX + 1], (u8)0);
	KUNIT_EXPECT_NE(test, fl_regs_get32(&d->map.regs, AT_AER) & 0xffff,
			(u32)PCI_EXT_CAP_ID_SRIOV);
}

/* One lie each: it is refused, and nothing else goes wrong (KASAN looks on). */
enum lie {
	LIE_BRIDGE, LIE_NOBODY, LIE_BAR_SIZE, LIE_BAR_SMALL, LIE_BAR_HUGE, LIE_BAR_UPPER, LIE_LOOP,
	LIE_INTO_HEADER, LIE_UNALIGNED, LIE_OVERLAP, LIE_TOO_LONG, LIE_TWICE, LIE_TABLE_BAR,
	LIE_TABLE_END, LIE_TABLE_PBA, LIE_ROOT_PORT, LIE_EXTENDED_LOOP, LIE_EXTENDED_LOW,
	LIE_EXTENDED_LONG, LIES,
};

static void tell(struct device_under_test *d, enum lie lie)
{
	switch (lie) {
	case LIE_BRIDGE: d->image[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE; break;
	case LIE_NOBODY: put16(d, PCI_VENDOR_ID, 0xffff); break;
	case LIE_BAR_SIZE: d->f.bars[0].size = SZ_16K + 1; break;
	case LIE_BAR_SMALL: d->f.bars[0].size = 8; break;
	case LIE_BAR_HUGE: d->f.bars[2].size = SZ_1G; break;
	case LIE_BAR_UPPER: d->f.bars[3].size = SZ_4K; break;
	case LIE_LOOP: d->image[AT_PM + 1] = AT_EXP; break;
	case LIE_INTO_HEADER: d->image[AT_PM + 1] = 0x10; break;
	case LIE_UNALIGNED: d->image[AT_PM + 1] = 0xa2; break;
	case LIE_OVERLAP:
		d->image[AT_PM + 1] = AT_EXP + 8;
		d->image[AT_EXP + 8] = PCI_CAP_ID_VNDR;
		break;
	case LIE_TOO_LONG:
		d->image[AT_PM + 1] = 0xfc;
		put_capability(d, 0xfc, PCI_CAP_ID_VNDR, 0);
		d->image[0xfe] = 0xff;
		break;
	case LIE_TWICE:
		d->image[AT_PM + 1] = 0xb0;
		put_capability(d, 0xb0, PCI_CAP_ID_PM, 0);
		break;
	case LIE_TABLE_BAR: put32(d, AT_MSIX + PCI_MSIX_TABLE, 5); break;
	case LIE_TABLE_END: put32(d, AT_MSIX + PCI_MSIX_TABLE, 0x3f08); break;
	case LIE_TABLE_PBA: put32(d, AT_MSIX + PCI_MSIX_PBA, 0x20f8); break;
	case LIE_ROOT_PORT: put16(d, AT_EXP + PCI_EXP_FLAGS, 0x42); break;
	case LIE_EXTENDED_LOOP:
		put32(d, AT_AER, PCI_EXT_CAP_ID_ERR | 2 << 16 | AT_AER << 20);
		break;
	case LIE_EXTENDED_LOW:
		put32(d, AT_AER, PCI_EXT_CAP_ID_ERR | 2 << 16 | 0x80 << 20);
		break;
	case LIE_EXTENDED_LONG:
		put32(d, AT_AER, PCI_EXT_CAP_ID_VNDR | 1 << 16);
		put32(d, AT_AER + 4, 0xfff00001);
		break;
	case LIES: break;
	}
}

static void lies_are_refused(struct kunit *test)
{
	struct device_under_test *d = test->priv;
	enum lie lie;

	for (lie = 0; lie < LIES; lie++) {
		fl_regs_free(&d->map.regs);
		test->priv = NULL; /* KUnit frees it with the test */
		honest(test);
		d = test->priv;
		tell(d, lie);
		KUNIT_EXPECT_EQ_MSG(test, checked(d), -EINVAL, "lie %d", lie);
	}
}

static void any_bytes_end(struct kunit *test)
{
	struct device_under_test *d = test->priv;
	unsigned int round, i;

	/* a fixed sequence: what fails once fails always */
	u32 state = 1;

	for (round = 0; round < 2000; round++) {
		for (i = 0; i < 8; i++) {
			state = state * 1664525 + 1013904223;
			/* half of it in the lists' first bytes */
			d->image[state >> (i % 2 ? 20 : 24)] = state >> 8;
		}
		memset(&d->map.at, 0, sizeof(d->map.at));
		checked(d);
		KUNIT_ASSERT_LE(test, d->f.config_bytes, (u32)FL_CONFIG_BYTES);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(an_honest_device_is_taken),
	KUNIT_CASE(a_device_without_aer_gets_one),
	KUNIT_CASE(what_is_not_carried_is_hidden),
	KUNIT_CASE(lies_are_refused),
	KUNIT_CASE(any_bytes_end),
	{}
};

struct kunit_suite fl_config_suite = {
	.name = "farlane_config", .init = honest, .exit = honest_end, .test_cases = cases,
};

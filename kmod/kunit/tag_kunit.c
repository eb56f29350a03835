// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: requests and answers, right and wrong ones. Hands on: whether tag.c gives
 * each answer to the one who asked. Owns: nothing.
 */
#include "../tag.c"

#include "suites.h"

static int make_tags(struct kunit *test)
{
	struct fl_tags *tags = kunit_kzalloc(test, sizeof(*tags), GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tags);
	fl_tags_init(tags);
	test->priv = tags;
	return 0;
}

static struct fl_tag *ask(struct fl_tags *tags, enum fl_tag_owner owner, void *into, u32 bytes)
{
	struct fl_tag *tag = fl_tag_take(tags);

	if (!tag)
		return NULL;
	tag->owner = owner;
	tag->into = into;
	tag->bytes = bytes;
	tag->deadline_ns = 100;
	fl_tag_arm(tags, tag);
	return tag;
}

static struct fl_slot answer_to(const struct fl_tag *tag, u64 value, u32 bytes)
{
	struct fl_slot slot = { .cookie = tag->cookie, .status = FL_STATUS_SC };

	slot.tlp.type = FL_TLP_CPLD;
	slot.tlp.length_bytes = cpu_to_le16(bytes);
	memcpy(slot.u.payload, &value, sizeof(value));
	return slot;
}

static void an_answer_reaches_who_asked(struct kunit *test)
{
	struct fl_tags *tags = test->priv;
	u32 first = 0, second = 0;
	struct fl_tag *a = ask(tags, FL_OWNER_SPINS, &first, 4);
	struct fl_tag *b = ask(tags, FL_OWNER_SPINS, &second, 4);
	struct fl_slot slot = answer_to(b, 0x22222222, 4);
	LIST_HEAD(finished);

	KUNIT_EXPECT_TRUE(test, fl_tag_answer(tags, &slot, NULL, &finished));
	KUNIT_EXPECT_EQ(test, second, 0x22222222U);
	KUNIT_EXPECT_EQ(test, first, 0U);
	KUNIT_EXPECT_EQ(test, (int)b->state, (int)FL_TAG_DONE);
	KUNIT_EXPECT_EQ(test, (int)a->state, (int)FL_TAG_WAITING);
	KUNIT_EXPECT_FALSE_MSG(test, fl_tag_answer(tags, &slot, NULL, &finished), "a second time");
	KUNIT_EXPECT_TRUE(test, list_empty(&finished));
}

static void lengths_and_types_have_to_fit(struct kunit *test)
{
	struct fl_tags *tags = test->priv;
	u32 value = 7;
	struct fl_tag *tag = ask(tags, FL_OWNER_SPINS, &value, 4);
	struct fl_slot slot = answer_to(tag, ~0ULL, 8);
	LIST_HEAD(finished);

	KUNIT_EXPECT_TRUE(test, fl_tag_answer(tags, &slot, NULL, &finished));
	KUNIT_EXPECT_EQ(test, (int)tag->status, (int)FL_STATUS_MALFORMED);
	KUNIT_EXPECT_EQ(test, value, 7U);
	KUNIT_EXPECT_EQ(test, (int)fl_checked_status(0xffff), (int)FL_STATUS_MALFORMED);
	KUNIT_EXPECT_EQ(test, (int)fl_checked_status(FL_STATUS_UR), (int)FL_STATUS_UR);
}

static void a_late_answer_touches_nobody(struct kunit *test)
{
	struct fl_tags *tags = test->priv;
	u32 value = 7;
	struct fl_tag *tag = ask(tags, FL_OWNER_SPINS, &value, 4);
	struct fl_slot late = answer_to(tag, 1, 4);
	LIST_HEAD(finished);

	fl_tag_quarantine(tags, tag);
	KUNIT_EXPECT_EQ(test, (int)tag->state, (int)FL_TAG_QUARANTINED);
	KUNIT_EXPECT_FALSE(test, fl_tag_answer(tags, &late, NULL, &finished));
	KUNIT_EXPECT_EQ(test, value, 7U);
	KUNIT_EXPECT_EQ(test, (int)tag->state, (int)FL_TAG_FREE);
}

static void used_again_the_cookie_is_another(struct kunit *test)
{
	struct fl_tags *tags = test->priv;
	u64 old[FL_TAGS / 8];
	LIST_HEAD(finished);
	u32 value = 7;
	unsigned int i;

	for (i = 0; i < FL_TAGS; i++) {
		struct fl_tag *tag = ask(tags, FL_OWNER_SPINS, &value, 4);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tag);
		if (i < ARRAY_SIZE(old))
			old[i] = tag->cookie;
		fl_tag_quarantine(tags, tag);
	}
	/* all are quarantined: the oldest ones are taken, and their old answers are nobody's */
	for (i = 0; i < ARRAY_SIZE(old); i++) {
		struct fl_tag *tag = ask(tags, FL_OWNER_SPINS, &value, 4);
		struct fl_slot late;

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tag);
		KUNIT_EXPECT_NE(test, tag->cookie, old[i]);
		late = answer_to(tag, 1, 4);
		late.cookie = old[i];
		KUNIT_EXPECT_FALSE(test, fl_tag_answer(tags, &late, NULL, &finished));
		KUNIT_EXPECT_EQ(test, (int)tag->state, (int)FL_TAG_WAITING);
	}
	KUNIT_EXPECT_EQ(test, value, 7U);
}

static void time_ends_calls_and_nobodys(struct kunit *test)
{
	struct fl_tags *tags = test->priv;
	u32 value;
	struct fl_tag *spins = ask(tags, FL_OWNER_SPINS, &value, 4);
	struct fl_tag *call = ask(tags, FL_OWNER_CALL, NULL, 4);
	struct fl_tag *none = ask(tags, FL_OWNER_NONE, NULL, 0);
	LIST_HEAD(finished);

	KUNIT_EXPECT_EQ(test, tags->asynchronous, 2U);
	KUNIT_EXPECT_EQ(test, fl_tags_expire(tags, 99, &finished), 0U);
	KUNIT_EXPECT_EQ(test, fl_tags_expire(tags, 100, &finished), 2U);
	KUNIT_EXPECT_EQ(test, tags->asynchronous, 0U);
	KUNIT_EXPECT_PTR_EQ(test, list_first_entry(&finished, struct fl_tag, node), call);
	KUNIT_EXPECT_EQ(test, (int)call->status, (int)FL_STATUS_TIMEOUT);
	KUNIT_EXPECT_EQ(test, (int)none->state, (int)FL_TAG_QUARANTINED);
	KUNIT_EXPECT_EQ(test, (int)spins->state, (int)FL_TAG_WAITING);
	fl_tags_fail(tags, FL_STATUS_DEVICE_RESET, &finished);
	KUNIT_EXPECT_EQ(test, (int)spins->status, (int)FL_STATUS_DEVICE_RESET);
	KUNIT_EXPECT_EQ(test, (int)none->state, (int)FL_TAG_FREE);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(an_answer_reaches_who_asked),
	KUNIT_CASE(lengths_and_types_have_to_fit),
	KUNIT_CASE(a_late_answer_touches_nobody),
	KUNIT_CASE(used_again_the_cookie_is_another),
	KUNIT_CASE(time_ends_calls_and_nobodys),
	{}
};

struct kunit_suite fl_tag_suite = {
	.name = "farlane_tag", .init = make_tags, .test_cases = cases,
};

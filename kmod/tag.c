// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: requests that are to be named, answers of the daemon. Hands on: each answer to the one
 * who asked. Owns: the tags of one function. The caller holds the lock of the complete ring.
 *
 * A tag whose owner gave up stays quarantined until its late answer comes: only then is it certain
 * that the daemon will not write to its place in the staging area any more. When no tag is free,
 * the oldest of those without such a place is used again; the cookie keeps the answers apart.
 */
#include "rings.h"

#include <linux/string.h>

#define USE_STEP ((u64)FL_TAGS)

static_assert((FL_TAGS & (FL_TAGS - 1)) == 0);

enum fl_status fl_checked_status(u32 code)
{
	if (likely(code == FL_STATUS_SC))
		return FL_STATUS_SC;
	switch (code) {
#define FL_STATUS_CASE(NAME, ...) case FL_STATUS_##NAME:
		FL_STATUS_TABLE(FL_STATUS_CASE)
#undef FL_STATUS_CASE
		return (enum fl_status)code;
	default:
		return FL_STATUS_MALFORMED;
	}
}

void fl_tags_init(struct fl_tags *tags)
{
	unsigned int i;

	INIT_LIST_HEAD(&tags->quarantined);
	atomic_set(&tags->staged, 0);
	for (i = 0; i < FL_TAGS; i++) {
		tags->tag[i].cookie = i;
		INIT_LIST_HEAD(&tags->tag[i].node);
		tags->free[i] = i;
	}
	tags->free_count = FL_TAGS;
}

static struct fl_tag *oldest_without_staging(struct fl_tags *tags)
{
	struct fl_tag *tag;

	list_for_each_entry(tag, &tags->quarantined, node)
		if (!tag->staged)
			return tag;
	return NULL;
}

struct fl_tag *fl_tag_take(struct fl_tags *tags)
{
	struct fl_tag *tag;

	if (tags->free_count) {
		tag = &tags->tag[tags->free[--tags->free_count]];
	} else {
		tag = oldest_without_staging(tags);
		if (!tag)
			return NULL;
		list_del_init(&tag->node);
	}
	tag->cookie += USE_STEP;
	tag->status = FL_STATUS_TIMEOUT;
	tag->staged = false;
	WRITE_ONCE(tag->state, FL_TAG_TAKEN);
	return tag;
}

static void leave_flight(struct fl_tags *tags, struct fl_tag *tag)
{
	if (tag->state == FL_TAG_WAITING && tag->owner != FL_OWNER_SPINS)
		tags->asynchronous--;
}

static void forget_staging(struct fl_tags *tags, struct fl_tag *tag)
{
	if (tag->staged && tag->state != FL_TAG_TAKEN)
		atomic_dec(&tags->staged);
	tag->staged = false;
}

void fl_tag_give_back(struct fl_tags *tags, struct fl_tag *tag)
{
	leave_flight(tags, tag);
	forget_staging(tags, tag);
	tag->into = NULL;
	if (!list_empty(&tag->node))
		list_del_init(&tag->node);
	if (WARN_ON_ONCE(tag->state == FL_TAG_FREE))
		return;
	WRITE_ONCE(tag->state, FL_TAG_FREE);
	tags->free[tags->free_count++] = tag - tags->tag;
}

void fl_tag_quarantine(struct fl_tags *tags, struct fl_tag *tag)
{
	leave_flight(tags, tag);
	tag->into = NULL;
	WRITE_ONCE(tag->state, FL_TAG_QUARANTINED);
	list_move_tail(&tag->node, &tags->quarantined);
}

/* Its owner sees the answer; a tag without one is free. */
static void finish(struct fl_tags *tags, struct fl_tag *tag, enum fl_status status,
		   struct list_head *finished)
{
	tag->status = status;
	if (tag->owner == FL_OWNER_NONE) {
		fl_tag_give_back(tags, tag);
		return;
	}
	leave_flight(tags, tag);
	forget_staging(tags, tag);
	if (tag->owner == FL_OWNER_CALL)
		list_add_tail(&tag->node, finished);
	/* the answer before the word that it is there */
	smp_store_release(&tag->state, FL_TAG_DONE);
}

static enum fl_status take_data(struct fl_tag *tag, const struct fl_slot *slot, const u8 *staging)
{
	const u8 *from = tag->staged ? staging + tag->staging_offset : slot->u.payload;

	if (!tag->bytes)
		return FL_STATUS_SC;
	if (slot->tlp.type != FL_TLP_CPLD || le16_to_cpu(slot->tlp.length_bytes) != tag->bytes)
		return FL_STATUS_MALFORMED;
	if (tag->owner == FL_OWNER_SPINS)
		fl_copy_payload(tag->into, from, tag->bytes);
	else if (tag->owner == FL_OWNER_CALL)
		fl_copy_payload(tag->data, from, tag->bytes);
	return FL_STATUS_SC;
}

bool fl_tag_answer(struct fl_tags *tags, const struct fl_slot *slot, const u8 *staging,
		   struct list_head *finished)
{
	struct fl_tag *tag = &tags->tag[slot->cookie & (FL_TAGS - 1)];
	enum fl_status status = fl_checked_status(slot->status);

	if (tag->cookie != slot->cookie)
		return false;
	if (tag->state == FL_TAG_QUARANTINED)
		fl_tag_give_back(tags, tag);
	if (tag->state != FL_TAG_WAITING)
		return false;
	if (status == FL_STATUS_SC)
		status = take_data(tag, slot, staging);
	finish(tags, tag, status, finished);
	return true;
}

void fl_tags_fail(struct fl_tags *tags, enum fl_status status, struct list_head *finished)
{
	struct fl_tag *tag, *next;

	for (tag = tags->tag; tag < tags->tag + FL_TAGS; tag++)
		if (tag->state == FL_TAG_WAITING)
			finish(tags, tag, status, finished);
	list_for_each_entry_safe(tag, next, &tags->quarantined, node)
		fl_tag_give_back(tags, tag);
}

unsigned int fl_tags_expire(struct fl_tags *tags, u64 now_ns, struct list_head *finished)
{
	unsigned int expired = 0;
	struct fl_tag *tag;

	if (!tags->asynchronous)
		return 0;
	for (tag = tags->tag; tag < tags->tag + FL_TAGS; tag++) {
		if (tag->state != FL_TAG_WAITING || tag->owner == FL_OWNER_SPINS ||
		    now_ns < tag->deadline_ns)
			continue;
		expired++;
		if (tag->owner == FL_OWNER_CALL) {
			/* frees the tag without quarantine: it has no place in the staging area */
			finish(tags, tag, FL_STATUS_TIMEOUT, finished);
		} else {
			fl_tag_quarantine(tags, tag);
		}
	}
	return expired;
}

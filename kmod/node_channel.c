// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: calls of the daemon about the application that has a node open. Hands on: its channel, and
 * bells and interrupts to its eventfds. Owns: the memory of channels.
 *
 * Here nothing waits for an application.
 */
#include <linux/eventfd.h>
#include <linux/vmalloc.h>

#include "chardev.h"
#include "compat/class.h"
#include "compat/eventfd.h"
#include "node.h"

void fl_node_free_channel(struct fl_node *node)
{
	vfree(node->channel.memory);
	memset(&node->channel, 0, sizeof(node->channel));
}

static bool is_ring_size(u32 entries)
{
	return entries >= FL_RING_MIN_ENTRIES && entries <= FL_RING_MAX_ENTRIES &&
	       is_power_of_2(entries);
}

int fl_node_make_channel(struct fl_node *node, const struct fl_ioc_channel_create *ask)
{
	struct fl_app_channel c = {};
	size_t slots;

	if (!is_ring_size(ask->submit_entries) || !is_ring_size(ask->complete_entries) ||
	    ask->staging_bytes > FL_MAX_STAGING_BYTES || !PAGE_ALIGNED(ask->staging_bytes))
		return -EINVAL;
	slots = (size_t)(ask->submit_entries + ask->complete_entries) * sizeof(struct fl_slot);
	c.bytes = PAGE_ALIGN(FL_CHANNEL_HEADER_BYTES + slots) + ask->staging_bytes;
	c.memory = vmalloc_user(c.bytes);
	if (!c.memory)
		return -ENOMEM;
	c.submit_entries = ask->submit_entries;
	c.complete_entries = ask->complete_entries;
	c.staging_bytes = ask->staging_bytes;
	c.generation = ++node->generation;
	mutex_lock(&node->channel_lock);
	node->channel = c;
	mutex_unlock(&node->channel_lock);
	return 0;
}

static int map_channel(struct fl_node *node, struct vm_area_struct *vma)
{
	int error = -EINVAL;

	mutex_lock(&node->channel_lock);
	if (node->channel.memory && (vma->vm_flags & VM_SHARED)) {
		fl_compat_vm_flags_set(vma, VM_DONTCOPY);
		error = remap_vmalloc_range(vma, node->channel.memory, 0);
	}
	mutex_unlock(&node->channel_lock);
	return error;
}

int fl_node_mmap(struct fl_node *node, struct vm_area_struct *vma)
{
	return vma->vm_pgoff ? -EINVAL : map_channel(node, vma);
}

static int get_channel(struct fl_node *node, struct fl_ioc_channel_get *out)
{
	const struct fl_app_channel *c = &node->channel;

	if (!c->memory)
		return -ENOENT;
	out->state = node->use == FL_NODE_HELD ? FL_CHANNEL_OPEN : FL_CHANNEL_CLOSED;
	out->generation = c->generation;
	out->submit_entries = c->submit_entries;
	out->complete_entries = c->complete_entries;
	out->staging_bytes = c->staging_bytes;
	out->channel_bytes = c->bytes;
	return 0;
}

int fl_node_channel_get(struct fl_function *f, struct fl_ioc_channel_get *out)
{
	struct fl_node *node = fl_node_of(f);
	int error;

	if (!node)
		return -ENOENT;
	mutex_lock(&node->channel_lock);
	error = get_channel(node, out);
	mutex_unlock(&node->channel_lock);
	fl_node_put(node);
	return error;
}

int fl_node_channel_release(struct fl_function *f, u32 generation)
{
	struct fl_node *node = fl_node_of(f);
	int error = 0;

	if (!node)
		return -ENOENT;
	mutex_lock(&node->channel_lock);
	if (!node->channel.memory || node->channel.generation != generation)
		error = -ESTALE;
	else if (node->use == FL_NODE_HELD)
		error = -EBUSY;
	else
		fl_node_free_channel(node);
	if (!error && node->use == FL_NODE_CLOSING)
		node->use = FL_NODE_FREE;
	mutex_unlock(&node->channel_lock);
	fl_node_put(node);
	return error;
}

int fl_node_channel_mmap(struct fl_function *f, struct vm_area_struct *vma)
{
	struct fl_node *node = fl_node_of(f);
	unsigned long offset = vma->vm_pgoff;
	int error;

	if (!node)
		return -EINVAL;
	error = map_channel(node, vma);
	vma->vm_pgoff = offset;
	fl_node_put(node);
	return error;
}

int fl_node_ring_bell(struct fl_function *f)
{
	struct fl_node *node = fl_node_of(f);
	unsigned long flags;

	if (!node)
		return -ENOENT;
	spin_lock_irqsave(&node->bells_lock, flags);
	if (node->complete_bell)
		fl_compat_eventfd_signal(node->complete_bell);
	spin_unlock_irqrestore(&node->bells_lock, flags);
	fl_node_put(node);
	return 0;
}

/* true: the function has a node, its vectors are the application's business. */
bool fl_node_interrupt(struct fl_function *f, u32 first, u64 mask)
{
	struct fl_node *node = fl_node_of(f);
	unsigned int bit, raised = 0;
	unsigned long flags;

	if (!node)
		return false;
	spin_lock_irqsave(&node->bells_lock, flags);
	for (bit = 0; bit < 64; bit++) {
		if (!(mask & BIT_ULL(bit)) || first + bit >= FL_NODE_VECTORS ||
		    !node->vectors[first + bit])
			continue;
		fl_compat_eventfd_signal(node->vectors[first + bit]);
		raised++;
	}
	spin_unlock_irqrestore(&node->bells_lock, flags);
	atomic64_add(raised, &f->counters.interrupts);
	atomic64_add(hweight64(mask) - raised, &f->counters.interrupts_refused);
	fl_node_put(node);
	return true;
}

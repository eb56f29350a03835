// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: functions that come and go. Hands on: their counters and configuration space to
 * root, under /sys/kernel/debug/farlane/<name>. Owns: the files. Nothing depends on them:
 * when debugfs is not there, neither are they.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "farlane.h"

static struct dentry *root;

static const char *state_name(enum fl_function_state state)
{
	switch (state) {
	case FL_FUNCTION_LIVE:
		return "live";
	case FL_FUNCTION_ORPHANED:
		return "orphaned";
	case FL_FUNCTION_DOWN:
		return "down";
	case FL_FUNCTION_REMOVING:
		return "removing";
	}
	return "new";
}

static int status_show(struct seq_file *s, void *unused)
{
	struct fl_function *f = s->private;
	int i;

	seq_printf(s, "id %u\nname %s\npeer %s\nlease %s\nslot farlane%u\nstate %s\n", f->id,
		   f->name, f->peer, f->lease, f->slot, state_name(READ_ONCE(f->state)));
	seq_printf(s, "gone %d\nresetting %d\nbus_master %d\ncompletion_timeout_ms %u\n",
		   fl_function_is_gone(f), READ_ONCE(f->resetting), READ_ONCE(f->bus_master),
		   f->completion_timeout_ms);
	for (i = 0; i < FL_BAR_COUNT; i++) {
		const struct fl_bar_range *bar = &f->bars[i];

		if (bar->size)
			seq_printf(s, "bar%d 0x%llx size 0x%llx %s\n", i, bar->base, bar->size,
				   bar->enabled ? "enabled" : "disabled");
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(status);

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
#define COUNTER(name) { #name, offsetof(struct fl_counters, name) }
	COUNTER(posted),
	COUNTER(posted_refused),
	COUNTER(requests),
	COUNTER(timeouts),
	COUNTER(contained),
	COUNTER(dma_reads),
	COUNTER(dma_writes),
	COUNTER(dma_refused),
	COUNTER(dma_bytes),
	COUNTER(interrupts),
	COUNTER(interrupts_refused),
	COUNTER(interrupts_masked),
	COUNTER(traps),
	COUNTER(ring_full_spins),
	COUNTER(ring_broken),
	COUNTER(late_completions),
	COUNTER(errors_dropped),
#undef COUNTER
};

static_assert(sizeof(struct fl_counters) == ARRAY_SIZE(counters) * sizeof(atomic64_t));

static int counters_show(struct seq_file *s, void *unused)
{
	struct fl_function *f = s->private;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		atomic64_t *counter = (void *)&f->counters + counters[i].offset;

		seq_printf(s, "%s %lld\n", counters[i].name, (s64)atomic64_read(counter));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

/* As the bus of this host sees it, in the form that "lspci -F" reads. */
static int config_show(struct seq_file *s, void *unused)
{
	struct fl_function *f = s->private;
	unsigned int at;

	seq_printf(s, "00:00.0 %s\n", f->name);
	for (at = 0; at < f->config_bytes; at += 16)
		seq_printf(s, "%02x: %16ph\n", at, f->config + at);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(config);

void fl_debugfs_add(struct fl_function *f)
{
	f->debugfs = debugfs_create_dir(f->name, root);
	debugfs_create_file("status", 0400, f->debugfs, f, &status_fops);
	debugfs_create_file("counters", 0400, f->debugfs, f, &counters_fops);
	debugfs_create_file("config", 0400, f->debugfs, f, &config_fops);
}

/* Waits for readers: none has the function once this returns. */
void fl_debugfs_remove(struct fl_function *f)
{
	debugfs_remove(f->debugfs);
	f->debugfs = NULL;
}

void fl_debugfs_init(void)
{
	root = debugfs_create_dir("farlane", NULL);
}

void fl_debugfs_exit(void)
{
	debugfs_remove(root);
}

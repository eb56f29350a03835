// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the list of classes and ids that may have stock drivers: module parameter
 * `allow`, changed at run time through /sys/module/farlane/parameters/allow.
 * Hands on: which function a driver may bind to. The others get a driver_override
 * that names no driver, so the function is there, `lspci` shows it, nothing binds,
 * and an administrator can still decide otherwise for one device by writing its
 * driver_override in sysfs.
 * Owns: the list, and the notifier of the PCI bus.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/ctype.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>

#include "compat/driver_override.h"
#include "trap.h"

#define MOST_ENTRIES 64
#define ENTRY_BYTES 16 /* the longest is id:1234:5678 */
#define NO_DRIVER "farlane-not-allowed"
#define ALL_BITS 0xffffffffu

/* A device matches when the bits of mask are equal. */
struct entry {
	u32 class, class_mask; /* base class << 16 | sub-class << 8 | interface */
	u32 id, id_mask;       /* vendor << 16 | device */
};

/* Whose drivers were run on remote functions: docs/compatibility.md. */
static const struct entry proven[] = {
	{ .class = 0x010802, .class_mask = 0xffffff },	     /* NVMe */
	{ .class = 0x050200, .class_mask = 0xffff00 },	     /* CXL memory */
	{ .class = 0x070000, .class_mask = 0xffff00 },	     /* serial port */
	{ .class = 0x0c0330, .class_mask = 0xffffff },	     /* USB, xHCI */
	{ .class = 0x120000, .class_mask = 0xffff00 },	     /* processing accelerator */
	{ .id = 0x1af40000, .id_mask = 0xffff0000 },	     /* virtio */
	{ .id = 0x808610d3, .id_mask = ALL_BITS },	     /* e1000e: 82574L */
	{ .id = 0x15ad07b0, .id_mask = ALL_BITS },	     /* vmxnet3 */
	{ .id = 0x10000060, .id_mask = ALL_BITS },	     /* megaraid_sas: SAS1078 */
	{ .id = 0x1000005b, .id_mask = ALL_BITS },	     /* megaraid_sas: SAS2208 */
	{ .id = FL_VENDOR_ID << 16 | FL_DEVICE_ID_SELFTEST, .id_mask = ALL_BITS },
};

struct allow_list {
	unsigned int count;
	struct entry entries[MOST_ENTRIES];
};

static struct allow_list list;
static bool list_given; /* else: proven */
static bool listening;
static DEFINE_MUTEX(list_lock);

/* --- the text of the list -------------------------------------------------------------- */

static int add_entry(struct allow_list *to, const struct entry *entry)
{
	if (to->count == MOST_ENTRIES) {
		pr_err("allow: more than %u entries\n", MOST_ENTRIES);
		return -ENOSPC;
	}
	to->entries[to->count++] = *entry;
	return 0;
}

static int add_proven(struct allow_list *to)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(proven) && !err; i++)
		err = add_entry(to, &proven[i]);
	return err;
}

/* Exactly `digits` hexadecimal ones. */
static bool parse_hex(const char *text, unsigned int digits, u32 *value)
{
	unsigned int i;

	for (i = 0, *value = 0; i < digits; i++) {
		if (!isxdigit(text[i]))
			return false;
		*value = *value << 4 | hex_to_bin(text[i]);
	}
	return true;
}

/* class:01, class:0108 or class:010802 */
static bool parse_class(const char *text, struct entry *entry)
{
	unsigned int digits = strlen(text), shift = 24 - 4 * digits;

	if (digits != 2 && digits != 4 && digits != 6)
		return false;
	if (!parse_hex(text, digits, &entry->class))
		return false;
	entry->class <<= shift;
	entry->class_mask = 0xffffff & ~((1u << shift) - 1);
	return true;
}

/* id:1af4 or id:8086:10d3 */
static bool parse_id(const char *text, struct entry *entry)
{
	size_t length = strlen(text);
	u32 device = 0;

	if (length != 4 && (length != 9 || text[4] != ':'))
		return false;
	if (!parse_hex(text, 4, &entry->id) || (length == 9 && !parse_hex(text + 5, 4, &device)))
		return false;
	entry->id = entry->id << 16 | device;
	entry->id_mask = length == 9 ? ALL_BITS : 0xffff0000;
	return true;
}

static int parse_word(struct allow_list *to, const char *word)
{
	struct entry entry = {};

	if (!strcmp(word, "default"))
		return add_proven(to);
	if (!strcmp(word, "none"))
		return 0;
	if (!strcmp(word, "all") || (str_has_prefix(word, "class:") && parse_class(word + 6, &entry)) ||
	    (str_has_prefix(word, "id:") && parse_id(word + 3, &entry)))
		return add_entry(to, &entry);
	pr_err("allow: '%s' is not default, all, none, class:0108, class:010802, id:1af4 or id:8086:10d3\n",
	       word);
	return -EINVAL;
}

static int parse_list(const char *text, struct allow_list *to)
{
	char word[ENTRY_BYTES];
	size_t bytes;
	int err = 0;

	to->count = 0;
	while (!err) {
		text += strspn(text, ", \t\n");
		bytes = strcspn(text, ", \t\n");
		if (!bytes)
			break;
		/* what is too long is cut, and so refused with its beginning */
		strscpy(word, text, min(bytes + 1, sizeof(word)));
		err = parse_word(to, word);
		text += bytes;
	}
	return err;
}

static int print_entry(const struct entry *e, char *buffer, int room)
{
	if (e->class_mask)
		return scnprintf(buffer, room, "class:%0*x,", hweight32(e->class_mask) / 4,
				 e->class >> (24 - hweight32(e->class_mask)));
	if (e->id_mask == ALL_BITS)
		return scnprintf(buffer, room, "id:%04x:%04x,", e->id >> 16, e->id & 0xffff);
	if (e->id_mask)
		return scnprintf(buffer, room, "id:%04x,", e->id >> 16);
	return scnprintf(buffer, room, "all,");
}

static int get_allow(char *buffer, const struct kernel_param *parameter)
{
	const struct entry *entries = proven;
	unsigned int i, count = ARRAY_SIZE(proven);
	int at = 0;

	mutex_lock(&list_lock);
	if (list_given) {
		entries = list.entries;
		count = list.count;
	}
	for (i = 0; i < count; i++)
		at += print_entry(&entries[i], buffer + at, PAGE_SIZE - at);
	mutex_unlock(&list_lock);
	if (!at)
		return scnprintf(buffer, PAGE_SIZE, "none\n");
	buffer[at - 1] = '\n'; /* instead of the last comma */
	return at;
}

/* --- what it means for devices --------------------------------------------------------- */

static bool matches(const struct entry *e, const struct pci_dev *pdev)
{
	u32 id = (u32)pdev->vendor << 16 | pdev->device;

	return !((pdev->class ^ e->class) & e->class_mask) && !((id ^ e->id) & e->id_mask);
}

bool fl_driver_allowed(const struct pci_dev *pdev)
{
	const struct entry *entries = proven;
	unsigned int i, count = ARRAY_SIZE(proven);
	bool allowed = false;

	if (!fl_trap_active())
		return false;
	mutex_lock(&list_lock);
	if (list_given) {
		entries = list.entries;
		count = list.count;
	}
	for (i = 0; i < count && !allowed; i++)
		allowed = matches(&entries[i], pdev);
	mutex_unlock(&list_lock);
	return allowed;
}

/* What an administrator would change to have a driver. */
static void say_why(const struct pci_dev *pdev)
{
	if (!fl_trap_active())
		pci_info(pdev, "farlane: loaded with trap=0: no driver is bound\n");
	else
		pci_info(pdev, "farlane: class %06x, id %04x:%04x is not in /sys/module/farlane/parameters/allow: no driver is bound\n",
			 pdev->class, pdev->vendor, pdev->device);
}

static int on_bus(struct notifier_block *block, unsigned long event, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);

	if (event != BUS_NOTIFY_ADD_DEVICE || !fl_is_our_device(pdev) || fl_driver_allowed(pdev) ||
	    fl_driver_override_is(pdev, NULL))
		return NOTIFY_DONE;
	say_why(pdev);
	if (fl_driver_override_set(pdev, NO_DRIVER))
		pci_err(pdev, "farlane: no memory to keep drivers off\n");
	return NOTIFY_DONE;
}

static struct notifier_block bus_block = { .notifier_call = on_bus };

/* A device that was kept off and is allowed now. The other way round nothing is unbound. */
static int reconsider(struct device *dev, void *data)
{
	struct pci_dev *pdev = to_pci_dev(dev);

	if (!fl_is_our_device(pdev) || !fl_driver_allowed(pdev) ||
	    !fl_driver_override_is(pdev, NO_DRIVER))
		return 0;
	if (!fl_driver_override_set(pdev, "") && device_attach(dev) < 0)
		pci_err(pdev, "farlane: allowed now, but its driver fails\n");
	return 0;
}

static int set_allow(const char *text, const struct kernel_param *parameter)
{
	struct allow_list *parsed = kzalloc(sizeof(*parsed), GFP_KERNEL);
	bool apply;
	int err;

	if (!parsed)
		return -ENOMEM;
	err = parse_list(text, parsed);
	if (err)
		goto out;
	mutex_lock(&list_lock);
	list = *parsed;
	list_given = true;
	apply = listening;
	mutex_unlock(&list_lock);
	if (apply)
		bus_for_each_dev(&pci_bus_type, NULL, NULL, reconsider);
out:
	kfree(parsed);
	return err;
}

static const struct kernel_param_ops allow_ops = { .set = set_allow, .get = get_allow };

module_param_cb(allow, &allow_ops, NULL, 0644);
MODULE_PARM_DESC(allow, "classes and ids that stock drivers may bind to: default, all, none, class:CCSSPP, id:VVVV:DDDD; comma-separated");

int fl_allow_init(void)
{
	int err = bus_register_notifier(&pci_bus_type, &bus_block);

	if (err)
		return err;
	mutex_lock(&list_lock);
	listening = true;
	mutex_unlock(&list_lock);
	return 0;
}

void fl_allow_exit(void)
{
	mutex_lock(&list_lock);
	listening = false;
	mutex_unlock(&list_lock);
	bus_unregister_notifier(&pci_bus_type, &bus_block);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the configuration space of a function; what a read of one that is gone answers.
 * Hands on: zeros in the registers that a virtio driver waits for. Owns: nothing.
 *
 * A driver resets a virtio device, or a queue of it, and reads until the register is zero, without
 * an end (Virtio 1.2, 4.1.4.3.2). All-ones, the answer of what is not there, never end that: its
 * remove would hang, with the lock of all PCI hot-plug of this host. What is gone counts as reset:
 * nothing of it reaches memory any more.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "compat/unaligned.h"
#include "farlane.h"

#define FIRST_DEVICE 0x1000 /* Virtio 1.2, 4.1.2 */
#define LAST_DEVICE 0x107f
#define VENDOR 0x1af4
#define MOST_CAPABILITIES 48
#define QUEUE_RESET 58 /* of the common configuration; not all headers name it */

/* What is waited for. */
static const struct {
	u8 at, bytes;
} waited[] = {
	{ VIRTIO_PCI_COMMON_STATUS, 1 },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2 },
	{ QUEUE_RESET, 2 },
};

static bool is_common(const u8 *capability)
{
	return capability[PCI_CAP_LIST_ID] == PCI_CAP_ID_VNDR &&
	       capability[VIRTIO_PCI_CAP_LEN] >= sizeof(struct virtio_pci_cap) &&
	       capability[VIRTIO_PCI_CAP_CFG_TYPE] == VIRTIO_PCI_CAP_COMMON_CFG &&
	       capability[VIRTIO_PCI_CAP_BAR] < PCI_STD_NUM_BARS;
}

/* The first one counts, as for drivers. */
void fl_virtio_find(struct fl_function *f)
{
	unsigned int at = f->config[PCI_CAPABILITY_LIST] & ~3u, left = MOST_CAPABILITIES;
	u16 device = get_unaligned_le16(f->config + PCI_DEVICE_ID);

	if (get_unaligned_le16(f->config + PCI_VENDOR_ID) != VENDOR || device < FIRST_DEVICE ||
	    device > LAST_DEVICE)
		return;
	while (at >= PCI_STD_HEADER_SIZEOF &&
	       at <= PCI_CFG_SPACE_SIZE - sizeof(struct virtio_pci_cap) && left--) {
		const u8 *capability = f->config + at;

		if (is_common(capability)) {
			f->virtio.bar = capability[VIRTIO_PCI_CAP_BAR];
			f->virtio.offset = get_unaligned_le32(capability + VIRTIO_PCI_CAP_OFFSET);
			f->virtio.bytes = get_unaligned_le32(capability + VIRTIO_PCI_CAP_LENGTH);
			return;
		}
		at = capability[PCI_CAP_LIST_NEXT] & ~3u;
	}
}

void fl_virtio_settle(const struct fl_function *f, unsigned int bar, u64 offset, u8 *into,
		      unsigned int bytes)
{
	u64 common = f->virtio.offset;
	unsigned int i;

	if (bar != f->virtio.bar)
		return;
	for (i = 0; i < ARRAY_SIZE(waited); i++) {
		u64 first = max_t(u64, offset, common + waited[i].at);
		u64 end = min_t(u64, offset + bytes, common + waited[i].at + waited[i].bytes);

		if (waited[i].at + waited[i].bytes <= f->virtio.bytes && first < end)
			memset(into + (first - offset), 0, end - first);
	}
}

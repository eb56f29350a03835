/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms of the module share. Each room is one .c file, named below where
 * its part begins; its private things stay in it.
 * Receives: nothing. Hands on: types and calls between rooms. Owns: nothing.
 *
 * Path of an access: driver -> trap.c -> bar.c -> function ops (ring.c, or
 * selftest.c) -> daemon. Path of a DMA request: daemon -> chardev.c -> dma.c ->
 * memory. Path of an interrupt: daemon -> chardev.c -> msi.c -> driver.
 */
#ifndef FARLANE_H
#define FARLANE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <farlane/ioctl.h>
#include <farlane/status.h>

#define FL_DOMAIN_FIRST 0x10000 /* PCI domain of the host bridge, or the next free one */
#define FL_MAX_SLOTS 32
#define FL_MAX_STAGING_BYTES (64 << 20)

struct fl_function;
struct fl_rings; /* not struct fl_ring: that one is the shared memory of the contract */
struct fl_domain;
struct fl_msi;
struct fl_msix;
struct eventfd_ctx;

typedef void (*fl_done_fn)(struct fl_function *f, void *arg, enum fl_status status,
			   const void *data, unsigned int bytes);

/*
 * Where the transactions of a function go: the ring to the daemon, or the module
 * itself (selftest). Any context, interrupts on or off; neither ever sleeps.
 */
struct fl_function_ops {
	/*
	 * Posted: queued in order behind all others of this function. May spin while
	 * there is no room, at most 100 ms in all, then the function is contained
	 * (fl_function_contain) and the write is dropped. payload <= 4096 bytes.
	 */
	int (*posted)(struct fl_function *f, const struct fl_tlp *tlp, const void *payload);
	/*
	 * Non-posted, and waits for the answer: spins until it comes or the completion
	 * timeout ends. Returns FL_STATUS_*; `into` is written only with FL_STATUS_SC.
	 */
	enum fl_status (*request)(struct fl_function *f, const struct fl_tlp *tlp,
				  const void *operand, void *into);
	/* Non-posted without anybody who waits: a configuration write. */
	int (*request_nowait)(struct fl_function *f, const struct fl_tlp *tlp, const void *operand);
	/*
	 * Non-posted, answered by a call: done() runs exactly once when this returned 0,
	 * with the answer, at the end of the completion timeout, or from
	 * fl_ring_fail_all(). Any context, interrupts on or off, perhaps before this
	 * returns; no lock of the caller's room is held. `data` (bytes of a read,
	 * <= 8) is valid within done() only, and there with FL_STATUS_SC only. Never
	 * spins for room: -EAGAIN, and no done(), when there is none.
	 */
	int (*request_async)(struct fl_function *f, const struct fl_tlp *tlp, const void *operand,
			     fl_done_fn done, void *arg);
};

struct fl_bar_range {
	u64 size;
	u32 flags;   /* FL_BAR_FLAG_* */
	u64 base;    /* CPU address in the window when `enabled` */
	bool enabled;
};

/* Monotonic; read by debugfs without a lock. */
struct fl_counters {
	atomic64_t posted, posted_refused, requests, timeouts, contained;
	atomic64_t dma_reads, dma_writes, dma_refused, dma_bytes;
	atomic64_t interrupts, interrupts_refused, interrupts_masked;
	atomic64_t traps, ring_full_spins, ring_broken, late_completions;
	atomic64_t errors_dropped;
};

/*
 * One remote function. Born by fl_function_add, dies with its last reference.
 * `gone` is the one truth about the device: once set, every access reads all-ones
 * (but see virtio.c) and every write vanishes, in any context. It is never cleared.
 */
struct fl_function {
	struct kref ref;
	struct list_head node; /* fl_functions, under fl_functions_lock */
	u32 id;
	u32 flags; /* FL_ADD_* */
	const void *owner; /* the daemon's open file; chardev.c, NULL while orphaned */
	char name[FL_NAME_BYTES], peer[FL_NAME_BYTES], lease[FL_NAME_BYTES];
	unsigned int slot;
	enum fl_function_state state; /* by fl_function_set_state only */
	bool gone;	 /* READ_ONCE/WRITE_ONCE */
	bool bus_master; /* command register, DMA is refused without */
	bool resetting;	 /* between a reset and the remote's word: DMA refused, tags ended */
	struct pci_dev *pdev; /* while it is on the bus */

	const struct fl_function_ops *ops;
	u32 completion_timeout_ms;
	struct fl_bar_range bars[FL_BAR_COUNT];

	raw_spinlock_t config_lock; /* shadow, masks, pdev; taken under pci_lock, which is raw */
	u8 *config;		/* shadow, FL_CONFIG_BYTES */
	u32 config_bytes;
	struct fl_config_map *config_map; /* config.c: which bits live here, which there */

	struct fl_rings *rings;	  /* ring.c */
	struct fl_domain *domain; /* dma.c */
	struct fl_msi *msi;	  /* msi.c */
	struct fl_msix *msix;	  /* msix.c; NULL: the function has no table */
	struct {
		u32 bar, offset, bytes; /* bytes 0: it is no virtio function */
	} virtio;		  /* virtio.c: where its common configuration lies */
	struct dentry *debugfs;
	struct fl_counters counters;
};

/* --- device.c: life of functions --------------------------------------- */
struct fl_function_spec {
	const struct fl_ioc_function_add *add; /* checked by fl_function_add */
	const u8 *config;		       /* kernel copy, add->config_bytes */
	const struct fl_function_ops *ops;     /* NULL: ring */
	struct eventfd_ctx *submit_bell;       /* taken over; may be NULL */
	const void *owner;		       /* the daemon's open file, or NULL */
};
/* Process context. Checks everything, makes ring and domain, plugs the slot. */
struct fl_function *fl_function_add(struct fl_function_spec *spec);
/* Orderly: the driver is unbound with the device still answering. Surprise: after `gone`. */
int fl_function_remove(struct fl_function *f, bool surprise);
void fl_function_lose(struct fl_function *f); /* by surprise, without waiting */
int fl_function_wait_end(struct fl_function *f);
/* Any context: disconnects at once (gone, event) and removes from a work item. `why`: a literal. */
void fl_function_contain(struct fl_function *f, const char *why);
struct fl_function *fl_function_get(u32 id); /* a reference, or NULL */
struct fl_function *fl_function_get_index(u32 index);
struct fl_function *fl_function_next(u32 id); /* the first one behind that id */
void fl_function_put(struct fl_function *f);
int fl_function_set_state(struct fl_function *f, enum fl_function_state state);
/*
 * Event to user space: uevent of the PCI device with FARLANE_* variables, and a trace event. Any
 * context; `event` is a literal, it is read later.
 */
void fl_function_event(struct fl_function *f, const char *event);
static inline bool fl_function_is_gone(const struct fl_function *f)
{
	return READ_ONCE(f->gone);
}
/* Surprise removal of everything, and waits for it. */
void fl_device_drain(void);
int fl_device_init(void);
void fl_device_exit(void);
bool fl_device_busy(void); /* functions are there: the module can't go */

/* --- hostbridge.c, port.c: bus, slots ------------------------------------ */
int fl_hostbridge_init(unsigned int slots);
void fl_hostbridge_exit(void);
/* The MMIO window: [start, start + size) of CPU physical addresses. */
bool fl_window_contains(phys_addr_t address, size_t bytes);
phys_addr_t fl_window_start(void);
resource_size_t fl_window_size(void);
bool fl_window_from_bus(u64 bus_address, u64 bytes, phys_addr_t *cpu);
int fl_slot_reserve(struct fl_function *f); /* or -ENOSPC; -ENXIO: its port was removed. Logs it */
void fl_slot_release(struct fl_function *f);
unsigned int fl_slots_free(void);
void fl_slot_plug(struct fl_function *f); /* resets, then presence detect; pciehp does the rest */
void fl_slot_unplug(struct fl_function *f, bool surprise); /* waits until the bus is empty */
struct fl_function *fl_slot_function(unsigned int slot); /* under RCU */
/* Whose events tell of the slot: the root port, or the root bus without it. With a reference. */
struct device *fl_slot_get_device(unsigned int slot);
void fl_slot_reset_done(struct fl_function *f); /* config.c: the remote has answered; any context */
bool fl_is_our_device(const struct pci_dev *pdev); /* a function behind our ports */
struct fl_function *fl_function_of(const struct pci_dev *pdev); /* no reference; while pdev is bound */
void fl_port_error(struct fl_function *f, u32 severity, u32 source); /* AER at the root port */

/* --- config.c ------------------------------------------------------------- */
int fl_config_init(struct fl_function *f, const u8 *image, u32 bytes); /* refuses what lies */
void fl_config_free(struct fl_function *f);
/* pci_lock held, interrupts off, RCU; where and size are checked by the PCI core. */
u32 fl_config_read(struct fl_function *f, int where, int size, bool retry_visible);
void fl_config_write(struct fl_function *f, int where, int size, u32 value);
unsigned int fl_config_vectors(const struct fl_function *f); /* of MSI-X or MSI, the most; 0: none */
bool fl_config_msix(const struct fl_function *f, unsigned int *bar, u32 *offset, u32 *vectors);
/* Like the wire of a reset: local state at once, the remote follows. Any context. */
void fl_config_reset(struct fl_function *f);
/* Sets what the device would have set; true: the root port hears of it. Any context. */
bool fl_config_error(struct fl_function *f, u32 severity, u32 source);

/* --- bar.c: from an address in the window to a transaction ---------------- */
/* Called by config.c when a BAR or the memory enable bit changed. Interrupts may be off. */
void fl_bar_update(struct fl_function *f);
void fl_bar_forget(struct fl_function *f);
/* Any context. bytes 1..4096; `address` within the window. Reads of nobody are all-ones. */
void fl_bar_read(phys_addr_t address, void *into, unsigned int bytes);
void fl_bar_write(phys_addr_t address, const void *from, unsigned int bytes);
/* Atomic read-modify-write of locked instructions: FL_TLP_FETCHADD, SWAP, CAS where they fit. */
int fl_bar_init(void);
void fl_bar_exit(void);

/* --- trap.c (decode.c: pure): BARs for unmodified drivers ------------------ */
int fl_trap_init(void); /* ftrace hooks and the die notifier */
void fl_trap_exit(void);
bool fl_trap_active(void);
bool fl_driver_allowed(const struct pci_dev *pdev); /* allow-list of classes and ids */

/* --- msi.c ------------------------------------------------------------------ */
struct irq_domain;
int fl_msi_init(void);
void fl_msi_exit(void);
struct irq_domain *fl_msi_domain(void);
int fl_msi_attach(struct fl_function *f);
void fl_msi_detach(struct fl_function *f);
/* Raise vectors first + bit of mask. Any context, never waits. */
void fl_msi_raise(struct fl_function *f, u32 first, u64 mask);
/* For a root port, which has vectors but is no function. */
struct fl_msi *fl_msi_create(struct fl_function *f, unsigned int vectors);
void fl_msi_destroy(struct fl_msi *msi);
int fl_msi_fire(struct fl_msi *msi, unsigned int vector); /* 0, -EBUSY: masked, -ENOENT */
struct fl_msi *fl_port_msi(const struct pci_dev *pdev); /* NULL: no root port of ours */

/* --- msix.c: the MSI-X table, answered here ---------------------------------- */
int fl_msix_attach(struct fl_function *f);
void fl_msix_detach(struct fl_function *f);
void fl_msix_reset(struct fl_function *f);
/* False: it is the device's. */
bool fl_msix_read(struct fl_function *f, unsigned int bar, u64 offset, void *into,
		  unsigned int bytes);
/* Besides the transaction, never instead of it. */
void fl_msix_write(struct fl_function *f, unsigned int bar, u64 offset, const void *from,
		   unsigned int bytes);

/* --- virtio.c: what drivers of virtio wait for ---------------------------------- */
void fl_virtio_find(struct fl_function *f); /* after fl_config_init */
/* The function is gone; `into` has the all-ones of a read of it. Any context. */
void fl_virtio_settle(const struct fl_function *f, unsigned int bar, u64 offset, u8 *into,
		      unsigned int bytes);

/* --- ring.c, tag.c: the channel to the daemon ------------------------------- */
extern const struct fl_function_ops fl_ring_ops;
int fl_ring_create(struct fl_function *f, u32 submit_entries, u32 complete_entries, u32 staging_bytes,
		   struct eventfd_ctx *submit_bell);
void fl_ring_destroy(struct fl_function *f);
size_t fl_ring_bytes(const struct fl_function *f);
int fl_ring_mmap(struct fl_function *f, struct vm_area_struct *vma);
/* The daemon is gone (bell NULL) or a new one is there. Requests in flight go on waiting. */
void fl_ring_set_bell(struct fl_function *f, struct eventfd_ctx *bell);
/* Rings its bell, for an application's channel. Process context. */
void fl_ring_wake(struct fl_function *f);
/* Takes what the daemon has answered meanwhile; each of its calls does so. */
void fl_ring_poke(struct fl_function *f);
void fl_ring_geometry(const struct fl_function *f, struct fl_ioc_function_get *out);
/* Every request that waits ends now with `status`. Any context. */
void fl_ring_fail_all(struct fl_function *f, enum fl_status status);

/* --- dma.c, dma_direct.c: the soft-IOMMU ------------------------------------- */
int fl_dma_init(void);
void fl_dma_exit(void);
u32 fl_dma_feature(void); /* FL_FEATURE_IOMMU_OPS, FL_FEATURE_DMA_MAP_OPS or both */
int fl_dma_attach(struct fl_function *f); /* makes the domain, before the function is plugged */
/* No copy runs and none starts once it returns. */
void fl_dma_revoke(struct fl_function *f);
void fl_dma_detach(struct fl_function *f);
/* No copy that began before this call still runs: after bus master was cleared. Any context. */
void fl_dma_quiesce(struct fl_function *f);
/* One request of the device; its `address` is the daemon's memory, `bounce` a page. May fault. */
enum fl_status fl_dma_op(struct fl_function *f, const struct fl_dma_op *op, void *bounce);
/* The same with memory of the kernel, for selftest.c; to_memory: FL_DMA_WRITE. Never sleeps. */
enum fl_status fl_dma_copy(struct fl_function *f, u64 iova, void *buffer, u32 bytes, bool to_memory);

/* --- chardev.c ----------------------------------------------------------------- */
int fl_chardev_init(void);
void fl_chardev_exit(void);
int fl_chardev_node_add(struct fl_function *f); /* /dev/farlane/<name> */
void fl_chardev_node_remove(struct fl_function *f);
/* dma.c: its device is about to lose the table that it has; process context */
void fl_node_domain_leaves(struct fl_function *f);
struct module;

/* --- debugfs.c ------------------------------------------------------------------- */
void fl_debugfs_init(void);
void fl_debugfs_exit(void);
void fl_debugfs_add(struct fl_function *f);
void fl_debugfs_remove(struct fl_function *f);

/* Ids of the functions this module makes itself: for development, not assigned by PCI-SIG. */
#define FL_VENDOR_ID 0xf1a0
#define FL_DEVICE_ID_PORT 0x0f01
#define FL_DEVICE_ID_SELFTEST 0x5e1f

/* --- selftest.c: a function that the module itself answers ------------------------ */
int fl_selftest_init(void); /* when the module parameter asks for it */
void fl_selftest_exit(void);

/* module parameters, main.c */
extern unsigned int fl_param_slots;
extern unsigned int fl_param_completion_timeout_ms;
extern unsigned int fl_param_grace_ms;
extern bool fl_param_trap;
extern bool fl_param_selftest;
extern char *fl_param_dma; /* "auto", "iommu", "direct" */

#endif /* FARLANE_H */

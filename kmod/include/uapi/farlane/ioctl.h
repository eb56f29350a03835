/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: ioctls of /dev/farlane/control and /dev/farlane/<name>.
 * docs/kernel-interface.md.
 *
 * Every structure starts with its own size in bytes; a size that the module does
 * not know is refused with EINVAL. Reserved fields are zero, and checked. Pointers
 * are __u64. Number 0 is never used. Errors are errno values as in the status table.
 */
#ifndef _UAPI_FARLANE_IOCTL_H
#define _UAPI_FARLANE_IOCTL_H

#include <linux/ioctl.h>

#include "ring.h"

#define FL_IOCTL_TYPE 0xfa
#define FL_KERNEL_ABI 1

#define FL_NAME_BYTES 64 /* names with their terminating zero */
#define FL_INSTANCE_BYTES 16
#define FL_BAR_COUNT 7 /* 0..5, and FL_BAR_ROM */
#define FL_CONFIG_BYTES 4096
#define FL_DMA_MAX_OPS 256
#define FL_DMA_MAX_OP_BYTES 4096

enum fl_ioctl_number {
	FL_IOCTL_NR_INFO = 0x01,	 /* any node: version, limits */
	FL_IOCTL_NR_DAEMON_OPEN = 0x10,	 /* control: become the daemon of an instance */
	FL_IOCTL_NR_FUNCTION_ADD = 0x11, /* hot-plug */
	FL_IOCTL_NR_FUNCTION_REMOVE = 0x12,
	FL_IOCTL_NR_INTERRUPT = 0x13,	  /* raise vectors, never waits */
	FL_IOCTL_NR_DMA_COPY = 0x14,	  /* batched copy into or out of a domain */
	FL_IOCTL_NR_FUNCTION_GET = 0x15,  /* what is kept, by index: recovery */
	FL_IOCTL_NR_FUNCTION_RECOVER = 0x16, /* a new daemon takes a kept function up */
	FL_IOCTL_NR_FUNCTION_STATE = 0x17,   /* link down, up, device reset */
	FL_IOCTL_NR_ERROR = 0x18,	  /* what AER would report */
	FL_IOCTL_NR_POKE = 0x19,	  /* look at the complete ring */
	FL_IOCTL_NR_CHANNEL_GET = 0x1a,	  /* control: the application's channel of a node */
	FL_IOCTL_NR_CHANNEL_RELEASE = 0x1b, /* control: done with a channel that was closed */
	FL_IOCTL_NR_CHANNEL_CREATE = 0x20, /* /dev/farlane/<name>: make the rings */
	FL_IOCTL_NR_MAP = 0x21,
	FL_IOCTL_NR_UNMAP = 0x22,
	FL_IOCTL_NR_INTERRUPT_FD = 0x23,
	FL_IOCTL_NR_CHANNEL_BELL = 0x24, /* node: wake the daemon; control: wake the application */
};

/* fl_ioc_info.features */
#define FL_FEATURE_TRAP 0x1	     /* stock drivers may access BARs */
#define FL_FEATURE_IOMMU_OPS 0x2     /* an IOMMU of the kernel: VFIO */
#define FL_FEATURE_DMA_MAP_OPS 0x4   /* drivers map byte exact */

struct fl_ioc_info {
	__u32 bytes;
	__u32 abi;	  /* FL_KERNEL_ABI */
	__u32 features;	  /* FL_FEATURE_* */
	__u32 slots;	  /* of the host bridge */
	__u32 slots_free;
	__u32 max_submit_entries;
	char version[FL_NAME_BYTES]; /* of the module */
};
FL_ASSERT_SIZE(fl_ioc_info, 88);

struct fl_ioc_daemon_open {
	__u32 bytes;
	__u32 abi;	 /* FL_KERNEL_ABI of the caller */
	__u8 instance[FL_INSTANCE_BYTES]; /* the same as before: functions are kept */
	__u32 grace_ms;	 /* how long functions outlive this daemon; 0 = module's default */
	__u32 functions; /* out: kept from the daemon before */
};
FL_ASSERT_SIZE(fl_ioc_daemon_open, 32);

/* fl_ioc_bar.flags */
#define FL_BAR_FLAG_64 0x1
#define FL_BAR_FLAG_PREFETCH 0x2

struct fl_ioc_bar {
	__u64 size_bytes; /* 0 = absent; a power of two from 16 up */
	__u32 flags;	  /* FL_BAR_FLAG_* */
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_bar, 16);

/* fl_ioc_function_add.flags */
/* CPUs wait that long, with interrupts off if a driver reads so: less than any watchdog does. */
#define FL_MAX_COMPLETION_TIMEOUT_MS 9000
#define FL_ADD_NODE 0x1 /* make /dev/farlane/<name>; no driver is bound */

struct fl_ioc_function_add {
	__u32 bytes;
	__u32 flags;
	char name[FL_NAME_BYTES]; /* [A-Za-z0-9._-], not "control" */
	char peer[FL_NAME_BYTES]; /* of the target, for uevents */
	char lease[FL_NAME_BYTES];
	struct fl_ioc_bar bars[FL_BAR_COUNT];
	__u64 config;	      /* address of the configuration space as the device gave it */
	__u32 config_bytes;   /* 256 or 4096 */
	__u32 completion_timeout_ms; /* 0 = module's default; ..FL_MAX_COMPLETION_TIMEOUT_MS */
	__u32 submit_entries; /* power of two; FL_RING_MIN_ENTRIES..MAX */
	__u32 complete_entries;
	__u32 staging_bytes;  /* multiple of the page size, may be 0 */
	__s32 submit_bell;    /* eventfd: rung when the daemon sleeps on the submit ring */
	__u32 function_id;    /* out */
	__u32 slot;	      /* out: /sys/bus/pci/slots/farlane<slot> */
	__u64 mmap_offset;    /* out: of the channel, on this node */
	__u64 channel_bytes;  /* out */
};
FL_ASSERT_SIZE(fl_ioc_function_add, 368);

/* fl_ioc_function_remove.flags */
#define FL_REMOVE_SURPRISE 0x1 /* the device is gone already */

struct fl_ioc_function_remove {
	__u32 bytes;
	__u32 function_id;
	__u32 flags;
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_function_remove, 16);

/* vectors first_vector + bit; those that are not enabled are dropped and counted */
struct fl_ioc_interrupt {
	__u32 bytes;
	__u32 function_id;
	__u32 first_vector;
	__u32 reserved;
	__u64 mask;
};
FL_ASSERT_SIZE(fl_ioc_interrupt, 24);

/* fl_dma_op.kind; seen from the device */
#define FL_DMA_READ 1	  /* host memory to `address` */
#define FL_DMA_WRITE 2	  /* `address` to host memory */
#define FL_DMA_FETCHADD 3 /* length 4 or 8; `address`: operand in, old value out */
#define FL_DMA_SWAP 4
#define FL_DMA_CAS 5	  /* `address`: compare, swap in; old value out */

struct fl_dma_op {
	__u64 iova;
	__u64 address;	    /* in the daemon */
	__u32 length_bytes; /* 1..FL_DMA_MAX_OP_BYTES */
	__u32 pasid;	    /* 0 = the function's own domain */
	__u32 kind;	    /* FL_DMA_* */
	__u32 status;	    /* out: enum fl_status; SC, UR = refused */
};
FL_ASSERT_SIZE(fl_dma_op, 32);

struct fl_ioc_dma_copy {
	__u32 bytes;
	__u32 function_id;
	__u32 count;	/* 1..FL_DMA_MAX_OPS; executed in order, all of them */
	__u32 failed;	/* out: how many have a status other than SC */
	__u64 ops;	/* address of struct fl_dma_op[count] */
};
FL_ASSERT_SIZE(fl_ioc_dma_copy, 24);

/* fl_ioc_function_get.state */
enum fl_function_state {
	FL_FUNCTION_LIVE = 1,	  /* fed by a daemon */
	FL_FUNCTION_ORPHANED = 2, /* its daemon is gone, the grace runs */
	FL_FUNCTION_DOWN = 3,	  /* link down, the daemon said */
	FL_FUNCTION_REMOVING = 4,
};

struct fl_ioc_function_get {
	__u32 bytes;
	__u32 index;	   /* 0.. until ENOENT */
	__u32 function_id; /* out, as everything below */
	__u32 state;
	__u32 slot;
	__u32 flags;
	__u32 submit_entries;
	__u32 complete_entries;
	__u32 staging_bytes;
	__u32 reserved;
	__u64 mmap_offset;
	__u64 channel_bytes;
	char name[FL_NAME_BYTES];
	char peer[FL_NAME_BYTES];
};
FL_ASSERT_SIZE(fl_ioc_function_get, 184);

struct fl_ioc_function_recover {
	__u32 bytes;
	__u32 function_id;
	__s32 submit_bell;
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_function_recover, 16);

/* fl_ioc_function_state.state: FL_FUNCTION_LIVE or FL_FUNCTION_DOWN */
struct fl_ioc_function_state {
	__u32 bytes;
	__u32 function_id;
	__u32 state;
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_function_state, 16);

/* severity and source as in struct fl_msg_error */
struct fl_ioc_error {
	__u32 bytes;
	__u32 function_id;
	__u32 severity;
	__u32 source;
};
FL_ASSERT_SIZE(fl_ioc_error, 16);

/*
 * The bell of the complete ring: the module asks for it by fl_ring.sleeping. Not needed
 * when INTERRUPT or DMA_COPY follows anyway, and only sooner than the module would look.
 */
struct fl_ioc_poke {
	__u32 bytes;
	__u32 function_id;
};
FL_ASSERT_SIZE(fl_ioc_poke, 8);

/*
 * What the daemon reads from the control node (read(2), poll(2)): something is new about
 * the application's channel of a function; CHANNEL_GET says what. Never lost: what was
 * not read yet is one record.
 */
struct fl_ioc_event {
	__u32 function_id;
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_event, 8);

/* fl_ioc_channel_get.state */
enum fl_channel_state {
	FL_CHANNEL_OPEN = 1,   /* an application uses it */
	FL_CHANNEL_CLOSED = 2, /* it has ended; the node is free again after CHANNEL_RELEASE */
};

/* The daemon's look at a node. ENOENT: there is no channel. */
struct fl_ioc_channel_get {
	__u32 bytes;
	__u32 function_id;
	__u32 state;	  /* out: enum fl_channel_state; out as everything below */
	__u32 generation; /* another one with each application */
	__u32 submit_entries;
	__u32 complete_entries;
	__u32 staging_bytes;
	__u32 reserved;
	__u64 mmap_offset; /* on the control node */
	__u64 channel_bytes;
};
FL_ASSERT_SIZE(fl_ioc_channel_get, 48);

struct fl_ioc_channel_release {
	__u32 bytes;
	__u32 function_id;
	__u32 generation;
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_channel_release, 16);

struct fl_ioc_channel_bell {
	__u32 bytes;
	__u32 function_id; /* on the control node; 0 on a node */
};
FL_ASSERT_SIZE(fl_ioc_channel_bell, 8);

/*
 * /dev/farlane/<name>: the application makes its channel, once per open file, and maps
 * it at offset 0. EAGAIN: the function is not on the bus yet. From here on the device
 * may reach what is mapped.
 */
struct fl_ioc_channel_create {
	__u32 bytes;
	__u32 submit_entries; /* power of two; FL_RING_MIN_ENTRIES..MAX */
	__u32 complete_entries;
	__u32 staging_bytes;
	__s32 complete_bell; /* eventfd: rung when the application sleeps; -1: it never does */
	__u32 generation;    /* out */
	__u64 channel_bytes; /* out */
};
FL_ASSERT_SIZE(fl_ioc_channel_create, 32);

/*
 * Pins memory of the caller and lets the device reach exactly these bytes. Anonymous,
 * shared (shmem, memfd) and hugetlb memory, within RLIMIT_MEMLOCK; other kinds: EOPNOTSUPP.
 * What the device may write, the caller may write, or it is EACCES. ENOSPC: FL_NODE_MAPPINGS
 * there are. It stays as it is when the caller unmaps it or forks.
 */
#define FL_NODE_MAPPINGS 4096
struct fl_ioc_map {
	__u32 bytes;
	__u32 direction; /* FL_MAP_DEVICE_* */
	__u64 address;
	__u64 length_bytes;
	__u64 iova; /* out */
};
FL_ASSERT_SIZE(fl_ioc_map, 32);

/* Once it returns the device reaches these bytes no more. */
struct fl_ioc_unmap {
	__u32 bytes;
	__u32 reserved;
	__u64 iova; /* as MAP gave it */
};
FL_ASSERT_SIZE(fl_ioc_unmap, 16);

#define FL_NODE_VECTORS 256

struct fl_ioc_interrupt_fd {
	__u32 bytes;
	__u32 vector; /* below FL_NODE_VECTORS */
	__s32 fd;     /* eventfd; -1: none any more */
	__u32 reserved;
};
FL_ASSERT_SIZE(fl_ioc_interrupt_fd, 16);

#define FL_IOC_INFO _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_INFO, struct fl_ioc_info)
#define FL_IOC_DAEMON_OPEN _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_DAEMON_OPEN, struct fl_ioc_daemon_open)
#define FL_IOC_FUNCTION_ADD _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_FUNCTION_ADD, struct fl_ioc_function_add)
#define FL_IOC_FUNCTION_REMOVE _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_FUNCTION_REMOVE, struct fl_ioc_function_remove)
#define FL_IOC_INTERRUPT _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_INTERRUPT, struct fl_ioc_interrupt)
#define FL_IOC_DMA_COPY _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_DMA_COPY, struct fl_ioc_dma_copy)
#define FL_IOC_FUNCTION_GET _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_FUNCTION_GET, struct fl_ioc_function_get)
#define FL_IOC_FUNCTION_RECOVER _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_FUNCTION_RECOVER, struct fl_ioc_function_recover)
#define FL_IOC_FUNCTION_STATE _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_FUNCTION_STATE, struct fl_ioc_function_state)
#define FL_IOC_ERROR _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_ERROR, struct fl_ioc_error)
#define FL_IOC_POKE _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_POKE, struct fl_ioc_poke)
#define FL_IOC_CHANNEL_GET _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_CHANNEL_GET, struct fl_ioc_channel_get)
#define FL_IOC_CHANNEL_RELEASE _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_CHANNEL_RELEASE, struct fl_ioc_channel_release)
#define FL_IOC_CHANNEL_CREATE _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_CHANNEL_CREATE, struct fl_ioc_channel_create)
#define FL_IOC_MAP _IOWR(FL_IOCTL_TYPE, FL_IOCTL_NR_MAP, struct fl_ioc_map)
#define FL_IOC_UNMAP _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_UNMAP, struct fl_ioc_unmap)
#define FL_IOC_INTERRUPT_FD _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_INTERRUPT_FD, struct fl_ioc_interrupt_fd)
#define FL_IOC_CHANNEL_BELL _IOW(FL_IOCTL_TYPE, FL_IOCTL_NR_CHANNEL_BELL, struct fl_ioc_channel_bell)

#endif /* _UAPI_FARLANE_IOCTL_H */

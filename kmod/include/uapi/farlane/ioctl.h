/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: ioctl numbers of /dev/farlane and /dev/farlane/<name>.
 *
 * The numbers are reserved here so that nothing else takes them; the structures
 * they carry come with the module. 0 is never used.
 */
#ifndef _UAPI_FARLANE_IOCTL_H
#define _UAPI_FARLANE_IOCTL_H

#define FL_IOCTL_TYPE 0xfa

enum fl_ioctl_number {
	FL_IOCTL_NR_INFO = 0x01,	  /* any node: version, limits */
	FL_IOCTL_NR_DAEMON_OPEN = 0x10,	  /* /dev/farlane: become the daemon of an instance */
	FL_IOCTL_NR_FUNCTION_ADD = 0x11,  /* hot-plug */
	FL_IOCTL_NR_FUNCTION_REMOVE = 0x12,
	FL_IOCTL_NR_INTERRUPT = 0x13,	  /* raise vectors, never waits */
	FL_IOCTL_NR_DMA_COPY = 0x14,	  /* batched copy into or out of a domain */
	FL_IOCTL_NR_CHANNEL_CREATE = 0x20, /* /dev/farlane/<name>: make the rings */
	FL_IOCTL_NR_MAP = 0x21,
	FL_IOCTL_NR_UNMAP = 0x22,
};

#endif /* _UAPI_FARLANE_IOCTL_H */

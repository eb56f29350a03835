/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: unaligned.h moved in 6.12.
 * Receives: nothing. Hands on: get_unaligned_le32() and so on. Owns: nothing.
 */
#ifndef FARLANE_COMPAT_UNALIGNED_H
#define FARLANE_COMPAT_UNALIGNED_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

#endif /* FARLANE_COMPAT_UNALIGNED_H */

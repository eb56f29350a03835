/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel versions: how a device gets to the IOMMU driver of a module.
 * Receives: a kernel, a device. Hands on: the device to our IOMMU. Owns: nothing.
 *
 * Until 6.7 a bus has one driver, whose probe_device() is asked for every device. From 6.8
 * on the device names its driver itself, in its fwspec, so that several kinds of IOMMU live
 * side by side.
 */
#ifndef FARLANE_COMPAT_IOMMU_H
#define FARLANE_COMPAT_IOMMU_H

#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "farlane needs Linux 6.1 or later"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
static inline int fl_compat_iommu_claim(struct device *dev, struct fwnode_handle *fwnode,
					const struct iommu_ops *ops)
{
	return 0;
}

/* These leave the pointers behind when a driver is unregistered. */
static inline void fl_compat_iommu_forget(const struct iommu_ops *ops)
{
	if (pci_bus_type.iommu_ops == ops)
		pci_bus_type.iommu_ops = NULL;
	if (platform_bus_type.iommu_ops == ops)
		platform_bus_type.iommu_ops = NULL;
}
#else
/*
 * What iommu_fwspec_init() does. That one wants a lock of the core which modules do not
 * have; here the device is new and nobody else knows it yet. The core frees both.
 */
static inline int fl_compat_iommu_claim(struct device *dev, struct fwnode_handle *fwnode,
					const struct iommu_ops *ops)
{
	struct iommu_fwspec *fwspec;
	struct dev_iommu *param;

	if (dev->iommu)
		return dev_iommu_fwspec_get(dev) ? 0 : -EBUSY;
	param = kzalloc(sizeof(*param), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, 1), GFP_KERNEL);
	if (!param || !fwspec) {
		kfree(param);
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&param->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(fwnode);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	fwspec->ops = ops; /* later ones look them up by the firmware node */
#endif
	param->fwspec = fwspec;
	dev->iommu = param;
	return 0;
}

static inline void fl_compat_iommu_forget(const struct iommu_ops *ops)
{
}
#endif

/* Until 6.9 the driver of an IOMMU says by which dma_map_ops drivers of devices map. */
#define FL_COMPAT_OWN_DMA_OPS (LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0))

/* From 6.3 on the core asks the interrupt domain (compat/isolated_msi.h). */
static inline bool fl_compat_is_isolated_msi(enum iommu_cap cap)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return cap == IOMMU_CAP_INTR_REMAP;
#else
	return false;
#endif
}

#endif /* FARLANE_COMPAT_IOMMU_H */

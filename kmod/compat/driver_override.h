/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Receives: a PCI device. Hands on: which driver alone may bind to it.
 * Owns: nothing. The name moved from struct pci_dev to struct device, in long-term
 * kernels too, so no version tells: Kbuild looks into the header.
 */
#ifndef FARLANE_COMPAT_DRIVER_OVERRIDE_H
#define FARLANE_COMPAT_DRIVER_OVERRIDE_H

#include <linux/pci.h>
#include <linux/string.h>

#ifdef FL_HAVE_DEVICE_DRIVER_OVERRIDE

/* An empty name: every driver again. */
static inline int fl_driver_override_set(struct pci_dev *pdev, const char *name)
{
	return device_set_driver_override(&pdev->dev, name);
}

/* NULL: is there any? */
static inline bool fl_driver_override_is(struct pci_dev *pdev, const char *name)
{
	bool same;

	spin_lock(&pdev->dev.driver_override.lock);
	same = pdev->dev.driver_override.name &&
	       (!name || !strcmp(pdev->dev.driver_override.name, name));
	spin_unlock(&pdev->dev.driver_override.lock);
	return same;
}

#else

static inline int fl_driver_override_set(struct pci_dev *pdev, const char *name)
{
	return driver_set_override(&pdev->dev, &pdev->driver_override, name, strlen(name));
}

static inline bool fl_driver_override_is(struct pci_dev *pdev, const char *name)
{
	bool same;

	device_lock(&pdev->dev);
	same = pdev->driver_override && (!name || !strcmp(pdev->driver_override, name));
	device_unlock(&pdev->dev);
	return same;
}

#endif

#endif /* FARLANE_COMPAT_DRIVER_OVERRIDE_H */

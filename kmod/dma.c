// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: requests of devices (through the daemon), mappings of iommu_ops. Hands on: bytes
 * by way of domain.c. Owns: the registration as an IOMMU, and which of the two ways is used.
 *
 * As an IOMMU it gives VFIO its domains. What drivers map goes through dma_direct.c, byte exact,
 * where an IOMMU's driver may choose that (FL_COMPAT_OWN_DMA_OPS). Later kernels put dma-iommu
 * there. It maps whole pages: the ends of a buffer that do not fill a page are bounced when the
 * device is untrusted (its root port is external_facing), which needs a software IO TLB. Without
 * that, or beside a hardware IOMMU on kernels that allow one driver per bus, there is no IOMMU of
 * ours, and dma_direct.c serves drivers alone.
 */
#include "dma.h"

#include <linux/cc_platform.h>
#include <linux/dma-mapping.h>
#include <linux/uaccess.h>

#include "compat/iommu.h"
#include "domain.h"
#include "farlane.h"
#include "trace.h"

/* Writes to the interrupt controller; never memory. */
#define MSI_WINDOW_START 0xfee00000
#define MSI_WINDOW_BYTES 0x100000

struct fl_iommu_domain {
	struct iommu_domain core;
	struct fl_table *table; /* NULL: a domain that blocks everything, or that of the drivers */
};

static struct iommu_device fl_iommu;
static struct fwnode_handle *fl_fwnode;
static bool fl_uses_iommu;
static const struct iommu_ops fl_iommu_ops;

static struct fl_iommu_domain *to_fl(struct iommu_domain *core)
{
	return container_of(core, struct fl_iommu_domain, core);
}

/* What drivers map goes through dma_direct.c. */
static bool maps_directly(void)
{
	return !fl_uses_iommu || FL_COMPAT_OWN_DMA_OPS;
}

static struct fl_function *function_of_device(struct device *dev)
{
	struct pci_dev *pdev;

	if (!dev_is_pci(dev))
		return NULL;
	pdev = to_pci_dev(dev);
	return fl_is_our_device(pdev) ? fl_function_of(pdev) : NULL;
}

/* --- iommu_ops ------------------------------------------------------------------------ */

static bool fl_iommu_capable(struct device *dev, enum iommu_cap cap)
{
	/* an MSI of the device is never a memory write here */
	return cap == IOMMU_CAP_CACHE_COHERENCY || fl_compat_is_isolated_msi(cap);
}

static int fl_iommu_attach(struct iommu_domain *core, struct device *dev)
{
	struct fl_function *f = dev_iommu_priv_get(dev);
	struct fl_table *table = to_fl(core)->table;

	if (core->type == IOMMU_DOMAIN_DMA && maps_directly())
		table = fl_direct_table(f);
	if (f->domain->table && f->domain->table != table)
		fl_node_domain_leaves(f);
	fl_domain_attach(f->domain, table);
	return 0;
}

static void fl_iommu_probe_finalize(struct device *dev)
{
	if (maps_directly())
		fl_direct_claim(dev);
}

static int fl_iommu_map(struct iommu_domain *core, unsigned long iova, phys_addr_t address,
			size_t page_bytes, size_t pages, int prot, gfp_t gfp, size_t *mapped)
{
	u64 bytes = (u64)page_bytes * pages;
	u32 direction = 0;
	int error;

	if (prot & IOMMU_READ)
		direction |= FL_MAP_DEVICE_READS;
	if (prot & IOMMU_WRITE)
		direction |= FL_MAP_DEVICE_WRITES;
	/* the module copies with the CPU: memory only, no peer's registers */
	if (!to_fl(core)->table || (prot & IOMMU_MMIO) || !fl_is_memory(address, bytes))
		return -EINVAL;
	error = fl_table_map(to_fl(core)->table, iova, address, bytes, direction, gfp);
	if (!error)
		*mapped = bytes;
	return error;
}

static size_t fl_iommu_unmap(struct iommu_domain *core, unsigned long iova, size_t page_bytes,
			     size_t pages, struct iommu_iotlb_gather *gather)
{
	if (!to_fl(core)->table)
		return 0;
	return fl_table_unmap(to_fl(core)->table, iova, (u64)page_bytes * pages);
}

static phys_addr_t fl_iommu_iova_to_phys(struct iommu_domain *core, dma_addr_t iova)
{
	return to_fl(core)->table ? fl_table_address(to_fl(core)->table, iova) : 0;
}

static bool fl_iommu_enforce_coherency(struct iommu_domain *core)
{
	return true;
}

static void fl_iommu_domain_free(struct iommu_domain *core)
{
	fl_table_destroy(to_fl(core)->table);
	kfree(to_fl(core));
}

static struct iommu_domain *fl_iommu_domain_alloc(unsigned int type)
{
	struct fl_iommu_domain *domain;

	if (type != IOMMU_DOMAIN_DMA && type != IOMMU_DOMAIN_UNMANAGED &&
	    type != IOMMU_DOMAIN_BLOCKED)
		return NULL; /* identity would be all memory of the host */
	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	if (!domain)
		return NULL;
	if (type == IOMMU_DOMAIN_UNMANAGED || (type == IOMMU_DOMAIN_DMA && !maps_directly())) {
		domain->table = fl_table_create();
		if (!domain->table) {
			kfree(domain);
			return NULL;
		}
	}
	domain->core.geometry.aperture_end = BIT_ULL(FL_IOVA_BITS) - 1;
	domain->core.geometry.force_aperture = true;
	return &domain->core;
}

static struct iommu_device *fl_iommu_probe(struct device *dev)
{
	struct fl_function *f = function_of_device(dev);

	if (!f || !f->domain)
		return ERR_PTR(-ENODEV);
	dev_iommu_priv_set(dev, f);
	return &fl_iommu;
}

static void fl_iommu_release(struct device *dev)
{
	struct fl_function *f = dev_iommu_priv_get(dev);

	if (f && f->domain) {
		fl_node_domain_leaves(f);
		fl_domain_attach(f->domain, NULL);
	}
	dev_iommu_priv_set(dev, NULL);
}

static int fl_iommu_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_DMA; /* never lazy, never identity */
}

static void fl_iommu_resv_regions(struct device *dev, struct list_head *head)
{
	struct iommu_resv_region *region =
		iommu_alloc_resv_region(MSI_WINDOW_START, MSI_WINDOW_BYTES,
					IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO, IOMMU_RESV_MSI,
					GFP_KERNEL);

	if (region)
		list_add_tail(&region->list, head);
}

static const struct iommu_domain_ops fl_iommu_domain_ops = {
	.attach_dev = fl_iommu_attach,
	.map_pages = fl_iommu_map,
	.unmap_pages = fl_iommu_unmap,
	.iova_to_phys = fl_iommu_iova_to_phys,
	.enforce_cache_coherency = fl_iommu_enforce_coherency,
	.free = fl_iommu_domain_free,
};

static const struct iommu_ops fl_iommu_ops = {
	.capable = fl_iommu_capable,
	.domain_alloc = fl_iommu_domain_alloc,
	.probe_device = fl_iommu_probe,
	.release_device = fl_iommu_release,
	.probe_finalize = fl_iommu_probe_finalize,
	.device_group = generic_device_group,
	.get_resv_regions = fl_iommu_resv_regions,
	.def_domain_type = fl_iommu_domain_type,
	.default_domain_ops = &fl_iommu_domain_ops,
	.pgsize_bitmap = PAGE_SIZE,
	.owner = THIS_MODULE,
};

/* --- who takes a new device ------------------------------------------------------------- */

static int on_bus_event(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;

	/* a driver's unbinding may have taken the dma_map_ops away: again at each bind */
	if (action != BUS_NOTIFY_ADD_DEVICE && action != BUS_NOTIFY_BIND_DRIVER)
		return NOTIFY_DONE;
	if (!function_of_device(dev))
		return NOTIFY_DONE;
	if (maps_directly())
		fl_direct_claim(dev);
	if (fl_uses_iommu && action == BUS_NOTIFY_ADD_DEVICE &&
	    fl_compat_iommu_claim(dev, fl_fwnode, &fl_iommu_ops))
		dev_err(dev, "farlane: no memory for the IOMMU, DMA will fail\n");
	return NOTIFY_OK;
}

/* Before the core's own, which probes the IOMMU of a new device. */
static struct notifier_block fl_bus_notifier = {
	.notifier_call = on_bus_event,
	.priority = 10,
};

static int register_iommu(void)
{
	int error;

	fl_fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(fl_fwnode))
		return PTR_ERR(fl_fwnode);
	fl_iommu.fwnode = fl_fwnode;
	error = iommu_device_sysfs_add(&fl_iommu, NULL, NULL, "farlane");
	if (error)
		goto err_fwnode;
	error = iommu_device_register(&fl_iommu, &fl_iommu_ops, NULL);
	if (error)
		goto err_sysfs;
	fl_uses_iommu = true;
	return 0;
err_sysfs:
	iommu_device_sysfs_remove(&fl_iommu);
err_fwnode:
	fwnode_remove_software_node(fl_fwnode);
	return error;
}

static void unregister_iommu(void)
{
	iommu_device_unregister(&fl_iommu);
	fl_compat_iommu_forget(&fl_iommu_ops);
	iommu_device_sysfs_remove(&fl_iommu);
	fwnode_remove_software_node(fl_fwnode);
	fl_uses_iommu = false;
}

/*
 * Is there a software IO TLB for the ends of buffers? Nobody tells modules; but a device that
 * reaches less than all memory has a limit on its mappings exactly when there is one.
 */
static bool can_bounce(void)
{
	struct device *probe = root_device_register("farlane-probe");
	u64 mask = DMA_BIT_MASK(20);
	bool can = false;

	if (IS_ERR(probe))
		return false;
	probe->dma_mask = &mask;
	probe->coherent_dma_mask = mask;
	can = dma_max_mapping_size(probe) != SIZE_MAX;
	probe->dma_mask = NULL;
	root_device_unregister(probe);
	return can;
}

static int choose(void)
{
	bool automatic = !strcmp(fl_param_dma, "auto");
	int error;

	if (!strcmp(fl_param_dma, "direct"))
		return 0;
	if (!automatic && strcmp(fl_param_dma, "iommu")) {
		pr_err("farlane: dma=%s: use auto, iommu or direct\n", fl_param_dma);
		return -EINVAL;
	}
	if (!FL_COMPAT_OWN_DMA_OPS && !can_bounce()) {
		pr_info("farlane: no software IO TLB (it is off below 4 GiB, swiotlb=force or iommu=soft turns it on)\n");
		if (automatic)
			return 0;
		return -ENODEV;
	}
	error = register_iommu();
	if (!error || !automatic) {
		if (error)
			pr_err("farlane: can't register as an IOMMU (%d); dma=direct works\n", error);
		return error;
	}
	pr_info("farlane: can't register as an IOMMU (%d)\n", error);
	return 0;
}

int fl_dma_init(void)
{
	int error;

	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT)) {
		pr_err("farlane: not in a guest with encrypted memory: devices could not reach it\n");
		return -EOPNOTSUPP;
	}
	error = fl_memory_init();
	if (error)
		return error;
	error = fl_direct_init();
	if (error)
		goto err_memory;
	error = choose();
	if (error)
		goto err_direct;
	error = bus_register_notifier(&pci_bus_type, &fl_bus_notifier);
	if (error)
		goto err_iommu;
	pr_info("farlane: DMA of drivers through %s, %s\n",
		maps_directly() ? "dma_map_ops" : "iommu_ops",
		fl_uses_iommu ? "of VFIO through iommu_ops" : "no VFIO");
	return 0;
err_iommu:
	if (fl_uses_iommu)
		unregister_iommu();
err_direct:
	fl_direct_exit();
err_memory:
	fl_memory_exit();
	return error;
}

void fl_dma_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &fl_bus_notifier);
	if (fl_uses_iommu)
		unregister_iommu();
	fl_direct_exit();
	fl_memory_exit();
}

u32 fl_dma_feature(void)
{
	return (fl_uses_iommu ? FL_FEATURE_IOMMU_OPS : 0) | (maps_directly() ? FL_FEATURE_DMA_MAP_OPS : 0);
}

/* --- the function's side ------------------------------------------------------------------ */

int fl_dma_attach(struct fl_function *f)
{
	struct fl_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	int error;

	if (!domain)
		return -ENOMEM;
	domain->function = f;
	raw_spin_lock_init(&domain->copy_lock);
	INIT_LIST_HEAD(&domain->attached);
	f->domain = domain;
	if (!maps_directly())
		return 0;
	error = fl_direct_attach(f);
	if (error) {
		f->domain = NULL;
		kfree(domain);
	}
	return error;
}

void fl_dma_quiesce(struct fl_function *f)
{
	if (f->domain)
		fl_domain_wait(f->domain);
}

void fl_dma_revoke(struct fl_function *f)
{
	if (!f->domain)
		return;
	WRITE_ONCE(f->domain->revoked, true);
	fl_domain_wait(f->domain);
}

/* The device is off the bus, so nothing maps any more. */
void fl_dma_detach(struct fl_function *f)
{
	struct fl_domain *domain = f->domain;

	if (!domain)
		return;
	fl_dma_revoke(f);
	fl_domain_attach(domain, NULL);
	if (maps_directly())
		fl_direct_detach(f);
	f->domain = NULL;
	kfree(domain);
}

static enum fl_status transfer(struct fl_function *f, u32 kind, u64 iova, u32 bytes, void *buffer)
{
	struct fl_counters *c = &f->counters;
	enum fl_status status = fl_domain_transfer(f->domain, kind, iova, bytes, buffer);

	trace_farlane_dma(f, kind, iova, bytes, status);
	if (status != FL_STATUS_SC) {
		atomic64_inc(&c->dma_refused);
		return status;
	}
	atomic64_add(bytes, &c->dma_bytes);
	if (kind == FL_DMA_READ)
		atomic64_inc(&c->dma_reads);
	else
		atomic64_inc(&c->dma_writes);
	return status;
}

enum fl_status fl_dma_copy(struct fl_function *f, u64 iova, void *buffer, u32 bytes, bool to_memory)
{
	return transfer(f, to_memory ? FL_DMA_WRITE : FL_DMA_READ, iova, bytes, buffer);
}

/* Bytes that come from the daemon, and bytes that go there. */
static u32 bytes_in(u32 kind, u32 bytes)
{
	if (kind == FL_DMA_READ)
		return 0;
	return kind == FL_DMA_CAS ? 2 * bytes : bytes;
}

static u32 bytes_out(u32 kind, u32 bytes)
{
	return kind == FL_DMA_WRITE ? 0 : bytes;
}

enum fl_status fl_dma_op(struct fl_function *f, const struct fl_dma_op *op, void *bounce)
{
	void __user *daemon = u64_to_user_ptr(op->address);
	bool atomic = op->kind >= FL_DMA_FETCHADD && op->kind <= FL_DMA_CAS;
	enum fl_status status;

	if (op->kind < FL_DMA_READ || op->kind > FL_DMA_CAS || !op->length_bytes ||
	    op->length_bytes > FL_DMA_MAX_OP_BYTES ||
	    (atomic && op->length_bytes != 4 && op->length_bytes != 8))
		return FL_STATUS_INVALID;
	if (op->pasid) {
		atomic64_inc(&f->counters.dma_refused);
		return FL_STATUS_UR;
	}
	/* the daemon's memory may fault, and be slow on purpose: never inside the copy */
	if (copy_from_user(bounce, daemon, bytes_in(op->kind, op->length_bytes)))
		return FL_STATUS_INVALID;
	status = transfer(f, op->kind, op->iova, op->length_bytes, bounce);
	if (status == FL_STATUS_SC &&
	    copy_to_user(daemon, bounce, bytes_out(op->kind, op->length_bytes)))
		return FL_STATUS_INVALID;
	return status;
}

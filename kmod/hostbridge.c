// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: configuration accesses of the PCI core, root ports that it adds and removes; functions
 * to plug and unplug.
 * Hands on: accesses to the root port or the function meant; slots to pciehp.
 * Owns: the host bridge with its domain and window, and the root ports.
 *
 * A root port itself lasts as long as the bridge. Its pci_dev does not: root may remove and rescan
 * it through sysfs at any time, which on_bus() follows. Who removes has pci_rescan_remove_lock until
 * all is gone, the function behind first.
 *
 * Locks, outermost first: pciehp's reset_lock, pci_rescan_remove_lock, slots_lock, pci_lock,
 * f->config_lock, port->lock. Which function a slot has is RCU: the accessors run with interrupts off.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/ioport.h>
#include <linux/module.h>

#include "compat/compat.h"
#include "compat/driver_override.h"
#include "port.h"
#include "trace.h"

/*
 * 32-bit BARs get bus addresses here whatever the CPU's addresses are. Remote
 * functions share no bus with anything else, so the choice is free; this one leaves
 * 3 GiB of IOVAs below it for devices that can not address more.
 */
#define BUS_MEM32_START 0xc0000000ULL
#define BUS_MEM32_BYTES SZ_512M
#define PREFETCH_MOST_BYTES (256ULL << 30)
#define PREFETCH_LEAST_BYTES SZ_1G
#define NO_DRIVER "farlane-not-yet"

static struct {
	struct pci_sysdata sysdata;
	struct pci_host_bridge *bridge;
	struct resource *region, mem32, prefetch, buses;
	struct fl_port *ports;
	unsigned int slots, next_slot;
} host;

static DEFINE_MUTEX(slots_lock); /* port->reserved, next_slot */

static bool is_our_bus(const struct pci_bus *bus)
{
	return bus->sysdata == &host.sysdata;
}

/* The port a device is, or is behind; NULL for what is not ours. */
static struct fl_port *port_of(const struct pci_bus *bus, unsigned int devfn)
{
	unsigned int at;

	if (!pci_is_root_bus((struct pci_bus *)bus)) {
		if (devfn || !bus->self || !pci_is_root_bus(bus->self->bus))
			return NULL;
		devfn = bus->self->devfn;
	}
	at = PCI_SLOT(devfn);
	return PCI_FUNC(devfn) || at >= host.slots ? NULL : &host.ports[at];
}

bool fl_is_our_device(const struct pci_dev *pdev)
{
	return is_our_bus(pdev->bus) && !pci_is_root_bus(pdev->bus) &&
	       port_of(pdev->bus, pdev->devfn);
}

struct fl_msi *fl_port_msi(const struct pci_dev *pdev)
{
	struct fl_port *port;

	if (!is_our_bus(pdev->bus) || !pci_is_root_bus(pdev->bus))
		return NULL;
	port = port_of(pdev->bus, pdev->devfn);
	return port ? port->msi : NULL;
}

struct fl_function *fl_slot_function(unsigned int slot)
{
	return slot < host.slots ? rcu_dereference(host.ports[slot].function) : NULL;
}

struct device *fl_slot_get_device(unsigned int slot)
{
	struct pci_dev *pdev = fl_port_get_device(&host.ports[slot]);

	return pdev ? &pdev->dev : get_device(&host.bridge->bus->dev);
}

struct fl_function *fl_function_of(const struct pci_dev *pdev)
{
	struct fl_function *f;

	if (!fl_is_our_device(pdev))
		return NULL;
	rcu_read_lock();
	f = fl_slot_function(port_of(pdev->bus, pdev->devfn)->slot);
	rcu_read_unlock();
	return f;
}

/* --- accessors ------------------------------------------------------------- */

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct fl_port *port = port_of(bus, devfn);
	struct fl_function *f;

	PCI_SET_ERROR_RESPONSE(value);
	if (!port)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (pci_is_root_bus(bus)) {
		*value = fl_port_read(port, where, size);
		return PCIBIOS_SUCCESSFUL;
	}
	rcu_read_lock();
	f = rcu_dereference(port->function);
	if (!f || fl_function_is_gone(f) || !fl_port_link_active(port)) {
		rcu_read_unlock();
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	*value = fl_config_read(f, where, size, fl_port_retry_visible(port));
	trace_farlane_config(f, false, where, size, *value);
	rcu_read_unlock();
	return PCIBIOS_SUCCESSFUL;
}

static void write_port(struct fl_port *port, int where, int size, u32 value)
{
	struct fl_function *f;

	if (!fl_port_write(port, where, size, value))
		return;
	rcu_read_lock();
	f = rcu_dereference(port->function);
	if (f && !fl_function_is_gone(f))
		fl_config_reset(f);
	rcu_read_unlock();
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct fl_port *port = port_of(bus, devfn);
	struct fl_function *f;

	if (!port)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (pci_is_root_bus(bus)) {
		write_port(port, where, size, value);
		return PCIBIOS_SUCCESSFUL;
	}
	rcu_read_lock();
	f = rcu_dereference(port->function);
	if (!f || fl_function_is_gone(f) || !fl_port_link_active(port)) {
		rcu_read_unlock();
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	trace_farlane_config(f, true, where, size, value);
	fl_config_write(f, where, size, value);
	rcu_read_unlock();
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops bus_ops = {
	.read = config_read,
	.write = config_write,
};

/* --- window ------------------------------------------------------------------ */

phys_addr_t fl_window_start(void)
{
	return host.region ? host.region->start : 0;
}

resource_size_t fl_window_size(void)
{
	return host.region ? resource_size(host.region) : 0;
}

bool fl_window_contains(phys_addr_t address, size_t bytes)
{
	phys_addr_t start = fl_window_start();
	resource_size_t size = fl_window_size();

	return address >= start && bytes <= size && address - start <= size - bytes;
}

bool fl_window_from_bus(u64 bus_address, u64 bytes, phys_addr_t *cpu)
{
	if (bus_address >= BUS_MEM32_START && bytes <= BUS_MEM32_BYTES &&
	    bus_address - BUS_MEM32_START <= BUS_MEM32_BYTES - bytes) {
		*cpu = host.mem32.start + (bus_address - BUS_MEM32_START);
		return true;
	}
	*cpu = bus_address;
	return bus_address >= host.prefetch.start && bytes <= resource_size(&host.prefetch) &&
	       bus_address - host.prefetch.start <= resource_size(&host.prefetch) - bytes;
}

/*
 * Addresses that no memory has and none will get. The request marks them busy and as
 * device memory, which would make every driver's own request fail.
 */
static struct resource *request_region_of(u64 bytes)
{
	struct resource *region = request_free_mem_region(&iomem_resource, bytes, "farlane");

	if (IS_ERR(region))
		return region;
	region->flags &= ~IORESOURCE_BUSY;
	region->desc = IORES_DESC_NONE;
	return region;
}

static void window_free(void)
{
	struct resource *region = host.region;

	if (host.mem32.parent)
		release_resource(&host.mem32);
	if (host.prefetch.parent)
		release_resource(&host.prefetch);
	host.region = NULL;
	region->flags |= IORESOURCE_BUSY; /* what is released has to be busy */
	release_mem_region(region->start, resource_size(region));
}

static int window_init(void)
{
	struct resource *region = ERR_PTR(-ENOMEM);
	u64 prefetch;
	int err;

	for (prefetch = PREFETCH_MOST_BYTES; prefetch >= PREFETCH_LEAST_BYTES; prefetch /= 2) {
		region = request_region_of(prefetch + BUS_MEM32_BYTES);
		if (!IS_ERR(region))
			break;
	}
	if (IS_ERR(region)) {
		pr_err("no %llu MiB of free physical addresses for BARs of remote functions\n",
		       (u64)(PREFETCH_LEAST_BYTES + BUS_MEM32_BYTES) >> 20);
		return PTR_ERR(region);
	}
	host.region = region;
	host.mem32 = (struct resource){ .name = "farlane 32-bit", .start = region->start,
					.end = region->start + BUS_MEM32_BYTES - 1,
					.flags = IORESOURCE_MEM };
	host.prefetch = (struct resource){ .name = "farlane prefetchable",
					   .start = host.mem32.end + 1, .end = region->end,
					   .flags = IORESOURCE_MEM | IORESOURCE_MEM_64 |
						    IORESOURCE_PREFETCH };
	err = request_resource(region, &host.mem32);
	if (!err)
		err = request_resource(region, &host.prefetch);
	if (err)
		window_free();
	return err;
}

/* --- slots --------------------------------------------------------------------- */

static int reserve(struct fl_function *f)
{
	unsigned int i;
	int err = -ENOSPC;

	lockdep_assert_held(&slots_lock);
	/* Round: the slot of the function that left last is still powering down. */
	for (i = 0; i < host.slots; i++) {
		unsigned int at = (host.next_slot + i) % host.slots;

		if (host.ports[at].reserved)
			continue;
		if (!fl_port_on_bus(&host.ports[at])) {
			err = -ENXIO;
			continue;
		}
		host.ports[at].reserved = f;
		host.next_slot = at + 1;
		f->slot = at;
		return 0;
	}
	return err;
}

int fl_slot_reserve(struct fl_function *f)
{
	int err;

	mutex_lock(&slots_lock);
	err = reserve(f);
	mutex_unlock(&slots_lock);
	if (err == -ENXIO)
		pr_warn("function %s refused: the root port of each free slot was removed; \"echo 1 > /sys/bus/pci/rescan\" brings them back\n",
			f->name);
	else if (err)
		pr_warn("function %s refused: no slot is free; the module parameter \"slots\" sets how many there are\n",
			f->name);
	return err;
}

void fl_slot_release(struct fl_function *f)
{
	mutex_lock(&slots_lock);
	host.ports[f->slot].reserved = NULL;
	mutex_unlock(&slots_lock);
}

unsigned int fl_slots_free(void)
{
	unsigned int i, n = 0;

	mutex_lock(&slots_lock);
	for (i = 0; i < host.slots; i++)
		n += !host.ports[i].reserved && fl_port_on_bus(&host.ports[i]);
	mutex_unlock(&slots_lock);
	return n;
}

/* The card is seen only once it has been reset: nothing of the last holder is left in it. */
void fl_slot_plug(struct fl_function *f)
{
	struct fl_port *port = &host.ports[f->slot];
	unsigned long flags;
	bool is_there;

	raw_spin_lock_irqsave(&port->lock, flags);
	rcu_assign_pointer(port->function, f);
	is_there = port->pdev;
	raw_spin_unlock_irqrestore(&port->lock, flags);
	if (is_there)
		fl_config_reset(f);
	else
		fl_function_contain(f, "port-removed");
}

void fl_slot_reset_done(struct fl_function *f)
{
	fl_port_card_in(&host.ports[f->slot], f);
}

/*
 * Nothing here waits for pciehp. Both of us remove what is left on the bus under
 * pci_rescan_remove_lock, and whoever comes second finds nothing: so it ends
 * also where pciehp is not bound, and while somebody writes to the slot's "power".
 * A port that has gone took along what was behind it, before we got the lock.
 */
static void empty_bus(struct fl_port *port)
{
	struct pci_dev *bridge, *pdev, *next;

	pci_lock_rescan_remove();
	bridge = fl_port_get_device(port);
	if (bridge && bridge->subordinate)
		list_for_each_entry_safe_reverse(pdev, next, &bridge->subordinate->devices, bus_list)
			pci_stop_and_remove_bus_device(pdev);
	pci_unlock_rescan_remove();
	pci_dev_put(bridge);
}

/*
 * The bus first, also by surprise. pciehp's thread, which the card's leaving wakes, waits for
 * pci_rescan_remove_lock; who removes the port has that lock and waits for the thread, for ever.
 * So whoever is at it, perhaps in the driver's remove, ends before the thread hears anything.
 */
void fl_slot_unplug(struct fl_function *f, bool surprise)
{
	struct fl_port *port = &host.ports[f->slot];

	if (surprise)
		WRITE_ONCE(f->gone, true);
	empty_bus(port); /* not gone: the driver says goodbye to a device that answers */
	WRITE_ONCE(f->gone, true);
	fl_port_card_out(port);
	empty_bus(port);
	rcu_assign_pointer(port->function, NULL);
	synchronize_rcu();
}

void fl_port_error(struct fl_function *f, u32 severity, u32 source)
{
	struct fl_port *port = &host.ports[f->slot];

	if (severity > 2 || source > 31 || fl_function_is_gone(f))
		return;
	if (!fl_config_error(f, severity, source))
		return;
	/* A device that reports an error per packet must not fill the log of this host. */
	if (!__ratelimit(&port->errors))
		atomic64_inc(&f->counters.errors_dropped);
	else
		fl_port_message(port, severity, fl_port_read(port, PCI_SECONDARY_BUS, 1) << 8);
}

/* --- root ports come and go ---------------------------------------------------------- */

/* Before anything behind it is scanned: what comes from outside is not trusted. */
static void port_comes(struct fl_port *port, struct pci_dev *pdev)
{
	pdev->external_facing = 1;
	fl_port_set_device(port, pdev);
}

/* The driver has been unbound in order. What was behind has no way to this host any more. */
static void port_goes(struct fl_port *port)
{
	struct fl_function *f;

	fl_port_set_device(port, NULL);
	rcu_read_lock();
	f = rcu_dereference(port->function); /* or fl_slot_plug() sees that the port is not there */
	if (f)
		fl_function_contain(f, "port-removed");
	rcu_read_unlock();
}

/* pciehp calls a slot by its number; the contract promises farlane<slot>. */
static void name_slot(const struct fl_port *port, struct pci_dev *pdev)
{
	struct pci_bus *bus = pdev->subordinate;
	struct pci_slot *slot;
	char name[16];

	if (!bus || list_empty(&bus->slots)) {
		pci_warn(pdev, "pciehp did not take this port: is it disabled?\n");
		return;
	}
	slot = list_first_entry(&bus->slots, struct pci_slot, list);
	snprintf(name, sizeof(name), "farlane%u", port->slot);
	if (kobject_rename(&slot->kobj, name))
		pci_warn(pdev, "slot keeps its number for a name\n");
}

/* Added and removed under pci_rescan_remove_lock; bound under the device's lock. */
static int on_bus(struct notifier_block *nb, unsigned long action, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct fl_port *port;

	if (!is_our_bus(pdev->bus) || !pci_is_root_bus(pdev->bus))
		return NOTIFY_DONE;
	port = port_of(pdev->bus, pdev->devfn);
	if (!port)
		return NOTIFY_DONE;
	switch (action) {
	case BUS_NOTIFY_ADD_DEVICE:
		port_comes(port, pdev);
		return NOTIFY_OK;
	case BUS_NOTIFY_BOUND_DRIVER:
		name_slot(port, pdev);
		return NOTIFY_OK;
	case BUS_NOTIFY_REMOVED_DEVICE:
		port_goes(port);
		return NOTIFY_OK;
	}
	return NOTIFY_DONE;
}

static struct notifier_block bus_notifier = { .notifier_call = on_bus };

/* --- bridge ---------------------------------------------------------------------- */

static int free_domain(void)
{
	struct pci_bus *bus = NULL;
	int domain = FL_DOMAIN_FIRST;

	while ((bus = pci_find_next_bus(bus)))
		domain = max(domain, pci_domain_nr(bus) + 1);
	return domain;
}

static void ports_free(void)
{
	unsigned int i;

	for (i = 0; i < host.slots; i++)
		fl_port_free(&host.ports[i]);
	kvfree(host.ports);
	host.ports = NULL;
	host.slots = 0;
}

static int ports_init(unsigned int slots)
{
	unsigned int i;
	int err;

	host.ports = kvcalloc(slots, sizeof(*host.ports), GFP_KERNEL);
	if (!host.ports)
		return -ENOMEM;
	for (i = 0; i < slots; i++) {
		err = fl_port_init(&host.ports[i], i);
		if (err) {
			ports_free();
			return err;
		}
		host.slots = i + 1;
	}
	return 0;
}

/* After the scan: every port is there, and not yet with a driver: see ports_bind(). */
static int check_ports(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < host.slots; i++) {
		struct pci_dev *pdev = host.ports[i].pdev;

		if (!pdev || !pdev->subordinate) {
			pr_err("the PCI core did not take root port %u\n", i);
			return -ENODEV;
		}
		/* The core takes base and limit of zero for a window of 4 KiB: there is none. */
		pdev->resource[PCI_BRIDGE_IO_WINDOW].flags = 0;
		err = fl_driver_override_set(pdev, NO_DRIVER);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Without pci_rescan_remove_lock: pciehp takes its reset_lock when it binds, and the lock of
 * the bus within it when a card comes or goes.
 */
static void ports_bind(void)
{
	unsigned int i;

	for (i = 0; i < host.slots; i++) {
		struct pci_dev *pdev = fl_port_get_device(&host.ports[i]);

		if (pdev && (fl_driver_override_set(pdev, "") || device_attach(&pdev->dev) < 0))
			pci_warn(pdev, "no driver takes this port\n");
		pci_dev_put(pdev);
	}
}

/* Likewise: it waits for pciehp's thread, and that for the lock when a card has just gone. */
static void ports_unbind(void)
{
	unsigned int i;

	for (i = 0; i < host.slots; i++) {
		struct pci_dev *pdev = fl_port_get_device(&host.ports[i]);

		if (pdev)
			device_release_driver(&pdev->dev);
		pci_dev_put(pdev);
	}
}

static int bridge_scan(void)
{
	struct pci_host_bridge *bridge = pci_alloc_host_bridge(0);
	int err;

	if (!bridge)
		return -ENOMEM;
	host.sysdata.domain = free_domain();
	host.sysdata.node = NUMA_NO_NODE;
	host.buses = (struct resource){ .name = "farlane buses", .start = 0, .end = 255,
					.flags = IORESOURCE_BUS };
	bridge->sysdata = &host.sysdata;
	bridge->ops = &bus_ops;
	bridge->busnr = 0;
	pci_add_resource_offset(&bridge->windows, &host.mem32,
				host.mem32.start - BUS_MEM32_START);
	pci_add_resource(&bridge->windows, &host.prefetch);
	pci_add_resource(&bridge->windows, &host.buses);
	dev_set_msi_domain(&bridge->dev, fl_msi_domain());
	err = pci_scan_root_bus_bridge(bridge);
	if (err) {
		pci_free_host_bridge(bridge);
		return err;
	}
	host.bridge = bridge;
	return 0;
}

static void bridge_remove(void)
{
	pci_stop_root_bus(host.bridge->bus);
	pci_remove_root_bus(host.bridge->bus);
	pci_free_host_bridge(host.bridge);
	host.bridge = NULL;
}

int fl_hostbridge_init(unsigned int slots)
{
	int err;

	err = window_init();
	if (err)
		return err;
	err = ports_init(slots);
	if (err)
		goto err_window;
	err = bus_register_notifier(&pci_bus_type, &bus_notifier);
	if (err)
		goto err_ports;
	pci_lock_rescan_remove();
	err = bridge_scan();
	if (err)
		goto err_notifier;
	err = check_ports();
	if (err)
		goto err_bridge;
	pci_assign_unassigned_bus_resources(host.bridge->bus);
	pci_bus_add_devices(host.bridge->bus);
	pci_unlock_rescan_remove();
	ports_bind();
	return 0;

err_bridge:
	bridge_remove();
err_notifier:
	pci_unlock_rescan_remove();
	bus_unregister_notifier(&pci_bus_type, &bus_notifier);
err_ports:
	ports_free();
err_window:
	window_free();
	return err;
}

/* Every slot is empty: functions are drained before. */
void fl_hostbridge_exit(void)
{
	ports_unbind();
	pci_lock_rescan_remove();
	bridge_remove();
	pci_unlock_rescan_remove();
	bus_unregister_notifier(&pci_bus_type, &bus_notifier);
	ports_free();
	window_free();
}

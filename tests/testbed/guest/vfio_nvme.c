// SPDX-License-Identifier: Apache-2.0
// Receives: the address of an NVMe controller that is bound to vfio-pci. Hands on: what Identify says, read by this
// process alone: registers by pread and pwrite, DMA through VFIO's type 1 maps, completions by eventfd.
// Owns: container, group, device and 16 KiB of memory the controller may reach.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, ENTRIES = 16, TIMEOUT_MS = 60000 };
enum { REG_CC = 0x14, REG_CSTS = 0x1c, REG_AQA = 0x24, REG_ASQ = 0x28, REG_ACQ = 0x30, REG_SQ = 0x1000, REG_CQ = 0x1004 };

static const uint64_t IOVA_QUEUES = 0x10000000, IOVA_DATA = 0x20000000;

static int container, group, device, event;
static uint64_t bar0, config;
static uint8_t *queues, *data;
static unsigned head, tail, phase = 1;

static void fail(const char *what) {
    fprintf(stderr, "vfio_nvme: %s: %s\n", what, strerror(errno));
    exit(1);
}
static void check(int good, const char *what) {
    if (!good) fail(what);
}

static uint32_t read32(uint32_t at) {
    uint32_t v;
    check(pread(device, &v, 4, (off_t)(bar0 + at)) == 4, "register read");
    return v;
}
static void write32(uint32_t at, uint32_t v) {
    check(pwrite(device, &v, 4, (off_t)(bar0 + at)) == 4, "register write");
}
static void write64(uint32_t at, uint64_t v) {
    write32(at, (uint32_t)v);
    write32(at + 4, (uint32_t)(v >> 32));
}

static int group_number(const char *address) {
    char path[PATH_MAX], link[PATH_MAX];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", address);
    const ssize_t n = readlink(path, link, sizeof link - 1);
    check(n > 0, path);
    link[n] = 0;
    return atoi(strrchr(link, '/') + 1);
}

static void open_device(const char *address) {
    char path[64];
    container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    check(container >= 0, "/dev/vfio/vfio");
    check(ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION, "version of VFIO");
    snprintf(path, sizeof path, "/dev/vfio/%d", group_number(address));
    group = open(path, O_RDWR | O_CLOEXEC);
    check(group >= 0, path);
    struct vfio_group_status status = {.argsz = sizeof status};
    check(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0, "group status");
    check((status.flags & VFIO_GROUP_FLAGS_VIABLE) != 0, "group is not viable");
    check(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "container");
    check(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "type 1 IOMMU");
    device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
    check(device >= 0, "device");
}

static void *map(uint64_t iova, size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    check(p != MAP_FAILED, "memory");
    struct vfio_iommu_type1_dma_map m = {.argsz = sizeof m,
                                         .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                         .vaddr = (uintptr_t)p,
                                         .iova = iova,
                                         .size = bytes};
    check(ioctl(container, VFIO_IOMMU_MAP_DMA, &m) == 0, "DMA map");
    return p;
}
static void unmap(uint64_t iova, size_t bytes) {
    struct vfio_iommu_type1_dma_unmap u = {.argsz = sizeof u, .iova = iova, .size = bytes};
    check(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u) == 0, "DMA unmap");
    check(u.size == bytes, "DMA unmap of another size");
}

// Where firmware keeps memory back right above the host's: in the kernel's page arrays, but not memory of Linux.
static unsigned long long find_hole(void) {
    const unsigned long long low = 1ull << 20, section = 128ull << 20;
    unsigned long long first = 0, last, ram_end = 0;
    char line[256], name[64];
    FILE *f = fopen("/proc/iomem", "re");
    check(f != NULL, "/proc/iomem");
    while (fgets(line, sizeof line, f)) {
        if (line[0] == ' ' || sscanf(line, "%llx-%llx : %63[^\n]", &first, &last, name) != 3) continue;
        if (strcmp(name, "System RAM") == 0) ram_end = last + 1;
        if (strcmp(name, "Reserved") == 0 && first == ram_end && first >= low && first % section != 0) break;
        first = 0;
    }
    fclose(f);
    errno = ENOENT;
    check(first != 0, "a reserved range right above System RAM");
    return first;
}

// The module copies with the CPU, through the kernel's own map of memory: what is not in there can not be mapped.
static void hole_is_refused(void) {
    const int memory = open("/dev/mem", O_RDWR | O_CLOEXEC);
    check(memory >= 0, "/dev/mem");
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)find_hole());
    check(p != MAP_FAILED, "mmap of a hole");
    struct vfio_iommu_type1_dma_map m = {.argsz = sizeof m,
                                         .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                         .vaddr = (uintptr_t)p,
                                         .iova = IOVA_DATA + PAGE,
                                         .size = PAGE};
    const int result = ioctl(container, VFIO_IOMMU_MAP_DMA, &m), why = errno;
    munmap(p, PAGE);
    close(memory);
    errno = 0;
    check(result == -1, "a page that is not memory was mapped for the device");
    errno = why;
    check(why == EINVAL, "DMA map of a page that is not memory");
    printf("DMA map of what is not memory: refused\n");
}

static uint64_t region(unsigned index, uint64_t least_bytes) {
    struct vfio_region_info r = {.argsz = sizeof r, .index = index};
    check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &r) == 0, "region");
    check(r.size >= least_bytes, "size of a region");
    return r.offset;
}

// A BAR can not be mapped by a process: it could not be trapped, and would read zero in silence. It is told before.
static void mapping_is_refused(const char *address) {
    struct vfio_region_info r = {.argsz = sizeof r, .index = VFIO_PCI_BAR0_REGION_INDEX};
    check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &r) == 0, "region");
    const unsigned both = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    errno = EINVAL;
    check((r.flags & (both | VFIO_REGION_INFO_FLAG_MMAP)) == both, "BAR 0 says that it can be mapped");
    void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, (off_t)bar0);
    check(p == MAP_FAILED, "a BAR was mapped");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", address);
    const int resource = open(path, O_RDWR | O_CLOEXEC);
    check(resource >= 0, path);
    p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, resource, 0);
    check(p == MAP_FAILED, "a BAR was mapped through sysfs");
    check(errno == EINVAL, "mmap through sysfs");
    close(resource);
    printf("mmap of BAR 0: not offered, and refused\n");
}

static void enable_function(void) {
    uint16_t command;
    check(pread(device, &command, 2, (off_t)(config + 4)) == 2, "command register");
    command |= 0x0006;
    check(pwrite(device, &command, 2, (off_t)(config + 4)) == 2, "command register");
}

static void enable_interrupt(void) {
    event = eventfd(0, EFD_CLOEXEC);
    check(event >= 0, "eventfd");
    char buffer[sizeof(struct vfio_irq_set) + sizeof event];
    struct vfio_irq_set *set = (struct vfio_irq_set *)buffer;
    *set = (struct vfio_irq_set){.argsz = sizeof buffer,
                                 .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                                 .index = VFIO_PCI_MSIX_IRQ_INDEX,
                                 .count = 1};
    memcpy(set->data, &event, sizeof event);
    check(ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0, "MSI-X");
}

static void wait_ready(uint32_t wanted) {
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (;;) {
        const uint32_t status = read32(REG_CSTS);
        errno = ETIMEDOUT;
        check(status != ~0u, "registers are all-ones");
        errno = EIO;
        check((status & 2) == 0, "controller fatal status");
        if ((status & 1) == wanted) return;
        clock_gettime(CLOCK_MONOTONIC, &now);
        errno = ETIMEDOUT;
        check((now.tv_sec - begin.tv_sec) * 1000 < TIMEOUT_MS, "CSTS.RDY");
    }
}

static void enable_controller(void) {
    write32(REG_CC, 0);
    wait_ready(0);
    write32(REG_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    write64(REG_ASQ, IOVA_QUEUES);
    write64(REG_ACQ, IOVA_QUEUES + PAGE);
    write32(REG_CC, 4u << 20 | 6u << 16 | 1);
    wait_ready(1);
}

// Identify Controller into `iova`; the status of its completion.
static unsigned identify(uint64_t iova) {
    uint32_t *command = (uint32_t *)(queues + tail * 64);
    memset(command, 0, 64);
    command[0] = 0x06 | (0x100 + tail) << 16;
    memcpy(command + 6, &iova, sizeof iova);
    command[10] = 1;
    tail = (tail + 1) % ENTRIES;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    write32(REG_SQ, tail);

    volatile uint16_t *status = (volatile uint16_t *)(queues + PAGE + head * 16 + 14);
    while ((*status & 1) != phase) {
        struct pollfd p = {.fd = event, .events = POLLIN};
        errno = ETIMEDOUT;
        check(poll(&p, 1, TIMEOUT_MS) == 1, "interrupt of the completion");
        uint64_t count;
        check(read(event, &count, sizeof count) == sizeof count, "eventfd");
    }
    const unsigned result = *status >> 1 & 0x7ff;
    head = (head + 1) % ENTRIES;
    if (head == 0) phase ^= 1;
    write32(REG_CQ, head);
    return result;
}

// One register of BAR 0, as it is, once for each line of the input.
static int show_register(uint32_t at) {
    bar0 = region(VFIO_PCI_BAR0_REGION_INDEX, REG_CQ + 4);
    config = region(VFIO_PCI_CONFIG_REGION_INDEX, 256);
    enable_function();
    while (getchar() == '\n') {
        printf("%08x\n", read32(at));
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: vfio_nvme DDDD:BB:DD.F [REGISTER]\n");
        return 2;
    }
    open_device(argv[1]);
    if (argc == 3) return show_register((uint32_t)strtoul(argv[2], NULL, 0));
    queues = map(IOVA_QUEUES, 2 * PAGE);
    data = map(IOVA_DATA, PAGE);
    bar0 = region(VFIO_PCI_BAR0_REGION_INDEX, REG_CQ + 4);
    config = region(VFIO_PCI_CONFIG_REGION_INDEX, 256);
    mapping_is_refused(argv[1]);
    hole_is_refused();
    enable_function();
    enable_interrupt();
    enable_controller();
    for (unsigned i = 0; i < 2 * ENTRIES; ++i) {  // the queues wrap
        memset(data, 0, PAGE);
        check(identify(IOVA_DATA) == 0, "Identify");
    }
    printf("serial: %.20s\nmodel: %.40s\n", (char *)data + 4, (char *)data + 24);
    unmap(IOVA_DATA, PAGE);
    memset(data, 0x5a, PAGE);
    (void)identify(IOVA_DATA);  // its writes are posted: no status tells of their loss
    errno = EFAULT;
    for (unsigned i = 0; i < PAGE; ++i) check(data[i] == 0x5a, "memory that is not mapped was written");
    printf("what is not mapped: not reached\n");
    check(ioctl(device, VFIO_DEVICE_RESET) == 0, "reset");
    check((read32(REG_CC) & 1) == 0, "enabled after a reset");
    close(device);
    return 0;
}

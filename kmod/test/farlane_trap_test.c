// SPDX-License-Identifier: GPL-2.0
/*
 * Every way to reach a BAR, on the selftest function of farlane.ko: kinds of mappings,
 * widths, strings, read-modify-write, locked instructions, contexts, and CPUs at once.
 * What an instruction does to a BAR is compared with what it does to memory.
 * Receives: the selftest function, bound or not. Hands on: "farlane_trap_test: PASS <what>"
 * or FAIL lines; its load fails then. Owns: nothing afterwards.
 */
#define pr_fmt(fmt) "farlane_trap_test: " fmt

#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/smp.h>

#define LANE_START 0x2000
#define LANE_BYTES 64
#define MEMORY_START 0x4000
#define MEMORY_BYTES 0x4000
#define COPY_BYTES 9000 /* more than two bursts */
#define STATUS_FLAGS 0x8d5UL

static unsigned int accesses = 5000;
module_param(accesses, uint, 0444);
MODULE_PARM_DESC(accesses, "how many each CPU does in the lane test");

static unsigned int seed = 1;
module_param(seed, uint, 0444);

static bool oops;
module_param(oops, bool, 0444);
MODULE_PARM_DESC(oops, "end with an access that can not be forwarded: a thread dies of an oops");

static unsigned int failed;
static struct rnd_state rnd;
static u8 __iomem *bar0, *bar2;

#define EXPECT(condition)                                                      \
	do {                                                                   \
		if (!(condition)) {                                            \
			failed++;                                              \
			pr_err("FAIL %s:%d %s\n", __func__, __LINE__, #condition); \
		}                                                              \
	} while (0)

static u32 below(u32 limit)
{
	return prandom_u32_state(&rnd) % limit;
}

static bool is_token(const void __iomem *address)
{
	return ((__force u64)address & ~GENMASK_ULL(46, 0)) == BIT_ULL(63);
}

/* --- mappings ----------------------------------------------------------------------------- */

static void check_mapping(void __iomem *mapped)
{
	EXPECT(is_token(mapped));
	EXPECT(mapped && readl(mapped) == 0x12345678);
	iounmap(mapped);
}

/* A plain access, which KASAN would check before it happens: it knows no such address. */
static noinline __no_sanitize_address void check_memremap(phys_addr_t at, unsigned long flags)
{
	u32 *memory = memremap(at, PAGE_SIZE, flags);

	EXPECT(memory && READ_ONCE(*memory) == 0x12345678);
	if (memory)
		memunmap(memory);
}

static void test_mappings(struct pci_dev *pdev)
{
	phys_addr_t at = pci_resource_start(pdev, 2);

	writel(0x12345678, bar2);
	check_mapping(ioremap(at, PAGE_SIZE));
	check_mapping(ioremap_uc(at, PAGE_SIZE));
	check_mapping(ioremap_wc(at, PAGE_SIZE));
	check_mapping(ioremap_wt(at, PAGE_SIZE));
	check_mapping(ioremap_cache(at, PAGE_SIZE));
	check_mapping(pci_iomap_wc(pdev, 2, 0));
	check_mapping(pci_iomap_range(pdev, 2, 0, PAGE_SIZE));
	check_memremap(at, MEMREMAP_WB);
	check_memremap(at, MEMREMAP_WC);
}

/* --- strings ------------------------------------------------------------------------------- */

static void test_copies(void)
{
	u8 *image = kzalloc(2 * COPY_BYTES, GFP_KERNEL), *buffer = kzalloc(2 * COPY_BYTES, GFP_KERNEL);
	int i;

	EXPECT(image && buffer);
	if (!image || !buffer)
		goto out;
	memset_io(bar2, 0, 2 * COPY_BYTES);
	for (i = 0; i < 200; i++) {
		u32 at = below(COPY_BYTES), bytes = below(COPY_BYTES), skew = below(9);

		prandom_bytes_state(&rnd, buffer, COPY_BYTES + 9);
		memcpy(image + at, buffer + skew, bytes);
		memcpy_toio(bar2 + at, buffer + skew, bytes);
		at = below(COPY_BYTES);
		bytes = below(COPY_BYTES);
		memcpy_fromio(buffer + skew, bar2 + at, bytes);
		EXPECT(!memcmp(buffer + skew, image + at, bytes));
		memset(image + at, i, bytes / 4);
		memset_io(bar2 + at, i, bytes / 4);
	}
	memcpy_fromio(buffer, bar2, 2 * COPY_BYTES);
	EXPECT(!memcmp(buffer, image, 2 * COPY_BYTES));
out:
	kfree(image);
	kfree(buffer);
}

/* to, from and count as the instruction leaves them */
static void repeat(const char *how, void **to, void **from, unsigned long *count, u64 *value)
{
	switch (*how) {
	case 'd':
		asm volatile("std; rep movsq; cld"
			     : "+D"(*to), "+S"(*from), "+c"(*count) : : "memory", "cc");
		break;
	case 's':
		asm volatile("rep stosw" : "+D"(*to), "+c"(*count) : "a"(*value) : "memory");
		break;
	case 'l':
		asm volatile("rep lodsl" : "+S"(*from), "+c"(*count), "+a"(*value) : : "memory");
		break;
	case 'c':
		asm volatile("repe cmpsb"
			     : "+D"(*to), "+S"(*from), "+c"(*count) : : "memory", "cc");
		break;
	default:
		asm volatile("repne scasb"
			     : "+D"(*to), "+c"(*count) : "a"(*value) : "memory", "cc");
	}
}

static void check_string(const char *how, void *to, void *from, u8 *memory, u8 *device)
{
	unsigned long count = 700, device_count = count;
	void *device_to = device + ((u8 *)to - memory), *device_from = device + ((u8 *)from - memory);
	u64 value = 0x1111111111111111ULL, device_value = value;

	repeat(how, &to, &from, &count, &value);
	repeat(how, &device_to, &device_from, &device_count, &device_value);
	EXPECT(count == device_count && value == device_value);
	EXPECT((u8 *)to - memory == (u8 *)device_to - device);
	EXPECT((u8 *)from - memory == (u8 *)device_from - device);
}

static void test_strings(void)
{
	static const char * const kinds[] = { "down", "store", "load", "compare", "find" };
	u8 *device = (__force u8 *)bar2, *memory = kzalloc(2 * COPY_BYTES, GFP_KERNEL);
	int i;

	EXPECT(memory);
	if (!memory)
		return;
	prandom_bytes_state(&rnd, memory, 2 * COPY_BYTES);
	memory[12300] = memory[300] ^ 1; /* where cmps ends, when it comes that far */
	memcpy(memory + 12000, memory, 300);
	memcpy_toio(bar2, memory, 2 * COPY_BYTES);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		check_string(kinds[i], memory + 12000, memory + (i ? 0 : 8000), memory, device);
	for (i = 0; i < 2 * COPY_BYTES; i++)
		if (readb(bar2 + i) != memory[i])
			break;
	EXPECT(i == 2 * COPY_BYTES);
	kfree(memory);
}

/* --- read-modify-write --------------------------------------------------------------------- */

/* The instruction on memory and on the BAR: the same register, flags and memory. */
#define SAME(instruction, type)                                                          \
	do {                                                                             \
		u64 place = prandom_u32_state(&rnd);                                     \
		u64 ax = prandom_u32_state(&rnd) % 3 + place - 1, device_ax = ax;        \
		u64 cx = prandom_u32_state(&rnd), device_cx = cx, flags, device_flags;   \
										 \
		writeq(place, at);                                                       \
		asm volatile("push %[in]; popfq; " instruction "; pushfq; pop %[out]"    \
			     : [out] "=&r"(flags), "+a"(ax), "+c"(cx)                    \
			     : [in] "r"(0x202UL), [m] "r"(&place)                        \
			     : "memory", "cc");                                          \
		asm volatile("push %[in]; popfq; " instruction "; pushfq; pop %[out]"    \
			     : [out] "=&r"(device_flags), "+a"(device_ax), "+c"(device_cx) \
			     : [in] "r"(0x202UL), [m] "r"(at)                            \
			     : "memory", "cc");                                          \
		EXPECT(readq(at) == place && ax == device_ax && cx == device_cx);            \
		EXPECT(!((flags ^ device_flags) & STATUS_FLAGS & ~(type)));              \
	} while (0)

#define AF 0x10UL
#define BITS 0x894UL

static void test_modify(void)
{
	u8 __iomem *at = bar0 + MEMORY_START + 64;
	int i;

	for (i = 0; i < 50; i++) {
		SAME("addl %%ecx, (%[m])", 0);
		SAME("subw $5, (%[m])", 0);
		SAME("adcq %%rcx, (%[m])", 0);
		SAME("sbbb %%cl, (%[m])", 0);
		SAME("orl $0x80, (%[m])", AF);
		SAME("andb $0x0f, 1(%[m])", AF);
		SAME("xorq (%[m]), %%rcx", AF);
		SAME("cmpl (%[m]), %%eax", 0);
		SAME("testb $0x11, (%[m])", AF);
		SAME("incw (%[m])", 0);
		SAME("decq (%[m])", 0);
		SAME("negl (%[m])", 0);
		SAME("notb (%[m])", 0);
		SAME("btsl $7, (%[m])", BITS);
		SAME("andl $63, %%ecx; btq %%rcx, (%[m])", BITS);
		SAME("movzbl 3(%[m]), %%ecx", 0);
		SAME("movslq (%[m]), %%rcx", 0);
		SAME("movntil %%ecx, (%[m])", 0);
		SAME("testl %%ecx, %%ecx; cmovs (%[m]), %%eax", AF);
		SAME("testl %%ecx, %%ecx; sets (%[m])", AF);
		SAME("lock addl %%ecx, (%[m])", 0);
		SAME("lock xaddq %%rcx, (%[m])", 0);
		SAME("lock orl %%ecx, (%[m])", AF);
		SAME("lock cmpxchgl %%ecx, (%[m])", 0);
		SAME("lock cmpxchgq %%rcx, (%[m])", 0);
		SAME("lock cmpxchgb %%cl, (%[m])", 0);
		SAME("lock incw (%[m])", 0);
		SAME("lock btrq $11, (%[m])", BITS);
		SAME("xchgq %%rcx, (%[m])", 0);
	}
}

/* #SS instead of #GP, on metal at least. */
static void test_frame_register(void)
{
	u64 value = 0;

	writeq(0x0102030405060708ULL, bar2 + 24);
	asm volatile("push %%rbp; mov %1, %%rbp; mov 24(%%rbp), %0; movb $9, 24(%%rbp); pop %%rbp"
		     : "=&a"(value) : "c"(bar2) : "memory");
	EXPECT(value == 0x0102030405060708ULL);
	EXPECT(readq(bar2 + 24) == 0x0102030405060709ULL);
}

/* --- CPUs and contexts ---------------------------------------------------------------------- */

struct lane {
	u8 __iomem *at;
	u64 count;
	struct completion done;
};

static void next_write(void *data)
{
	struct lane *lane = data;
	void *to = (__force void *)lane->at;
	u64 value = ++lane->count;
	const void *from = &value;

	switch (value % 8) {
	case 0:
		writeb(value, lane->at);
		break;
	case 1:
		writew(value, lane->at);
		break;
	case 2:
		writel(value, lane->at);
		break;
	case 3:
		writeq(value, lane->at);
		break;
	case 4:
		asm volatile("movsb" : "+D"(to), "+S"(from) : : "memory");
		break;
	case 5:
		asm volatile("movsw" : "+D"(to), "+S"(from) : : "memory");
		break;
	case 6:
		asm volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
		break;
	case 7:
		asm volatile("movsq" : "+D"(to), "+S"(from) : : "memory");
		break;
	}
}

static void write_in_context(struct lane *lane, u64 turn)
{
	unsigned long flags;

	if (turn % 5 == 3) {
		local_irq_save(flags);
		next_write(lane);
		local_irq_restore(flags);
	} else if (turn % 5 == 4) { /* a hard interrupt on another CPU, or here */
		smp_call_function_single(turn % num_online_cpus(), next_write, lane, 1);
	} else {
		next_write(lane);
	}
}

static int run_lane(void *data)
{
	struct lane *lane = data;
	u64 turn;

	writel(0, lane->at + 16);
	for (turn = 1; turn <= accesses; turn++) {
		write_in_context(lane, turn);
		if (turn % 64 == 0 && readq(lane->at) != turn)
			break;
		cond_resched();
	}
	complete(&lane->done);
	return 0;
}

static void test_cpus(void)
{
	unsigned int cpu, count = min(num_online_cpus(), 32U);
	struct lane *lanes = kcalloc(count, sizeof(*lanes), GFP_KERNEL);
	struct task_struct *task;

	EXPECT(lanes);
	for (cpu = 0; lanes && cpu < count; cpu++) {
		lanes[cpu].at = bar0 + LANE_START + cpu * LANE_BYTES;
		init_completion(&lanes[cpu].done);
		task = kthread_create(run_lane, &lanes[cpu], "farlane_trap/%u", cpu);
		if (IS_ERR(task)) {
			complete(&lanes[cpu].done);
			continue;
		}
		kthread_bind(task, cpu);
		wake_up_process(task);
	}
	for (cpu = 0; lanes && cpu < count; cpu++) {
		wait_for_completion(&lanes[cpu].done);
		EXPECT(readq(lanes[cpu].at) == accesses);
		EXPECT(readq(lanes[cpu].at + 8) == 0);
	}
	kfree(lanes);
}

static int access_by_vector(void *unused)
{
	asm volatile("movups (%0), %%xmm0" : : "r"(bar2 + 0x40));
	return 0;
}

/* --- */

static void run_test(const char *name, void (*test)(void))
{
	unsigned int before = failed;

	test();
	if (failed == before)
		pr_info("PASS %s\n", name);
}

static int run_all(struct pci_dev *pdev)
{
	unsigned int before = failed;

	test_mappings(pdev);
	if (failed == before)
		pr_info("PASS mappings\n");
	run_test("copies", test_copies);
	run_test("strings", test_strings);
	run_test("read-modify-write", test_modify);
	run_test("frame register", test_frame_register);
	run_test("CPUs and contexts", test_cpus);
	if (oops)
		kthread_run(access_by_vector, NULL, "farlane_trap/oops");
	if (failed)
		pr_err("FAIL: %u expectations\n", failed);
	else
		pr_info("PASS all\n");
	return failed ? -EIO : 0;
}

static int __init farlane_trap_test_init(void)
{
	struct pci_dev *pdev = pci_get_device(0xf1a0, 0x5e1f, NULL);
	int err;

	if (!pdev) {
		pr_err("there is no selftest function: load farlane.ko with selftest=1\n");
		return -ENODEV;
	}
	prandom_seed_state(&rnd, seed);
	err = pci_enable_device_mem(pdev);
	if (err)
		goto out;
	bar0 = pci_iomap(pdev, 0, 0);
	bar2 = pci_iomap(pdev, 2, 0);
	err = bar0 && bar2 ? run_all(pdev) : -ENOMEM;
	pci_iounmap(pdev, bar0);
	pci_iounmap(pdev, bar2);
	pci_disable_device(pdev);
out:
	pci_dev_put(pdev);
	return err;
}

static void __exit farlane_trap_test_exit(void)
{
}

module_init(farlane_trap_test_init);
module_exit(farlane_trap_test_exit);

MODULE_DESCRIPTION("Test of the BAR trap of farlane.ko on its own selftest function");
MODULE_LICENSE("GPL");

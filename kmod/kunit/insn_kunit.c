// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: instructions as compilers of kernels write them. Hands on: whether decode.c
 * reads them right, and never past their end. Owns: nothing. All forms against a real
 * processor: tests/kmod in user space.
 */
#include "../decode.c"

#include "suites.h"

struct expected {
	const char *text;
	u8 code[FL_INSN_MAX_BYTES];
	u8 bytes, op, width, reg;
	bool to_register;
};

static const struct expected known[] = {
	{ "mov (%rdi),%eax", { 0x8b, 0x07 }, 2, FL_OP_MOV, 4, FL_RAX, true },
	{ "mov %sil,0x10(%r12)", { 0x41, 0x88, 0x74, 0x24, 0x10 }, 5, FL_OP_MOV, 1, FL_RSI, false },
	{ "mov %r9,0x20(%rax,%rcx,4)", { 0x4c, 0x89, 0x4c, 0x88, 0x20 }, 5, FL_OP_MOV, 8, FL_R9,
	  false },
	{ "movzwl 0x2(%rdx),%ecx", { 0x0f, 0xb7, 0x4a, 0x02 }, 4, FL_OP_MOVZX, 2, FL_RCX, true },
	{ "lock xadd %ebx,(%rsi)", { 0xf0, 0x0f, 0xc1, 0x1e }, 4, FL_OP_XADD, 4, FL_RBX, false },
};

static void known_instructions(struct kunit *test)
{
	unsigned int i, bytes;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		const struct expected *e = &known[i];
		struct fl_insn insn;

		KUNIT_ASSERT_EQ_MSG(test, (int)fl_insn_decode(e->code, e->bytes, &insn),
				    (int)FL_DECODE_OK, "%s", e->text);
		KUNIT_EXPECT_EQ_MSG(test, insn.bytes, e->bytes, "%s", e->text);
		KUNIT_EXPECT_EQ_MSG(test, insn.op, e->op, "%s", e->text);
		KUNIT_EXPECT_EQ_MSG(test, insn.width, e->width, "%s", e->text);
		KUNIT_EXPECT_EQ_MSG(test, insn.reg, e->reg, "%s", e->text);
		KUNIT_EXPECT_EQ_MSG(test, insn.to_register, e->to_register, "%s", e->text);
		for (bytes = 0; bytes < e->bytes; bytes++)
			KUNIT_EXPECT_EQ_MSG(test, (int)fl_insn_decode(e->code, bytes, &insn),
					    (int)FL_DECODE_TRUNCATED, "%s, %u bytes of it", e->text,
					    bytes);
	}
}

/* Each in memory of exactly its size: KASAN sees a read past the end. */
static void any_bytes_end(struct kunit *test)
{
	u32 state = 1;
	unsigned int round, i;

	for (round = 0; round < 20000; round++) {
		size_t bytes = round % (FL_INSN_MAX_BYTES + 1);
		u8 *code = kmalloc(bytes, GFP_KERNEL);
		struct fl_insn insn;

		KUNIT_ASSERT_NOT_NULL(test, code);
		for (i = 0; i < bytes; i++) {
			state = state * 1664525 + 1013904223;
			code[i] = state >> 24;
		}
		if (fl_insn_decode(code, bytes, &insn) == FL_DECODE_OK)
			KUNIT_EXPECT_LE(test, (size_t)insn.bytes, bytes);
		kfree(code);
	}
}

static bool memory_read(void *context, __u64 address, void *into, unsigned int bytes)
{
	memcpy(into, (u8 *)context + address, bytes);
	return true;
}

static bool memory_write(void *context, __u64 address, const void *from, unsigned int bytes)
{
	memcpy((u8 *)context + address, from, bytes);
	return true;
}

static void a_write_and_a_read_of_it(struct kunit *test)
{
	static const struct fl_memory_ops ops = { .read = memory_read, .write = memory_write };
	static const u8 store[] = { 0x89, 0x47, 0x08 }; /* mov %eax,0x8(%rdi) */
	static const u8 load[] = { 0x0f, 0xb7, 0x4f, 0x0a }; /* movzwl 0xa(%rdi),%ecx */
	struct fl_cpu cpu = { .gpr = { [FL_RAX] = 0x1122334455667788, [FL_RDI] = 4 } };
	u8 memory[32] = {};
	struct fl_insn insn;

	KUNIT_ASSERT_EQ(test, (int)fl_insn_decode(store, sizeof(store), &insn), (int)FL_DECODE_OK);
	KUNIT_EXPECT_EQ(test, (int)fl_insn_execute(&insn, &cpu, &ops, memory),
			(int)FL_EXECUTE_DONE);
	KUNIT_ASSERT_EQ(test, (int)fl_insn_decode(load, sizeof(load), &insn), (int)FL_DECODE_OK);
	KUNIT_EXPECT_EQ(test, (int)fl_insn_execute(&insn, &cpu, &ops, memory),
			(int)FL_EXECUTE_DONE);
	KUNIT_EXPECT_EQ(test, cpu.gpr[FL_RCX], 0x5566ULL);
	KUNIT_EXPECT_EQ(test, cpu.ip, (__u64)sizeof(store) + sizeof(load));
	KUNIT_EXPECT_EQ(test, memory[11], (u8)0);
	KUNIT_EXPECT_EQ(test, memory[16], (u8)0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(known_instructions),
	KUNIT_CASE(any_bytes_end),
	KUNIT_CASE(a_write_and_a_read_of_it),
	{}
};

struct kunit_suite fl_insn_suite = {
	.name = "farlane_insn", .test_cases = cases,
};

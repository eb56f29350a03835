/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Receives: the bytes of one x86-64 instruction, registers. Hands on: what it does to
 * memory, and its effect through callbacks.
 * Owns nothing. Pure: no kernel interface is used, user space tests and fuzzes it.
 *
 * Covered: what compilers and hand-written copies do with memory through general
 * purpose registers. Not covered: vector and x87 registers, push, pop, call, jmp.
 */
#ifndef FARLANE_DECODE_H
#define FARLANE_DECODE_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#endif

#define FL_INSN_MAX_BYTES 15
#define FL_BURST_BYTES 4096 /* a string instruction does at most this much at a time */
#define FL_NO_REGISTER 16

#define FL_FLAG_CF 0x001UL
#define FL_FLAG_PF 0x004UL
#define FL_FLAG_AF 0x010UL
#define FL_FLAG_ZF 0x040UL
#define FL_FLAG_SF 0x080UL
#define FL_FLAG_DF 0x400UL
#define FL_FLAG_OF 0x800UL

/* In the order of the encoding. */
enum fl_register {
	FL_RAX, FL_RCX, FL_RDX, FL_RBX, FL_RSP, FL_RBP, FL_RSI, FL_RDI,
	FL_R8, FL_R9, FL_R10, FL_R11, FL_R12, FL_R13, FL_R14, FL_R15,
	FL_REGISTERS,
};

struct fl_cpu {
	__u64 gpr[FL_REGISTERS];
	__u64 ip;
	__u64 flags;
};

/* The first eight, and BT to BTC, in the order of the encoding. */
enum fl_insn_op {
	FL_OP_ADD, FL_OP_OR, FL_OP_ADC, FL_OP_SBB, FL_OP_AND, FL_OP_SUB, FL_OP_XOR, FL_OP_CMP,
	FL_OP_TEST, FL_OP_NOT, FL_OP_NEG, FL_OP_INC, FL_OP_DEC,
	FL_OP_BT, FL_OP_BTS, FL_OP_BTR, FL_OP_BTC,
	FL_OP_XCHG, FL_OP_XADD, FL_OP_CMPXCHG,
	FL_OP_MOV, FL_OP_MOVZX, FL_OP_MOVSX, FL_OP_CMOV, FL_OP_SETCC,
	FL_OP_MOVS, FL_OP_CMPS, FL_OP_STOS, FL_OP_LODS, FL_OP_SCAS,
};

enum fl_insn_segment { FL_SEGMENT_FLAT, FL_SEGMENT_FS, FL_SEGMENT_GS };
enum fl_insn_rep { FL_REP_NONE, FL_REP_EQUAL, FL_REP_NOT_EQUAL };

struct fl_insn {
	__u8 bytes;	    /* its length */
	__u8 op;	    /* enum fl_insn_op */
	__u8 width;	    /* bytes of the memory operand: 1, 2, 4, 8 */
	__u8 reg_width;	    /* bytes of the register operand */
	bool to_register;   /* the destination is the register, not memory */
	bool has_immediate; /* the other operand is `immediate`, not `reg` */
	bool high_byte;	    /* reg is ah, ch, dh or bh: bits 15..8 of `reg` */
	bool locked;	    /* LOCK prefix, or xchg */
	__u8 reg;
	__u8 rep;	    /* string instructions: enum fl_insn_rep */
	__u8 condition;	    /* cmov, setcc: as encoded */
	__u8 segment;	    /* enum fl_insn_segment: its base is not added to the address */
	__u8 base, index;   /* FL_NO_REGISTER: none */
	__u8 scale;	    /* shift */
	bool ip_relative;
	bool address_32;    /* address size prefix: the address is cut to 32 bits */
	__s64 displacement;
	__u64 immediate;    /* sign-extended */
};

enum fl_decode {
	FL_DECODE_OK,
	FL_DECODE_TRUNCATED,   /* more bytes are needed */
	FL_DECODE_NO_MEMORY,   /* no memory operand */
	FL_DECODE_VECTOR,      /* vector or x87 registers */
	FL_DECODE_CONTROL,     /* push, pop, call, jmp through memory */
	FL_DECODE_UNSUPPORTED, /* no such instruction, or not one of ours */
};

enum fl_decode fl_insn_decode(const __u8 *bytes, size_t available, struct fl_insn *insn);
const char *fl_decode_text(enum fl_decode decode);
static inline bool fl_insn_is_string(const struct fl_insn *insn)
{
	return insn->op >= FL_OP_MOVS;
}

/* Of the memory operand; not of string instructions, which use rsi and rdi. */
__u64 fl_insn_address(const struct fl_insn *insn, const struct fl_cpu *cpu);

enum fl_atomic { FL_ATOMIC_ADD, FL_ATOMIC_SWAP, FL_ATOMIC_CAS };
enum fl_atomic_result { FL_ATOMIC_FAULT, FL_ATOMIC_DONE, FL_ATOMIC_SPLIT };

/* Addresses are as the instruction computes them. False: can't be accessed. */
struct fl_memory_ops {
	bool (*read)(void *context, __u64 address, void *into, unsigned int bytes);
	bool (*write)(void *context, __u64 address, const void *from, unsigned int bytes);
	/* Up to FL_BURST_BYTES that do not overlap, or one element. */
	bool (*copy)(void *context, __u64 to, __u64 from, unsigned int bytes);
	/*
	 * A locked instruction on 4 or 8 aligned bytes. FL_ATOMIC_SPLIT: read and write
	 * instead. `compare` is for FL_ATOMIC_CAS; `old` is what was there before.
	 */
	enum fl_atomic_result (*atomic)(void *context, enum fl_atomic kind, __u64 address,
					unsigned int bytes, __u64 operand, __u64 compare,
					__u64 *old);
};

enum fl_execute {
	FL_EXECUTE_DONE,  /* ip is behind the instruction */
	FL_EXECUTE_AGAIN, /* a part is done, as if interrupted: ip is still at it */
	FL_EXECUTE_FAULT, /* a callback refused: registers are as before that access */
};

enum fl_execute fl_insn_execute(const struct fl_insn *insn, struct fl_cpu *cpu,
				const struct fl_memory_ops *ops, void *context);

/* alu.c: `width` bytes of a and b; flags are updated as the processor does. */
__u64 fl_width_mask(unsigned int width);
__u64 fl_alu(enum fl_insn_op op, __u64 a, __u64 b, unsigned int width, __u64 *flags);
bool fl_condition(unsigned int condition, __u64 flags);

#endif /* FARLANE_DECODE_H */

// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: up to 15 bytes of code. Hands on: struct fl_insn, or why there is none.
 * Owns nothing. Intel SDM volume 2: chapter 2 (format), appendix A (opcode maps).
 */
#include "decode.h"

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

/* Where the decoder stands. A read past the end sets `truncated` and yields zero. */
struct cursor {
	const __u8 *at;
	const __u8 *end;
	bool truncated;
	__u8 rex;
	bool operand_16;
	bool lock;
	__u8 rep;
	__u8 modrm;
	struct fl_insn *insn;
};

static __u64 take(struct cursor *c, unsigned int bytes)
{
	__u64 value = 0;

	if ((size_t)(c->end - c->at) < bytes) {
		c->truncated = true;
		c->at = c->end;
		return 0;
	}
	memcpy(&value, c->at, bytes);
	c->at += bytes;
	return value;
}

static __s64 take_signed(struct cursor *c, unsigned int bytes)
{
	unsigned int unused_bits = 64 - 8 * bytes;

	return (__s64)(take(c, bytes) << unused_bits) >> unused_bits;
}

static bool take_prefix(struct cursor *c, __u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: /* no effect in 64-bit mode */
		break;
	case 0x64:
		c->insn->segment = FL_SEGMENT_FS;
		break;
	case 0x65:
		c->insn->segment = FL_SEGMENT_GS;
		break;
	case 0x66:
		c->operand_16 = true;
		break;
	case 0x67:
		c->insn->address_32 = true;
		break;
	case 0xf0:
		c->lock = true;
		break;
	case 0xf2:
		c->rep = FL_REP_NOT_EQUAL;
		break;
	case 0xf3:
		c->rep = FL_REP_EQUAL;
		break;
	default:
		return false;
	}
	c->rex = 0; /* REX counts only right before the opcode */
	return true;
}

static __u8 take_opcode(struct cursor *c)
{
	for (;;) {
		__u8 byte = take(c, 1);

		if (c->truncated)
			return 0;
		if ((byte & 0xf0) == 0x40)
			c->rex = byte;
		else if (!take_prefix(c, byte))
			return byte;
	}
}

static unsigned int operand_width(const struct cursor *c, bool byte)
{
	if (byte)
		return 1;
	if (c->rex & REX_W)
		return 8;
	return c->operand_16 ? 2 : 4;
}

static void set_width(struct cursor *c, bool byte)
{
	c->insn->width = operand_width(c, byte);
	c->insn->reg_width = c->insn->width;
}

/* ModRM.reg as a register of reg_width bytes. */
static void set_register(struct cursor *c)
{
	__u8 reg = (c->modrm >> 3) & 7;

	if (c->insn->reg_width == 1 && !c->rex && reg >= 4) {
		c->insn->reg = reg - 4;
		c->insn->high_byte = true;
		return;
	}
	c->insn->reg = reg | (c->rex & REX_R ? 8 : 0);
}

static unsigned int take_sib(struct cursor *c, unsigned int mod)
{
	__u8 sib = take(c, 1);
	__u8 index = ((sib >> 3) & 7) | (c->rex & REX_X ? 8 : 0);
	__u8 base = sib & 7;

	if (index != FL_RSP)
		c->insn->index = index;
	c->insn->scale = sib >> 6;
	if (base == FL_RBP && mod == 0)
		return 4;
	c->insn->base = base | (c->rex & REX_B ? 8 : 0);
	return 0;
}

/* ModRM, SIB and displacement. */
static enum fl_decode take_modrm(struct cursor *c)
{
	unsigned int mod, rm, displacement_bytes = 0;

	c->modrm = take(c, 1);
	mod = c->modrm >> 6;
	rm = c->modrm & 7;
	if (c->truncated)
		return FL_DECODE_TRUNCATED;
	if (mod == 3)
		return FL_DECODE_NO_MEMORY;
	if (rm == 4) {
		displacement_bytes = take_sib(c, mod);
	} else if (rm == 5 && mod == 0) {
		c->insn->ip_relative = true;
		displacement_bytes = 4;
	} else {
		c->insn->base = rm | (c->rex & REX_B ? 8 : 0);
	}
	if (mod == 1)
		displacement_bytes = 1;
	else if (mod == 2)
		displacement_bytes = 4;
	if (displacement_bytes)
		c->insn->displacement = take_signed(c, displacement_bytes);
	return c->truncated ? FL_DECODE_TRUNCATED : FL_DECODE_OK;
}

static unsigned int group(const struct cursor *c)
{
	return (c->modrm >> 3) & 7;
}

/* Memory and a register of one width. */
static enum fl_decode memory_register(struct cursor *c, enum fl_insn_op op, bool byte,
				      bool to_register)
{
	enum fl_decode result = take_modrm(c);

	set_width(c, byte);
	set_register(c);
	c->insn->op = op;
	c->insn->to_register = to_register;
	return result;
}

static void take_immediate(struct cursor *c, unsigned int bytes)
{
	c->insn->has_immediate = true;
	c->insn->immediate = take_signed(c, bytes > 4 ? 4 : bytes);
}

static enum fl_decode memory_immediate(struct cursor *c, enum fl_insn_op op,
				       unsigned int immediate_bytes)
{
	c->insn->op = op;
	take_immediate(c, immediate_bytes);
	return FL_DECODE_OK;
}

/* 80, 81, 83; C6, C7: what /n means is in ModRM. */
static enum fl_decode immediate_group(struct cursor *c, __u8 opcode)
{
	enum fl_decode result = take_modrm(c);

	if (result != FL_DECODE_OK)
		return result;
	set_width(c, !(opcode & 1));
	if (opcode == 0xc6 || opcode == 0xc7)
		return group(c) ? FL_DECODE_UNSUPPORTED :
				  memory_immediate(c, FL_OP_MOV, c->insn->width);
	return memory_immediate(c, group(c), opcode == 0x83 ? 1 : c->insn->width);
}

/* F6, F7, FE, FF */
static enum fl_decode unary_group(struct cursor *c, __u8 opcode)
{
	enum fl_decode result = take_modrm(c);
	bool f6 = opcode < 0xf8;

	if (result != FL_DECODE_OK)
		return result;
	set_width(c, !(opcode & 1));
	if (f6 && group(c) == 0)
		return memory_immediate(c, FL_OP_TEST, c->insn->width);
	if (f6 && group(c) == 2)
		c->insn->op = FL_OP_NOT;
	else if (f6 && group(c) == 3)
		c->insn->op = FL_OP_NEG;
	else if (!f6 && group(c) == 0)
		c->insn->op = FL_OP_INC;
	else if (!f6 && group(c) == 1)
		c->insn->op = FL_OP_DEC;
	else
		return opcode == 0xff ? FL_DECODE_CONTROL : FL_DECODE_UNSUPPORTED;
	return FL_DECODE_OK;
}

/* A4..A7, AA..AF */
static enum fl_decode string(struct cursor *c, __u8 opcode)
{
	static const __u8 ops[] = { FL_OP_MOVS, FL_OP_CMPS, 0, FL_OP_STOS, FL_OP_LODS, FL_OP_SCAS };

	if (c->insn->segment != FL_SEGMENT_FLAT || c->insn->address_32)
		return FL_DECODE_UNSUPPORTED;
	set_width(c, !(opcode & 1));
	c->insn->op = ops[(opcode - 0xa4) / 2];
	c->insn->rep = c->rep;
	return FL_DECODE_OK;
}

/* A0..A3: the address stands in the instruction. */
static enum fl_decode absolute(struct cursor *c, __u8 opcode)
{
	set_width(c, !(opcode & 1));
	c->insn->op = FL_OP_MOV;
	c->insn->reg = FL_RAX;
	c->insn->to_register = opcode < 0xa2;
	c->insn->displacement = (__s64)take(c, c->insn->address_32 ? 4 : 8);
	return FL_DECODE_OK;
}

static enum fl_decode extend(struct cursor *c, enum fl_insn_op op, unsigned int width)
{
	enum fl_decode result = take_modrm(c);

	c->insn->op = op;
	c->insn->to_register = true;
	c->insn->width = width;
	c->insn->reg_width = operand_width(c, false);
	c->insn->reg = group(c) | (c->rex & REX_R ? 8 : 0);
	/* movsxd with a 16-bit register reads 16 bits only. */
	if (c->insn->width > c->insn->reg_width)
		c->insn->width = c->insn->reg_width;
	return result;
}

static enum fl_decode one_byte(struct cursor *c, __u8 opcode)
{
	bool byte = !(opcode & 1);

	if (opcode < 0x40 && (opcode & 7) < 4)
		return memory_register(c, opcode >> 3, byte, opcode & 2);
	switch (opcode) {
	case 0x63:
		return extend(c, FL_OP_MOVSX, 4);
	case 0x80: case 0x81: case 0x83: case 0xc6: case 0xc7:
		return immediate_group(c, opcode);
	case 0x84: case 0x85:
		return memory_register(c, FL_OP_TEST, byte, false);
	case 0x86: case 0x87:
		return memory_register(c, FL_OP_XCHG, byte, false);
	case 0x88: case 0x89: case 0x8a: case 0x8b:
		return memory_register(c, FL_OP_MOV, byte, opcode & 2);
	case 0xa0: case 0xa1: case 0xa2: case 0xa3:
		return absolute(c, opcode);
	case 0xa4: case 0xa5: case 0xa6: case 0xa7:
	case 0xaa: case 0xab: case 0xac: case 0xad: case 0xae: case 0xaf:
		return string(c, opcode);
	case 0xf6: case 0xf7: case 0xfe: case 0xff:
		return unary_group(c, opcode);
	case 0x8f:
		return FL_DECODE_CONTROL;
	case 0x62: case 0xc4: case 0xc5: /* EVEX, VEX */
	case 0xd8: case 0xd9: case 0xda: case 0xdb: case 0xdc: case 0xdd: case 0xde: case 0xdf:
		return FL_DECODE_VECTOR;
	default:
		return FL_DECODE_UNSUPPORTED;
	}
}

/* 0F BA: bt, bts, btr, btc with the bit in the instruction, modulo the width */
static enum fl_decode bit_group(struct cursor *c)
{
	enum fl_decode result = take_modrm(c);

	if (result != FL_DECODE_OK)
		return result;
	set_width(c, false);
	if (group(c) < 4)
		return FL_DECODE_UNSUPPORTED;
	return memory_immediate(c, FL_OP_BT + group(c) - 4, 1);
}

static enum fl_decode movnti(struct cursor *c)
{
	if (c->operand_16 || c->rep)
		return FL_DECODE_UNSUPPORTED;
	return memory_register(c, FL_OP_MOV, false, false);
}

static bool is_vector(__u8 opcode)
{
	return (opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2f) ||
	       (opcode >= 0x38 && opcode <= 0x3f) || (opcode >= 0x50 && opcode <= 0x7f) ||
	       opcode == 0xae || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6) ||
	       opcode >= 0xd0;
}

static enum fl_decode conditional(struct cursor *c, __u8 opcode)
{
	c->insn->condition = opcode & 15;
	if (opcode < 0x50)
		return memory_register(c, FL_OP_CMOV, false, true);
	return memory_register(c, FL_OP_SETCC, true, false);
}

/* opcodes behind 0F */
static enum fl_decode two_byte(struct cursor *c, __u8 opcode)
{
	bool byte = !(opcode & 1);

	if ((opcode & 0xf0) == 0x40 || (opcode & 0xf0) == 0x90)
		return conditional(c, opcode);
	switch (opcode) {
	case 0xa3: case 0xab: case 0xb3: case 0xbb:
		return memory_register(c, FL_OP_BT + ((opcode >> 3) & 3), false, false);
	case 0xb0: case 0xb1:
		return memory_register(c, FL_OP_CMPXCHG, byte, false);
	case 0xb6: case 0xb7:
		return extend(c, FL_OP_MOVZX, byte ? 1 : 2);
	case 0xba:
		return bit_group(c);
	case 0xbe: case 0xbf:
		return extend(c, FL_OP_MOVSX, byte ? 1 : 2);
	case 0xc0: case 0xc1:
		return memory_register(c, FL_OP_XADD, byte, false);
	case 0xc3:
		return movnti(c);
	default:
		return is_vector(opcode) ? FL_DECODE_VECTOR : FL_DECODE_UNSUPPORTED;
	}
}

static bool may_be_locked(const struct fl_insn *insn)
{
	switch (insn->op) {
	case FL_OP_ADD: case FL_OP_OR: case FL_OP_ADC: case FL_OP_SBB:
	case FL_OP_AND: case FL_OP_SUB: case FL_OP_XOR:
		return !insn->to_register;
	case FL_OP_NOT: case FL_OP_NEG: case FL_OP_INC: case FL_OP_DEC:
	case FL_OP_BTS: case FL_OP_BTR: case FL_OP_BTC:
	case FL_OP_XCHG: case FL_OP_XADD: case FL_OP_CMPXCHG:
		return true;
	default:
		return false;
	}
}

enum fl_decode fl_insn_decode(const __u8 *bytes, size_t available, struct fl_insn *insn)
{
	size_t limit = available < FL_INSN_MAX_BYTES ? available : FL_INSN_MAX_BYTES;
	struct cursor c = { .at = bytes, .end = bytes + limit, .insn = insn };
	enum fl_decode result;
	__u8 opcode;

	memset(insn, 0, sizeof(*insn));
	insn->base = FL_NO_REGISTER;
	insn->index = FL_NO_REGISTER;
	opcode = take_opcode(&c);
	if (!c.truncated)
		result = opcode == 0x0f ? two_byte(&c, take(&c, 1)) : one_byte(&c, opcode);
	if (c.truncated)
		return limit == FL_INSN_MAX_BYTES ? FL_DECODE_UNSUPPORTED : FL_DECODE_TRUNCATED;
	if (result != FL_DECODE_OK)
		return result;
	if (c.lock && !may_be_locked(insn))
		return FL_DECODE_UNSUPPORTED;
	insn->locked = c.lock || insn->op == FL_OP_XCHG;
	insn->bytes = c.at - bytes;
	return FL_DECODE_OK;
}

const char *fl_decode_text(enum fl_decode decode)
{
	switch (decode) {
	case FL_DECODE_OK:
		return "understood";
	case FL_DECODE_TRUNCATED:
		return "the code ends within the instruction";
	case FL_DECODE_NO_MEMORY:
		return "no memory operand";
	case FL_DECODE_VECTOR:
		return "vector and x87 registers are not emulated";
	case FL_DECODE_CONTROL:
		return "push, pop, call and jmp through memory are not emulated";
	case FL_DECODE_UNSUPPORTED:
		return "not an instruction that is emulated";
	}
	return "unknown";
}

__u64 fl_insn_address(const struct fl_insn *insn, const struct fl_cpu *cpu)
{
	__u64 address = (__u64)insn->displacement;

	if (insn->ip_relative)
		address += cpu->ip + insn->bytes;
	if (insn->base != FL_NO_REGISTER)
		address += cpu->gpr[insn->base];
	if (insn->index != FL_NO_REGISTER)
		address += cpu->gpr[insn->index] << insn->scale;
	/* A bit number in a register reaches beyond the operand, in steps of its width. */
	if (insn->op >= FL_OP_BT && insn->op <= FL_OP_BTC && !insn->has_immediate) {
		unsigned int unused_bits = 64 - 8 * insn->width;
		__s64 bit = (__s64)(cpu->gpr[insn->reg] << unused_bits) >> unused_bits;

		address += (__u64)(bit >> (insn->width == 8 ? 6 : insn->width == 4 ? 5 : 4)) *
			   insn->width;
	}
	return insn->address_32 ? (__u32)address : address;
}

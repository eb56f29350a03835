// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: operands of one to eight bytes and flags. Hands on: result and flags.
 * Owns nothing. Intel SDM volume 1, 3.4.3.1. Flags that the manual leaves undefined
 * come out as today's processors make them.
 */
#include "decode.h"

#define RESULT_FLAGS (FL_FLAG_SF | FL_FLAG_ZF | FL_FLAG_PF)
#define ALL_FLAGS (RESULT_FLAGS | FL_FLAG_CF | FL_FLAG_AF | FL_FLAG_OF)

__u64 fl_width_mask(unsigned int width)
{
	return width == 8 ? ~0ULL : (1ULL << (8 * width)) - 1;
}

static __u64 result_flags(__u64 result, unsigned int width)
{
	__u64 flags = 0;

	if (result == 0)
		flags |= FL_FLAG_ZF;
	if (result >> (8 * width - 1))
		flags |= FL_FLAG_SF;
	if (!__builtin_parity((__u8)result))
		flags |= FL_FLAG_PF;
	return flags;
}

static __u64 sign(__u64 value, unsigned int width)
{
	return (value >> (8 * width - 1)) & 1;
}

static __u64 add(__u64 a, __u64 b, __u64 carry, unsigned int width, __u64 *flags)
{
	__u64 result = (a + b + carry) & fl_width_mask(width);
	__u64 made = result_flags(result, width);

	if (result < a || (carry && result == a))
		made |= FL_FLAG_CF;
	made |= (a ^ b ^ result) & FL_FLAG_AF;
	if (sign((a ^ result) & (b ^ result), width))
		made |= FL_FLAG_OF;
	*flags = (*flags & ~ALL_FLAGS) | made;
	return result;
}

static __u64 subtract(__u64 a, __u64 b, __u64 borrow, unsigned int width, __u64 *flags)
{
	__u64 result = (a - b - borrow) & fl_width_mask(width);
	__u64 made = result_flags(result, width);

	if (a < b || (borrow && a == b))
		made |= FL_FLAG_CF;
	made |= (a ^ b ^ result) & FL_FLAG_AF;
	if (sign((a ^ b) & (a ^ result), width))
		made |= FL_FLAG_OF;
	*flags = (*flags & ~ALL_FLAGS) | made;
	return result;
}

static __u64 logic(__u64 result, unsigned int width, __u64 *flags)
{
	*flags = (*flags & ~ALL_FLAGS) | result_flags(result, width);
	return result;
}

/* inc and dec leave the carry alone. */
static __u64 step(__u64 a, bool up, unsigned int width, __u64 *flags)
{
	__u64 carry = *flags & FL_FLAG_CF;
	__u64 result = up ? add(a, 1, 0, width, flags) : subtract(a, 1, 0, width, flags);

	*flags = (*flags & ~FL_FLAG_CF) | carry;
	return result;
}

static __u64 bit_test(enum fl_insn_op op, __u64 a, __u64 b, unsigned int width, __u64 *flags)
{
	__u64 bit = 1ULL << (b & (8 * width - 1));

	*flags = (*flags & ~FL_FLAG_CF) | (a & bit ? FL_FLAG_CF : 0);
	switch (op) {
	case FL_OP_BTS:
		return a | bit;
	case FL_OP_BTR:
		return a & ~bit;
	case FL_OP_BTC:
		return a ^ bit;
	default:
		return a;
	}
}

__u64 fl_alu(enum fl_insn_op op, __u64 a, __u64 b, unsigned int width, __u64 *flags)
{
	__u64 mask = fl_width_mask(width);
	__u64 carry = *flags & FL_FLAG_CF;

	a &= mask;
	b &= mask;
	switch (op) {
	case FL_OP_ADD:
	case FL_OP_XADD:
		return add(a, b, 0, width, flags);
	case FL_OP_ADC:
		return add(a, b, carry, width, flags);
	case FL_OP_SUB:
	case FL_OP_CMP:
	case FL_OP_CMPXCHG: /* as cmp: a is the accumulator */
	case FL_OP_CMPS:
	case FL_OP_SCAS:
		return subtract(a, b, 0, width, flags);
	case FL_OP_SBB:
		return subtract(a, b, carry, width, flags);
	case FL_OP_OR:
		return logic(a | b, width, flags);
	case FL_OP_AND:
	case FL_OP_TEST:
		return logic(a & b, width, flags);
	case FL_OP_XOR:
		return logic(a ^ b, width, flags);
	case FL_OP_NOT:
		return ~a & mask;
	case FL_OP_NEG:
		return subtract(0, a, 0, width, flags);
	case FL_OP_INC:
		return step(a, true, width, flags);
	case FL_OP_DEC:
		return step(a, false, width, flags);
	case FL_OP_BT:
	case FL_OP_BTS:
	case FL_OP_BTR:
	case FL_OP_BTC:
		return bit_test(op, a, b, width, flags);
	default: /* moves: the second operand */
		return b;
	}
}

/* Even conditions in the order of the encoding; odd ones are their opposites. */
bool fl_condition(unsigned int condition, __u64 flags)
{
	bool sign_differs = !(flags & FL_FLAG_SF) != !(flags & FL_FLAG_OF);
	bool holds = false;

	switch (condition >> 1) {
	case 0:
		holds = flags & FL_FLAG_OF;
		break;
	case 1:
		holds = flags & FL_FLAG_CF;
		break;
	case 2:
		holds = flags & FL_FLAG_ZF;
		break;
	case 3:
		holds = flags & (FL_FLAG_CF | FL_FLAG_ZF);
		break;
	case 4:
		holds = flags & FL_FLAG_SF;
		break;
	case 5:
		holds = flags & FL_FLAG_PF;
		break;
	case 6:
		holds = sign_differs;
		break;
	case 7:
		holds = sign_differs || (flags & FL_FLAG_ZF);
		break;
	}
	return holds != (condition & 1);
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: a decoded instruction, registers, memory as callbacks. Hands on: accesses
 * in the order of the instruction, registers and flags as it leaves them.
 * Owns nothing. Registers change only after the last access of a step succeeded.
 */
#include "decode.h"

#define PATTERN_BYTES 256
#define ELEMENTS_PER_TURN 512 /* of what can't be a burst */

struct turn {
	const struct fl_insn *insn;
	struct fl_cpu *cpu;
	const struct fl_memory_ops *ops;
	void *context;
	__u64 address;
};

static __u64 get_register(const struct turn *t)
{
	__u64 value = t->cpu->gpr[t->insn->reg];

	if (t->insn->high_byte)
		value >>= 8;
	return value & fl_width_mask(t->insn->reg_width);
}

static void put_wide(__u64 *reg, unsigned int width, __u64 value)
{
	__u64 mask = fl_width_mask(width);

	if (width == 4)
		*reg = value & mask; /* a 32-bit result clears the upper half */
	else
		*reg = (*reg & ~mask) | (value & mask);
}

static void put_register(const struct turn *t, __u64 value)
{
	__u64 *reg = &t->cpu->gpr[t->insn->reg];

	if (t->insn->high_byte)
		*reg = (*reg & ~0xff00ULL) | ((value & 0xff) << 8);
	else
		put_wide(reg, t->insn->reg_width, value);
}

static __u64 other_operand(const struct turn *t)
{
	return t->insn->has_immediate ? t->insn->immediate : get_register(t);
}

static bool load(const struct turn *t, __u64 address, __u64 *value)
{
	*value = 0;
	return t->ops->read(t->context, address, value, t->insn->width);
}

static bool store(const struct turn *t, __u64 address, __u64 value)
{
	return t->ops->write(t->context, address, &value, t->insn->width);
}

static enum fl_execute done(const struct turn *t)
{
	t->cpu->ip += t->insn->bytes;
	return FL_EXECUTE_DONE;
}

static enum fl_atomic_result atomic(const struct turn *t, enum fl_atomic kind, __u64 operand,
				    __u64 compare, __u64 *old)
{
	unsigned int width = t->insn->width;
	__u64 mask = fl_width_mask(width);

	if (!t->insn->locked || !t->ops->atomic || width < 4 || t->address & (width - 1))
		return FL_ATOMIC_SPLIT;
	*old = 0;
	return t->ops->atomic(t->context, kind, t->address, width, operand & mask, compare & mask,
			      old);
}

/* What the instruction adds, when all it does is to add. */
static bool addend(const struct turn *t, __u64 *value)
{
	switch (t->insn->op) {
	case FL_OP_ADD:
	case FL_OP_XADD:
		*value = other_operand(t);
		return true;
	case FL_OP_SUB:
		*value = -other_operand(t);
		return true;
	case FL_OP_INC:
		*value = 1;
		return true;
	case FL_OP_DEC:
		*value = -1ULL;
		return true;
	default:
		return false;
	}
}

/* One transaction that yields the old value and leaves the new one. */
static enum fl_atomic_result fetch(const struct turn *t, __u64 *old)
{
	__u64 value;

	if (t->insn->op == FL_OP_XCHG)
		return atomic(t, FL_ATOMIC_SWAP, get_register(t), 0, old);
	if (addend(t, &value))
		return atomic(t, FL_ATOMIC_ADD, value, 0, old);
	return FL_ATOMIC_SPLIT;
}

/* Puts `value` where `old` was read. Another's write in between: the instruction runs again. */
static enum fl_execute replace(const struct turn *t, __u64 old, __u64 value)
{
	__u64 found;

	switch (atomic(t, FL_ATOMIC_CAS, value, old, &found)) {
	case FL_ATOMIC_DONE:
		return found == old ? FL_EXECUTE_DONE : FL_EXECUTE_AGAIN;
	case FL_ATOMIC_SPLIT:
		return store(t, t->address, value) ? FL_EXECUTE_DONE : FL_EXECUTE_FAULT;
	default:
		return FL_EXECUTE_FAULT;
	}
}

/* Memory is read and written: add m, r; not m; xadd; xchg; bts ... */
static enum fl_execute modify(const struct turn *t)
{
	__u64 old, value, flags = t->cpu->flags;
	enum fl_atomic_result fetched = fetch(t, &old);

	if (fetched == FL_ATOMIC_FAULT)
		return FL_EXECUTE_FAULT;
	if (fetched == FL_ATOMIC_SPLIT && !load(t, t->address, &old))
		return FL_EXECUTE_FAULT;
	value = fl_alu(t->insn->op, old, other_operand(t), t->insn->width, &flags);
	if (fetched == FL_ATOMIC_SPLIT) {
		enum fl_execute result = replace(t, old, value);

		if (result != FL_EXECUTE_DONE)
			return result;
	}
	t->cpu->flags = flags;
	if (t->insn->op == FL_OP_XCHG || t->insn->op == FL_OP_XADD)
		put_register(t, old);
	return done(t);
}

static enum fl_execute compare_exchange(const struct turn *t)
{
	__u64 accumulator = t->cpu->gpr[FL_RAX] & fl_width_mask(t->insn->width);
	__u64 old;
	enum fl_atomic_result swapped =
		atomic(t, FL_ATOMIC_CAS, get_register(t), accumulator, &old);

	if (swapped == FL_ATOMIC_FAULT)
		return FL_EXECUTE_FAULT;
	if (swapped == FL_ATOMIC_SPLIT) {
		if (!load(t, t->address, &old))
			return FL_EXECUTE_FAULT;
		if (old == accumulator && !store(t, t->address, get_register(t)))
			return FL_EXECUTE_FAULT;
	}
	fl_alu(FL_OP_CMPXCHG, accumulator, old, t->insn->width, &t->cpu->flags);
	if (old != accumulator)
		put_wide(&t->cpu->gpr[FL_RAX], t->insn->width, old);
	return done(t);
}

static __u64 extended(const struct turn *t, __u64 value)
{
	unsigned int unused_bits = 64 - 8 * t->insn->width;

	if (t->insn->op != FL_OP_MOVSX)
		return value;
	return (__u64)((__s64)(value << unused_bits) >> unused_bits);
}

/* Memory is read only: mov r, m; add r, m; cmp m, r; bt m, r ... */
static enum fl_execute consume(const struct turn *t)
{
	const struct fl_insn *insn = t->insn;
	__u64 value;

	if (!load(t, t->address, &value))
		return FL_EXECUTE_FAULT;
	switch (insn->op) {
	case FL_OP_MOV:
	case FL_OP_MOVZX:
	case FL_OP_MOVSX:
		put_register(t, extended(t, value));
		break;
	case FL_OP_CMOV: /* a 32-bit one clears the upper half in either case */
		put_register(t, fl_condition(insn->condition, t->cpu->flags) ? value :
									       get_register(t));
		break;
	case FL_OP_CMP:
	case FL_OP_TEST:
	case FL_OP_BT:
		if (insn->to_register)
			fl_alu(insn->op, get_register(t), value, insn->width, &t->cpu->flags);
		else
			fl_alu(insn->op, value, other_operand(t), insn->width, &t->cpu->flags);
		break;
	default:
		put_register(t, fl_alu(insn->op, get_register(t), value, insn->width,
				       &t->cpu->flags));
		break;
	}
	return done(t);
}

/* Memory is written only. */
static enum fl_execute produce(const struct turn *t)
{
	__u64 value = t->insn->op == FL_OP_SETCC ?
			      fl_condition(t->insn->condition, t->cpu->flags) :
			      other_operand(t);

	return store(t, t->address, value) ? done(t) : FL_EXECUTE_FAULT;
}

static __u64 step_of(const struct turn *t)
{
	return t->cpu->flags & FL_FLAG_DF ? -(__u64)t->insn->width : t->insn->width;
}

/* rsi, rdi and rcx after `count` elements. */
static void advance(const struct turn *t, bool source, bool destination, __u64 count)
{
	__u64 bytes = step_of(t) * count;

	if (source)
		t->cpu->gpr[FL_RSI] += bytes;
	if (destination)
		t->cpu->gpr[FL_RDI] += bytes;
	if (t->insn->rep)
		t->cpu->gpr[FL_RCX] -= count;
}

static __u64 elements_left(const struct turn *t)
{
	return t->insn->rep ? t->cpu->gpr[FL_RCX] : 1;
}

/* How many elements one copy may move without changing what later ones read. */
static __u64 copy_burst(const struct turn *t)
{
	__u64 to = t->cpu->gpr[FL_RDI], from = t->cpu->gpr[FL_RSI];
	__u64 distance = to > from ? to - from : from - to;
	__u64 left = elements_left(t), most = FL_BURST_BYTES / t->insn->width;

	if (t->cpu->flags & FL_FLAG_DF)
		return 1; /* downwards: element by element, in their order */
	if (most > distance / t->insn->width)
		most = distance / t->insn->width;
	if (most == 0)
		most = 1;
	return left < most ? left : most;
}

static enum fl_execute after_string(const struct turn *t)
{
	return t->insn->rep && t->cpu->gpr[FL_RCX] ? FL_EXECUTE_AGAIN : done(t);
}

static enum fl_execute copy_string(const struct turn *t)
{
	unsigned int turns = ELEMENTS_PER_TURN, moved = 0;

	while (turns-- && elements_left(t) && moved < FL_BURST_BYTES) {
		__u64 count = copy_burst(t);
		unsigned int bytes = count * t->insn->width;

		if (!t->ops->copy(t->context, t->cpu->gpr[FL_RDI], t->cpu->gpr[FL_RSI], bytes))
			return FL_EXECUTE_FAULT;
		advance(t, true, true, count);
		moved += bytes;
		if (!t->insn->rep)
			break;
	}
	return after_string(t);
}

static enum fl_execute fill_string(const struct turn *t)
{
	__u8 pattern[PATTERN_BYTES];
	unsigned int width = t->insn->width, bytes, moved = 0;
	__u64 most = t->cpu->flags & FL_FLAG_DF ? 1 : PATTERN_BYTES / width;

	for (bytes = 0; bytes < PATTERN_BYTES; bytes += width)
		memcpy(pattern + bytes, &t->cpu->gpr[FL_RAX], width);
	while (elements_left(t) && moved < FL_BURST_BYTES) {
		__u64 left = elements_left(t), count = left < most ? left : most;

		bytes = count * width;
		if (!t->ops->write(t->context, t->cpu->gpr[FL_RDI], pattern, bytes))
			return FL_EXECUTE_FAULT;
		advance(t, false, true, count);
		moved += bytes;
		if (!t->insn->rep)
			break;
	}
	return after_string(t);
}

/* One element of lods, scas or cmps. */
static bool string_element(const struct turn *t)
{
	__u64 left, right;

	if (t->insn->op == FL_OP_LODS) {
		if (!load(t, t->cpu->gpr[FL_RSI], &left))
			return false;
		put_wide(&t->cpu->gpr[FL_RAX], t->insn->width, left);
		advance(t, true, false, 1);
		return true;
	}
	left = t->cpu->gpr[FL_RAX];
	if (t->insn->op == FL_OP_CMPS && !load(t, t->cpu->gpr[FL_RSI], &left))
		return false;
	if (!load(t, t->cpu->gpr[FL_RDI], &right))
		return false;
	fl_alu(t->insn->op, left, right, t->insn->width, &t->cpu->flags);
	advance(t, t->insn->op == FL_OP_CMPS, true, 1);
	return true;
}

/* repe, repne: a comparison ends the string. */
static bool string_ends(const struct turn *t)
{
	if (!t->insn->rep || t->insn->op == FL_OP_LODS)
		return !t->insn->rep;
	return !(t->cpu->flags & FL_FLAG_ZF) == (t->insn->rep == FL_REP_EQUAL);
}

static enum fl_execute element_string(const struct turn *t)
{
	unsigned int turns;

	for (turns = 0; turns < ELEMENTS_PER_TURN && elements_left(t); turns++) {
		if (!string_element(t))
			return FL_EXECUTE_FAULT;
		if (string_ends(t))
			return done(t);
	}
	return after_string(t);
}

static bool only_reads(const struct fl_insn *insn)
{
	return insn->to_register || insn->op == FL_OP_CMP || insn->op == FL_OP_TEST ||
	       insn->op == FL_OP_BT;
}

enum fl_execute fl_insn_execute(const struct fl_insn *insn, struct fl_cpu *cpu,
				const struct fl_memory_ops *ops, void *context)
{
	struct turn t = { .insn = insn, .cpu = cpu, .ops = ops, .context = context };

	if (insn->op == FL_OP_MOVS)
		return copy_string(&t);
	if (insn->op == FL_OP_STOS)
		return fill_string(&t);
	if (fl_insn_is_string(insn))
		return element_string(&t);
	t.address = fl_insn_address(insn, cpu);
	if (only_reads(insn))
		return consume(&t);
	if (insn->op == FL_OP_MOV || insn->op == FL_OP_SETCC)
		return produce(&t);
	return insn->op == FL_OP_CMPXCHG ? compare_exchange(&t) : modify(&t);
}

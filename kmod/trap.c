// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the fault of an instruction that accesses a token. Hands on: its accesses
 * to bar.c, and the registers as the instruction leaves them.
 * Owns: nothing. All state of a trap is on its stack: traps of all CPUs, of interrupts
 * and of traps within traps know nothing of each other.
 *
 * #GP comes with interrupts as they were, #SS (base register rbp or rsp) with them
 * off. Both run within rcu_read_lock of the notifier chain.
 */
#define pr_fmt(fmt) "farlane: " fmt

#include <linux/irqflags.h>
#include <linux/kdebug.h>
#include <linux/notifier.h>
#include <linux/ptrace.h>
#include <linux/uaccess.h>
#include <asm/trapnr.h>

#include "decode.h"
#include "trap.h"

#define BREAKPOINT 0xcc
#define BOUNCE_BYTES 256 /* from one remote BAR to another */

static bool active;

/* --- memory, as the emulator asks for it -------------------------------------------- */

static bool in_window(u64 address, unsigned int bytes)
{
	return fl_is_token(address) && fl_window_contains(fl_token_address(address), bytes);
}

/* Kernel memory that is there, of at most two pages. */
static bool reachable(u64 address, unsigned int bytes)
{
	const u8 *first = (const u8 *)address;
	u8 byte;

	return (s64)address < 0 && !get_kernel_nofault(byte, first) &&
	       !get_kernel_nofault(byte, first + bytes - 1);
}

static bool trap_read(void *context, u64 address, void *into, unsigned int bytes)
{
	if (!in_window(address, bytes))
		return !copy_from_kernel_nofault(into, (const void *)address, bytes);
	fl_bar_read(fl_token_address(address), into, bytes);
	return true;
}

static bool trap_write(void *context, u64 address, const void *from, unsigned int bytes)
{
	if (!in_window(address, bytes))
		return false;
	fl_bar_write(fl_token_address(address), from, bytes);
	return true;
}

static bool bounce(u64 to, u64 from, unsigned int bytes)
{
	u8 buffer[BOUNCE_BYTES];
	unsigned int piece;

	for (; bytes; bytes -= piece, to += piece, from += piece) {
		piece = min_t(unsigned int, bytes, sizeof(buffer));
		fl_bar_read(fl_token_address(from), buffer, piece);
		fl_bar_write(fl_token_address(to), buffer, piece);
	}
	return true;
}

/* The payload goes straight from or to the driver's memory. */
static bool trap_copy(void *context, u64 to, u64 from, unsigned int bytes)
{
	bool into_window = in_window(to, bytes), out_of_window = in_window(from, bytes);

	if (into_window && out_of_window)
		return bounce(to, from, bytes);
	if (into_window && reachable(from, bytes)) {
		fl_bar_write(fl_token_address(to), (const void *)from, bytes);
		return true;
	}
	if (out_of_window && reachable(to, bytes)) {
		fl_bar_read(fl_token_address(from), (void *)to, bytes);
		return true;
	}
	return false;
}

static enum fl_atomic_result trap_atomic(void *context, enum fl_atomic kind, u64 address,
					 unsigned int bytes, u64 operand, u64 compare, u64 *old)
{
	static const enum fl_tlp_type types[] = { [FL_ATOMIC_ADD] = FL_TLP_FETCHADD,
						  [FL_ATOMIC_SWAP] = FL_TLP_SWAP,
						  [FL_ATOMIC_CAS] = FL_TLP_CAS };

	return fl_bar_atomic(fl_token_address(address), types[kind], bytes, operand, compare,
			     old) ? FL_ATOMIC_DONE : FL_ATOMIC_SPLIT;
}

static const struct fl_memory_ops memory_ops = {
	.read = trap_read,
	.write = trap_write,
	.copy = trap_copy,
	.atomic = trap_atomic,
};

/* --- registers ------------------------------------------------------------------------- */

static const unsigned int register_offsets[FL_REGISTERS] = {
	[FL_RAX] = offsetof(struct pt_regs, ax),  [FL_RCX] = offsetof(struct pt_regs, cx),
	[FL_RDX] = offsetof(struct pt_regs, dx),  [FL_RBX] = offsetof(struct pt_regs, bx),
	[FL_RSP] = offsetof(struct pt_regs, sp),  [FL_RBP] = offsetof(struct pt_regs, bp),
	[FL_RSI] = offsetof(struct pt_regs, si),  [FL_RDI] = offsetof(struct pt_regs, di),
	[FL_R8] = offsetof(struct pt_regs, r8),	  [FL_R9] = offsetof(struct pt_regs, r9),
	[FL_R10] = offsetof(struct pt_regs, r10), [FL_R11] = offsetof(struct pt_regs, r11),
	[FL_R12] = offsetof(struct pt_regs, r12), [FL_R13] = offsetof(struct pt_regs, r13),
	[FL_R14] = offsetof(struct pt_regs, r14), [FL_R15] = offsetof(struct pt_regs, r15),
};

static unsigned long *register_of(struct pt_regs *regs, unsigned int reg)
{
	return (void *)regs + register_offsets[reg];
}

static void load_registers(struct fl_cpu *cpu, struct pt_regs *regs)
{
	unsigned int reg;

	for (reg = 0; reg < FL_REGISTERS; reg++)
		cpu->gpr[reg] = *register_of(regs, reg);
	cpu->ip = regs->ip;
	cpu->flags = regs->flags;
}

static void store_registers(struct pt_regs *regs, const struct fl_cpu *cpu)
{
	unsigned int reg;

	for (reg = 0; reg < FL_REGISTERS; reg++)
		*register_of(regs, reg) = cpu->gpr[reg];
	regs->ip = cpu->ip;
	regs->flags = cpu->flags;
}

/* --- one trap ---------------------------------------------------------------------------- */

/* Code at ip: fewer bytes when it ends at an unmapped page. */
static unsigned int fetch(unsigned long ip, u8 *code)
{
	unsigned int on_page = PAGE_SIZE - offset_in_page(ip);

	if (!copy_from_kernel_nofault(code, (const void *)ip, FL_INSN_MAX_BYTES))
		return FL_INSN_MAX_BYTES;
	if (on_page < FL_INSN_MAX_BYTES &&
	    !copy_from_kernel_nofault(code, (const void *)ip, on_page))
		return on_page;
	return 0;
}

/* Which address of the instruction made it fault; 0: none of ours. */
static u64 token_of_string(const struct fl_insn *insn, const struct fl_cpu *cpu)
{
	bool source = insn->op == FL_OP_MOVS || insn->op == FL_OP_CMPS || insn->op == FL_OP_LODS;

	if (source && fl_is_token(cpu->gpr[FL_RSI]))
		return cpu->gpr[FL_RSI];
	if (insn->op != FL_OP_LODS && fl_is_token(cpu->gpr[FL_RDI]))
		return cpu->gpr[FL_RDI];
	return 0;
}

static u64 token_of(const struct fl_insn *insn, const struct fl_cpu *cpu)
{
	u64 address;

	if (fl_insn_is_string(insn))
		return token_of_string(insn, cpu);
	if (insn->segment != FL_SEGMENT_FLAT)
		return 0;
	address = fl_insn_address(insn, cpu);
	return fl_is_token(address) ? address : 0;
}

/* An instruction that is not understood: a register that could have been the address. */
static u64 token_in_registers(const struct fl_cpu *cpu)
{
	unsigned int reg;

	for (reg = 0; reg < FL_REGISTERS; reg++)
		if (in_window(cpu->gpr[reg], 1))
			return cpu->gpr[reg];
	return 0;
}

/* The oops that follows names the driver; this says why. */
static void complain(const struct fl_cpu *cpu, u64 token, const u8 *code, unsigned int bytes,
		     const char *why)
{
	struct fl_place place;

	if (fl_bar_place(fl_token_address(token), &place))
		pr_emerg("%pS accesses %s, BAR %u + 0x%llx, in a way that can not be forwarded\n",
			 (void *)cpu->ip, place.name, place.bar, place.offset);
	else
		pr_emerg("%pS accesses 0x%llx of the window, where there is no function\n",
			 (void *)cpu->ip, token & FL_TOKEN_OFFSET_MASK);
	pr_emerg("code at 0x%llx: %*ph: %s\n", cpu->ip, (int)bytes, code, why);
	pr_emerg("keep this driver off remote functions: /sys/module/farlane/parameters/allow\n");
}

static bool execute(struct pt_regs *regs, struct fl_cpu *cpu, const struct fl_insn *insn,
		    const u8 *code, u64 token)
{
	enum fl_execute result = fl_insn_execute(insn, cpu, &memory_ops, NULL);

	store_registers(regs, cpu);
	if (result != FL_EXECUTE_FAULT)
		return true; /* FL_EXECUTE_AGAIN: it faults again, interrupts come in between */
	complain(cpu, token, code, insn->bytes,
		 "it leaves the window, or its other operand can not be accessed");
	return false;
}

static bool emulate(struct pt_regs *regs)
{
	u8 code[FL_INSN_MAX_BYTES];
	unsigned int bytes = fetch(regs->ip, code);
	struct fl_insn insn;
	struct fl_cpu cpu;
	enum fl_decode decoded;
	u64 token;

	/* The kernel is patching this place: run into the breakpoint, or what is there by then. */
	if (bytes && code[0] == BREAKPOINT)
		return true;
	load_registers(&cpu, regs);
	decoded = fl_insn_decode(code, bytes, &insn);
	if (decoded == FL_DECODE_OK) {
		token = token_of(&insn, &cpu);
		return token && execute(regs, &cpu, &insn, code, token);
	}
	token = token_in_registers(&cpu);
	if (token)
		complain(&cpu, token, code, bytes, fl_decode_text(decoded));
	return false;
}

static bool handle(struct pt_regs *regs, int trap)
{
	bool enable = trap == X86_TRAP_SS && (regs->flags & X86_EFLAGS_IF);
	bool done;

	/* A read may take milliseconds: not with interrupts off when the driver has them on. */
	if (enable)
		local_irq_enable();
	done = emulate(regs);
	if (enable)
		local_irq_disable();
	return done;
}

static int on_die(struct notifier_block *block, unsigned long value, void *data)
{
	struct die_args *args = data;
	bool ours = value == DIE_GPF || (value == DIE_TRAP && args->trapnr == X86_TRAP_SS);

	if (!ours || args->err || !args->regs || user_mode(args->regs))
		return NOTIFY_DONE;
	return handle(args->regs, args->trapnr) ? NOTIFY_STOP : NOTIFY_DONE;
}

static struct notifier_block die_block = {
	.notifier_call = on_die,
	.priority = INT_MAX - 1, /* right behind kprobes */
};

/*
 * #SS does not happen under every emulator: with selftest=1 its branch is tried at load,
 * on the window as it is then, without a function: all-ones.
 */
static int try_stack_fault(void)
{
	static const u8 code[] = { 0x8b, 0x4d, 0x10 }; /* mov 0x10(%rbp),%ecx */
	struct pt_regs regs = { .ip = (unsigned long)code,
				.bp = fl_token_of(fl_window_start()),
				.flags = X86_EFLAGS_IF,
				.cs = __KERNEL_CS };
	struct die_args args = { .regs = &regs, .trapnr = X86_TRAP_SS };
	unsigned long flags;
	bool stopped, off;

	local_irq_save(flags);
	stopped = on_die(&die_block, DIE_TRAP, &args) == NOTIFY_STOP;
	off = irqs_disabled();
	local_irq_restore(flags);
	if (stopped && off && regs.ip == (unsigned long)code + sizeof(code) && regs.cx == U32_MAX)
		return 0;
	pr_err("the handler of stack faults fails its test\n");
	return -EIO;
}

bool fl_trap_active(void)
{
	return active;
}

int fl_trap_init(void)
{
	int err;

	if (!fl_param_trap)
		return fl_allow_init();
	err = register_die_notifier(&die_block); /* before anybody gets a token */
	if (err)
		return err;
	err = fl_param_selftest ? try_stack_fault() : 0;
	if (err)
		goto err_die;
	err = fl_hook_init();
	if (err)
		goto err_die;
	active = true;
	err = fl_allow_init();
	if (err)
		goto err_hooks;
	return 0;

err_hooks:
	active = false;
	fl_hook_exit();
err_die:
	unregister_die_notifier(&die_block);
	return err;
}

/* Every driver has given its tokens back: the bus is empty. */
void fl_trap_exit(void)
{
	fl_allow_exit();
	if (!active)
		return;
	active = false;
	fl_hook_exit();
	unregister_die_notifier(&die_block);
}

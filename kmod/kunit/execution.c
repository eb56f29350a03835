// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: decoded instructions. Hands on: their effect, for insn_kunit.c: the sources
 * of farlane.ko, once more in this module. Owns: nothing.
 */
#include "../execute.c"
#include "../alu.c"

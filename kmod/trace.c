// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: the events declared in trace.h. Hands on: their code, once in the module.
 * Owns: nothing.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The suites of farlane_kunit.ko, one in each file.
 * Receives: nothing. Hands on: their names. Owns: nothing.
 */
#ifndef FARLANE_KUNIT_SUITES_H
#define FARLANE_KUNIT_SUITES_H

#include <kunit/test.h>

extern struct kunit_suite fl_config_suite, fl_virtio_suite, fl_tag_suite, fl_domain_suite, fl_insn_suite;

#endif /* FARLANE_KUNIT_SUITES_H */

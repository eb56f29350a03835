// SPDX-License-Identifier: GPL-2.0
/*
 * Receives: insmod. Hands on: the results of all suites, in the kernel log as KTAP.
 * Owns: nothing.
 */
#include <linux/module.h>

#include "suites.h"

kunit_test_suites(&fl_config_suite, &fl_virtio_suite, &fl_tag_suite, &fl_domain_suite,
		  &fl_insn_suite);

MODULE_DESCRIPTION("KUnit tests of farlane.ko");
MODULE_LICENSE("GPL");

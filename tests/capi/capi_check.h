/* SPDX-License-Identifier: Apache-2.0 */
/* Receives: conditions and calls. Hands on: what does not hold, to `complain`. Owns: nothing. */
#ifndef TESTS_CAPI_CHECK_H
#define TESTS_CAPI_CHECK_H

#define CHECK(condition)                                          \
	do {                                                      \
		if (!(condition))                                 \
			complain(__FILE__, __LINE__, #condition); \
	} while (0)
#define CHECK_STATUS(call, expected)                                         \
	do {                                                                 \
		int status_ = (call);                                        \
		if (status_ != (expected)) {                                 \
			complain(__FILE__, __LINE__, #call);                 \
			complain(__FILE__, __LINE__, fl_status_name(status_)); \
			complain(__FILE__, __LINE__, fl_last_error());       \
		}                                                            \
	} while (0)

#endif

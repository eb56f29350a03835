/* SPDX-License-Identifier: Apache-2.0 */
/* Receives: what the tests of the C API need to know. Hands on: declarations. Owns: nothing. */
#ifndef TESTS_CAPI_CALLS_H
#define TESTS_CAPI_CALLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers of the scratch device, which the C++ side knows. */
struct scratch_layout {
	uint64_t ident_value, ident, scratch, iova, length, memory, go, done, refused;
	uint64_t bar0_bytes, bar2_bytes;
	unsigned vectors;
};

typedef void (*capi_complain)(const char *file, int line, const char *what);

/* Each runs one subject against the fabric at `port`; failures are told to `complain`. */
void capi_status(capi_complain complain);
void capi_arguments(capi_complain complain);
void capi_open_errors(capi_complain complain);
void capi_list_and_attach(const char *port, const struct scratch_layout *s, capi_complain complain);
void capi_registers(const char *port, const struct scratch_layout *s, capi_complain complain);
void capi_dma(const char *port, const struct scratch_layout *s, capi_complain complain);
void capi_accel_arguments(capi_complain complain);
void capi_accel_work(const char *port, capi_complain complain);
void capi_program_arguments(capi_complain complain);
/* An accelerator that takes programs: lists of kernels, one name per line (accel/module_executor.hpp). */
void capi_program_work(const char *port, capi_complain complain);

#ifdef __cplusplus
}
#endif
#endif

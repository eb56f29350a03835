/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: the one table of status codes.
 *
 * FL_STATUS_TABLE(X) calls X(NAME, name, code, errno, exit_code, text) a row.
 * Codes 0..15 are the completion status field of PCIe (PCIe 6.0, 2.2.9.1);
 * higher ones are Farlane's own and never appear in a completion that a stock
 * driver sees. exit_code is what the `farlane` tool ends with.
 */
#ifndef _UAPI_FARLANE_STATUS_H
#define _UAPI_FARLANE_STATUS_H

#define FL_STATUS_TABLE(X)                                                                              \
	X(SC, ok, 0, 0, 0, "successful completion")                                                     \
	X(UR, unsupported_request, 1, EREMOTEIO, 1, "unsupported request: no such address or operation at the device") \
	X(CRS, config_retry, 2, EAGAIN, 6, "configuration request retry: the device is not ready yet")  \
	X(CA, completer_abort, 4, ECONNABORTED, 1, "completer abort: the device gave the request up")   \
	X(NOT_FOUND, not_found, 16, ENOENT, 3, "no such function, peer or object")                      \
	X(BUSY, busy, 17, EBUSY, 4, "in use by another holder")                                         \
	X(DENIED, denied, 18, EACCES, 5, "not permitted")                                               \
	X(TIMEOUT, timeout, 19, ETIMEDOUT, 6, "no answer within the time limit")                        \
	X(UNREACHABLE, unreachable, 20, EHOSTUNREACH, 7, "the peer can not be reached")                 \
	X(INTEGRITY, integrity, 21, EBADMSG, 9, "integrity check failed")                               \
	X(INVALID, invalid, 22, EINVAL, 2, "invalid argument")                                          \
	X(MALFORMED, malformed, 23, EPROTO, 9, "malformed record")                                      \
	X(VERSION, version, 24, EPROTONOSUPPORT, 7, "no protocol version in common")                    \
	X(LIMIT, limit, 25, ENOSPC, 1, "a limit was reached")                                           \
	X(NO_MEMORY, no_memory, 26, ENOMEM, 1, "out of memory")                                         \
	X(OUT_OF_BOUNDS, out_of_bounds, 27, ERANGE, 1, "outside the mapping or the BAR")                \
	X(DEVICE_LOST, device_lost, 28, ENODEV, 7, "the device was removed")                            \
	X(DEVICE_RESET, device_reset, 29, ECONNRESET, 1, "the device was reset; its state is gone")     \
	X(STALE, stale, 30, ESTALE, 1, "stale handle or generation")                                    \
	X(UNSUPPORTED, unsupported, 31, EOPNOTSUPP, 2, "not supported by this build or provider")       \
	X(IO, io, 32, EIO, 1, "input/output error")                                                     \
	X(WOULD_BLOCK, would_block, 33, EWOULDBLOCK, 1, "no room or nothing there now; try again")      \
	X(PENDING, pending, 34, EINPROGRESS, 1, "accepted; the answer comes later")                     \
	X(PROTOCOL, protocol, 35, EPROTO, 9, "the peer broke the protocol")                             \
	X(CANCELED, canceled, 36, ECANCELED, 1, "canceled")                                             \
	X(COMPARE, compare, 37, EILSEQ, 9, "the result differs from the reference")

enum fl_status {
#define FL_STATUS_ENUM(NAME, name, code, err, exit_code, text) FL_STATUS_##NAME = code,
	FL_STATUS_TABLE(FL_STATUS_ENUM)
#undef FL_STATUS_ENUM
};

#endif /* _UAPI_FARLANE_STATUS_H */

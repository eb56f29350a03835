/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Farlane contract: field types.
 *
 * Every multi-byte field of a record, a frame or a device register is
 * little-endian. In C it is the kernel's __le type (sparse checks its use); in
 * C++ it is a class that compiles only through get() and set().
 * Fields of memory that two processes of one host share are plain __u types.
 */
#ifndef _UAPI_FARLANE_TYPES_H
#define _UAPI_FARLANE_TYPES_H

#include <linux/types.h>

#ifdef __cplusplus
#include <cstddef>

namespace farlane::wire {

constexpr bool kHostIsLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

template <class T> constexpr T swap_if_big_endian(T v) noexcept
{
	if constexpr (kHostIsLittleEndian)
		return v;
	else if constexpr (sizeof(T) == 2)
		return static_cast<T>(__builtin_bswap16(v));
	else if constexpr (sizeof(T) == 4)
		return static_cast<T>(__builtin_bswap32(v));
	else
		return static_cast<T>(__builtin_bswap64(v));
}

/* A little-endian integer. Raw use does not compile. */
template <class T> class LittleEndian {
public:
	LittleEndian() = default;
	explicit constexpr LittleEndian(T v) noexcept : raw_(swap_if_big_endian(v)) {}
	[[nodiscard]] constexpr T get() const noexcept { return swap_if_big_endian(raw_); }
	constexpr void set(T v) noexcept { raw_ = swap_if_big_endian(v); }

private:
	T raw_;
};

} /* namespace farlane::wire */

typedef ::farlane::wire::LittleEndian<__u16> fl_le16;
typedef ::farlane::wire::LittleEndian<__u32> fl_le32;
typedef ::farlane::wire::LittleEndian<__u64> fl_le64;

#define FL_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

typedef __le16 fl_le16;
typedef __le32 fl_le32;
typedef __le64 fl_le64;

#define FL_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define FL_ASSERT_SIZE(type, bytes) \
	FL_STATIC_ASSERT(sizeof(struct type) == (bytes), "size of struct " #type)
#define FL_ASSERT_OFFSET(type, field, bytes) \
	FL_STATIC_ASSERT(offsetof(struct type, field) == (bytes), "offset of " #type "." #field)

#endif /* _UAPI_FARLANE_TYPES_H */

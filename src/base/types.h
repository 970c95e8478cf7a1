// SPDX-License-Identifier: BSD-2-Clause
/*
 * Types and small tools that every other directory uses.
 *
 * Network byte order has types of its own: a `struct be16` does not convert to a number and a
 * number does not convert to it, so a forgotten swap does not compile. `be32(x)` makes one from a
 * host number, `be32_get(b)` reads it, and `be32_eq()` compares without swapping.
 *
 * Compiles for BPF: needs stdint, stddef and stdbool only.
 */
#ifndef VJ_BASE_TYPES_H
#define VJ_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VJ_CACHELINE 64

#define VJ_ALIGNED(n) __attribute__((aligned(n)))
#define VJ_PACKED __attribute__((packed))
#define VJ_HOT __attribute__((hot))
#define VJ_COLD __attribute__((cold, noinline))
/* On a variable that is zero at first, and that processes which do little else touch: beside those that have values */
#define VJ_NEAR __attribute__((section(".data")))
/* On a variable of some size that processes without sockets don't touch: apart from the page that loading the library writes to (preload/layout.ld) */
#define VJ_LATER __attribute__((section(".later")))
/* VJ_LATER (base/types.h), of a table that few processes with sockets touch: the other variables are on one page, behind such ones (preload/layout.ld) */
#define VJ_SELDOM __attribute__((section(".later.seldom")))
/* On a function that such processes run: beside the constructors */
#define VJ_EARLY __attribute__((section(".text.startup")))
/* On a function that is mostly no more than a system call: together on a page or two, since the kernel's work leaves little of a program in the processor's caches */
#define VJ_DIRECT __attribute__((section(".text.hot.direct")))
#define VJ_NOINLINE __attribute__((noinline))
#define VJ_NORETURN __attribute__((noreturn))
#define VJ_MUST_CHECK __attribute__((warn_unused_result))
#define VJ_INLINE static inline __attribute__((always_inline))
#define VJ_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

/* The zero-length term fails to compile when `a` is a pointer instead of an array. */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]) + 0 * sizeof(char[1 - 2 * VJ_IS_POINTER(a)]))
#define VJ_IS_POINTER(a) __builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0]))

#ifndef container_of
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#endif

#define DEFINE_MIN_MAX(suffix, type)                    \
	static inline type min_##suffix(type a, type b) \
	{                                               \
		return a < b ? a : b;                   \
	}                                               \
	static inline type max_##suffix(type a, type b) \
	{                                               \
		return a > b ? a : b;                   \
	}

DEFINE_MIN_MAX(u16, uint16_t)
DEFINE_MIN_MAX(u32, uint32_t)
DEFINE_MIN_MAX(u64, uint64_t)
DEFINE_MIN_MAX(s64, int64_t)
DEFINE_MIN_MAX(size, size_t)

#undef DEFINE_MIN_MAX

/* `raw` holds the bytes as they lie on the wire. Only the functions below touch it. */
struct be16 {
	uint16_t raw;
};

struct be32 {
	uint32_t raw;
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define VJ_SWAP_BE16(x) __builtin_bswap16(x)
#define VJ_SWAP_BE32(x) __builtin_bswap32(x)
#define VJ_SWAP_BE64(x) __builtin_bswap64(x)
#else
#define VJ_SWAP_BE16(x) ((uint16_t)(x))
#define VJ_SWAP_BE32(x) ((uint32_t)(x))
#define VJ_SWAP_BE64(x) ((uint64_t)(x))
#endif

/* clang-format off */
/* For static initialisers, where a function call is not allowed. */
#define BE32_INIT(x) { VJ_SWAP_BE32(x) }
/* clang-format on */

static inline struct be16 be16(uint16_t host)
{
	return (struct be16){ VJ_SWAP_BE16(host) };
}

static inline struct be32 be32(uint32_t host)
{
	return (struct be32){ VJ_SWAP_BE32(host) };
}

static inline uint16_t be16_get(struct be16 net)
{
	return VJ_SWAP_BE16(net.raw);
}

static inline uint32_t be32_get(struct be32 net)
{
	return VJ_SWAP_BE32(net.raw);
}

static inline bool be32_eq(struct be32 a, struct be32 b)
{
	return a.raw == b.raw;
}

/*
 * Loads and stores at any alignment. load_be*() and store_be*() swap: the number is in host order.
 * load_u*() and store_u*() keep the machine's own order.
 */
static inline uint16_t load_u16(const void *p)
{
	uint16_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load_u32(const void *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load_u64(const void *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline void store_u16(void *p, uint16_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline void store_u32(void *p, uint32_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline void store_u64(void *p, uint64_t v)
{
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline uint16_t load_be16(const void *p)
{
	return VJ_SWAP_BE16(load_u16(p));
}

static inline uint32_t load_be32(const void *p)
{
	return VJ_SWAP_BE32(load_u32(p));
}

static inline uint64_t load_be64(const void *p)
{
	return VJ_SWAP_BE64(load_u64(p));
}

static inline void store_be16(void *p, uint16_t v)
{
	store_u16(p, VJ_SWAP_BE16(v));
}

static inline void store_be32(void *p, uint32_t v)
{
	store_u32(p, VJ_SWAP_BE32(v));
}

static inline void store_be64(void *p, uint64_t v)
{
	store_u64(p, VJ_SWAP_BE64(v));
}

#endif

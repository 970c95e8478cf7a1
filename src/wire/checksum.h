// SPDX-License-Identifier: BSD-2-Clause
/*
 * The Internet checksum: RFC 1071 (sum), RFC 1624 (incremental update).
 *
 * A `struct csum` is a sum on its way: ones' complement, in the byte order of the wire whatever the
 * machine's (RFC 1071 section 2B), not yet folded to 16 bits. Sums of parts add up in any order, as
 * long as each part starts at an even offset; csum_add_at() takes care of those that do not.
 *
 * The accumulator has 64 bits, of which no part uses more than 36: a sum can take up
 * thousands of parts with plain additions before it is folded.
 */
#ifndef VJ_WIRE_CHECKSUM_H
#define VJ_WIRE_CHECKSUM_H

#include "base/addr.h"
#include "base/types.h"

struct csum {
	uint64_t acc;
};

#define CSUM_ZERO ((struct csum){ 0 })

static inline struct csum csum_add(struct csum a, struct csum b)
{
	return (struct csum){ a.acc + b.acc };
}

static inline struct csum csum_add_be16(struct csum sum, struct be16 v)
{
	return (struct csum){ sum.acc + v.raw };
}

/* The field before the update goes out, the one after comes in (RFC 1624, equation 3). */
static inline struct csum csum_sub_be16(struct csum sum, struct be16 v)
{
	return (struct csum){ sum.acc + (uint16_t)~v.raw };
}

/* 16 bits, not complemented. */
static inline uint16_t csum_fold_raw(struct csum sum)
{
	uint64_t v = sum.acc;

	v = (v & UINT32_MAX) + (v >> 32);
	v = (v & UINT32_MAX) + (v >> 32);
	v = (v & UINT16_MAX) + (v >> 16);
	v = (v & UINT16_MAX) + (v >> 16);
	return (uint16_t)v;
}

/* What goes into the checksum field. */
static inline struct be16 csum_finish(struct csum sum)
{
	return (struct be16){ (uint16_t)~csum_fold_raw(sum) };
}

/* The same for UDP, where 0 means "no checksum" and a sum of 0 goes out as 0xffff (RFC 768). */
static inline struct be16 csum_finish_udp(struct csum sum)
{
	struct be16 field = csum_finish(sum);

	return field.raw != 0 ? field : (struct be16){ 0xffff };
}

/* A sum over bytes that include a right checksum field. */
static inline bool csum_is_ok(struct csum sum)
{
	return csum_fold_raw(sum) == 0xffff;
}

/* `part` was summed from its own start, which lies `offset` bytes into the whole. */
static inline struct csum csum_add_at(struct csum sum, struct csum part, size_t offset)
{
	uint16_t folded = csum_fold_raw(part);

	return (struct csum){ sum.acc + ((offset & 1) != 0 ? __builtin_bswap16(folded) : folded) };
}

/* The sum over a checksummed block, with `field` its checksum: for csum_sub_be16(), csum_add_be16() after. */
static inline struct csum csum_of_field(struct be16 field)
{
	return (struct csum){ (uint16_t)~field.raw };
}

/*
 * `len` is a multiple of 4 and small: headers. Inline, so that a constant `len` unrolls. Word by
 * word, which the empty assembly keeps compilers from undoing: a vector load from a header that was
 * built a moment ago, in words, finds none of them in the store buffer whole and waits (IP and TCP
 * header built and summed: 25 ns that way, 16 this way).
 */
static inline struct csum csum_words(const void *p, size_t len)
{
	const uint8_t *bytes = p;
	uint64_t acc = 0;

	for (size_t i = 0; i < len; i += 4) {
		uint64_t word = load_u32(bytes + i);

		__asm__("" : "+r"(word));
		acc += word;
	}
	return (struct csum){ acc };
}

/* Any alignment, any length; an odd last byte counts as if a zero followed. */
struct csum csum_bytes(const void *p, size_t len);

/* Copies `len` bytes and sums them in the same pass. The two must not overlap. */
struct csum csum_copy(void *restrict dst, const void *restrict src, size_t len);

/*
 * Pseudo-header of TCP, UDP and ICMPv6: RFC 9293 section 3.1, RFC 8200 section 8.1. `len` is that
 * of the upper-layer header and payload, in bytes.
 *
 * For IPv4 kept as ::ffff:a.b.c.d the IPv6 form gives the same sum as the IPv4 form: the prefix
 * adds 0xffff, which is zero in ones' complement. So the third needs to know no family.
 */
static inline struct csum csum_pseudo_v4(struct be32 src, struct be32 dst, uint8_t proto,
					 uint32_t len)
{
	return (struct csum){ (uint64_t)src.raw + dst.raw + be32(proto + len).raw };
}

static inline struct csum csum_pseudo_v6(const void *src, const void *dst, uint8_t proto,
					 uint32_t len)
{
	return (struct csum){ csum_words(src, 16).acc + csum_words(dst, 16).acc + be32(proto).raw +
			      be32(len).raw };
}

static inline struct csum csum_pseudo_addr(const struct ip_addr *src, const struct ip_addr *dst,
					   uint8_t proto, uint32_t len)
{
	return csum_pseudo_v6(src, dst, proto, len);
}

#endif

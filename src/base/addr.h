// SPDX-License-Identifier: BSD-2-Clause
/*
 * Addresses: MAC, IP, and IP with port, and their text forms.
 *
 * One type holds both families: IPv4 is kept as the IPv4-mapped IPv6 address ::ffff:a.b.c.d
 * (RFC 4291 section 2.5.5.2), so that look-ups, comparisons and hashes have one case, not two.
 * An all-zero `struct ip_addr` is the IPv6 "any"; IPv4's "any" is ::ffff:0.0.0.0.
 *
 * The inline half compiles for BPF; text forms live in addr.c.
 */
#ifndef VJ_BASE_ADDR_H
#define VJ_BASE_ADDR_H

#include "base/types.h"

struct mac_addr {
	uint8_t bytes[6];
};

/* Aligned to 4, not 8, so that a `struct endpoint` takes 20 bytes. */
struct ip_addr {
	union {
		uint8_t bytes[16];
		struct be32 words[4];
	};
};

/* The first `len` bits of `addr`, counted as in ip_addr_prefix_eq(); the others are 0. */
struct ip_prefix {
	struct ip_addr addr;
	uint8_t len;
};

/* `port` is in host order. */
struct endpoint {
	struct ip_addr addr;
	uint16_t port;
};

_Static_assert(sizeof(struct mac_addr) == 6, "as on the wire");
_Static_assert(sizeof(struct ip_addr) == 16, "as on the wire");
_Static_assert(sizeof(struct endpoint) == 20, "two fit in a cache line with room to spare");

/* Room for the longest text form and its terminating zero. */
#define MAC_ADDR_TEXT_BYTES 18
#define IP_ADDR_TEXT_BYTES 40
#define ENDPOINT_TEXT_BYTES 48

#define IP_ADDR_V4_PREFIX_WORD 0x0000ffffu

static inline bool mac_addr_eq(const struct mac_addr *a, const struct mac_addr *b)
{
	return load_u32(a->bytes) == load_u32(b->bytes) &&
	       load_u16(a->bytes + 4) == load_u16(b->bytes + 4);
}

static inline bool mac_addr_is_multicast(const struct mac_addr *mac)
{
	return (mac->bytes[0] & 1) != 0;
}

static inline bool mac_addr_is_broadcast(const struct mac_addr *mac)
{
	return load_u32(mac->bytes) == UINT32_MAX && load_u16(mac->bytes + 4) == UINT16_MAX;
}

static inline bool mac_addr_is_zero(const struct mac_addr *mac)
{
	return load_u32(mac->bytes) == 0 && load_u16(mac->bytes + 4) == 0;
}

static inline struct ip_addr ip_addr_from_v4(struct be32 v4)
{
	return (struct ip_addr){ .words = { { 0 }, { 0 }, BE32_INIT(IP_ADDR_V4_PREFIX_WORD), v4 } };
}

/*
 * Second half of such an address, as load_u64() reads it; the first is 0. For those who will read it in halves: what was written in
 * narrower pieces shortly before has to leave the processor first.
 */
static inline uint64_t ip_addr_v4_half(struct be32 v4)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return UINT64_C(0xffff0000) | (uint64_t)v4.raw << 32;
#else
	return UINT64_C(0xffff) << 32 | v4.raw;
#endif
}

/* `bytes` are 16, in wire order. */
static inline struct ip_addr ip_addr_from_v6(const void *bytes)
{
	struct ip_addr addr;

	__builtin_memcpy(&addr, bytes, sizeof(addr));
	return addr;
}

static inline bool ip_addr_is_v4(const struct ip_addr *addr)
{
	return load_u64(addr->bytes) == 0 && be32_eq(addr->words[2], be32(IP_ADDR_V4_PREFIX_WORD));
}

/* Only meaningful if ip_addr_is_v4(). */
static inline struct be32 ip_addr_v4(const struct ip_addr *addr)
{
	return addr->words[3];
}

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return load_u64(a->bytes) == load_u64(b->bytes) &&
	       load_u64(a->bytes + 8) == load_u64(b->bytes + 8);
}

/* :: or 0.0.0.0 */
static inline bool ip_addr_is_any(const struct ip_addr *addr)
{
	return load_u64(addr->bytes) == 0 && addr->words[3].raw == 0 &&
	       (addr->words[2].raw == 0 || ip_addr_is_v4(addr));
}

/* ::1 or 127.0.0.0/8 */
static inline bool ip_addr_is_loopback(const struct ip_addr *addr)
{
	if (ip_addr_is_v4(addr))
		return addr->bytes[12] == 127;
	return load_u64(addr->bytes) == 0 && load_be64(addr->bytes + 8) == 1;
}

/* ff00::/8 or 224.0.0.0/4 */
static inline bool ip_addr_is_multicast(const struct ip_addr *addr)
{
	if (ip_addr_is_v4(addr))
		return (addr->bytes[12] & 0xf0) == 0xe0;
	return addr->bytes[0] == 0xff;
}

/* 255.255.255.255; a subnet's broadcast address is known only with its prefix. */
static inline bool ip_addr_is_broadcast(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) && addr->words[3].raw == UINT32_MAX;
}

/* fe80::/10 or 169.254.0.0/16 */
static inline bool ip_addr_is_link_local(const struct ip_addr *addr)
{
	if (ip_addr_is_v4(addr))
		return load_be16(addr->bytes + 12) == 0xa9fe;
	return (load_be16(addr->bytes) & 0xffc0) == 0xfe80;
}

static inline struct ip_addr ip_addr_any_v4(void)
{
	return ip_addr_from_v4((struct be32){ 0 });
}

static inline struct ip_addr ip_addr_any_v6(void)
{
	return (struct ip_addr){ .bytes = { 0 } };
}

/*
 * True if the first `prefix_len` bits of both are the same. `prefix_len` counts from the start of
 * the 16 bytes, 0 to 128: an IPv4 prefix /n is 96 + n.
 */
bool ip_addr_prefix_eq(const struct ip_addr *a, const struct ip_addr *b, unsigned int prefix_len);

static inline bool ip_prefix_has(const struct ip_prefix *p, const struct ip_addr *addr)
{
	return ip_addr_prefix_eq(&p->addr, addr, p->len);
}

static inline bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return ip_addr_eq(&a->addr, &b->addr) && a->port == b->port;
}

/*
 * The format functions write the text and a terminating zero to `buf` and return `buf`, so that
 * they can stand among the arguments of a printf. Each buffer must have the room named above.
 * Addresses follow RFC 5952; IPv4 is dotted decimal without the ::ffff: prefix.
 */
const char *mac_addr_format(const struct mac_addr *mac, char buf[static MAC_ADDR_TEXT_BYTES]);
const char *ip_addr_format(const struct ip_addr *addr, char buf[static IP_ADDR_TEXT_BYTES]);
const char *endpoint_format(const struct endpoint *ep, char buf[static ENDPOINT_TEXT_BYTES]);

/*
 * The parse functions read the whole of the zero-terminated `text`: nothing may stand before or
 * after. They return 0, or -EINVAL with the result untouched.
 *
 * mac_addr_parse(): six pairs of hexadecimal digits with colons between. ip_addr_parse(): any form
 * of RFC 4291 section 2.2, or four decimal numbers with dots. A leading zero in IPv4 is refused,
 * since programs disagree whether it means octal. Zones (%eth0) are refused. endpoint_parse():
 * "10.0.0.1:80" or "[::1]:80"; the port is 0 to 65535 and has to be there. -ERANGE: all is right but that it is larger.
 * ip_prefix_parse(): "2001:db8::/64", "10.0.0.0/8". -ERANGE: all is right but that bits behind the prefix are set.
 */
int mac_addr_parse(const char *text, struct mac_addr *ret_mac) VJ_MUST_CHECK;
int ip_addr_parse(const char *text, struct ip_addr *ret_addr) VJ_MUST_CHECK;
int endpoint_parse(const char *text, struct endpoint *ret_ep) VJ_MUST_CHECK;
int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix) VJ_MUST_CHECK;

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* host_table.c - publishing and reading the host table; see the head of host_table.h */
#include "control/host_table.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { RETRY_MAX = 64 };

#define WORD sizeof(uint64_t)

void host_table_init(struct host_table *t)
{
	t->magic = HOST_TABLE_MAGIC;
	t->version = HOST_TABLE_VERSION;
}

int host_table_check(const struct host_table *t, size_t bytes)
{
	return bytes >= sizeof(*t) && t->magic == HOST_TABLE_MAGIC && t->version == HOST_TABLE_VERSION ? 0 : -EPROTO;
}

void host_table_publish(struct host_table *t, const struct host_image *image)
{
	uint64_t gen = atomic_load_explicit(&t->gen, memory_order_relaxed);
	_Atomic uint64_t *to = t->copies[(gen + 1) & 1];

	/*
	 * Readers of generation gen - 1, which was here: whoever sees one of these words sees gen, too, after its fence.
	 * ThreadSanitizer doesn't know fences, but release stores of the words say the same.
	 */
	for (size_t i = 0; i < HOST_IMAGE_WORDS; i++) {
		uint64_t word;

		memcpy(&word, (const char *)image + i * WORD, WORD);
		atomic_store_explicit(&to[i], word, memory_order_release);
	}
	atomic_store_explicit(&t->gen, gen + 1, memory_order_release);
}

/* ---- reading: words into private memory */

/* One attempt to read one generation. */
struct view {
	const struct host_table *t;
	uint64_t gen;
};

static struct view view_begin(const struct host_table *t)
{
	return (struct view){ t, host_table_seq(t) };
}

/* Was all that was read since view_begin() of one generation? */
static bool view_holds(const struct view *v)
{
	/* the loads before are acquire loads: this one isn't done ahead of them */
	return atomic_load_explicit(&v->t->gen, memory_order_relaxed) == v->gen;
}

static void view_get(const struct view *v, size_t offset, void *dst, size_t bytes)
{
	const _Atomic uint64_t *from = &v->t->copies[v->gen & 1][offset / WORD];

	for (size_t i = 0; i < bytes / WORD; i++) {
		uint64_t word = atomic_load_explicit(&from[i], memory_order_acquire);

		memcpy((char *)dst + i * WORD, &word, WORD);
	}
}

#define VIEW_GET(v, member, dst) view_get(v, offsetof(struct host_image, member), dst, sizeof(*(dst)))

struct counts {
	uint32_t interface_cnt, addr_cnt, route_cnt, flags;
};

static struct counts view_counts(const struct view *v)
{
	struct counts c;

	view_get(v, 0, &c, sizeof(c));
	/* between two generations they may be anything */
	c.interface_cnt = min_u32(c.interface_cnt, HOST_INTERFACE_MAX);
	c.addr_cnt = min_u32(c.addr_cnt, HOST_ADDR_MAX);
	c.route_cnt = min_u32(c.route_cnt, HOST_ROUTE_MAX);
	return c;
}

static bool find_interface(const struct view *v, const struct counts *c, uint32_t ifindex, struct host_interface *ret_if)
{
	for (uint32_t i = 0; i < c->interface_cnt; i++) {
		VIEW_GET(v, interfaces[i], ret_if);
		if (ret_if->ifindex == ifindex)
			return true;
	}
	return false;
}

static bool is_local(const struct view *v, const struct counts *c, const struct ip_addr *addr)
{
	struct host_addr a;

	if (ip_addr_is_loopback(addr))
		return true;
	for (uint32_t i = 0; i < c->addr_cnt; i++) {
		VIEW_GET(v, addrs[i], &a);
		if (ip_addr_eq(&a.addr, addr))
			return true;
	}
	return false;
}

/* IPv6's default, ::/0, is none of IPv4's, whose prefixes are 96 bits longer. */
static bool prefix_covers(const struct host_prefix *p, const struct ip_addr *dst)
{
	return p->prefix_len <= 128 && ip_addr_is_v4(&p->dest) == ip_addr_is_v4(dst) &&
	       ip_addr_prefix_eq(&p->dest, dst, p->prefix_len);
}

/* The first that matches; but of several hops one at @ifindex, if there is one. */
static bool find_prefix(const struct view *v, const struct counts *c, const struct ip_addr *dst, uint32_t ifindex,
			struct host_prefix *ret_prefix)
{
	struct host_prefix p;
	uint32_t i = 0;

	do {
		if (i == c->route_cnt)
			return false;
		VIEW_GET(v, routes[i++], ret_prefix);
	} while (!prefix_covers(ret_prefix, dst));
	p = *ret_prefix;
	while (p.ifindex != ifindex && i < c->route_cnt) {
		VIEW_GET(v, routes[i++], &p);
		if (!host_prefix_is_same_route(&p, ret_prefix))
			return true;
	}
	if (p.ifindex == ifindex)
		*ret_prefix = p;
	return true;
}

/* ---- choosing a source */

static unsigned common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	unsigned bits = 0;

	while (bits < 128 && ((a->bytes[bits / 8] ^ b->bytes[bits / 8]) & (0x80u >> bits % 8)) == 0)
		bits++;
	return bits;
}

/* How well does @a serve as the source of packets to @dst by way of @hop? 0: not at all */
static unsigned source_rank(const struct host_addr *a, const struct ip_addr *dst, const struct ip_addr *hop)
{
	if ((a->flags & HOST_ADDR_USABLE) == 0 || ip_addr_is_v4(&a->addr) != ip_addr_is_v4(dst))
		return 0;
	if (ip_addr_is_v4(dst))
		return 1 + ip_addr_prefix_eq(&a->addr, hop, min_u32(a->prefix_len, 128));
	/* rule 2, the scope; then rule 8, the longest common prefix, which makes no difference beyond the subnet's */
	return 1 + (ip_addr_is_link_local(&a->addr) == ip_addr_is_link_local(dst)) * 1000u +
	       min_u32(common_bits(&a->addr, dst), a->prefix_len);
}

static struct ip_addr choose_source(const struct view *v, const struct counts *c, const struct host_route *r,
				    const struct ip_addr *dst)
{
	struct ip_addr source = ip_addr_any_v6();
	unsigned best = 0;
	struct host_addr a;

	for (uint32_t i = 0; i < c->addr_cnt; i++) {
		unsigned rank;

		VIEW_GET(v, addrs[i], &a);
		if (a.ifindex != r->ifindex)
			continue;
		rank = source_rank(&a, dst, &r->hop);
		if (rank > best) {
			best = rank;
			source = a.addr;
		}
	}
	return source;
}

/* ---- questions */

static void look_up(const struct view *v, const struct ip_addr *dst, uint32_t ifindex, struct host_route *ret)
{
	struct counts c = view_counts(v);
	struct host_interface ifc;
	struct host_prefix p;

	*ret = (struct host_route){ .kind = HOST_ROUTE_NONE };
	if (is_local(v, &c, dst)) {
		ret->kind = HOST_ROUTE_LOCAL;
		return;
	}
	if (ip_addr_is_multicast(dst) || ip_addr_is_broadcast(dst) || !find_prefix(v, &c, dst, ifindex, &p) || p.ifindex == 0 ||
	    !find_interface(v, &c, p.ifindex, &ifc))
		return;
	ret->kind = HOST_ROUTE_UNICAST;
	ret->inexact = (c.flags & (HOST_TABLE_RULES | HOST_TABLE_TRUNCATED)) != 0 || (p.flags & HOST_PREFIX_SEVERAL) != 0 ||
		       (ifc.flags & HOST_IF_UNJUDGED) != 0;
	ret->ifindex = p.ifindex;
	ret->mtu = p.mtu != 0 ? min_u32(p.mtu, ifc.mtu) : ifc.mtu;
	ret->hop = ip_addr_is_any(&p.gateway) ? *dst : p.gateway;
	ret->source = ip_addr_is_any(&p.source) ? choose_source(v, &c, ret, dst) : p.source;
}

int host_table_route(const struct host_table *t, const struct ip_addr *dst, uint32_t ifindex,
		     struct host_route *ret_route)
{
	for (unsigned i = 0; i < RETRY_MAX; i++) {
		struct view v = view_begin(t);
		struct host_route route;

		look_up(&v, dst, ifindex, &route);
		if (view_holds(&v)) {
			*ret_route = route;
			return 0;
		}
	}
	return -EAGAIN;
}

unsigned host_neighbour_slot(uint32_t ifindex, const struct ip_addr *addr)
{
	uint64_t hash = load_u64(addr->bytes) * UINT64_C(0x9e3779b97f4a7c15) ^ load_u64(addr->bytes + 8) ^ ifindex;

	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(hash >> 32) % HOST_NEIGHBOUR_MAX;
}

static struct host_neighbour find_neighbour(const struct view *v, uint32_t ifindex, const struct ip_addr *addr)
{
	unsigned slot = host_neighbour_slot(ifindex, addr);
	struct host_neighbour n;

	for (unsigned i = 0; i < HOST_NEIGHBOUR_MAX; i++) {
		VIEW_GET(v, neighbours[(slot + i) % HOST_NEIGHBOUR_MAX], &n);
		if (n.state == HOST_NEIGHBOUR_NONE || (n.ifindex == ifindex && ip_addr_eq(&n.addr, addr)))
			return n;
	}
	return (struct host_neighbour){ 0 };
}

enum host_neighbour_state host_table_neighbour(const struct host_table *t, uint32_t ifindex, const struct ip_addr *addr,
					       uint8_t ret_mac[static 6])
{
	for (unsigned i = 0; i < RETRY_MAX; i++) {
		struct view v = view_begin(t);
		struct host_neighbour n = find_neighbour(&v, ifindex, addr);

		if (!view_holds(&v))
			continue;
		if (n.state == HOST_NEIGHBOUR_STALE || n.state == HOST_NEIGHBOUR_REACHABLE)
			memcpy(ret_mac, n.mac, sizeof(n.mac));
		return (enum host_neighbour_state)n.state;
	}
	return HOST_NEIGHBOUR_NONE;
}

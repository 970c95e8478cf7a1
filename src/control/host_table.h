/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host_table.h - what an application has to know of its host to send: interfaces, addresses, routes, neighbours
 *
 * vjd follows the kernel's tables over netlink and publishes a copy in a sealed memfd that every application with an
 * interface channel maps read-only. So nobody is asked when a connection is made or a packet is sent.
 *
 * There are two copies. Generation g lives in copy g & 1; the writer fills the other one and then shows g + 1. A reader
 * that finds the same generation before and after has read one consistent copy: the one it read from isn't written before
 * the generation has moved on. In contrast to a plain sequence lock a writer that is killed in the middle leaves the
 * last copy readable, which matters because vjd may die and traffic goes on.
 *
 *	writer:  fill copy (g+1) & 1;  release-store gen = g+1
 *	reader:  acquire-load gen = g; read copy g & 1; acquire fence; load gen == g, or again
 *
 * All words are atomic and read one by one, into private memory; nothing is used in place.
 *
 * One routing table: the kernel's `main`, and `local` by way of the addresses. Where `ip rule` says more than the default
 * three rules, HOST_TABLE_RULES is set, and where an interface, address or route found no room, HOST_TABLE_TRUNCATED: then, and where a
 * route has several hops, the kernel may send elsewhere than is found here (@inexact of a route). A route by an interface with HOST_IF_UNJUDGED
 * is inexact as well: the kernel's firewall may do with a packet what no channel can.
 */
#ifndef CONTROL_HOST_TABLE_H
#define CONTROL_HOST_TABLE_H

#include "base/addr.h"
#include "base/types.h"

#include <stdatomic.h>

enum {
	HOST_TABLE_MAGIC = 0x766a6874, /* "vjht" */
	HOST_TABLE_VERSION = 3,
	HOST_INTERFACE_MAX = 256, /* each container may have one */
	HOST_ADDR_MAX = 512,
	HOST_ROUTE_MAX = 2048,
	HOST_NEIGHBOUR_MAX = 4096, /* slots of a hash table; at most half are used */
};

enum { HOST_TABLE_TRUNCATED = 1, HOST_TABLE_RULES = 2 }; /* host_image.flags */

/* @flags of an interface. ATTACHED: vjd offers channels there. UNJUDGED: some port in use there is subject to rules of the firewall that only
 * the kernel has, and gate would drop what comes from it */
enum { HOST_IF_UP = 1, HOST_IF_ATTACHED = 2, HOST_IF_UNJUDGED = 4 };

struct host_interface {
	uint32_t ifindex; /* 0: none */
	uint32_t mtu;
	uint32_t flags;
	uint8_t mac[6];
	uint8_t pad[6];
	char name[16];
};

enum { HOST_ADDR_USABLE = 1 }; /* neither tentative nor deprecated nor failed: may be a source */

struct host_addr {
	struct ip_addr addr;
	uint32_t ifindex;
	uint8_t prefix_len; /* of 128 */
	uint8_t flags;
	uint8_t pad[2];
};

/* one of several hops, or routes of one metric, which the kernel chooses from by flow, or by what it has seen of routers; each has an entry */
enum { HOST_PREFIX_SEVERAL = 1 };

/* In the order in which they are to be tried: longest prefix first; those of one prefix together, by metric. */
struct host_prefix {
	struct ip_addr dest;
	struct ip_addr gateway; /* any: on link */
	struct ip_addr source;	/* any: chosen among the interface's */
	uint32_t ifindex;	/* 0: unreachable, prohibited or a black hole */
	uint32_t metric;
	uint32_t mtu; /* 0: the interface's */
	uint8_t prefix_len; /* of 128: IPv4's /n is 96 + n */
	uint8_t flags; /* HOST_PREFIX_* */
	uint8_t pad[2];
};

/** host_prefix_is_same_route() - Does the kernel choose between these two? */
static inline bool host_prefix_is_same_route(const struct host_prefix *a, const struct host_prefix *b)
{
	return (a->flags & b->flags & HOST_PREFIX_SEVERAL) != 0 && a->prefix_len == b->prefix_len && a->metric == b->metric &&
	       ip_addr_eq(&a->dest, &b->dest);
}

/* RFC 4861 7.3.2 has these names; the kernel uses them for ARP too. */
enum host_neighbour_state {
	HOST_NEIGHBOUR_NONE,	/* empty slot */
	HOST_NEIGHBOUR_ASKED,	/* being resolved: no @mac yet */
	HOST_NEIGHBOUR_FAILED,	/* doesn't answer */
	HOST_NEIGHBOUR_STALE,	/* @mac valid; who uses it asks the kernel to look again */
	HOST_NEIGHBOUR_REACHABLE, /* @mac valid */
};

struct host_neighbour {
	struct ip_addr addr;
	uint32_t ifindex;
	uint8_t mac[6];
	uint8_t state; /* enum host_neighbour_state */
	uint8_t pad[5];
};

/* One copy. Everything is a whole number of 64-bit words. */
struct host_image {
	uint32_t interface_cnt, addr_cnt, route_cnt, flags;
	struct host_interface interfaces[HOST_INTERFACE_MAX];
	struct host_addr addrs[HOST_ADDR_MAX];
	struct host_prefix routes[HOST_ROUTE_MAX];
	struct host_neighbour neighbours[HOST_NEIGHBOUR_MAX];
};

_Static_assert(sizeof(struct host_interface) == 40 && sizeof(struct host_addr) == 24 &&
		       sizeof(struct host_prefix) == 64 && sizeof(struct host_neighbour) == 32,
	       "whole words, no holes");

/** host_image_has() - Is it an address of this host's, at whatever interface? */
static inline bool host_image_has(const struct host_image *image, const struct ip_addr *addr)
{
	for (uint32_t i = 0; i < image->addr_cnt; i++)
		if (ip_addr_eq(&image->addrs[i].addr, addr))
			return true;
	return false;
}

#define HOST_IMAGE_WORDS (sizeof(struct host_image) / sizeof(uint64_t))

/* Written by vjd only; mapped read-only elsewhere. */
struct host_table {
	uint32_t magic, version;
	_Atomic uint64_t gen;
	uint64_t pad[6];
	_Atomic uint64_t copies[2][HOST_IMAGE_WORDS];
};

/** host_table_init() - Memory of @t is zero: generation 0, empty. Writer's */
void host_table_init(struct host_table *t);

/** host_table_publish() - Show a new generation. Writer's; one at a time */
void host_table_publish(struct host_table *t, const struct host_image *image);

/** host_table_check() - Is this a table that the code here can read? Return: 0; -EPROTO */
int host_table_check(const struct host_table *t, size_t bytes);

/** host_table_seq() - Changes with each change: what was looked up before is good while it is the same */
static inline uint64_t host_table_seq(const struct host_table *t)
{
	return atomic_load_explicit(&t->gen, memory_order_acquire);
}

enum host_route_kind {
	HOST_ROUTE_NONE,  /* no route: -ENETUNREACH */
	HOST_ROUTE_LOCAL, /* an address of this host, or loopback */
	HOST_ROUTE_UNICAST,
};

struct host_route {
	enum host_route_kind kind;
	/* UNICAST only: */
	bool inexact; /* a way, but the kernel may take another one for this flow */
	uint32_t ifindex;
	uint32_t mtu;	       /* of the route or the interface, whichever is less */
	struct ip_addr hop;    /* whose MAC to send to: a gateway, or @dst itself */
	struct ip_addr source; /* any: the interface has none of this family */
};

/**
 * host_table_route() - Where does a packet to @dst go?
 *
 * As the kernel decides, with the preferred source of the route, else by the interface: IPv4 an address in whose subnet the
 * hop is, IPv6 by RFC 6724 section 5 rules 2, 3 and 8. Multicast and broadcast have no route here.
 * @ifindex: of several hops one at this interface; 0: the first
 * Return: 0; -EAGAIN: the table changed too often while it was read
 */
int host_table_route(const struct host_table *t, const struct ip_addr *dst, uint32_t ifindex,
		     struct host_route *ret_route);

/**
 * host_table_neighbour() - What is known of a neighbour
 * @ret_mac: 6 bytes; untouched unless STALE or REACHABLE is returned
 * Return: its state; NONE: not known, have the kernel resolve it
 */
enum host_neighbour_state host_table_neighbour(const struct host_table *t, uint32_t ifindex, const struct ip_addr *addr,
					       uint8_t ret_mac[static 6]);

/** host_neighbour_slot() - First slot to look at for an address; the next ones follow, at the end from the start */
unsigned host_neighbour_slot(uint32_t ifindex, const struct ip_addr *addr);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * learned.h - at which MAC address is a port of another host on the LAN? What vjd has learned by port-aware ARP, in maps that a
 * sending program looks into; and how that program says what it would like to know
 *
 * Used by whatever sends for many: the gateway (gateway.h). Keys have no padding, every `zero` member is 0.
 *
 * map            type         key → value                                           who writes
 * ─────────────  ───────────  ────────────────────────────────────────────────────  ─────────────────────
 * learned_hosts  hash         struct ip_addr → struct policy_learned_host           vjd
 * learned        hash         struct policy_learned_key → struct policy_learned     vjd
 * asked          LRU hash     struct policy_learned_key → uint64_t, ns              the program; vjd
 * misses         ring buffer  struct policy_miss                                    the program; vjd reads
 * learned_front  array, each  index → struct policy_learned_front                   the program
 *                processor's
 *
 * A packet that hits writes nothing that other processors read, so that they don't fight for a cache line. And it commonly finds what the
 * last one to that port found on the same processor within the same tick of the kernel's clock, which the clock that ends entries is no
 * finer than: one comparison in place of a hash and calls for map and clock (docs/performance.md). So what
 * vjd takes back is used until the tick is over; the address that vouches is compared for every packet. Whether an entry is over is asked of the
 * clock, not of vjd: what a dead vjd has left ends by itself. In the last part of its life an entry that is used is reported
 * like one that isn't there; so vjd hears of use without being told of each packet.
 *
 * An answer is good for the canonical address that vouched for it (docs/parp.md R4). The program compares that with where the
 * kernel has just addressed the packet: once the kernel has another one, nothing is rewritten, from that very packet on.
 *
 * `asked` is a memory of reports, not of truth: what it has lost is reported once more. A report that finds the ring full is not
 * made, nor remembered: vjd reads no faster than it wants to, and a flood of misses costs what a full ring costs.
 */
#ifndef VJ_POLICY_LEARNED_H
#define VJ_POLICY_LEARNED_H

#include "policy/classify.h"
#include "policy/map.h"

enum {
	POLICY_LEARNED_MAX = 1 << 20,	    /* vjd makes the map as large as it wants it */
	POLICY_LEARNED_HOSTS_MAX = 1 << 16, /* addresses on one LAN */
	POLICY_LEARNED_BLOCK = 32,	    /* ports: RESOLVER_BLOCK_PORTS */
	POLICY_ASKED_MAX = 1 << 15,
	POLICY_MISSES_BYTES = 1 << 16, /* a page or more, and a power of two */
	POLICY_FRONT_BITS = 8,
};

#define POLICY_ASKED_NS UINT64_C(1000000000) /* the same is not reported again for so long, unless vjd says longer */

struct policy_learned_host {
	uint64_t quiet_ns; /* nothing is known, and not to be asked, before; CLOCK_MONOTONIC as all times here */
	uint32_t blocks;   /* entries that are of a block of ports */
	uint32_t zero;
};

struct policy_learned_key {
	struct ip_addr addr;
	struct be16 port; /* the first, if @block */
	uint8_t proto;
	uint8_t block; /* 1: POLICY_LEARNED_BLOCK ports */
};

struct policy_learned {
	uint64_t until_ns;   /* over then */
	uint64_t refresh_ns; /* used after: reported */
	struct mac_addr mac;
	struct mac_addr canonical; /* who vouches for it */
	uint8_t zero[4];
};

/* What a look-up has found, of one port. In numbers as wide as they are compared. */
struct policy_learned_front {
	uint64_t tick;	  /* good for that one */
	uint64_t addr[2]; /* as load_u64() reads it */
	uint64_t port_proto;
	uint64_t canonical, mac; /* as policy_mac_load() reads them */
};

struct policy_miss {
	struct policy_learned_key key; /* of one port */
	struct mac_addr hop;	       /* where the kernel sent it */
	uint8_t zero[2];
};

_Static_assert(sizeof(struct policy_learned_host) == 16, "no padding");
_Static_assert(sizeof(struct policy_learned_key) == 20, "no padding");
_Static_assert(sizeof(struct policy_learned) == 32, "no padding");
_Static_assert(sizeof(struct policy_miss) == 28, "no padding");
_Static_assert(sizeof(struct policy_learned_front) == 48, "no padding");

struct policy_learned_maps {
	void *hosts, *learned, *asked, *misses;
	void *front;	 /* in BPF only */
	uint64_t now_ns; /* not in BPF */
};

#ifdef __bpf__
/* The clock of the last tick: reading it costs a third of what the exact one does. */
#define policy_learned_now(m) bpf_ktime_get_coarse_ns()
#define policy_learned_tick() bpf_jiffies64()
#define policy_learned_report(m, miss) (bpf_ringbuf_output((m)->misses, (miss), sizeof(*(miss)), 0) == 0)

/* Nothing interrupts a program that sends on the same processor by another that does: bottom halves are off. */
VJ_INLINE struct policy_learned_front *policy_learned_front(const struct policy_learned_maps *m, const struct policy_learned_front *want)
{
	uint32_t mix = ((uint32_t)want->addr[1] ^ (uint32_t)(want->addr[1] >> 32) ^ (uint32_t)want->port_proto) * 0x9e3779b1u; /* Fibonacci */
	uint32_t at = mix >> (32 - POLICY_FRONT_BITS);

	return policy_map_find(m->front, &at);
}
#else
#define policy_learned_now(m) ((m)->now_ns)
#define policy_learned_tick() UINT64_C(0)
#define policy_learned_front(m, want) ((struct policy_learned_front *)NULL)

/* Into a table; full: as a ring that nobody reads. */
VJ_INLINE bool policy_learned_report(const struct policy_learned_maps *m, const struct policy_miss *miss)
{
	const struct policy_table *ring = m->misses;
	const uint32_t one = 1;

	if (ring->cnt == ring->max && !policy_map_find(ring, miss))
		return false;
	policy_map_set(m->misses, miss, &one);
	return true;
}
#endif

/* Return: why the canonical address stays; POLICY_HOP_MISS: vjd will hear of it */
VJ_INLINE enum policy_reason policy_learned_want(const struct policy_learned_maps *m, const struct policy_learned_key *key,
						 const struct mac_addr *hop, uint64_t now_ns)
{
	const uint64_t *until_ns = policy_map_find(m->asked, key);
	struct policy_miss miss = { .key = *key, .hop = *hop };
	uint64_t again_ns = now_ns + POLICY_ASKED_NS;

	if (until_ns && *until_ns > now_ns)
		return POLICY_HOP_ASKED;
	if (!policy_learned_report(m, &miss))
		return POLICY_HOP_BUSY;
	policy_map_set(m->asked, key, &again_ns);
	return POLICY_HOP_MISS;
}

/* Is it good for what is sent to @hop? */
VJ_INLINE bool policy_learned_counts(const struct policy_learned *known, const struct mac_addr *hop, uint64_t now_ns)
{
	return known && known->until_ns > now_ns && mac_addr_eq(&known->canonical, hop);
}

/* By its block. */
VJ_INLINE const struct policy_learned *policy_learned_block(const struct policy_learned_maps *m, const struct policy_learned_key *key)
{
	struct policy_learned_key block = *key;

	block.port = be16(be16_get(key->port) & (uint16_t)~(POLICY_LEARNED_BLOCK - 1));
	block.block = 1;
	return policy_map_find(m->learned, &block);
}

/* In the maps that vjd writes. Return: POLICY_HOP_APP: @ret_mac */
VJ_INLINE enum policy_reason policy_learned_find(const struct policy_learned_maps *m, const struct policy_learned_key *key,
						 const struct mac_addr *hop, struct mac_addr *ret_mac)
{
	const struct policy_learned *known = policy_map_find(m->learned, key);
	const struct policy_learned_host *host;
	uint64_t now_ns = policy_learned_now(m);

	if (!policy_learned_counts(known, hop, now_ns)) {
		host = policy_map_find(m->hosts, &key->addr);
		if (host && host->quiet_ns > now_ns)
			return POLICY_HOP_QUIET;
		known = host && host->blocks ? policy_learned_block(m, key) : NULL;
		if (!policy_learned_counts(known, hop, now_ns))
			return policy_learned_want(m, key, hop, now_ns);
	}
	*ret_mac = known->mac;
	if (known->refresh_ns <= now_ns)
		policy_learned_want(m, key, hop, now_ns);
	return POLICY_HOP_APP;
}

/**
 * policy_learned() - Where should what goes to @key go?
 * @key: one port; aligned to 8
 * @dst: in the frame: where the kernel sends it; where it is to go, if the reason is POLICY_HOP_APP
 */
VJ_INLINE enum policy_reason policy_learned(const struct policy_learned_maps *m, const struct policy_learned_key *key, struct mac_addr *dst)
{
	struct policy_learned_front *front, want = {
		.tick = policy_learned_tick(),
		.addr = { load_u64(policy_aligned(key->addr.bytes, 8)), load_u64(policy_aligned(key->addr.bytes + 8, 8)) },
		.port_proto = key->port.raw | (uint64_t)key->proto << 16,
		.canonical = policy_mac_load(dst),
	};
	enum policy_reason reason;
	struct mac_addr mac;

	front = policy_learned_front(m, &want);
	if (front && front->tick == want.tick && front->addr[0] == want.addr[0] && front->addr[1] == want.addr[1] &&
	    front->port_proto == want.port_proto && front->canonical == want.canonical) {
		policy_mac_store(dst, front->mac);
		return POLICY_HOP_APP;
	}
	reason = policy_learned_find(m, key, dst, &mac);
	if (reason != POLICY_HOP_APP)
		return reason;
	*dst = mac;
	want.mac = policy_mac_load(dst);
	if (front)
		*front = want;
	return reason;
}

#endif

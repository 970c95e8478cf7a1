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
 *
 * A packet that hits writes nothing, so that processors don't fight for a cache line. Whether an entry is over is asked of the
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

struct policy_miss {
	struct policy_learned_key key; /* of one port */
	struct mac_addr hop;	       /* where the kernel sent it */
	uint8_t zero[2];
};

_Static_assert(sizeof(struct policy_learned_host) == 16, "no padding");
_Static_assert(sizeof(struct policy_learned_key) == 20, "no padding");
_Static_assert(sizeof(struct policy_learned) == 32, "no padding");
_Static_assert(sizeof(struct policy_miss) == 28, "no padding");

struct policy_learned_maps {
	void *hosts, *learned, *asked, *misses;
	uint64_t now_ns; /* not in BPF */
};

#ifdef __bpf__
/* The clock of the last tick: reading it costs a third of what the exact one does. */
#define policy_learned_now(m) bpf_ktime_get_coarse_ns()
#define policy_learned_report(m, miss) (bpf_ringbuf_output((m)->misses, (miss), sizeof(*(miss)), 0) == 0)
#else
#define policy_learned_now(m) ((m)->now_ns)

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

/**
 * policy_learned() - Where should what goes to @key go? One look-up, if its port is known by itself
 * @key: one port
 * @hop: where the kernel sends it
 * @ret_mac: the application's address, if the reason is POLICY_HOP_APP; else untouched
 */
VJ_INLINE enum policy_reason policy_learned(const struct policy_learned_maps *m, const struct policy_learned_key *key,
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

#endif

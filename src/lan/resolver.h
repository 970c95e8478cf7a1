// SPDX-License-Identifier: BSD-2-Clause
/*
 * resolver.h - which MAC has an endpoint of another host? Asks, believes, remembers, forgets (docs/parp.md 6)
 *
 *	            use                     REPLY
 *	(nothing) ──────> ASKING ─────────────────────────────> VALID ──┐ used, 3/4 of its lifetime: asks on
 *	   ▲                │ NEG, or silence                      │ ▲   │ meanwhile, `asking`
 *	   │                ▼                                      │ └───┘
 *	   └── evicted ── NEG <──────── RELEASE: (nothing) ────────┘ over
 *
 * Nothing waits here: resolver_lookup() answers at once with what is known, and the canonical MAC is right while nothing
 * is. An answer is taken only with the nonce of the question and from the canonical MAC that the kernel has resolved (R4).
 *
 * An entry is of one port, or, where an answer covers it, of an aligned block of RESOLVER_BLOCK. The number of entries and of
 * open questions is bounded; who needs an entry when there is none takes that which was unused the longest.
 */
#ifndef VJ_LAN_RESOLVER_H
#define VJ_LAN_RESOLVER_H

#include "lan/host.h"

#include <sys/queue.h>

enum {
	RESOLVER_BLOCK = 32, /* ports; as large as a block that an application leases */
	RESOLVER_TRIES = 3,
	RESOLVER_ASKING_MAX = 128,
	RESOLVER_LIFE_MIN_MS = 1000,
	RESOLVER_LIFE_MAX_MS = 600000,
};

#define RESOLVER_TRY_US (100 * US_PER_MS) /* the first; doubled each time */
#define RESOLVER_NEG_US (10 * US_PER_SEC) /* the first; doubled each time */
#define RESOLVER_NEG_MAX_US (300 * US_PER_SEC)

struct resolver_key {
	struct ip_addr addr;
	uint16_t port; /* the first, if @block */
	uint8_t proto;
	uint8_t block; /* 1: RESOLVER_BLOCK of them */
};

enum resolver_state {
	RESOLVER_FREE,
	RESOLVER_ASKING, /* never answered */
	RESOLVER_VALID,	 /* @mac, until @until_us */
	RESOLVER_NEG,	 /* canonical, and not asked again before @quiet_us */
};

struct resolver_entry {
	TAILQ_ENTRY(resolver_entry) by_use, by_question; /* free: by_use */
	struct resolver_entry *next; /* in its hash chain */
	struct resolver_key key;
	uint8_t state; /* enum resolver_state */
	bool asking;   /* a question is open: @nonce, @tries, @retry_us */
	bool used;     /* since it was learned or refreshed */
	bool refused;  /* NEG because it was answered so; else nobody answered */
	uint8_t tries;
	uint8_t silent; /* times that it ended as NEG, one after the other */
	struct mac_addr mac, canonical;
	uint32_t gen;
	uint16_t asked_port; /* of the open question */
	uint32_t heap_at;    /* place in the heap, from 1; 0: not in it */
	uint64_t nonce, retry_us, learned_us, used_us, quiet_us, until_us;
};

TAILQ_HEAD(resolver_list, resolver_entry);

struct resolver_ops {
	/* What has the kernel resolved for @addr? Return: false: nothing, or it isn't fresh */
	bool (*neighbour)(void *arg, const struct ip_addr *addr, struct mac_addr *ret_mac);
	/* An entry became VALID, or another MAC's; or isn't VALID any more. */
	void (*learned)(void *arg, const struct resolver_entry *e);
	void (*forgotten)(void *arg, const struct resolver_entry *e);
};

/* Why an answer wasn't believed, and what else happened. */
struct resolver_stats {
	uint64_t queries, replies, negs, silent, refreshed, evicted, refused; /* refused: no room for another question */
	uint64_t bad_nonce, bad_source, bad_gen, bad_range;
};

struct resolver {
	struct lan_host *host;
	const struct resolver_ops *ops;
	void *arg;

	struct resolver_entry *entries, **buckets, **heap;
	uint32_t entry_cnt, used_cnt, asking_cnt, heap_cnt;
	struct resolver_list free, by_use, questions;
	struct resolver_stats stats;
};

/**
 * resolver_init() - Knows nothing
 * @entries: @cnt, the caller's, as long as @r is used; @pointers: 2 * @cnt
 * Fields from @host to @arg are set already.
 */
void resolver_init(struct resolver *r, struct resolver_entry *entries, struct resolver_entry **pointers, uint32_t cnt);

/**
 * resolver_lookup() - @ep is being sent to: what is known? Asks if nothing is, or if it is time to
 * @ep: one port (port_lo)
 * Return: the entry, VALID; NULL: the canonical MAC is right
 */
const struct resolver_entry *resolver_lookup(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us);

/** resolver_find() - As resolver_lookup(), of any state, and nothing changes. NULL: not known */
const struct resolver_entry *resolver_find(const struct resolver *r, const struct parp_endpoint *ep);

/** resolver_rx() - REPLY, NEG, ANNOUNCE, RELEASE of somebody */
void resolver_rx(struct resolver *r, const struct parp_msg *msg, uint64_t now_us);

/** resolver_canonical_changed() - The kernel has another MAC for @addr, or none: nothing vouches for what was learned */
void resolver_canonical_changed(struct resolver *r, const struct ip_addr *addr);

/** resolver_run() - Ask again, give up, forget */
void resolver_run(struct resolver *r, uint64_t now_us);

/** resolver_deadline_us() - When resolver_run() is wanted next */
uint64_t resolver_deadline_us(const struct resolver *r);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * resolver.h - which MAC has an endpoint of another host? Asks, believes, tries, remembers, forgets (docs/parp.md 6)
 *
 *	            use                     REPLY              the way is proved
 *	(nothing) ──────> ASKING ────────────────────> PROVING ──────────────────> VALID ──┐ used, 3/4 of its lifetime: asks on
 *	   ▲                │ NEG, or silence             │ nothing comes back      │ ▲   │ meanwhile
 *	   │                ▼                             ▼                         │ └───┘
 *	   └── evicted ── NEG <───────────────────────────┴── likewise ────────── over, RELEASE: (nothing)
 *
 * Nothing waits here: resolver_lookup() answers at once with what is known, and the canonical MAC is right while nothing
 * is. An answer is taken only with the nonce of the question and from the canonical MAC that the kernel has resolved (R4),
 * and used only when a frame *to* the learned MAC has been answered: where a network lets no such frames through, nothing is
 * ever sent into the void. One proof serves all ports at that MAC, and is renewed as long as they are used.
 *
 * An entry is of one port, or, where an answer covers it, of an aligned block of RESOLVER_BLOCK ports, or says that a whole
 * host is silent: it does not speak PARP, so it isn't asked about each of its ports. Entries of one address at one MAC are a
 * group, so that news of a host, or of one of its applications, costs what it changes. The number of entries and of open questions is
 * bounded; who needs an entry when there is none takes that which was unused the longest. New questions may use three
 * quarters of what may be open: what is in use has the rest, and goes first.
 */
#ifndef VJ_LAN_RESOLVER_H
#define VJ_LAN_RESOLVER_H

#include "lan/host.h"

#include <sys/queue.h>

enum {
	RESOLVER_BLOCK_PORTS = 32, /* as large as a block that an application leases */
	RESOLVER_TRIES = 3,
	RESOLVER_ASKING_MAX = 128,
	RESOLVER_ASKING_NEW_MAX = RESOLVER_ASKING_MAX * 3 / 4,
	RESOLVER_LIFE_MIN_MS = 1000,
	RESOLVER_LIFE_MAX_MS = 600000,
};

#define RESOLVER_TRY_US (100 * US_PER_MS) /* the first; doubled each time */
#define RESOLVER_NEG_US (10 * US_PER_SEC) /* the first; doubled each time */
#define RESOLVER_NEG_MAX_US (300 * US_PER_SEC)
#define RESOLVER_PROOF_US (30 * US_PER_SEC) /* a proof that is older is renewed when an entry is */

enum resolver_kind {
	RESOLVER_PORT,
	RESOLVER_BLOCK, /* RESOLVER_BLOCK_PORTS of them, from @port on */
	RESOLVER_HOST,	/* all of them; @port and @proto are 0 */
};

struct resolver_key {
	struct ip_addr addr;
	uint16_t port;
	uint8_t proto;
	uint8_t kind; /* enum resolver_kind */
};

enum resolver_state {
	RESOLVER_FREE,
	RESOLVER_ASKING,  /* not answered */
	RESOLVER_PROVING, /* at the MAC of its group; does anything get there? */
	RESOLVER_VALID,	  /* at the MAC of its group, until @until_us */
	RESOLVER_NEG,	  /* canonical, for the reason @why, and not asked again before @quiet_us */
};

enum resolver_why {
	RESOLVER_SILENT,  /* nobody answered */
	RESOLVER_REFUSED, /* answered so */
	RESOLVER_BLOCKED, /* nothing gets to the MAC of its group */
};

struct resolver_entry;
struct resolver_group;

/* An open question: of an entry, or of a group, whether its MAC is reached. One of the two is set. */
struct resolver_question {
	TAILQ_ENTRY(resolver_question) entry;
	struct resolver_entry *of_entry;
	struct resolver_group *of_group;
	bool open;
	uint8_t tries;
	uint16_t port;
	uint64_t nonce, retry_us;
};

struct resolver_entry {
	TAILQ_ENTRY(resolver_entry) by_use, of_group; /* free: by_use */
	struct resolver_entry *next;		      /* in its hash chain */
	struct resolver_group *group;
	struct resolver_key key;
	struct resolver_question question;
	uint8_t state;	/* enum resolver_state */
	uint8_t why;	/* enum resolver_why */
	uint8_t silent; /* times that it ended as NEG, one after the other */
	uint32_t gen;
	uint32_t heap_at; /* place in the heap, from 1; 0: not in it */
	uint64_t learned_us, used_us, quiet_us, until_us;
};

TAILQ_HEAD(resolver_list, resolver_entry);
TAILQ_HEAD(resolver_questions, resolver_question);

struct resolver_group {
	struct resolver_group *next; /* in its hash chain; of the free ones */
	struct resolver_list entries;
	struct resolver_question question;
	struct ip_addr addr;
	struct mac_addr mac;	   /* zero: of those that have none */
	struct mac_addr canonical; /* who has said so */
	bool spoke;		   /* the host has answered something since this group is there */
	bool proven;
	uint8_t failed; /* proofs, one after the other */
	uint64_t proved_us, blocked_us; /* blocked_us: no other try before */
};

/* What became of an entry. They may look at it, and not call back. */
struct resolver_ops {
	/* What has the kernel resolved for @addr? Return: false: nothing, or it isn't fresh */
	bool (*neighbour)(void *arg, const struct ip_addr *addr, struct mac_addr *ret_mac);
	/* It became VALID, or was refreshed: @until_us is another. */
	void (*learned)(void *arg, const struct resolver_entry *e);
	/* It became NEG. */
	void (*quiet)(void *arg, const struct resolver_entry *e);
	/* It is no longer what learned() or quiet() said. */
	void (*forgotten)(void *arg, const struct resolver_entry *e);
};

/* Why an answer wasn't believed, and what else happened. @refused: no room for another question; @blocked: MACs that nothing gets to */
struct resolver_stats {
	uint64_t queries, proofs, replies, negs, silent, refreshed, evicted, refused, blocked;
	uint64_t bad_nonce, bad_source, bad_gen, bad_range;
	uint64_t late;	    /* answers to what was asked lately, and is not any more: they came twice, since it was asked twice */
	uint64_t of_others; /* answers to questions of claims, or of another resolver, at the same interface */
};

struct resolver {
	struct lan_host *host;
	const struct resolver_ops *ops;
	void *arg;

	struct resolver_entry *entries, **buckets, **heap;
	struct resolver_group *groups, **group_buckets, *free_groups;
	uint32_t entry_cnt, used_cnt, asking_cnt, heap_cnt;
	uint32_t fresh_entry, fresh_group; /* from here on nothing was ever used */
	struct resolver_list free, by_use;
	struct resolver_questions questions;
	uint64_t closed[RESOLVER_ASKING_MAX]; /* nonces of the last that are not open any more, in turn */
	uint32_t closed_cnt;
	struct resolver_stats stats;
};

/** resolver_bytes() - Memory for @cnt entries, more than RESOLVER_ASKING_MAX */
size_t resolver_bytes(uint32_t cnt);

/**
 * resolver_init() - Knows nothing
 * @mem: resolver_bytes(@cnt), zero, aligned for pointers; the caller's, as long as @r is used. Touched as far as it is needed
 * Fields from @host to @arg are set already.
 */
void resolver_init(struct resolver *r, void *mem, uint32_t cnt);

/**
 * resolver_lookup() - @ep is being sent to: what is known? Asks if nothing is, or if it is time to
 * @ep: one port (port_lo)
 * Return: the entry, VALID; NULL: the canonical MAC is right
 */
const struct resolver_entry *resolver_lookup(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us);

/** resolver_ask() - As resolver_lookup(), for somebody who waits: goes before what is only sent to */
const struct resolver_entry *resolver_ask(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us);

/** resolver_ask_anew() - As resolver_ask(), when it is known only now who vouches for an answer: that there was none so far says nothing */
void resolver_ask_anew(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us);

/** resolver_find() - As resolver_lookup(), of any state, and nothing changes. NULL: not known */
const struct resolver_entry *resolver_find(const struct resolver *r, const struct parp_endpoint *ep);

/** resolver_refresh_us() - From when on a look-up of a VALID entry asks again */
static inline uint64_t resolver_refresh_us(const struct resolver_entry *e)
{
	return e->until_us - (e->until_us - e->learned_us) / 4;
}

/** resolver_rx() - REPLY, NEG, ANNOUNCE, RELEASE, MAC_DEFEND of somebody; others are ignored */
void resolver_rx(struct resolver *r, const struct parp_msg *msg, uint64_t now_us);

/** resolver_canonical_changed() - The kernel has another MAC for @addr, or none: nothing vouches for what was learned */
void resolver_canonical_changed(struct resolver *r, const struct ip_addr *addr);

/** resolver_run() - Ask again, give up, forget */
void resolver_run(struct resolver *r, uint64_t now_us);

/** resolver_deadline_us() - When resolver_run() is wanted next */
uint64_t resolver_deadline_us(const struct resolver *r);

#endif

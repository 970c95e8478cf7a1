// SPDX-License-Identifier: BSD-2-Clause
/*
 * claim.h - MAC addresses for applications: drawn at random, claimed on the LAN, defended, given up (docs/parp.md 4)
 *
 * An address is in one place of `slots` from the moment that it is drawn until nobody sends to it any more:
 *
 *	FREE ──> WAIT ──> PROBE ──> CLAIMED ──> QUARANTINE ──> FREE   (if somebody has been told of it; else back to the pool)
 *	          ^         │          │
 *	          └─────────┴──────────┘ somebody else's: another is drawn, in the same place
 *
 * claims_take() and claims_release() move CLAIMED to an owner and to QUARANTINE, claims_run() follows the clock,
 * claims_rx() what others say. Addresses without an owner are the pool: claimed ahead, so that an application need not
 * wait. What is due together goes out in one message.
 */
#ifndef VJ_LAN_CLAIM_H
#define VJ_LAN_CLAIM_H

#include "lan/host.h"

enum claim_state {
	CLAIM_FREE,
	CLAIM_WAIT,	  /* before the first probe */
	CLAIM_PROBE,	  /* @sent probes are out */
	CLAIM_CLAIMED,	  /* ours; @sent claims are out */
	CLAIM_QUARANTINE, /* ours still, nobody's application: until @due_us */
	CLAIM_STATE_CNT
};

/* RFC 5227 1.1, in microseconds. */
struct claim_timing {
	uint32_t probe_wait_us, probe_min_us, probe_max_us, announce_wait_us, announce_interval_us;
};

extern const struct claim_timing claim_timing_rfc, claim_timing_fast;

enum {
	CLAIM_PROBE_NUM = 3,
	CLAIM_ANNOUNCE_NUM = 2,
	CLAIM_MAX_CONFLICTS = 10,
	CLAIM_MAC_BITS = 44,
};

#define CLAIM_RATE_LIMIT_US (60 * US_PER_SEC)
#define CLAIM_DEFEND_US (10 * US_PER_SEC) /* between two defences of one address in a conflict */
#define CLAIM_AGAIN_US (30 * US_PER_SEC)  /* between two announcements of all addresses */
#define CLAIM_AGAIN_JITTER_US (2 * US_PER_SEC)

struct claim_slot {
	struct mac_addr mac;
	uint8_t state; /* enum claim_state */
	uint8_t sent;
	uint8_t objections; /* since one was claimed here */
	uint16_t number;  /* of the claim: lower half of its generation */
	uint32_t owner;	  /* 0: of the pool */
	uint32_t next;	  /* in its hash chain, or of the free ones; CLAIM_NONE */
	uint64_t due_us;  /* TIME_NEVER */
	uint64_t given_us; /* claims_given(): until then somebody may remember it */
	uint64_t since_us; /* in this state */
	uint64_t defended_us;
};

enum { CLAIM_NONE = UINT32_MAX };

struct claim_ops {
	/* It is @owner's from now on. */
	void (*claimed)(void *arg, uint32_t owner, const struct mac_addr *mac);
	/* It isn't @owner's any more, and somebody else's. Another one is being claimed. */
	void (*lost)(void *arg, uint32_t owner, const struct mac_addr *mac);
	/* Nobody sends to it any more; after QUARANTINE, and after lost(). */
	void (*ended)(void *arg, const struct mac_addr *mac);
	/* Another host had it as well, and is being told to give way: switches may have learned it there. */
	void (*defended)(void *arg, const struct mac_addr *mac);
};

struct claim_stats {
	uint64_t claims, objections, conflicts_lost, conflicts_won, defended, limited;
};

struct claims {
	struct lan_host *host;
	const struct claim_ops *ops;
	void *arg;
	const struct claim_timing *timing;
	uint32_t pool_want;   /* addresses to have claimed ahead; may be changed between calls */
	unsigned int mac_bits; /* how many are random; less than CLAIM_MAC_BITS in tests only */
	uint64_t quarantine_us;

	struct claim_slot *slots;
	uint32_t *buckets;
	uint32_t slot_cnt, free, cnt[CLAIM_STATE_CNT], pool_cnt;
	uint64_t exhausted_us; /* nothing was left to draw: the pool is filled after this */
	uint64_t again_us;   /* all are announced */
	uint32_t again_at;   /* slot with which that goes on */
	uint64_t due_us;
	uint16_t last_number;
	struct claim_stats stats;
};

/**
 * claims_init() - With nothing claimed
 * @slots, @buckets: @slot_cnt of each, the caller's, as long as @c is used. They bound what is claimed at a time
 * Fields that the caller sets are set already: from @host to @quarantine_us.
 */
void claims_init(struct claims *c, struct claim_slot *slots, uint32_t *buckets, uint32_t slot_cnt, uint64_t now_us);

/**
 * claims_take() - An address for @owner, which is not 0; it has one at a time
 * claimed() is called at once if the pool has one, else later.
 * Return: 0; -ENOSPC: there are no more slots; -EEXIST: it has one, or is getting it
 */
int claims_take(struct claims *c, uint32_t owner, uint64_t now_us);

/** claims_release() - @owner no longer needs its own. Return: 0; -ENOENT: it had none */
int claims_release(struct claims *c, uint32_t owner, uint64_t now_us);

/**
 * claims_adopt() - It was claimed before a restart: by @owner, or by 0: goes to quarantine
 * Return: 0, and claimed() is not called; -ENOSPC; -EEXIST: the address or the owner is there already
 */
int claims_adopt(struct claims *c, uint32_t owner, const struct mac_addr *mac, uint64_t now_us);

/** claims_find() - That of @owner, CLAIMED; NULL: it has none yet */
const struct claim_slot *claims_find(const struct claims *c, uint32_t owner);

/** claims_by_mac() - Of any state; NULL: not ours */
const struct claim_slot *claims_by_mac(const struct claims *c, const struct mac_addr *mac);

/** claims_given() - Somebody has been told of @mac, and may remember it until @until_us */
void claims_given(struct claims *c, const struct mac_addr *mac, uint64_t until_us);

/** claims_gen() - Generation of a claim, as messages about endpoints have it */
static inline uint32_t claims_gen(const struct claims *c, const struct claim_slot *s)
{
	return c->host->gen | s->number;
}

/** claims_rx() - What somebody says about MACs */
void claims_rx(struct claims *c, const struct parp_msg *msg, uint64_t now_us);

/** claims_run() - Do what is due */
void claims_run(struct claims *c, uint64_t now_us);

/** claims_deadline_us() - When claims_run() is wanted next */
uint64_t claims_deadline_us(const struct claims *c);

#endif

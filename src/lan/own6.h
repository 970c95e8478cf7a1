// SPDX-License-Identifier: BSD-2-Clause
/*
 * own6.h - IPv6 addresses for applications, out of a prefix that the operator gives: drawn, tried on the LAN, answered for
 *
 * Plain neighbour discovery, so that every host reaches them: duplicate address detection (RFC 4862 5.4, with the nonces of RFC 7527),
 * solicitations answered (RFC 4861 7.2.4), and when an address is to be found at another MAC address than before, all are told (7.2.6).
 * Pure, as all here (host.h).
 *
 *	FREE ──> WAIT ──> PROBE ──> OURS ──> FREE
 *	          ^         │         │
 *	          └─────────┴─────────┘ somebody else's: the next one is drawn, in the same place
 *
 * own6_take() and own6_release() begin and end, own6_hand() changes the owner, own6_run() follows the clock, own6_rx() what
 * others say. Which address an owner gets is not chance but ops->draw(), of the owner and a number that grows with each refusal
 * (RFC 7217): the same one again after a restart.
 *
 * Somebody who says that an address of ours is his (an advertisement with another MAC address) is contradicted once; who says so again
 * within OWN6_DEFEND_US gets it, as with MAC addresses (RFC 5227 2.4 c): two hosts that both go on would both be lost to their peers.
 */
#ifndef VJ_LAN_OWN6_H
#define VJ_LAN_OWN6_H

#include "lan/limit.h"
#include "wire/nd.h"

enum own6_state {
	OWN6_FREE,
	OWN6_WAIT,  /* before the first solicitation */
	OWN6_PROBE, /* @sent are out, and nobody may answer */
	OWN6_OURS,  /* @sent announcements are out */
	OWN6_STATE_CNT
};

enum {
	OWN6_MAX = 256,		/* addresses at one interface: each is one of the host table's 512 */
	OWN6_PREFIX_LEN_MIN = 64, /* shorter ones are not one link's (RFC 7421) */
	OWN6_PREFIX_LEN_MAX = 120,
	OWN6_PROBE_NUM = 1,	/* DupAddrDetectTransmits */
	OWN6_ANNOUNCE_NUM = 3,	/* MAX_NEIGHBOR_ADVERTISEMENT */
	OWN6_DRAWS_MAX = 64,
	OWN6_CONFLICTS_MAX = 10, /* then it goes on slowly */
	OWN6_PER_SECOND = 200,	/* messages */
	OWN6_BURST = 200,
};

#define OWN6_WAIT_US (500 * US_PER_MS)	 /* at least: most programs that end at once have ended */
#define OWN6_JITTER_US (500 * US_PER_MS) /* added; both together are MAX_RTR_SOLICITATION_DELAY */
#define OWN6_RETRANS_US US_PER_SEC	 /* RetransTimer */
#define OWN6_DEFEND_US (10 * US_PER_SEC)
#define OWN6_SLOW_US (60 * US_PER_SEC)

struct own6_slot {
	struct ip_addr addr;
	struct mac_addr mac; /* where it is to be found */
	uint8_t state;	     /* enum own6_state */
	uint8_t sent;
	uint8_t conflicts;
	uint8_t nonce[ND_NONCE_BYTES];
	uint32_t owner;	 /* 0: FREE */
	uint32_t number; /* of the draw */
	uint64_t due_us; /* TIME_NEVER */
	uint64_t defended_us; /* 0: never */
	uint64_t since_us;    /* in this state */
};

struct own6_ops {
	/* Send it now; what can't be sent is lost. */
	void (*send)(void *arg, const struct nd_msg *msg);
	/* 64 bits that nobody on the LAN can guess. */
	uint64_t (*random)(void *arg);
	/* Interface identifier number @number of @owner, of which the lower bits are used. */
	uint64_t (*draw)(void *arg, uint32_t owner, uint32_t number);
	/* Is it an address of this host, other than by own6? */
	bool (*is_taken)(void *arg, const struct ip_addr *addr);
	/* It is being tried for @owner: hear what is said to its group. */
	void (*begun)(void *arg, uint32_t owner, const struct ip_addr *addr);
	/* It is @owner's from now on. */
	void (*assigned)(void *arg, uint32_t owner, const struct ip_addr *addr);
	/* After begun(): it isn't. Another one may be begun in its place. */
	void (*ended)(void *arg, uint32_t owner, const struct ip_addr *addr);
};

struct own6_stats {
	uint64_t assigned, conflicts, defended, answered, announced, limited;
};

struct own6 {
	const struct own6_ops *ops;
	void *arg;
	struct ip_prefix prefix;
	struct mac_addr canonical; /* from which everything is sent; may be changed between calls */

	struct own6_slot slots[OWN6_MAX];
	uint32_t cnt[OWN6_STATE_CNT];
	struct lan_limit limit;
	uint64_t due_us;
	struct own6_stats stats;
};

/** own6_init() - With no address; from @ops to @canonical the caller has set it */
void own6_init(struct own6 *o);

/**
 * own6_take() - An address for @owner, which is not 0; it has one at a time
 * begun() is called before this returns, assigned() later.
 * Return: 0; -ENOSPC: no more than OWN6_MAX, or nothing is left in the prefix; -EEXIST: it has one, or is getting it
 */
int own6_take(struct own6 *o, uint32_t owner, uint64_t now_us);

/**
 * own6_adopt() - It was @owner's before a restart: it goes on, and is announced; begun() is called, assigned() is not
 * Return: 0; -ENOSPC; -EEXIST: the address or the owner is there already
 */
int own6_adopt(struct own6 *o, uint32_t owner, const struct ip_addr *addr, uint64_t now_us);

/** own6_release() - @owner needs none any more: ended() is called, if it had one. Others' memories of it end by themselves */
void own6_release(struct own6 *o, uint32_t owner, uint64_t now_us);

/**
 * own6_hand() - The address of @from, which is OURS, is @to's from now on, who has none: no ops are called
 * Return: 0; -ENOENT: @from has none, or it isn't OURS yet; -EEXIST: @to has one, or is getting it
 */
int own6_hand(struct own6 *o, uint32_t from, uint32_t to);

/** own6_move() - The address of @owner is to be found at @mac; told, if it was elsewhere. Nothing, if it has none */
void own6_move(struct own6 *o, uint32_t owner, const struct mac_addr *mac, uint64_t now_us);

/** own6_find() - That of @owner, of any state; NULL: none */
const struct own6_slot *own6_find(const struct own6 *o, uint32_t owner);

/** own6_rx() - What somebody says */
void own6_rx(struct own6 *o, const struct nd_msg *msg, uint64_t now_us);

/** own6_run() - Do what is due */
void own6_run(struct own6 *o, uint64_t now_us);

/** own6_deadline_us() - When own6_run() is wanted next */
uint64_t own6_deadline_us(const struct own6 *o);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * owner.h - tells the LAN which of our applications has which ports (docs/parp.md 5)
 *
 * Whose a port is isn't kept here but asked for, so that no answer is older than the books. What is to be told unasked waits in
 * a queue for the limit; when that is full, the rest is not told: it is only sooner known.
 *
 * Whoever has learned one of our addresses tries it before he uses it (docs/parp.md 6.1). So we find out ourselves whether the LAN lets
 * frames to them through: several who were told and none who has tried says that it does not, and the canonical MAC is what is answered then,
 * until somebody reaches us again, or it is time to see.
 */
#ifndef VJ_LAN_OWNER_H
#define VJ_LAN_OWNER_H

#include "lan/claim.h"

enum owner_has {
	OWNER_NOT_HERE,	   /* no address of ours on this LAN: no answer */
	OWNER_CANONICAL,   /* the canonical MAC is right */
	OWNER_APPLICATION, /* one application has it */
};

/* What is said of ports @lo to @hi; @owner as in claims_take(). */
struct owner_range {
	uint32_t owner;
	uint16_t lo, hi;
};

struct owner_ops {
	/* @ret: for OWNER_APPLICATION, around the one port asked for; for OWNER_CANONICAL that port is there already, and may be widened */
	enum owner_has (*find)(void *arg, const struct parp_endpoint *asked, struct owner_range *ret);
	/*
	 * Of what find() says that one application has it: are there connections at @asked that are not that application's? What
	 * is sent to its address is its own without a further look. May take a while: asked once for each answer. NULL: never
	 */
	bool (*is_shared)(void *arg, const struct parp_endpoint *asked);
};

enum {
	OWNER_QUEUE_MAX = 256,
	OWNER_SHARED_TRIES = 8,
};

/* Others' connections keep a port from being told: looked at again after that long, doubled each time. */
#define OWNER_SHARED_US US_PER_SEC

enum owner_reach {
	OWNER_UNTRIED, /* nobody has tried lately */
	OWNER_REACHED, /* one of our addresses, by somebody, not long ago */
	OWNER_BLOCKED, /* nothing comes through: answers are NEG */
};

struct owner_word {
	uint8_t type;  /* PARP_ANNOUNCE, PARP_RELEASE */
	uint8_t tries; /* times that it was put off */
	struct mac_addr mac;
	struct parp_endpoint endpoint;
	uint64_t due_us; /* not before */
};

struct owner_stats {
	uint64_t asked, replies, negs, limited, announced, released, dropped, reached, blocked;
};

struct owner {
	struct lan_host *host;
	struct claims *claims;
	const struct owner_ops *ops;
	void *arg;
	uint32_t lifetime_ms; /* of what we say */

	struct owner_word queue[OWNER_QUEUE_MAX];
	uint32_t queue_first, queue_cnt;
	uint8_t reach; /* enum owner_reach */
	uint32_t untried_cnt;  /* told of our addresses, and nobody has tried since */
	uint64_t untried_us;   /* the first of them */
	uint64_t reached_us;   /* last; REACHED, and BLOCKED after it */
	uint64_t blocked_us;   /* BLOCKED: until then */
	struct owner_stats stats;
};

/* How long a NEG lasts: dispatch by port is always right, so asking again is not urgent. */
enum { OWNER_NEG_MS = 10000, OWNER_LIFETIME_MS = 60000, OWNER_LIFETIME_MIN_MS = 1000, OWNER_LIFETIME_MAX_MS = 600000 };

#define OWNER_ON_THE_WAY_US US_PER_SEC /* so long may what we say take until it is heard */

/*
 * BLOCKED: so many were told, and nobody tried, for so long: longer than a try takes. Who has tried an address does so again within
 * OWNER_REACHED_US as long as he uses it.
 */
enum { OWNER_UNTRIED_MAX = 3 };
#define OWNER_UNTRIED_US (3 * US_PER_SEC)
#define OWNER_REACHED_US (100 * US_PER_SEC)
#define OWNER_BLOCKED_US (300 * US_PER_SEC)

/** owner_init() - Fields from @host to @lifetime_ms are set already */
void owner_init(struct owner *o);

/** owner_rx() - A QUERY of somebody else; or his MAC_PROBE, which is answered by claims_rx(): has it come to an address of ours? */
void owner_rx(struct owner *o, const struct parp_msg *msg, uint64_t now_us);

/** owner_tell() - ANNOUNCE or RELEASE (@type) that @mac has, or has no longer, @endpoint. Told later, by owner_run() */
void owner_tell(struct owner *o, uint8_t type, const struct mac_addr *mac, const struct parp_endpoint *endpoint);

/** owner_everything() - All ports of @addr, as a RELEASE has them */
struct parp_endpoint owner_everything(const struct ip_addr *addr);

/** owner_run() - Tell what waits */
void owner_run(struct owner *o, uint64_t now_us);

/** owner_deadline_us() - When owner_run() is wanted next */
uint64_t owner_deadline_us(const struct owner *o);

#endif

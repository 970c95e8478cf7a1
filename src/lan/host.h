// SPDX-License-Identifier: BSD-2-Clause
/*
 * host.h - who we are on one LAN, and how what is to be said gets there: what claims, owner and resolver share
 *
 * The three are pure: messages, `now_us` and randomness come in; messages, events and a deadline go out. All memory is the
 * caller's and is handed in at the beginning, so that nothing a LAN says can make them larger. docs/parp.md is what they
 * follow.
 */
#ifndef VJ_LAN_HOST_H
#define VJ_LAN_HOST_H

#include "lan/limit.h"
#include "wire/parp.h"

struct lan_ops {
	/* Send it now; what can't be sent is lost. */
	void (*send)(void *arg, const struct parp_msg *msg);
	/* 64 bits that nobody on the LAN can guess: addresses and nonces are made of them. */
	uint64_t (*random)(void *arg);
};

enum {
	/* Both together stay below what Dynamic ARP Inspection allows a port: 15 a second. */
	LAN_OWN_PER_SECOND = 3,	   /* what we begin: probes, claims, questions */
	LAN_ANSWERS_PER_SECOND = 2, /* what others make us say */
	LAN_BURST = 5,
};

/* Who may ask at one interface: all of them hear each answer. The last byte of a nonce says whose question it is. */
enum lan_asker { LAN_ASKER_CLAIMS, LAN_ASKER_CHANNELS, LAN_ASKER_GATEWAY, LAN_ASKER_CNT };
enum { LAN_ASKER_BITS = 8 };

struct lan_host {
	const struct lan_ops *ops;
	void *arg;
	struct mac_addr canonical;
	struct parp_host_id id;
	uint32_t gen;		   /* of the host: the number of its starts << 16 */
	uint8_t encoding;	   /* PARP_E1, PARP_E2: of what we begin */
	uint8_t asker;		   /* enum lan_asker: its resolver */
	struct ip_addr link_local; /* IPv6, of the interface; any: messages of ND are not sent */
	struct lan_limit own, answers;
};

/** lan_host_init() - The rest of @h is the caller's. @scale: times what is usual, where nobody counts ARP */
static inline void lan_host_init(struct lan_host *h, uint32_t scale)
{
	lan_limit_init(&h->own, LAN_OWN_PER_SECOND * scale, LAN_BURST * scale);
	lan_limit_init(&h->answers, LAN_ANSWERS_PER_SECOND * scale, LAN_BURST * scale);
}

static inline void lan_send(struct lan_host *h, struct parp_msg *msg)
{
	msg->eth_src = h->canonical;
	msg->has |= PARP_HAS_HOST;
	msg->host = h->id;
	h->ops->send(h->arg, msg);
}

static inline struct mac_addr lan_broadcast(void)
{
	return (struct mac_addr){ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
}

/* But for its last byte nobody on the LAN can guess it. */
static inline uint64_t lan_nonce(const struct lan_host *h, enum lan_asker asker)
{
	return h->ops->random(h->arg) << LAN_ASKER_BITS | asker;
}

/* Has somebody else at this interface asked, and not @asker? He says what is wrong with the answer. */
static inline bool lan_nonce_is_anothers(uint64_t nonce, enum lan_asker asker)
{
	uint64_t by = nonce & ((1u << LAN_ASKER_BITS) - 1);

	return by < LAN_ASKER_CNT && by != asker;
}

/* 0 to @span_us. */
static inline uint64_t lan_jitter(const struct lan_host *h, uint64_t span_us)
{
	return span_us > 0 ? h->ops->random(h->arg) % (span_us + 1) : 0;
}

#endif

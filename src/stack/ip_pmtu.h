// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is known of the MTU of paths (RFC 1191, RFC 8201): a cache by link and remote address
 *
 * Routers say it, in ICMP errors that TCP or UDP found to be about something of theirs; or TCP found
 * out by itself (tcp_mtu.c). Whatever begins after that begins with it. What nobody has said again
 * for ten minutes is forgotten, since the path may be another by now.
 *
 * Memory is bounded, and which entries share a set is keyed: a stranger cannot choose whom he drives
 * out. Until something is learned there is no table, and a question costs one comparison.
 */
#ifndef VJ_STACK_IP_PMTU_H
#define VJ_STACK_IP_PMTU_H

#include "base/addr.h"
#include "stack/icmp.h"
#include "stack/stack.h"

/*
 * Smaller than this nobody makes us send: what says less is an attack, or a path that is better
 * served by fragments (Linux's ip_rt_min_pmtu; RFC 8201 section 4).
 */
#define PMTU_MIN_V4 552u
#define PMTU_MIN_V6 1280u

static inline uint32_t pmtu_min(bool v4)
{
	return v4 ? PMTU_MIN_V4 : PMTU_MIN_V6;
}

/* What holds for one destination */
struct pmtu {
	uint32_t mtu;	   /* bytes of a packet, IP header included; at most the link's */
	bool frag_ok;	   /* IPv4: even smaller ones pass only, so routers may fragment */
	uint64_t until_us; /* when it is to be asked for again; TIME_NEVER: it is the link's */
};

/* The link must exist. */
struct pmtu pmtu_get(const struct stack *s, uint32_t link_id, const struct ip_addr *dst);

/*
 * EMSGSIZE, about something that we did send. Return: true: *@ret_pmtu is what holds now, for this
 * message or an earlier one; false: it cannot be (counted).
 */
bool pmtu_learn(struct stack *s, const struct icmp_error *error, struct pmtu *ret_pmtu);

/* Packets of more than @mtu bytes do not arrive, although no router says so (RFC 4821). */
void pmtu_found(struct stack *s, uint32_t link_id, const struct ip_addr *dst, uint32_t mtu);

/* Forget all that is of the link. */
void pmtu_link_gone(struct stack *s, uint32_t link_id);

void pmtu_fini(struct stack *s);

#endif

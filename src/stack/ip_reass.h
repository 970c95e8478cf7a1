// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fragments of IPv4 and IPv6 become packets again; ip_reass.c says by which rules
 */
#ifndef VJ_STACK_IP_REASS_H
#define VJ_STACK_IP_REASS_H

#include "stack/mem.h"
#include "stack/pkt.h"
#include "stack/ref.h"

#define REASS_HASH 256
#define REASS_SOURCES 64

struct reass {
	struct pool dgrams; /* struct reass_dgram */
	struct pool frags;  /* struct reass_frag */
	struct ref_space age_nodes;
	struct ref_list age;		   /* all, oldest first */
	uint32_t hash[REASS_HASH];	   /* chains of datagrams by key */
	uint32_t bytes;			   /* what all fragments are charged */
	uint32_t src_bytes[REASS_SOURCES]; /* of that, by a hash of the source */
	uint8_t *whole;			   /* where packets are put together; made by the first */
};

int reass_init(struct stack *s);
void reass_fini(struct stack *s);

/*
 * A fragment, its addresses checked. Return: false: kept, or dropped and counted. true: it was the
 * last that lacked, and @pkt is the whole packet now, from the IP header on, behind Ethernet's:
 * in memory of the stack's own (pkt->borrowed) that is good until the next call. The frame that
 * @pkt was is still the caller's to free.
 */
bool reass_input(struct stack *s, struct pkt *pkt);

/* The wheel_node of a datagram fired. */
void reass_timer(struct stack *s, uint32_t id);

/* Forget all that came over the link. */
void reass_link_gone(struct stack *s, uint32_t link_id);

#endif

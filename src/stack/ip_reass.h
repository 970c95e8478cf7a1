// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fragments of IPv4 and IPv6 become packets again; ip_reass.c says by which rules
 */
#ifndef VJ_STACK_IP_REASS_H
#define VJ_STACK_IP_REASS_H

#include "stack/buf.h"
#include "stack/mem.h"
#include "stack/pkt.h"
#include "stack/ref.h"
#include "stack/timer.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define REASS_BYTES_MAX (4u << 20) /* Linux's ipfrag_high_thresh */
#define REASS_FLAT 1280u /* what headers need, and errors quote */
#define REASS_HASH 256
#define REASS_SOURCES 64

struct reass_frag {
	uint32_t next; /* by offset; 0: last */
	uint32_t off;
	struct bufq data;
};

struct reass_dgram {
	struct wheel_node wheel;
	struct ref_list_node age;
	uint32_t chain; /* in reass.hash; 0: last */
	uint32_t bucket;
	uint32_t source; /* in reass.src_bytes */
	uint32_t link;
	struct ip_addr src;
	struct ip_addr dst;
	uint32_t id;
	uint32_t first; /* fragment; 0: none */
	uint32_t frag_cnt;
	uint32_t bytes; /* of data that are there */
	uint32_t end;	/* where the last fragment ends; 0: it has not come */
	uint32_t charged;
	uint8_t version;
	uint8_t proto;	 /* IPv4: part of the key; IPv6: what the first fragment begins with */
	uint8_t hdr_len; /* of hdr; 0: the first has not come */
	uint8_t ecn;	 /* bit: this codepoint was seen */
	bool spoilt;
	uint8_t hdr[IP4_HDR_MAX]; /* of the first fragment; in IPv6 the fixed header */
};

_Static_assert(IP4_HDR_MAX >= IP6_HDR_BYTES, "hdr holds either");

struct reass {
	struct pool dgrams; /* struct reass_dgram */
	struct pool frags;  /* struct reass_frag */
	struct ref_space age_nodes;
	struct ref_list age;		   /* all, oldest first */
	uint32_t hash[REASS_HASH];	   /* chains of datagrams by key */
	uint32_t latest;		   /* the datagram of the last fragment; 0: it is gone */
	uint32_t bytes;			   /* what all fragments are charged */
	uint32_t src_bytes[REASS_SOURCES]; /* of that, by a hash of the source */
	uint8_t *whole;			   /* where packets are put together; made by the first */
	struct bufq pieces; /* of a datagram that is being delivered: reass_input() */
	uint32_t piece_cnt; /* fragments that they came in */
};

int reass_init(struct stack *s);
void reass_fini(struct stack *s);

/*
 * A fragment, its addresses checked. Return: false: kept, or dropped and counted. true: it was the
 * last that lacked, and @pkt is the whole packet now, from the IP header on, behind Ethernet's:
 * in memory of the stack's own (pkt->borrowed) that is good until the next call. The frame that
 * @pkt was is still the caller's to free, unless it was kept.
 *
 * A UDP datagram is not copied together: only its first REASS_FLAT bytes are where @pkt says, and all of
 * them, UDP's header included, in s->reass.pieces, for UDP to take. The caller drops what is left of them
 * after delivery.
 */
bool reass_input(struct stack *s, struct pkt *pkt);

/* The wheel_node of a datagram fired. */
void reass_timer(struct stack *s, uint32_t id);

/* Forget all that came over the link. */
void reass_link_gone(struct stack *s, uint32_t link_id);

#endif

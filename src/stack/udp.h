// SPDX-License-Identifier: BSD-2-Clause
/* UDP, from the inside of the stack; stack.h has what programs call. */
#ifndef VJ_STACK_UDP_H
#define VJ_STACK_UDP_H

#include "stack/buf.h"
#include "stack/icmp.h"
#include "stack/pkt.h"
#include "stack/stack.h"
#include "stack/stack_priv.h"

#define UDP_SMALL_BYTES BUF_COPY_MAX
#define UDP_CROWD_US 100

struct udp_dgram {
	uint32_t next; /* in the socket's queue; 0: last */
	uint32_t link;
	struct endpoint from;
	struct ip_addr to;
	uint32_t bytes;	 /* of payload: of the first, if it is a train */
	uint32_t charge; /* what it takes of the queue's bound until all of it is read */
	struct bufq data; /* payload, and the train behind it; empty: it is in @small */
	uint8_t small[UDP_SMALL_BYTES];
};

struct udp_sock {
	struct event_node event;
	struct ref_list_node all;    /* in udp_global.all */
	struct ref_list_node output; /* in link.output: a datagram found no frame there */
	struct endpoint local;
	struct endpoint remote; /* port 0: not connected */
	struct port_id place;
	uint32_t head;		/* datagrams, oldest first; 0: none */
	uint32_t tail;
	uint32_t queued_bytes;
	uint32_t rcvbuf_bytes; /* their bound */
	uint32_t output_link; /* whose list `output` is in */
	uint32_t sent_link;   /* of the last datagram sent: who may tell of an error */
	int err; /* positive errno of an ICMP error, to be told once */
	uint8_t mtu_mode[2]; /* enum udp_mtu_mode; IPv6, IPv4 */
	uint8_t tos[2], ttl[2]; /* likewise: what goes into IP's header */
	bool read; /* by its program, since it stood crowded until UDP_CROWD_US were over */
};

struct udp_global {
	struct pool socks;
	struct pool dgrams;
	struct ref_space all_nodes;
	struct ref_list all;
	uint32_t crowded; /* a socket whose queue is half full and is read, see stack_is_crowded(); 0: none */
	uint64_t crowded_until_us;
};

static inline struct udp_sock *udp_sock_at(const struct stack *s, uint32_t id)
{
	return pool_at_sized(&s->udp->socks, id, sizeof(struct udp_sock));
}

/* Size of struct udp_global */
size_t udp_global_bytes(void);

/* s->udp is zeroed. After a failed udp_init(), too, udp_fini() gives back what was made. */
int udp_init(struct stack *s);
void udp_fini(struct stack *s);

/* A UDP packet. IP header checked; it is whole. */
void udp_input(struct stack *s, struct pkt *pkt);

/* One that rx_is_plain_udp(). Return: false: nothing was done, udp_input() has to say what becomes of it. */
bool udp_input_plain(struct stack *s, struct pkt *pkt);

/* A datagram of the socket found no frame: it hears when there are some again. */
void udp_wait_for_frame(struct stack *s, uint32_t id, uint32_t link_id);

/* An ICMP error that quotes a datagram, from the link that the last one went to: a stranger on another
 * does not end what he has no part in. Kept for a connected socket only (RFC 1122
 * section 4.1.3.3); an unconnected one gets the event alone: what it knew of routes may be wrong. What may
 * pass by itself is not told at all, as Linux does not unless it is asked to (IP_RECVERR). */
void udp_icmp_error(struct stack *s, const struct icmp_error *error);

/* There may be frames again on the link where the socket found none: its program hears of it. */
void udp_output_resume(struct stack *s, uint32_t id);

/* Copy what waits in frames of the link, or drop it. */
void udp_link_gone(struct stack *s, uint32_t link_id);

#endif

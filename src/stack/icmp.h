// SPDX-License-Identifier: BSD-2-Clause
/*
 * ICMP and ICMPv6: echo replies, errors that concern our flows, and "port unreachable" for UDP
 */
#ifndef VJ_STACK_ICMP_H
#define VJ_STACK_ICMP_H

#include "base/addr.h"
#include "stack/pkt.h"
#include "stack/stack.h"

/* An ICMP error about something we sent. Anybody on the path can forge one: the receiver checks
 * what it can. */
struct icmp_error {
	uint32_t link;
	struct endpoint local; /* as in the quoted packet: ours */
	struct endpoint remote;
	uint32_t tcp_seq; /* TCP only: sequence number of the quoted segment */
	int err;	  /* positive errno: ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ... */
	bool own;	  /* it is this host that says so, not a stranger */
	bool hard;	  /* it will not pass by itself, as Linux sees it: a port or protocol that is not there, a filter */
	uint32_t mtu; /* EMSGSIZE: what the router can pass, 0 if it did not say (RFC 1191 section
			 5) */
	uint32_t quoted_len; /* of the packet that it is about, IP header included */
};

/* A packet of protocol ICMP or ICMPv6 */
void icmp_input(struct stack *s, struct pkt *pkt);

/* An error that we send, about a packet that came */
struct icmp_send {
	uint32_t link;
	struct ip_addr src; /* ours: where the packet had gone */
	struct ip_addr dst;
	uint8_t type;
	uint8_t code;
	const void *quote; /* the packet from its IP header on */
	uint32_t quote_len;
};

/* Limited in rate, and best effort */
void icmp_send_error(struct stack *s, const struct icmp_send *error);

/* Tell the sender of @pkt that nobody listens there; limited in rate. */
void icmp_port_unreachable(struct stack *s, const struct pkt *pkt);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sending what is larger than the path carries: in fragments (RFC 791, RFC 8200 section 4.5)
 *
 * UDP and ICMP only: TCP makes its segments small enough.
 */
#ifndef VJ_STACK_IP_FRAG_H
#define VJ_STACK_IP_FRAG_H

#include "stack/ip_out.h"

/* A header of UDP or ICMP with its checksum 0, which is all that is 8 bytes, and what follows it */
struct ip_large {
	uint8_t hdr[8];
	const void *data; /* read once */
	uint32_t len;
};

/*
 * Send it in packets of at most @mtu bytes, each with room for 8 bytes of data at the least. All frames
 * are taken before any is sent, so that nothing goes out for nothing.
 * Return: 0; -EMSGSIZE: more than IP carries; -ENOBUFS: the link has not so many frames now (it does
 * not become blocked: it may never have); -ENETDOWN: no such link.
 */
int VJ_MUST_CHECK ip_send_large(struct stack *s, uint32_t link_id, const struct ip_path *path,
				uint32_t mtu, const struct ip_large *large);

#endif

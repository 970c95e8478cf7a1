// SPDX-License-Identifier: BSD-2-Clause
/*
 * A received frame on its way through the stack
 *
 * The far end of a link may write to a frame while it is being read. So its first bytes are copied
 * out once, to `hdr`, and every header is parsed there and nowhere else; offsets and lengths follow
 * from the copy and are checked against the frame's length, which the driver vouches for. Payload
 * is read in place: whatever it changes to, it is payload.
 *
 * Who gets a packet need not free it: the receive loop gives the frame back unless it was kept
 * (pkt_keep()), which bufq_append_pkt() does when it leaves the data where they are.
 */
#ifndef VJ_STACK_PKT_H
#define VJ_STACK_PKT_H

#include "stack/link.h"
#include "stack/stack.h"
#include "wire/eth.h"
#include "wire/ip.h"

/* Ethernet, and headers to the end of TCP's options: 14 + 60 + 60, or 14 + 40 + extensions + 60. A
 * multiple of 16. */
#define PKT_HDR_MAX 192
/* What is copied at first: enough for nearly all. */
#define PKT_HDR_FIRST 96

struct pkt {
	struct link_frame frame; /* data: shared memory */
	struct link *link;
	uint32_t link_id;
	uint32_t hash;	  /* of the flow, for flow_find(); TCP only */
	uint16_t hdr_len; /* bytes of hdr that are there */
	bool kept;	  /* somebody keeps the frame */
	bool borrowed;	  /* the frame is memory of the stack's own: not to be kept */
	bool plain;	  /* see rx_is_plain(); what stands below is valid only after pkt_plain_fill() */
	uint16_t l4_off;  /* the transport header, in the frame and in hdr */
	struct ip_addr src;
	struct ip_addr dst;
	struct ip_view ip;			 /* points into hdr */
	uint8_t hdr[PKT_HDR_MAX] VJ_ALIGNED(16); /* private copy of the frame's first bytes */
};

/* Transport header in the private copy; pkt_l4_avail() bytes may be read there. */
static inline const uint8_t *pkt_l4(const struct pkt *pkt)
{
	return pkt->hdr + pkt->l4_off;
}

static inline uint32_t pkt_l4_avail(const struct pkt *pkt)
{
	return min_u32((uint32_t)pkt->hdr_len - pkt->l4_off, pkt->ip.payload_len);
}

/* Transport header and payload together, by the IP header */
static inline uint32_t pkt_l4_len(const struct pkt *pkt)
{
	return pkt->ip.payload_len;
}

/* Payload in place, @l4_hdr_len bytes behind the transport header. pkt_l4_len() - l4_hdr_len bytes
 * are there. */
static inline const uint8_t *pkt_payload(const struct pkt *pkt, uint32_t l4_hdr_len)
{
	return pkt->frame.data + pkt->l4_off + l4_hdr_len;
}

/* From Ethernet to the end of a TCP header, none of them with options; what tcp_input_plain() and tcp_input_last() get */
#define PKT_PLAIN_BYTES (ETH_HDR_BYTES + 20 + 20)

/* Write down of a plain packet what others have from the start. */
void pkt_plain_fill(struct pkt *pkt);

/* The frame now belongs to the caller, who will link_rx_free() it. */
static inline void pkt_keep(struct pkt *pkt)
{
	VJ_ASSERT(!pkt->kept);
	pkt->kept = true;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * reply.h - the answer to a frame that the firewall rejects: the frame itself, made into a reset or an ICMP error and sent back
 *
 * As the kernel answers: no reset to a reset, no error about an error or about what isn't the first fragment. An ICMP error quotes the IP header
 * and 8 bytes, the least that RFC 792 wants; what has options or extension headers gets none.
 *
 * Each kind is a function of its own: together they would want more stack than the caller has left of 512 bytes.
 */
#ifndef VJ_BPF_REPLY_H
#define VJ_BPF_REPLY_H

#include "bpf/prog.h"
#include "policy/filter.h"
#include "wire/tcp.h"

enum { REPLY_TTL = 64 };

VJ_INLINE uint16_t reply_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Of @len bytes, a multiple of 4. By a helper: unrolled it would want a stack of its own. */
VJ_INLINE uint64_t reply_sum(const void *bytes, uint32_t len)
{
	return (uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)bytes, len, 0);
}

/* From the one it was sent to, back. Return: sum of the addresses, of a pseudo header */
VJ_INLINE uint64_t reply_ip4(struct ip4_hdr *ip, struct be32 from, struct be32 to, uint8_t proto, uint16_t bytes)
{
	ip->version_words = 0x45;
	ip->tos = 0;
	ip->total_len = be16((uint16_t)(IP4_HDR_BYTES + bytes));
	ip->id.raw = 0;
	ip->frag = be16(IP4_FRAG_DF);
	ip->ttl = REPLY_TTL;
	ip->proto = proto;
	ip->csum.raw = 0;
	ip->src = from;
	ip->dst = to;
	ip->csum.raw = reply_fold(reply_sum(ip, sizeof(*ip)));
	return (uint64_t)from.raw + to.raw + be32((uint32_t)proto << 16 | bytes).raw;
}

VJ_INLINE uint64_t reply_ip6(struct ip6_hdr *ip, const struct ip_addr *from, const struct ip_addr *to, uint8_t proto, uint16_t bytes)
{
	ip->version_class_flow = be32(6u << 28);
	ip->payload_len = be16(bytes);
	ip->next = proto;
	ip->hop_limit = REPLY_TTL;
	ip->src = *from;
	ip->dst = *to;
	return reply_sum(from, 16) + reply_sum(to, 16) + be32((uint32_t)proto).raw + be32(bytes).raw;
}

VJ_INLINE void reply_swap_macs(struct eth_hdr *eth)
{
	struct mac_addr mac = eth->dst;

	eth->dst = eth->src;
	eth->src = mac;
}

/* RFC 9293 3.10.7.1. @payload: sequence numbers that the segment takes */
VJ_INLINE void reply_rst_fill(struct tcp_hdr *tcp, uint32_t payload, uint64_t pseudo)
{
	uint8_t flags = tcp->flags;
	struct be16 port = tcp->src_port;

	tcp->src_port = tcp->dst_port;
	tcp->dst_port = port;
	if (flags & TCP_ACK) {
		tcp->seq = tcp->ack;
		tcp->ack.raw = 0;
		tcp->flags = TCP_RST;
	} else {
		tcp->ack = be32(be32_get(tcp->seq) + payload + !!(flags & TCP_SYN) + !!(flags & TCP_FIN));
		tcp->seq.raw = 0;
		tcp->flags = TCP_RST | TCP_ACK;
	}
	tcp->words_reserved = (TCP_HDR_BYTES / 4) << 4;
	tcp->window.raw = 0;
	tcp->urgent.raw = 0;
	tcp->csum.raw = 0;
	tcp->csum.raw = reply_fold(pseudo + reply_sum(tcp, sizeof(*tcp)));
}

static VJ_NOINLINE bool reply_rst4(const struct policy_frame *f)
{
	uint8_t *ip = (uint8_t *)policy_at(f, ETH_HDR_BYTES, IP4_HDR_BYTES + TCP_HDR_BYTES);
	struct ip4_hdr *hdr = (struct ip4_hdr *)ip;
	struct tcp_hdr *tcp;
	uint32_t bytes;

	if (!ip || hdr->version_words != 0x45 || hdr->proto != IP_PROTO_TCP || be16_get(hdr->frag) & (IP4_FRAG_OFF_MASK | IP4_FRAG_MF))
		return false;
	tcp = (struct tcp_hdr *)(ip + IP4_HDR_BYTES);
	if (tcp->flags & TCP_RST)
		return false;
	bytes = be16_get(hdr->total_len) - (uint32_t)IP4_HDR_BYTES - (tcp->words_reserved >> 4) * 4u;
	reply_rst_fill(tcp, bytes, reply_ip4(hdr, hdr->dst, hdr->src, IP_PROTO_TCP, TCP_HDR_BYTES));
	return true;
}

static VJ_NOINLINE bool reply_rst6(const struct policy_frame *f)
{
	uint8_t *ip = (uint8_t *)policy_at(f, ETH_HDR_BYTES, IP6_HDR_BYTES + TCP_HDR_BYTES);
	struct ip6_hdr *hdr = (struct ip6_hdr *)ip;
	struct ip_addr from, to;
	struct tcp_hdr *tcp;
	uint32_t bytes;

	if (!ip || hdr->next != IP_PROTO_TCP)
		return false;
	tcp = (struct tcp_hdr *)(ip + IP6_HDR_BYTES);
	if (tcp->flags & TCP_RST)
		return false;
	bytes = be16_get(hdr->payload_len) - (tcp->words_reserved >> 4) * 4u;
	from = hdr->dst;
	to = hdr->src;
	reply_rst_fill(tcp, bytes, reply_ip6(hdr, &from, &to, IP_PROTO_TCP, TCP_HDR_BYTES));
	return true;
}

/* In front of the packet there is room for another header now; what is quoted stands behind it. */
static VJ_NOINLINE bool reply_icmp4(const struct policy_frame *f, const struct eth_hdr *eth, uint8_t code)
{
	enum { QUOTED = IP4_HDR_BYTES + ICMP_QUOTE_MIN };
	uint8_t *new = (uint8_t *)policy_at(f, 0, ETH_HDR_BYTES + IP4_HDR_BYTES + ICMP_HDR_BYTES + QUOTED);
	struct ip4_hdr *ip, *about;
	struct icmp_hdr *icmp;

	if (!new)
		return false;
	*(struct eth_hdr *)new = *eth;
	ip = (struct ip4_hdr *)(new + ETH_HDR_BYTES);
	icmp = (struct icmp_hdr *)(ip + 1);
	about = (struct ip4_hdr *)(icmp + 1);
	reply_ip4(ip, about->dst, about->src, IP_PROTO_ICMP, ICMP_HDR_BYTES + QUOTED);
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->type = ICMP4_UNREACH;
	icmp->code = code;
	icmp->csum.raw = reply_fold(reply_sum(icmp, ICMP_HDR_BYTES + QUOTED));
	return true;
}

static VJ_NOINLINE bool reply_icmp6(const struct policy_frame *f, const struct eth_hdr *eth, uint8_t code)
{
	enum { QUOTED = IP6_HDR_BYTES + ICMP_QUOTE_MIN };
	uint8_t *new = (uint8_t *)policy_at(f, 0, ETH_HDR_BYTES + IP6_HDR_BYTES + ICMP_HDR_BYTES + QUOTED);
	struct ip6_hdr *ip, *about;
	struct icmp_hdr *icmp;
	struct ip_addr from, to;
	uint64_t pseudo;

	if (!new)
		return false;
	*(struct eth_hdr *)new = *eth;
	ip = (struct ip6_hdr *)(new + ETH_HDR_BYTES);
	icmp = (struct icmp_hdr *)(ip + 1);
	about = (struct ip6_hdr *)(icmp + 1);
	from = about->dst;
	to = about->src;
	pseudo = reply_ip6(ip, &from, &to, IP_PROTO_ICMP6, ICMP_HDR_BYTES + QUOTED);
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->type = ICMP6_UNREACH;
	icmp->code = code;
	icmp->csum.raw = reply_fold(pseudo + reply_sum(icmp, ICMP_HDR_BYTES + QUOTED));
	return true;
}

/* Plain, and nothing that an error must not be about. */
VJ_INLINE bool reply_may_icmp(const struct policy_frame *f, bool v4)
{
	const struct ip4_hdr *ip4;
	const struct ip6_hdr *ip6;

	if (v4) {
		ip4 = policy_at(f, ETH_HDR_BYTES, IP4_HDR_BYTES + ICMP_QUOTE_MIN);
		return ip4 && ip4->version_words == 0x45 && (ip4->proto == IP_PROTO_TCP || ip4->proto == IP_PROTO_UDP) &&
		       !(be16_get(ip4->frag) & IP4_FRAG_OFF_MASK);
	}
	ip6 = policy_at(f, ETH_HDR_BYTES, IP6_HDR_BYTES + ICMP_QUOTE_MIN);
	return ip6 && (ip6->next == IP_PROTO_TCP || ip6->next == IP_PROTO_UDP);
}

VJ_INLINE bool reply_icmp(struct xdp_md *ctx, const struct eth_hdr *eth, bool v4, uint8_t code)
{
	int more = ICMP_HDR_BYTES + (v4 ? IP4_HDR_BYTES : IP6_HDR_BYTES);
	int whole = ETH_HDR_BYTES + more + ICMP_QUOTE_MIN + (v4 ? IP4_HDR_BYTES : IP6_HDR_BYTES);
	struct policy_frame f = frame_of(ctx);

	if (!reply_may_icmp(&f, v4) || bpf_xdp_adjust_head(ctx, -more) ||
	    bpf_xdp_adjust_tail(ctx, whole - (int)bpf_xdp_get_buff_len(ctx)))
		return false;
	f = frame_of(ctx);
	return v4 ? reply_icmp4(&f, eth, code) : reply_icmp6(&f, eth, code);
}

VJ_INLINE bool reply_rst(struct xdp_md *ctx, const struct eth_hdr *swapped, bool v4)
{
	struct policy_frame f = frame_of(ctx);
	int whole = ETH_HDR_BYTES + TCP_HDR_BYTES + (v4 ? IP4_HDR_BYTES : IP6_HDR_BYTES);
	struct eth_hdr *eth;

	if (!(v4 ? reply_rst4(&f) : reply_rst6(&f)))
		return false;
	eth = (struct eth_hdr *)policy_at(&f, 0, sizeof(*eth));
	if (!eth)
		return false;
	*eth = *swapped;
	return bpf_xdp_adjust_tail(ctx, whole - (int)bpf_xdp_get_buff_len(ctx)) == 0;
}

/**
 * reply_reject() - @how: enum filter_reject; @code4, @code6: of the ICMP error
 * Return: XDP_TX: the frame is the answer; XDP_DROP: there is none
 */
VJ_NOINLINE int reply_reject(struct xdp_md *ctx, uint32_t how, uint32_t code4, uint32_t code6)
{
	struct policy_frame f = frame_of(ctx);
	const struct eth_hdr *eth = policy_at(&f, 0, sizeof(*eth));
	struct eth_hdr swapped;
	bool v4;

	if (!eth)
		return XDP_DROP;
	swapped = *eth;
	reply_swap_macs(&swapped);
	v4 = be16_get(swapped.type) == ETH_TYPE_IP4;
	if (!v4 && be16_get(swapped.type) != ETH_TYPE_IP6)
		return XDP_DROP;
	if (how == FILTER_REJECT_RST)
		return reply_rst(ctx, &swapped, v4) ? XDP_TX : XDP_DROP;
	return reply_icmp(ctx, &swapped, v4, (uint8_t)(v4 ? code4 : code6)) ? XDP_TX : XDP_DROP;
}

#endif

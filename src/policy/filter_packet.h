// SPDX-License-Identifier: BSD-2-Clause
/*
 * filter_packet.h - the words of a packet that rules ask for (enum filter_word)
 *
 * A frame of an application: IPv4 or IPv6, no VLAN tag, TCP, UDP or an ICMP error. Rules see its outermost IP header, as nftables does, and
 * the transport header behind options and extension headers.
 */
#ifndef VJ_POLICY_FILTER_PACKET_H
#define VJ_POLICY_FILTER_PACKET_H

#include "policy/classify.h"
#include "policy/filter.h"

/* Where a packet comes from or goes to. */
struct filter_iface {
	uint32_t idx; /* 0: none, and no name */
	uint32_t name[4]; /* as the words of a packet */
};

enum filter_on {
	FILTER_OFF, /* there are no rules */
	FILTER_ON,
	FILTER_BLIND, /* there are, and they can't be read: only the kernel knows them. The image stays for what it has counted */
};

/*
 * Of the map `filter_cfg`, which vjd writes and dispatch and gate read. `filter_cells` has room for two images: vjd writes the one that isn't
 * run, then says here which is.
 */
struct filter_cfg {
	uint32_t on; /* enum filter_on */
	uint32_t base; /* of the image in `filter_cells`: 0 or FILTER_CELLS_MAX */
	struct filter_iface wire, loopback;
};

VJ_INLINE void filter_fill_ip4(struct filter_run *run, const struct ip4_hdr *hdr)
{
	run->word[FILTER_NFPROTO] = FILTER_NFPROTO_IP4;
	run->word[FILTER_ETHERTYPE] = ETH_TYPE_IP4;
	run->word[FILTER_SADDR] = be32_get(hdr->src);
	run->word[FILTER_DADDR] = be32_get(hdr->dst);
	run->word[FILTER_IP_PROTO] = hdr->proto;
	run->word[FILTER_IP_LEN] = be16_get(hdr->total_len);
	run->word[FILTER_IP_ID] = be16_get(hdr->id);
	run->word[FILTER_IP_FRAG] = be16_get(hdr->frag);
	run->word[FILTER_TTL] = hdr->ttl;
	run->word[FILTER_TOS] = hdr->tos;
	run->bytes = be16_get(hdr->total_len);
}

VJ_INLINE void filter_fill_ip6(struct filter_run *run, const struct ip6_hdr *hdr)
{
	run->word[FILTER_NFPROTO] = FILTER_NFPROTO_IP6;
	run->word[FILTER_ETHERTYPE] = ETH_TYPE_IP6;
	for (unsigned i = 0; i < 4; i++) {
		run->word[FILTER_SADDR + i] = be32_get(hdr->src.words[i]);
		run->word[FILTER_DADDR + i] = be32_get(hdr->dst.words[i]);
	}
	run->word[FILTER_IP_PROTO] = hdr->next;
	run->word[FILTER_IP_LEN] = be16_get(hdr->payload_len);
	run->word[FILTER_TTL] = hdr->hop_limit;
	run->word[FILTER_TOS] = be32_get(hdr->version_class_flow) >> 20 & 0xff;
	run->bytes = IP6_HDR_BYTES + (uint32_t)be16_get(hdr->payload_len);
}

VJ_INLINE bool filter_fill_tcp(struct filter_run *run, const struct policy_frame *f, uint32_t off)
{
	const uint8_t *l4 = policy_at(f, off, TCP_HDR_BYTES);

	if (!l4)
		return false;
	run->word[FILTER_TCP_SEQ] = load_be32(l4 + 4);
	run->word[FILTER_TCP_ACK] = load_be32(l4 + 8);
	run->word[FILTER_TCP_DOFF] = l4[12] >> 4;
	run->word[FILTER_TCP_FLAGS] = l4[13];
	run->word[FILTER_TCP_WINDOW] = load_be16(l4 + 14);
	run->word[FILTER_TCP_URGPTR] = load_be16(l4 + 18);
	return true;
}

/* Of what has no such header the words stay 0, and no compiled test looks at them. */
VJ_INLINE bool filter_fill_l4(struct filter_run *run, const struct policy_frame *f, uint32_t off, uint8_t proto)
{
	const uint8_t *l4 = policy_at(f, off, 8);

	if (!l4)
		return false;
	run->word[FILTER_HAVE] = FILTER_HAVE_L4;
	run->word[FILTER_SPORT] = load_be16(l4);
	run->word[FILTER_DPORT] = load_be16(l4 + 2);
	run->word[FILTER_SPORT_OF] = (uint32_t)proto << 16 | load_be16(l4);
	run->word[FILTER_DPORT_OF] = (uint32_t)proto << 16 | load_be16(l4 + 2);
	run->word[FILTER_UDP_LEN] = load_be16(l4 + 4);
	run->word[FILTER_ICMP_TYPE] = l4[0];
	run->word[FILTER_ICMP_CODE] = l4[1];
	return proto != IP_PROTO_TCP || filter_fill_tcp(run, f, off);
}

VJ_INLINE bool filter_fill_net(struct filter_run *run, const struct policy_frame *f, bool v4, uint32_t off)
{
	const struct ip4_hdr *ip4;
	const struct ip6_hdr *ip6;

	if (v4) {
		ip4 = policy_at(f, off, sizeof(*ip4));
		if (ip4)
			filter_fill_ip4(run, ip4);
		return ip4 != NULL;
	}
	ip6 = policy_at(f, off, sizeof(*ip6));
	if (ip6)
		filter_fill_ip6(run, ip6);
	return ip6 != NULL;
}

/**
 * filter_fill() - The packet's own words; the others are 0 then
 * @f:        a frame that dispatch or gate has understood
 * @ret_view: as policy_ip() would say
 * Return: false: not understood
 */
VJ_INLINE bool filter_fill(struct filter_run *run, const struct policy_frame *f, struct policy_view *ret_view)
{
	struct policy_view *v = ret_view;
	struct policy_eth eth;
	uint32_t l4;
	bool v4;

	__builtin_memset(run, 0, sizeof(*run));
	__builtin_memset(v, 0, sizeof(*v));
	if (!policy_eth(f, &eth) || eth.ip_off != ETH_HDR_BYTES)
		return false;
	v4 = eth.type == ETH_TYPE_IP4;
	if (!v4 && eth.type != ETH_TYPE_IP6)
		return false;
	if (!filter_fill_net(run, f, v4, ETH_HDR_BYTES) || !policy_ip_hdr(f, v4, ETH_HDR_BYTES, false, v, &l4))
		return false;
	run->word[FILTER_L4PROTO] = v->flow.proto;
	run->word[FILTER_LEN] = run->bytes;
	if (v->frag == POLICY_FRAG_LATER)
		return true;
	if (!filter_fill_l4(run, f, l4, v->flow.proto))
		return false;
	if (policy_has_ports(v->flow.proto)) {
		v->flow.remote_port = be16((uint16_t)run->word[FILTER_SPORT]);
		v->flow.local_port = be16((uint16_t)run->word[FILTER_DPORT]);
		return true;
	}
	return policy_icmp(f, v4, l4, v) != POLICY_IP_BAD;
}

/** filter_is_part() - A fragment, or in IPv6 what looks like one and is whole */
VJ_INLINE bool filter_is_part(const struct filter_run *run, const struct policy_view *view)
{
	return view->frag != POLICY_FRAG_NONE ||
	       (run->word[FILTER_NFPROTO] == FILTER_NFPROTO_IP6 && run->word[FILTER_IP_PROTO] == IP6_EXT_FRAGMENT);
}

/** filter_fill_whole() - Of a first fragment: the words that the datagram has. Its lengths are not known */
VJ_INLINE void filter_fill_whole(struct filter_run *run, const struct policy_frame *f)
{
	const uint8_t *frag = policy_at(f, ETH_HDR_BYTES + IP6_HDR_BYTES, 1);

	if (frag && run->word[FILTER_NFPROTO] == FILTER_NFPROTO_IP6 && run->word[FILTER_IP_PROTO] == IP6_EXT_FRAGMENT)
		run->word[FILTER_IP_PROTO] = *frag;
}

/** filter_fill_ifaces() - Where it comes from, where it goes to; NULL: nowhere, at this hook */
VJ_INLINE void filter_fill_ifaces(struct filter_run *run, const struct filter_iface *in, const struct filter_iface *out)
{
	run->word[FILTER_IIF] = in ? in->idx : 0;
	run->word[FILTER_OIF] = out ? out->idx : 0;
	for (unsigned i = 0; i < 4; i++) {
		run->word[FILTER_IIFNAME + i] = in ? in->name[i] : 0;
		run->word[FILTER_OIFNAME + i] = out ? out->name[i] : 0;
	}
}

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * classify.h - whose is this frame? What dispatch and gate need of the headers
 *
 * The same code runs in the kernel (src/bpf), and in tests and fuzzers. BPF can't call what is compiled apart, and its
 * verifier wants to see the end of the packet compared before every read; so src/wire can't be used beyond its
 * structures and constants, all is inline, and policy_at() is the only way to the bytes.
 *
 * Nothing is decided about a packet that is not understood: it is the kernel's, which has seen stranger ones. A checksum
 * is not looked at here.
 */
#ifndef VJ_POLICY_CLASSIFY_H
#define VJ_POLICY_CLASSIFY_H

#include "base/addr.h"
#include "base/types.h"
#include "policy/maps.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

enum {
	/* Headers that reach further are not followed. Also tells the verifier how far an offset can be. */
	POLICY_OFF_MAX = 1023,
	/* IPv6 extension headers; RFC 8504 5.3 allows a limit, and every one unrolls in BPF */
	POLICY_EXT_MAX = 6,
};

struct policy_frame {
	const uint8_t *data, *end;
	uint32_t whole; /* its length, where more of it lies elsewhere; 0: all of it is here */
};

enum policy_ip {
	POLICY_IP_OK,
	POLICY_IP_BAD, /* doesn't parse, or too deep */
	POLICY_IP_PROTO, /* a protocol without ports; `view` holds addresses and proto */
};

enum policy_frag_kind {
	POLICY_FRAG_NONE,
	POLICY_FRAG_FIRST, /* has the ports */
	POLICY_FRAG_LATER, /* has none */
};

/* An IP packet. Of an ICMP error: the packet it is about, as if it had come from the other side. */
struct policy_view {
	struct policy_flow flow; /* @remote: source, @local: destination. Ports 0 of a later fragment */
	uint32_t frag_id; /* as on the wire */
	uint8_t frag; /* enum policy_frag_kind */
	bool icmp_error;
	bool extra; /* IPv4 options or IPv6 extension headers */
	bool syn; /* of TCP: SYN and not ACK; false in an ICMP error */
	bool syn_ack; /* likewise: both */
};

struct policy_eth {
	struct mac_addr dst, src;
	uint32_t vlan; /* as in struct policy_addr */
	uint16_t type; /* behind the tags */
	uint16_t ip_off;
};

/* BPF only: a loop whose rounds the verifier sees one after the other costs it half of what a loop costs. */
#ifdef __bpf__
#define POLICY_UNROLL _Pragma("clang loop unroll(full)")
#else
#define POLICY_UNROLL
#endif

/*
 * The same number, of which the verifier knows nothing any more. It follows every path with what each has taught it, and
 * paths that differ in a number multiply; where they come together again, what they differ in is made unknown, and all
 * but one are done. (Swapping bytes is what it does not follow.)
 */
VJ_INLINE uint16_t policy_opaque(uint16_t v)
{
#ifdef __bpf__
	uint64_t x = v;

	__asm__ volatile("%0 = be16 %0\n\t%0 = be16 %0" : "+r"(x));
	return (uint16_t)x;
#else
	return v;
#endif
}

/*
 * BPF only: BPF's compiler reads byte by byte what may lie anywhere, which is most of a short program. Headers lie at even addresses in every
 * frame, and IP's at multiples of four where a processor cares.
 */
#ifdef __bpf__
#define policy_aligned(p, bytes) __builtin_assume_aligned((p), (bytes))
#else
#define policy_aligned(p, bytes) (p)
#endif

/* A number in the header at @hdr, which has it. */
VJ_INLINE uint16_t policy_hdr16(const void *hdr, size_t off)
{
	return load_u16(policy_aligned((const uint8_t *)hdr + off, 2));
}

VJ_INLINE uint32_t policy_hdr32(const void *hdr, size_t off)
{
	return load_u32(policy_aligned((const uint8_t *)hdr + off, 4));
}

/* An address of an Ethernet header as a number. */
VJ_INLINE uint64_t policy_mac_load(const struct mac_addr *mac)
{
	return policy_hdr16(mac, 0) | (uint64_t)policy_hdr16(mac, 2) << 16 | (uint64_t)policy_hdr16(mac, 4) << 32;
}

VJ_INLINE void policy_mac_store(struct mac_addr *ret_mac, uint64_t mac)
{
	store_u16(policy_aligned(ret_mac->bytes, 2), (uint16_t)mac);
	store_u16(policy_aligned(ret_mac->bytes + 2, 2), (uint16_t)(mac >> 16));
	store_u16(policy_aligned(ret_mac->bytes + 4, 2), (uint16_t)(mac >> 32));
}

/*
 * Where a header starts: a multiple of 4 behind Ethernet's, however many there are before it. Unknown to the verifier but for that, which one
 * that wants accesses aligned has to see.
 */
VJ_INLINE uint32_t policy_hdr_off(uint32_t off)
{
	return ETH_HDR_BYTES + (policy_opaque((uint16_t)(off - ETH_HDR_BYTES)) & 0xfffcu);
}

/* @len bytes at @off, or NULL. */
VJ_INLINE const void *policy_at(const struct policy_frame *f, uint32_t off, uint32_t len)
{
	const uint8_t *p;

	if (off > POLICY_OFF_MAX)
		return NULL;
	p = f->data + off;
	if (p + len > f->end)
		return NULL;
	return p;
}

/* A header behind Ethernet's, at a policy_hdr_off(); or NULL. */
VJ_INLINE const void *policy_hdr_at(const struct policy_frame *f, uint32_t off, uint32_t len)
{
	return policy_aligned(policy_at(f, off, len), 4);
}

VJ_INLINE bool policy_is_vlan(uint16_t type)
{
	return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

/* False: too short. A third tag leaves its own type in @ret_eth->type, which is nobody's. */
VJ_INLINE bool policy_eth(const struct policy_frame *f, struct policy_eth *ret_eth)
{
	const struct eth_hdr *hdr = policy_aligned(policy_at(f, 0, sizeof(*hdr)), 2);
	uint32_t off = sizeof(*hdr), vlan = 0;
	uint16_t type;

	if (!hdr)
		return false;
	ret_eth->dst = hdr->dst;
	ret_eth->src = hdr->src;
	type = be16_get(hdr->type);
	for (unsigned i = 0; i < ETH_VLAN_MAX && policy_is_vlan(type); i++) {
		const struct eth_vlan *tag = policy_aligned(policy_at(f, off, sizeof(*tag)), 2);
		uint32_t id;

		if (!tag)
			return false;
		id = be16_get(tag->tci) & 0xfff;
		/* Outer in the upper half if there are two; id 0 is a priority without a VLAN. */
		vlan = id ? vlan << 16 | id : vlan;
		type = be16_get(tag->type);
		off += sizeof(*tag);
	}
	ret_eth->vlan = vlan;
	ret_eth->type = type;
	ret_eth->ip_off = (uint16_t)policy_hdr_off(off);
	return true;
}

/* ---- IP header: fills all of @v but ports and syn; where the transport header starts ------------------------------- */

VJ_INLINE bool policy_ip4(const struct policy_frame *f, uint32_t off, struct policy_view *v, uint32_t *ret_l4)
{
	const struct ip4_hdr *hdr = policy_hdr_at(f, off, sizeof(*hdr));
	uint32_t hdr_bytes;
	uint16_t frag;

	if (!hdr || hdr->version_words >> 4 != 4)
		return false;
	hdr_bytes = (hdr->version_words & 15u) * 4u;
	if (hdr_bytes < IP4_HDR_BYTES || be16_get(hdr->total_len) < hdr_bytes)
		return false;
	v->flow.remote = ip_addr_from_v4(hdr->src);
	v->flow.local = ip_addr_from_v4(hdr->dst);
	v->flow.proto = hdr->proto;
	v->extra = hdr_bytes != IP4_HDR_BYTES;
	frag = be16_get(hdr->frag);
	v->frag_id = hdr->id.raw;
	if (frag & IP4_FRAG_OFF_MASK)
		v->frag = POLICY_FRAG_LATER;
	else
		v->frag = frag & IP4_FRAG_MF ? POLICY_FRAG_FIRST : POLICY_FRAG_NONE;
	*ret_l4 = off + hdr_bytes;
	return true;
}

/* One extension header. @next: its type, then that of what follows. */
VJ_INLINE bool policy_ip6_ext(const struct policy_frame *f, uint32_t *off, uint8_t *next, struct policy_view *v)
{
	const uint8_t *hdr = policy_at(f, *off, 8);
	uint16_t off_more;

	if (!hdr)
		return false;
	if (*next == IP6_EXT_FRAGMENT) {
		off_more = load_be16(hdr + 2);
		v->frag_id = load_u32(hdr + 4);
		if (off_more & 0xfff8)
			v->frag = POLICY_FRAG_LATER;
		else
			v->frag = off_more & 1 ? POLICY_FRAG_FIRST : POLICY_FRAG_NONE;
		*off += IP6_FRAG_BYTES;
	} else {
		*off += (hdr[1] + 1u) * 8u;
	}
	*next = hdr[0];
	*off = policy_hdr_off(*off);
	v->frag = (uint8_t)policy_opaque(v->frag);
	return true;
}

VJ_INLINE bool policy_ip6(const struct policy_frame *f, uint32_t off, bool plain, struct policy_view *v,
			  uint32_t *ret_l4)
{
	const struct ip6_hdr *hdr = policy_hdr_at(f, off, sizeof(*hdr));
	uint8_t next;

	if (!hdr || be32_get(hdr->version_class_flow) >> 28 != 6)
		return false;
	v->flow.remote = hdr->src;
	v->flow.local = hdr->dst;
	v->frag_id = 0;
	v->frag = POLICY_FRAG_NONE;
	next = hdr->next;
	off += IP6_HDR_BYTES;
	if (plain && next == IP6_EXT_FRAGMENT && !policy_ip6_ext(f, &off, &next, v))
		return false;
	v->extra = ip6_is_ext(next);
	POLICY_UNROLL
	for (unsigned i = 0; !plain && i < POLICY_EXT_MAX && ip6_is_ext(next) && v->frag != POLICY_FRAG_LATER; i++)
		if (!policy_ip6_ext(f, &off, &next, v))
			return false;
	v->flow.proto = next;
	*ret_l4 = off;
	return v->frag == POLICY_FRAG_LATER || !ip6_is_ext(next);
}

/* @plain: but for one fragment header, extension headers are not followed, and what has them or options is refused */
VJ_INLINE bool policy_ip_hdr(const struct policy_frame *f, bool v4, uint32_t off, bool plain, struct policy_view *v,
			     uint32_t *ret_l4)
{
	bool ok = v4 ? policy_ip4(f, off, v, ret_l4) : policy_ip6(f, off, plain, v, ret_l4);

	if (!ok || (plain && v->extra))
		return false;
	*ret_l4 = policy_hdr_off(*ret_l4);
	v->frag = (uint8_t)policy_opaque(v->frag);
	return true;
}

/* ---- transport ----------------------------------------------------------------------------------------------------- */

VJ_INLINE bool policy_has_ports(uint8_t proto)
{
	return proto == IP_PROTO_TCP || proto == IP_PROTO_UDP;
}

/* Source port first, in TCP and UDP alike. */
VJ_INLINE bool policy_ports(const struct policy_frame *f, uint32_t off, struct policy_flow *flow)
{
	const uint8_t *l4 = policy_hdr_at(f, off, 8);

	if (!l4)
		return false;
	flow->remote_port.raw = load_u16(l4);
	flow->local_port.raw = load_u16(l4 + 2);
	return true;
}

VJ_INLINE bool policy_icmp_is_error(bool v4, uint8_t type)
{
	if (v4)
		return type == ICMP4_UNREACH || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAM_PROBLEM;
	return type >= ICMP6_UNREACH && type <= ICMP6_PARAM_PROBLEM;
}

/* The same flow from the other side. */
VJ_INLINE struct policy_flow policy_flow_reverse(const struct policy_flow *flow)
{
	return (struct policy_flow){
		.remote = flow->local,
		.local = flow->remote,
		.remote_port = flow->local_port,
		.local_port = flow->remote_port,
		.proto = flow->proto,
	};
}

/*
 * The packet that an ICMP error quotes was ours: turn it round. It must have come from the address that the error is
 * sent to, and carry ports: everything else is left to the kernel.
 */
VJ_INLINE enum policy_ip policy_icmp(const struct policy_frame *f, bool v4, uint32_t off, struct policy_view *v)
{
	const struct icmp_hdr *icmp = policy_hdr_at(f, off, sizeof(*icmp));
	struct ip_addr to = v->flow.local;
	uint32_t l4;

	if (!icmp)
		return POLICY_IP_BAD;
	if (!policy_icmp_is_error(v4, icmp->type))
		return POLICY_IP_PROTO;
	if (!policy_ip_hdr(f, v4, off + ICMP_HDR_BYTES, false, v, &l4))
		return POLICY_IP_BAD;
	if (!policy_has_ports(v->flow.proto) || v->frag == POLICY_FRAG_LATER || !ip_addr_eq(&v->flow.remote, &to))
		return POLICY_IP_PROTO;
	if (!policy_ports(f, l4, &v->flow))
		return POLICY_IP_BAD;
	v->flow = policy_flow_reverse(&v->flow);
	v->icmp_error = true;
	v->frag = POLICY_FRAG_NONE;
	return POLICY_IP_OK;
}

/*
 * @eth:   of type ETH_TYPE_IP4 or ETH_TYPE_IP6
 * @plain: only what our own stack sends: options and extension headers are POLICY_IP_BAD, ICMP is a protocol without ports
 */
VJ_INLINE enum policy_ip policy_ip(const struct policy_frame *f, const struct policy_eth *eth, bool plain,
				   struct policy_view *ret_view)
{
	bool v4 = eth->type == ETH_TYPE_IP4;
	struct policy_view *v = ret_view;
	const uint8_t *flags;
	uint32_t l4;

	__builtin_memset(v, 0, sizeof(*v));
	if (!policy_ip_hdr(f, v4, eth->ip_off, plain, v, &l4))
		return POLICY_IP_BAD;
	if (v->frag == POLICY_FRAG_LATER)
		return POLICY_IP_OK;
	if (!plain && v->flow.proto == (v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6) && v->frag == POLICY_FRAG_NONE)
		return policy_icmp(f, v4, l4, v);
	if (!policy_has_ports(v->flow.proto))
		return POLICY_IP_PROTO;
	if (!policy_ports(f, l4, &v->flow))
		return POLICY_IP_BAD;
	if (v->flow.proto == IP_PROTO_TCP) {
		flags = policy_at(f, l4 + 13, 1);
		if (!flags)
			return POLICY_IP_BAD;
		v->syn = (*flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
		v->syn_ack = (*flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	}
	return POLICY_IP_OK;
}

/* ---- fragments ----------------------------------------------------------------------------------------------------- */

/* What the fragments of one datagram have in common. */
VJ_INLINE struct policy_frag policy_frag_key(const struct policy_view *v)
{
	return (struct policy_frag){
		.src = v->flow.remote,
		.dst = v->flow.local,
		.id = v->frag_id,
		.proto = ip_addr_is_v4(&v->flow.local) ? v->flow.proto : 0,
	};
}

#endif

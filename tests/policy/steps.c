// SPDX-License-Identifier: BSD-2-Clause
#include "tests/policy/steps.h"

#include <string.h>

#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

/* ---- frames -------------------------------------------------------------------------------------------------------- */

struct out {
	uint8_t *at;
};

static void put_u8(struct out *o, unsigned v)
{
	*o->at++ = (uint8_t)v;
}

static void put_u16(struct out *o, unsigned v)
{
	store_be16(o->at, (uint16_t)v);
	o->at += 2;
}

static void put_u32(struct out *o, uint32_t v)
{
	store_be32(o->at, v);
	o->at += 4;
}

static void put_zeros(struct out *o, size_t n)
{
	memset(o->at, 0, n);
	o->at += n;
}

struct mac_addr step_mac(enum step_mac mac)
{
	static const struct mac_addr macs[] = {
		[MAC_HOST] = { { 0x52, 0x54, 0, 0, 0, 1 } },
		[MAC_APP] = { { 0x02, 0, 0, 0, 0, 2 } },
		[MAC_OTHER] = { { 0x52, 0x54, 0, 0, 0, 9 } },
		[MAC_GROUP] = { { 0x01, 0, 0x5e, 0, 0, 1 } },
		[MAC_QUARANTINE] = { { 0x02, 0, 0, 0, 0, 3 } },
		[MAC_QUIET] = { { 0x52, 0x54, 0, 0, 0, 8 } },
		[MAC_NONE] = { { 0 } },
	};

	return macs[mac];
}

struct ip_addr step_ip(bool v6, enum step_addr a)
{
	struct ip_addr addr = { .bytes = { 0x20, 0x01, 0x0d, 0xb8 } };

	if (!v6)
		return ip_addr_from_v4(be32(0x0a000000u + a));
	addr.bytes[15] = (uint8_t)a;
	return addr;
}

static void put_eth(struct out *o, const struct step_frame *f)
{
	uint16_t type = f->eth_type ? f->eth_type : f->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4;
	struct mac_addr dst = step_mac(f->dst_mac), src = step_mac(f->src_mac);

	memcpy(o->at, &dst, 6);
	memcpy(o->at + 6, &src, 6);
	o->at += 12;
	for (unsigned i = 0; i < ARRAY_SIZE(f->vlans) && f->vlans[i]; i++) {
		put_u16(o, i == 0 && f->vlans[1] ? ETH_TYPE_QINQ : ETH_TYPE_VLAN);
		put_u16(o, f->vlans[i] - 1u);
	}
	put_u16(o, type);
}

static void put_ip4(struct out *o, const struct step_frame *f, uint8_t proto, enum step_addr src, enum step_addr dst)
{
	put_u8(o, f->first_byte ? f->first_byte : 0x40u | (5 + f->options / 4u));
	put_u8(o, 0);
	put_u16(o, IP4_HDR_BYTES + f->options + 64u);
	put_u16(o, f->frag_id);
	put_u16(o, (f->more_frags ? IP4_FRAG_MF : 0u) | f->frag_off / 8u);
	put_u8(o, 64);
	put_u8(o, proto);
	put_u16(o, 0);
	put_u32(o, 0x0a000000u + src);
	put_u32(o, 0x0a000000u + dst);
	put_zeros(o, f->options);
}

/* Types of the extension headers of each kind, ended by 0 past the first. */
static const uint8_t ext_types[][10] = {
	[EXT_HOP] = { IP6_EXT_HOP_BY_HOP, 255 },
	[EXT_DEST] = { IP6_EXT_DEST_OPTS, 255 },
	[EXT_ROUTING] = { IP6_EXT_HOP_BY_HOP, IP6_EXT_ROUTING, IP6_EXT_DEST_OPTS, 255 },
	[EXT_MANY] = { IP6_EXT_DEST_OPTS, IP6_EXT_DEST_OPTS, IP6_EXT_DEST_OPTS, IP6_EXT_DEST_OPTS, IP6_EXT_DEST_OPTS,
		       IP6_EXT_DEST_OPTS, IP6_EXT_DEST_OPTS, 255 },
	[EXT_ATOMIC] = { IP6_EXT_FRAGMENT, 255 },
};

static void put_ip6(struct out *o, const struct step_frame *f, uint8_t proto, enum step_addr src, enum step_addr dst)
{
	static const uint8_t none[] = { 255 }, fragment[] = { IP6_EXT_FRAGMENT, 255 };
	const uint8_t *ext = f->ext ? ext_types[f->ext] : f->more_frags || f->frag_off ? fragment : none;
	struct ip_addr from = step_ip(true, src), to = step_ip(true, dst);

	put_u32(o, f->first_byte ? (uint32_t)f->first_byte << 24 : 6u << 28);
	put_u16(o, 64);
	put_u8(o, ext[0] == 255 ? proto : ext[0]);
	put_u8(o, 64);
	memcpy(o->at, &from, 16);
	memcpy(o->at + 16, &to, 16);
	o->at += 32;
	for (; *ext != 255; ext++) {
		put_u8(o, ext[1] == 255 ? proto : ext[1]);
		if (*ext == IP6_EXT_FRAGMENT) {
			put_u8(o, 0);
			put_u16(o, f->frag_off | (f->more_frags ? 1u : 0u));
			put_u32(o, f->frag_id);
		} else {
			put_u8(o, 1); /* 16 bytes */
			put_zeros(o, 14);
		}
	}
}

static void put_ip(struct out *o, const struct step_frame *f, uint8_t proto, enum step_addr src, enum step_addr dst)
{
	if (f->v6)
		put_ip6(o, f, proto, src, dst);
	else
		put_ip4(o, f, proto, src, dst);
}

/* Long enough for TCP and UDP */
static void put_l4(struct out *o, uint16_t src_port, uint16_t dst_port, uint8_t flags)
{
	put_u16(o, src_port);
	put_u16(o, dst_port);
	put_zeros(o, 8);
	put_u8(o, 0x50);
	put_u8(o, flags);
	put_zeros(o, 6);
}

uint32_t step_build(const struct step_frame *f, uint8_t buf[static STEP_FRAME_MAX])
{
	struct out o = { buf };

	put_eth(&o, f);
	put_ip(&o, f, f->proto, f->src, f->dst);
	if (f->icmp_type) {
		struct step_frame quoted = { .v6 = f->v6 };

		put_u8(&o, f->icmp_type);
		put_zeros(&o, 7);
		/* What this host had sent. */
		put_ip(&o, &quoted, IP_PROTO_TCP, f->quote_src, f->quote_dst ? f->quote_dst : ADDR_PEER);
		put_l4(&o, f->dst_port, f->src_port, 0);
	} else if (f->frag_off == 0) {
		put_l4(&o, f->src_port, f->dst_port, f->flags);
	} else {
		memset(o.at, 0xaa, 32);
		o.at += 32;
	}
	put_zeros(&o, f->payload);
	return f->cut ? f->cut : (uint32_t)(o.at - buf);
}

/* ---- what vjd has told --------------------------------------------------------------------------------------------- */

static void set_owner(step_set_fn *set, void *arg, struct ip_addr addr, uint8_t proto, uint16_t port,
		      struct policy_owner owner)
{
	struct policy_port key = { .addr = addr, .port = be16(port), .proto = proto };

	set(arg, "ports", &key, owner.cnt ? &owner : NULL);
}

static struct policy_owner owned_by(uint32_t app)
{
	return (struct policy_owner){ .cnt = 1, .apps = { app } };
}

/* Under any address, and repeated under ADDR_HOST (not ADDR_HOST2: maps may have no room). */
static void set_port(step_set_fn *set, void *arg, uint8_t proto, uint16_t port, struct policy_owner owner)
{
	set_owner(set, arg, ip_addr_any_v4(), proto, port, owner);
	set_owner(set, arg, ip_addr_any_v6(), proto, port, owner);
	owner.flags |= POLICY_OWNER_HERE | POLICY_OWNER_REPEATED;
	for (unsigned v6 = 0; v6 < 2; v6++)
		set_owner(set, arg, step_ip(v6, ADDR_HOST), proto, port, owner);
}

void step_setup_gate(step_set_fn *set, void *arg)
{
	const struct policy_mac peer = { .mac = step_mac(MAC_OTHER) };
	const struct policy_mac other = { .mac = step_mac(MAC_QUIET) };
	const uint32_t asks = POLICY_HOP_KNOWN | POLICY_HOP_ASKS, quiet = POLICY_HOP_KNOWN;

	set(arg, "hops", &peer, &asks);
	set(arg, "hops", &other, &quiet);
}

/* ADDR_AWAY and its neighbours, but ADDR_OTHER; all else is here. */
static void set_ways(step_set_fn *set, void *arg, uint32_t away)
{
	const uint32_t here = POLICY_WAY_HERE, elsewhere = POLICY_WAY_ELSEWHERE;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		set(arg, "ways", &(struct policy_way){ v6 ? 0 : 96, v6 ? ip_addr_any_v6() : ip_addr_any_v4() }, &here);
		set(arg, "ways", &(struct policy_way){ 124, step_ip(v6, 144) }, &away);
		set(arg, "ways", &(struct policy_way){ 128, step_ip(v6, ADDR_LO) }, &elsewhere);
	}
}

/* Ports with few entries, or odd ones */
static void set_odd_ports(step_set_fn *set, void *arg)
{
	const struct policy_port empty = { .addr = step_ip(false, ADDR_HOST), .port = be16(PORT_GONE), .proto = IP_PROTO_UDP };
	const struct policy_owner nobody = { 0 };

	for (unsigned udp = 0; udp < 2; udp++)
		set_port(set, arg, udp ? IP_PROTO_UDP : IP_PROTO_TCP, PORT_SHARED,
			 (struct policy_owner){ .cnt = 2, .flags = POLICY_OWNER_GROUP, .apps = { 2, 1 } });
	set_owner(set, arg, ip_addr_any_v6(), IP_PROTO_UDP, PORT_SIX, owned_by(2));
	set_owner(set, arg, ip_addr_any_v4(), IP_PROTO_UDP, PORT_GONE, owned_by(2));
	set_owner(set, arg, step_ip(false, ADDR_OTHER), IP_PROTO_UDP, PORT_GONE, owned_by(2));
	set_owner(set, arg, step_ip(true, ADDR_OTHER), IP_PROTO_UDP, PORT_GONE, owned_by(2));
	set(arg, "ports", &empty, &nobody);
}

static void set_flow(step_set_fn *set, void *arg, bool v6, enum step_addr remote, uint16_t remote_port, enum step_addr local, uint32_t app)
{
	const struct policy_flow flow = {
		.remote = step_ip(v6, remote), .local = step_ip(v6, local),
		.remote_port = be16(remote_port), .local_port = be16(PORT_NONE), .proto = IP_PROTO_TCP,
	};

	set(arg, "flows", &flow, &app);
}

void step_setup(step_set_fn *set, void *arg)
{
	static const struct { enum step_addr addr; uint32_t vlan; } addrs[] = {
		{ ADDR_HOST, 0 }, { ADDR_HOST2, 0 }, { ADDR_VLAN, 5 }, { ADDR_QINQ, 6u << 16 | 5 }, { ADDR_LO, 0 },
	};
	static const struct { enum step_addr addr; uint32_t app; } own[] = { { ADDR_OWN1, 1 }, { ADDR_OWN2, 2 }, { ADDR_OWN4, 4 } };
	uint32_t none = 0, one = 1, app, block;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(own); i++) {
		struct policy_addr key = { step_ip(i & 1, own[i / 2].addr), 0 };

		set(arg, "addrs", &key, &own[i / 2].app);
	}
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(addrs); i++) {
		struct policy_addr key = { step_ip(i & 1, addrs[i / 2].addr), addrs[i / 2].vlan };

		set(arg, "addrs", &key, &none);
	}
	for (app = 1; app <= 5; app++)
		set(arg, "devs", &app, &one);
	app = 2;
	set(arg, "macs", &(struct policy_mac){ .mac = step_mac(MAC_APP) }, &app);
	app = 0;
	set(arg, "macs", &(struct policy_mac){ .mac = step_mac(MAC_QUARANTINE) }, &app);
	set_port(set, arg, IP_PROTO_TCP, PORT_TCP, owned_by(1));
	set_port(set, arg, IP_PROTO_UDP, PORT_UDP, owned_by(2));
	for (unsigned v6 = 0; v6 < 2; v6++)
		set_owner(set, arg, step_ip(v6, ADDR_HOST), IP_PROTO_UDP, PORT_UDP,
			  (struct policy_owner){ .cnt = 1, .flags = POLICY_OWNER_HERE, .apps = { 1 } });
	for (unsigned udp = 0; udp < 2; udp++)
		set_port(set, arg, udp ? IP_PROTO_UDP : IP_PROTO_TCP, PORT_GROUP,
			 (struct policy_owner){ .cnt = 1, .flags = POLICY_OWNER_GROUP, .apps = { 4 } });
	set_odd_ports(set, arg);
	app = 3;
	block = policy_block_idx(false, PORT_BLOCK);
	set(arg, "blocks", &block, &app);
	set_ways(set, arg, POLICY_WAY_ELSEWHERE);
}

static void set_left(step_set_fn *set, void *arg, enum step_addr local, uint16_t port)
{
	const uint32_t kernels = 0;

	for (unsigned v6 = 0; v6 < 2; v6++)
		set(arg, "flows",
		    &(struct policy_flow){ .remote = step_ip(v6, ADDR_PEER),
					   .local = step_ip(v6, local),
					   .remote_port = be16(PORT_PEER),
					   .local_port = be16(port),
					   .proto = IP_PROTO_TCP },
		    &kernels);
}

void step_apply(enum step_change change, step_set_fn *set, void *arg)
{
	struct policy_owner group = { .cnt = 2, .flags = POLICY_OWNER_GROUP, .apps = { 4, 5 } };
	uint32_t four = 4;

	switch (change) {
	case CHANGE_NONE:
		break;
	case CHANGE_GROUP_SHRINKS:
		group.cnt = 1;
		group.apps[0] = 5;
		/* fallthrough */
	case CHANGE_GROUP_GROWS:
		set_port(set, arg, IP_PROTO_TCP, PORT_GROUP, group);
		set_port(set, arg, IP_PROTO_UDP, PORT_GROUP, group);
		break;
	case CHANGE_APP_DIES:
		set(arg, "devs", &four, NULL);
		break;
	case CHANGE_WAY_HERE:
		set_ways(set, arg, POLICY_WAY_HERE);
		break;
	case CHANGE_WAY_AWAY:
		set_ways(set, arg, POLICY_WAY_ELSEWHERE);
		break;
	case CHANGE_ALONE:
		set_port(set, arg, IP_PROTO_UDP, PORT_SHARED, owned_by(1));
		break;
	case CHANGE_FLOWS:
		for (unsigned v6 = 0; v6 < 2; v6++) {
			set_flow(set, arg, v6, ADDR_PEER, PORT_PEER, ADDR_HOST, 2);
			set_flow(set, arg, v6, ADDR_HOST, PORT_TCP, ADDR_HOST2, 3);
		}
		break;
	case CHANGE_LEFT:
		set_left(set, arg, ADDR_HOST, PORT_BLOCK);
		set_left(set, arg, ADDR_OWN2, PORT_NONE);
		break;
	case CHANGE_LISTENER_CLOSED:
		set_port(set, arg, IP_PROTO_TCP, PORT_TCP, (struct policy_owner){ 0 });
		break;
	}
}

/* ---- dispatch ------------------------------------------------------------------------------------------------------ */

/* From the peer's PORT_PEER to ADDR_HOST; `...` changes that. */
#define TCP(port, ...) \
	{ .src = ADDR_PEER, .dst = ADDR_HOST, .proto = IP_PROTO_TCP, .src_port = PORT_PEER, .dst_port = port, __VA_ARGS__ }
#define UDP(port, ...) \
	{ .src = ADDR_PEER, .dst = ADDR_HOST, .proto = IP_PROTO_UDP, .src_port = PORT_PEER, .dst_port = port, __VA_ARGS__ }
/* An error from a router about a segment that this host had sent to the peer's PORT_PEER */
#define ICMP(type, port, ...)                                                                       \
	{ .src = ADDR_OTHER, .dst = ADDR_HOST, .quote_src = ADDR_HOST, .proto = IP_PROTO_ICMP,      \
	  .icmp_type = type, .src_port = PORT_PEER, .dst_port = port, __VA_ARGS__ }
#define ICMP6(type, port, ...) ICMP(type, port, .v6 = true, .proto = IP_PROTO_ICMP6, __VA_ARGS__)
#define TAG(id) ((id) + 1)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* what `...` changes */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* mostly nothing changes before a frame */
const struct step dispatch_steps[] = {
	{ "port, any address", TCP(PORT_TCP, .flags = TCP_ACK), POLICY_TO_PORT, 1 },
	{ "port, any address, 6", TCP(PORT_TCP, .v6 = true, .flags = TCP_ACK), POLICY_TO_PORT, 1 },
	{ "second address", TCP(PORT_TCP, .dst = ADDR_HOST2), POLICY_TO_PORT, 1 },
	{ "exact address before any", UDP(PORT_UDP), POLICY_TO_PORT, 1 },
	{ "exact address before any, 6", UDP(PORT_UDP, .v6 = true), POLICY_TO_PORT, 1 },
	{ "the other address", UDP(PORT_UDP, .dst = ADDR_HOST2), POLICY_TO_PORT, 2 },
	{ "the other address, 6", UDP(PORT_UDP, .v6 = true, .dst = ADDR_HOST2), POLICY_TO_PORT, 2 },
	{ "TCP's port is not UDP's", UDP(PORT_TCP), POLICY_PASS_PORT, 0 },
	{ "the kernel's port", TCP(PORT_NONE, .flags = TCP_SYN), POLICY_PASS_PORT, 0 },
	{ "not this host", TCP(PORT_TCP, .dst = ADDR_OTHER), POLICY_PASS_ADDR, 0 },
	{ "not this host, 6", TCP(PORT_TCP, .v6 = true, .dst = ADDR_OTHER), POLICY_PASS_ADDR, 0 },
	{ "block", TCP(PORT_BLOCK, .flags = TCP_SYN | TCP_ACK), POLICY_TO_BLOCK, 3 },
	{ "block of the other protocol", UDP(PORT_BLOCK), POLICY_PASS_PORT, 0 },
	{ "last of the block", TCP(PORT_BLOCK + 31, .v6 = true), POLICY_TO_BLOCK, 3 },
	{ "any address of IPv6", UDP(PORT_SIX, .v6 = true), POLICY_TO_PORT, 2 },
	{ "any address of IPv6, from IPv4", UDP(PORT_SIX), POLICY_PASS_PORT, 0 },
	{ "leased at an address that is the host's no more", UDP(PORT_GONE, .dst = ADDR_OTHER), POLICY_PASS_ADDR, 0 },
	{ "leased at an address that is the host's no more, 6", UDP(PORT_GONE, .v6 = true, .dst = ADDR_OTHER), POLICY_PASS_ADDR, 0 },
	{ "an entry without owners is none", UDP(PORT_GONE), POLICY_TO_PORT, 2 },
	{ "behind the block", TCP(PORT_BLOCK + 32), POLICY_PASS_PORT, 0 },

	{ "application's MAC", TCP(PORT_NONE, .dst_mac = MAC_APP, .dst = ADDR_OTHER), POLICY_TO_MAC, 2 },
	{ "application's MAC, a datagram that is no ICMPv6", UDP(PORT_NONE, .v6 = true, .src_port = 40001, .dst_mac = MAC_APP), POLICY_TO_MAC, 2 },
	{ "application's MAC, headers that don't parse", TCP(0, .dst_mac = MAC_APP, .first_byte = 0x41), POLICY_TO_MAC, 2 },
	{ "MAC in quarantine: by port", TCP(PORT_TCP, .dst_mac = MAC_QUARANTINE), POLICY_TO_PORT, 1 },
	{ "MAC in quarantine: by port, 6", UDP(PORT_UDP, .v6 = true, .dst_mac = MAC_QUARANTINE), POLICY_TO_PORT, 1 },
	{ "MAC in quarantine, nobody's port", TCP(PORT_NONE, .dst_mac = MAC_QUARANTINE), POLICY_PASS_PORT, 0 },
	{ "MAC in quarantine, not this host", TCP(PORT_TCP, .dst_mac = MAC_QUARANTINE, .dst = ADDR_OTHER), POLICY_PASS_ADDR, 0 },
	{ "other MAC", TCP(PORT_TCP, .dst_mac = MAC_OTHER), POLICY_PASS_MAC, 0 },
	{ "group", UDP(PORT_UDP, .dst_mac = MAC_GROUP), POLICY_PASS_GROUP, 0 },
	{ "ARP", TCP(0, .eth_type = ETH_TYPE_ARP), POLICY_PASS_TYPE, 0 },
	{ "ARP to an application's MAC", TCP(0, .dst_mac = MAC_APP, .eth_type = ETH_TYPE_ARP), POLICY_PASS_TYPE, 0 },
	{ "what only vjd may send", TCP(PORT_TCP, .eth_type = POLICY_GIVE_BACK_TYPE), POLICY_PASS_TYPE, 0 },

	{ "tag without the address there", TCP(PORT_TCP, .vlans = { TAG(5) }), POLICY_PASS_ADDR, 0 },
	{ "tag", TCP(PORT_TCP, .vlans = { TAG(5) }, .dst = ADDR_VLAN), POLICY_TO_PORT, 1 },
	{ "tag, 6", TCP(PORT_TCP, .v6 = true, .vlans = { TAG(5) }, .dst = ADDR_VLAN), POLICY_TO_PORT, 1 },
	{ "other tag", TCP(PORT_TCP, .vlans = { TAG(7) }, .dst = ADDR_VLAN), POLICY_PASS_ADDR, 0 },
	{ "tag missing", TCP(PORT_TCP, .dst = ADDR_VLAN), POLICY_PASS_ADDR, 0 },
	{ "two tags", TCP(PORT_TCP, .vlans = { TAG(6), TAG(5) }, .dst = ADDR_QINQ), POLICY_TO_PORT, 1 },
	{ "two tags, other way round", TCP(PORT_TCP, .vlans = { TAG(5), TAG(6) }, .dst = ADDR_QINQ), POLICY_PASS_ADDR, 0 },
	{ "priority tag", TCP(PORT_TCP, .vlans = { TAG(0xe000) }), POLICY_TO_PORT, 1 },
	{ "priority tag in a VLAN", TCP(PORT_TCP, .vlans = { TAG(5), TAG(0) }, .dst = ADDR_VLAN), POLICY_TO_PORT, 1 },
	{ "three tags", TCP(PORT_TCP, .vlans = { TAG(5), TAG(5), TAG(5) }, .dst = ADDR_VLAN), POLICY_PASS_TYPE, 0 },
	{ "tag, application's MAC: by address and port", TCP(PORT_TCP, .dst_mac = MAC_APP, .vlans = { TAG(5) }, .dst = ADDR_VLAN), POLICY_TO_PORT, 1 },
	{ "tag, application's MAC, address of no VLAN", TCP(PORT_TCP, .dst_mac = MAC_APP, .vlans = { TAG(5) }), POLICY_PASS_ADDR, 0 },
	{ "tag, application's MAC, the kernel's port", TCP(PORT_NONE, .dst_mac = MAC_APP, .vlans = { TAG(5) }, .dst = ADDR_VLAN), POLICY_PASS_PORT, 0 },
	{ "two tags, application's MAC", TCP(PORT_TCP, .dst_mac = MAC_APP, .vlans = { TAG(6), TAG(5) }, .dst = ADDR_HOST), POLICY_PASS_ADDR, 0 },
	{ "priority tag, application's MAC", TCP(PORT_NONE, .dst_mac = MAC_APP, .vlans = { TAG(0xe000) }), POLICY_TO_MAC, 2 },
	{ "cut in a tag", TCP(PORT_TCP, .vlans = { TAG(5) }, .cut = 16), POLICY_PASS_BAD, 0 },

	{ "IPv4 options", TCP(PORT_TCP, .options = 40), POLICY_TO_PORT, 1 },
	{ "header too short", TCP(PORT_TCP, .first_byte = 0x44), POLICY_PASS_BAD, 0 },
	{ "header longer than the packet", TCP(PORT_TCP, .first_byte = 0x4f, .cut = 60), POLICY_PASS_BAD, 0 },
	{ "version", TCP(PORT_TCP, .first_byte = 0x65), POLICY_PASS_BAD, 0 },
	{ "version, 6", TCP(PORT_TCP, .v6 = true, .first_byte = 0x45), POLICY_PASS_BAD, 0 },
	{ "cut in IPv4", TCP(PORT_TCP, .cut = 33), POLICY_PASS_BAD, 0 },
	{ "cut in IPv6", TCP(PORT_TCP, .v6 = true, .cut = 53), POLICY_PASS_BAD, 0 },
	{ "cut in TCP", TCP(PORT_TCP, .cut = 46), POLICY_PASS_BAD, 0 },
	{ "nothing but Ethernet", TCP(PORT_TCP, .cut = 14), POLICY_PASS_BAD, 0 },
	{ "hop-by-hop", TCP(PORT_TCP, .v6 = true, .ext = EXT_HOP), POLICY_TO_PORT, 1 },
	{ "destination options", UDP(PORT_UDP, .v6 = true, .ext = EXT_DEST), POLICY_TO_PORT, 1 },
	{ "routing and more", TCP(PORT_TCP, .v6 = true, .ext = EXT_ROUTING), POLICY_TO_PORT, 1 },
	{ "too many headers", TCP(PORT_TCP, .v6 = true, .ext = EXT_MANY), POLICY_PASS_BAD, 0 },
	{ "cut in an extension header", TCP(PORT_TCP, .v6 = true, .ext = EXT_DEST, .cut = 60), POLICY_PASS_BAD, 0 },
	{ "atomic fragment", TCP(PORT_TCP, .v6 = true, .ext = EXT_ATOMIC), POLICY_TO_PORT, 1 },
	{ "other protocol", TCP(0, .proto = 47), POLICY_PASS_PROTO, 0 },
	{ "other protocol, 6", TCP(0, .v6 = true, .proto = 50), POLICY_PASS_PROTO, 0 },

	{ "later fragment of nobody", UDP(0, .frag_off = 1480, .frag_id = 9), POLICY_PASS_FRAG, 0 },
	{ "first fragment", UDP(PORT_UDP, .more_frags = true, .frag_id = 9), POLICY_TO_PORT, 1 },
	{ "middle fragment", UDP(0, .frag_off = 1480, .more_frags = true, .frag_id = 9), POLICY_TO_FRAG, 1 },
	{ "last fragment", UDP(0, .frag_off = 2960, .frag_id = 9), POLICY_TO_FRAG, 1 },
	{ "fragment of another id", UDP(0, .frag_off = 2960, .frag_id = 10), POLICY_PASS_FRAG, 0 },
	{ "fragment of another protocol", TCP(0, .frag_off = 2960, .frag_id = 9), POLICY_PASS_FRAG, 0 },
	{ "fragment from elsewhere", UDP(0, .src = ADDR_OTHER, .frag_off = 2960, .frag_id = 9), POLICY_PASS_FRAG, 0 },
	{ "the kernel uses the id", UDP(PORT_NONE, .more_frags = true, .frag_id = 9), POLICY_PASS_PORT, 0 },
	{ "and has its fragments", UDP(0, .frag_off = 1480, .frag_id = 9), POLICY_PASS_FRAG, 0 },
	{ "first fragment, 6", UDP(PORT_UDP, .v6 = true, .more_frags = true, .frag_id = 9), POLICY_TO_PORT, 1 },
	{ "last fragment, 6", UDP(0, .v6 = true, .frag_off = 1480, .frag_id = 9), POLICY_TO_FRAG, 1 },
	{ "last fragment, 6, names another header", TCP(0, .v6 = true, .frag_off = 1480, .frag_id = 9), POLICY_TO_FRAG, 1 },

	{ "unreachable", ICMP(ICMP4_UNREACH, PORT_TCP), POLICY_TO_ICMP, 1 },
	{ "time exceeded, block", ICMP(ICMP4_TIME_EXCEEDED, PORT_BLOCK), POLICY_TO_ICMP, 3 },
	{ "packet too big", ICMP6(ICMP6_PKT_TOO_BIG, PORT_TCP), POLICY_TO_ICMP, 1 },
	{ "about the kernel's flow", ICMP(ICMP4_UNREACH, PORT_NONE), POLICY_PASS_PORT, 0 },
	{ "about a flow that another host has", ICMP(ICMP4_UNREACH, PORT_TCP, .quote_src = ADDR_HOST2), POLICY_PASS_PROTO, 0 },
	{ "ping", ICMP(ICMP4_ECHO_REQUEST, PORT_TCP), POLICY_PASS_PROTO, 0 },
	{ "neighbour solicitation", ICMP6(135, PORT_TCP), POLICY_PASS_PROTO, 0 },
	{ "quotes too little", ICMP(ICMP4_UNREACH, PORT_TCP, .cut = 66), POLICY_PASS_BAD, 0 },
	{ "ICMPv6 in IPv4", ICMP(1, PORT_TCP, .proto = IP_PROTO_ICMP6), POLICY_PASS_PROTO, 0 },

	{ "another way back", TCP(PORT_TCP, .src = ADDR_AWAY, .flags = TCP_SYN), POLICY_PASS_WAY, 0 },
	{ "another way back, 6", TCP(PORT_TCP, .v6 = true, .src = ADDR_AWAY, .flags = TCP_SYN), POLICY_PASS_WAY, 0 },
	{ "and what follows", TCP(PORT_TCP, .src = ADDR_AWAY, .flags = TCP_ACK), POLICY_PASS_WAY, 0 },
	{ "a datagram with another way back", UDP(PORT_UDP, .src = ADDR_AWAY), POLICY_PASS_WAY, 0 },
	{ "a datagram with another way back, 6", UDP(PORT_UDP, .v6 = true, .src = ADDR_AWAY), POLICY_PASS_WAY, 0 },
	{ "to a group, too", UDP(PORT_GROUP, .src = ADDR_AWAY), POLICY_PASS_WAY, 0 },
	{ "a first fragment with another way back", UDP(PORT_UDP, .src = ADDR_AWAY, .more_frags = true, .frag_id = 11), POLICY_PASS_WAY, 0 },
	{ "and its later one", UDP(0, .src = ADDR_AWAY, .frag_off = 1480, .frag_id = 11), POLICY_PASS_FRAG, 0 },
	{ "about what the kernel answered", ICMP(ICMP4_UNREACH, PORT_TCP, .quote_dst = ADDR_AWAY), POLICY_PASS_WAY, 0 },
	{ "about what the kernel answered, 6", ICMP6(ICMP6_PKT_TOO_BIG, PORT_TCP, .quote_dst = ADDR_AWAY), POLICY_PASS_WAY, 0 },
	{ "another way back, application's MAC: by port", TCP(PORT_TCP, .src = ADDR_AWAY, .dst_mac = MAC_APP), POLICY_PASS_WAY, 0 },
	{ "another way back, application's MAC, 6", UDP(PORT_UDP, .v6 = true, .src = ADDR_AWAY, .dst_mac = MAC_APP), POLICY_PASS_WAY, 0 },
	{ "another way back, application's MAC, the kernel's port", TCP(PORT_NONE, .src = ADDR_AWAY, .dst_mac = MAC_APP), POLICY_PASS_PORT, 0 },
	{ "another way back, application's MAC, cut", TCP(PORT_TCP, .src = ADDR_AWAY, .dst_mac = MAC_APP, .cut = 33), POLICY_TO_MAC, 2 },
	{ "another way back, a block, where the kernel has nothing", TCP(PORT_BLOCK, .src = ADDR_AWAY), POLICY_TO_BLOCK, 3 },
	{ "another way back, nobody's port", TCP(PORT_NONE, .src = ADDR_AWAY, .flags = TCP_SYN), POLICY_PASS_PORT, 0 },
	{ "another device's address", TCP(PORT_TCP, .dst = ADDR_LO, .flags = TCP_SYN), POLICY_PASS_WAY, 0 },
	{ "another device's address, 6", UDP(PORT_UDP, .v6 = true, .dst = ADDR_LO), POLICY_PASS_WAY, 0 },
	{ "another device's address, a block", TCP(PORT_BLOCK, .dst = ADDR_LO), POLICY_TO_BLOCK, 3 },
	{ "no prefix of it", TCP(PORT_TCP, .src = ADDR_OTHER), POLICY_TO_PORT, 1 },

	{ "a datagram that nothing else fits with", UDP(PORT_UDP, .payload = STEP_LONG - 62), POLICY_TO_PORT, 1 },
	{ "as long as may be", UDP(PORT_UDP, .payload = STEP_LONG - 54), POLICY_TO_PORT, 1 },
	{ "application's address, too long: by port", UDP(PORT_UDP, .v6 = true, .dst = ADDR_OWN1, .payload = STEP_LONG), POLICY_PASS_LONG, 0 },
	{ "too long", UDP(PORT_UDP, .payload = STEP_LONG - 54 + 1), POLICY_PASS_LONG, 0 },
	{ "too long, 6", UDP(PORT_UDP, .v6 = true, .payload = STEP_LONG), POLICY_PASS_LONG, 0 },
	{ "too long, first of two", UDP(PORT_UDP, .more_frags = true, .frag_id = 12, .payload = STEP_LONG), POLICY_PASS_LONG, 0 },
	{ "and the second", UDP(0, .frag_off = 1480, .frag_id = 12), POLICY_PASS_FRAG, 0 },
	{ "too long, application's MAC: by port", UDP(PORT_UDP, .dst_mac = MAC_APP, .payload = STEP_LONG), POLICY_PASS_LONG, 0 },
	{ "of TCP nothing is", TCP(PORT_TCP, .payload = STEP_LONG), POLICY_TO_PORT, 1 },

	{ "its way is here now", TCP(PORT_TCP, .src = ADDR_AWAY, .src_port = 9, .flags = TCP_SYN), POLICY_TO_PORT, 1, CHANGE_WAY_HERE },
	{ "and away again: goes on", TCP(PORT_TCP, .src = ADDR_AWAY, .src_port = 9), POLICY_TO_FLOW, 1, CHANGE_WAY_AWAY },
	{ "begins anew, with the kernel", TCP(PORT_TCP, .src = ADDR_AWAY, .src_port = 9, .flags = TCP_SYN), POLICY_PASS_WAY, 0 },
	{ "and the rest of it", TCP(PORT_TCP, .src = ADDR_AWAY, .src_port = 9), POLICY_PASS_WAY, 0 },

	{ "application's address, the kernel's port", TCP(PORT_NONE, .v6 = true, .dst = ADDR_OWN2, .flags = TCP_SYN), POLICY_TO_ADDR, 2 },
	{ "application's address, IPv4", UDP(PORT_NONE, .dst = ADDR_OWN2), POLICY_TO_ADDR, 2 },
	{ "application's address, another's lease of any", TCP(PORT_TCP, .v6 = true, .dst = ADDR_OWN2), POLICY_TO_ADDR, 2 },
	{ "application's address, another's block", TCP(PORT_BLOCK, .v6 = true, .dst = ADDR_OWN2), POLICY_TO_ADDR, 2 },
	{ "application's address, quarantine", UDP(PORT_UDP, .v6 = true, .dst = ADDR_OWN1, .dst_mac = MAC_QUARANTINE), POLICY_TO_ADDR, 1 },
	{ "application's address, first fragment", UDP(PORT_NONE, .v6 = true, .dst = ADDR_OWN1, .more_frags = true, .frag_id = 7), POLICY_TO_ADDR, 1 },
	{ "application's address, later fragment", UDP(0, .v6 = true, .dst = ADDR_OWN1, .frag_off = 1480, .frag_id = 7), POLICY_TO_FRAG, 1 },
	{ "application's address, no TCP or UDP", TCP(0, .v6 = true, .dst = ADDR_OWN2, .proto = 50), POLICY_PASS_PROTO, 0 },
	{ "application's address, another way back", TCP(PORT_TCP, .v6 = true, .src = ADDR_AWAY, .dst = ADDR_OWN1), POLICY_PASS_WAY, 0 },
	{ "application's address, tag", TCP(PORT_TCP, .v6 = true, .dst = ADDR_OWN2, .vlans = { TAG(5) }), POLICY_PASS_ADDR, 0 },
	{ "application's address, error", ICMP6(ICMP6_PKT_TOO_BIG, PORT_NONE, .dst = ADDR_OWN2, .quote_src = ADDR_OWN2), POLICY_TO_ICMP, 2 },
	{ "application's address, ping", ICMP6(ICMP6_ECHO_REQUEST, 0, .dst = ADDR_OWN2), POLICY_PASS_PROTO, 0 },
	{ "application's MAC, ping", ICMP6(ICMP6_ECHO_REQUEST, 0, .dst = ADDR_OWN2, .dst_mac = MAC_APP), POLICY_PASS_ASKING, 0 },
	{ "application's MAC, neighbour solicitation", ICMP6(135, 0, .dst = ADDR_OWN2, .dst_mac = MAC_APP), POLICY_PASS_ASKING, 0 },
	{ "application's MAC, ICMPv6 error", ICMP6(ICMP6_PKT_TOO_BIG, 0, .dst = ADDR_OWN2, .dst_mac = MAC_APP), POLICY_TO_MAC, 2 },
	{ "application's MAC, no type in ICMPv6", ICMP6(135, 0, .dst_mac = MAC_APP, .cut = 54), POLICY_TO_MAC, 2 },
	{ "application's MAC, ping, IPv4", ICMP(ICMP4_ECHO_REQUEST, 0, .dst_mac = MAC_APP), POLICY_TO_MAC, 2 },
	{ "MAC in quarantine, ping", ICMP6(ICMP6_ECHO_REQUEST, 0, .dst_mac = MAC_QUARANTINE), POLICY_PASS_PROTO, 0 },

	{ "group of one: begins", TCP(PORT_GROUP, .src_port = 1, .flags = TCP_SYN), POLICY_TO_PORT, 4 },
	{ "datagrams, too", UDP(PORT_GROUP, .src_port = 1), POLICY_TO_PORT, 4 },
	{ "goes on", TCP(PORT_GROUP, .src_port = 1, .flags = TCP_ACK), POLICY_TO_FLOW, 4, CHANGE_GROUP_GROWS },
	{ "datagrams, too", UDP(PORT_GROUP, .src_port = 1), POLICY_TO_FLOW, 4 },
	{ "new flow, of the new one", TCP(PORT_GROUP, .src_port = 3, .flags = TCP_SYN), POLICY_TO_PORT, 5 },
	{ "new flow, of the old one", TCP(PORT_GROUP, .src_port = 2, .flags = TCP_SYN), POLICY_TO_PORT, 4 },
	{ "goes on", TCP(PORT_GROUP, .src_port = 3, .flags = TCP_ACK), POLICY_TO_FLOW, 5 },
	{ "goes on after its owner left", TCP(PORT_GROUP, .src_port = 2), POLICY_TO_FLOW, 4, CHANGE_GROUP_SHRINKS },
	{ "error about it", ICMP(ICMP4_UNREACH, PORT_GROUP, .src_port = 2), POLICY_TO_ICMP, 4 },
	{ "does not begin with who left", TCP(PORT_GROUP, .src_port = 2, .flags = TCP_SYN), POLICY_TO_PORT, 5 },
	{ "its address, while it lives", TCP(PORT_GROUP, .dst = ADDR_OWN4, .src_port = 1), POLICY_TO_ADDR, 4 },
	{ "a datagram's first fragment", UDP(PORT_GROUP, .src_port = 1, .more_frags = true, .frag_id = 21), POLICY_TO_FLOW, 4 },
	{ "owner died: whoever is there", TCP(PORT_GROUP, .src_port = 1), POLICY_TO_PORT, 5, CHANGE_APP_DIES },
	{ "but not in the middle of a datagram", UDP(0, .src_port = 1, .frag_off = 1480, .frag_id = 21), POLICY_PASS_FRAG, 0 },
	{ "and its address is one of the host's", TCP(PORT_GROUP, .dst = ADDR_OWN4, .src_port = 1), POLICY_TO_PORT, 5 },
	{ "and the kernel's", TCP(PORT_NONE, .v6 = true, .dst = ADDR_OWN4), POLICY_PASS_PORT, 0 },

	{ "accepted", TCP(PORT_TCP, .src_port = 5, .flags = TCP_SYN), POLICY_TO_PORT, 1 },
	{ "a segment's first fragment, which the later ones follow", TCP(PORT_TCP, .src_port = 5, .more_frags = true, .frag_id = 22), POLICY_TO_PORT, 1 },
	{ "and they do", TCP(0, .src_port = 5, .frag_off = 1480, .frag_id = 22), POLICY_TO_FRAG, 1 },
	{ "datagrams to a group of two", UDP(PORT_SHARED, .src_port = 6), POLICY_TO_PORT, 2 },
	{ "which is one's alone now", UDP(PORT_SHARED, .src_port = 6), POLICY_TO_PORT, 1, CHANGE_ALONE },
	{ "listener closed, connection stays", TCP(PORT_TCP, .src_port = 5), POLICY_TO_FLOW, 1, CHANGE_LISTENER_CLOSED },
	{ "and when the interface's MAC address is another", TCP(PORT_TCP, .src_port = 5, .dst_mac = MAC_OTHER), POLICY_DROP_MAC, 0 },
	{ "but nothing else is lost", TCP(PORT_TCP, .src_port = 7, .dst_mac = MAC_OTHER), POLICY_PASS_MAC, 0 },
	{ "nor what begins", TCP(PORT_TCP, .src_port = 5, .flags = TCP_SYN, .dst_mac = MAC_OTHER), POLICY_PASS_MAC, 0 },
	{ "no new one", TCP(PORT_TCP, .src_port = 6, .flags = TCP_SYN), POLICY_PASS_PORT, 0 },
	{ "nor what was never one", TCP(PORT_TCP, .src_port = 6), POLICY_PASS_PORT, 0 },
	{ "the kernel has the port now", TCP(PORT_TCP, .src_port = 5, .flags = TCP_SYN), POLICY_PASS_PORT, 0 },
	{ "and the rest of that flow", TCP(PORT_TCP, .src_port = 5), POLICY_PASS_PORT, 0 },

	{ "has become the kernel's", TCP(PORT_BLOCK), POLICY_PASS_FLOW, 0, CHANGE_LEFT },
	{ "has become the kernel's, 6", TCP(PORT_BLOCK, .v6 = true), POLICY_PASS_FLOW, 0 },
	{ "and an error about it", ICMP(ICMP4_UNREACH, PORT_BLOCK), POLICY_PASS_FLOW, 0 },
	{ "also at an application's MAC", TCP(PORT_BLOCK, .dst_mac = MAC_APP), POLICY_PASS_FLOW, 0 },
	{ "and at the address of one", TCP(PORT_NONE, .v6 = true, .dst = ADDR_OWN2), POLICY_PASS_FLOW, 0 },
	{ "not another of that port", TCP(PORT_BLOCK, .src_port = 7), POLICY_TO_BLOCK, 3 },
	{ "nor what begins", TCP(PORT_NONE, .v6 = true, .dst = ADDR_OWN2, .flags = TCP_SYN), POLICY_TO_ADDR, 2 },
};
const size_t dispatch_step_cnt = ARRAY_SIZE(dispatch_steps);

/* ---- gate ---------------------------------------------------------------------------------------------------------- */

/* From ADDR_HOST to the peer */
#define FROM(proto_, port, ...)                                                                                     \
	{ .src_mac = MAC_HOST, .dst_mac = MAC_OTHER, .src = ADDR_HOST, .dst = ADDR_PEER, .proto = proto_,           \
	  .src_port = port, .dst_port = PORT_PEER, __VA_ARGS__ }

/* Of ICMPv6, about a packet of the peer's */
#define ERROR(type, from, about, ...)                                                                               \
	FROM(IP_PROTO_ICMP6, PORT_NONE, .v6 = true, .icmp_type = type, .src = from, .quote_src = ADDR_PEER,         \
	     .quote_dst = about, __VA_ARGS__)

const struct step gate_steps[] = {
	{ "leased", FROM(IP_PROTO_TCP, PORT_TCP), POLICY_SENT, 0 },
	{ "leased, 6", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true), POLICY_SENT, 0 },
	{ "exact address", FROM(IP_PROTO_UDP, PORT_UDP), POLICY_SENT, 0 },
	{ "exact address, 6", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true), POLICY_SENT, 0 },
	{ "leased with another application, which comes first", FROM(IP_PROTO_TCP, PORT_SHARED), POLICY_SENT, 0 },
	{ "leased with another application, 6", FROM(IP_PROTO_UDP, PORT_SHARED, .v6 = true), POLICY_SENT, 0 },
	{ "to a neighbour that nobody asks", FROM(IP_PROTO_TCP, PORT_TCP, .dst_mac = MAC_QUIET), POLICY_SENT, 0 },
	{ "from no MAC", FROM(IP_PROTO_TCP, PORT_TCP, .src_mac = MAC_NONE), POLICY_GATE_SRC_MAC, 0 },
	{ "from its own MAC, which it has not", FROM(IP_PROTO_TCP, PORT_TCP, .src_mac = MAC_APP), POLICY_GATE_SRC_MAC, 0 },
	{ "from another MAC", FROM(IP_PROTO_TCP, PORT_TCP, .src_mac = MAC_OTHER), POLICY_GATE_SRC_MAC, 0 },
	{ "to a MAC that is no neighbour's", FROM(IP_PROTO_TCP, PORT_TCP, .dst_mac = MAC_QUARANTINE), POLICY_GATE_DST_MAC, 0 },
	{ "to a MAC that is no neighbour's, 6", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true, .dst_mac = MAC_APP), POLICY_GATE_DST_MAC, 0 },
	{ "to all", FROM(IP_PROTO_TCP, PORT_TCP, .dst_mac = MAC_GROUP), POLICY_GATE_DST_MAC, 0 },
	{ "ARP", FROM(IP_PROTO_TCP, PORT_TCP, .eth_type = ETH_TYPE_ARP), POLICY_GATE_TYPE, 0 },
	{ "what only vjd may send", FROM(IP_PROTO_TCP, PORT_TCP, .eth_type = POLICY_GIVE_BACK_TYPE), POLICY_GATE_TYPE, 0 },
	{ "as long as may be", FROM(IP_PROTO_TCP, PORT_TCP, .payload = STEP_MTU - 40), POLICY_SENT, 0 },
	{ "longer", FROM(IP_PROTO_TCP, PORT_TCP, .payload = STEP_MTU - 39), POLICY_GATE_LEN, 0 },
	{ "as long as may be, 6", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .payload = STEP_MTU - 60), POLICY_SENT, 0 },
	{ "longer, 6", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .payload = STEP_MTU - 59), POLICY_GATE_LEN, 0 },
	{ "tag does not count", FROM(IP_PROTO_TCP, PORT_TCP, .vlans = { TAG(5) }, .src = ADDR_VLAN, .payload = STEP_MTU - 40),
	  POLICY_SENT, 0 },
	{ "other tag", FROM(IP_PROTO_TCP, PORT_TCP, .vlans = { TAG(7) }, .src = ADDR_VLAN), POLICY_GATE_SRC_ADDR, 0 },
	{ "another address", FROM(IP_PROTO_TCP, PORT_TCP, .src = ADDR_OTHER), POLICY_GATE_SRC_ADDR, 0 },
	{ "another address, 6", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .src = ADDR_OTHER), POLICY_GATE_SRC_ADDR, 0 },
	{ "another application's port", FROM(IP_PROTO_UDP, PORT_UDP, .src = ADDR_HOST2), POLICY_GATE_SRC_PORT, 0 },
	{ "another application's block", FROM(IP_PROTO_TCP, PORT_BLOCK), POLICY_GATE_SRC_PORT, 0 },
	{ "the kernel's port", FROM(IP_PROTO_TCP, PORT_NONE, .v6 = true), POLICY_GATE_SRC_PORT, 0 },
	{ "first fragment", FROM(IP_PROTO_UDP, PORT_UDP, .more_frags = true), POLICY_SENT, 0 },
	{ "middle fragment", FROM(IP_PROTO_UDP, PORT_UDP, .frag_off = 1480, .more_frags = true), POLICY_SENT, 0 },
	{ "last fragment", FROM(IP_PROTO_UDP, PORT_UDP, .frag_off = 1480), POLICY_SENT, 0 },
	{ "first fragment, 6", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true, .more_frags = true), POLICY_SENT, 0 },
	{ "last fragment, 6", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true, .frag_off = 1480), POLICY_SENT, 0 },
	{ "first fragment, another's port", FROM(IP_PROTO_UDP, PORT_UDP, .src = ADDR_HOST2, .more_frags = true),
	  POLICY_GATE_SRC_PORT, 0 },
	{ "first fragment, another's port, 6", FROM(IP_PROTO_UDP, PORT_NONE, .v6 = true, .more_frags = true),
	  POLICY_GATE_SRC_PORT, 0 },
	{ "last fragment, another address", FROM(IP_PROTO_UDP, PORT_UDP, .src = ADDR_OTHER, .frag_off = 1480),
	  POLICY_GATE_SRC_ADDR, 0 },
	{ "last fragment, another address, 6", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true, .src = ADDR_OTHER, .frag_off = 1480),
	  POLICY_GATE_SRC_ADDR, 0 },
	{ "fragment of TCP", FROM(IP_PROTO_TCP, PORT_TCP, .more_frags = true), POLICY_GATE_FRAG, 0 },
	{ "last fragment of TCP, 6", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .frag_off = 1480), POLICY_GATE_FRAG, 0 },
	{ "fragment to this host", FROM(IP_PROTO_UDP, PORT_UDP, .dst = ADDR_HOST2, .more_frags = true), POLICY_GATE_FRAG, 0 },
	{ "fragment header behind another", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true, .ext = EXT_DEST, .more_frags = true),
	  POLICY_GATE_BAD, 0 },
	{ "options", FROM(IP_PROTO_TCP, PORT_TCP, .options = 8), POLICY_GATE_BAD, 0 },
	{ "extension header", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .ext = EXT_DEST), POLICY_GATE_BAD, 0 },
	{ "cut", FROM(IP_PROTO_TCP, PORT_TCP, .cut = 40), POLICY_GATE_BAD, 0 },
	{ "other protocol", FROM(47, PORT_TCP), POLICY_GATE_PROTO, 0 },
	{ "ICMP error", FROM(IP_PROTO_ICMP, PORT_TCP, .icmp_type = ICMP4_UNREACH, .quote_src = ADDR_PEER), POLICY_GATE_PROTO, 0 },
	{ "its address, ICMPv6 error", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .payload = 0), POLICY_SENT, 0 },
	{ "its address, the last error", ERROR(ICMP6_PARAM_PROBLEM, ADDR_OWN1, ADDR_OWN1, .payload = 0), POLICY_SENT, 0 },
	{ "its address, error to no neighbour's MAC", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .dst_mac = MAC_QUARANTINE), POLICY_GATE_DST_MAC, 0 },
	{ "its address, no error", ERROR(5, ADDR_OWN1, ADDR_OWN1, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "its address, ping", ERROR(ICMP6_ECHO_REQUEST, ADDR_OWN1, ADDR_OWN1, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "its address, advertisement", ERROR(136, ADDR_OWN1, ADDR_OWN1, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "its address, error about another's", ERROR(ICMP6_PKT_TOO_BIG, ADDR_OWN1, ADDR_OWN2, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "its address, error about the host's", ERROR(ICMP6_PKT_TOO_BIG, ADDR_OWN1, ADDR_HOST, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "its address, error that quotes too little", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .cut = 14 + 40 + 8 + 39), POLICY_GATE_PROTO, 0 },
	{ "its address, error, tag", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .vlans = { TAG(5) }), POLICY_GATE_PROTO, 0 },
	{ "its address, error to another's", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .dst = ADDR_OWN2), POLICY_GATE_PROTO, 0 },
	{ "its address, error to this host", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .dst = ADDR_HOST), POLICY_GATE_PROTO, 0 },
	{ "another's address, ICMPv6 error", ERROR(ICMP6_UNREACH, ADDR_OWN2, ADDR_OWN2, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "the host's address, ICMPv6 error", ERROR(ICMP6_UNREACH, ADDR_HOST, ADDR_HOST, .payload = 0), POLICY_GATE_PROTO, 0 },
	{ "its address, error in IPv4", ERROR(ICMP6_UNREACH, ADDR_OWN1, ADDR_OWN1, .v6 = false), POLICY_GATE_PROTO, 0 },
	{ "its address, any port", FROM(IP_PROTO_TCP, PORT_NONE, .v6 = true, .src = ADDR_OWN1), POLICY_SENT, 0 },
	{ "its address, any port, IPv4", FROM(IP_PROTO_UDP, PORT_BLOCK, .src = ADDR_OWN1), POLICY_SENT, 0 },
	{ "its address, later fragment", FROM(IP_PROTO_UDP, 0, .v6 = true, .src = ADDR_OWN1, .frag_off = 1480), POLICY_SENT, 0 },
	{ "its address, tag", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .src = ADDR_OWN1, .vlans = { TAG(5) }), POLICY_GATE_SRC_ADDR, 0 },
	{ "another's address, its own port", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .src = ADDR_OWN2), POLICY_GATE_SRC_ADDR, 0 },
	{ "another's address, later fragment", FROM(IP_PROTO_UDP, 0, .v6 = true, .src = ADDR_OWN2, .frag_off = 1480), POLICY_GATE_SRC_ADDR, 0 },
	{ "to another's address, any port", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .dst = ADDR_OWN2, .dst_port = PORT_NONE), POLICY_SENT_LOCAL, 2 },
	{ "from its address to another's", FROM(IP_PROTO_UDP, 5, .v6 = true, .src = ADDR_OWN1, .dst = ADDR_OWN2), POLICY_SENT_LOCAL, 2 },
	{ "fragment to another's address", FROM(IP_PROTO_UDP, PORT_UDP, .v6 = true, .dst = ADDR_OWN2, .more_frags = true), POLICY_GATE_FRAG, 0 },
	{ "to another application", FROM(IP_PROTO_TCP, PORT_TCP, .dst = ADDR_HOST2, .dst_port = PORT_BLOCK), POLICY_SENT_LOCAL, 3 },
	{ "to a group", FROM(IP_PROTO_TCP, PORT_TCP, .dst = ADDR_HOST, .dst_port = PORT_GROUP), POLICY_SENT_LOCAL, 4 },
	{ "another application's connection", FROM(IP_PROTO_TCP, PORT_NONE), POLICY_GATE_SRC_PORT, 0, CHANGE_FLOWS },
	{ "another application's connection, 6", FROM(IP_PROTO_TCP, PORT_NONE, .v6 = true), POLICY_GATE_SRC_PORT, 0 },
	{ "to another application's connection", FROM(IP_PROTO_TCP, PORT_TCP, .dst = ADDR_HOST2, .src_port = PORT_TCP, .dst_port = PORT_NONE), POLICY_SENT_LOCAL, 3 },
	{ "to another application's connection, 6", FROM(IP_PROTO_TCP, PORT_TCP, .v6 = true, .dst = ADDR_HOST2, .src_port = PORT_TCP, .dst_port = PORT_NONE), POLICY_SENT_LOCAL, 3 },
	{ "to the kernel of this host", FROM(IP_PROTO_TCP, PORT_TCP, .dst = ADDR_HOST, .dst_port = PORT_NONE), POLICY_GATE_LOCAL, 0 },
};
const size_t gate_step_cnt = ARRAY_SIZE(gate_steps);
#pragma GCC diagnostic pop

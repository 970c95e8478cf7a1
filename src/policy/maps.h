// SPDX-License-Identifier: BSD-2-Clause
/*
 * maps.h - keys and values of the BPF maps: what vjd tells the programs of an interface channel, and they tell it
 *
 * Included by the BPF programs, by vjd and by tests. Addresses are struct ip_addr: IPv4 in its mapped form. Keys have no
 * padding; every `zero` member must be 0. 0 is no application.
 *
 * map             of        type       key → value                             who writes
 * ──────────────  ────────  ─────────  ──────────────────────────────────────  ─────────────────────
 * dispatch_cfg    dispatch  array[1]   0 → struct policy_dispatch_cfg          vjd
 * macs            dispatch  hash       struct policy_mac → app; 0: in quarantine, look at ports vjd
 * addrs           shared    hash       struct policy_addr → app that has it as a whole; 0: ports tell vjd
 * ports           shared    hash       struct policy_port → struct policy_owner vjd
 * blocks          shared    array      policy_block_idx() → app                vjd
 * flows           shared    LRU hash   struct policy_flow → app; 0: the kernel's, which it has become  dispatch, vjd
 * frags           dispatch  LRU hash   struct policy_frag → app                dispatch
 * ways            dispatch  LPM trie   struct policy_way → POLICY_WAY_*         vjd
 * devs            shared    devmap_hash app → ifindex of the host end          vjd
 * gate_cfg        gate      hash       ifindex of the host end → struct policy_gate_cfg vjd, before attaching
 * hops            gate      hash       struct policy_mac → POLICY_HOP_*                 vjd
 * gate_counters   gate      percpu hash app → struct policy_gate_counters      gate; vjd makes and deletes entries
 * out             gate      devmap     0 → ifindex of the interface            vjd
 * xsks            deliver   xskmap     0 → the application's socket            vjd
 * credit          deliver   array[1]   0 → struct policy_credit                the application (mmap)
 * deliver_cfg     deliver   array[1]   0 → struct policy_deliver_cfg           vjd, before attaching
 * deliver_state   deliver   array[1]   0 → struct policy_deliver_state         deliver; vjd reads
 * counters        dispatch, percpu     enum policy_reason → uint64_t           the program
 *                 deliver
 *
 * learned_hosts, learned, asked, misses: gate's as well, see learned.h.
 *
 * "shared": declared by dispatch and by gate; vjd makes gate use those of dispatch (bpf_map__reuse_fd()). There is one
 * dispatch and one gate an interface, and a deliver for each application.
 */
#ifndef VJ_POLICY_MAPS_H
#define VJ_POLICY_MAPS_H

#include "base/addr.h"
#include "base/types.h"
#include "policy/reason.h"

enum {
	POLICY_ADDRS_MAX = 4096,
	POLICY_PORTS_MAX = 65536,
	POLICY_APPS_MAX = 4096,
	POLICY_FLOWS_MAX = 1 << 18,
	POLICY_FRAGS_MAX = 4096,
	POLICY_WAYS_MAX = 8192, /* prefixes and addresses: those of a host table, of two generations */
	POLICY_HOPS_MAX = 4096, /* neighbours of an interface: more than the host table has */

	/* Ephemeral ports are leased in units of so many; TCP's and UDP's are separate. */
	POLICY_BLOCK_PORTS = 32,
	POLICY_BLOCKS_OF_PROTO = 65536 / POLICY_BLOCK_PORTS,
	POLICY_BLOCKS_MAX = 2 * POLICY_BLOCKS_OF_PROTO,

	/* Applications on one port (SO_REUSEPORT). */
	POLICY_OWNER_APPS_MAX = 62,

	/* EtherType (IEEE 802 local experimental) of what vjd gives back to deliver; see struct policy_deliver_state. */
	POLICY_GIVE_BACK_TYPE = 0x88b5,
	POLICY_GIVE_BACK_BYTES = 14,
};

struct policy_mac {
	struct mac_addr mac;
	uint8_t zero[2];
};

/* What gate is told of a neighbour's MAC address. */
enum {
	POLICY_HOP_KNOWN = 1, /* the kernel has it: it may be sent to */
	POLICY_HOP_ASKS = 2,  /* vjd asks the LAN which application there has a port (learned.h) */
};

/* One of this host's addresses. @vlan: outer VLAN id << 16 | inner; 0 without tags (a tag with id 0 is none). */
struct policy_addr {
	struct ip_addr addr;
	uint32_t vlan;
};

/*
 * A leased port. @addr: the bound address, or the "any" of its family; a dual-stack [::] has two entries, one under
 * [::] and one under 0.0.0.0. The exact address goes before "any". So that one look-up is enough for most, an entry of "any"
 * is repeated under each address without VLAN that is no application's (POLICY_OWNER_HERE), as far as there is room.
 */
struct policy_port {
	struct ip_addr addr;
	struct be16 port;
	uint8_t proto; /* IP_PROTO_TCP, IP_PROTO_UDP */
	uint8_t zero;
};

struct policy_owner {
	uint32_t cnt; /* 1 to POLICY_OWNER_APPS_MAX; 0: as if there were no entry */
	uint32_t flags; /* POLICY_OWNER_* */
	uint32_t apps[POLICY_OWNER_APPS_MAX]; /* 0 from @cnt on */
};

enum {
	/*
	 * Others may join or leave (SO_REUSEPORT): whose a flow is, is written down in `flows` when it begins. Also set
	 * while there is only one.
	 */
	POLICY_OWNER_GROUP = 1,
	POLICY_OWNER_HERE = 2, /* under an address that is the host's: `addrs` need not be asked of a frame without tags */
	POLICY_OWNER_REPEATED = 4, /* not a lease of this address, but that of "any" */
};

/* Seen from this host, in both directions. */
struct policy_flow {
	struct ip_addr remote, local;
	struct be16 remote_port, local_port;
	uint8_t proto;
	uint8_t zero[3];
};

struct policy_frag {
	struct ip_addr src, dst;
	uint32_t id; /* as on the wire */
	uint8_t proto; /* IPv6: 0; the first and the later fragments may name different ones (RFC 8200 4.5) */
	uint8_t zero[3];
};

/* A prefix that the host has a route to, or an address of its own. IPv4's /n is 96 + n. The value: by which interface, or at which. */
struct policy_way {
	uint32_t prefix_len; /* of 128 */
	struct ip_addr dest;
};

enum { POLICY_WAY_ELSEWHERE, POLICY_WAY_HERE };

struct policy_dispatch_cfg {
	struct mac_addr mac; /* of the interface */
	uint8_t ways; /* 1: not all of the host's routes leave by this interface: `ways` says which do */
	uint8_t left; /* 1: connections have become the kernel's: in `flows` they are app 0's */
	uint32_t hash_seed; /* random: which application of a group gets a flow is nobody's to choose */
	uint32_t frame_max; /* longest frame that every application here has room for; 0: any */
};

struct policy_gate_cfg {
	uint32_t app;
	uint32_t mtu; /* of the interface: longest IP packet */
	uint32_t hash_seed; /* dispatch's */
	struct mac_addr mac; /* of the interface */
	struct mac_addr app_mac; /* all zero: it has none of its own */
};

struct policy_deliver_cfg {
	uint32_t frame_max; /* longest frame that the application's memory takes: frame bytes - headroom - 256 */
	uint32_t rx_frame_cnt; /* that the application receives in: more credit than this is a lie, and none */
	uint32_t spill_max; /* frames that vjd holds for it at most; 0: nothing is spilled, only dropped */
	uint32_t zero;
};

struct policy_gate_counters {
	uint64_t of[POLICY_REASON_CNT];
};

/*
 * On a page of its own, mapped by the application for writing. Frames that it ever put into its fill ring, modulo 2^32;
 * written after the ring's producer index. Who lies here gets drops in his own ring, and nothing else.
 */
struct policy_credit {
	uint32_t posted;
};

/*
 * Spilling, and order: from the first frame that finds no credit (`sticky`) every frame from the wire is spilled, until
 * vjd has given all of them back and says so. A spilled frame leaves deliver by XDP_PASS to a packet socket that
 * vjd has on this device. vjd gives it back by sending it from the host end, behind an Ethernet header of
 * POLICY_GIVE_BACK_TYPE, which deliver takes off. Without credit that frame is passed to vjd once more, its outer header
 * still on.
 *
 * "No more" is said in the same queue, so that nothing can come between: an outer header, and behind it `spilled` (4 bytes,
 * the machine's order) as vjd has counted. If deliver has counted the same, sticky ends; if more was spilled meanwhile, the
 * mark is ignored, and vjd goes on.
 *
 * A vjd that is dead, or stands still, gives nothing back. So when there has been credit for POLICY_SPILL_SILENCE_NS, and nothing was
 * given back meanwhile, sticky ends without it: what it held is late then, or lost. The next vjd, or the same one, says the end of that all
 * the same, as of what was never returned, so that `spilled` and `returned` meet again.
 *
 * Who has once had to drop (`full`) drops until all is given back. Frames that come faster than vjd gives them back would
 * otherwise take each place that becomes free, and the channel would be at vjd's pace for as long as they come.
 *
 * Nor is a flood spilled again as soon as all is given back: what lacks credit is dropped then, as by a device whose ring is full, for as
 * long as the application takes frames, but not all (`flood_ns`). A detour by vjd would be of no use, and takes more than both
 * processors have left. Who takes none for POLICY_FLOOD_NS has stopped, and that is what spilling is for.
 */
struct policy_deliver_state {
	uint32_t given; /* frames put in the ring: not more than `posted` */
	uint32_t posted; /* policy_credit.posted when last looked at */
	uint32_t sticky; /* 1: spilling */
	uint32_t spilled; /* frames ever handed to vjd (not those handed back once more) */
	uint32_t returned; /* of these, given back */
	uint32_t full; /* 1: as much was held as may be, and all is dropped until sticky ends */
	uint64_t silent_ns; /* CLOCK_MONOTONIC: there is credit since then, and nothing was given back; 0: not so */
	uint64_t flood_ns; /* likewise: the last drop before which the application had gone on; 0: none */
	uint32_t flood_given; /* `given` by then */
	uint32_t zero;
};

#define POLICY_SPILL_SILENCE_NS UINT64_C(100000000) /* six of vjd's longest pauses (daemon/spill.c) */
#define POLICY_FLOOD_NS UINT64_C(20000000)

_Static_assert(sizeof(struct policy_mac) == 8, "no padding");
_Static_assert(sizeof(struct policy_addr) == 20, "no padding");
_Static_assert(sizeof(struct policy_port) == 20, "no padding");
_Static_assert(sizeof(struct policy_owner) == 256, "no padding");
_Static_assert(sizeof(struct policy_flow) == 40, "no padding");
_Static_assert(sizeof(struct policy_frag) == 40, "no padding");
_Static_assert(sizeof(struct policy_way) == 20, "no padding");
_Static_assert(sizeof(struct policy_dispatch_cfg) == 16, "no padding");
_Static_assert(sizeof(struct policy_gate_cfg) == 24, "no padding");

/* @udp: else TCP */
static inline uint32_t policy_block_idx(bool udp, uint16_t port)
{
	return (udp ? POLICY_BLOCKS_OF_PROTO : 0u) + (uint32_t)port / POLICY_BLOCK_PORTS;
}

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What dispatch and gate decide, as two lists of frames with the answer to each
 *
 * The order matters: decisions leave traces (flows, fragments) that later ones follow. The lists are run by src/policy in
 * user space (test_policy.c), and by the BPF programs in the kernel (policy_bpf.c).
 */
#ifndef VJ_TESTS_POLICY_STEPS_H
#define VJ_TESTS_POLICY_STEPS_H

#include "policy/maps.h"

enum { STEP_FRAME_MAX = 2048, STEP_MTU = 1500, STEP_SEED = 7, STEP_LONG = 1600 /* longer is no application's */ };

/* MAC_APP: that of application 2. MAC_QUARANTINE: nobody's any more, but still ours */
enum step_mac { MAC_HOST, MAC_APP, MAC_OTHER, MAC_GROUP, MAC_QUARANTINE, MAC_QUIET /* of a neighbour that nobody asks */, MAC_NONE };

/*
 * Last byte of an address. Of the host's, the third is one only on VLAN 5, the fourth only on VLAN 5 inside 6; the fifth is another device's. Another
 * interface leads to ADDR_AWAY. ADDR_OWN: as a whole those of applications 1, 2 and 4.
 */
enum step_addr { ADDR_HOST = 1, ADDR_HOST2 = 2, ADDR_VLAN = 3, ADDR_QINQ = 4, ADDR_LO = 5, ADDR_PEER = 100, ADDR_AWAY = 150, ADDR_OTHER = 200,
		 ADDR_OWN1 = 31, ADDR_OWN2, ADDR_OWN4 };

enum {
	PORT_TCP = 80,	   /* application 1, any address */
	PORT_UDP = 53,	   /* application 1, ADDR_HOST; application 2, any */
	PORT_GROUP = 443,  /* a group: application 4, later 5 */
	PORT_NONE = 22,	   /* the kernel's */
	PORT_BLOCK = 40000, /* in a block of application 3 */
	PORT_SHARED = 8443, /* TCP and UDP, a group: applications 2 and 1 */
	PORT_SIX = 8053,   /* UDP, application 2, any address of IPv6 alone */
	PORT_GONE = 8054,  /* UDP, application 2: ADDR_OTHER, which is the host's no more, and any; an entry without owners under ADDR_HOST */
	PORT_PEER = 1234,
};

enum step_ext { EXT_NONE, EXT_HOP, EXT_DEST, EXT_ROUTING, EXT_MANY, EXT_ATOMIC };

struct step_frame {
	bool v6;
	enum step_mac src_mac, dst_mac;
	uint16_t vlans[3]; /* TCI + 1, outermost first; 0: no such tag */
	uint16_t eth_type; /* 0: by @v6 */
	enum step_addr src, dst;
	uint8_t proto;
	uint16_t src_port, dst_port;
	uint8_t flags;	   /* of TCP */
	uint8_t options;   /* IPv4: bytes, a multiple of 4 */
	enum step_ext ext; /* IPv6 */
	bool more_frags;
	uint16_t frag_off; /* bytes; not 0: no transport header */
	uint16_t frag_id;
	uint8_t icmp_type; /* @proto is ICMP; it quotes a TCP segment from @quote_src to @quote_dst, and the ports */
	enum step_addr quote_src, quote_dst; /* the latter 0: ADDR_PEER */
	uint16_t payload;
	uint16_t cut;	   /* the frame ends after so many bytes; 0: where it should */
	uint8_t first_byte; /* of the IP header; 0: the right one */
};

/* Changes of what vjd has told, between the frames. */
enum step_change {
	CHANGE_NONE,
	CHANGE_GROUP_GROWS,   /* application 5 joins application 4 on PORT_GROUP */
	CHANGE_GROUP_SHRINKS, /* application 4 leaves it, but lives */
	CHANGE_APP_DIES,      /* 4 */
	CHANGE_LISTENER_CLOSED, /* PORT_TCP has no owner any more */
	CHANGE_WAY_HERE,	/* to ADDR_AWAY the interface leads now */
	CHANGE_WAY_AWAY,	/* as it was */
	CHANGE_ALONE,		/* the datagrams of PORT_SHARED are application 1's alone, and no group's */
	CHANGE_FLOWS,		/* at PORT_NONE: application 2's with the peer, and at ADDR_HOST2 application 3's with PORT_TCP of ADDR_HOST */
	CHANGE_LEFT, /* ADDR_PEER's flows with PORT_BLOCK of ADDR_HOST, and with PORT_NONE of ADDR_OWN2, have become the kernel's */
};

struct step {
	const char *name;
	struct step_frame frame;
	enum policy_reason reason;
	uint32_t app; /* whose it is; 0: nobody's, or gate lets it out */
	enum step_change change; /* first */
};

extern const struct step dispatch_steps[], gate_steps[]; /* gate: sent by application 1 */
extern const size_t dispatch_step_cnt, gate_step_cnt;

/* Return: bytes written to @buf */
uint32_t step_build(const struct step_frame *f, uint8_t buf[static STEP_FRAME_MAX]);

/* What the maps hold: `set` with the name of maps.h. The same for both worlds. */
typedef void step_set_fn(void *arg, const char *map, const void *key, const void *value);

void step_setup(step_set_fn *set, void *arg);

/* Of gate alone. */
void step_setup_gate(step_set_fn *set, void *arg);

/* @value NULL: delete */
void step_apply(enum step_change change, step_set_fn *set, void *arg);

struct mac_addr step_mac(enum step_mac mac);
struct ip_addr step_ip(bool v6, enum step_addr a);

#endif

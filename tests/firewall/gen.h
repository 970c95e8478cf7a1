// SPDX-License-Identifier: BSD-2-Clause
/* gen.h - random rulesets, and packets that their rules are about, from a seed */
#ifndef VJ_TESTS_FIREWALL_GEN_H
#define VJ_TESTS_FIREWALL_GEN_H

#include "base/prng.h"
#include "base/types.h"

#define GEN_IFNAME "vjtest"

enum {
	GEN_TEXT_BYTES = 64 * 1024,
	GEN_PACKET_MAX = 512,
	GEN_FLOWS = 12,
	GEN_PARTS = 4,
	GEN_MARK = 0x76a50000, /* what the kernel sends of its own doesn't end so */
};

/* Only what is compiled; in nft's syntax, from an empty ruleset on. */
void gen_ruleset(struct prng *rng, char text[static GEN_TEXT_BYTES]);

/* A flow, as seen from this host. Addresses of IPv4 in the last four bytes. */
struct gen_flow {
	bool v6, tcp;
	uint8_t remote[16], local[16];
	uint16_t remote_port, local_port;
	uint8_t phase; /* of TCP: how far the two have come */
	bool ours;     /* this host has begun */
};

void gen_flows(struct prng *rng, struct gen_flow flows[static GEN_FLOWS]);

struct gen_packet {
	bool v6, outbound;
	uint8_t proto;
	uint32_t len;
	uint8_t bytes[GEN_PACKET_MAX]; /* the IP packet; its last four bytes are GEN_MARK and the number, in host order */
};

/* Number @nr, a datagram of UDP of a flow that none was of before. Into @ret_parts: what it is cut into; @id: of no other one */
unsigned gen_datagram(struct prng *rng, uint32_t nr, uint32_t id, struct gen_packet *ret_whole, struct gen_packet ret_parts[static GEN_PARTS]);

/* Packet number @nr, of one of @flows: a segment, a datagram, or an ICMP error about one. Checksums are right. */
void gen_packet(struct prng *rng, struct gen_flow flows[static GEN_FLOWS], uint32_t nr, struct gen_packet *ret);

#endif

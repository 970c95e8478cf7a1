// SPDX-License-Identifier: BSD-2-Clause
/*
 * A router on the way: what is too large for the link behind it is fragmented (IPv4 without DF), or dropped
 * and, if the router is one that tells, told to the sender by ICMP
 *
 * It keeps account of what it told: a TCP connection that has heard and sends as large as before breaks
 * RFC 1191 and RFC 8201, and the process ends, naming it.
 */
#ifndef VJ_TESTS_SIM_ROUTER_H
#define VJ_TESTS_SIM_ROUTER_H

#include "base/types.h"

enum router_kind {
	ROUTER_TELLS,
	ROUTER_OLD, /* does not say how large (RFC 1191 section 5); IPv6: as above */
	ROUTER_SILENT, /* a black hole (RFC 2923 section 2.1) */
	ROUTER_KINDS,
};

#define ROUTER_FLOWS 64

/* One direction */
struct router {
	uint32_t mtu; /* of the link behind it; 0: there is no router */
	enum router_kind kind;
	uint64_t patience_us; /* how long what it tells may be under way */
	uint64_t too_big, fragmented; /* packets */
	struct {
		uint64_t at_us;
		uint32_t mtu;
		uint32_t in_vain; /* times that it was told and went on */
	} told[ROUTER_FLOWS]; /* by the port of side 0, less 1000 */
};

/* Where frames go from there; they are the router's after return. */
struct router_exits {
	void *arg;
	void (*on)(void *arg, const uint8_t *frame, uint32_t len);
	void (*back)(void *arg, const uint8_t *frame, uint32_t len);
};

static inline bool router_blocks(const struct router *r, uint32_t frame_len)
{
	return r->mtu != 0 && frame_len > r->mtu + 14;
}

/* Another link behind it: what was told is not valid any more. */
void router_change(struct router *r, uint32_t mtu, enum router_kind kind);

/*
 * A frame that is too large. @port: which port of the two is side 0's: 0: source, 1: destination
 * Return: it went on, in fragments.
 */
bool router_forward(struct router *r, uint64_t now_us, const uint8_t *frame, uint32_t len,
		    unsigned int port, const struct router_exits *exits);

#endif

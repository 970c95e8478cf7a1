// SPDX-License-Identifier: BSD-2-Clause
/*
 * What must hold of every segment on the wire, whatever the network did before
 *
 * The watch sees each frame twice: when a stack hands it to the wire, and when the wire hands it to
 * the other stack. It keeps its own small truth about both directions of each connection, and
 * knows nothing of the stacks' variables, so a stack that is wrong about itself is found all the
 * same. Of a segment that is sent (resets apart):
 *
 *	HOLE	it begins at or below what was sent before; nothing is left out
 *	WINDOW	it ends within the largest window that has arrived, a FIN apart
 *	FIN	nothing follows the FIN, and the FIN stays where it is
 *	BYTES	the payload is the stream's, first time and again
 *	MSS	the payload is no larger than what the peer said it takes
 *	ACK	it acknowledges only what has arrived without a hole, and never less than before
 *	EDGE	the right edge of the window does not move left (but for the rounding of its scale)
 *	SACK	blocks are not empty, lie within what was sent, and name only what has arrived
 *	TS	timestamps never go back; what is echoed was sent
 *
 * What the wire damages counts as arrived, since a flipped bit may lie where no checksum sees it.
 * That nothing of damaged payload is taken is shown by the streams.
 *
 * A violation prints the name of the rule and ends the process.
 */
#ifndef VJ_TESTS_SIM_WATCH_H
#define VJ_TESTS_SIM_WATCH_H

#include "base/types.h"
#include "wire/ip.h"
#include "wire/tcp.h"

#define WATCH_FLOWS 64

/* What one side of a connection has shown. Numbers count from its SYN, which is 0. */
struct watch_half {
	bool syn;    /* seen: the rest is valid */
	bool reborn; /* a second SYN with another number: a second life, no longer watched */
	uint32_t iss;
	uint32_t max;	     /* end of what was sent */
	uint32_t fin;	     /* number of the FIN; 0: not sent */
	uint32_t came;	     /* of max, how much arrived without a hole */
	uint64_t *came_bits; /* each number that arrived */
	uint32_t came_cap;
	uint32_t mss; /* that it takes */
	bool has_wscale, has_ts;
	uint8_t wscale;
	uint32_t ts_last; /* highest sent */
	/* Of the other side's numbers: */
	uint32_t acked;	 /* highest acknowledged */
	uint32_t edge;	 /* right edge offered */
	uint32_t usable; /* right edge of the other's offers that has arrived here */
	uint32_t key;	 /* of the stream it sends */
	bool has_key;
};

struct watch_flow {
	uint16_t port[2];
	struct watch_half half[2];
};

struct watch {
	struct watch_flow flow[WATCH_FLOWS];
	uint32_t flow_cnt;
	const uint64_t *now_us;
	bool trusted[2];   /* this side is judged; both, unless said otherwise */
	bool trace;	   /* print every segment */
	uint64_t segments; /* that were looked at */
};

/* The byte at @off of stream @key: what programs in tests send. */
static inline uint8_t watch_stream_byte(uint32_t key, uint32_t off)
{
	return (uint8_t)((off * 2654435761u ^ key * 40503u) >> 13);
}

/* @now_us: where the time stands, for messages */
void watch_init(struct watch *w, const uint64_t *now_us);
void watch_fini(struct watch *w);

/* Side @side of the connection between these ports of side 0 and 1 sends stream @key. */
void watch_stream(struct watch *w, uint16_t port0, uint16_t port1, unsigned int side, uint32_t key);

/* Side @side puts an Ethernet frame on the wire. */
void watch_sent(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len);
/* ... and it reaches the other side. */
void watch_arrived(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len);
/* ... or not. */
void watch_lost(struct watch *w, unsigned int side, const uint8_t *frame, uint32_t len);

#endif

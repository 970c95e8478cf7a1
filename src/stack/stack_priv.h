// SPDX-License-Identifier: BSD-2-Clause
/*
 * The stack from the inside: what links, IP, ICMP, UDP and TCP share. Everything hangs on struct
 * stack; there are no globals.
 *
 * Life of a frame: stack_rx() copies its headers, ip_in.c parses the copy, a protocol takes the
 * payload into a queue (buf.h) and reports an event (stack_event_add()). What has to be answered is
 * noted (stack_output_later()) and goes out in stack_run(), together with what else is due by then.
 */
#ifndef VJ_STACK_STACK_PRIV_H
#define VJ_STACK_STACK_PRIV_H

#include "base/prng.h"
#include "base/types.h"
#include "stack/buf.h"
#include "stack/flow.h"
#include "stack/ip_reass.h"
#include "stack/link.h"
#include "stack/mem.h"
#include "stack/port.h"
#include "stack/ref.h"
#include "stack/stack.h"
#include "stack/timer.h"

/*
 * Node of an object that reports events. Zeroed, then the cookie is set, when the object is made;
 * stack_event_del() before it goes.
 */
struct event_node {
	struct ref_list_node list;
	uint32_t bits;	    /* enum stack_ev, not yet collected; not 0 if and only if in the list */
	uint32_t cookie[2]; /* in two halves so that the node is 20 bytes, aligned to 4 */
};

_Static_assert(sizeof(struct event_node) == 20, "ten million of them");

static inline uint64_t event_cookie(const struct event_node *node)
{
	return load_u64(node->cookie);
}
static inline void event_cookie_set(struct event_node *node, uint64_t cookie)
{
	store_u64(node->cookie, cookie);
}

struct tcp_global; /* TCP's own, once per stack */
struct udp_global;
struct pmtu_table;

/* Tokens for answers that strangers can provoke. */
struct rate_limit {
	uint64_t last_us;
	uint32_t tokens;
};

enum { STACK_RX_ROOM = 5120, STACK_TX_ROOM = 4096 };

struct stack {
	uint64_t now_us; /* monotonic, never goes back */
	struct links links;
	struct bufs bufs;
	struct flow flows;  /* TCP connections, by struct flow_key */
	struct pool conns;  /* TCP connections; made by tcp_init() */
	struct ports ports; /* ids: listener_id.v under PORT_TCP, udp_id.v under PORT_UDP */
	struct tcp_global *tcp;
	struct udp_global *udp;
	/*
	 * What one call needs and a small stack of a thread has no room for. One for frames that are taken, one for those that are
	 * sent, as taking one may send another.
	 */
	uint8_t *rx_room, *tx_room; /* STACK_RX_ROOM, STACK_TX_ROOM; each on a cache line of its own */
	bool rx_room_used;	    /* stack_rx() is under way; what that calls must not call it */

	struct ref_space event_nodes; /* struct event_node of each kind: ref_space_set() at start */
	struct ref_list events;

	/*
	 * tcp.h, tcp_owed.c: connections that came to owe an acknowledgement since the last stack_run(); when the first of
	 * those that wait longer, or of tcp_tw.c's, is due, TIME_NEVER: none; how many are in TIME_WAIT without a block.
	 */
	uint32_t owing_cnt;
	uint32_t tw_cnt;
	uint64_t run_due_us;

	struct ref_space output_nodes; /* struct ref_list_node of each kind */
	uint32_t output_links_cnt;
	struct ref_list output_links; /* links that have output waiting and are not blocked */
	uint32_t output_cnt;	      /* objects in all output queues */

	struct reass reass; /* fragments that wait for others */
	uint32_t frag_ids[64]; /* ip_frag_id() */
	struct pmtu_table *pmtu; /* NULL: nothing is known but the links' */
	struct rate_limit icmp_limit;
	struct stack_stats
		stats;	  /* counted here; tcp_conns and mem_bytes are filled by stack_stats() */
	struct prng prng; /* for jitter and the like; not for secrets */
	struct mem mem;
	struct wheel wheel;
	struct wheel pace_wheel; /* tcp_pace.c's, on a finer scale */
	struct stack_config cfg; /* with defaults filled in */
	bool sndbuf_set;	 /* cfg.sndbuf_bytes was given: nothing is auto-tuned */
	bool rcvbuf_set;
};

static inline void stack_drop(struct stack *s, enum stack_drop why)
{
	s->stats.drops[why]++;
}

/*
 * Report @bits (enum stack_ev) of an object. Order of report is that of each object's first bit.
 * An object whose kind was not told to event_nodes must not be passed.
 */
static inline void stack_event_add(struct stack *s, struct ref ref, uint32_t bits)
{
	struct event_node *node = ref_node(&s->event_nodes, ref);

	if (node->bits == 0)
		ref_list_add(&s->event_nodes, &s->events, ref);
	node->bits |= bits;
}

/* Forget what was not collected, before the object goes. */
static inline void stack_event_del(struct stack *s, struct ref ref)
{
	struct event_node *node = ref_node(&s->event_nodes, ref);

	if (node->bits != 0)
		ref_list_del(&s->event_nodes, &s->events, ref);
	node->bits = 0;
}

/*
 * This object owes something to its peer on @link_id: call its resume hook in stack_run(), or when
 * the link is writable again. In turn with others of the link. Already queued, or no such link:
 * nothing happens.
 */
void stack_output_later(struct stack *s, uint32_t link_id, struct ref ref);

/* Give everybody who waits in an output queue a turn. */
void stack_output_run(struct stack *s);

/* Nothing owed any more; before the object goes, too. Not queued: nothing happens. */
void stack_output_done(struct stack *s, uint32_t link_id, struct ref ref);

/* Keyed hash (SipHash-2-4 under cfg.secret) for what strangers must not guess: ISN, cookies. @len:
 * any. */
uint64_t stack_siphash(const struct stack *s, const void *p, size_t len);

/* Event bits of a UDP socket or connection go under these references. */
static inline struct ref ref_tcp(uint32_t id)
{
	return ref_of(REF_TCP, id);
}
static inline struct ref ref_listener(uint32_t id)
{
	return ref_of(REF_LISTENER, id);
}
static inline struct ref ref_udp(uint32_t id)
{
	return ref_of(REF_UDP, id);
}

#endif

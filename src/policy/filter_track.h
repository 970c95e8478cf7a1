// SPDX-License-Identifier: BSD-2-Clause
/*
 * filter_track.h - the state of connections, as "ct state" asks for it
 *
 * The same answers as the kernel's connection tracking gives with its default settings, but one: segments are not compared with windows
 * (nf_conntrack_tcp_be_liberal = 1), which is the receiving stack's to do. A flow is written down when the rules have accepted its first packet. Timeouts are the
 * kernel's defaults. The table is an LRU: in a flood the flows that were silent longest are forgotten, and a segment of one is "new" again.
 */
#ifndef VJ_POLICY_FILTER_TRACK_H
#define VJ_POLICY_FILTER_TRACK_H

#include "policy/classify.h"
#include "policy/filter.h"
#include "policy/map.h"

enum { FILTER_TRACKS_MAX = 1 << 18 };

/* Of TCP; UDP is FILTER_CONN_UDP as long as it lives. */
enum filter_conn {
	FILTER_CONN_NONE,
	FILTER_CONN_SYN_SENT,
	FILTER_CONN_SYN_SENT2, /* by both */
	FILTER_CONN_SYN_RECV,
	FILTER_CONN_ESTABLISHED,
	FILTER_CONN_FIN_WAIT,
	FILTER_CONN_CLOSE_WAIT,
	FILTER_CONN_LAST_ACK,
	FILTER_CONN_TIME_WAIT,
	FILTER_CONN_CLOSED,
	FILTER_CONN_UDP,
	FILTER_CONN_CNT,
	/* answers of filter_conn_next() */
	FILTER_CONN_SAME,
	FILTER_CONN_INVALID,
};

enum { FILTER_TRACK_OUT = 1 /* began outbound */, FILTER_TRACK_REPLIED = 2, FILTER_TRACK_ACKED = 4 /* `acked` is known */ };

/* By struct policy_flow, as seen from this host; of two applications of it, by the lower end first. */
struct filter_track {
	uint64_t until_ns;
	uint8_t conn, flags;
	uint8_t zero[2];
	uint32_t acked; /* of TCP: how far this host has acknowledged what came from the wire */
};

_Static_assert(sizeof(struct filter_track) == 16, "no padding");

/* What filter_track_look() has found, for filter_track_keep(). */
struct filter_tracked {
	struct policy_flow key;
	struct filter_track fresh; /* conn FILTER_CONN_NONE: nothing to be written down */
};

enum filter_segment { FILTER_SEG_BAD, FILTER_SEG_SYN, FILTER_SEG_SYNACK, FILTER_SEG_FIN, FILTER_SEG_ACK, FILTER_SEG_RST };

/* Combinations that no stack sends are bad; what only modifies is not looked at. */
VJ_INLINE enum filter_segment filter_segment_of(uint32_t flags)
{
	uint32_t kind = flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK);
	bool urgent = flags & TCP_URG;

	switch (kind) {
	case TCP_SYN:
		return FILTER_SEG_SYN;
	case TCP_SYN | TCP_ACK:
		return urgent ? FILTER_SEG_BAD : FILTER_SEG_SYNACK;
	case TCP_FIN | TCP_ACK:
		return FILTER_SEG_FIN;
	case TCP_ACK:
		return FILTER_SEG_ACK;
	case TCP_RST:
	case TCP_RST | TCP_ACK:
		return urgent ? FILTER_SEG_BAD : FILTER_SEG_RST;
	default:
		return FILTER_SEG_BAD;
	}
}

VJ_INLINE enum filter_conn filter_conn_syn(enum filter_conn was, bool reply)
{
	if (was == FILTER_CONN_SYN_SENT)
		return reply ? FILTER_CONN_SYN_SENT2 : FILTER_CONN_SYN_SENT;
	if (was == FILTER_CONN_SYN_SENT2)
		return FILTER_CONN_SYN_SENT2;
	if (was == FILTER_CONN_NONE || was == FILTER_CONN_TIME_WAIT || (was == FILTER_CONN_CLOSED && !reply))
		return FILTER_CONN_SYN_SENT; /* a new one */
	return reply ? FILTER_CONN_INVALID : FILTER_CONN_SAME;
}

VJ_INLINE enum filter_conn filter_conn_synack(enum filter_conn was, bool reply)
{
	if (was == FILTER_CONN_SYN_SENT2 || (was == FILTER_CONN_SYN_SENT && reply) || (was == FILTER_CONN_SYN_RECV && !reply))
		return FILTER_CONN_SYN_RECV;
	return was == FILTER_CONN_NONE || !reply ? FILTER_CONN_INVALID : FILTER_CONN_SAME;
}

VJ_INLINE enum filter_conn filter_conn_fin(enum filter_conn was)
{
	if (was <= FILTER_CONN_SYN_SENT2)
		return FILTER_CONN_INVALID;
	if (was <= FILTER_CONN_ESTABLISHED)
		return FILTER_CONN_FIN_WAIT;
	return was <= FILTER_CONN_LAST_ACK ? FILTER_CONN_LAST_ACK : FILTER_CONN_SAME;
}

VJ_INLINE enum filter_conn filter_conn_ack(enum filter_conn was, bool reply)
{
	switch (was) {
	case FILTER_CONN_NONE: /* of a connection that is older than the rules */
		return FILTER_CONN_ESTABLISHED;
	case FILTER_CONN_SYN_SENT:
	case FILTER_CONN_SYN_SENT2:
		return reply ? FILTER_CONN_SAME : FILTER_CONN_INVALID;
	case FILTER_CONN_SYN_RECV:
		return reply ? FILTER_CONN_SYN_RECV : FILTER_CONN_ESTABLISHED;
	case FILTER_CONN_FIN_WAIT:
	case FILTER_CONN_CLOSE_WAIT:
		return FILTER_CONN_CLOSE_WAIT;
	case FILTER_CONN_LAST_ACK:
		return FILTER_CONN_TIME_WAIT;
	default:
		return FILTER_CONN_SAME;
	}
}

VJ_INLINE enum filter_conn filter_conn_next(enum filter_segment seg, enum filter_conn was, bool reply)
{
	switch (seg) {
	case FILTER_SEG_SYN:
		return filter_conn_syn(was, reply);
	case FILTER_SEG_SYNACK:
		return filter_conn_synack(was, reply);
	case FILTER_SEG_FIN:
		return filter_conn_fin(was);
	case FILTER_SEG_ACK:
		return filter_conn_ack(was, reply);
	case FILTER_SEG_RST:
		return was == FILTER_CONN_NONE ? FILTER_CONN_INVALID : FILTER_CONN_CLOSED;
	default:
		return FILTER_CONN_INVALID;
	}
}

/*
 * A reset from the wire that is not the next the peer could send (RFC 5961 3.2): the receiver asks back, and the connection stays. Who is not on the
 * path could otherwise make it "new" without seeing a number of it. The kernel has such resets likewise.
 */
VJ_INLINE bool filter_is_blind_reset(const struct filter_run *run, const struct filter_track *known)
{
	return known->conn >= FILTER_CONN_ESTABLISHED && known->flags & FILTER_TRACK_ACKED &&
	       run->word[FILTER_TCP_SEQ] != known->acked;
}

/* An acknowledgement that leaves; the highest counts. */
VJ_INLINE void filter_track_acked(const struct filter_run *run, struct filter_track *fresh)
{
	uint32_t ack = run->word[FILTER_TCP_ACK];

	if (!(run->word[FILTER_TCP_FLAGS] & TCP_ACK) || (fresh->flags & FILTER_TRACK_ACKED && (int32_t)(ack - fresh->acked) < 0))
		return;
	fresh->flags |= FILTER_TRACK_ACKED;
	fresh->acked = ack;
}

VJ_INLINE uint64_t filter_conn_timeout_ns(enum filter_conn conn, uint8_t flags)
{
	uint64_t s = 120;

	if (conn == FILTER_CONN_UDP)
		s = flags & FILTER_TRACK_REPLIED ? 120 : 30;
	else if (conn == FILTER_CONN_ESTABLISHED)
		s = 432000;
	else if (conn == FILTER_CONN_SYN_RECV || conn == FILTER_CONN_CLOSE_WAIT)
		s = 60;
	else if (conn == FILTER_CONN_LAST_ACK)
		s = 30;
	else if (conn == FILTER_CONN_CLOSED)
		s = 10;
	return s * 1000000000u;
}

VJ_INLINE bool filter_is_lower(const struct policy_flow *f)
{
	for (unsigned i = 0; i < 4; i++)
		if (f->remote.words[i].raw != f->local.words[i].raw)
			return f->remote.words[i].raw < f->local.words[i].raw;
	return f->remote_port.raw <= f->local_port.raw;
}

/* @view: of the receiver. @ret_out: which of the two directions of the key the packet goes */
VJ_INLINE void filter_track_key(const struct policy_view *view, enum filter_dir dir, bool both_here, struct policy_flow *ret_key,
				bool *ret_out)
{
	bool out = dir == FILTER_OUTBOUND;

	if (both_here)
		out = filter_is_lower(&view->flow);
	*ret_key = out ? policy_flow_reverse(&view->flow) : view->flow;
	*ret_out = out;
}

VJ_INLINE void filter_set_state(struct filter_run *run, uint32_t state, bool reply, bool first)
{
	run->word[FILTER_CT_STATE] = state;
	run->word[FILTER_CT_REPLY] = reply;
	run->word[FILTER_CT_FIRST] = first;
}

VJ_INLINE void filter_track_new(struct filter_run *run, enum filter_conn conn, bool out, uint64_t now_ns, struct filter_tracked *t)
{
	t->fresh.conn = (uint8_t)conn;
	t->fresh.flags = out ? FILTER_TRACK_OUT : 0;
	t->fresh.until_ns = now_ns + filter_conn_timeout_ns(conn, 0);
	filter_set_state(run, FILTER_CT_NEW, false, true);
}

/* Of a connection that is known. */
VJ_INLINE void filter_track_goes_on(struct filter_run *run, const struct filter_track *known, enum filter_conn conn, bool reply,
				    uint64_t now_ns, struct filter_tracked *t)
{
	bool replied = reply || known->flags & FILTER_TRACK_REPLIED;

	t->fresh.conn = conn == FILTER_CONN_SAME ? known->conn : (uint8_t)conn;
	t->fresh.flags = (uint8_t)(known->flags | (reply ? FILTER_TRACK_REPLIED : 0));
	t->fresh.acked = known->acked;
	/* a reset is the first answer, or none has come: there never was a connection, and this is the last of it */
	if (conn != FILTER_CONN_CLOSED || known->flags & FILTER_TRACK_REPLIED)
		t->fresh.until_ns = now_ns + filter_conn_timeout_ns((enum filter_conn)t->fresh.conn, t->fresh.flags);
	filter_set_state(run, replied ? FILTER_CT_ESTABLISHED : FILTER_CT_NEW, reply, false);
}

/**
 * filter_track_look() - To what connection does a packet belong? Fills in what rules ask of that
 * @run:       its other words are filled in
 * @tracks:    map or table: struct policy_flow to struct filter_track
 * @view:      of policy_ip(), of the receiver
 * @both_here: from an application of this host to another one
 * Return: what is known of it, or NULL; for filter_track_keep()
 */
VJ_INLINE struct filter_track *filter_track_look(struct filter_run *run, void *tracks, const struct policy_view *view,
						 enum filter_dir dir, bool both_here, uint64_t now_ns, struct filter_tracked *t)
{
	bool tcp = view->flow.proto == IP_PROTO_TCP, out, reply = false;
	enum filter_conn was = FILTER_CONN_NONE, conn = FILTER_CONN_UDP;
	struct filter_track *known;

	t->fresh = (struct filter_track){ .until_ns = 0 };
	filter_set_state(run, FILTER_CT_INVALID, false, false);
	filter_track_key(view, dir, both_here, &t->key, &out);
	known = policy_map_find(tracks, &t->key);
	if (known && known->until_ns < now_ns)
		known = NULL;
	if (known) {
		was = (enum filter_conn)known->conn;
		/* the packet that an error quotes went the other way */
		reply = out != ((known->flags & FILTER_TRACK_OUT) != 0);
	}
	if (view->icmp_error) {
		if (known)
			filter_set_state(run, FILTER_CT_RELATED, reply, false);
		return known;
	}
	if (!policy_has_ports(view->flow.proto) || view->frag == POLICY_FRAG_LATER)
		return known;
	if (tcp)
		conn = filter_conn_next(filter_segment_of(run->word[FILTER_TCP_FLAGS]), was, reply);
	if (conn == FILTER_CONN_INVALID)
		return known;
	if (conn == FILTER_CONN_CLOSED && known && dir == FILTER_INBOUND && !both_here && filter_is_blind_reset(run, known))
		conn = FILTER_CONN_SAME;
	if (!known || (conn == FILTER_CONN_SYN_SENT && was != FILTER_CONN_SYN_SENT)) {
		filter_track_new(run, conn, out, now_ns, t);
		known = NULL;
	} else {
		filter_track_goes_on(run, known, conn, reply, now_ns, t);
	}
	if (tcp && dir == FILTER_OUTBOUND && !both_here)
		filter_track_acked(run, &t->fresh);
	return known;
}

/**
 * filter_track_keep() - Write down what has become of the connection
 *
 * What is known moves on with each packet that came as far as where the kernel looks, whatever became of it there; a new one is a connection once
 * its first packet is accepted.
 */
VJ_INLINE void filter_track_keep(const struct filter_run *run, void *tracks, struct filter_track *known, const struct filter_tracked *t)
{
	if (t->fresh.conn == FILTER_CONN_NONE || run->early)
		return;
	if (known)
		*known = t->fresh;
	else if (run->verdict == FILTER_ACCEPT)
		policy_map_set(tracks, &t->key, &t->fresh);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that change their link, or their stack
 *
 * On a link that cannot lose, the two ends of a connection agree on all that was sent before a frame that both have seen.
 * So one end can be taken out of its stack and put into another one's, over another link to the same peer, if both ends
 * stop sending between the right two frames. That order is the caller's business; here are the steps:
 *
 *	who gives it away	tcp_hold()	still takes what comes, sends nothing
 *				tcp_export()	all of it as bytes; the connection is no more
 *	the peer		tcp_move()	to another link
 *	who takes it over	tcp_import()
 *
 * A connection on a link that can lose does not move.
 */
#ifndef VJ_STACK_TCP_MOVE_H
#define VJ_STACK_TCP_MOVE_H

#include "stack/stack.h"

/* A connection as bytes: this, then what waits to be read, then what waits to be sent. Host byte order. */
struct tcp_parcel {
	uint32_t bytes; /* of this structure */
	uint32_t state; /* enum tcp_state */
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint32_t flags; /* TF_* that travel */
	uint32_t rcv_nxt, rcv_adv, rcv_acked;
	uint32_t snd_una, snd_nxt, snd_wnd;
	uint16_t mss;
	uint8_t wscale;
	uint8_t err;
	uint32_t rcv_bytes, snd_bytes; /* the queues */
	uint16_t iss, irs; /* tcb.began */
	uint32_t has_ext;
	uint32_t sndbuf_bytes, rcvbuf_bytes; /* if has_ext, as all below */
	uint32_t notsent_lowat, user_timeout_ms;
	uint16_t keepidle_s, keepintvl_s;
	uint8_t keepcnt, tos, ttl, set; /* @set: 1 sndbuf, 2 rcvbuf were chosen by the program */
	uint32_t snd_rounds, rcv_rounds, irs_rest;
};

/* More than this waits in no connection that this library makes: both buffers, and what a peer that lies can add. */
#define TCP_PARCEL_MAX (UINT64_C(256) << 20)

/** tcp_find() - The connection between these endpoints on @link, whoever holds it. Return: 0 and its id; -ENOENT. */
int tcp_find(const struct stack *s, struct link_id link, const struct endpoint *local, const struct endpoint *remote,
	     struct tcp_id *ret_id);

/** tcp_link() - The link that it is on */
struct link_id tcp_link(const struct stack *s, struct tcp_id id);

/** tcp_can_move() - Is its link one that cannot lose? */
bool tcp_can_move(const struct stack *s, struct tcp_id id);

/**
 * tcp_hold() - Send nothing any more, until tcp_release() or tcp_export()
 * The program must not use it meanwhile.
 * Return: 0; -EAGAIN: its handshake isn't over, or it called, and waits for an answer, which the peer is asked for; -EOPNOTSUPP: its link can lose.
 */
int tcp_hold(struct stack *s, struct tcp_id id);

/** tcp_hold_here() - The same of one whose other end moves, which may have been called, and not have answered yet */
int tcp_hold_here(struct stack *s, struct tcp_id id);

/** tcp_release() - Go on. Something else than the link may have ended it meanwhile. */
void tcp_release(struct stack *s, struct tcp_id id);

/**
 * tcp_withdrawn_meanwhile() - Of a held one: it was called, and whoever called may have called another since
 * tcp_release() refuses him, then, and nobody hears it here. Any other goes on.
 */
void tcp_withdrawn_meanwhile(struct stack *s, struct tcp_id id);

/** tcp_is_withdrawn() - Has it ended by that? */
bool tcp_is_withdrawn(const struct stack *s, struct tcp_id id);

/** tcp_fail() - It fails with @err (positive errno), and the peer isn't told. */
void tcp_fail(struct stack *s, struct tcp_id id, int err);

/** tcp_is_over() - Has it ended, so that there is no peer to be told that it moves? */
bool tcp_is_over(const struct stack *s, struct tcp_id id);

/** tcp_is_owned() - Does the program hold it? It may have ended. */
bool tcp_is_owned(const struct stack *s, struct tcp_id id);

/** tcp_cookie() - What its events carry; 0: the program has closed it, or has never had it */
uint64_t tcp_cookie(const struct stack *s, struct tcp_id id);

/** tcp_is_unanswered() - Has this end opened it, and is there nothing from the peer that its program has not read, no end either? */
bool tcp_is_unanswered(const struct stack *s, struct tcp_id id);

/** tcp_is_opener() - Has this end opened it? */
bool tcp_is_opener(const struct stack *s, struct tcp_id id);

/** tcp_sends_no_more() - Has the program said so? */
bool tcp_sends_no_more(const struct stack *s, struct tcp_id id);

/** tcp_unread_bytes() - What waits to be read */
uint32_t tcp_unread_bytes(const struct stack *s, struct tcp_id id);

/** tcp_has_more_to_say() - Of one whose other end is away: has it something for that, or an end that is to be said? */
bool tcp_has_more_to_say(const struct stack *s, struct tcp_id id);

/** tcp_export_bytes() - Room that tcp_export() wants */
uint64_t tcp_export_bytes(const struct stack *s, struct tcp_id id);

/**
 * tcp_export() - Write a held connection, or one that is over, to @buf of tcp_export_bytes()
 * It stays as it is until tcp_forget().
 */
void tcp_export(const struct stack *s, struct tcp_id id, void *buf);

/** tcp_unsent_read() - Of what was not sent yet, from @at bytes on, into @buf. Return: bytes, at most @len; 0: that was all. A link that cannot lose */
uint32_t tcp_unsent_read(const struct stack *s, struct tcp_id id, uint64_t at, void *buf, uint32_t len);

/** tcp_forget() - Without a word to the peer; @id is invalid from here */
void tcp_forget(struct stack *s, struct tcp_id id);

/**
 * tcp_import() - The other end of tcp_export(). Nothing in @buf is trusted.
 * @link: Must not lose
 * Return: 0; -EINVAL: no connection can be like this; -EADDRINUSE: @link has one between these endpoints; -ENOMEM; -ENETDOWN.
 */
int tcp_import(struct stack *s, struct link_id link, const void *buf, uint64_t bytes, uint64_t cookie,
	       struct tcp_id *ret_id);

/** tcp_keeps_said() - Has nobody accepted it yet? Then tcp_unsent_read() reads what it said, too */
bool tcp_keeps_said(const struct stack *s, struct tcp_id id);

/** tcp_peer_gone() - It has nobody at its other end: it ends as those do whose link goes */
void tcp_peer_gone(struct stack *s, struct tcp_id id);

/** tcp_dequeue() - tcp_accept() for who does not accept, but hands on: whoever called hears nothing */
int tcp_dequeue(struct stack *s, struct listener_id l, uint64_t cookie, struct tcp_id *ret_id);

/** tcp_refuse() - tcp_abort() of such a one: whoever called may call another */
void tcp_refuse(struct stack *s, struct tcp_id id);

/**
 * tcp_accept_early() - tcp_accept() of one of whom DEFER_ACCEPT expects data, on a link that cannot lose; for a listener that stops
 * Return: 0; -EAGAIN: none.
 */
int tcp_accept_early(struct stack *s, struct listener_id l, struct tcp_id *ret_id);

/**
 * tcp_enqueue() - Let a connection that the program holds wait for tcp_accept() instead; @id is invalid from here
 * The listener is that of its local endpoint, and takes it even if its backlog is full: it was acknowledged already.
 * Return: 0; -ENOENT: nobody listens there.
 */
int tcp_enqueue(struct stack *s, struct tcp_id id);

/**
 * tcp_move() - To another link, which cannot lose. Frames of the old one that data lie in are copied.
 * Return: 0; -EADDRINUSE, -ENETDOWN, -ENOMEM: it is where it was.
 */
int tcp_move(struct stack *s, struct tcp_id id, struct link_id to);

#endif

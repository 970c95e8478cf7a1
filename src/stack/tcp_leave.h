/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection on a link that can lose goes on in another stack, at the same addresses, and its peer isn't told
 *
 * All that the other has to know is said at once; what is on its way then, in either direction, counts as lost, and is sent again. From then
 * on this stack takes nothing of it and answers nothing: frames that were dispatched here before would else be those of an
 * unknown connection, and be reset.
 */
#ifndef VJ_STACK_TCP_LEAVE_H
#define VJ_STACK_TCP_LEAVE_H

#include "stack/stack.h"

/* FINs are not in the numbers. */
struct tcp_place {
	struct endpoint local, remote;
	uint32_t rcv_seq, rcv_bytes; /* unread */
	uint32_t snd_seq, snd_bytes; /* not acknowledged ... */
	uint32_t sent_bytes;	     /* ... of which so many were sent */
	uint32_t rcv_acked, rcv_wnd; /* acknowledged last, at or before the end of what is unread; the window offered from there */
	uint32_t snd_wnd;	     /* from @snd_seq, scaled */
	uint32_t ts;		     /* our clock of timestamps */
	uint16_t mss;		     /* that the peer takes, without options */
	uint8_t snd_wscale, rcv_wscale;
	bool sack, timestamps;
	/* Ours: to follow what waits; was sent, as was all that waits; was acknowledged. The peer's */
	bool fin, fin_sent, fin_acked, fin_rcvd;
};

/**
 * tcp_place() - Where does it stand? Nothing changes
 * Return: 0; -EAGAIN: its handshake isn't over; -EOPNOTSUPP: its link cannot lose; -ENOTCONN: it has ended.
 */
int tcp_place(const struct stack *s, struct tcp_id id, struct tcp_place *ret_place);

/** tcp_place_queues() - What is unread, then what isn't acknowledged, to @buf of rcv_bytes + snd_bytes */
void tcp_place_queues(const struct stack *s, struct tcp_id id, uint8_t *buf);

enum tcp_stay {
	TCP_STAY_NONE,	/* it has ended, or has nothing to say any more */
	TCP_STAY_EARLY, /* nobody has it yet: its handshake isn't over, or it waits for accept() */
	TCP_STAY_HELD,	/* the program has it */
	TCP_STAY_ALONE, /* the program has closed it: it ends by itself */
};

/** tcp_stay() - What keeps a connection of tcp_next() here? */
enum tcp_stay tcp_stay(const struct stack *s, struct tcp_id id);

/** tcp_leave() - It goes on elsewhere. @id is invalid from here; the program is told nothing. */
void tcp_leave(struct stack *s, struct tcp_id id);

#endif

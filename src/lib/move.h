/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.h - connections that go from one application to another
 *
 * Theory of operation
 *
 * A descriptor can have copies in several processes; a connection on a channel is held by one at a time, and moves to
 * whoever uses it next. Three parties: the holder, the claimer, and the peer at the other end, whose program notices nothing.
 *
 * Deed (deed*.c). A connection that may be claimed has a pair of Unix sockets. One end, the token, stands at its descriptor
 * numbers; so every copy of the descriptor, however it came into a process, is a copy of the token. Only the holder has the
 * other end, the deed. A process that wants the connection sends a claim into the token, with a socket for the answer. The
 * holder answers with the deed and the connection as bytes (stack/tcp_move.h), and holds it no more. When there is no copy
 * of the token left the deed says so by POLLHUP; when the deed's holder dies, the token does.
 *
 * In-band (move.c). Between claim and answer the peer is told, by frames on the very channel that the connection's segments
 * take; they are what makes sure that nothing is lost, doubled or reordered:
 *
 *	claimer                       holder                                   peer
 *	   │ claim ─────────────────────►│ holds it: sends no more of it           │
 *	   │                             │ MOVE token, endpoints ─────────────────►│ takes it off this link: sends no more
 *	   │                             │◄────────────────────────── LEFT token   │ of it (its program can write on)
 *	   │◄───────── deed and parcel   │ has had all that the peer sent          │
 *	   │ (vjd: a channel to the peer, if there is none)                        │
 *	   │ ARRIVED token ───────────────────────────────────────────────────────►│ puts it on this link, and goes on
 *
 * A call (stack/tcp_call.c) that nobody has accepted moves from one listening process to the next in the same way. Its caller keeps the data, to send it
 * to another server if no answer comes, and no two servers may read it. So LEFT says until when the caller certainly waits, and the parcel passes that
 * on. The claimer publishes ARRIVED, then looks at the clock. Before that time: the caller, which looks at the clock first, finds ARRIVED before it
 * calls another. Later: no program is given the data there, and the call is refused. So each process may be stopped at any point, for any time. As
 * long as the holder that gave it away runs, the caller waits on.
 *
 * The holder says GIVEN before it gives a connection away. If it ends without having said so, nobody can arrive.
 *
 * The token of these frames is 128 random bits. If both ends move at once, end 0 of the channel goes first: the peer's MOVE
 * is ignored by end 0 while its own is unanswered, and sent again by end 1 when the connection has arrived.
 *
 * Datagrams (sock/dgram_copy.c). When a second process reads from a UDP port the port becomes the kernel's for all senders. YIELD and YIELDED tell the
 * process that had it when the last datagram has come over its channels.
 *
 * A peer, holder or claimer that lies harms this connection only: frames name connections of their own link, a token
 * cannot be guessed, and a parcel is checked before it becomes a connection.
 */
#ifndef LIB_MOVE_H
#define LIB_MOVE_H

#include "lib/priv.h"

/* What a frame says. All in host byte order: it does not leave the host. */
enum move_kind {
	MOVE_LEAVE = 1, /* MOVE above */
	MOVE_LEFT,
	MOVE_LEFT_NONE, /* LEFT: there is no such connection (any more) */
	MOVE_ARRIVED,
	MOVE_GONE, /* answer to ARRIVED: there is no such connection any more */
	MOVE_YIELD, /* datagrams for this port of mine are the kernel's from now on */
	MOVE_YIELDED, /* answer: from here on I send none of them by this channel */
	MOVE_GIVEN, /* LEFT has come, and from here on another process may hold it; if the sender ends before it says this, none does */
	MOVE_KIND_CNT,
};

enum {
	MOVE_TOKEN_BYTES = 16,
	MOVE_CALL_WAITS_MS = 1000, /* for so long a caller waits for the next process, which mostly has the call at once; if it is late the call is refused, and repeated */
};
#define MOVE_MAGIC UINT32_C(0x65766f6d)

struct move_frame {
	uint32_t magic;
	uint32_t kind; /* enum move_kind */
	uint8_t token[MOVE_TOKEN_BYTES];
	uint8_t local[16], remote[16]; /* as the sender sees them */
	uint16_t local_port, remote_port;
	uint32_t app_id; /* LEFT: the peer's number at vjd; else 0 */
	uint64_t until_ns; /* LEFT of a call without an answer: the caller calls no other server before, by CLOCK_MONOTONIC; else 0 */
};

_Static_assert(offsetof(struct move_frame, local) == 24 && offsetof(struct move_frame, app_id) == 60 && offsetof(struct move_frame, until_ns) == 64 &&
		       sizeof(struct move_frame) == 72,
	       "docs/moving-connections.md");

struct moves; /* one per struct vj, made when needed */

/* ---- move.c: the frames, and connections that wait for their other end */

/* A frame of ETH_TYPE_LINK. @len bytes at @data, in shared memory */
void move_input(struct vj_link *link, const uint8_t *data, uint32_t len);
/* A connection on this link is to leave: send MOVE. Frames of this and the next functions are sent at once, or as soon as there is a frame. */
void move_leave(struct vj *vj, struct vj_link *link, const uint8_t token[static MOVE_TOKEN_BYTES], struct tcp_id id);
/* It has arrived: send ARRIVED, and release it. @until_ns: from LEFT; 0: no limit. If that is over, the call is refused, and no program reads its data here. */
void move_arrived(struct vj *vj, struct vj_link *link, const uint8_t token[static MOVE_TOKEN_BYTES], uint64_t until_ns, struct tcp_id id);
/* It is about to be given to another process: send GIVEN. Return: false: there is no frame yet */
bool move_given(struct vj *vj, struct tcp_id id, const uint8_t token[static MOVE_TOKEN_BYTES]);
/*
 * vjd routes datagrams to @local to the kernel by now: send YIELD to all peers. Return: a number for move_yielded(), which is true when all peers that are still
 * there have answered, so that all datagrams sent before have come.
 */
uint32_t move_yield(struct vj *vj, const struct endpoint *local);
bool move_yielded(const struct vj *vj, uint32_t nr);
/* The link that a connection is on; NULL: it waits for its other end, or its link is gone */
struct vj_link *move_link_of(const struct vj *vj, struct tcp_id id);
/* @link is gone: forget frames that wait to be sent over it. */
void move_link_gone(struct vj *vj, const struct vj_link *link);
/* The link to nowhere, on which our ends of connections wait for ARRIVED; 0: no memory */
struct link_id move_nowhere(struct vj *vj);
/* ARRIVED for our end with this token may take any time (@stay), or should come soon. */
void move_transit_stay(struct vj *vj, const uint8_t token[static MOVE_TOKEN_BYTES], bool stay);
/* Is one of our ends, between these endpoints, on the link to nowhere? */
bool move_is_used(const struct vj *vj, const struct endpoint *local, const struct endpoint *remote);
/* No ARRIVED will come for our end with this token: it now belongs to the calling function, on the link to nowhere, and held. Return: 0; -ENOENT. */
int move_transit_take(struct vj *vj, const uint8_t token[static MOVE_TOKEN_BYTES], struct tcp_id *ret_id);
/* Has our end with this token something to send: bytes, or FIN? */
bool move_transit_has_news(const struct vj *vj, const uint8_t token[static MOVE_TOKEN_BYTES]);
/* When to wake for what waits; UINT64_MAX: never */
uint64_t move_deadline_us(const struct vj *vj);
/* Is something due before @wake_ns for a connection that is kept, of which no bell tells? */
bool move_oversleeps(const struct vj *vj, uint64_t wake_ns);
/* Do what is due. To be called when vj->move_ns has come. */
void move_poll(struct vj *vj);
/* Is anything under way that this process is needed for? */
bool move_busy(const struct vj *vj);
void move_forget_all(struct vj *vj);

/* ---- deed*.c: tokens, deeds, and which process holds what */

/* LEFT or LEFT_NONE has come by @link for a connection of ours. */
void deed_left(struct vj *vj, struct tcp_id id, const struct vj_link *link, const struct move_frame *said);
/* Have we sent MOVE for this connection, and wait for LEFT? */
bool deed_is_leaving(const struct vj *vj, struct tcp_id id);
/* Both ends move at once, and the peer's goes first: ours can leave when that has arrived. */
void deed_postpone(struct vj *vj, struct tcp_id id);
/* A crate has come by vjd: a connection to keep for its claimers, to accept, or to requeue. Takes ownership of @crate. */
void deed_keep(struct vj *vj, int crate);
/* @spared: nothing has come by deed_fd() */
void deed_poll(struct vj *vj, bool spared);
/* Is there any connection with a token? */
bool deed_any(const struct vj *vj);
bool deed_busy(const struct vj *vj);
/* When unread bytes for raw readers are to be looked at again; UINT64_MAX: never */
uint64_t deed_pump_ns(const struct vj *vj);
/* When the next offer or given connection is to be looked at, which comes back unless its taker has confirmed; UINT64_MAX: never */
uint64_t deed_offered_ns(const struct vj *vj);
void deed_forget_all(struct vj *vj);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deed_priv.h - what the files of deeds share; move.h explains deeds and tokens
 *
 * deed.c has them, and sees what comes in by them; deed_give.c gives connections away, and deed_given.c keeps them until they have arrived; deed_take.c gets them; deed_requeue.c leaves those that
 * nobody has accepted to the kernel; deed_raw.c is for those who read and write tokens themselves; deed_msg.c is the messages between
 * processes, and the parcels.
 */
#ifndef LIB_DEED_PRIV_H
#define LIB_DEED_PRIV_H

#include "lib/deed.h"
#include "lib/move.h"
#include "stack/tcp_move.h"

/* ---- deed_msg.c ------------------------------------------------------------------------------------------------ */

enum { DEED_FDS = 2 };

enum deed_kind {
	DEED_CLAIM = 1, /* into a token; the descriptor: a socket to answer on */
	DEED_PARCEL,	/* the answer; descriptors: the deed, the parcel */
	DEED_QUEUED,	/* waits for accept(), and has no descriptors yet; descriptor: the parcel */
	DEED_SOCKET,	/* the answer, and left in the token: it is the kernel's now; descriptor: its socket */
	DEED_REQUEUE,	/* waits for accept(), for its client to bring it into the kernel's queue; descriptor: the parcel */
	DEED_WATCHED,	/* as PARCEL, to its peer to keep: and a set of some process waits at the token */
	DEED_KIND_CNT,
};

#define DEED_MAGIC UINT32_C(0x64656564)

struct deed_msg {
	uint32_t magic;
	uint32_t kind;
	uint32_t peer_app; /* who the connection's other end is: vjd's number, and its process */
	int32_t peer_pid;
	uint8_t token[MOVE_TOKEN_BYTES]; /* that the other end waits for; zero: it is gone */
	uint64_t until_ns; /* whoever called, and has no answer, calls another then, by CLOCK_MONOTONIC: nobody hears it who is later; 0: none of that */
	struct deed_note note;
};
_Static_assert(offsetof(struct deed_msg, token) == 16 && offsetof(struct deed_msg, until_ns) == 32 && offsetof(struct deed_msg, note) == 40 &&
		       sizeof(struct deed_msg) == 72,
	       "docs/moving-connections.md");

/* Two ends to talk by: SOCK_SEQPACKET; or SOCK_STREAM, perhaps SOCK_NONBLOCK, for token and deed. Return: 0; -errno. */
int deed_pair(int type, int ret_pair[static 2]);
/* Return: 0; -errno. Does not wait. */
int deed_msg_send(int fd, const struct deed_msg *msg, const int *fds, unsigned fd_cnt);
/* How many descriptors come with it? */
unsigned deed_msg_fd_cnt(uint32_t kind);
/*
 * One message of @kinds (bits), and its descriptors.
 * Return: 0; -EBADMSG: it was none; -EAGAIN: nothing is there; -EPIPE: there will be nothing.
 */
int deed_msg_recv_one(int fd, unsigned kinds, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS]);
/* The first of @kinds; what else comes is passed over. Return: 0; -EAGAIN; -EPIPE. */
int deed_msg_recv(int fd, unsigned kinds, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS]);
/* Return: a memfd, or socket, with all of the connection; -errno. */
int deed_parcel_write(const struct vj *vj, struct tcp_id id);
/* Its first bytes, if @off is 0. Return: how many; -errno. Of a socket more than those can't be had. */
long deed_parcel_look(int fd, void *buf, uint64_t bytes, uint64_t off);
/* Return: all of a parcel, to be freed; NULL. */
uint8_t *deed_parcel_read(int fd, uint64_t *ret_bytes);

/* ---- deed.c ---------------------------------------------------------------------------------------------------- */

enum deed_state {
	DEED_QUIET,
	DEED_CLAIMED, /* `answer_fd` waits; as soon as the connection can, it leaves */
	DEED_LEAVING, /* held, and the peer was told */
	DEED_LEFT,    /* the peer sends no more */
	DEED_OFFERED, /* passed to another that listens, who hasn't said that he has it; he does, or ends, by `fd` */
	DEED_GIVEN,   /* likewise, to who has claimed it, by `answer_fd`; `fd` is the deed, which another one has, too */
};

struct deed {
	struct deed *next, **pprev; /* of all */
	struct deed *busy_next;	    /* of those not QUIET */
	struct deed *same_next;	    /* in deeds.by_conn */
	int fd; /* -1: it has no descriptors, and is to be offered to others that listen */
	enum deed_state state;
	struct tcp_id conn; /* deed_conn_set(); 0: kept for its peer, which is another connection of ours */
	uint64_t cookie;    /* 0: our program has none of it */
	bool opened;	    /* LEAVING, LEFT, GIVEN: by our end */
	bool parted;	    /* the program was told that it leaves: once, though it may be held and let go again before it does */
	uint64_t came_ns;   /* when it was claimed by us; 0: long ago, or it has got on since: */
	uint32_t came_in_flight, came_unread;
	int answer_fd;	    /* not QUIET: where the parcel goes */
	int crate_fd;	    /* the other end of that, if it goes to the peer unasked; -1 */
	struct deed_msg msg; /* what is known of the answer */
	int parcel_fd;	     /* kept; -1. If `in_kernel`: the socket */
	bool sock6;	     /* should it become the kernel's: the program's socket is one of IPv6 */
	bool in_kernel;	     /* LEFT: it is the kernel's now */
	bool stuck;	     /* it could not become that */
	bool deaf;	     /* kept, and its parcel does not open */
	uint64_t asked_ns;   /* LEAVING: since when */
	bool said_given;     /* LEFT: its peer was told that somebody else may have it */
	bool packed;	     /* LEFT: deed and parcel are in `answer_fd` */
	bool stops;	     /* offered: we listen there no more */
	bool late;	     /* ... as DEED_OFFER_LATE */
	uint32_t to_app;     /* offered: to this one first ... */
	int32_t to_pid;	     /* ... 0: to none by name */
	bool sampled, taken; /* GIVEN: it is watched what becomes of it; its claimer has it */
	uint64_t again_ns, until_ns; /* ... or to be kept by its peer: when to try next, and last; OFFERED: when to take it back; GIVEN: since when */
	bool to_queue;	     /* offered to nobody, or in vain: it is to come into the kernel's queue */
	struct requeue *requeue; /* on its way there from here; NULL: it is not */
	uint8_t *raw;	     /* written into the token, and not sent yet: [raw_at, raw_len); NULL: nothing */
	uint32_t raw_at, raw_len;
	bool shuts; /* after that nothing more is to be sent */
	bool shuts_read; /* ... nor read */
	struct deed *pump_next, **pump_pprev; /* in deeds.pumps; NULL: not there */
	uint64_t look_ns; /* there, if `waiting`: not before */
	bool watched;	  /* who had it before waits for it at the token */
	bool soon;	  /* who reads is probably one that we don't see */
	bool waiting;	  /* something has waited to be read since it was last looked at */
	bool pumped;	  /* something was put into the token since our program last read */
	bool full;	  /* ... as much as is ever there at a time */
	bool drained;	  /* ... and somebody else has read it */
	bool ended;	  /* the token's readers have been told of the end */
	bool kept_long;	   /* kept: whoever was about to claim it has done so */
	bool parcel_waits; /* kept: there is something to read in the parcel */
};

struct deeds {
	struct deed *all, *busy;
	struct deed **by_conn; /* by the low bits of `conn`, those that have one */
	uint32_t bucket_cnt;   /* a power of two, not less than half of @cnt; 0: no table yet */
	uint32_t cnt;
	bool raw_waits; /* some deed has `raw` */
	struct deed *pumps; /* those that somebody may want to read from whom we don't see */
	int set_fd; /* epoll, of all deeds */
	bool bells;  /* deed_bell() was called */
	bool called; /* by one */
	uint32_t passed; /* deed_passed() */
	bool hurries; /* the process ends: nobody is waited for who might accept */
	uint64_t offered_ns; /* when the first of those OFFERED is to be taken back; UINT64_MAX: none is */
	struct deed *given; /* those GIVEN, by `busy_next`, and when the first is to be looked at; UINT64_MAX: none is */
	uint64_t given_ns;
	struct deed_fates fates[2]; /* of those that were accepted, and that were opened */
	bool others; /* listen where we do, or did: one has given us a connection that waited, or taken one */
	struct deed_hooks hooks;
};

/* Takes @fd (-1: none) in any case. NULL: no memory. */
struct deed *deed_new(struct vj *vj, int fd);
void deed_free(struct vj *vj, struct deed *d);
/* What comes in by @fd, which is the deed's if it succeeds, is told. -1: nothing does */
bool deed_listen(const struct deeds *ds, struct deed *d, int fd);
/* It was claimed by this process. */
void deed_came(struct vj *vj, struct deed *d);
/* It is that connection's from here on. */
void deed_conn_set(struct vj *vj, struct deed *d, struct tcp_id id);
/* NULL: it has none */
struct deed *deed_of(const struct vj *vj, struct tcp_id id);
/* @to, between the same two endpoints, takes the place of @from, which need not have a deed */
void deed_conn_again(struct vj *vj, struct tcp_id from, struct tcp_id to);
/* It is no more. */
void deed_conn_gone(struct vj *vj, struct deed *d);
/* What is there already is to be told again. */
void deed_rearm(struct vj *vj, struct deed *d);
/* It is to go to @answer_fd, which is the deed's now. */
void deed_wanted(struct vj *vj, struct deed *d, int answer_fd);

/* ---- deed_raw.c ------------------------------------------------------------------------------------------------ */

enum raw_next { RAW_NOTHING, RAW_DATA, RAW_MESSAGE, RAW_SHUT, RAW_END };

/* What can be read from the deed? RAW_DATA: room for it is in @d->raw, raw_len bytes; raw_take() is to follow. */
enum raw_next raw_next(struct deed *d);
/* The last copy of the token is closed: with bytes in it that nobody has read? Told once. */
bool raw_was_unread(const struct deed *d);
/* Return: false: nothing was there. */
bool raw_take(struct vj *vj, struct deed *d);
/* To the peer. Return: true: all has gone. */
bool deed_raw_send(struct vj *vj, struct deed *d);
/* Nothing more is to be read from the deed, or nothing before somebody else has it: if the program has said that it sends no more, that is all. */
void raw_all(struct vj *vj, struct deed *d);
/* Who writes into the token says that this was all. */
void raw_shut(struct vj *vj, struct deed *d);
/* Somebody may want to read this by its token. @soon: and probably does */
void raw_watch(struct vj *vj, struct deed *d, bool soon);
/* The same of one that is kept for whoever comes */
void raw_keep(struct vj *vj, struct deed *d);
/* Not any more */
void raw_rest(struct deed *d);
void raw_pump_all(struct vj *vj);

/* ---- deed_give.c, deed_take.c ---------------------------------------------------------------------------------- */

/* Both ends of where the parcel goes, if nobody has asked for it. Return: 0; -errno. */
int deed_crate(struct deed *d);
/* Give it away unasked, to its peer, or to the kernel. Return: false: there is nobody to give it to. */
bool deed_push(struct vj *vj, struct deed *d);
/* Those that are to leave, or do: on with it. @at_rest: the program is in no call on a connection */
void deeds_serve(struct vj *vj, struct deeds *ds, bool at_rest);
/* It has been claimed, and the program is at rest: begin. */
void deed_leave(struct vj *vj, struct deed *d);
/* It has left its peer's link, is the kernel's, or is over: give it away, and the deed with it. Return: true: @d is gone. */
bool deed_give(struct vj *vj, struct deed *d);
/* OFFERED: something came in. @d may be gone. */
void deed_offer_event(struct vj *vj, struct deed *d);
/* Those whose taker has said nothing for too long */
void deed_offers_expire(struct vj *vj);
/* Who waits for accept() somewhere, and has nobody who accepts, waits here. Takes @d, which has its parcel. @crate: as deed_open() */
void deed_enqueue(struct vj *vj, struct deed *d, int crate);
/* By the clock: may whoever called have called another? If he has not, who gave it refuses him. */
bool deed_is_late(const struct deed_msg *msg);
/* Whoever called may have called another when it arrived here. Return: true: it did, he was refused, and the connection is no more */
bool deed_drop_late(struct vj *vj, struct tcp_id id);
/* deed_offer() of one that waits for accept() */
void deed_offer_one(struct vj *vj, struct tcp_id id, enum deed_offer how);
/* Deed, if there is one, and parcel to where they were asked for from, or into the crate: once. Return: 0; -errno. */
int deed_pack(struct vj *vj, struct deed *d);
/*
 * The connection of a deed that came with its parcel, into our stack. @crate: by which it came, if whoever gave it may have it back, and is told that we
 * have it; -1.
 * Return: 0; -ECONNRESET; -ECANCELED: he has, or is to have it, as it is late.
 */
int deed_open(struct vj *vj, struct deed *d, int crate, struct vj_conn *ret_c);

/* ---- deed_given.c ---------------------------------------------------------------------------------------------- */

/* Was it given to who has claimed it? Then it is kept, and comes back if that one ends before he says that he has it. */
bool deed_given_keep(struct vj *vj, struct deed *d);
void deed_given_look(struct vj *vj);

/* ---- deed_requeue.c -------------------------------------------------------------------------------------------- */

/* Nobody wants what is offered. Return: true: it is to come into the kernel's queue from here on; false: it was, or can't. */
bool requeue_instead(const struct vj *vj, struct deed *d);
/* It has left its peer's link: on with it. Return: true: done, or, by @ret_err, impossible */
bool requeue_give(struct vj *vj, struct deed *d, int *ret_err);
/* @d came with its parcel: it is the other end of one of ours. Takes @d. */
void requeue_take(struct vj *vj, struct deed *d);
/* The program is at rest: on with it. */
void requeue_leave(struct vj *vj, struct deed *d);
void requeue_free(struct deed *d);

#endif

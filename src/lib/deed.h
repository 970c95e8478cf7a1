/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deed.h - connections whose descriptors may have copies in other processes; move.h explains deeds and tokens
 *
 * Thread rule: as vj.h, one thread at a time. None of these blocks, but deed_take() for vjd's answer.
 */
#ifndef LIB_DEED_H
#define LIB_DEED_H

#include "base/types.h"
#include "lib/report.h"

#include <vj/vj.h>

/* What the layer above wants to know of a connection wherever it is; opaque here, but how it ends when there is no copy left. */
struct deed_note {
	uint8_t bytes[31];
	uint8_t resets; /* not 0: by RST, as one that lingers for no time */
};

/* A name that tokens are bound to, so that a process that finds one among its descriptors knows what it is. */
#define DEED_NAME_PREFIX "vjchan/token/" /* abstract, after the zero byte */
struct deed_names {
	struct sockaddr_storage local, remote;
	bool far; /* over an interface, when the token was made */
	bool sock6; /* as deed_make() was told: an IPv4 connection's names may be those of a socket of IPv6 */
};

struct deed_hooks {
	/* The connection leaves: its handle is invalid from here. What is to go along? */
	void (*leaves)(uint64_t cookie, struct deed_note *ret_note);
	/* Nobody took it: the handle is valid again. */
	void (*stays)(uint64_t cookie);
	/*
	 * It has become the kernel's: its handle is invalid from here. @note: as of deed_close() if @cookie is 0, else to be made. @fd: its
	 * socket, with the options that libvj knows; stays libvj's. @why: DETACHED or USED_ELSEWHERE.
	 */
	void (*in_kernel)(uint64_t cookie, const struct deed_note *note, int fd, enum report_why why);
	/* Connections that deed_leaves() says of are to have deeds, @most of them in one call. */
	void (*leaving)(unsigned most);
	/* Bytes of this connection are to be read from its descriptors now, before what vj_recv() gives. */
	void (*pumped)(uint64_t cookie);
	/* Is the program's socket one of IPv6? Should it become the kernel's, and have no deed_make() */
	bool (*sock6)(uint64_t cookie);
	/* Does a thread of ours, or a set of it, wait for this connection? If not, whoever reads is probably one that we don't see. */
	bool (*waited)(uint64_t cookie);
};

/** deed_hooks_set() - Before the first deed_make() */
void deed_hooks_set(struct vj *vj, const struct deed_hooks *hooks);

/**
 * deed_make() - Let others claim this connection
 * @sock6:     the program's socket is one of IPv6; so is the kernel's, should it become that
 * @nonblock:  O_NONBLOCK of the token
 * @ret_token: To be put in place of the connection's descriptors; the caller's
 * Each costs a descriptor of this process; not more than a quarter of those that it may have are taken.
 * One over an interface becomes the kernel's when it is claimed (to_kernel.h), and so for everybody.
 * Return: 0; -EMFILE, -ENOMEM and the like: as before.
 */
int deed_make(struct vj *vj, struct vj_conn c, uint64_t cookie, bool sock6, bool nonblock, int *ret_token);

/** deed_has() - Is it to be closed by deed_close(), whether it has a token or not? */
bool deed_has(const struct vj *vj, struct vj_conn c);

/** deed_is_far() - Is it one over an interface? */
bool deed_is_far(const struct vj *vj, struct vj_conn c);

/** deed_leaves() - Is its interface about to be detached? (leaving.h) */
bool deed_leaves(const struct vj *vj, struct vj_conn c);

enum deed_offer {
	DEED_OFFER, /* what nobody else takes comes back into our own queue */
	DEED_OFFER_LATE, /* the same, and whoever takes it is noted: deed_passed() */
	DEED_OFFER_STOPS, /* nobody will listen here from now on: also those whose handshake isn't over; what nobody takes for a while goes as the next */
	DEED_OFFER_QUEUE, /* likewise, but to where programs without the library accept: the kernel's queue of that endpoint */
};

/**
 * deed_offer() - What waits for accept() at @l goes to others that listen at the same endpoint
 * In the background. Who comes into the kernel's queue does so by his own library, which sends there again what he has sent; he has a connection of
 * the kernel's then. If nobody takes it, and there is no such queue, it comes back, or if nobody listens here then is reset.
 */
void deed_offer(struct vj *vj, struct vj_listener l, enum deed_offer how);

/**
 * deed_offer_to() - The same, to this process if there is one: it need not have leased the endpoint, and is noted unless @how is DEED_OFFER_STOPS
 * @app: its deed_app(), @pid: its own, both as it has said
 */
void deed_offer_to(struct vj *vj, struct vj_listener l, enum deed_offer how, uint32_t app, int32_t pid);

/** deed_passed() - How many were taken by whom deed_offer_to() named, and how many were late where others listen, or did; counts around */
uint32_t deed_passed(const struct vj *vj);

enum { DEED_BRIEF_MS = 50 };

/* What became of connections that other processes have claimed from this one, some of them; counts around */
struct deed_fates {
	uint32_t brief;	  /* DEED_BRIEF_MS later no process had a descriptor any more */
	uint32_t lasting; /* one had */
};

/** deed_fates() - @opened: of those that our end has opened, else of accepted ones */
struct deed_fates deed_fates(const struct vj *vj, bool opened);

/** deed_app() - Our number at vjd; 0: it is away */
uint32_t deed_app(const struct vj *vj);

/** deed_fd() - Readable when another process wants a connection of ours; -1: none can. The bell says it, too. */
int deed_fd(const struct vj *vj);

/** deed_is_calm() - Has nobody asked, and is nothing under way, so that deed_fd() says what comes next? No system call. */
bool deed_is_calm(const struct vj *vj);

/** deed_wants() - Does another process want one, or call, or is one just leaving? */
bool deed_wants(const struct vj *vj);

/**
 * deed_is_idle() - Does nothing end, and does nobody miss anything, if this context is closed now?
 * There is no connection, none that is wanted, offered or on its way, and no channel at an interface.
 */
bool deed_is_idle(const struct vj *vj);

/**
 * deed_bell() - What others send to @fd, a socket of the caller's, calls this process: it makes deed_fd() readable, and is read by the caller
 * What is there already counts. Closing @fd ends it.
 * Return: 0; -ENOMEM, -ENOSPC.
 */
int deed_bell(struct vj *vj, int fd);

/** deed_is_called() - Has one called? deed_called() - The same, and it is answered now */
bool deed_is_called(const struct vj *vj);
bool deed_called(struct vj *vj);

/**
 * deed_let_go() - Connections that were claimed may leave now
 * To be called where the program is in no call on a connection that goes on without asking whether it is still there.
 */
void deed_let_go(struct vj *vj);

/**
 * deed_shutdown() - vj_shutdown(), behind what others have written into its token, which may wait for room at the peer
 * Return: as vj_shutdown().
 */
int deed_shutdown(struct vj *vj, struct vj_conn c);
/** deed_shut_read() - conn_shut_read(), after that: when the end has been said */
void deed_shut_read(struct vj *vj, struct vj_conn c);

/**
 * deed_close() - The program has closed its copies of the token, and @c with them
 * The connection ends in order, or as @note says, when no other process has a copy; until then it can be claimed. @c is invalid from here.
 * To be followed by deed_look() once the descriptors are closed, so that the end is not late.
 */
void deed_close(struct vj *vj, struct vj_conn c, const struct deed_note *note);
void deed_look(struct vj *vj);

/**
 * deed_unheard() - conn_is_refused(): @c comes into the kernel's queue of whom it was for, with all that it has said
 * By deed_hooks.in_kernel, within 100 ms; or, if the program has closed it, in the background: @c is invalid from here then.
 * Return: true: it is the kernel's, and @c invalid; false: it is not, or not yet
 */
bool deed_unheard(struct vj *vj, struct vj_conn c);

/**
 * deed_read_soon() - Who reads this connection is probably somebody whom the library does not see: libc's streams
 * deed_readable() - Bytes have come for one that has a token
 * deed_read() - The program reads it by way of the library
 * What nobody has read for a while is put into the token, from where read() of the kernel's gets it: in small portions, 10 ms after the
 * first, or 100 if nothing tells that it should be so; and at once when what was put there has been taken.
 */
void deed_read_soon(struct vj *vj, struct vj_conn c);
void deed_readable(struct vj *vj, struct vj_conn c);
void deed_read(struct vj *vj, struct vj_conn c);

/**
 * deed_watched() - The process that had it before waits for what can be read from the token
 * So what comes is put there at once, unless our own program waits for it. Until @c leaves.
 */
void deed_watched(struct vj *vj, struct vj_conn c);

/** deed_abandon() - The same of one that leaves just now */
void deed_abandon(struct vj *vj, uint64_t cookie);

/**
 * deed_names() - What is this descriptor?
 * Return: true: a token, and the names of the connection's two ends
 */
bool deed_names(int fd, struct deed_names *ret_names);

/**
 * deed_claim() - Ask whoever holds it for the connection of @token
 * @ret_answer: Becomes readable when deed_take() has something to take; the caller's
 * Return: 0; -ECONNRESET: nobody holds it (any more); -EMFILE and the like.
 */
int deed_claim(int token, int *ret_answer);

/**
 * deed_take() - The answer
 * @ret_socket: -1; or the connection is the kernel's now, and this, an own_fd(), its socket: nothing else is set then
 * Return: 0: the connection is ours, and the deed; -EAGAIN: not there yet; -ECONNRESET: it can't be had: its holder is gone,
 * or its peer.
 */
int deed_take(struct vj *vj, int answer, uint64_t cookie, struct deed_note *ret_note, struct vj_conn *ret_c, int *ret_socket);

/**
 * deed_socket() - Has the connection of @token become the kernel's?
 * What says so is left in the token for all who have a copy, so it can also be had when its holder is gone.
 * Return: its socket, an own_fd(); -1: no
 */
int deed_socket(int token);

/**
 * deed_send() - Another process is about to get @c: if it is one over an interface it becomes the kernel's now
 * It has to have a deed. If it can't be now, who uses it will claim it.
 */
void deed_send(struct vj *vj, struct vj_conn c);

/**
 * deed_leave_all() - This process ends, or becomes another program: what others may claim is given to its peers to keep, or to the kernel
 * @waits: for others that are to accept who waits for that; else whom nobody takes at once comes into the kernel's queue, since the process
 *         that is to follow may be started when this one has ended
 * Blocks up to @timeout_ms, as long as some go ten times that. Copies of our own program that are still open count as others'.
 */
void deed_leave_all(struct vj *vj, bool waits, int timeout_ms);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h - what a descriptor of the program refers to in this layer */
#ifndef SOCK_FILE_H
#define SOCK_FILE_H

#include "base/types.h"
#include "lib/pause.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <vj/vj.h>

struct dgram;
struct family_slot;
struct watch;

enum file_kind {
	FILE_SOCK,
	FILE_EPOLL,
	FILE_INTERNAL, /* `internal_file`: a descriptor of this layer or of libvj */
};

struct file {
	enum file_kind kind;
	uint32_t refs; /* one for each descriptor, and for each call that has given the lock up meanwhile */
	struct watch *watches;
	_Atomic uint32_t calm; /* for poll(): sock.calm, as it was when the kernel was found to report all events of this file; 0: not, or no more (calm.h) */
};

/*
 * Transitions
 *	FRESH -> LISTEN			listen()
 *	FRESH -> CONNECTING		connect()
 *	CONNECTING -> CONNECTED		an event
 *	CONNECTING -> FRESH		shutdown(); a failed connect() has been reported; or connect() goes on in the kernel. The last may happen in any
 *					ctx_process(), and leaves a struct sock without descriptors, freed unless a call holds it
 *	LISTEN -> FRESH			shutdown()
 *	any connection -> AWAY		fork(), in the child; or another process uses the connection
 *	AWAY -> CONNECTED		use; -> DEAD if the claim fails; -> KERNEL instead if the connection was over an interface
 *	any connection -> DEAD		exit()
 */
enum sock_state {
	SOCK_FRESH,	 /* a plain kernel socket so far */
	SOCK_LISTEN,	 /* if `has_listener`: `listener` */
	SOCK_CONNECTING, /* `conn` */
	SOCK_CONNECTED,	 /* `conn` */
	SOCK_DEAD,	 /* none of these */
	SOCK_AWAY,	 /* none of these: another process holds it (away.c) */
	SOCK_UDP,	 /* `dgram`; from socket() to close() */
	SOCK_KERNEL,	 /* has no descriptor in our table any more: calls that waited go on with `option_fd` (in_kernel.c) */
};

/* Options set before there is a connection; a listener hands them to what it accepts. */
enum {
	/* VJ_OPT_TOS and VJ_OPT_TTL, should it be a connection over IPv6; those themselves are over IPv4 */
	SOCK_OPTION_TOS6 = VJ_OPT_NOTSENT_LOWAT + 1,
	SOCK_OPTION_TTL6,
	SOCK_OPTION_CNT,
};
struct sock_options {
	uint32_t set; /* bit per enum vj_option, and SOCK_OPTION_* */
	uint64_t value[SOCK_OPTION_CNT];
	bool zerocopy; /* SO_ZEROCOPY: sends with MSG_ZEROCOPY are counted, and told by recvmsg(MSG_ERRQUEUE) */
	uint32_t zerocopy_sent, zerocopy_told;
	bool inq;  /* TCP_INQ */
	int stamp; /* SO_TIMESTAMP and its like; 0: none */
};

struct sock {
	struct file file;
	uint8_t state;	/* enum sock_state */
	uint8_t family; /* AF_INET, AF_INET6 */
	bool nonblock;
	bool async; /* O_ASYNC: signals, ctx.c */
	bool append; /* O_APPEND: to be read back */
	bool shut_rd, shut_wr;
	bool failed; /* the connection's error was reported: reads end, writes break */
	bool has_listener;
	bool kernel_only; /* LISTEN: it will never have a lease */
	bool copied;	  /* other processes may have copies, and LISTEN: listen, too. FRESH: connect it */
	bool on_trial;	  /* LISTEN: no lease at interfaces yet, see accept.c */
	bool narrowed;	  /* LISTEN: has no lease at interfaces, as its processes seem to wait by turns, see family.c */
	bool looked;	  /* LISTEN: options have not changed since `option_fd` was made, or was found unnecessary */
	bool kernels_option; /* TCP: has an option that only the kernel implements, option_kernel.c */
	uint8_t own_mtu_mode; /* TCP, a bit for each family: has an IP_MTU_DISCOVER mode that channels at interfaces don't implement */
	bool bound;	    /* FRESH: bind() was called */
	bool any_port;	    /* `bound`: to an address with port 0, and the program has not asked which port the kernel chose */
	bool connect_async; /* connect() returned EINPROGRESS and has not been asked again */
	bool cut;	    /* ... but shutdown() came, after the end of the connection: connect() is EINVAL, as in the kernel's SS_DISCONNECTING */
	bool unanswered;    /* CONNECTING: a thread that waits in connect() is to leave it to the kernel */
	uint8_t refusals;   /* CONNECTING: so many owners of the port have refused it */
	bool linger;
	bool shared; /* the kernel socket below is the placeholder of several */
	bool v6only; /* IPV6_V6ONLY: LISTEN, if `has_listener`; `shared`: of the listener */
	bool token;  /* its descriptors are a token's: other processes may have copies */
	bool far;    /* `token`: over an interface */
	uint8_t why; /* enum report_why, where a part of it is the kernel's */
	bool inherited; /* a connection that was the parent's before fork(); a listening socket that was, or that came from another process */
	bool stdio;	/* `token`, and has been at a standard descriptor: libc's streams may write into it, and read from it */
	bool lends;	/* `token`, marked: an epoll set of this process waits for it, see away.c */
	bool pumped;	/* `token`: there may be bytes in it, to be read before those of `conn` */
	uint32_t lent_bytes; /* AWAY: bytes written into the token of a lent connection */
	uint32_t sent_at; /* a connection: sock.looks at the last write */
	uint16_t err; /* error found after part of a call succeeded, for the next one */
	bool many_accept; /* LISTEN: several threads have called accept() */
	bool contested;	  /* LISTEN: others have been seen to take clients from the kernel's queue, or to be about to */
	bool kernel_has;  /* LISTEN: poll() has told the accepter of a client in the kernel's queue */
	_Atomic uint32_t calm; /* LISTEN: accept() is the plain system call while sock.calm has this value; 0 */
	const void *accepter; /* LISTEN: the thread that last called accept(): its sock_signals */
	uint32_t linger_s;
	union {
		struct vj_conn conn;
		struct vj_listener listener;
		struct dgram *dgram;
	};
	uint32_t rcvlowat;	/* SO_RCVLOWAT; 0: 1 */
	uint32_t backlog;	/* LISTEN, as the next four */
	uint32_t got_forks;	/* `on_trial`: sock.forks + 1 when a connection was last accepted; 0: none was */
	uint32_t offer_ms;	/* how long clients wait before they are offered to others */
	union {
		uint64_t ready_ns;   /* if `has_listener`: since when clients have waited; 0: none waits */
		struct pause unleased; /* LISTEN, else: there was no lease so far; when to ask for one again */
	};
	struct sock *next_copied; /* in sock.copied, if `has_listener` and `copied`; KERNEL: in sock.ended */
	struct family_slot *slot; /* LISTEN: family.c; NULL: has none */
	int lease_fd; /* LISTEN, UDP: our own duplicate of the kernel socket, the proof that the port is ours; else -1 */
	/*
	 * `shared`: a kernel socket that keeps the options of this connection only; -1: none yet. LISTEN: the placeholder of accepted connections, with the
	 * listener's options; -1, if `looked`: sock.placeholder will do. KERNEL: the kernel socket itself
	 */
	int option_fd;
	/*
	 * LISTEN, if `looked`, `shared`, `token`: a bit for each option that accept() hands on, and that differs from a new socket's (option_inherit.c);
	 * else not 0 if some may differ
	 */
	uint64_t handed_on;
	uint64_t rcvtimeo_ns, sndtimeo_ns; /* 0: none */
	struct sock_options *opts;	   /* NULL: none set; malloc */
};

/* Zeroed; NULL: no memory. */
struct sock *sock_alloc(void);
void sock_free(struct sock *s);
/* Everything that waits for @f learns that @mask (EPOLLIN ...) may hold now. */
void file_fire(struct file *f, uint32_t mask);

void file_get(struct file *f);
/* Drops a reference; the last one closes what is behind it. Lock held. */
void file_put(struct file *f);
/* @s has become the kernel's: its reference is dropped when the lock is given up, not before */
void ended_later(struct sock *s);
/* ... which is about to happen */
void ended_put(void);

static inline struct sock *sock_of(struct file *f)
{
	return container_of(f, struct sock, file);
}

/* NULL: it is none; also of NULL */
static inline struct sock *file_sock(struct file *f)
{
	return f && f->kind == FILE_SOCK ? sock_of(f) : NULL;
}

static inline bool sock_is_conn(const struct sock *s)
{
	return s->state == SOCK_CONNECTING || s->state == SOCK_CONNECTED;
}

/* No part of it is served by the kernel. */
static inline bool sock_is_channel(const struct sock *s)
{
	return sock_is_conn(s) || s->state == SOCK_DEAD || s->state == SOCK_AWAY;
}

/* stream.c. Return: level as poll bits, channel side only. Lock held. */
uint32_t file_level(struct file *f);
uint32_t sock_level(const struct sock *s);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* file.h - what a number of the program's stands for */
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
	uint32_t refs; /* descriptors, and calls that gave the lock up meanwhile */
	struct watch *watches;
	_Atomic uint32_t calm; /* sock.calm, as it was when its events were found to be the kernel's alone, and there has been nothing since; 0. For poll() */
};

/*
 * Who moves it: FRESH -> LISTEN by listen(); FRESH -> CONNECTING by connect(); CONNECTING -> CONNECTED by an event; CONNECTING ->
 * FRESH by shutdown(), when a failed connect() has been reported, or goes on as the kernel's, which may be in any ctx_process(), and leaves a
 * socket without numbers, that is gone if no call holds it; LISTEN -> FRESH by shutdown(); any connection -> AWAY by fork() in the
 * child, and whenever another process uses it; AWAY -> CONNECTED by use, or DEAD if it can't be had; one over an interface ->
 * KERNEL instead; any connection -> DEAD by exit.
 */
enum sock_state {
	SOCK_FRESH,	 /* all with the kernel */
	SOCK_LISTEN,	 /* if `has_listener`: `listener` */
	SOCK_CONNECTING, /* `conn` */
	SOCK_CONNECTED,	 /* `conn` */
	SOCK_DEAD,	 /* neither */
	SOCK_AWAY,	 /* neither: another process has it (away.c) */
	SOCK_UDP,	 /* `dgram`; from socket() to close() */
	SOCK_KERNEL,	 /* has no number here any more: calls that waited go on with `option_fd` (in_kernel.c) */
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
	bool kernel_only; /* LISTEN: there is no lease to be had, ever */
	bool copied;	  /* LISTEN: other processes may listen to it, too. FRESH: may connect it */
	bool on_trial;	  /* LISTEN: not at interfaces yet, see accept.c */
	bool looked;	  /* LISTEN: options have not changed since `option_fd` was made, or found to be for nothing */
	bool kernels_option; /* TCP: has one that only the kernel gives a meaning, option_kernel.c */
	uint8_t own_mtu_mode; /* TCP, a bit for each family: asks for another treatment of the path's MTU than channels at interfaces give */
	bool bound;	    /* FRESH: bind() was called */
	bool any_port;	    /* `bound`: to an address alone, and nobody has asked which port the kernel chose */
	bool connect_async; /* connect() returned EINPROGRESS and has not been asked again */
	bool cut;	    /* ... but shutdown() came, after the end of the connection: connect() is EINVAL, as in the kernel's SS_DISCONNECTING */
	bool unanswered;    /* CONNECTING: whoever waits in connect() is to leave it to the kernel */
	uint8_t refusals;   /* CONNECTING: owners of the port that did not want it any more */
	bool linger;
	bool shared; /* the kernel socket below is the placeholder of several */
	bool v6only; /* IPV6_V6ONLY: LISTEN, if `has_listener`; `shared`: of the listener */
	bool token;  /* its descriptors are a token's: other processes may have copies */
	bool far;    /* `token`: over an interface */
	uint8_t why; /* enum report_why, where a part of it is the kernel's */
	bool inherited; /* a connection that was the parent's before fork(); a listening socket that was, or came from elsewhere */
	bool stdio;	/* `token`, and has been at a standard descriptor: libc's streams may write into it, and read from it */
	bool lends;	/* `token`, which says that a set of ours waits for it: see away.c */
	bool pumped;	/* `token`: bytes of this connection may be in it, before those of `conn` */
	uint32_t lent_bytes; /* AWAY: written by way of who has it */
	uint32_t sent_at; /* a connection: sock.looks at the last write */
	uint16_t err; /* error found after part of a call succeeded, for the next one */
	bool many_accept; /* LISTEN: several threads have called accept() */
	bool contested;	  /* LISTEN: somebody else has taken from the kernel's queue whom a thread here was about to take */
	bool kernel_has;  /* LISTEN: somebody waits in the kernel's queue, said poll() to the accepter */
	_Atomic uint32_t calm; /* LISTEN: sock.calm, if its accept() was found to be the kernel's alone as long as that is so; 0 */
	const void *accepter; /* LISTEN: the thread that last did; its sock_signals */
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
		uint64_t ready_ns;   /* if `has_listener`: since when somebody has waited; 0: nobody */
		struct pause unleased; /* LISTEN, else: no lease could be had so far; when to ask for it again */
		uint64_t claimed_ns; /* `inherited`: when it first came here; 0: not yet, or told */
	};
	struct sock *next_copied; /* in sock.copied, if `has_listener` and `copied`; KERNEL: in sock.ended */
	struct family_slot *slot; /* LISTEN: family.c; NULL: has none */
	int lease_fd; /* LISTEN, UDP: our own duplicate of the kernel socket, the proof that the port is ours; else -1 */
	/*
	 * `shared`: a kernel socket that keeps the options of this one alone; -1: has none yet. LISTEN: a placeholder with its options for what it
	 * accepts; -1: sock.placeholder serves, if `looked`. KERNEL: itself
	 */
	int option_fd;
	uint64_t handed_on; /* LISTEN, if `looked`, `shared`, `token`: a bit for each option that accept() hands on and that isn't a new socket's, option_inherit.c; else not 0: some may be so */
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
/* @s has become the kernel's: it is let go when the lock is given up, not before */
void ended_later(struct sock *s);
/* ... which is now */
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

/* Nothing of it is the kernel's. */
static inline bool sock_is_channel(const struct sock *s)
{
	return sock_is_conn(s) || s->state == SOCK_DEAD || s->state == SOCK_AWAY;
}

/* stream.c. Return: level as poll bits, channel side only. Lock held. */
uint32_t file_level(struct file *f);
uint32_t sock_level(const struct sock *s);

#endif

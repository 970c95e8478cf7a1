/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * priv.h - what the files of the sockets layer share
 *
 * Theory of operation
 *
 * A descriptor of the program is always a real kernel descriptor. fdtab.c maps its number to a
 * `struct file` when this layer has a say in it: a TCP socket whose way is not decided yet, a
 * listening socket, a connection on a channel, a UDP socket (dgram.c), an epoll set. No entry means: the kernel's, and the
 * look-up that finds this out is two loads and no lock.
 *
 * A TCP socket starts FRESH: a kernel socket whose options are remembered. connect() decides: on a
 * channel if vjd knows an application behind the address, else it is the kernel's for good and
 * leaves the table. listen() makes it listen in the kernel, and the first wait for a connection on
 * channels, too (accept.c says why so late); accept() takes from both. Under a channel connection the kernel socket stays as a placeholder that keeps the number;
 * connections that were accepted share one, duplicated.
 *
 * One lock, `sock.lock`, covers all of it and libvj below. It is never held across a system call
 * that can block.
 *
 * Events: whoever is inside calls ctx_process(), which runs libvj and hands its events to the
 * watches of the sockets concerned. A watch belongs to an epoll set (its entry then goes on the
 * set's ready list) or to a thread that waits in a blocking call or in poll().
 *
 * Sleeping (wait.c): a thread sleeps in the kernel on its own descriptors plus a kick, an eventfd
 * by which other threads of this process wake it. One of the sleepers, the leader, also sleeps on
 * libvj's bell and wakes when libvj's next timer is due; what it finds there for others it passes
 * on by kicking them. When the leader returns to the program and others still sleep, it gives one of them the bell (kick.c), or kicks it to be leader next;
 * whom the bell has served takes it back before it sleeps again. While a handler of a signal holds the leader, whoever goes to sleep, or the helper, takes its place. A program with one thread has neither kicks nor followers.
 *
 * Helper (helper.c): a thread that makes progress while the program computes. It asks every 10 ms
 * whether the program has been here; if not, it processes, and becomes the leader until the program
 * comes back. While a program thread leads it sleeps without a timer.
 *
 * Invariants
 *   - whenever a thread sleeps for channel events and no thread of the process is inside, there is a leader, and the bell is
 *     armed; or a kick is on its way to the next leader; or there is no channel, and the helper is CALM.
 *   - the leader wakes in time for every timer, and the bell is armed on every link, those included that came after it went to
 *     sleep; or the helper ticks, and will see to it, soon also if a handler holds the leader.
 *   - socks and watches live in memory that is never given back, so a late event can only wake someone in vain.
 *   - nothing here is used in a child of fork() except through life.c, which makes connections be away there.
 */
#ifndef SOCK_PRIV_H
#define SOCK_PRIV_H

#include "base/assert.h"
#include "base/time.h"
#include "base/types.h"
#include "lib/board.h"
#include "lib/own_fd.h"
#include "lib/pause.h"
#include "lib/report.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/sock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <vj/vj.h>

/* ---- env.c ----------------------------------------------------------------------------------- */

enum env_name { ENV_SOCKET, ENV_STRICT, ENV_VERBOSE, ENV_SPIN_US, ENV_PCAP, ENV_MTU_PROBING, ENV_IO_URING, ENV_CNT };

/* As it was when the program began; NULL: not set, or empty. */
const char *env_value(enum env_name name);
/* Set, and not "0". */
bool env_is_on(enum env_name name);

/* ---- files ----------------------------------------------------------------------------------- */

enum file_kind {
	FILE_SOCK,
	FILE_EPOLL,
	FILE_INTERNAL, /* `internal_file`: a descriptor of this layer or of libvj */
};

struct file {
	enum file_kind kind;
	uint32_t refs; /* descriptors, and calls that gave the lock up meanwhile */
	struct watch *watches;
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

struct dgram; /* dgram.h */

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

/* ---- undo.c ---------------------------------------------------------------------------------- */

/* What is to be done when a jump leaves the call that has begun it. On its stack; pushed and popped with the lock held. */
struct undo {
	struct undo *outer;
	void (*run)(void *arg); /* without the lock */
	void *arg;
};
extern __thread struct undo *sock_undo __attribute__((tls_model("initial-exec")));

static inline void undo_push(struct undo *u, void (*run)(void *arg), void *arg)
{
	*u = (struct undo){ .outer = sock_undo, .run = run, .arg = arg };
	sock_undo = u;
}

/* Return: false: it was done; the call has nothing any more, and is to return. */
static inline bool undo_pop(struct undo *u)
{
	if (unlikely(sock_undo != u))
		return false;
	sock_undo = u->outer;
	return true;
}

/* A reference to a file that is held while the lock is given up */
struct hold {
	struct undo undo;
	struct file *file;
};
/* All of the thread's; lock not held. For pthread_cleanup_push(), too. */
void undo_all(void *arg);
void hold_begin(struct hold *h, struct file *f);
void hold_end(struct hold *h);

/* ---- waiting --------------------------------------------------------------------------------- */

/* What handlers leave behind in the thread that they ran in. */
struct signal_trace {
	uint32_t ran;	       /* handlers, since the thread began */
	uint32_t interrupting; /* among them those without SA_RESTART */
	int sleep_fd;	       /* to be written to by a handler: the thread is about to sleep; -1 */
	_Atomic bool leads;    /* ... as leader. Others make somebody that, or no more, while he sleeps */
	bool front;	       /* the last sleep ended for what came by channels: the next is better with the bell */
	_Atomic uint32_t begun; /* all handlers, those that `sock_kept_out` doesn't count as well. Read by others while the thread sleeps */
	int tid;	       /* 0: not asked for yet; recall.c */
};

/* A thread asleep. On its stack. */
struct sleeper {
	struct sleeper *next, **pprev;
	struct kick *kick;
	struct signal_trace signals; /* when the call began: a handler since then ends it */
	struct signal_trace *thread; /* whose it is; a handler may sleep on top of it */
	uint32_t begun;		     /* of `thread`, when the sleep began: if more have since, when it wakes nobody knows */
	uint64_t wake_ns;	     /* when it wakes by itself; TIME_NEVER. Whoever leads sooner, perhaps */
	int bell_fd;		     /* to be waited for beside the kick; -1 */
	bool rung;		     /* the sleep is over, and it was the bell that ended it, if the bell was there; or that is not known */
	bool kicked;		     /* ... and the kick can be read */
	bool to_lead;		     /* it was sent for want of a leader */
	bool is_calm;		     /* it will sleep again without saying so: the set that it sleeps in is calm */
};

struct epoll_set;

struct watch {
	struct file *file;
	struct watch *next, **pprev; /* in file->watches */
	struct epoll_set *set;	     /* NULL: of the sleeper */
	struct sleeper *sleeper;
	/* below: of an epoll set only */
	struct watch *ready_next, *ready_prev; /* in set->ready, if on_ready */
	struct watch *set_next, **set_pprev;   /* in set->watches */
	uint64_t data;
	uint32_t events; /* as the program gave them; only EP_PRIVATE bits: spent one-shot */
	int fd;
	uint32_t round; /* in which it was last reported ... */
	int place;	/* ... and where, if by the kernel's side */
	bool on_ready;
	bool in_kernel; /* also registered with the kernel's set */
	bool called;	/* for a connection that another process has: it had better be here */
};

struct epoll_set {
	struct file file;
	int epfd;	    /* any descriptor of it */
	struct watch ready; /* list head: entries that may have something to report */
	uint32_t ready_cnt;
	struct watch *watches;
	struct kick kick; /* registered with the kernel's set as soon as there is a watch, and a context */
	bool adopted;	  /* threads may sleep in the kernel's set that are not counted below */
	bool inherited;	  /* the parent has the kernel's set, too, or whoever became this program */
	uint32_t forks;	  /* sock.forks when it was made: if there were more, children have it */
	bool called;	  /* one of the watches is */
	bool fresh_watches; /* among the watches may be listening sockets that are not leased yet */
	uint64_t again_ns; /* when to look at those again that could not be; 0: there are none */
	uint32_t asleep;  /* threads in its epoll_wait() in the kernel */
	_Atomic uint32_t kernel_cnt; /* registrations with the kernel's set, about; not kick and bell */
	_Atomic bool ours;     /* has had a watch; until then its epoll_wait() is the kernel's */
	uint64_t looked_ticks; /* when the kernel's set was last asked */
	uint32_t round;	       /* counts calls that collect */
	_Atomic uint32_t calm; /* sock.calm as it was when nothing of ours was to be told or done here, and there has been nothing since; 0 */
	_Atomic uint32_t kernel_asleep; /* threads that wait as long as it is not `ours`, or is calm. The last: who closes the set leaves them there */
};

/* Spinning before a sleep; one per blocking call, zeroed. */
struct spin {
	bool begun;
	uint64_t until_ns;
};

enum helper_state { HELPER_NONE, HELPER_TICK, HELPER_WATCH, HELPER_LEAD, HELPER_DEEP, HELPER_CALM };

enum { MUTE_CNT = 8 };

/* A peer that did not answer over an interface channel. */
struct mute {
	uint8_t addr[16]; /* IPv4: mapped */
	uint32_t times;	  /* one after the other; 0: free */
	struct pause pause;
};

struct sock_layer {
	pthread_mutex_t lock;
	struct vj *vj; /* NULL: no context (yet) */
	struct vj *past; /* the last one of a process that ends, never looked at */
	int pid; /* who tracks descriptors; another process that shares or copied this memory keeps off */
	struct pause detached; /* no new vj_open() before it ends */
	int refused;	       /* why the last one failed */
	uint64_t opened_ns; /* the context, if there is one */
	bool strict, verbose, exiting;
	struct mute mutes[MUTE_CNT];
	uint32_t mute_cnt;  /* peers in @mutes, unanswered.c */
	bool barred; /* all that is new is the kernel's: cage.c */
	bool rings; /* the program's io_uring has worked on a socket: what is new is the kernel's */
	uint8_t briefs; /* connections that were left to the kernel, because processes of this program are brief */
	struct board_kept board; /* while there is no context */
	struct sock *copied; /* sockets that listen here and elsewhere */
	struct sock *ended; /* became the kernel's while a call looked, which may go on with them: ended_later() */
	bool stdio; /* some socket has `stdio` */
	bool accepts; /* the program has called accept(), in this process or before it was forked */
	_Atomic bool left; /* some token was left to the kernel's calls */
	bool orphaned; /* a shared connection was closed: when its descriptors are, away_closed() */
	uint32_t lazy; /* sockets that want something to be done when they are waited for: to be leased, to be claimed */
	uint32_t forks; /* of the program, so far */
	bool took;	/* a connection of the kernel's was accepted since the last of them */
	uint64_t serves_ns; /* a child that began then, for such a connection, and has none of its parent's on a channel; 0: it isn't one */
	bool hands_over; /* it has sent a connection to another process: its listening sockets stay on trial */
	uint64_t calls; /* of the program into ctx_process() */
	uint32_t looks; /* at what has come, by whomever */
	_Atomic uint32_t calm; /* not 0: the helper is CALM; another number each time, and after each fork() of the program */

	struct sleeper *sleepers;
	struct sleeper *leader; /* NULL: nobody sleeps on the bell */
	bool crowd; /* a thread has slept beside who led */
	uint32_t called; /* kicks by which sleepers are about to wake */
	uint32_t kicks_due; /* sent, and not written to yet: kick.c */
	bool sleeping; /* sleepers, or a helper that has to be told: whoever leaves looks after them */

	uint64_t spin_ns; /* 0: never */
	_Atomic bool alone; /* one processor is ours, or it isn't known: lib/wait.h; read without the lock by who waits for it */
	uint32_t spin_misses, spin_skip;

	struct {
		enum helper_state state;
		bool ends; /* it is to */
		_Atomic bool begun; /* the thread runs */
		int tid; /* if `begun`, which is set behind it */
		struct kick kick;
		_Atomic int timer_fd;
		int deed_fd;	   /* CALM: it listens there, too; -1 */
		bool on_bell;	   /* LEAD, or not awake since */
		uint32_t watches;  /* since window_ns */
		uint64_t window_ns;
		uint64_t seen;	   /* @calls when the last of them began */
		struct sleeper sleeper;
	} helper;

	int placeholder
		[2]; /* never-connected sockets to duplicate for accepted ones: AF_INET, AF_INET6; -1 */
};
extern struct sock_layer sock;

/* This thread holds the lock. A signal handler that runs meanwhile must not take it again. */
extern __thread bool sock_inside __attribute__((tls_model("initial-exec")));

/*
 * EFAULT, for the wild pointer that programs really pass: NULL, and what lies a little beyond it. Any other that the kernel would refuse is
 * used in this process, and ends it by SIGSEGV, unless a handler jumps (undo.c): to tell them before is a system call for each transfer, and to survive
 * the fault is a handler in place of the program's own.
 */
static inline bool is_wild(const void *p)
{
	return unlikely((uintptr_t)p < 4096);
}

/* Return: -1 */
long errno_set(long r);

/* A result as libc returns it. */
static inline long ret_errno(long r)
{
	return likely(r >= 0) ? r : errno_set(r);
}

#define EP_PRIVATE ((uint32_t)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE))

/* ---- fdtab.c --------------------------------------------------------------------------------- */

/* From number to file: fdtab.c */
struct fd_table {
	_Atomic unsigned cnt;			/* numbers from here on have nothing. 0 as long as none has */
	_Atomic(_Atomic(struct file *) *) slots; /* of the first ones; only if there are */
	_Atomic(_Atomic uint8_t *) notes;	/* likewise: fd_note_of() */
};
extern struct fd_table fd_table;

/* It has ever known a socket. Before that no other variable of it is looked at: they are on a page that most processes don't touch. */
static inline bool layer_began(void)
{
	return atomic_load_explicit(&fd_table.cnt, memory_order_relaxed);
}
enum { FD_PAGE_BITS = 16, FD_PAGE_CNT = 1 << 8, FD_GROUP_BITS = 6 }; /* 16 M descriptors */

/* Of numbers beyond the first page */
struct file *fd_peek_far(unsigned nr);
_Atomic uint8_t *fd_note_far(unsigned nr);

/*
 * No lock: tells whether there is anything to ask about. What it returns may be used under the lock
 * only.
 */
static inline struct file *fd_peek(int fd)
{
	unsigned nr = (unsigned)fd;

	if (likely(nr >= atomic_load_explicit(&fd_table.cnt, memory_order_acquire)))
		return NULL;
	if (unlikely(nr >> FD_PAGE_BITS))
		return fd_peek_far(nr);
	return atomic_load_explicit(&atomic_load_explicit(&fd_table.slots, memory_order_acquire)[nr], memory_order_relaxed);
}

/* Lock held. @f NULL clears. Takes no reference. Return: 0; -ENOMEM. */
int fd_set_file(int fd, struct file *f);

/* Zeroed memory, never to be given back: for tables that many processes have no use for (fdtab.c). Return: NULL: there is none */
void *pages_get(size_t bytes);
/* The first descriptor >= @fd with an entry, or -1. */
int fd_next(int fd);
/* The first number >= @fd that may have an entry or a note, or -1. Lock held. */
int fd_next_used(int fd);
/* The place for the note why a number was given to the kernel: enum report_why; 0: it was not, or was closed since. No lock. NULL: there is none */
static inline _Atomic uint8_t *fd_note_of(int fd)
{
	unsigned nr = (unsigned)fd;

	if (nr >= atomic_load_explicit(&fd_table.cnt, memory_order_acquire))
		return NULL;
	if (unlikely(nr >> FD_PAGE_BITS))
		return fd_note_far(nr);
	return &atomic_load_explicit(&fd_table.notes, memory_order_acquire)[nr];
}
/* ... which is made. Lock held. NULL: no memory. */
_Atomic uint8_t *fd_note_make(int fd);
/* There is no context. If all that there is are low numbers again, and no other thread, they are where they were at first. Lock held. */
void fd_table_shrink(void);
/* Any of its descriptors; -1: none. Looks through all there are. */
int fd_of_file(const struct file *f);
/* For own_fd_hook: a descriptor of the library or of this layer, which the program must not close. Lock held. */
void fd_protect(int fd, bool ours);
extern struct file internal_file;

/* No lock. To the program such a number is as if it were closed. */
static inline bool fd_is_ours(int fd)
{
	return fd_peek(fd) == &internal_file;
}

/* Zeroed; NULL: no memory. */
struct sock *sock_alloc(void);
void sock_free(struct sock *s);
struct epoll_set *set_alloc(void);
void set_free(struct epoll_set *set);
struct watch *watch_alloc(void);
void watch_free(struct watch *w);

void watch_link(struct watch *w, struct file *f);
void watch_unlink(struct watch *w);

/* ---- ctx.c ----------------------------------------------------------------------------------- */

void lock_take(void);
/* Hold on to the duty towards sleepers: to be used when this thread comes back at once. */
void lock_drop(void);
/* Give the lock up and return to the program: see to it that those who sleep have a leader, and that it sleeps no longer than it may. */
void lock_leave(void);
/* For moments, instead of lock_leave() and lock_take(): where a jump would leave things half done. This thread's handlers wait. */
void lock_lend(void);
void lock_regain(void);
/* `sleepers` or the helper's state has changed. */
void sleeping_update(void);

/* The lock is taken if the descriptor has an entry; else NULL, and the call is the kernel's. */
struct file *file_enter(int fd);
/* The same for a connection on a channel only. It may be AWAY. */
struct sock *name_enter(int fd);
/* ... and has been claimed if it was. */
struct sock *conn_enter(int fd);
/* ... or for a UDP socket; or one whose connection shutdown() gave up, until that was told. */
struct sock *io_enter(int fd);
/* ... or, if the call only writes, one that is AWAY and lent: away_lent_send() */
struct sock *send_enter(int fd, bool lent);
/* First use: environment, fork handler. Lock held. */
void layer_init(void);
/* Make the context if there is none. Lock held. Return: 0; errors of vj_open(). */
int ctx_get(void);
/* The program goes on without one; nobody sleeps. Gives the lock up meanwhile. Lock held, context there. */
void ctx_close(void);
/* One line about what went another way than asked; only if the user wants to know. */
void ctx_say(const char *fmt, ...) VJ_PRINTF(1, 2);
/* Run libvj and hand out its events. Lock held, context there. */
void ctx_process(void);
/*
 * For a call that doesn't look: does so at every other one of a row in which nobody else has, if the helper doesn't sleep on the bell. Else a program that
 * writes only would hear of its peer's end at the next tick. @looked: of the row, its own. It does not count as the program's looking after its connections.
 */
void ctx_look_between(uint32_t *looked);
/* Everything that waits for @f learns that @mask (EPOLLIN ...) may hold now. */
void file_fire(struct file *f, uint32_t mask);

void file_get(struct file *f);
/* Drops a reference; the last one closes what is behind it. Lock held. */
void file_put(struct file *f);
/* @s has become the kernel's: it is let go when the lock is given up, not before */
void ended_later(struct sock *s);
/* ... which is now */
void ended_put(void);

/*
 * ---- stream.c -----------------------------------------------------------------------------------
 * ----------------
 */

static inline struct sock *sock_of(struct file *f)
{
	return container_of(f, struct sock, file);
}

static inline struct epoll_set *set_of(struct file *f)
{
	return container_of(f, struct epoll_set, file);
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

/* Return: level as poll bits, channel side only. Lock held. */
uint32_t file_level(struct file *f);
uint32_t sock_level(const struct sock *s);
/* The last descriptor went. */
void sock_destroy(struct sock *s);
/*
 * An address that accept(), getsockname() ... return: truncated, with its whole length in @len.
 * Return: 0; -EFAULT; -EINVAL.
 */
int sock_addr_copy(const struct sock *s, const struct sockaddr_storage *from, struct sockaddr *to,
		   socklen_t *len);
/* An address of this host? Makes system calls. */
bool sock_addr_is_local(const struct sock *s, const struct sockaddr *addr, socklen_t len);
/* Could a channel lead there: to an application of this host, or to the network? Makes system calls, may ask vjd. */
bool sock_addr_is_ours(const struct sock *s, const struct sockaddr *addr, socklen_t len);
/* enum vj_listen_flags, as the kernel socket has them */
unsigned sock_lease_flags(int fd, const struct sock *s);
/* The kernel alone from now on. Lock held. */
void sock_give_to_kernel(int fd, struct sock *s, enum report_why why);
/*
 * The application that a connection was begun to refused it, or is gone: perhaps others listen there, too.
 * Return: true: it goes on, there or in the kernel.
 */
bool sock_connect_refused(struct sock *s);
/* ... once more, whoever holds the port now. Return: true: begun */
bool sock_call_again(struct sock *s);
/* The same of one that is connected already, on a promise, when VJ_EV_ERROR says that nobody took it (called.c). Return: true: it goes on, in the kernel maybe */
bool sock_call_refused(struct sock *s);
/* Nobody has answered for a second. Return: true: it is the kernel's now. */
bool sock_connect_unanswered(struct sock *s);
/* MSG_FASTOPEN, which connects first, of one that has done that. Return: 0: goes on; -EISCONN; as connect(); 1: it is better the kernel's */
int conn_fastopen(struct sock *s);
/* An error that the stack reports once. Return: what the call returns. */
long sock_fail(struct sock *s, long err);
/*
 * @err has ended a call that returns what it has moved: if it is the connection's end the next call says it. What was of that call alone (a bad
 * pointer, no memory, no descriptor to sleep on) is not told, and the connection goes on.
 */
void sock_fail_later(struct sock *s, long err);

/* ---- accept.c -------------------------------------------------------------------------------- */

/*
 * Somebody waits for connections on @fd: on channels too from now on, if it is a listening socket. Lock held.
 * Return: 0; -ENETDOWN: strict, and there is no channel.
 */
int listener_wanted(int fd, struct sock *s);
/* Who waits there is to ask again then, since no lease could be had so far; TIME_NEVER. */
uint64_t listener_again_ns(const struct sock *s);
/* What comes to `sock.copied` is the kernel's, for @why, and leases are asked for again after @rest. Lock held. */
void listeners_withdraw(enum report_why why, struct pause rest);
/* Off channels; the kernel's socket stays as it is. */
void listener_close(struct sock *s);
/* First part of that: our own descriptor of it is closed, and no word to vjd. */
void listener_proof_close(struct sock *s);
/* Off channels, and the kernel's goes on listening, alone; who waits on channels is put into its queue. */
void listener_leave(int fd, struct sock *s, enum report_why why);
/* The process becomes another program, which takes from the kernel's queue what had come before: who waits on channels is put there. Lock held. */
void listeners_exec(void);
/* Off channels in a child of fork(), where libvj's half is the parent's. */
void listener_forget(struct sock *s);

/* Connections go to other processes: what comes from beyond this host is the kernel's from now on, at all listening sockets. */
void listeners_retreat(void);
/*
 * Clients who have waited too long for accept() here are offered to the others that listen to the same socket. Lock held,
 * context there. @idle: the program has not been here for a tick: whoever comes is passed on at once to who is known to wait. @away: nor does
 * it sleep here: likewise to any other, though not more often than others wait, lest clients of a busy host go round.
 * Return: somebody waits: ask again soon.
 */
bool listeners_offer(bool away, bool idle);
/* Does somebody wait whom listeners_offer() is to look after? */
bool listeners_ready(void);
/* Another process may have a copy. Not a listening socket: nothing happens. */
void listener_copied(struct sock *s);
/* A socket that somebody else made listen, or that a FRESH one became */
void listener_found(struct sock *s, uint32_t backlog);

/*
 * ---- board.c ------------------------------------------------------------------------------------
 * ----------------
 */

/*
 * Is a connection, or a datagram, to @addr the kernel's, as far as can be said without a context? Lock held.
 * Return: why; REPORT_WHY_NONE: ask vjd
 */
enum report_why board_says(const struct sockaddr *addr, socklen_t len, bool udp);
/* The program ends: if it was brief, the next one of its kind is to know. Lock held, context there. */
void board_ended(void);

/*
 * ---- unanswered.c --------------------------------------------------------------------------------------------------------------------
 */

/* The peer of a connection has not answered over an interface; it has, after all; are connections to @addr better the kernel's? Lock held. */
void mute_note(const struct sock *s);
void mute_has_answered(const struct sock *s);
bool mute_is(const struct sockaddr *addr, socklen_t len);

/*
 * ---- confine.c ----------------------------------------------------------------------------------
 * ----------------
 */

/* Does this program fork a process for each connection that will not be able to claim it? Lock held. */
bool program_confines(void);

/*
 * ---- cage.c -------------------------------------------------------------------------------------
 * ----------------
 */

/* Calls for which this layer makes other system calls than libc does */
/* clang-format off */
#define CAGE_CALLS(X) X(accept) X(dup2) X(epoll_create) X(epoll_pwait) X(epoll_wait) X(poll) X(ppoll) X(pselect) X(select)
/* clang-format on */
struct cage_calls {
#define X(name) __typeof__(name) *name;
	CAGE_CALLS(X)
#undef X
};
/* libc's own, for a program under a filter of its own that has nothing on channels any more; else NULL */
extern const struct cage_calls *caged;

/*
 * ---- ring.c -------------------------------------------------------------------------------------
 * ----------------
 */

/* A new socket, which is the kernel's since the program's io_uring works on such */
void ring_has(int fd);

/*
 * ---- in_kernel.c --------------------------------------------------------------------------------
 * ----------------
 */

/* It is the kernel's now: @fd, which stays the caller's, takes the place of what is at its numbers. @s is gone unless a call has it. Lock held. */
void in_kernel(struct sock *s, int fd, enum report_why why);
/* What this layer knows of a connection's options. Those that libvj knows are set. */
void in_kernel_options(int fd, const struct sock *s);
/* Instead of what a call that waited would do next. Gives the lock up. Return: bytes beside the @done; as recv(), send(), -errno */
long in_kernel_goes_on(struct sock *s, bool sends, const struct iovec *iov, int cnt, size_t done, int flags);

/*
 * ---- adopt.c ------------------------------------------------------------------------------------
 * ----------------
 */

/* A descriptor that came from outside: tracked from now on if this layer has a say in such a socket. Lock held. */
void adopt_fd(int fd);

/* Is it a TCP connection of the kernel's? */
bool is_kernel_conn(int fd);
/* The descriptors of a message from the kernel (SCM_RIGHTS). Lock not held. */
void adopt_received(const struct msghdr *msg);
/* @fn of each descriptor in @msg, with the lock. Lock not held. */
void message_fds(const struct msghdr *msg, void (*fn)(int fd));

/*
 * ---- control.c ----------------------------------------------------------------------------------
 * ----------------
 */

/* As the kernel's put_cmsg(), at *@used of msg_control: what does not fit is cut off, and said. */
void control_put(struct msghdr *msg, size_t *used, int level, int type, const void *data, size_t len);
/* An option that asks for the time to come with the data? */
bool control_is_stamp(int level, int name);
/* @stamp: that option; 0: none */
void control_stamp(struct msghdr *msg, size_t *used, int stamp);
/* What a connection on a channel gives beside what it has received */
void control_tcp(const struct sock *s, struct msghdr *msg, bool got_data);
int control_check(const struct msghdr *msg);
/* A header that the kernel would refuse is not followed. */
static inline bool control_is_whole(const struct msghdr *msg, const struct cmsghdr *c)
{
	size_t before = (size_t)((const uint8_t *)c - (const uint8_t *)msg->msg_control);

	return c->cmsg_len >= CMSG_LEN(0) && c->cmsg_len <= msg->msg_controllen - before;
}

/*
 * ---- dest.c -------------------------------------------------------------------------------------
 * ----------------
 */

/* Before a UDP socket is there that the others could be asked for. Return: false: no memory */
bool dests_begin(void);
/* Is an application at this address, to be reached over a channel? May ask vjd. */
bool dest_on_channel(const struct sock *s, const struct sockaddr *sa, socklen_t len);
/* A datagram came from there. */
void dest_learn(const struct sock *s, const struct sockaddr *sa, socklen_t len, bool on_channel);
void dest_forget(const struct sock *s, const struct sockaddr *sa, socklen_t len);
/* A number for the address, which is one that dest_on_channel() was asked about; positive. And by that number: */
uint16_t dest_nr(const struct sock *s, const struct sockaddr *sa, socklen_t len);
/* Have the last sockets that were on channels to send there carried few datagrams? */
bool dest_has_few(uint16_t nr);
/* One of them is closed. */
void dest_carried(uint16_t nr, bool few);
/* Somebody said that he is not there (any more). */
void dests_forget(void);

/*
 * ---- option.c -----------------------------------------------------------------------------------
 * ----------------
 */

struct connect_option;
/* What was remembered, for a connection over IPv6 (@v6) or IPv4. @ret: room for SOCK_OPTION_CNT. Return: how many. */
unsigned options_of(const struct sock *s, bool v6, struct connect_option *ret);
/* Is @c, of @s, one over IPv6? */
bool conn_is_v6(const struct sock *s, struct vj_conn c);
/* The same, onto a new connection. */
void options_replay(const struct sock *from, struct vj_conn c);
/* Return: 0; -ENOMEM. */
int options_remember(struct sock *s, unsigned opt, uint64_t value);
/* Those that are this layer's, onto what a listener accepts */
void options_inherit(const struct sock *from, struct sock *s);
/* SO_ERROR of a connection, on channels: it is told once. Lock held, context there. Return: an errno value; 0: none */
int conn_error(struct sock *s);
/* One send with MSG_ZEROCOPY: done at once, since it was a copy; the program is told as the kernel would. Lock held. */
void zerocopy_sent(struct sock *s);
static inline bool zerocopy_waits(const struct sock *s)
{
	return unlikely(s->opts != NULL) && s->opts->zerocopy_sent != s->opts->zerocopy_told;
}
/* recvmsg(MSG_ERRQUEUE). Return: 0; -EAGAIN. */
int zerocopy_told(struct sock *s, struct msghdr *msg);
/* Those that a listener on channels needs itself. */
void options_listen(const struct sock *s);

/* option_kernel.c: what setsockopt() was given, as a number: not 0 if it asks for anything */
int option_value(const void *val, socklen_t len);
/* Does it ask for what only the kernel's sockets do? */
bool option_is_kernels(const struct sock *s, int level, int name, const void *val, socklen_t len);
/* Is it better refused by a connection on a channel than taken for nothing? */
bool option_is_refused(int level, int name);

/* info.c: TCP_INFO, as long as the kernel's. @fd: a socket of its, or why there is none. Return: 0; -errno. */
int info_get(int fd, const struct sock *s, void *val, socklen_t *len);
/* @ret_mtu: IP bytes that the path of this connection carries, as far as is known. Return: 0; -ENOTCONN: there is none any more. */
int info_path_mtu(const struct sock *s, uint32_t *ret_mtu);
/* Has this connection failed, or been ended by both? The kernel's state is TCP_CLOSE then. */
bool info_has_ended(const struct sock *s);

/*
 * ---- wait.c -------------------------------------------------------------------------------------
 * ----------------
 */

/* Return: true: something may have happened, look again; false: sleep now. Gives up the lock meanwhile. */
bool spin_turn(struct spin *sp);
/* A fifth of a microsecond */
void cpu_relax(void);
void spin_won(const struct spin *sp);

/* One blocking operation on one file: see block_wait(). */
struct blocking {
	struct file *file;
	int kernel_fd;	      /* also wait for this one to be readable; -1: none */
	bool beside_others;   /* ... which listens, and for its queue others wait, too */
	uint64_t timeout_ns;  /* 0: none */
	uint64_t deadline_ns; /* of the first wait on */
	struct spin spin;
	uint32_t turn_looks;	     /* kernel_fd has something, but it is another process's turn, and was when looked at so many times in a row */
	bool kernel_ready;	     /* out: kernel_fd has something */
	bool uncancelled;	     /* no cancellation point: the caller has more to undo than block_end() does */
	struct signal_trace signals; /* when the call began: a handler since then ends it */
	bool held;		     /* from block_begin() to block_end() */
	struct hold hold;
};
void block_begin(struct blocking *b); /* the lock is about to be given up; block_wait() says that itself */
/*
 * Wait until something may have changed. The lock is held before and after, but not meanwhile.
 * Return: 0: look again; -EAGAIN: the timeout is over; -EINTR: a signal without SA_RESTART.
 */
int block_wait(struct blocking *b);
/* Did a handler run that ends the call? @slept_eintr: the kernel says so. Return: 0; -EINTR. */
int block_signals(struct blocking *b, bool slept_eintr);
/* The operation is over, however it went. The file may be gone after. */
void block_end(struct blocking *b);

/*
 * About to sleep, until sl->wake_ns, which is *timeout_ns (-1: for ever) from now; both are shortened for a leader. Return: false: there is
 * work, don't sleep; else the lock was dropped, sleep on sl->kick and sl->bell_fd, then say in sl->rung whether
 * it may have been the bell, and call sleep_end(), which takes the lock. @u, of the caller, is pushed before; a jump runs it.
 */
bool may_lead(void);
bool sleeper_is_held(const struct sleeper *sl); /* a handler has begun on top of the sleep, and may be over */
bool leader_is_held(void); /* there is a leader, on top of whose sleep a handler has begun */
bool sleep_begin(struct sleeper *sl, int64_t *timeout_ns);
/* Nobody leads, and somebody sleeps: he leads from here on. Return: false: he can't without waking */
bool bell_give(void);
/* Right before the system call that sleeps: a handler has ended the call, and there is no kick for it to write to. */
bool sleep_is_over(const struct sleeper *sl);
/* On the list of those who sleep, and off */
void sleeper_link(struct sleeper *sl);
void sleeper_unlink(struct sleeper *sl);
/* Return: false: all was undone, see undo_pop(). @u NULL: this is the undoing. */
bool sleep_end(struct sleeper *sl, struct undo *u);

/* A handler begins on top of a sleep that leads: no lock. */
void sleep_held(void);
/* A blocking call that was interrupted: does every handler there is want it restarted? */
bool signals_restart(void);

/* ---- signal.c ----------------------------------------------------------------------------------- */

extern __thread struct signal_trace sock_signals __attribute__((tls_model("initial-exec")));
/*
 * What the call that waits keeps out by its mask, a bit for each signal. The thread has that mask only while it sleeps: a handler of such a signal that runs
 * before or after that does not end the call.
 */
extern __thread uint64_t sock_kept_out __attribute__((tls_model("initial-exec")));
void signal_forked(void);
/* Signals that came while this thread had the lock; not 0: signal_release() when it has given it up */
extern __thread _Atomic uint32_t sock_deferred __attribute__((tls_model("initial-exec")));
void signal_release(void);

/* @mask: a call's, or NULL */
static inline void signals_keep_out(const sigset_t *mask)
{
	if (unlikely(mask && !is_wild(mask)))
		sock_kept_out = mask->__val[0]; /* 64 signals are one word */
}

static inline void signals_let_in(const sigset_t *mask)
{
	if (unlikely(mask != NULL))
		sock_kept_out = 0;
}

uint64_t deadline_after(uint64_t now_ns, int64_t timeout_ns);
/* NULL: for ever */
int64_t timespec_ns(const struct timespec *ts);
bool timespec_bad(const struct timespec *ts);
/* Return: -1 for never, 0 when over. */
int64_t time_left(uint64_t deadline_ns, uint64_t now_ns);

/* ---- helper.c -------------------------------------------------------------------------------- */

int helper_start(void);
/* The program is active: the helper is to tick, soon, and to lead no more. Lock held. */
void helper_active(void);
/* In a moment it is to see whether a handler keeps the leader from its sleep still. In that handler; no lock. */
void helper_held(void);
/* A thread of the program has begun to lead. Lock held. */
void helper_relieved(void);
/* Its descriptors, when it has ended */
void helper_close(void);
/* There is no context any more: the thread ends, some time later. */
void helper_stop(void);
/* It ends now, and libc knows of it. Lock held, given up meanwhile. Return: there was one, and it is gone. */
bool helper_end(void);
/* There was one, which was to end for a moment. Lock held. */
void helper_again(void);
/* Return: how many threads the process has; 0: /proc isn't to be seen */
unsigned helper_threads(void);
/* The process has no more threads than this one, and the helper if it is there. */
bool helper_is_only(void);

/*
 * ---- epoll.c ------------------------------------------------------------------------------------
 * ----------------
 */

void set_fire(struct watch *w, uint32_t mask);
uint32_t set_level(struct epoll_set *set);
void set_destroy(struct epoll_set *set);
/* There may be sockets in it, or in sets that are in it, that want something to be done when they are waited for. Wakes those who wait. */
void set_refresh(struct epoll_set *set);
/* It is waited for: that is done. Gives up the lock. Return: 0; -ENETDOWN: strict, and there is no channel; -EMFILE */
int set_wanted(struct epoll_set *set);
/* There is a context, of which who sleeps in a set is to hear. Return: 0; -EMFILE, -ENOMEM */
int sets_attach(void);
/* The bell is about to be closed. */
void sets_unbell(void);
/* One of several descriptors of the set goes. */
void set_fd_closed(struct epoll_set *set, int fd);
void watch_destroy(struct watch *w);
/*
 * A socket with watches changes sides: FRESH -> LISTEN, FRESH -> channel, or to the kernel alone.
 */
enum watch_side { WATCH_BOTH, WATCH_CHANNEL, WATCH_KERNEL };
void watches_move(struct file *f, enum watch_side side);
/* A connection is AWAY; that it is WATCH_CHANNEL again undoes it. */
void watches_away(struct file *f);

/* ---- poll.c ---------------------------------------------------------------------------------- */

/*
 * Somebody waits for @fd, and for @events: a listening socket is leased, a connection that is away is claimed, for which
 * the lock is given up, and so are those in a set. Return: 0; -ENETDOWN: strict, and there is no channel; -EMFILE.
 */
int file_wanted(int fd, struct file *f, uint32_t events);
/* ... and who goes on waiting for it calls that again then; TIME_NEVER */
uint64_t file_again_ns(struct file *f, uint32_t events);

/* ---- recv.c, send.c -------------------------------------------------------------------------- */

/* Lock held, given up while blocking. Return: bytes or -errno. */
long conn_recv(struct sock *s, const struct iovec *iov, int cnt, int flags);
long conn_send(struct sock *s, const struct iovec *iov, int cnt, int flags);
/* After the lock was left: EPIPE comes with the signal. */
long send_done(long r, int flags);

/* ---- why.c -------------------------------------------------------------------------------------- */

void why_init(void);
/* @fd is a socket of the kernel's, and has left or leaves the table. Lock held. */
void why_note(int fd, enum report_why why);
/* @fd is closed, or another file's. No lock. */
void why_forget_noted(int fd);
static inline void why_forget(int fd)
{
	const _Atomic uint8_t *note = fd_note_of(fd);

	if (note && unlikely(atomic_load_explicit(note, memory_order_relaxed)))
		why_forget_noted(fd);
}
/* What libvj, or vjd, returned. */
enum report_why why_of_error(long err);
const char *why_text(enum report_why why); /* a sentence about it, for people */
/* A page of this name, for `vj why`, while nobody answers it. Return: to munmap(1 byte); NULL: no memory. */
void *why_mark(const char *name);
/* May it be another way soon, without anybody's doing at this socket? */
bool why_passes(enum report_why why);

/* ---- process.c ------------------------------------------------------------------------------- */

/* Another process than the one that owns this memory's sockets (vfork, raw clone), or `caged`: keep off. No lock. */
bool is_foreign(void);
void process_forked(void); /* this is the child of fork(): the sockets are its own */
void process_vforks(void); /* this thread is about to call vfork(); no lock */

/* ---- life.c ---------------------------------------------------------------------------------- */

/* Every connection is cut off from libvj. */
void layer_bury(void);
void life_init(void);
void signals_on(void); /* what a process that ends has ignored isn't any more, before another program or a child would have it so */
void signal_is_set(int sig); /* ... but by the program, which means it */

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layer.h - the sockets layer as a whole
 *
 * Theory of operation
 *
 * A descriptor of the program is always a real kernel descriptor. fdtab.c maps its number to a
 * `struct file` if this layer serves it: a TCP socket that is neither connected nor listening yet, a
 * listening socket, a connection on a channel, a UDP socket (dgram.c), an epoll set. Without an entry
 * the descriptor is the kernel's; the look-up that finds this out is two loads and no lock.
 *
 * A TCP socket starts FRESH: a kernel socket whose options are remembered. connect() puts it on a
 * channel if vjd knows an application behind the address; else it is the kernel's for good and
 * leaves the table. listen() listens in the kernel; the first wait for a connection listens on
 * channels, too (accept.c says why so late); accept() takes from both. Under a channel connection the
 * kernel socket stays as a placeholder that keeps the number; accepted connections share one, duplicated.
 *
 * One lock, `sock.lock`, covers all of it and libvj below. It is never held across a system call
 * that can block.
 *
 * Events: a thread inside the layer calls ctx_process(), which runs libvj and hands its events to the
 * watches of the sockets concerned. A watch belongs to an epoll set (its entry then goes on the
 * set's ready list) or to a thread that waits in a blocking call or in poll().
 *
 * Sleeping (wait.c): a thread sleeps in the kernel on its own descriptors plus a kick, an eventfd
 * by which other threads of this process wake it. One sleeper, the leader, also sleeps on libvj's bell,
 * and wakes when libvj's next timer is due; it kicks the threads that its events are for. When the
 * leader returns to the program and others still sleep, it puts the bell into the seat of one of them,
 * which makes that the leader while it sleeps on (kick.c), or kicks one to become it. A thread whose
 * last sleep ended by an event of its own takes the bell back before it sleeps again. While a signal
 * handler runs on top of the leader's sleep, the next thread that goes to sleep, or the helper, takes
 * over. A program with one thread has neither kicks nor other sleepers.
 *
 * Helper (helper.c): a thread that makes progress while the program computes. Every 10 ms it looks
 * whether the program has called since; if not, it processes, and becomes the leader until the program
 * comes back. While there is a leader it sleeps without a timer of its own. If no other thread sleeps
 * the bell may be put into its seat, too.
 *
 * Invariants
 *   - whenever a thread sleeps for channel events and no thread of the process is inside, there is a leader, and the bell is
 *     armed; or a kick is on its way to the next leader; or there is no channel, and the helper is CALM.
 *   - whenever the lock is free and the helper's state is ASLEEP, there is a leader, on which no handler runs; the bell is armed on every link, also on
 *     those made since the leader went to sleep; and the leader wakes in time for every timer. Or the leader has been kicked, or the helper has. In TICK
 *     and WATCH the helper makes up for what is missing within 10 ms.
 *       ASLEEP begins where the helper goes to sleep, as leader, or beside one for which it has just armed the bell; where a thread of the program
 *     has just armed the bell and leads (helper_relieved()); and in helper_settle(), which checks each of the conditions.
 *       Before the leader's sleep ends, and in a call that processes, ASLEEP becomes DUE (sleep_end(), ctx_process()). After a call that doesn't process, but
 *     may have made a timer or a link, leader_look() checks both. DUE ends before the lock is given up, wherever that is: kicks_unlock(). Without the
 *     lock only a signal handler can break a condition; it sets the helper's timer.
 *   - socks and watches live in memory that is never given back, so a late event can only wake a thread in vain.
 *   - a child of fork() enters here only through fork.c, which makes its connections away.
 */
#ifndef SOCK_LAYER_H
#define SOCK_LAYER_H

#include "sock/sock.h"
#include "sock/wait.h"

#include "base/types.h"
#include "lib/board.h"
#include "lib/pause.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct sock;

enum helper_state { HELPER_NONE, HELPER_TICK, HELPER_WATCH, HELPER_DUE, HELPER_ASLEEP, HELPER_CALM };

enum { MUTE_CNT = 8 };

/* A peer that did not answer over an interface channel. */
struct mute {
	uint8_t addr[16]; /* IPv4: mapped */
	uint32_t times;	  /* in a row; 0: this entry is free */
	struct pause pause;
};

struct sock_layer {
	pthread_mutex_t lock;
	struct vj *vj; /* NULL: no context (yet) */
	struct vj *past; /* the last one of a process that ends; only kept, never used */
	int pid; /* the process that this state belongs to; another one that shares or has copied the memory (vfork(), clone()) keeps off */
	struct pause detached; /* no new vj_open() before it ends */
	int refused;	       /* why the last one failed */
	uint64_t opened_ns; /* the context, if there is one */
	bool strict, verbose, exiting;
	struct mute mutes[MUTE_CNT];
	uint32_t mute_cnt;  /* peers in @mutes, unanswered.c */
	bool barred; /* new sockets are the kernel's: cage.c, go.c */
	bool rings; /* the program's io_uring has worked on a socket: new sockets are the kernel's */
	uint8_t briefs; /* connections that were left to the kernel, because processes of this program are brief */
	struct board_kept board; /* while there is no context */
	struct sock *copied; /* sockets that listen here and elsewhere */
	struct sock *ended; /* became the kernel's while a call processed events; that call may still use them: ended_later() */
	bool stdio; /* some socket has `stdio` */
	bool accepts; /* the program has called accept(), in this process or before it was forked */
	_Atomic bool polls; /* the program has made a set of epoll, or has called poll() or select() for something of ours: not by system calls of its own */
	_Atomic bool left; /* some token was left to the kernel's calls */
	bool orphaned; /* a shared connection was closed: away_closed() is due when its descriptors are closed */
	uint32_t lazy; /* sockets that need something before they are waited for: a lease, a claim */
	uint32_t forks; /* of the program, so far */
	bool took;	/* a kernel connection was accepted since the last fork() */
	uint64_t serves_ns; /* when this child was forked, if for a kernel connection, and it has claimed none of its parent's; else 0: fork_server.c */
	bool hands_over; /* the program has sent a connection to another process: its listening sockets stay on trial */
	uint64_t calls; /* of the program into ctx_process() */
	uint32_t looks; /* times that events were processed, by any thread */
	_Atomic uint32_t calm; /* not 0: the helper is CALM; another number each time, and after each fork() of the program */
	_Atomic uint32_t inside; /* sock.calm, as it was when recall_may() was found to be true */

	struct sleeper *sleepers;
	struct sleeper *leader; /* NULL: no thread sleeps on the bell */
	bool crowd; /* a thread has slept beside a leader */
	uint32_t called; /* kicks by which sleepers are about to wake */
	uint32_t kicks_due; /* sent, and not written to yet: kick.c */
	bool sleeping; /* there are sleepers, or a helper to be told: a thread that leaves must see to a leader */

	uint64_t spin_ns; /* 0: never */
	_Atomic bool alone; /* this process has one processor, or it isn't known: lib/wait.h; read without the lock by threads that wait for the lock */
	uint32_t spin_credit, spin_skip; /* no credit at first: four spins in vain would be a fifth of the run time of a brief program */

	struct {
		enum helper_state state;
		bool ends; /* it is told to end */
		_Atomic bool begun; /* the thread runs */
		int tid; /* valid if `begun` */
		struct kick kick;
		_Atomic int timer_fd;
		_Atomic uint64_t first_ended_ns; /* when the program's first thread has called pthread_exit(); 0: it has not */
		sigset_t first_mask;		 /* what it blocked then */
		int deed_fd;	   /* also waited for while it sleeps: deed_fd(); -1 */
		bool on_bell;	   /* it sleeps on the bell, or was woken by it and hasn't got the lock since */
		uint32_t dues;	   /* times that it became DUE, since window_ns */
		uint64_t window_ns;
		uint64_t seen;	   /* @calls when the timer was last set for WATCH, or in helper_speaks() */
		uint64_t timer_ns; /* when the timer expires, unless helper_held() has set it sooner; TIME_NEVER */
		uint64_t away_ns;  /* since when the program was away, in the time that the helper leads or last led */
		bool seldom; /* that was for long (SELDOM_NS), as it will be again: a call that ends puts the bell into the helper's seat; helper.c */
		struct sleeper sleeper;
	} helper;

	int placeholder
		[2]; /* never-connected sockets to duplicate for accepted ones: AF_INET, AF_INET6; -1 */
};
extern struct sock_layer sock;

/* This thread holds the lock. A signal handler that runs meanwhile must not take it again. */
extern __thread bool sock_inside __attribute__((tls_model("initial-exec")));

void lock_take(void);
/* Return: false: this thread has it already, or others have held it for LOCK_SOON_MS */
bool lock_soon(void);
enum { LOCK_SOON_MS = 200 };
/* Give the lock up without seeing to a leader, for a thread that takes it again at once. */
void lock_drop(void);
/* Give the lock up and return to the program: if there are sleepers, they have a leader, which sleeps no longer than the next timer. */
void lock_leave(void);
/* Give the lock up for a moment and take it again, where a handler that jumps out would leave things half done: this thread's handlers are deferred. */
void lock_lend(void);
void lock_regain(void);
/* `sleepers` or the helper's state has changed. */
void sleeping_update(void);
/* First use: environment, fork handler. Lock held. Return: may a new socket be this layer's? */
bool layer_init(void);
/* One line on standard error about what went another way than asked; only if the user has asked for it. */
void ctx_say(const char *fmt, ...) VJ_PRINTF(1, 2);

#endif

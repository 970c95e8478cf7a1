/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layer.h - the sockets layer as a whole
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
 * comes back. While somebody leads it sleeps without a timer of its own; and it is given the bell as a thread is, if nobody else sleeps.
 *
 * Invariants
 *   - whenever a thread sleeps for channel events and no thread of the process is inside, there is a leader, and the bell is
 *     armed; or a kick is on its way to the next leader; or there is no channel, and the helper is CALM.
 *   - ASLEEP: whenever the lock is free and the helper in that state, there is a leader, whom no handler holds; the bell is armed on every link, those
 *     included that came after he went to sleep; he wakes in time for every timer. Or he has been kicked, or the helper has. In TICK and WATCH the
 *     helper sees to all that within 10 ms.
 *       It begins where the helper goes to sleep beside a leader for whom it has just armed, or as one; where a thread of the program has just
 *     armed and leads (helper_relieved()); and by helper_settle(), which asks for each of these.
 *       What ends a leader's sleep, or a call that looks, makes it DUE first (sleep_end(), ctx_process()); calls that don't look, but may have made a timer or a
 *     link, are followed by leader_look(), which does. DUE ends before the lock is given up, by whatever way: kicks_unlock(). Without the lock only a handler
 *     can take anything away; it sets the helper's timer.
 *   - socks and watches live in memory that is never given back, so a late event can only wake someone in vain.
 *   - nothing here is used in a child of fork() except through life.c, which makes connections be away there.
 */
#ifndef SOCK_LAYER_H
#define SOCK_LAYER_H

#include "sock/sock.h"
#include "sock/wait.h"

#include "base/types.h"
#include "lib/board.h"
#include "lib/pause.h"

#include <pthread.h>
#include <stdatomic.h>

struct sock;

enum helper_state { HELPER_NONE, HELPER_TICK, HELPER_WATCH, HELPER_DUE, HELPER_ASLEEP, HELPER_CALM };

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
	_Atomic uint32_t inside; /* sock.calm, as it was when recall_may() was found to be true */

	struct sleeper *sleepers;
	struct sleeper *leader; /* NULL: nobody sleeps on the bell */
	bool crowd; /* a thread has slept beside who led */
	uint32_t called; /* kicks by which sleepers are about to wake */
	uint32_t kicks_due; /* sent, and not written to yet: kick.c */
	bool sleeping; /* sleepers, or a helper that has to be told: whoever leaves looks after them */

	uint64_t spin_ns; /* 0: never */
	_Atomic bool alone; /* one processor is ours, or it isn't known: lib/wait.h; read without the lock by who waits for it */
	uint32_t spin_credit, spin_skip; /* 0 at first: four spins in vain would be a fifth of what who is soon over takes */

	struct {
		enum helper_state state;
		bool ends; /* it is to */
		_Atomic bool begun; /* the thread runs */
		int tid; /* if `begun`, which is set behind it */
		struct kick kick;
		_Atomic int timer_fd;
		int deed_fd;	   /* it listens there, too, while it sleeps; -1 */
		bool on_bell;	   /* it hears the bell where it sleeps, or has heard it and not got the lock since */
		uint32_t dues;	   /* since window_ns */
		uint64_t window_ns;
		uint64_t seen;	   /* @calls when the timer was set last, for WATCH, or the program spoke */
		uint64_t timer_ns; /* when the timer goes off, unless helper_held() has it do so sooner; TIME_NEVER */
		uint64_t away_ns;  /* it leads, or has led: since when the program was elsewhere */
		bool seldom; /* for long; and was back for a moment since, or for a wait: a call that ends gives the helper the bell */
		struct sleeper sleeper;
	} helper;

	int placeholder
		[2]; /* never-connected sockets to duplicate for accepted ones: AF_INET, AF_INET6; -1 */
};
extern struct sock_layer sock;

/* This thread holds the lock. A signal handler that runs meanwhile must not take it again. */
extern __thread bool sock_inside __attribute__((tls_model("initial-exec")));

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
/* First use: environment, fork handler. Lock held. */
void layer_init(void);
/* One line about what went another way than asked; only if the user wants to know. */
void ctx_say(const char *fmt, ...) VJ_PRINTF(1, 2);

#endif

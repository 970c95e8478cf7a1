/* SPDX-License-Identifier: BSD-2-Clause */
/* wait.h - threads that wait, and who leads them: wait.c */
#ifndef SOCK_WAIT_H
#define SOCK_WAIT_H

#include "sock/kick.h"
#include "sock/signals.h"
#include "sock/undo.h"

#include "base/types.h"

#include <time.h>

/* A thread asleep. On its stack. */
struct sleeper {
	struct sleeper *next, **pprev;
	struct kick *kick;
	struct signal_trace signals; /* when the call began: a handler since then ends it */
	struct signal_trace *thread; /* of the thread that sleeps; a handler of it may run, or sleep, on top of this sleep */
	uint32_t begun;		     /* thread->begun when the sleep began: if that has grown, a handler runs or has run, and may keep the thread from waking */
	uint64_t wake_ns;	     /* when it wakes by itself; TIME_NEVER. A leader perhaps sooner */
	int bell_fd;		     /* to be waited for beside the kick; -1 */
	bool rung;		     /* the sleep is over, and was ended by the bell, if that was there; or it is not known by what */
	bool kicked;		     /* ... and the kick can be read */
	bool to_lead;		     /* it was sent for want of a leader */
	bool is_calm;		     /* the epoll set that it sleeps in is calm: it may sleep again without a call to this layer */
};

/* Spinning before a sleep; one per blocking call, zeroed. */
struct spin {
	bool begun;
	uint64_t until_ns;
};

/* Return: true: something may have happened, look again; false: sleep now. Gives up the lock meanwhile. */
bool spin_turn(struct spin *sp);
/* A fifth of a microsecond */
void cpu_relax(void);
void spin_won(const struct spin *sp);

/* One blocking operation on one file: see block_wait(). */
struct blocking {
	struct file *file;
	int kernel_fd;	      /* also wait for this one to be readable; -1: none */
	bool beside_others;   /* ... which listens, and others wait for its queue, too */
	uint64_t timeout_ns;  /* 0: none */
	uint64_t deadline_ns; /* of the first wait on */
	struct spin spin;
	uint32_t turn_looks;	     /* so many times in a row kernel_fd had a client, but it was another process's turn (queue.c) */
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
 * work, don't sleep; else drop the lock, sleep on sl->kick and sl->bell_fd, call sleep_over(), which takes the lock, say in sl->kicked and sl->rung
 * what it was, and call sleep_end(). @u, of the caller, is pushed before; a jump runs it, so what it gives back is not used while the lock is dropped.
 */
bool sleep_begin(struct sleeper *sl, int64_t *timeout_ns);
/* Is there no leader, or one that can be replaced without waking it? */
bool may_lead(void);
/* Has a handler begun since the thread went to sleep? It may be over. */
bool sleeper_is_held(const struct sleeper *sl);
/* Is there a leader, of which that is true? */
bool leader_is_held(void);
/* There is a leader, and the lock is about to be given up: see to it that it wakes for timers and links that were made since it went to sleep. */
void leader_look(void);
/* There is no leader: put the bell into the seat of a sleeper, which leads from here on. Return: false: there is none that can lead without waking */
bool bell_give(void);
/* Right before the system call that sleeps: has a handler undone the call, or ended it without a kick to write to? */
bool sleep_is_over(const struct sleeper *sl);
/* Put on the list of sleepers; take off. */
void sleeper_link(struct sleeper *sl);
void sleeper_unlink(struct sleeper *sl);
/* Return: false: all was undone, see undo_pop(). @u NULL: this is the undoing. */
bool sleep_over(const struct sleeper *sl, struct undo *u);
void sleep_end(struct sleeper *sl);

/* A handler begins on top of a sleep that leads: no lock. */
void sleep_held(void);
/* A blocking call that was interrupted: does every handler there is want it restarted? */
bool signals_restart(void);

uint64_t deadline_after(uint64_t now_ns, int64_t timeout_ns);
/* NULL: for ever */
int64_t timespec_ns(const struct timespec *ts);
bool timespec_bad(const struct timespec *ts);
/* Return: -1 for never, 0 when over. */
int64_t time_left(uint64_t deadline_ns, uint64_t now_ns);

#endif

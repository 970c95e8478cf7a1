/* SPDX-License-Identifier: BSD-2-Clause */
/* kick.h - what wakes a sleeping thread of this process, and where it hears the bell; kick.c explains it */
#ifndef SOCK_KICK_H
#define SOCK_KICK_H

#include <stdbool.h>
#include <stdint.h>

struct sleeper;

/* An eventfd that wakes one sleeper of this process, or a signal */
struct kick {
	int fd;	   /* -1: not made yet */
	bool sent; /* since it was last drained; written to when the lock is given up */
	bool calls; /* ... and there were sleepers */
	bool seated, owns_seat;
	bool bell_in, bell_on; /* the bell is in the seat, and heard there */
	uint32_t sleepers; /* on it */
	int seat; /* if `seated`: the epoll set which it is in */
	uint64_t bell_mark; /* of the bell's events there */
	const struct sleeper *inside; /* recall.c: whose thread is signalled. NULL: an eventfd */
};

/* Lock held, in all of these. A kick for a blocking call; with a seat if there is a crowd. `fd` -1: no descriptor could be had, and who sleeps on it does so for a moment (wait.c). */
void kick_borrow(struct kick *ret_kick);
void kick_return(struct kick *k);
int kick_open(struct kick *k);
void kick_send(struct kick *k);
void kick_again(struct kick *k); /* who is `inside`: should it have been missed */
void kick_drain(struct kick *k);
void kick_close(struct kick *k);
/* A seat of its own. The marks are those of the events in it. Return: 0; -EMFILE and other errors of epoll_ctl() */
int kick_seat_make(struct kick *k, uint64_t kick_mark, uint64_t bell_mark);
/* It is in the set @epfd, which stays the caller's. */
void kick_seat(struct kick *k, int epfd, uint64_t bell_mark);
/* `seated`: is the bell to be heard in the seat? Return: false: that could not be done */
bool kick_bell(struct kick *k, bool on);
/* It is about to be closed. */
void kick_unbell(struct kick *k);
/* What a thread sleeps on beside its own */
static inline int kick_fd(const struct kick *k)
{
	return k->owns_seat ? k->seat : k->fd;
}
/* Nobody writes any more to a number that has been taken from where it could be found. */
void kickers_wait(void);
/* No lock: until ..._end() this thread writes to such numbers. */
void kickers_begin(void);
void kickers_end(void);
/* Gives up the lock, then writes to those that are due: who wakes is not to find it taken. HELPER_DUE ends before. */
void kicks_unlock(void);
/* The helper's timer, for HELPER_DUE: kicks_unlock() is to be called. It stands there until it is taken back, as a kick may be. Return: it was there */
void due_add(int timer_fd);
bool due_take_back(int fd);
void kicks_forget(void); /* the spare ones */
void kicks_forked(void); /* child of fork */

#endif

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

/*
 * Lock held, in all of these. A kick for a blocking call; with a seat if there is a crowd. `fd` -1: no descriptor was free, and sleeps on this kick are
 * short (wait.c).
 */
void kick_borrow(struct kick *ret_kick);
void kick_return(struct kick *k);
int kick_open(struct kick *k);
void kick_send(struct kick *k);
void kick_again(struct kick *k); /* if `inside`: send the signal once more, in case it had no effect */
void kick_drain(struct kick *k);
void kick_close(struct kick *k);
/* A seat of its own. The marks are those of the events in it. Return: 0; -EMFILE and other errors of epoll_ctl() */
int kick_seat_make(struct kick *k, uint64_t kick_mark, uint64_t bell_mark);
/* It is in the set @epfd, which stays the caller's. */
void kick_seat(struct kick *k, int epfd, uint64_t bell_mark);
/* `seated`: is the bell to be heard in the seat? Return: false: that could not be done */
bool kick_bell(struct kick *k, bool on);
/* The bell is about to be closed: take it out of the seat. */
void kick_unbell(struct kick *k);
/* What a thread sleeps on beside its own */
static inline int kick_fd(const struct kick *k)
{
	return k->owns_seat ? k->seat : k->fd;
}
/* Wait until no thread writes any more to a descriptor that was removed from where it could be found. */
void kickers_wait(void);
/* No lock: until ..._end() this thread may write to such descriptors. */
void kickers_begin(void);
void kickers_end(void);
/* Give up the lock, then write to the kicks that are due, so that woken threads find the lock free. HELPER_DUE ends before. */
void kicks_unlock(void);
/* For HELPER_DUE: put the helper's timer among the kicks that are due, so that kicks_unlock() sees it; take it, or a kick, back. Return: it was there */
void due_add(int timer_fd);
bool due_take_back(int fd);
void kicks_forget(void); /* the spare ones */
void kicks_forked(void); /* child of fork */

#endif

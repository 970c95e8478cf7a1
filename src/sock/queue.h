/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.h - the kernel's queue of connections, where others wait for it, too; queue.c explains it */
#ifndef SOCK_QUEUE_H
#define SOCK_QUEUE_H

#include "sock/file.h"
#include "sock/kick.h"

/* What ended a sleep: bits */
enum woke { WOKE_QUEUE = 1, WOKE_KICK = 2, WOKE_BELL = 4 };

/* Where a thread waits for the kernel's queue of a listening socket beside others. On its stack; queue.c */
struct queue {
	struct kick kick;
	bool listens; /* false: there is nothing but the kick */
	int fd;	  /* the listening socket's, as it is in the kick's seat */
	uint32_t era; /* in which it was made */
	uint32_t sleeps; /* since the listening socket was put into it */
	struct queue *next, **pprev; /* of those that are borrowed */
};

/* Lock held, unless it says otherwise. Return: 0; -EMFILE and other errors of epoll_ctl(): nothing was borrowed. */
int queue_borrow(int listen_fd, struct queue *ret_q);
void queue_return(struct queue *q);
/* A listening socket or the bell is about to be closed here. */
void queues_forget(void);
/* Those who sleep go on sleeping, and no client wakes them: the process ends. */
void queues_leave(int listen_fd);
void queues_forked(void); /* child of fork: its threads that borrowed are not here */
/* By whose it is, without the lock. @ret_woke: bits are added. Return: as epoll_wait() */
int queue_sleep(const struct queue *q, int64_t timeout_ns, unsigned *ret_woke);
/* One was heard of that is not taken: another thread or process that sleeps is woken for him, if he is still there. */
void queue_pass(int listen_fd);
/*
 * One waits, but not for us alone: other threads and processes may be awake for it, too. Who comes late must not wait inside the kernel, where it would
 * be deaf to channels. The flag that says so is the open file's, which all have in common; so they set it by turns.
 * Return: a descriptor; -EAGAIN: nobody waits any more; -EBUSY: it is another process's turn; -errno.
 */
int queue_accept(struct sock *s, struct sockaddr *addr, socklen_t *len, int flags);
/* accept() of a socket that blocks has said EAGAIN: is it to be called once more, since somebody's turn was on, or ended with its process? Takes the lock. */
bool queue_was_turn(int fd);
/* Without the lock. Return: the open file's flags as F_GETFL, without what is only for somebody's turn; -errno */
long queue_flags(int fd);
/*
 * The open file's flags are changed between these, which nobody's turn takes back. Lock held, but not while another process's turn is waited for.
 * Return: false: @fd is not @f's any more, which may be gone; the second one is not to be called
 */
bool queue_flags_begin(int fd, struct file *f);
void queue_flags_end(int fd);

#endif

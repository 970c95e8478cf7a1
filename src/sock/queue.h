/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.h - the kernel's accept queue of a listening socket, where several threads or processes wait for it; queue.c explains it */
#ifndef SOCK_QUEUE_H
#define SOCK_QUEUE_H

#include "sock/file.h"
#include "sock/kick.h"

/* What ended a sleep: bits */
enum woke { WOKE_QUEUE = 1, WOKE_KICK = 2, WOKE_BELL = 4 };

/* The epoll set in which a thread waits for the kernel's accept queue beside others. On its stack */
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
/* The process ends: threads that sleep for this socket sleep on, and no client wakes them any more. */
void queues_leave(int listen_fd);
void queues_forked(void); /* child of fork: its threads that borrowed are not here */
/* By the thread that has borrowed @q, without the lock. @ret_woke: bits are added. Return: as epoll_wait() */
int queue_sleep(const struct queue *q, int64_t timeout_ns, unsigned *ret_woke);
/* This thread was told of a client, and does not take it: wake another thread or process that sleeps for the queue, if the client is still there. */
void queue_pass(int listen_fd);
/*
 * A client waits; other threads and processes may be awake to take it, too. One that comes too late must not block in the kernel, where it would not hear
 * of channels. But O_NONBLOCK belongs to the open file, which all of them share; so they set it by turns.
 * Return: a descriptor; -EAGAIN: no client waits any more; -EBUSY: it is another process's turn; -errno.
 */
int queue_accept(struct sock *s, struct sockaddr *addr, socklen_t *len, int flags);
/*
 * accept() of a blocking socket was EAGAIN: was that due to another process's turn, perhaps of one that was killed in it, so that it is to be repeated? Takes the
 * lock.
 */
bool queue_was_turn(int fd);
/* Without the lock. Return: the open file's flags as F_GETFL, without those that a turn has set; -errno */
long queue_flags(int fd);
/*
 * Between these two the caller may change the open file's flags, and no turn undoes that. Lock held, but given up while another process has its turn.
 * Return: false: @fd is not @f's any more, which may be gone; queue_flags_end() is not to be called
 */
bool queue_flags_begin(int fd, struct file *f);
void queue_flags_end(int fd);

#endif

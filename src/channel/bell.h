// SPDX-License-Identifier: BSD-2-Clause
/*
 * bell.h - doorbells: how one end of a channel wakes the other
 *
 * A doorbell is an eventfd, one per channel and direction, written by the one who wakes and watched by the one who
 * sleeps. The sleeper collects its doorbells in one epoll set, edge-triggered, and never reads them:
 * every write is an event of its own, and the count is of no use. It also never has to be emptied, so that
 * a wake-up costs one system call on each side.
 */
#ifndef VJ_CHANNEL_BELL_H
#define VJ_CHANNEL_BELL_H

#include <stdint.h>

/* Make a doorbell. Return: descriptor, close-on-exec and non-blocking; -EMFILE, -ENFILE, -ENOMEM. */
int bell_new(void);

/*
 * Ring: one system call. Failure is of no interest to the caller: a full counter (the peer may fill it) is readable
 * already, and a peer that is gone is told by the control connection.
 *
 * A peer can make it wait: both have the same open file, so it may fill the counter and take O_NONBLOCK away. No write to an eventfd can be
 * told for itself not to wait (RWF_NOWAIT is refused), and to look before leaves a gap. It is let be: who has a channel in common is of one
 * user, and may stop the other by a signal as well.
 */
void bell_ring(int fd);

/* Make an epoll set for doorbells. Return: descriptor, close-on-exec; -EMFILE, -ENFILE, -ENOMEM. */
int bell_set_new(void);

/* Watch `fd`; its event carries `tag`. Return: 0; -EEXIST, -ENOMEM, -ENOSPC, -EBADF as epoll_ctl(2). */
int bell_set_add(int set, int fd, uint64_t tag);

int bell_set_del(int set, int fd);

enum { BELL_RANG = 1, BELL_UNTAGGED = 2 };

/*
 * Sleep until a doorbell of the set rings, at most `timeout_ms` (-1: for ever). The rings seen so far are
 * consumed: the next call waits for new ones.
 * Return: BELL_RANG; BELL_RANG | BELL_UNTAGGED: among them was one with tag 0; 0: time is up; -EINTR: a signal.
 */
int bell_set_wait(int set, int timeout_ms);

#endif

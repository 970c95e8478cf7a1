/* SPDX-License-Identifier: BSD-2-Clause */
/* away.h - connections that other processes have, and the tokens for them; away.c explains it */
#ifndef SOCK_AWAY_H
#define SOCK_AWAY_H

#include "sock/file.h"

#include "lib/report.h"

/* The context is new. */
void away_init(void);
/* Copies of it may come into other processes from now on. Not a connection: nothing happens. */
void share_fd(int fd);
void share_all(void);
/* The same of the descriptors in a message to the kernel (SCM_RIGHTS). Lock not held. */
void share_sent(const struct msghdr *msg);
/* @fd, a standard descriptor, has become a connection's: what libc's streams write there is to reach the peer. Lock held. */
void away_stdio(int fd);
/* ... and what they, or those to whom it is lent, have written goes before what is sent next. */
void away_others_first(void);
/* Bytes have come for one with a token; the program is about to read from it */
void away_readable(const struct sock *s);
void away_reads(const struct sock *s);
/* What was put into the token for those who read it themselves (lib/deed_raw.c). @peek: it stays there. Return: bytes; -EFAULT; 0, other -errno: nothing. */
uint32_t away_pumped_bytes(const struct sock *s);
long away_pumped_recv(struct sock *s, const struct iovec *iov, int cnt, bool peek);
/* A set of ours has claimed it, or doesn't watch it any more */
void away_lends(struct sock *s, bool lends);
/* AWAY: does a set wait for it where it is? */
bool away_is_lent(int fd);
/* Then by way of that process. Return: bytes, all of them; -errno: it is to be claimed. */
long away_lent_send(int fd, struct sock *s, const struct iovec *iov, int cnt);
/* In a child of fork(): the parent has it. */
void away_forked(struct sock *s);
bool away_is_token(int fd);
/* A token that came from outside: its connection is away. */
void away_adopt(int fd);
/*
 * It is AWAY, and about to be used: get it. Gives the lock up meanwhile. Return: true: it is here, or dead; false: the number is the
 * kernel's business from now on. It was closed meanwhile, has become the kernel's, the process exits, or can have no channel; then what is at that number is read
 * and written by the kernel's calls, and the process that holds the connection passes it on (lib/deed_raw.c).
 */
bool away_claim(int fd, struct sock *s);
/* The same in a call that waited when it left */
bool away_claim_back(struct sock *s);
/* For such a call. Return: true: the connection isn't here again, and @ret is the call's result: -EBADF, or GOES_ON: in_kernel_goes_on() says it */
enum { GOES_ON = -4095 };
bool away_is_over(struct sock *s, long *ret);
/*
 * What is at the numbers of this connection, which is here or away, is read and written by the kernel's calls from now on. Where it can't be had that way it
 * stays. Lock held; @s is gone unless a call has it.
 */
void away_leave(int fd, struct sock *s, enum report_why why);
/* A token that was left to the kernel's calls, as away_claim() says. Any thread, no lock. */
bool away_is_left(int fd);
/* The last descriptor of a shared connection, or one that is away, goes ... */
void away_destroy(struct sock *s);
/* ... and has gone. */
void away_closed(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.h - TCP sockets on their way to a channel and on it: stream.c, connect.c, called.c, recv.c, send.c */
#ifndef SOCK_STREAM_H
#define SOCK_STREAM_H

#include "sock/file.h"

#include "lib/report.h"

#include <sys/uio.h>

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
/* As of now: neither side's end, nor a reset that has come, has ended it. */
bool conn_is_connected(const struct sock *s);
/* One that nobody had accepted is becoming the kernel's. */
bool conn_is_requeued(const struct sock *s);
/* A connection that was never made */
void conn_drop(struct sock *s);
/*
 * The application that a connection was begun to refused it, or is gone: perhaps others listen there, too.
 * Return: true: it goes on, there or in the kernel.
 */
bool sock_connect_refused(struct sock *s);
/* ... once more, whoever holds the port now. Return: true: begun */
bool sock_call_again(struct sock *s);
/* The same of one that is connected already, on a promise, when VJ_EV_ERROR says that nobody took it (called.c). Return: true: it goes on, in the kernel maybe */
bool sock_call_refused(struct sock *s);
/* Nobody has answered for a second, over an interface; or for a while, over a direct channel. Return: true: it is the kernel's now. */
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

/* Lock held, given up while blocking. Return: bytes or -errno. */
long conn_recv(struct sock *s, const struct iovec *iov, int cnt, int flags);
long conn_send(struct sock *s, const struct iovec *iov, int cnt, int flags);
/* After the lock was left: EPIPE comes with the signal. */
long send_done(long r, int flags);

#endif

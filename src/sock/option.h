/* SPDX-License-Identifier: BSD-2-Clause */
/* option.h - options that the kernel's socket below has */
#ifndef SOCK_OPTION_H
#define SOCK_OPTION_H

#include "sock/file.h"

struct connect_option;

/* The kernel socket that has the options of @s, which has the number @fd. @make: one of its own. Return: a descriptor; -errno. */
int option_fd(int fd, struct sock *s, bool make);
/* What who had the kernel's TCP socket @fd before has set, lock held */
void options_found(int fd, struct sock *s);
/* option_inherit.c: options of the kernel's sockets that accept() hands on. Which differ, a bit for each; and those of @which to @to */
uint64_t options_differ(int from, int to);
void options_copy(int from, int to, uint64_t which);
/*
 * Those of them that are on or off, and otherwise at @fd than at a new socket; and turn those of @which. A connection that has a token has no kernel socket
 * but one that is made when it is asked for, here or in the next process: what the one before had goes along like that.
 */
uint64_t options_turned(int fd, int family);
void options_turn(int fd, uint64_t which);
bool options_have(uint64_t which, int level, int name);
/* Before a token takes the kernel socket's place at @fd; for the process that is to have the connection; in that */
void options_keep(int fd, struct sock *s);
uint64_t options_leaving(const struct sock *s);
void options_brought(struct sock *s, uint64_t which);
/* Its options have changed: what it accepts next has them. accept.c */
void placeholder_drop(struct sock *listener);
/* Has it one that only the kernel gives a meaning? option_kernel.c */
bool option_kernels_there(int fd);

/* What was remembered, for a connection over IPv6 (@v6) or IPv4. @ret: room for SOCK_OPTION_CNT. Return: how many. */
unsigned options_of(const struct sock *s, bool v6, struct connect_option *ret);
/* Is @c, of @s, one over IPv6? */
bool conn_is_v6(const struct sock *s, struct vj_conn c);
/* Over a direct channel: nothing is lost there, and a congestion control does nothing but to be said. */
bool conn_is_direct(const struct sock *s);
/* The same, onto a new connection. */
void options_replay(const struct sock *from, struct vj_conn c);
/* Return: 0; -ENOMEM. */
int options_remember(struct sock *s, unsigned opt, uint64_t value);
/* Those that are this layer's, onto what a listener accepts */
void options_inherit(const struct sock *from, struct sock *s);
/* SO_ERROR of a connection, on channels: it is told once. Lock held, context there. Return: an errno value; 0: none */
int conn_error(struct sock *s);
/* One send with MSG_ZEROCOPY: done at once, since it was a copy; the program is told as the kernel would. Lock held. */
void zerocopy_sent(struct sock *s);
static inline bool zerocopy_waits(const struct sock *s)
{
	return unlikely(s->opts != NULL) && s->opts->zerocopy_sent != s->opts->zerocopy_told;
}
/* recvmsg(MSG_ERRQUEUE). Return: 0; -EAGAIN. */
int zerocopy_told(struct sock *s, struct msghdr *msg);
/* Those that a listener on channels needs itself. */
void options_listen(const struct sock *s);

/* option_kernel.c: what setsockopt() was given, as a number: not 0 if it asks for anything */
int option_value(const void *val, socklen_t len);
/* Does it ask for what only the kernel's sockets do? */
bool option_is_kernels(const struct sock *s, int level, int name, const void *val, socklen_t len);
/* Is it better refused by a connection on a channel than taken for nothing? */
bool option_is_refused(int level, int name);

#endif

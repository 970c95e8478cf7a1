/* SPDX-License-Identifier: BSD-2-Clause */
/* option.h - options that the kernel's socket below has */
#ifndef SOCK_OPTION_H
#define SOCK_OPTION_H

#include "sock/priv.h"

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

#endif

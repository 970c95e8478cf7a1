/* SPDX-License-Identifier: BSD-2-Clause */
/* family.h - processes that began by one's fork() or exec(), and who of them waits for clients; family.c explains it */
#ifndef SOCK_FAMILY_H
#define SOCK_FAMILY_H

#include "sock/file.h"

struct sleeper;

/* A socket that listens may come into other processes; this is such a one, after fork(). Lock held, as in all of these. */
void family_prepare(void);
/* The process forks: its family is shared from now on. */
void family_forks(void);
void family_child(void);
/* This process has no leases, and its next context counts whom it has passed on from nothing. */
void family_unleased(void);
/*
 * This process starts a program with the environment @envp, or (@becomes) becomes it, as one that its parent started. Without the lock,
 * also after vfork()
 */
void family_starts(bool becomes, char *const envp[]);
/* It did not begin, says the thread that said that it does. */
void family_start_failed(void);
/* This process has started programs without the library, and not called accept(). */
bool family_is_blind(void);
/* The port is leased. */
void family_listens(struct sock *s);
/* A thread is about to sleep (@calm: and may do so again unseen), and does no more, but is still on the lists of those that do; if there are `sock.copied` */
void family_waits(bool calm);
void family_woke(const struct sleeper *sl);
/*
 * Clients in its queue have not been accepted for long, and are offered to others. Return: whether it counts who takes them: this
 * process has no page in common with the others, and its program sleeps somewhere else.
 */
bool family_late(struct sock *s);
/* One was accepted from a channel. */
void family_accepted(const struct sock *s);
/* Clients in our queue go to the process that waits for them. @stops: nobody will listen here. Return: false: none is known, or it is this one. */
bool family_pass(const struct sock *s, bool stops);
/* The helper's tick, if there are `sock.copied`. @idle: the program has not been here since the last one */
void family_look(bool idle);
/* The next one is to be soon. */
bool family_looks_again(void);
/* This process's ports are the kernel's for a while. */
bool family_rests(void);
/* No port has rested, and nobody can make this process blind: who waits has nothing to look at before. */
bool family_is_calm(void);

#endif

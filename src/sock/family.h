/* SPDX-License-Identifier: BSD-2-Clause */
/* family.h - processes related by fork() that listen at one socket, and which of them waits for clients; family.c explains it */
#ifndef SOCK_FAMILY_H
#define SOCK_FAMILY_H

#include "sock/file.h"

struct sleeper;

/* A listening socket may get copies in other processes: make the page that the family shares. Lock held, as in all of these. */
void family_prepare(void);
/* The process forks: its family is shared from now on. */
void family_forks(void);
void family_child(void);
/* This process has no leases any more; deed_passed() of its next context begins at 0. */
void family_unleased(void);
/*
 * This process starts a program with the environment @envp, or (@becomes) becomes it, as one that its parent started. Without the lock,
 * also after vfork()
 */
void family_starts(bool becomes, char *const envp[]);
/* The program did not start; called by the thread that called family_starts(). */
void family_start_failed(void);
/* This process has started programs without the library, and not called accept(). */
bool family_is_blind(void);
/*
 * Before the port is leased: when to ask again, as the family's ports rest until then; 0: now. @first: this process asks for the first time. Later on a turn is no
 * reason: else one that is always met while another one serves a client would never have a lease, and never be seen to wait beside that one.
 */
uint64_t family_rests_before(int fd, bool first);
/* The port is leased. */
void family_listens(struct sock *s);
/* ... and no more, by this process. */
void family_unlistens(const struct sock *s);
/* If there are `sock.copied`: a thread is about to sleep (@calm: in a calm set, in which it may sleep again without this call) */
void family_waits(bool calm);
/* ... and has woken: @sl, which is still linked */
void family_woke(const struct sleeper *sl);
/*
 * Clients in the queue of @s are late, and are offered to other processes. Return: whether to count those that are taken: this process
 * shares no page with the others, and its program is asleep.
 */
bool family_late(struct sock *s);
/* One was accepted from a channel. */
void family_accepted(const struct sock *s);
/*
 * Pass the clients in our queue to the process that waits. @stops: this one stops listening. Return: false: no other one waits, or (not @stops) our program
 * isn't asleep.
 */
bool family_pass(const struct sock *s, bool stops);
/* The helper's tick, if there are `sock.copied`. @idle: the program has not been here since the last one */
void family_look(bool idle);
/* The helper's next tick is to be soon. */
bool family_looks_again(void);
/* This process's ports are the kernel's for a while. */
bool family_rests(void);
/* If so: when it is to be seen whether that is over; TIME_NEVER: they are leased */
uint64_t family_again_ns(uint64_t now_ns);
/* No port has ever rested, and this process can't become blind: a thread has nothing to look at before it waits. */
bool family_is_calm(void);

#endif

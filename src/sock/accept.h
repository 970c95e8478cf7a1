/* SPDX-License-Identifier: BSD-2-Clause */
/* accept.h - sockets that listen: accept.c */
#ifndef SOCK_ACCEPT_H
#define SOCK_ACCEPT_H

#include "sock/file.h"

#include "lib/report.h"

/*
 * Somebody waits for connections on @fd: on channels too from now on, if it is a listening socket. Lock held.
 * Return: 0; -ENETDOWN: strict, and there is no channel.
 */
int listener_wanted(int fd, struct sock *s);
/* Who waits there is to ask again then, since no lease could be had so far; TIME_NEVER. */
uint64_t listener_again_ns(const struct sock *s);
/* What comes to `sock.copied` is the kernel's, for @why, and leases are asked for again after @rest. Lock held. */
void listeners_withdraw(enum report_why why, struct pause rest);
/* Off channels; the kernel's socket stays as it is. */
void listener_close(struct sock *s);
/* First part of that: our own descriptor of it is closed, and no word to vjd. */
void listener_proof_close(struct sock *s);
/* Off channels, and the kernel's goes on listening, alone; who waits on channels is put into its queue. */
void listener_leave(int fd, struct sock *s, enum report_why why);
/* The process becomes another program, which takes from the kernel's queue what had come before: who waits on channels is put there. Lock held. */
void listeners_exec(void);
/* Off channels in a child of fork(), where libvj's half is the parent's. */
void listener_forget(struct sock *s);

/* Connections go to other processes: what comes from beyond this host is the kernel's from now on, at all listening sockets. */
void listeners_retreat(void);
/*
 * Clients who have waited too long for accept() here are offered to the others that listen to the same socket. Lock held,
 * context there. @idle: the program has not been here for a tick: whoever comes is passed on at once to who is known to wait. @away: nor does
 * it sleep here: likewise to any other, though not more often than others wait, lest clients of a busy host go round.
 * Return: somebody waits: ask again soon.
 */
bool listeners_offer(bool away, bool idle);
/* Does somebody wait whom listeners_offer() is to look after? */
bool listeners_ready(void);
/* Another process may have a copy. Not a listening socket: nothing happens. */
void listener_copied(struct sock *s);
/* A socket that somebody else made listen, or that a FRESH one became */
void listener_found(struct sock *s, uint32_t backlog);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* dest.h - where datagrams go: dest.c */
#ifndef SOCK_DEST_H
#define SOCK_DEST_H

#include "sock/file.h"

#include <sys/socket.h>

/* Before a UDP socket is there that the others could be asked for. Return: false: no memory */
bool dests_begin(void);
/* Is an application at this address, to be reached over a channel? May ask vjd. */
bool dest_on_channel(const struct sock *s, const struct sockaddr *sa, socklen_t len);
/* A datagram came from there. */
void dest_learn(const struct sock *s, const struct sockaddr *sa, socklen_t len, bool on_channel);
void dest_forget(const struct sock *s, const struct sockaddr *sa, socklen_t len);
/* A number for the address, which is one that dest_on_channel() was asked about; positive. And by that number: */
uint16_t dest_nr(const struct sock *s, const struct sockaddr *sa, socklen_t len);
/* Have the last sockets that were on channels to send there carried few datagrams? */
bool dest_has_few(uint16_t nr);
/* One of them is closed. */
void dest_carried(uint16_t nr, bool few);
/* Somebody said that he is not there (any more). */
void dests_forget(void);

#endif

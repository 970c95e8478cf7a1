/* SPDX-License-Identifier: BSD-2-Clause */
/* unanswered.h - peers that don't answer over an interface: unanswered.c */
#ifndef SOCK_UNANSWERED_H
#define SOCK_UNANSWERED_H

#include "sock/file.h"

/* The peer of a connection has not answered over an interface; it has, after all; are connections to @addr better the kernel's? Lock held. */
void mute_note(const struct sock *s);
void mute_has_answered(const struct sock *s);
bool mute_is(const struct sockaddr *addr, socklen_t len);

#endif

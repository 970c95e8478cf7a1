/* SPDX-License-Identifier: BSD-2-Clause */
/* ctx.h - the context, and the way into a call: ctx.c */
#ifndef SOCK_CTX_H
#define SOCK_CTX_H

#include "sock/file.h"
#include "sock/helper.h"
#include "sock/layer.h"

/* The lock is taken if the descriptor has an entry; else NULL, and the call is the kernel's. */
struct file *file_enter(int fd);
/* The same for a connection on a channel only. It may be AWAY. */
struct sock *name_enter(int fd);
/* ... and has been claimed if it was. */
struct sock *conn_enter(int fd);
/* ... or for a UDP socket; or one whose connection shutdown() gave up, until that was told. */
struct sock *io_enter(int fd);
/* ... or, if the call only writes, one that is AWAY and lent: away_lent_send() */
struct sock *send_enter(int fd, bool lent);
/* Make the context if there is none. Lock held. Return: 0; errors of vj_open(). */
int ctx_get(void);
/* The program goes on without one; nobody sleeps. Gives the lock up meanwhile. Lock held, context there. */
void ctx_close(void);
/* Run libvj and hand out its events. Lock held, context there. */
void ctx_process(void);
/* The program is about to say something: for the answer the helper isn't to be woken. */
static inline void ctx_speaks(void)
{
	if (unlikely(sock.helper.state == HELPER_ASLEEP) && sock.helper.seldom)
		helper_speaks();
}
/*
 * For a call that doesn't look: does so at every other one of a row in which nobody else has, if the helper doesn't sleep on the bell. Else a program that
 * writes only would hear of its peer's end at the next tick. @looked: of the row, its own. It does not count as the program's looking after its connections.
 */
void ctx_look_between(uint32_t *looked);

#endif

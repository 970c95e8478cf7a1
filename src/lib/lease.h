/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lease.h - a port that is given back, for a while or for good, for the layer above
 *
 * Thread rule: as vj.h, one thread at a time.
 */
#ifndef LIB_LEASE_H
#define LIB_LEASE_H

#include <stdbool.h>
#include <vj/vj.h>

/**
 * lease_rest() - New connections to this listener come by the kernel alone, until they shall come by channels again
 * What waits for vj_accept(), or is in its handshake, comes to it as ever. Waits for vjd's answer.
 * Return: 0; to end a rest: the errors of vj_listen(), and it rests on; to begin one: -ENOENT: no such listener; -EBUSY: it can be reached over an interface, where
 * a handshake can't change over to the kernel.
 */
int lease_rest(struct vj *vj, struct vj_listener l, bool rest);

/** lease_ends() - The socket that proves it is about to be closed, before vj_unlisten(): it isn't stated again until then. Doesn't wait. */
void lease_ends(struct vj *vj, struct vj_listener l);

#endif

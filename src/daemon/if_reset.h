/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_reset.h - the peers of an application that is gone hear of it
 *
 * The kernel resets the connections of a process that dies. Those over an interface channel it doesn't know: it would answer what a peer
 * sends with RST, and one that only waits would wait for ever. Nobody else knows the sequence numbers that a RST must have; so each peer is sent
 * a segment that it can't take, and which it has to answer with where it stands (RFC 9293 3.10.7.4; RFC 5961 5). That answer, for a
 * connection that nobody has, the kernel resets.
 *
 * Flows stay in `flows` for a while when they are over: their peers answer with RST, and that is all.
 */
#ifndef DAEMON_IF_RESET_H
#define DAEMON_IF_RESET_H

#include "daemon/if_bpf.h"

/** if_reset_peers() - Of channel @nr, which is in no map any more. Best effort; at most some ten thousand, at once */
void if_reset_peers(const struct if_dispatch *d, uint32_t nr);

/**
 * if_reset_dead() - Of all channels that are in no map any more, by what is written in @flows_fd: the map `flows`, also an earlier one
 * Best effort, as above; nothing, if it is another version's with other entries.
 */
void if_reset_dead(const struct if_dispatch *d, int flows_fd);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proof.h - does this socket hold that port?
 *
 * Called in a worker thread (fd_worker.h): the descriptor is a stranger's, and any of the system
 * calls may hang.
 */
#ifndef DAEMON_PROOF_H
#define DAEMON_PROOF_H

#include "daemon/lease.h"

/**
 * proof_take() - Ask the kernel about a socket
 * @fd:        As received; stays the caller's
 * @claim:     LEASE, proto TCP or UDP. It may claim less than the socket has (no REUSEPORT,
 *             V6ONLY), never more
 * @netns:     Cookie of the application's network namespace: the socket must be of the same
 * @ret_proof: What lease_contest() needs later
 * Return: 0; -EACCES: no proof
 */
int proof_take(int fd, const struct ctl_lease *claim, uint64_t netns,
	       struct lease_proof *ret_proof);

/** proof_netns() - Cookie of a socket's network namespace; 0: the kernel can't say */
uint64_t proof_netns(int fd);

#endif

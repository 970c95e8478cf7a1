// SPDX-License-Identifier: BSD-2-Clause
/*
 * What libvj-bench-lwip.so offers under the name bench_lwip: lwIP's TCP in server and client (cli/bench_net.h), each in its own process, with
 * a channel between. So the frames go the same way as ours, and what differs is who makes and takes them.
 *
 * Debian's liblwip as it is: raw interface, MTU 1500, checksums.
 */
#ifndef VJ_CLI_BENCH_LWIP_LIB_H
#define VJ_CLI_BENCH_LWIP_LIB_H

#include "cli/bench_net.h"

struct bench_lwip {
	const struct net_ops *ops;
	/* The channel of a run: made before server and client are forked, and let go of when they have ended. 0; negative errno. */
	int (*prepare)(void);
	void (*done)(void);
};

#endif

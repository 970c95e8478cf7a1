// SPDX-License-Identifier: BSD-2-Clause
/*
 * Datagrams as a benchmark sees them, over the kernel's sockets or over vj.h, so that sender and receiver exist once.
 * Datagrams have places in one piece of memory, `bytes` apart, and are sent and received so many at once as there are
 * places. Everything returns a count or a negative errno.
 */
#ifndef VJ_CLI_BENCH_DGRAM_H
#define VJ_CLI_BENCH_DGRAM_H

#include "cli/bench.h"

enum { DGRAM_BATCH_MAX = 256 };

/* The kernel's ways, as bench_way.nr */
enum dgram_way {
	DGRAM_BLOCK, /* recvmmsg() sleeps for the first of a batch */
	DGRAM_SPIN,
	DGRAM_OFFLOAD, /* UDP_SEGMENT and UDP_GRO: a batch is one packet inside the kernel; spins if both sides do */
	DGRAM_UNIX,    /* AF_UNIX SOCK_DGRAM, sleeping */
	DGRAM_UNIX_SPIN,
};

struct dgram {
	const struct dgram_ops *ops;
	struct bench_peer *peer;
	unsigned batch;
	size_t bytes;
	uint8_t *mem; /* batch * bytes */
	void *priv;
	const char *failed; /* what, when a call returned an error */
};

struct dgram_ops {
	int (*open)(struct dgram *d);
	void (*close)(struct dgram *d);
	int (*bind)(struct dgram *d, uint16_t *ret_port);
	int (*connect)(struct dgram *d, uint16_t port);
	/* The first @n places. Return: how many left; 0: none at the moment. */
	int (*send)(struct dgram *d, unsigned n);
	/* Return: how many came, each of d->bytes; 0: none; -EBADMSG: one of another length. */
	int (*recv)(struct dgram *d);
};

extern const struct dgram_ops dgram_kernel, dgram_vj;

#endif

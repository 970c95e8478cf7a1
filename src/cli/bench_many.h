// SPDX-License-Identifier: BSD-2-Clause
/*
 * Millions of connections as a benchmark sees them, over the kernel or over vj.h. Unlike bench_net.h nothing is kept for
 * each connection here: who calls holds 32 bits, and a server not even those, since the event says which connection it is of.
 *
 * One endpoint has as many connections from one address as there are ports. So they come from many addresses of
 * 127.0.0.0/8, MANY_PER_ADDRESS each: no more than the first block of ports that vjd leases, so vjd hears nothing of them.
 *
 * Everything returns a count or a negative errno; `failed` says what it was.
 */
#ifndef VJ_CLI_BENCH_MANY_H
#define VJ_CLI_BENCH_MANY_H

#include "cli/bench.h"

enum { MANY_EVENTS_MAX = 256, MANY_PER_ADDRESS = 250, MANY_WAIT_MS = 1000, MANY_WAIT_END_MS = 1 };

enum many_what {
	MANY_ACCEPT = 1,    /* connections wait for accept() */
	MANY_CONNECTED = 2, /* one that connect() began; later of no meaning */
	MANY_READABLE = 4,
	MANY_FAILED = 8,
};

struct many_event {
	uint32_t what; /* enum many_what */
	uint32_t conn;
	uint32_t idx; /* of connect() */
};

struct many;

struct many_ops {
	int (*open)(struct many *m);
	void (*close)(struct many *m);
	int (*listen)(struct many *m, uint16_t *ret_port);
	int (*accept)(struct many *m); /* those that wait, or many of them: their number */
	int (*connect)(struct many *m, uint16_t port, uint32_t idx, uint32_t *ret_conn); /* from m->source */
	int (*poll)(struct many *m, struct many_event *ev, unsigned n);
	void (*soon)(struct many *m, uint32_t conn); /* it is about to be used */
	ssize_t (*recv)(struct many *m, uint32_t conn, void *buf, size_t len);
	ssize_t (*send)(struct many *m, uint32_t conn, const void *buf, size_t len);
	void (*hang_up)(struct many *m, uint32_t conn);
	/* Connections that are not over yet, the closed ones included; resets sent or received. NULL: nobody knows. */
	void (*left)(struct many *m, uint64_t *ret_conns, uint64_t *ret_resets);
};

struct many {
	const struct many_ops *ops;
	struct bench_peer *peer;
	uint32_t source; /* address, host byte order */
	uint32_t source_used;
	int wait_ms; /* longest sleep of poll(); 0: none */
	void *priv;
	const char *failed;
};

extern const struct many_ops many_vj, many_kernel;

/* From the next address that has a port. Return: 0; errors of connect(). */
int many_connect(struct many *m, uint16_t port, uint32_t idx, uint32_t *ret_conn);

/* ---- bench_memory.c: what a process takes, in bytes */

struct bench_memory {
	uint64_t resident, resident_most; /* now, and ever */
	uint64_t page_tables;
	uint64_t anonymous, anonymous_huge; /* of `resident`: memory of its own, and that in huge pages */
	uint64_t slab; /* of the whole machine, unreclaimable: what the kernel's sockets are in */
};

void bench_memory_read(struct bench_memory *ret_mem);
uint64_t bench_memory_available(void); /* of the whole machine */

#endif

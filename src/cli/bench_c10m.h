// SPDX-License-Identifier: BSD-2-Clause
/* vj bench c10m: what its two processes leave for the report. Lies in memory that they share with the parent. */
#ifndef VJ_CLI_BENCH_C10M_H
#define VJ_CLI_BENCH_C10M_H

#include "cli/bench_many.h"

struct c10m_side {
	struct bench_memory before, open; /* open: all connections are there, and messages have flowed */
	uint64_t left;			  /* connections that were not over at the end */
	uint64_t resets;		  /* sent or received */
};

/* Lengths of the parts, in seconds */
struct c10m_times {
	double make, check, close;
};

struct c10m_shared {
	uint32_t conns;
	_Atomic uint32_t measure; /* the client says that all are open: take `open` ... */
	_Atomic uint32_t measured; /* ... which has been done */
	_Atomic uint32_t closed;   /* by the server, so far */
	_Atomic uint32_t over;	   /* ... all, and as far as it can see all are over */
	struct c10m_side server, client;
	struct c10m_times times;
};

int c10m_server(struct bench_peer *peer, const struct many_ops *ops, struct c10m_shared *sh);
int c10m_client(struct bench_peer *peer, const struct many_ops *ops, struct c10m_shared *sh);

#endif

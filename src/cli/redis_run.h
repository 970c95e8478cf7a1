// SPDX-License-Identifier: BSD-2-Clause
/*
 * One run of the redis benchmark: a server of ours, and client programs beside it, on the kernel or
 * under `vj run`.
 */
#ifndef VJ_CLI_REDIS_RUN_H
#define VJ_CLI_REDIS_RUN_H

#include "cli/bench.h"

struct redis_run {
	struct bench_ctx *ctx;
	bool on_channel, pinned;
	char port[8];
	pid_t server;
	int log; /* memfd: what the server prints; -1: none */
};

/* Over all runs of a benchmark. */
struct redis_tally {
	uint64_t written, read_channel, read_kernel, wrong;
};

/* All of these complain about what goes wrong, and return 0 or a negative errno. */

/* Starts redis-server on a free port, with nothing saved, and waits until it answers. */
int redis_server_start(struct redis_run *run);
void redis_server_stop(struct redis_run *run);

/*
 * Runs a client program to its end.
 * @in:       its standard input
 * @watch:    under vj run: it must be seen to have a channel meanwhile
 * @ret_said: its standard output; the caller's to free
 */
int redis_tool(const struct redis_run *run, const char *const *args, int in, bool watch,
	       char **ret_said);

/* "@program failed: " and the last line it said */
void redis_complain(const char *program, const char *said);

/* redis_keys.c: puts in ctx->o->keys keys with known values, through redis-cli */
int redis_load(const struct redis_run *run);

/*
 * Reads every key that is in the server, over the kernel and then through redis-cli on the channel.
 * Each known key must be there and have its value; each that redis-benchmark wrote, what it writes;
 * and both ways must find the same.
 */
int redis_read_back(const struct redis_run *run, struct redis_tally *tally);

#endif

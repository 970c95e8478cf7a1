// SPDX-License-Identifier: BSD-2-Clause
/*
 * One run of the redis benchmark: see bench_program.h
 */
#ifndef VJ_CLI_REDIS_RUN_H
#define VJ_CLI_REDIS_RUN_H

#include "cli/bench_program.h"

/* Over all runs of a benchmark. */
struct redis_tally {
	uint64_t written, read_channel, read_kernel, wrong;
};

/* All of these complain about what goes wrong, and return 0 or a negative errno. */

/* Starts redis-server on a free port, with nothing saved, and waits until it answers. */
int redis_server_start(struct program_run *run);

/* redis-benchmark: @share of ctx->o->requests of each kind; parts are SET and GET */
int redis_hammer(const struct program_run *run, double share, struct bench_sample *ret_sample);

/* redis_keys.c: puts in ctx->o->keys keys with known values, through redis-cli */
int redis_load(const struct program_run *run);

/*
 * Reads every key that is in the server, over the kernel and then through redis-cli on the channel.
 * Each known key must be there and have its value; each that redis-benchmark wrote, what it writes;
 * and both ways must find the same.
 */
int redis_read_back(const struct program_run *run, struct redis_tally *tally);

#endif

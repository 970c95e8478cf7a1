// SPDX-License-Identifier: BSD-2-Clause
/*
 * One run of a benchmark with programs of others: a server, and client programs beside it, on the kernel or under
 * `vj run`.
 */
#ifndef VJ_CLI_BENCH_PROGRAM_H
#define VJ_CLI_BENCH_PROGRAM_H

#include "cli/bench.h"

struct program_run {
	struct bench_ctx *ctx;
	bool on_channel, pinned;
	/* Clients are on another host: its network namespace, on the kernel there; and how they call the server's. 0: here */
	int net;
	const char *host;
	char port[8], port_behind[8]; /* the other: for a server behind the server */
	pid_t server;
	int log; /* memfd: what the server prints; -1: none */
};

/* All of these complain about what goes wrong, and return 0 or a negative errno. */

/* Where clients find the server */
const char *program_host(const struct program_run *run);

/* Ports that nobody has at this moment, into run->port and run->port_behind */
void program_port(struct program_run *run);

/* Listens somebody there, in the kernel and, under vj run, on channels? */
bool program_listens(const struct program_run *run);

/* Starts a server, and waits until it is willing. */
int program_server_start(struct program_run *run, const char *const *args, bool (*is_willing)(const struct program_run *run));
void program_server_stop(struct program_run *run);

/*
 * Runs a client program to its end.
 * @in:       its standard input
 * @watch:    under vj run: it must be seen to have a channel meanwhile
 * @ret_said: its standard output; the caller's to free
 */
int program_tool(const struct program_run *run, const char *const *args, int in, bool watch, char **ret_said);

/* "@program failed: " and the last line it said */
void program_complain(const char *program, const char *said);

#endif

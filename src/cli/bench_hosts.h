// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two hosts for a benchmark, in network namespaces of this process: a client with the kernel alone, and a server whose
 * vjd offers channels at its interface.
 *
 *	client  eth0 10.77.0.1, fd77::1  ───────  eth0 10.77.0.2, fd77::2  server
 *
 * After bench_hosts_up() this process is in the server's, and so are its children unless they go to the client's. Mounts are
 * its own, too, so that nothing of what vjd makes is left when all have ended.
 */
#ifndef VJ_CLI_BENCH_HOSTS_H
#define VJ_CLI_BENCH_HOSTS_H

#include "cli/bench.h"

#define BENCH_SERVER_ADDR "10.77.0.2"
#define BENCH_SERVER_ADDR6 "fd77::2"

struct bench_hosts {
	int home_net, home_mnt; /* where this process was; -1: not opened */
	int client_net;
};

/* Needs root. Return: 0; negative errno, complained about, and everything is as before. */
int bench_hosts_up(struct bench_hosts *h);
void bench_hosts_down(struct bench_hosts *h);

/* In a child: go to the client's host. Return: 0; negative errno. */
int bench_hosts_enter_client(const struct bench_hosts *h);

/* A vjd of the server's, as ctx->vjd, attached to its interface. Return: 0; negative errno, complained about. */
int bench_hosts_vjd(struct bench_ctx *ctx);

/* TCP segments and UDP datagrams that the server's kernel has received, ever. */
uint64_t bench_hosts_kernel_packets(void);

#endif

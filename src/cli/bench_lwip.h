// SPDX-License-Identifier: BSD-2-Clause
#ifndef VJ_CLI_BENCH_LWIP_H
#define VJ_CLI_BENCH_LWIP_H

#include "cli/bench_net.h"

#define BENCH_LWIP_HOW "lwIP, server and client pinned, over a channel, polling; checksums, MTU 1500"

/* Why there is no lwIP; NULL: there is. */
const char *bench_lwip_missing(void);

/* For servers and clients, after bench_lwip_missing() has returned NULL */
const struct net_ops *bench_lwip_net(void);

/* bench_way.measure: bench_pair() with a channel for the two */
int bench_lwip_pair(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* lwIP beside ours: what /bench/lwip_net.c offers, as ways of the benchmarks over bench_net.h */
#include "cli/bench_lwip_lib.h"
#include "cli/bench_lwip.h"
#include "cli/bench_plugin.h"
#include "cli/cmd.h"

#include <string.h>

static const struct bench_lwip *lwip;

/* Why there is no lwIP; NULL: there is. */
static const char *missing(void)
{
	return plugin_find(INSTALL_BENCH_LWIP, "bench_lwip", "liblwip-dev", (const void **)&lwip);
}

const struct net_ops *bench_lwip_net(void)
{
	return lwip->ops;
}

/* bench_way.measure: bench_pair() with a channel for the two */
static int pair(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample)
{
	int rc = lwip->prepare();

	if (rc < 0) {
		complain("bench: lwip: %s", strerror(-rc));
		return rc;
	}
	rc = bench_pair(ctx, way, seconds, ret_sample);
	lwip->done();
	return rc;
}

struct bench_rival bench_lwip_rival(int (*server)(struct bench_peer *peer), int (*client)(struct bench_peer *peer))
{
	return (struct bench_rival){
		.name = "lwip",
		.ways = { { .how = "lwIP, server and client pinned, over a channel, polling; checksums, MTU 1500",
			    .measure = pair,
			    .server = server,
			    .client = client } },
		.way_cnt = 1,
		.missing = missing,
	};
}

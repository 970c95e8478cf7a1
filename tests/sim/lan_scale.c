// SPDX-License-Identifier: BSD-2-Clause
/*
 * 10,000 applications on 200 hosts, that start within the same second and draw from 32,768 addresses, so that one draw in
 * four meets another's. With every third seed the LAN is in two parts while they do, so that a thousand are claimed twice.
 * lan_net.h watches: nobody keeps an address that another has for longer than the protocol says. In the end each has his
 * own.
 */
#include "tests/sim/lan_net.h"
#include "tests/sim/seeds.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

enum { HOSTS = 200, APPS = 50, SEEDS = 4 };

static uint64_t objections(const struct net *n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n->params.hosts; i++)
		sum += n->hosts[i].claims.stats.objections + n->hosts[i].claims.stats.conflicts_lost;
	return sum;
}

static uint64_t one(uint64_t seed, bool trace)
{
	const struct net_params params = {
		.hosts = HOSTS,
		.apps = APPS,
		.slots = 2 * APPS,
		.pool = 2,
		.mac_bits = 15,
		.rfc = seed % 2 == 0,
		.loss = seed % 4 >= 2 ? 20 : 0,
		.scale = 1,
		.lifetime_ms = 10000,
		.quarantine_us = 10 * US_PER_SEC,
		.check_us = 250 * US_PER_MS,
	};
	struct net *n = net_new(&params, seed, trace);
	uint64_t frames, collided, began_us = n->now_us, all_us = 0;

	if (seed % 3 == 0)
		net_divide(n);
	for (unsigned int second = 0; second < 240; second++) {
		net_run(n, US_PER_SEC);
		if (second == 20 && n->divided)
			net_unite(n);
		if (net_unclaimed(n) != 0)
			all_us = 0;
		else if (all_us == 0)
			all_us = n->now_us - began_us;
	}
	VJ_ASSERT_OP(net_unclaimed(n), ==, 0u);
	collided = objections(n);
	VJ_ASSERT_OP(collided, >, (uint64_t)HOSTS * APPS / 10);
	VJ_ASSERT_OP(net_collisions_now(n), ==, 0u);
	printf("seed %" PRIu64 ": %" PRIu64 " draws met another's, %" PRIu64 " addresses had two claimants, the longest for %.2f s; "
	       "all had one after %.0f s; %" PRIu64 " frames\n",
	       seed, collided, n->stats.collisions, (double)n->stats.collision_max_us / 1e6, (double)all_us / 1e6, n->stats.frames);
	fflush(stdout);
	frames = n->stats.frames;
	net_free(n);
	return frames;
}

int main(int argc, char **argv)
{
	return seeds_main(argc, argv, SEEDS, one);
}

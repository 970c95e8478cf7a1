// SPDX-License-Identifier: BSD-2-Clause
/*
 * A small, fast, seedable pseudo-random generator: xoshiro256** by Blackman and Vigna, seeded
 * through splitmix64. For simulation, tests and jitter. Never for secrets: its output gives away
 * its state.
 *
 * The same seed gives the same sequence on every machine; tests rely on it.
 */
#ifndef VJ_BASE_PRNG_H
#define VJ_BASE_PRNG_H

#include "base/types.h"

struct prng {
	uint64_t state[4];
};

/* Any seed will do, 0 included. */
void prng_seed(struct prng *prng, uint64_t seed);

uint64_t prng_u64(struct prng *prng);

static inline uint32_t prng_u32(struct prng *prng)
{
	return (uint32_t)(prng_u64(prng) >> 32);
}

/* Uniform in [0, bound), without modulo bias. `bound` is at least 1. */
uint64_t prng_below(struct prng *prng, uint64_t bound);

/* Uniform in [low, high], both included. `low` is not above `high`. */
uint64_t prng_range(struct prng *prng, uint64_t low, uint64_t high);

/* True with probability num/den. `den` is at least 1. */
static inline bool prng_chance(struct prng *prng, uint64_t num, uint64_t den)
{
	return prng_below(prng, den) < num;
}

void prng_bytes(struct prng *prng, void *buf, size_t len);

#endif

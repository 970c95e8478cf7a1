// SPDX-License-Identifier: BSD-2-Clause
#include "base/prng.h"

#include <string.h>

static uint64_t rotl(uint64_t v, unsigned int by)
{
	return v << by | v >> (64 - by);
}

/*
 * splitmix64: spreads a seed of little entropy, such as 1, over the state, which must not be all
 * zero.
 */
static uint64_t splitmix(uint64_t *state)
{
	uint64_t v = *state += UINT64_C(0x9e3779b97f4a7c15);

	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

void prng_seed(struct prng *prng, uint64_t seed)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(prng->state); i++)
		prng->state[i] = splitmix(&seed);
}

uint64_t prng_u64(struct prng *prng)
{
	uint64_t *s = prng->state;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

/*
 * Lemire's method: the high half of a 64 by 64 product is uniform if the low half is not among the
 * first 2^64 mod bound values. The division is reached with probability bound / 2^64.
 */
uint64_t prng_below(struct prng *prng, uint64_t bound)
{
	unsigned __int128 product = (unsigned __int128)prng_u64(prng) * bound;

	if (unlikely((uint64_t)product < bound)) {
		uint64_t excess = -bound % bound;

		while ((uint64_t)product < excess)
			product = (unsigned __int128)prng_u64(prng) * bound;
	}
	return (uint64_t)(product >> 64);
}

uint64_t prng_range(struct prng *prng, uint64_t low, uint64_t high)
{
	uint64_t span = high - low;

	return span == UINT64_MAX ? prng_u64(prng) : low + prng_below(prng, span + 1);
}

void prng_bytes(struct prng *prng, void *buf, size_t len)
{
	uint8_t *out = buf;

	while (len > 0) {
		size_t chunk = min_size(len, sizeof(uint64_t));
		/* Wire order, so that a seed gives the same bytes on every machine. */
		uint8_t bytes[sizeof(uint64_t)];

		store_be64(bytes, prng_u64(prng));
		memcpy(out, bytes, chunk);
		out += chunk;
		len -= chunk;
	}
}

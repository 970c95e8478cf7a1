// SPDX-License-Identifier: BSD-2-Clause
/*
 * What libvj-bench-rte_ring.so offers under the name bench_rte_ring: DPDK's ring with one producer and one consumer, in memory of
 * the caller's. Nothing else of DPDK is needed for it, and none of its set-up.
 */
#ifndef VJ_BENCH_RTE_RING_H
#define VJ_BENCH_RTE_RING_H

#include <stddef.h>

struct bench_rte_ring {
	/* Bytes of a ring with @cnt places, a power of two, one of which stays empty. */
	size_t (*bytes)(unsigned cnt);
	/* In zeroed memory on a cache line. Return: 0; negative errno. */
	int (*init)(void *ring, unsigned cnt);
	/* Up to @n pointers in or out. Return: how many. */
	unsigned (*put)(void *ring, void *const *ptrs, unsigned n);
	unsigned (*take)(void *ring, void **ptrs, unsigned n);
};

#endif

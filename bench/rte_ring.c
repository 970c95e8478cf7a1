// SPDX-License-Identifier: BSD-2-Clause
#include "bench/rte_ring.h"

#include <rte_ring.h>

#include <sys/types.h>

extern const struct bench_rte_ring bench_rte_ring;

static size_t ring_bytes(unsigned cnt)
{
	ssize_t bytes = rte_ring_get_memsize(cnt);

	return bytes < 0 ? 0 : (size_t)bytes;
}

static int ring_init(void *ring, unsigned cnt)
{
	return rte_ring_init(ring, "vj-bench", cnt, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static unsigned ring_put(void *ring, void *const *ptrs, unsigned n)
{
	return rte_ring_sp_enqueue_burst(ring, ptrs, n, NULL);
}

static unsigned ring_take(void *ring, void **ptrs, unsigned n)
{
	return rte_ring_sc_dequeue_burst(ring, ptrs, n, NULL);
}

__attribute__((visibility("default"))) const struct bench_rte_ring bench_rte_ring = {
	.bytes = ring_bytes, .init = ring_init, .put = ring_put, .take = ring_take
};

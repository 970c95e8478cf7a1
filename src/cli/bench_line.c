// SPDX-License-Identifier: BSD-2-Clause
/*
 * How far apart are the two processors? The time of one cache line there and back: what no message can be faster than, and on a
 * virtual machine, which its host moves, another one at another time.
 */
#include "cli/bench.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TURNS = 2000, BLOCKS = 5, LATE_S = 2 };

/* Answers each odd number with the next even one. */
static VJ_NORETURN void answer(_Atomic uint64_t *line, int cpu)
{
	bench_pin(cpu);
	for (uint64_t turn = 0; turn < (uint64_t)BLOCKS * TURNS; turn++) {
		while (atomic_load_explicit(line, memory_order_acquire) != 2 * turn + 1)
			;
		atomic_store_explicit(line, 2 * turn + 2, memory_order_release);
	}
	_exit(0);
}

static uint64_t ask(_Atomic uint64_t *line, unsigned block)
{
	uint64_t start_ns = bench_now_ns();

	for (uint64_t turn = (uint64_t)block * TURNS; turn < (uint64_t)(block + 1) * TURNS; turn++) {
		atomic_store_explicit(line, 2 * turn + 1, memory_order_release);
		while (atomic_load_explicit(line, memory_order_acquire) != 2 * turn + 2)
			if (bench_interrupted())
				return 0;
	}
	return bench_now_ns() - start_ns;
}

static VJ_NORETURN void measure(_Atomic uint64_t *line, int cpu)
{
	uint64_t best_ns = UINT64_MAX;

	bench_pin(cpu);
	for (unsigned i = 0; i < BLOCKS; i++) {
		uint64_t ns = ask(line, i);

		best_ns = ns < best_ns ? ns : best_ns;
	}
	line[VJ_CACHELINE / sizeof(*line)] = best_ns;
	_exit(0);
}

double bench_line_s(struct bench_ctx *ctx)
{
	_Atomic uint64_t *line;
	double line_s = 0;
	pid_t pids[2];

	if (ctx->cpus < 2)
		return 0;
	line = mmap(NULL, 4 * VJ_CACHELINE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (line == MAP_FAILED)
		return 0;
	pids[0] = bench_fork();
	if (pids[0] == 0)
		answer(line, ctx->cpu_server);
	pids[1] = bench_fork();
	if (pids[1] == 0)
		measure(line, ctx->cpu_client);
	if (pids[1] > 0 && bench_wait(pids[1], LATE_S) == 0)
		line_s = (double)line[VJ_CACHELINE / sizeof(*line)] * 1e-9 / TURNS;
	if (pids[0] > 0)
		bench_wait(pids[0], 0);
	munmap((void *)line, 4 * VJ_CACHELINE);
	return line_s;
}

// SPDX-License-Identifier: BSD-2-Clause
/* stress.h - processors and small waits, for tests that run for their races */
#ifndef VJ_TEST_STRESS_H
#define VJ_TEST_STRESS_H

#include <sched.h>
#include <stdint.h>

#define STRESS_PASS 0
#define STRESS_FAIL 1
#define STRESS_SKIP 77

/* The `nth` processor that we may run on, -1 if there are not so many. */
static inline int stress_cpu(int nth)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t)cpu, &set) && nth-- == 0)
			return cpu;
	}
	return -1;
}

/* The calling thread. */
static inline int stress_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static inline void stress_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/* Some time that the compiler does not take away. */
static inline void stress_delay(uint64_t steps)
{
	for (uint64_t i = 0; i < steps; i++)
		__asm__ volatile("" ::: "memory");
}

#endif

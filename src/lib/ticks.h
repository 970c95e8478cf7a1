// SPDX-License-Identifier: BSD-2-Clause
#ifndef LIB_TICKS_H
#define LIB_TICKS_H

#include "base/types.h"

/* A counter that is cheap to read and runs at some GHz or tens of MHz; 0 where there is none. */
static inline uint64_t cpu_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks * 16; /* runs slower than any x86 counter; a bound of CLOCK_TICKS is all that is asked */
#else
	return 0;
#endif
}

#endif

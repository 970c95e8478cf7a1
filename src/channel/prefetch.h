// SPDX-License-Identifier: BSD-2-Clause
/* prefetch.h - bring a cache line near before it is read or written; never faults */
#ifndef VJ_CHANNEL_PREFETCH_H
#define VJ_CHANNEL_PREFETCH_H

static inline void prefetch_read(const void *p)
{
	__builtin_prefetch(p, 0, 3);
}

/*
 * To own the line, not to share it: saves a second trip when it is in another processor's cache. The
 * compiler emits PREFETCHW only for processors that are named to have it; the others take it as a no-op.
 */
static inline void prefetch_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1, 3);
#endif
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vjd_platform.h - an interface for a vjd that has no kernel: for fuzz_vjd.c
 *
 * vjd_platform.c stands in for what asks the kernel: devices and sockets (if_chan.h), the thread that makes them (if_maker.h),
 * the host's tables (host_watch.h), the spill, libbpf's maps, and the blocks of ports that the kernel is told to leave. The rest is vjd's own code.
 */
#ifndef VJ_TESTS_FUZZ_VJD_PLATFORM_H
#define VJ_TESTS_FUZZ_VJD_PLATFORM_H

#include "daemon/vjd.h"

enum { PLATFORM_IFINDEX = 3 };

/* @d offers channels at one interface. What is made comes to it at once, or, after platform_delay(true), at platform_finish(). */
void platform_begin(struct vjd *d);
void platform_delay(bool on);
void platform_finish(struct vjd *d);

/* As interfaces_run() */
void platform_run(struct vjd *d);

/* What the maker makes fails from now on, or no more. */
void platform_fail(bool on);

/* The interface has another MTU. */
void platform_change(struct vjd *d, uint32_t mtu);

/* No application is left: no channel of one is, either, nor anything under way. Then it all ends. */
void platform_end(struct vjd *d);

#endif

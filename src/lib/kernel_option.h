/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_option.h - options of a connection, onto a socket of the kernel's that follows it */
#ifndef LIB_KERNEL_OPTION_H
#define LIB_KERNEL_OPTION_H

#include "base/types.h"

#include <vj/vj.h>

enum { KERNEL_OPTION_CNT = 8 };

struct kernel_options {
	uint64_t value[KERNEL_OPTION_CNT], tos, ttl, congestion, linger2_s, pacing_Bps;
};

/** kernel_options_read() - Those of @c */
void kernel_options_read(const struct vj *vj, struct vj_conn c, struct kernel_options *ret);

/**
 * kernel_options_set() - Those that the kernel would have otherwise, onto @fd. Makes system calls; what it refuses is left out
 * @v4: the connection is one over IPv4; @sock6: by a socket of IPv6 all the same
 */
void kernel_options_set(int fd, const struct kernel_options *o, bool v4, bool sock6);

#endif

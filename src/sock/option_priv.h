/* SPDX-License-Identifier: BSD-2-Clause */
/* option_priv.h - of libvj's own options: what option.c and option_get.c have in common */
#ifndef SOCK_OPTION_PRIV_H
#define SOCK_OPTION_PRIV_H

#include "sock/file.h"

#include "base/types.h"

#include <vj/vj.h>

enum { TTL_DEFAULT = 64 }; /* what -1 means */

/* An option that is libvj's alone once there is a connection */
struct option_map {
	int level, name;
	enum vj_option opt;
	bool is_bool;
	uint8_t get_factor; /* the kernel shows buffers at twice what was asked for */
};

/* NULL: none. Of a connection, an option of the other family's IP is none of libvj's: the kernel socket keeps it. */
const struct option_map *option_map_find(const struct sock *s, int level, int name);

#endif

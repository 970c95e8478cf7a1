/* SPDX-License-Identifier: BSD-2-Clause */
/* hot.h - hot_path.c and hot_sockets.c */
#ifndef VJ_TEST_HOT_H
#define VJ_TEST_HOT_H

#include <stdio.h>
#include <stdlib.h>

enum { MSG_BYTES = 64, CONNS_MAX = 100 };

#define REQUIRE(cond)                                                              \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

#endif

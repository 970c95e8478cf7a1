// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where the other parts of this installation are: beside the running vj in a build directory, else
 * where they were installed.
 */
#ifndef VJ_CLI_INSTALL_H
#define VJ_CLI_INSTALL_H

#include <limits.h>

enum install_part { INSTALL_VJ, INSTALL_TOOLS, INSTALL_VJD, INSTALL_PRELOAD, INSTALL_BENCH_RTE_RING, INSTALL_BENCH_LWIP };

/* Return: 0; -ENOENT, with the place where it should be in @ret_path. */
int install_find(enum install_part part, char ret_path[static PATH_MAX]);

#endif

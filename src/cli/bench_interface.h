// SPDX-License-Identifier: BSD-2-Clause
/* The parts of vj bench interface that have files of their own. */
#ifndef VJ_CLI_BENCH_INTERFACE_H
#define VJ_CLI_BENCH_INTERFACE_H

#include "cli/bench_hosts.h"

/* Datagrams into a native program: the name of a row's result; NULL: there are no more */
const char *bench_interface_udp_name(unsigned row);

/* Return: 0; negative errno, complained about. */
int bench_interface_udp(struct bench_ctx *ctx, const struct bench_hosts *hosts, unsigned row);

#endif

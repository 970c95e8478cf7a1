// SPDX-License-Identifier: BSD-2-Clause
#ifndef VJ_CLI_BENCH_LWIP_H
#define VJ_CLI_BENCH_LWIP_H

#include "cli/bench_net.h"

/* As one of bench_case.others; server and client use bench_lwip_net(). */
struct bench_rival bench_lwip_rival(int (*server)(struct bench_peer *peer), int (*client)(struct bench_peer *peer));

/* For servers and clients of that: there is lwIP where they are run */
const struct net_ops *bench_lwip_net(void);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * UDP datagrams made by the kernel itself at a device of this namespace, so that they come to the other end as from a driver: no socket and
 * no process has sent them. A program of XDP fills them in and redirects them; the kernel runs it over and over on frames of its own
 * (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18; Documentation/bpf/bpf_prog_run.rst). What the other end's poll does
 * with 64 frames it does on the same processor before the next 64 are made: none is made in vain.
 */
#ifndef VJ_CLI_BENCH_FLOOD_H
#define VJ_CLI_BENCH_FLOOD_H

#include "base/types.h"

#include <net/ethernet.h>

enum { FLOOD_FLOWS_MAX = 1024 }; /* of 32 source addresses and 32 ports each */

struct bench_flood_params {
	const char *device; /* at whose far end they come in */
	struct ether_addr to;
	bool v6; /* to the server's address (bench_hosts.h), from others of that network, which nobody has */
	uint16_t port;
	uint32_t bytes; /* of payload, from 8 on */
	uint32_t flows; /* a power of two, up to FLOOD_FLOWS_MAX; they take turns */
};

struct bench_flood;

/* The address of a device of this namespace. Return: 0; negative errno. */
int bench_flood_mac(const char *device, struct ether_addr *ret_mac);

/* Return: 0; negative errno, -EINVAL: the kernel is older than 5.18. */
int bench_flood_open(const struct bench_flood_params *params, struct bench_flood **ret_flood);
void bench_flood_close(struct bench_flood *f);

/*
 * Makes them until the process ends, or a signal comes: to begin takes the kernel some 25 ms (it waits for all processors), so one call is one
 * run. Return: -EINTR; other negative errno
 */
int bench_flood_run(struct bench_flood *f);

/* How many were made; may be asked while they are. */
uint64_t bench_flood_made(const struct bench_flood *f);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a device of this namespace gives at most, for the interface benchmark: an AF_XDP socket on it whose program redirects
 * everything and whose loop does nothing but give the frames back; or a program that drops everything. Written by hand for
 * this alone: nothing of a channel is in it.
 */
#ifndef VJ_CLI_BENCH_BARE_H
#define VJ_CLI_BENCH_BARE_H

#include "base/types.h"

struct bench_bare;

/* @drop: no socket. Needs root. Return: 0; negative errno. */
int bench_bare_open(const char *device, bool drop, struct bench_bare **ret_bare);
void bench_bare_close(struct bench_bare *b);

/* Takes what has come and gives it back. Return: frames */
unsigned bench_bare_take(struct bench_bare *b);

#endif

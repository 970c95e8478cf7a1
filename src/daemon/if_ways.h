/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_ways.h - by which interface the kernel would answer whom (map `ways`), where not all of a host's routes leave by the same one
 *
 * A server's answer leaves by the channel at which the question came, as far as a route leads there. To whom another interface leads, only the
 * kernel can answer, so dispatch leaves to it what comes from there for a port that an application has leased: the program's own listener, or
 * bound socket, is behind it. Likewise what comes to an address of another device's, such as one of lo that all links lead to: the next packet of
 * that connection may come by another link, where an application would not know it. Most hosts have one way, and dispatch doesn't look then.
 */
#ifndef DAEMON_IF_WAYS_H
#define DAEMON_IF_WAYS_H

#include "control/host_table.h"
#include "daemon/if_bpf.h"

/**
 * if_ways_sync() - The routes and addresses of @image, and no other
 * While it runs a prefix that is new may still be judged by a shorter one.
 * Return: 0; negative errno of bpf(2): some prefix is judged by a shorter one
 */
int if_ways_sync(const struct if_dispatch *d, const struct host_image *image);

#endif

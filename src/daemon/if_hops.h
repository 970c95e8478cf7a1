/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_hops.h - the MAC addresses of an interface's neighbours, which gate lets applications send to (map `hops`)
 *
 * One that is new is there before an application is told of it; one that is gone goes within a second. Several neighbours may have the
 * same address, so what is gone is found by comparing all, not one by one.
 */
#ifndef DAEMON_IF_HOPS_H
#define DAEMON_IF_HOPS_H

#include "control/host_table.h"
#include "daemon/if_bpf.h"

/** if_hops_add() - @asks: vjd speaks port-aware ARP there */
void if_hops_add(const struct if_dispatch *d, const struct mac_addr *mac, bool asks);

/** if_hops_sync() - Those of @image at the interface, and no other */
void if_hops_sync(const struct if_dispatch *d, const struct host_image *image, bool asks);

#endif

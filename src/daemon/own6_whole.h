/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own6_whole.h - when an IPv6 address that an application was given is its own as a whole, every port of it, and not one of the host's
 *
 * All that it serves there is served by its channel, nothing by the kernel: no lease of it is local, its user may have all ports, the
 * firewall's rules of all ports can be judged, and the kernel has no connection there with another host.
 */
#ifndef DAEMON_OWN6_WHOLE_H
#define DAEMON_OWN6_WHOLE_H

#include "base/addr.h"
#include "base/types.h"

struct if_chan;
struct iface;
struct interfaces;

/**
 * own6_is_whole() - Is @addr channel @c's?
 * @was:       it was until now: connections of the kernel's are not asked for
 * @ret_again: set, if it may be soon, without a word to us; else untouched
 */
bool own6_is_whole(const struct interfaces *s, const struct iface *i, const struct if_chan *c, const struct ip_addr *addr, bool was,
		   bool *ret_again);

#endif

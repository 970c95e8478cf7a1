/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_own6.h - IPv6 addresses for applications at one interface: what lan/own6.h needs of the world, and when one is its
 * application's as a whole
 *
 * The kernel has such an address, too, at `lo`: so programs of this host reach it, bind() takes it, what no application has is answered as
 * for any closed port, and the host table says that it is ours. It is a deprecated one (RFC 4862 5.5.4), so nobody sends from it without
 * having been told to. Because it isn't one of the interface, the kernel says nothing of it on the LAN, where vjd does.
 *
 * At first it is one of the host's: ports tell who gets a frame. It becomes its application's as a whole, every port of it, when all that
 * the application serves there is served by the channel, and nothing by the kernel (is_whole()). Then, and only then, others are told the
 * application's own MAC address: a frame to that is dispatched by layer 2 alone. And back: first in the map, then a word to all; the MAC
 * address that they may remember goes into quarantine, where ports tell again.
 *
 * An application that ends leaves its address to the kernel for a while, which resets what its peers still think of as connections.
 */
#ifndef DAEMON_IF_OWN6_H
#define DAEMON_IF_OWN6_H

#include "base/addr.h"
#include "base/types.h"

struct ctl_mac;
struct if_chan;
struct if_own6;
struct iface;
struct interfaces;

/**
 * if_own6_new() - Begin at interface @i, with addresses of @prefix, against which ctl_prefix_fault() has nothing
 * Return: 0; negative errno of packet(7) or memory
 */
int if_own6_new(struct interfaces *s, struct iface *i, const struct ip_prefix *prefix, struct if_own6 **ret_own6);

/** if_own6_free() - NULL allowed, as in all that follow. @serve_on: addresses stay, for a later vjd */
void if_own6_free(struct if_own6 *own6, bool serve_on);

/** if_own6_fd() - Readable when if_own6_run() has something to read */
int if_own6_fd(const struct if_own6 *own6);

void if_own6_run(struct if_own6 *own6, uint64_t now_ns);
uint64_t if_own6_deadline_ns(const struct if_own6 *own6);

/** if_own6_chan_begin() - Channel @c lives: an address for it, or that which an earlier vjd gave it */
void if_own6_chan_begin(struct if_own6 *own6, struct if_chan *c);

/** if_own6_chan_end() - And no longer */
void if_own6_chan_end(struct if_own6 *own6, uint32_t nr);

/** if_own6_changed() - Leases, rules, the interface's MAC address or an application's may be others */
void if_own6_changed(struct if_own6 *own6);

/** if_own6_sweep() - Addresses at `lo` that an earlier vjd has given, and nobody has by now */
void if_own6_sweep(struct if_own6 *own6);

/** if_own6_prefix() - Return: NULL: none is given here */
const struct ip_prefix *if_own6_prefix(const struct if_own6 *own6);

/** if_own6_addr() - That of channel @nr. Return: false: none, or it is still being tried */
bool if_own6_addr(const struct if_own6 *own6, uint32_t nr, struct ip_addr *ret_addr);

enum { IF_OWN6_ENTRIES = 256 };

/** if_own6_entry() - What is in place @pos, below IF_OWN6_ENTRIES, as `vj arp` shows it. Return: false: nothing */
bool if_own6_entry(const struct if_own6 *own6, uint32_t pos, struct ctl_mac *ret);

enum { IF_OWN6_COUNTERS = 6 };

/** if_own6_counter() - @pos: below IF_OWN6_COUNTERS. NULL: 0 */
uint64_t if_own6_counter(const struct if_own6 *own6, uint32_t pos, const char **ret_name);

#endif

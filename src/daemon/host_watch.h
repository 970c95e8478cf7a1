/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host_watch.h - follows the kernel's interfaces, addresses, routes and neighbours, and publishes the host table
 *
 * Neighbours are followed one by one, since they change all the time. Any other change has the rest read anew, at most every
 * HOST_WATCH_PAUSE_NS: the kernel doesn't announce all that follows from a change (IPv4 routes of an interface that goes down
 * vanish without a word). When the kernel has dropped announcements (ENOBUFS), everything is read anew.
 */
#ifndef DAEMON_HOST_WATCH_H
#define DAEMON_HOST_WATCH_H

#include "control/host_table.h"

struct host_watch;

struct host_watch_ops {
	/* Interfaces, addresses or routes are others than before; host_watch_image() has them. */
	void (*changed)(void *arg);
	/* A neighbour was resolved, or didn't answer. */
	void (*neighbour)(void *arg, uint32_t ifindex, const struct ip_addr *addr, enum host_neighbour_state state);
};

/**
 * host_watch_new() - Start, with a first table published
 * @ops: Called from host_watch_run() only
 * Return: 0; negative errno of netlink or memory
 */
int host_watch_new(const struct host_watch_ops *ops, void *arg, struct host_watch **ret_watch);

void host_watch_free(struct host_watch *w);

/** host_watch_fd() - Readable when host_watch_run() has something to read */
int host_watch_fd(const struct host_watch *w);

/** host_watch_table_fd() - The table's memfd, sealed against writing; stays ours */
int host_watch_table_fd(const struct host_watch *w);

/** host_watch_run() - Read what there is, without waiting for more; publish */
void host_watch_run(struct host_watch *w, uint64_t now_ns);

/** host_watch_reread() - As host_watch_run(), and all tables anew, whatever the pause: what has just come is there then */
void host_watch_reread(struct host_watch *w, uint64_t now_ns);

/** host_watch_deadline_ns() - When host_watch_run() is wanted next, whatever the descriptor says */
uint64_t host_watch_deadline_ns(const struct host_watch *w);

/** host_watch_table() - As applications see it */
const struct host_table *host_watch_table(const struct host_watch *w);

/** host_watch_image() - As last published */
const struct host_image *host_watch_image(const struct host_watch *w);

/** host_watch_find() - An interface of the image, by @name, or if that is NULL by number; NULL: none */
const struct host_interface *host_watch_find(const struct host_watch *w, const char *name, uint32_t ifindex);

/** host_watch_attach() - Say in the table whether channels are offered at this interface */
void host_watch_attach(struct host_watch *w, uint32_t ifindex, bool attached);

/** host_watch_judged() - Say in the table whether the firewall's program can judge the ports in use at this interface. Return: it is news */
bool host_watch_judged(struct host_watch *w, uint32_t ifindex, bool judged);

/** host_watch_resolve() - Have the kernel look for a neighbour. Return: 0; negative errno */
int host_watch_resolve(struct host_watch *w, uint32_t ifindex, const struct ip_addr *addr);

#endif

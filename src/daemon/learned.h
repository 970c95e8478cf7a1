/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * learned.h - vjd's side of the maps of policy/learned.h: what a program may know of others' ports, and what it would like to
 *
 * Reports are read at a pace: of more than LEARNED_PER_SECOND none is read until the second is over, the ring fills, and the
 * program finds it full.
 */
#ifndef DAEMON_LEARNED_H
#define DAEMON_LEARNED_H

#include "lan/limit.h"
#include "policy/learned.h"

struct resolver_entry;
struct ring_buffer;

enum { LEARNED_PER_SECOND = 1000, LEARNED_BURST = 200 };

struct learned_fds {
	int hosts, learned, asked, misses;
};

struct learned {
	struct learned_fds fds; /* the caller's */
	void (*missed)(void *arg, const struct policy_miss *miss);
	void *arg;
	struct ring_buffer *ring;
	int epoll_fd; /* readable when there is something to read */
	bool paused;
	uint64_t now_us;
	struct lan_limit limit;
};

/**
 * learned_open() - Over maps that are there; they are empty afterwards
 * @missed: from learned_run(); @fds: stay open as long as @ret
 * Return: 0; -ENOMEM; negative errno of the ring's mapping
 */
int learned_open(const struct learned_fds *fds, void (*missed)(void *arg, const struct policy_miss *miss), void *arg,
		 struct learned *ret);
void learned_close(struct learned *l);

/** learned_run() - Read reports, as many as may be */
void learned_run(struct learned *l, uint64_t now_us);

/** learned_deadline_us() - When reading goes on after a pause; TIME_NEVER: when there is something */
uint64_t learned_deadline_us(const struct learned *l);

/** learned_set() - @e is VALID, or refreshed */
void learned_set(struct learned *l, const struct resolver_entry *e);

/** learned_quiet() - No report of @key before @until_us. Port and protocol 0: of nothing at that address */
void learned_quiet(struct learned *l, const struct policy_learned_key *key, uint64_t until_us);

/** learned_forget() - Nothing is known of @e */
void learned_forget(struct learned *l, const struct resolver_entry *e);

/** learned_key() - Of @e in the maps */
struct policy_learned_key learned_key(const struct resolver_entry *e);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_maker.h - a thread that makes and removes channels' devices
 *
 * Each takes the kernel 20 to 50 ms, most of which it waits for its own readers (RCU). In vjd's loop nobody else would be
 * served meanwhile, and thirty-two applications that start at once would keep it for a second and a half.
 *
 * One thread, since the kernel does most of this under one lock. What somebody waits for goes first, then what is made ahead, removals last.
 *
 * Owners: a work is the main thread's before submit and after it was reaped, the maker's in between, but for what stands below "the main
 * thread's". All calls are the main thread's.
 */
#ifndef DAEMON_IF_MAKER_H
#define DAEMON_IF_MAKER_H

#include "daemon/if_chan.h"

struct app;
struct iface;
struct user;

enum if_work_kind { IF_WORK_OPEN, IF_WORK_SPARE, IF_WORK_REMOVE };
enum { IF_WORK_KINDS = IF_WORK_REMOVE + 1 };

struct if_work {
	enum if_work_kind kind;
	struct if_dispatch dispatch; /* a copy: the interface stays until if_maker_part() */
	struct if_chan_record rec;
	uint8_t mac[6]; /* of the interface */

	int result; /* of if_chan_make(), then what it made */
	struct xsk xsk;
	struct if_chan *chan; /* REMOVE: the one that is to go */

	/* the main thread's */
	struct iface *iface; /* NULL: gone meanwhile */
	struct app *app;     /* OPEN: who waits; NULL: gone meanwhile */
	struct user *user;   /* OPEN: charged with the memory, and with a job */
	uint32_t seq;	     /* OPEN: of the request */
	TAILQ_ENTRY(if_work) under_way; /* OPEN, SPARE */
	TAILQ_ENTRY(if_work) queued;	/* the maker's own */
};

TAILQ_HEAD(if_work_list, if_work);

struct if_maker;

/**
 * if_maker_new() - No thread yet
 * @netns_fd: vjchan's own namespace; stays the caller's, who keeps it open
 * @dir:      of record files
 * Return: 0; negative errno
 */
int if_maker_new(int netns_fd, const char *dir, struct if_maker **ret_maker);

/** if_maker_fd() - Readable when there is something to reap */
int if_maker_fd(const struct if_maker *m);

/** if_maker_submit() - Takes the work. Without a thread to be had it is done at once, here */
void if_maker_submit(struct if_maker *m, struct if_work *w);

/** if_maker_reap() - Next work that is done, or NULL; the caller's to free */
struct if_work *if_maker_reap(struct if_maker *m);

/**
 * if_maker_part() - The interface @ifindex goes: nothing touches its dispatch from here on
 * Blocks for as long as one channel takes. What was not begun is done with -ENODEV.
 */
void if_maker_part(struct if_maker *m, uint32_t ifindex);

/** if_maker_free() - Remove what is to be removed, and end. All else was reaped, or is not begun, and is lost. NULL allowed */
void if_maker_free(struct if_maker *m);

#endif

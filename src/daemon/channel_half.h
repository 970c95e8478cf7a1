/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * channel_half.h - channels that an earlier vjd made
 *
 * Applications outlive vjd, and so do their channels. To a new vjd each end states what it holds (HOLD), in any order: what one
 * end has stated is half a channel, and becomes a whole one, with a number of this vjd's, when the other end states it
 * too. The two are known to belong together by the channel's key, 128 random bits that the earlier vjd told these two and
 * nobody else, so a liar can only make halves, which are charged to it like channels and lead nowhere. An end that
 * tells its key can have a stranger in its place: it cheats its own peer, to which it could do worse by itself.
 *
 * The other end may have died while no vjd was there. So a half names the process that is to have the other end, and as
 * long as there are halves these processes are looked at, PROCESSES_PER_LOOK a second.
 */
#ifndef DAEMON_CHANNEL_HALF_H
#define DAEMON_CHANNEL_HALF_H

#include "control/msg.h"

#include <sys/queue.h>

struct app;
struct channel;
struct vjd;

enum { HALF_BUCKET_CNT = 1024 };

struct half_table {
	LIST_HEAD(, channel) buckets[HALF_BUCKET_CNT];
	TAILQ_HEAD(, channel) all; /* by when the process was last looked at */
	uint64_t secret;	   /* keys come from clients: they must not choose the bucket */
	uint64_t look_ns;	   /* next look */
};

void half_table_init(struct half_table *t, uint64_t secret);

/**
 * half_hold() - Serve a HOLD
 * @ret_channel: for the reply
 * Return: CTL_REFUSAL_NONE; NO_CHANNEL: the other end is gone, or this end is another's;
 * QUOTA_CHANNELS, QUOTA_MEMORY, RESOURCES
 */
enum ctl_refusal half_hold(struct app *app, const struct ctl_channel *req,
			   struct ctl_channel *ret_channel);

/** half_remove() - @ch is whole, or goes */
void half_remove(struct half_table *t, struct channel *ch);

/** half_deadline_ns() - When half_look() is due; TIME_NEVER */
uint64_t half_deadline_ns(const struct vjd *d);

/** half_look() - Have processes ended that were to have an other end? Then say so */
void half_look(struct vjd *d);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * channel_maker.h - direct channels between two applications
 *
 * A CONNECT finds the owner of an endpoint and, unless the two share a channel already, makes one:
 * memory, two doorbells, and an end of it for each. The owner is told first (CHANNEL), then the
 * asker (CONNECTED), so that what the asker sends at once isn't news to the owner. vjd keeps no
 * descriptor of it: the memory lives as long as one end maps it, and is charged to who asked for it
 * until the channel ends.
 *
 * Two applications share at most one channel for their stacks, in which all their connections run;
 * a RAW channel is made anew for each CONNECT. An application may connect to itself: it gets both
 * ends.
 */
#ifndef DAEMON_CHANNEL_MAKER_H
#define DAEMON_CHANNEL_MAKER_H

#include "daemon/app.h"

struct channel {
	uint32_t id;
	uint8_t proto; /* CTL_PROTO_RAW, or what was asked for first */
	uint16_t port; /* RAW only */
	uint8_t key[16];
	struct vj_area_params params;
	uint64_t memory_bytes;
	struct app *app[2]; /* by end; [0] asked for it and is charged. NULL: half of it, see channel_half.h */
	struct channel_end end[2];
	LIST_ENTRY(channel) half_bucket; /* halves only, as what follows */
	TAILQ_ENTRY(channel) half_all;
	int32_t half_pid; /* of the process that is to have the other end */
};

/** channel_peer() - Who holds the other end; NULL: nobody has stated it yet */
struct app *channel_peer(const struct channel_end *end);

/** channel_join() - @app holds end @end of @ch from now on: into its books */
void channel_join(struct channel *ch, uint8_t end, struct app *app);

/** channel_free() - Out of the books of whoever holds an end. Tells nobody */
void channel_free(struct channel *ch);

/** channel_next_id() - A number for a channel */
uint32_t channel_next_id(struct vjd *d);

/** channel_tell_gone() - PEER_GONE */
void channel_tell_gone(struct app *app, uint32_t channel_id, uint32_t reason);

/**
 * channel_connect() - Serve a CONNECT
 *
 * Sends the CONNECTED itself, since descriptors go with it.
 * Return: CTL_REFUSAL_NONE: sent; NO_OWNER, OTHER_USER, QUOTA_CHANNELS, QUOTA_MEMORY, PEER_BUSY,
 * RESOURCES: nothing was made, and nobody has heard of it but of its end
 */
enum ctl_refusal channel_connect(struct app *app, uint32_t seq, const struct ctl_connect *req);

/** channel_join_app() - Serve a JOIN. Return: as channel_connect(); NO_APP */
enum ctl_refusal channel_join_app(struct app *app, uint32_t seq, const struct ctl_join *req);

/**
 * channel_close() - Serve a CHANNEL_CLOSE. An unknown id is no error: the other end may have gone
 * first.
 */
void channel_close(struct app *app, const struct ctl_close *req);

/** channel_end_all() - As channel_drop_all(), but @app lives: it is told as well */
void channel_end_all(struct app *app);

/** channel_drop_all() - @app goes: tell its peers */
void channel_drop_all(struct app *app);

/** channel_describe() - As @end's application sees it */
void channel_describe(const struct channel *ch, uint8_t end, struct ctl_channel *ret_channel);

#endif

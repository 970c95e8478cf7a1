/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status.h"

#include "base/time.h"
#include "daemon/channel_maker.h"
#include "daemon/interfaces.h"
#include "daemon/lease_holder.h"

#include "vj_version.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

bool status_may_see(const struct app *viewer, const struct app *app)
{
	return viewer->uid == 0 || viewer->uid == app->uid;
}

static void describe_app(const struct app *app, struct ctl_app *ret)
{
	*ret = (struct ctl_app){
		.id = app->id,
		.pid = app->pid,
		.uid = app->uid,
		.leases = app->lease_cnt,
		.channels = app->channel_cnt,
		.memory_bytes = app->memory_bytes,
		.attached_ms = (app->d->now_ns - app->since_ns) / NS_PER_MS,
	};
	memcpy(ret->mac, app->mac, sizeof(ret->mac));
	memcpy(ret->name, app->name, sizeof(ret->name));
}

static void describe_last_refused(const struct app *viewer, struct ctl_daemon *ret)
{
	const struct vjd *d = viewer->d;

	if (d->last_refused.why == CTL_REFUSAL_NONE || (viewer->uid != 0 && viewer->uid != d->last_refused.uid))
		return;
	ret->last_refusal = (uint8_t)d->last_refused.why;
	ret->last_request = (uint8_t)d->last_refused.request;
	ret->last_pid = d->last_refused.pid;
	ret->last_s = (uint32_t)((d->now_ns - d->last_refused.at_ns) / NS_PER_SEC);
	memcpy(ret->last_name, d->last_refused.name, sizeof(ret->last_name));
}

static void describe_daemon(const struct app *viewer, struct ctl_daemon *ret)
{
	const struct vjd *d = viewer->d;

	*ret = (struct ctl_daemon){
		.pid = getpid(),
		.uid = d->cfg.uid,
		.apps = d->app_cnt,
		.leases = d->leases.cnt,
		.channels = d->channel_cnt,
		.private_mode = d->cfg.private_mode,
		.uptime_ms = (d->now_ns - d->start_ns) / NS_PER_MS,
		.refused = d->refused,
		.malformed = d->malformed,
	};
	ctl_name_set(ret->release, VJ_VERSION_STRING);
	describe_last_refused(viewer, ret);
}

static const struct lease *next_lease(const struct app *app, uint32_t after)
{
	const struct lease *l;

	TAILQ_FOREACH (l, &app->leases, of_app)
		if (l->id > after)
			return l;
	return NULL;
}

static const struct channel *next_channel(const struct app *app, uint32_t after)
{
	const struct channel_end *end;

	TAILQ_FOREACH (end, &app->channels, of_app)
		if (end->nr == 0 && end->channel->id > after)
			return end->channel;
	return NULL;
}

/* The application that the cursor stands at, or the next one. */
static const struct app *current_app(const struct app *viewer, uint32_t app_id)
{
	const struct app *app;

	TAILQ_FOREACH (app, &viewer->d->apps, all)
		if (app->id >= app_id && status_may_see(viewer, app))
			return app;
	return NULL;
}

/* One message about @app, and the cursor that stands behind it. Return: false: all of it is told */
static bool next_of_app(const struct app *app, struct status_cursor *c, struct ctl_msg *msg)
{
	const struct lease *lease;
	const struct channel *ch;

	if (c->app_id != app->id)
		*c = (struct status_cursor){ .active = true, .seq = c->seq, .app_id = app->id };
	if (!c->app_told) {
		c->app_told = true;
		msg->type = CTL_STATUS_APP;
		describe_app(app, &msg->app);
	} else if ((lease = next_lease(app, c->lease_id)) != NULL) {
		c->lease_id = lease->id;
		msg->type = CTL_STATUS_LEASE;
		lease_describe(lease, &msg->lease);
	} else if ((ch = next_channel(app, c->channel_id)) != NULL) {
		c->channel_id = ch->id;
		msg->type = CTL_STATUS_CHANNEL;
		channel_describe(ch, 0, &msg->channel);
		/* for the two ends only */
		memset(msg->channel.key, 0, sizeof(msg->channel.key));
	} else {
		return false;
	}
	return true;
}

static void next_mac(const struct app *viewer, struct status_cursor *c, struct ctl_msg *msg)
{
	*msg = (struct ctl_msg){ .seq = c->seq };
	c->active = interfaces_macs(viewer, &c->macs_pos, msg);
	if (!c->active)
		*msg = (struct ctl_msg){ .type = CTL_MACS_END, .seq = c->seq };
}

static void next_msg(const struct app *viewer, struct status_cursor *c, struct ctl_msg *msg)
{
	const struct app *app;

	*msg = (struct ctl_msg){ .seq = c->seq };
	while ((app = current_app(viewer, c->app_id)) != NULL) {
		if (next_of_app(app, c, msg))
			return;
		*c = (struct status_cursor){ .active = true, .seq = c->seq, .app_id = app->id + 1 };
	}
	if (interfaces_status(viewer, &c->interface_pos, msg))
		return;
	*msg = (struct ctl_msg){ .seq = c->seq };
	msg->type = CTL_STATUS_END;
	describe_daemon(viewer, &msg->daemon);
	c->active = false;
}

void status_continue(struct app *app)
{
	while (app->status.active) {
		struct status_cursor c = app->status;
		struct ctl_msg msg;

		if (c.macs)
			next_mac(app, &c, &msg);
		else
			next_msg(app, &c, &msg);
		/* what isn't sent is made again, from the old cursor */
		if (app->d->ops->send(app, &msg, NULL, 0) == -EAGAIN)
			return;
		app->status = c;
	}
}

void status_begin(struct app *app, uint32_t seq, bool macs)
{
	app->status = (struct status_cursor){ .active = true, .seq = seq, .macs = macs };
	status_continue(app);
}

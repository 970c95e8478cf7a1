/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/app.h"

#include "base/assert.h"
#include "base/time.h"
#include "daemon/channel_maker.h"
#include "daemon/fd_worker.h"
#include "daemon/interfaces.h"
#include "daemon/lease_holder.h"
#include "daemon/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_TIMEOUT_NS (5 * NS_PER_SEC)

enum { QUEUE_ROOM_MIN = 8 };

int app_init(struct vjd *d, struct app *app, const struct app_cred *cred)
{
	struct user *user;

	if (d->cfg.private_mode && cred->uid != d->cfg.uid && cred->uid != 0)
		return -EACCES;
	user = user_get(&d->users, cred->uid);
	if (user == NULL)
		return -ENOMEM;
	if (user->conn_cnt >= d->cfg.limits.apps_max + QUOTA_STRANGERS_MAX)
		return -EUSERS;
	user->conn_cnt++;
	*app = (struct app){
		.d = d,
		.state = APP_STRANGER,
		.user = user,
		.uid = cred->uid,
		.pid = cred->pid,
		.netns = cred->netns,
		.since_ns = d->now_ns,
	};
	TAILQ_INIT(&app->leases);
	TAILQ_INIT(&app->channels);
	TAILQ_INSERT_TAIL(&d->strangers, app, all);
	return 0;
}

/* 44 random bits under SLAP AAI: locally administered, second hex digit 2. */
static void choose_mac(struct vjd *d, uint8_t ret_mac[static 6])
{
	const struct app *other;
	bool taken;

	do {
		d->ops->random(ret_mac, 6);
		ret_mac[0] = (uint8_t)((ret_mac[0] & 0xf0) | 0x02);
		taken = false;
		TAILQ_FOREACH (other, &d->apps, all)
			taken |= memcmp(other->mac, ret_mac, 6) == 0;
	} while (taken);
}

/* Who asks for the status every second shall not fill the log. */
static enum log_level log_level_of(const struct app *app)
{
	return app->observer ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

void app_welcome(struct app *app, const struct ctl_hello *hello)
{
	struct vjd *d = app->d;

	VJ_ASSERT_OP(app->state, ==, APP_STRANGER);
	TAILQ_REMOVE(&d->strangers, app, all);
	app->state = APP_WELCOME;
	app->observer = (hello->flags & CTL_HELLO_OBSERVER) != 0;
	app->since_ns = d->now_ns;
	app->said_pid = hello->pid;
	memcpy(app->name, hello->name, sizeof(app->name));
	choose_mac(d, app->mac);
	/* a wrap after 2^32 applications would disturb the order of a STATUS, no more */
	if (++d->last_app_id == 0)
		d->last_app_id = 1;
	app->id = d->last_app_id;
	TAILQ_INSERT_TAIL(&d->apps, app, all);
	app->user->app_cnt++;
	d->app_cnt += !app->observer;
	d->apps_ever += !app->observer;
	log_write(d->cfg.log, log_level_of(app), "app %u: %s, pid %d, uid %u%s", app->id, app->name, app->pid, app->uid,
		  app->observer ? ", observer" : "");
}

void app_gone(struct app *app)
{
	struct vjd *d = app->d;
	bool welcome = app->id != 0;

	VJ_ASSERT_OP(app->state, !=, APP_GONE);
	app->state = APP_GONE;
	TAILQ_REMOVE(welcome ? &d->apps : &d->strangers, app, all);
	interfaces_app_gone(app);
	/* PEER_GONE tells them of the leases too */
	channel_drop_all(app);
	lease_drop_all(app);
	port_map_release(&d->ports, &app->ports);
	if (app->job != NULL)
		fd_job_orphan(app->job);
	if (welcome) {
		log_write(d->cfg.log, log_level_of(app), "app %u: gone", app->id);
		app->user->app_cnt--;
		d->app_cnt -= !app->observer;
	}
	app->user->conn_cnt--;
	user_put(app->user);
	app->user = NULL;
	free(app->queue);
	app->queue = NULL;
	app->queue_cnt = app->queue_room = 0;
}

void app_leave(struct app *app)
{
	if (app->state == APP_GONE)
		return;
	app->state = APP_LEAVING;
	app->d->ops->changed(app);
}

/* Return: false: no memory */
static bool queue_grow(struct app *app)
{
	uint32_t room = app->queue_room == 0 ? QUEUE_ROOM_MIN : app->queue_room * 2;
	struct ctl_msg *queue = malloc(room * sizeof(*queue));

	if (queue == NULL)
		return false;
	for (uint32_t i = 0; i < app->queue_cnt; i++)
		queue[i] = app->queue[(app->queue_first + i) % app->queue_room];
	free(app->queue);
	app->queue = queue;
	app->queue_room = room;
	app->queue_first = 0;
	return true;
}

static void queue_put(struct app *app, const struct ctl_msg *msg)
{
	if (msg->type == CTL_LEASE_GONE && app->queue_cnt >= APP_QUEUE_MAX)
		return;
	if (app->queue_cnt == app->queue_room && !queue_grow(app)) {
		/* it must not go on with a gap in what it knows */
		app_leave(app);
		return;
	}
	app->queue[(app->queue_first + app->queue_cnt++) % app->queue_room] = *msg;
	app->d->ops->changed(app);
}

int app_send(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	if (app->state == APP_GONE || app->state == APP_LEAVING)
		return -EPIPE;
	if (app->queue_cnt > 0 || app->status.active)
		return -EAGAIN;
	return app->d->ops->send(app, msg, fds, fd_cnt);
}

void app_post(struct app *app, const struct ctl_msg *msg)
{
	int r = app_send(app, msg, NULL, 0);

	/* other failures: the connection is broken, its end will be seen */
	if (r == -EAGAIN)
		queue_put(app, msg);
}

void app_flush(struct app *app)
{
	while (app->queue_cnt > 0) {
		int r = app->d->ops->send(app, &app->queue[app->queue_first], NULL, 0);

		if (r == -EAGAIN)
			return;
		app->queue_first = (app->queue_first + 1) % app->queue_room;
		app->queue_cnt--;
	}
	free(app->queue);
	app->queue = NULL;
	app->queue_first = app->queue_room = 0;
	if (app->status.active && app->state == APP_WELCOME)
		status_continue(app);
	app->d->ops->changed(app);
}

bool app_wants_read(const struct app *app)
{
	return (app->state == APP_STRANGER || app->state == APP_WELCOME) && app->queue_cnt == 0 &&
	       !app->status.active && app->job == NULL && !app->asking && app->opening == NULL && app->user->job_cnt < QUOTA_JOBS_MAX;
}

bool app_wants_write(const struct app *app)
{
	return app->state != APP_GONE && (app->queue_cnt > 0 || app->status.active);
}

void app_mark_begin(struct vjd *d)
{
	d->mark++;
}

bool app_mark(struct app *app)
{
	bool first = app->mark != app->d->mark;

	app->mark = app->d->mark;
	return first;
}

struct app *app_find(const struct app *asker, const struct ctl_join *who)
{
	struct app *app, *found = NULL;

	TAILQ_FOREACH (app, &asker->d->apps, all) {
		if (app->uid != asker->uid || app->observer || app->state != APP_WELCOME)
			continue;
		if (app->id == who->app_id && (app->pid == who->pid || app->said_pid == who->pid))
			return app;
		if (app->pid == who->pid)
			found = app;
	}
	return found;
}

uint64_t app_stranger_deadline_ns(const struct vjd *d)
{
	const struct app *oldest = TAILQ_FIRST(&d->strangers);

	return oldest == NULL ? TIME_NEVER : oldest->since_ns + HELLO_TIMEOUT_NS;
}

void app_expire_strangers(struct vjd *d)
{
	struct app *app, *next;

	for (app = TAILQ_FIRST(&d->strangers); app != NULL; app = next) {
		next = TAILQ_NEXT(app, all);
		if (d->now_ns < app->since_ns + HELLO_TIMEOUT_NS)
			return;
		app_leave(app);
	}
}

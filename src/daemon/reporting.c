/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/reporting.h"

#include "base/time.h"
#include "channel/sys.h"
#include "daemon/status.h"

#include <errno.h>

static struct app *find_app(struct app *viewer, uint32_t app_id)
{
	struct app *app;

	TAILQ_FOREACH (app, &viewer->d->apps, all)
		if (app->id == app_id)
			return !app->observer && status_may_see(viewer, app) ? app : NULL;
	return NULL;
}

/* The asked first: to hear of an answer that nobody gives is worse than to give one that nobody hears. */
static int hand_out(struct app *app, struct app *asked, uint32_t seq, const struct ctl_report *req,
		    const int fds[static 2])
{
	struct ctl_msg msg = { .type = CTL_REPORT_WANTED, .report = *req };
	int r = app_send(asked, &msg, &fds[1], 1);

	if (r < 0)
		return r;
	msg.type = CTL_REPORTING;
	msg.seq = seq;
	return app_send(app, &msg, &fds[0], 1);
}

enum ctl_refusal report_ask(struct app *app, uint32_t seq, const struct ctl_report *req)
{
	struct app *asked = find_app(app, req->app_id);
	uint64_t now_ns = app->d->now_ns;
	int fds[2], r;

	if (asked == NULL)
		return CTL_REFUSAL_NO_APP;
	if (asked->asked_ns != 0 && now_ns - asked->asked_ns < REPORT_EVERY_MS * NS_PER_MS)
		return CTL_REFUSAL_PEER_BUSY;
	if (sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return CTL_REFUSAL_RESOURCES;
	asked->asked_ns = now_ns;
	r = hand_out(app, asked, seq, req, fds);
	sys_close(fds[0]);
	sys_close(fds[1]);
	if (r == 0)
		return CTL_REFUSAL_NONE;
	return r == -EAGAIN ? CTL_REFUSAL_PEER_BUSY : CTL_REFUSAL_RESOURCES;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/if_leave.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/board.h"
#include "daemon/if_claim.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"

#define LEAVE_QUIET_NS (5 * NS_PER_SEC)
#define LEAVE_NS (20 * NS_PER_SEC)

void leave_begin(struct interfaces *s, struct iface *i, struct app *asker, uint32_t seq)
{
	uint64_t now_ns = s->d->now_ns;

	i->leave = (struct if_leave){ .on = true, .until_ns = now_ns + LEAVE_QUIET_NS, .last_ns = now_ns + LEAVE_NS, .asker = asker, .seq = seq };
	asker->asking = true;
	iface_sync(s, i); /* what begins now begins with the kernel */
	iface_tell(s, i, 0);
}

/* Applications that have a channel there still */
static uint32_t app_cnt(const struct iface *i)
{
	const struct if_chan *c;
	uint32_t cnt = 0;

	TAILQ_FOREACH (c, &i->chans, entry)
		cnt += c->app != NULL;
	return cnt;
}

struct app *leave_asker(struct iface *i, struct ctl_msg *ret_reply)
{
	struct app *asker = i->leave.asker;

	if (asker == NULL)
		return NULL;
	i->leave.asker = NULL;
	*ret_reply = (struct ctl_msg){ .type = CTL_DETACHED, .seq = i->leave.seq };
	iface_describe(i, &ret_reply->interface);
	ret_reply->interface.flags |= CTL_INTERFACE_GONE;
	ret_reply->interface.given = i->leave.given;
	ret_reply->interface.ended = i->leave.ended;
	ret_reply->interface.silent = (uint16_t)min_u32(app_cnt(i), UINT16_MAX);
	return asker;
}

void leave_answer(struct app *asker, const struct ctl_msg *reply)
{
	if (asker == NULL)
		return;
	asker->asking = false;
	app_post(asker, reply);
	asker->d->ops->changed(asker);
}

void leave_end(struct interfaces *s, struct iface *i)
{
	struct ctl_msg reply;
	struct app *asker = leave_asker(i, &reply);

	log_info(s->d->cfg.log, "%s: detached: %u connections have become the kernel's, %u could not, %u applications have not answered", i->name,
		 i->leave.given, i->leave.ended, app_cnt(i));
	iface_end(s, i);
	if_claim_settle(s);
	notice_board_interfaces(s->d->board, interfaces_cnt(s->d));
	leave_answer(asker, &reply);
}

void interfaces_in_kernel(struct vjd *d, uint32_t ifindex)
{
	struct iface *i = d->interfaces != NULL ? iface_by_index(d->interfaces, ifindex) : NULL;

	if (i == NULL || !i->leave.on)
		return;
	i->leave.given++;
	i->leave.until_ns = d->now_ns + LEAVE_QUIET_NS;
}

void interfaces_left(struct app *app, const struct ctl_interface *req)
{
	struct interfaces *s = app->d->interfaces;
	struct iface *i = s != NULL ? iface_by_index(s, req->ifindex) : NULL;
	struct if_chan *c = i != NULL && i->leave.on ? chan_of(i, app) : NULL;

	if (c == NULL)
		return;
	i->leave.ended = (uint32_t)min_u64((uint64_t)i->leave.ended + req->ended, UINT32_MAX); /* it may say anything */
	i->leave.until_ns = s->d->now_ns + LEAVE_QUIET_NS;
	c->empty = req->ended == 0;
	chan_end(s, i, c);
}

void leave_app_gone(struct interfaces *s, const struct app *app)
{
	struct iface *i;

	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (i->leave.asker == app)
			i->leave.asker = NULL;
}

static uint64_t deadline_ns(const struct iface *i)
{
	if (!i->leave.on)
		return TIME_NEVER;
	return app_cnt(i) == 0 ? 0 : min_u64(i->leave.until_ns, i->leave.last_ns);
}

void leaves_run(struct interfaces *s)
{
	struct iface *i, *next;

	for (i = TAILQ_FIRST(&s->ifaces); i != NULL; i = next) {
		next = TAILQ_NEXT(i, entry);
		if (deadline_ns(i) <= s->d->now_ns)
			leave_end(s, i);
	}
}

uint64_t leaves_deadline_ns(const struct interfaces *s)
{
	const struct iface *i;
	uint64_t ns = TIME_NEVER;

	TAILQ_FOREACH (i, &s->ifaces, entry)
		ns = min_u64(ns, deadline_ns(i));
	return ns;
}

// SPDX-License-Identifier: BSD-2-Clause
/* if_open.c - channels of applications: asked for, charged, put in the maps, taken down */
#include "daemon/app.h"
#include "daemon/firewall.h"
#include "daemon/if_ask.h"
#include "daemon/if_maker.h"
#include "daemon/if_reset.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"
#include "daemon/request.h"
#include "daemon/spill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	FRAME_BYTES_SMALL = 2048,
	FRAME_BYTES = 4096, /* a page: the largest in memory that is mapped in small ones */
	FRAME_HEAD_BYTES = IF_FRAME_HEADROOM + 14, /* and Ethernet's header */
	FRAME_CNT = 2048, /* half for each direction */
	/*
	 * The kernel shows that it has given frames back before it shows that it has taken the entries that brought them: a ring
	 * that it takes from needs room for more than there are.
	 */
	GIVING_CNT = FRAME_CNT / 2,
	TAKING_CNT = FRAME_CNT,
};

struct if_chan *chan_of(const struct iface *i, const struct app *app)
{
	struct if_chan *c;

	TAILQ_FOREACH (c, &i->chans, entry)
		if (c->app == app)
			return c;
	return NULL;
}

void chan_describe(const struct iface *i, const struct if_chan *c, struct ctl_interface *ret)
{
	const struct xsk_params *x = &c->rec.xsk;
	struct ip_addr own;
	struct mac_addr mac;

	iface_describe(i, ret);
	ret->mtu = c->rec.mtu;
	ret->app_id = c->app != NULL ? c->app->id : 0;
	ret->frame_bytes = x->frame_bytes;
	ret->frame_cnt = x->frame_cnt;
	ret->rx_cnt = x->rx_cnt;
	ret->tx_cnt = x->tx_cnt;
	ret->fill_cnt = x->fill_cnt;
	ret->comp_cnt = x->comp_cnt;
	ret->memory_bytes = if_chan_memory_bytes(&c->rec);
	if (if_lan_mac(i->lan, c->rec.nr, &mac))
		memcpy(ret->app_mac, mac.bytes, sizeof(ret->app_mac));
	ret->prefix_len = 0;
	memset(ret->addr, 0, sizeof(ret->addr));
	if (if_own6_addr(i->own6, c->rec.nr, &own)) {
		memcpy(ret->addr, own.bytes, sizeof(ret->addr));
		ret->prefix_len = 128;
	}
	if (c->rec.zero_copy)
		ret->flags |= CTL_INTERFACE_ZERO_COPY;
	if (c->polled)
		ret->flags |= CTL_INTERFACE_POLLING;
}

/* ---- what the books say, in the maps */

enum {
	JUDGE_PAUSE_NS = 1000 * 1000 * 1000, /* putting every port into maps takes a while */
	JUDGE_TURN = 64, /* applications and ports in one turn of the loop: some 4 ms */
};

void iface_unjudged(struct interfaces *s, struct iface *i)
{
	i->judged = false;
	if (host_watch_judged(s->host, i->ifindex, false))
		log_debug(s->d->cfg.log, "%s: ports in use have rules that only the kernel has: new connections are left to it", i->name);
}

void iface_judge_later(struct interfaces *s, const struct iface *i)
{
	const struct host_interface *now = host_watch_find(s->host, NULL, i->ifindex);

	if (now != NULL && (now->flags & HOST_IF_UNJUDGED) != 0 && s->judge_at_ns == 0)
		s->judge_at_ns = s->d->now_ns + JUDGE_PAUSE_NS;
}

/* All that @c's application holds. Return: the firewall's program can judge it */
static bool sync_app(struct interfaces *s, const struct iface *i, const struct app *app)
{
	struct if_ports p = iface_ports(s, i);
	const struct if_chan *c = chan_of(i, app);
	const struct lease *l;
	bool judged = true;

	TAILQ_FOREACH (l, &app->leases, of_app)
		judged &= if_ports_sync_lease(&p, &s->d->leases, &l->key);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned u = 0; app->ports.cnt[k] > 0 && u < PORT_UNIT_CNT; u++)
			if (app->ports.has[k][u] && s->d->ports.users[k][u] == 1)
				judged &= if_ports_set_block(&p, k == 0 ? CTL_PROTO_TCP : CTL_PROTO_UDP,
							     (uint16_t)(PORT_FIRST + u * PORT_UNIT), c != NULL ? c->rec.nr : 0);
	return judged;
}

/* All has been judged, by the same rules. */
static void iface_judged(struct interfaces *s, struct iface *i)
{
	if_own6_changed(i->own6);
	if (i->judged && host_watch_judged(s->host, i->ifindex, true))
		log_debug(s->d->cfg.log, "%s: new connections are given to channels again", i->name);
}

void iface_sync(struct interfaces *s, struct iface *i)
{
	const struct app *app;

	i->judged = true;
	TAILQ_FOREACH (app, &s->d->apps, all)
		if (!sync_app(s, i, app))
			iface_unjudged(s, i);
	iface_judged(s, i);
}

static uint32_t judge_app(struct interfaces *s, const struct app *app)
{
	const struct lease *l;
	struct iface *i;
	uint32_t cnt = 1;

	TAILQ_FOREACH (i, &s->ifaces, entry) {
		TAILQ_FOREACH (l, &app->leases, of_app)
			cnt++;
		if (!sync_app(s, i, app))
			iface_unjudged(s, i);
	}
	return cnt;
}

/*
 * Packets are judged by the new rules from the moment at which these are in the maps, and what comes to a gap never passes: so that ports go to or from
 * their channels may take its time. By number, since applications come and go meanwhile.
 */
void ifaces_judge(struct interfaces *s)
{
	const struct app *app;
	struct iface *i;
	uint32_t cnt = 0;

	TAILQ_FOREACH (app, &s->d->apps, all) {
		if (app->id <= s->judged_app_id)
			continue;
		if (cnt >= JUDGE_TURN)
			return;
		cnt += judge_app(s, app);
		s->judged_app_id = app->id;
	}
	s->judging = false;
	TAILQ_FOREACH (i, &s->ifaces, entry)
		iface_judged(s, i);
}

void ifaces_judge_anew(struct interfaces *s)
{
	struct iface *i;

	s->judge_at_ns = 0;
	s->judging = true;
	s->judged_app_id = 0;
	TAILQ_FOREACH (i, &s->ifaces, entry)
		i->judged = true;
	ifaces_judge(s);
}

void interfaces_policy_changed(struct vjd *d)
{
	struct iface *i;

	if (d->interfaces == NULL)
		return;
	d->interfaces->judge_at_ns = 0;
	TAILQ_FOREACH (i, &d->interfaces->ifaces, entry)
		iface_sync(d->interfaces, i);
}

/* Rules first: a port that is given now is judged by them. */
void interfaces_firewall_changed(struct vjd *d)
{
	struct iface *i;

	if (d->interfaces == NULL)
		return;
	TAILQ_FOREACH (i, &d->interfaces->ifaces, entry)
		firewall_install(d->firewall, &i->dispatch, i->name, false);
	ifaces_judge_anew(d->interfaces);
}

void interfaces_firewall_count(const struct vjd *d, struct fw_tally *tallies)
{
	const struct iface *i;

	if (d->interfaces != NULL)
		TAILQ_FOREACH (i, &d->interfaces->ifaces, entry)
			firewall_count(d->firewall, &i->dispatch, tallies);
}

uint32_t interfaces_against(const struct vjd *d, const struct lease_key *key, uint32_t *pos, const char **ret_name)
{
	const struct iface *i;
	uint32_t nr = 0, at;

	if (d->interfaces == NULL)
		return 0;
	TAILQ_FOREACH (i, &d->interfaces->ifaces, entry) {
		struct if_ports p = iface_ports(d->interfaces, i);

		if (nr++ < *pos)
			continue;
		*pos = nr;
		*ret_name = i->name;
		at = if_ports_against(&p, key);
		if (at != 0)
			return at;
	}
	return 0;
}

void interfaces_lease_changed(struct vjd *d, const struct lease_key *key)
{
	struct iface *i;

	if (d->interfaces == NULL)
		return;
	TAILQ_FOREACH (i, &d->interfaces->ifaces, entry) {
		struct if_ports p = iface_ports(d->interfaces, i);

		if (!if_ports_sync_lease(&p, &d->leases, key))
			iface_unjudged(d->interfaces, i);
		else
			iface_judge_later(d->interfaces, i);
		if_own6_changed(i->own6);
	}
}

bool if_has_channel(const struct app *app)
{
	struct iface *i;

	if (app->d->interfaces != NULL)
		TAILQ_FOREACH (i, &app->d->interfaces->ifaces, entry)
			if (chan_of(i, app) != NULL)
				return true;
	return false;
}

/* ---- channels */

static void charge(struct app *app, const struct if_chan *c, bool back)
{
	uint64_t bytes = if_chan_memory_bytes(&c->rec);

	app->memory_bytes = back ? app->memory_bytes - bytes : app->memory_bytes + bytes;
	app->user->memory_bytes = back ? app->user->memory_bytes - bytes : app->user->memory_bytes + bytes;
}

void chan_watch(const struct interfaces *s, struct if_chan *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, spill_fd(c->spill), &e);
}

/* Out of the maps and the books: its devices take the kernel a while. */
static void chan_remove(struct interfaces *s, struct if_chan *c)
{
	struct if_work *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		if_chan_remove(&s->place, c);
		return;
	}
	w->kind = IF_WORK_REMOVE;
	w->chan = c;
	if_maker_submit(s->maker, w);
}

void chan_end(struct interfaces *s, struct iface *i, struct if_chan *c)
{
	struct app *app = c->app;

	log_info(s->d->cfg.log, "%s: channel %u ends", i->name, c->rec.nr);
	TAILQ_REMOVE(&i->chans, c, entry);
	iface_frames(i);
	if_own6_chan_end(i->own6, c->rec.nr);
	if_lan_chan_end(i->lan, c->rec.nr);
	if (app != NULL) {
		charge(app, c, true);
		c->app = NULL;
		sync_app(s, i, app);
		iface_judge_later(s, i);
	}
	if_dispatch_forget(&i->dispatch, c->rec.nr, c->host_ifindex);
	if (!c->empty)
		if_reset_peers(&i->dispatch, c->rec.nr);
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, spill_fd(c->spill), NULL);
	chan_remove(s, c);
}

void iface_frames(const struct iface *i)
{
	const struct if_chan *c;
	uint32_t least = 0;

	TAILQ_FOREACH (c, &i->chans, entry)
		least = least == 0 ? if_chan_frame_max(c) : min_u32(least, if_chan_frame_max(c));
	if_dispatch_set_frame_max(&i->dispatch, least);
}

static void chan_join(struct interfaces *s, struct iface *i, struct if_chan *c, struct app *app)
{
	c->app = app;
	charge(app, c, false);
	if (!sync_app(s, i, app))
		iface_unjudged(s, i);
	if_lan_chan_begin(i->lan, c->rec.nr, c->rec.uid);
	if_own6_chan_begin(i->own6, c);
}

static uint32_t next_nr(struct interfaces *s)
{
	if (++s->last_nr == 0)
		s->last_nr = 1;
	return s->last_nr;
}

/* An MTU that grows later is not followed beyond what the frames take. */
static uint32_t frame_bytes_for(uint32_t mtu)
{
	return mtu <= FRAME_BYTES_SMALL - FRAME_HEAD_BYTES ? FRAME_BYTES_SMALL : FRAME_BYTES;
}

static struct if_chan_record new_record(struct interfaces *s, const struct iface *i)
{
	struct if_chan_record rec = {
		.nr = next_nr(s),
		.ifindex = i->ifindex,
		.mtu = i->mtu,
		.xsk = { .frame_bytes = frame_bytes_for(i->mtu), .frame_cnt = FRAME_CNT, .rx_cnt = GIVING_CNT, .tx_cnt = TAKING_CNT,
			 .fill_cnt = TAKING_CNT, .comp_cnt = GIVING_CNT },
	};

	s->d->ops->random(rec.key, sizeof(rec.key));
	return rec;
}

static int hand_out(const struct interfaces *s, const struct iface *i, struct if_chan *c, uint32_t seq,
		    const struct xsk *xsk)
{
	bool polls = c->poll_fd >= 0;
	int r;

	struct ctl_msg msg = { .type = CTL_INTERFACE_OPEN, .seq = seq };
	int fds[] = {
		[CTL_FD_HOST] = host_watch_table_fd(s->host),
		[CTL_FD_XSK] = xsk->fd,
		[CTL_FD_UMEM] = xsk->umem_fd,
		[CTL_FD_CREDIT] = c->maps.credit,
		[CTL_FD_POLL] = polls ? c->poll_fd : host_watch_table_fd(s->host),
	};

	chan_describe(i, c, &msg.interface);
	msg.interface.flags |= polls ? CTL_INTERFACE_POLLING : 0;
	msg.interface.prefix_len = 0;
	memcpy(msg.interface.key, c->rec.key, sizeof(msg.interface.key));
	r = app_send(c->app, &msg, fds, xsk->fd >= 0 ? ARRAY_SIZE(fds) : 1);
	if (polls)
		close(c->poll_fd);
	c->poll_fd = -1;
	return r;
}

/* One that was made becomes @app's, who is answered. */
static enum ctl_refusal chan_begin(struct interfaces *s, struct iface *i, struct if_chan *c, const struct xsk *xsk, struct app *app,
				   uint32_t seq)
{
	/* blocks from before may be others' or the kernel's as well: it takes new ones */
	if (!if_has_channel(app))
		port_map_release(&app->d->ports, &app->ports);
	TAILQ_INSERT_TAIL(&i->chans, c, entry);
	iface_frames(i);
	chan_watch(s, c);
	chan_join(s, i, c, app);
	if (hand_out(s, i, c, seq, xsk) < 0) {
		chan_end(s, i, c);
		return CTL_REFUSAL_RESOURCES;
	}
	log_info(s->d->cfg.log, "%s: channel %u of app %u", i->name, c->rec.nr, app->id);
	return CTL_REFUSAL_NONE;
}

/* ---- made by the maker, on demand or ahead */

static struct if_work *work_new(struct interfaces *s, struct iface *i, enum if_work_kind kind)
{
	struct if_work *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->kind = kind;
	w->dispatch = i->dispatch;
	w->rec = new_record(s, i);
	memcpy(w->mac, i->mac, sizeof(w->mac));
	w->xsk = (struct xsk){ -1, -1, false };
	w->iface = i;
	TAILQ_INSERT_TAIL(&s->under_way, w, under_way);
	return w;
}

static void spare_drop(struct interfaces *s, struct iface *i)
{
	struct if_chan *c = i->spare;

	if (c == NULL)
		return;
	i->spare = NULL;
	xsk_close(&i->spare_xsk);
	if_dispatch_forget(&i->dispatch, c->rec.nr, c->host_ifindex);
	chan_remove(s, c);
}

void iface_spare(struct interfaces *s, struct iface *i)
{
	struct if_work *w;

	if (i->spare != NULL && (i->spare->rec.mtu != i->mtu || memcmp(i->spare_mac, i->mac, sizeof(i->mac)) != 0))
		spare_drop(s, i);
	if (i->spare != NULL)
		return;
	TAILQ_FOREACH (w, &s->under_way, under_way)
		if (w->iface == i && w->kind == IF_WORK_SPARE)
			return;
	w = work_new(s, i, IF_WORK_SPARE);
	if (w != NULL)
		if_maker_submit(s->maker, w);
}

static enum ctl_refusal open_spare(struct interfaces *s, struct iface *i, struct app *app, uint32_t seq)
{
	enum ctl_refusal why = CTL_REFUSAL_RESOURCES;
	struct if_chan *c = i->spare;

	if (if_chan_give(&s->place, c, app->uid, app->pid) < 0) {
		spare_drop(s, i);
		return why;
	}
	i->spare = NULL;
	why = chan_begin(s, i, c, &i->spare_xsk, app, seq);
	xsk_close(&i->spare_xsk);
	iface_spare(s, i);
	return why;
}

static enum ctl_refusal open_new(struct interfaces *s, struct iface *i, struct app *app, uint32_t seq)
{
	uint64_t bytes = (uint64_t)frame_bytes_for(i->mtu) * FRAME_CNT;
	struct if_work *w;

	if (app->user->memory_bytes + bytes > vjd_memory_max(s->d, app->uid))
		return CTL_REFUSAL_QUOTA_MEMORY;
	if (i->spare != NULL && i->spare->rec.mtu == i->mtu)
		return open_spare(s, i, app, seq);
	w = work_new(s, i, IF_WORK_OPEN);
	if (w == NULL)
		return CTL_REFUSAL_RESOURCES;
	w->rec.uid = app->uid;
	w->rec.pid = app->pid;
	w->seq = seq;
	w->app = app;
	app->opening = w;
	w->user = app->user;
	w->user->job_cnt++;
	w->user->memory_bytes += bytes;
	if_maker_submit(s->maker, w);
	return CTL_REFUSAL_NONE;
}

/* The interface may have changed while it was made. */
static void catch_up(struct interfaces *s, const struct iface *i, const struct if_work *w)
{
	if (w->rec.mtu != i->mtu || memcmp(w->mac, i->mac, sizeof(w->mac)) != 0)
		chan_follow(s, i, w->chan);
}

/* What the maker has made finds its place. Return: the answer, if somebody waits for one */
static enum ctl_refusal work_made(struct interfaces *s, struct if_work *w)
{
	struct iface *i = w->iface;

	if (i == NULL) { /* its maps are gone, too */
		chan_remove(s, w->chan);
		return CTL_REFUSAL_NO_INTERFACE;
	}
	catch_up(s, i, w);
	if (w->app != NULL && w->app->state == APP_WELCOME && !i->leave.on)
		return chan_begin(s, i, w->chan, &w->xsk, w->app, w->seq);
	spare_drop(s, i);
	i->spare = w->chan;
	i->spare_xsk = w->xsk;
	memcpy(i->spare_mac, i->mac, sizeof(i->mac));
	w->xsk = (struct xsk){ -1, -1, false };
	return i->leave.on ? CTL_REFUSAL_NO_INTERFACE : CTL_REFUSAL_NONE;
}

static void work_finish(struct interfaces *s, struct if_work *w)
{
	enum ctl_refusal why = w->result == 0 ? CTL_REFUSAL_NONE : iface_refusal(w->result);
	struct app *app = w->app;

	TAILQ_REMOVE(&s->under_way, w, under_way);
	if (w->user != NULL)
		w->user->memory_bytes -= (uint64_t)w->rec.xsk.frame_bytes * w->rec.xsk.frame_cnt;
	if (w->result == 0)
		why = work_made(s, w);
	else if (w->result != -ENODEV)
		log_error(s->d->cfg.log, "no channel: %s", strerror(-w->result));
	if (app != NULL) {
		app->opening = NULL;
		if (why != CTL_REFUSAL_NONE)
			request_refuse(app, CTL_INTERFACE, w->seq, why);
		s->d->ops->changed(app);
	}
	if (w->user != NULL)
		request_user_job_done(s->d, w->user);
	if (w->iface != NULL && w->result == 0)
		iface_spare(s, w->iface);
	xsk_close(&w->xsk);
	free(w);
}

void works_finish(struct interfaces *s)
{
	struct if_work *w;

	while (s->maker != NULL && (w = if_maker_reap(s->maker)) != NULL)
		work_finish(s, w);
}

void iface_part(struct interfaces *s, struct iface *i)
{
	struct if_work *w;

	if_maker_part(s->maker, i->ifindex);
	TAILQ_FOREACH (w, &s->under_way, under_way)
		if (w->iface == i)
			w->iface = NULL;
	spare_drop(s, i);
}

/* The key is compared in a time that says nothing about it. */
static bool key_is(const struct if_chan *c, const uint8_t key[static 16])
{
	uint8_t differ = 0;

	for (unsigned k = 0; k < 16; k++)
		differ |= c->rec.key[k] ^ key[k];
	return differ == 0;
}

static enum ctl_refusal open_held(struct interfaces *s, struct iface *i, struct app *app, uint32_t seq,
				  const uint8_t key[static 16])
{
	const struct xsk none = { -1, -1, false };
	struct if_chan *c;

	TAILQ_FOREACH (c, &i->chans, entry)
		if (c->app == NULL && c->rec.uid == app->uid && key_is(c, key))
			break;
	if (c == NULL)
		return CTL_REFUSAL_NO_CHANNEL;
	chan_join(s, i, c, app);
	if (hand_out(s, i, c, seq, &none) < 0) {
		chan_end(s, i, c);
		return CTL_REFUSAL_RESOURCES;
	}
	return CTL_REFUSAL_NONE;
}

enum ctl_refusal interfaces_open_channel(struct app *app, uint32_t seq, const struct ctl_interface *req)
{
	static const uint8_t no_key[16];
	struct interfaces *s = app->d->interfaces;
	struct iface *i = s != NULL ? iface_by_index(s, req->ifindex) : NULL;
	struct if_chan *old;

	if (i == NULL || i->leave.on)
		return CTL_REFUSAL_NO_INTERFACE;
	if (app->netns != app->d->cfg.netns)
		return CTL_REFUSAL_NETNS;
	if (!policy_may_interface(policy_of(app->d->policy, app->uid), i->name))
		return CTL_REFUSAL_POLICY;
	old = chan_of(i, app);
	if (old != NULL)
		chan_end(s, i, old);
	if (memcmp(req->key, no_key, sizeof(no_key)) != 0)
		return open_held(s, i, app, seq, req->key);
	return open_new(s, i, app, seq);
}

void interfaces_polling(struct app *app, const struct ctl_interface *req)
{
	struct interfaces *s = app->d->interfaces;
	struct iface *i = s != NULL && s->ready ? iface_by_index(s, req->ifindex) : NULL;
	struct if_chan *c = i != NULL ? chan_of(i, app) : NULL;

	if (c != NULL)
		if_chan_poll(&s->place, c, (req->flags & CTL_INTERFACE_POLLING) != 0);
}

void interfaces_app_gone(struct app *app)
{
	struct interfaces *s = app->d->interfaces;
	struct iface *i;

	if (s == NULL)
		return;
	leave_app_gone(s, app);
	if (app->opening != NULL)
		app->opening->app = NULL;
	app->opening = NULL;
	TAILQ_FOREACH (i, &s->ifaces, entry) {
		struct if_chan *c = chan_of(i, app);

		if (c != NULL)
			chan_end(s, i, c);
	}
	s->reserve_again |= app->ports.cnt[0] + app->ports.cnt[1] > 0;
	resolve_app_gone(s, app);
	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (i->lan != NULL)
			if_ask_app_gone(if_lan_ask(i->lan), app);
	for (uint32_t k = 0; k < s->gateway_cnt; k++)
		if_ask_app_gone(gateway_ask(s->gateways[k]), app);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/channel_maker.h"

#include "base/time.h"
#include "channel/area.h"
#include "channel/area_map.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "daemon/firewall.h"
#include "daemon/interfaces.h"
#include "daemon/lease_holder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HUGE_PAGES_RETRY_NS (10 * NS_PER_SEC)

struct app *channel_peer(const struct channel_end *end)
{
	return end->channel->app[1 - end->nr];
}

void channel_describe(const struct channel *ch, uint8_t end, struct ctl_channel *ret_channel)
{
	const struct app *peer = ch->app[1 - end];

	*ret_channel = (struct ctl_channel){
		.id = ch->id,
		.end = end,
		.proto = ch->proto,
		.port = ch->port,
		.params = ch->params,
		.app_id = ch->app[end]->id,
		.area_bytes = ch->memory_bytes,
	};
	memcpy(ret_channel->key, ch->key, sizeof(ret_channel->key));
	if (peer == NULL) {
		ret_channel->peer_pid = ch->half_pid;
		return;
	}
	ret_channel->peer_app_id = peer->id;
	ret_channel->peer_pid = peer->pid;
	ret_channel->peer_uid = peer->uid;
	memcpy(ret_channel->peer_mac, peer->mac, sizeof(ret_channel->peer_mac));
	memcpy(ret_channel->peer_name, peer->name, sizeof(ret_channel->peer_name));
}

/* ---- book-keeping */

uint32_t channel_next_id(struct vjd *d)
{
	if (++d->last_channel_id == 0)
		d->last_channel_id = 1;
	return d->last_channel_id;
}

/* End 0 pays for the memory. */
static void charge(struct app *app, uint8_t end, const struct channel *ch, bool back)
{
	uint64_t bytes = end == 0 ? ch->memory_bytes : 0;

	app->memory_bytes = back ? app->memory_bytes - bytes : app->memory_bytes + bytes;
	app->user->memory_bytes = back ? app->user->memory_bytes - bytes : app->user->memory_bytes + bytes;
}

void channel_join(struct channel *ch, uint8_t end, struct app *app)
{
	ch->app[end] = app;
	ch->end[end] = (struct channel_end){ .channel = ch, .nr = end };
	TAILQ_INSERT_TAIL(&app->channels, &ch->end[end], of_app);
	app->channel_cnt++;
	charge(app, end, ch, false);
	app->d->channel_cnt += ch->app[1 - end] != NULL;
}

void channel_free(struct channel *ch)
{
	for (uint8_t e = 0; e < 2; e++) {
		struct app *app = ch->app[e];

		if (app == NULL) {
			half_remove(&ch->app[1 - e]->d->halves, ch);
			continue;
		}
		if (e == 0 && ch->app[1] != NULL)
			app->d->channel_cnt--;
		TAILQ_REMOVE(&app->channels, &ch->end[e], of_app);
		app->channel_cnt--;
		charge(app, e, ch, true);
	}
	free(ch);
}

void channel_tell_gone(struct app *app, uint32_t channel_id, uint32_t reason)
{
	struct ctl_msg msg = { .type = CTL_PEER_GONE };

	msg.close.channel_id = channel_id;
	msg.close.reason = reason;
	app_post(app, &msg);
}

void channel_drop_all(struct app *app)
{
	struct channel_end *end;

	while ((end = TAILQ_FIRST(&app->channels)) != NULL) {
		struct app *peer = channel_peer(end);
		uint32_t id = end->channel->id;

		channel_free(end->channel);
		if (peer != app && peer != NULL)
			channel_tell_gone(peer, id, VJ_CHANNEL_ERR_PEER_GONE);
	}
}

void channel_end_all(struct app *app)
{
	struct channel_end *end;

	while ((end = TAILQ_FIRST(&app->channels)) != NULL) {
		const struct ctl_close req = { .channel_id = end->channel->id, .reason = VJ_CHANNEL_ERR_CLOSED };
		struct app *peer = channel_peer(end);

		channel_close(app, &req);
		if (peer != app)
			channel_tell_gone(app, req.channel_id, req.reason);
	}
}

void channel_close(struct app *app, const struct ctl_close *req)
{
	uint32_t reason = req->reason != VJ_CHANNEL_ERR_NONE ? req->reason : VJ_CHANNEL_ERR_CLOSED;
	struct channel_end *end;
	struct app *peer;

	TAILQ_FOREACH (end, &app->channels, of_app)
		if (end->channel->id == req->channel_id)
			break;
	if (end == NULL)
		return;
	peer = channel_peer(end);
	channel_free(end->channel);
	/* also to itself: the other end is another part of the same program */
	if (peer != NULL)
		channel_tell_gone(peer, req->channel_id, reason);
}

/* ---- CONNECT */

/* Of two, one with fewer channels is searched. */
static struct channel_end *find_shared(struct app *app, const struct app *peer)
{
	struct channel_end *end;

	TAILQ_FOREACH (end, &app->channels, of_app)
		if (end->channel->proto != CTL_PROTO_RAW && channel_peer(end) == peer)
			return end;
	return NULL;
}

/* Linux's connect() takes the wildcard for the loopback address. */
static struct endpoint destination(const struct ctl_endpoint *remote)
{
	struct endpoint dest = ctl_endpoint_get(remote);

	if (ip_addr_is_any(&dest.addr)) {
		if (ip_addr_is_v4(&dest.addr))
			dest.addr.bytes[12] = 127;
		dest.addr.bytes[15] = 1;
	}
	return dest;
}

/*
 * Is @dest this host, for who asks? In another network namespace than vjd's only what was bound
 * there is known to be: but a bind to a foreign address is possible too (IP_FREEBIND), so there it
 * must be loopback.
 */
static bool is_here(const struct app *app, const struct endpoint *dest)
{
	if (ip_addr_is_loopback(&dest->addr))
		return true;
	return app->netns == app->d->cfg.netns && app->d->ops->addr_is_local(&dest->addr);
}

/* An endpoint's owners, as CONNECTED tells of them */
struct owners {
	uint32_t cnt;
	bool copied; /* the one that was chosen has its listening socket in common with others ... */
	bool instead; /* ... and is another than the one asked for, which is stopped */
};

/* Of so many it is looked whether they are stopped, for one CONNECT. */
enum { COPIES_LOOKED_AT = 16 };

/* So long one that ran is taken to run on: many come at once. A call to one that doesn't is withdrawn later (lib/stopped.h). */
#define RUNS_ON_NS (20 * NS_PER_MS)

static bool is_stopped(struct app *app)
{
	const struct vjd *d = app->d;

	if (app->ran_ns != 0 && d->now_ns - app->ran_ns < RUNS_ON_NS)
		return false;
	if (d->ops->process_stopped(app->pid))
		return true;
	app->ran_ns = d->now_ns;
	return false;
}

/*
 * On the kernel whoever runs would take the connections of a copy that is stopped, too. Return: @lease, or that of a copy of its socket whose process
 * isn't stopped, if its own is
 */
static struct lease *not_stopped(const struct app *app, struct lease *lease, struct owners *owners)
{
	const struct vjd *d = app->d;
	struct lease *other = lease->key.proto == CTL_PROTO_TCP ? lease_next_copy(&d->leases, lease, NULL) : NULL;

	owners->copied = other != NULL;
	if (other == NULL || !is_stopped(lease->app))
		return lease;
	for (unsigned i = 0; other != NULL && i < COPIES_LOOKED_AT; i++) {
		owners->instead = !is_stopped(other->app);
		if (owners->instead)
			return other;
		other = lease_next_copy(&d->leases, lease, other);
	}
	return lease;
}

static enum ctl_refusal find_owner(struct app *app, const struct ctl_connect *req,
				   struct app **ret_owner, struct owners *ret_owners)
{
	const struct ctl_endpoint *remote = &req->remote;
	struct endpoint dest = destination(remote);
	struct owners owners = { 0 };
	struct lease *lease;

	if (remote->proto != CTL_PROTO_RAW && ip_addr_is_multicast(&dest.addr))
		return CTL_REFUSAL_NO_OWNER;
	lease = lease_find(&app->d->leases, app->netns, remote->proto, &dest, app->uid,
			   req->flow, &owners.cnt);
	if (lease == NULL)
		return CTL_REFUSAL_NO_OWNER;
	/* the dearer question second: it makes system calls */
	if (remote->proto != CTL_PROTO_RAW && !is_here(app, &dest))
		return CTL_REFUSAL_NO_OWNER;
	if (lease->key.uid != app->uid)
		return CTL_REFUSAL_OTHER_USER;
	lease = not_stopped(app, lease, &owners);
	if (!firewall_allows_at(app->d, lease, &dest))
		return CTL_REFUSAL_FIREWALL;
	if (app->netns == app->d->cfg.netns)
		firewall_spoken(app->d, app->user, remote->proto, &dest);
	*ret_owner = lease->app;
	*ret_owners = owners;
	return CTL_REFUSAL_NONE;
}

/*
 * A channel is charged for all that it may take. Who has half of his memory in use has the next ones without the frames that only
 * much data needs: many channels fit, and those that were there first carry more.
 */
static struct vj_area_params params_for(const struct app *app)
{
	struct vj_area_params p = app->d->cfg.area;

	if (app->user->memory_bytes + vj_area_bytes(&p) > vjd_memory_max(app->d, app->uid) / 2)
		p.frame_cnt = p.ring_cnt = area_start_frames(&p);
	return p;
}

static enum ctl_refusal check_quotas(const struct app *app, const struct app *peer, uint64_t bytes)
{
	const struct vjd_limits *limits = &app->d->cfg.limits;
	uint32_t ends = app == peer ? 2 : 1;

	if (app->channel_cnt + ends > limits->channels_max ||
	    peer->channel_cnt + ends > limits->channels_max)
		return CTL_REFUSAL_QUOTA_CHANNELS;
	if (app->user->memory_bytes + bytes > vjd_memory_max(app->d, app->uid))
		return CTL_REFUSAL_QUOTA_MEMORY;
	return CTL_REFUSAL_NONE;
}

/* Who is to have a channel, and how CONNECTED tells of it */
struct request {
	struct app *app;
	uint32_t seq;
	const struct ctl_endpoint *remote;
	uint16_t ports; /* to be leased with it */
	struct owners owners;
};

static struct ctl_msg connected(const struct request *r, const struct channel *ch, uint8_t end)
{
	const struct ctl_ports ports = { .proto = r->remote->proto, .cnt = r->ports };
	struct ctl_msg msg = { .type = CTL_CONNECTED, .seq = r->seq };
	uint16_t first = 0, cnt = ports.cnt != 0 ? interfaces_take_ports(r->app, &ports, &first) : 0;

	channel_describe(ch, end, &msg.channel);
	msg.channel.owners = r->owners.cnt;
	msg.channel.copied = r->owners.copied;
	msg.channel.instead = r->owners.instead;
	msg.channel.ports_first = cnt != 0 ? first : 0;
	msg.channel.ports_cnt = cnt;
	return msg;
}

/* What a channel is made of. */
struct parts {
	int area_fd;
	int bell_fd[2]; /* [e] wakes end e */
};

static void parts_close(const struct parts *p)
{
	if (p->area_fd >= 0)
		sys_close(p->area_fd);
	for (unsigned e = 0; e < 2; e++)
		if (p->bell_fd[e] >= 0)
			sys_close(p->bell_fd[e]);
}

/* A host without a reserve of huge pages isn't asked for some each time. */
static int make_area(struct vjd *d, const struct vj_area_params *params, int *ret_fd, uint64_t *ret_bytes)
{
	bool huge = d->now_ns >= d->huge_pages_ns;
	struct stat st;
	int r = area_create("vj-channel", params, huge ? AREA_PAGES_HUGETLB : AREA_PAGES_TRANSPARENT,
			    ret_fd, NULL);

	if (r < 0)
		return r;
	r = sys_fstat(*ret_fd, &st);
	if (r < 0)
		return r;
	*ret_bytes = (uint64_t)st.st_size;
	if (huge && *ret_bytes == vj_area_bytes(params))
		d->huge_pages_ns = time_add_sat(d->now_ns, HUGE_PAGES_RETRY_NS);
	return 0;
}

static int parts_make(struct vjd *d, const struct vj_area_params *params, struct parts *ret_parts, uint64_t *ret_bytes)
{
	struct parts p = { -1, { -1, -1 } };
	int r = make_area(d, params, &p.area_fd, ret_bytes);

	for (unsigned e = 0; e < 2 && r >= 0; e++)
		r = p.bell_fd[e] = bell_new();
	if (r < 0) {
		parts_close(&p);
		return r;
	}
	*ret_parts = p;
	return 0;
}

static int send_end(const struct channel *ch, uint8_t end, const struct parts *parts, const struct ctl_msg *msg)
{
	int fds[CTL_CHANNEL_FDS] = {
		[CTL_FD_AREA] = parts->area_fd,
		[CTL_FD_WAKE_PEER] = parts->bell_fd[1 - end],
		[CTL_FD_WAKE_ME] = parts->bell_fd[end],
	};

	return app_send(ch->app[end], msg, fds, CTL_CHANNEL_FDS);
}

/* Both hear of it, or none: an owner told in vain is told of the end as well. */
static enum ctl_refusal hand_out(struct channel *ch, const struct parts *parts, const struct request *req)
{
	struct ctl_msg msg = { .type = CTL_CHANNEL };
	int r;

	channel_describe(ch, 1, &msg.channel);
	r = send_end(ch, 1, parts, &msg);
	if (r == -EPIPE || r == -ECONNRESET) /* its end is yet to be seen */
		app_leave(ch->app[1]);
	if (r < 0)
		return r == -EAGAIN ? CTL_REFUSAL_PEER_BUSY : CTL_REFUSAL_RESOURCES;
	msg = connected(req, ch, 0);
	r = send_end(ch, 0, parts, &msg);
	if (r < 0) {
		channel_tell_gone(ch->app[1], ch->id, VJ_CHANNEL_ERR_PEER_GONE);
		return CTL_REFUSAL_RESOURCES;
	}
	return CTL_REFUSAL_NONE;
}

static enum ctl_refusal make(const struct request *req, struct app *owner, const struct vj_area_params *params)
{
	struct vjd *d = owner->d;
	struct channel *ch = calloc(1, sizeof(*ch));
	enum ctl_refusal why = CTL_REFUSAL_RESOURCES;
	struct parts parts;

	if (ch == NULL)
		return CTL_REFUSAL_RESOURCES;
	if (parts_make(d, params, &parts, &ch->memory_bytes) < 0)
		goto out_free;
	ch->id = channel_next_id(d);
	ch->params = *params;
	d->ops->random(ch->key, sizeof(ch->key));
	ch->proto = req->remote->proto;
	ch->port = ch->proto == CTL_PROTO_RAW ? req->remote->port : 0;
	ch->app[0] = req->app;
	ch->app[1] = owner;
	why = hand_out(ch, &parts, req);
	parts_close(&parts);
	if (why != CTL_REFUSAL_NONE)
		goto out_free;
	ch->app[1] = NULL;
	channel_join(ch, 0, req->app);
	channel_join(ch, 1, owner);
	log_debug(d->cfg.log, "channel %u: app %u to app %u", ch->id, req->app->id, owner->id);
	return CTL_REFUSAL_NONE;

out_free:
	free(ch);
	return why;
}

/* The one that the two share, or a new one. */
static enum ctl_refusal connect_to(const struct request *req, struct app *owner)
{
	const struct channel_end *shared = req->remote->proto != CTL_PROTO_RAW ? find_shared(req->app, owner) : NULL;
	struct vj_area_params params;
	enum ctl_refusal why;

	if (shared != NULL) {
		const struct ctl_msg reply = connected(req, shared->channel, shared->nr);

		app_post(req->app, &reply);
		return CTL_REFUSAL_NONE;
	}
	params = params_for(req->app);
	why = check_quotas(req->app, owner, vj_area_bytes(&params));
	return why != CTL_REFUSAL_NONE ? why : make(req, owner, &params);
}

enum ctl_refusal channel_connect(struct app *app, uint32_t seq, const struct ctl_connect *req)
{
	struct request request = { .app = app, .seq = seq, .remote = &req->remote, .ports = req->ports };
	struct app *owner = NULL;
	enum ctl_refusal why;

	for (;;) {
		why = find_owner(app, req, &owner, &request.owners);
		if (why != CTL_REFUSAL_NONE)
			return why;
		why = connect_to(&request, owner);
		if (why == CTL_REFUSAL_NONE || owner->state != APP_LEAVING)
			return why;
		lease_drop_all(owner); /* it has just ended: there may be others */
	}
}

enum ctl_refusal channel_join_app(struct app *app, uint32_t seq, const struct ctl_join *req)
{
	const struct ctl_endpoint stream = { .proto = CTL_PROTO_TCP };
	const struct request request = { .app = app, .seq = seq, .remote = &stream };
	struct app *other = app_find(app, req);
	enum ctl_refusal why = other == NULL ? CTL_REFUSAL_NO_APP : connect_to(&request, other);

	return why != CTL_REFUSAL_NONE && other != NULL && other->state == APP_LEAVING ? CTL_REFUSAL_NO_APP : why;
}

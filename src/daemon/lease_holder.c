/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/lease_holder.h"

#include "daemon/board.h"
#include "daemon/channel_maker.h"
#include "daemon/interfaces.h"

#include <stdlib.h>

void lease_describe(const struct lease *lease, struct ctl_lease *ret_lease)
{
	*ret_lease = (struct ctl_lease){
		.local = ctl_endpoint_make(&lease->key.local, (enum ctl_proto)lease->key.proto),
		.id = lease->id,
		.flags = lease->flags,
		.app_id = lease->app->id,
	};
}

static uint32_t owner_of(const struct lease_table *t, const struct lease_key *key)
{
	const struct lease *l = lease_next_at(t, key->proto, key->local.port, NULL);
	uint32_t owner = l != NULL ? board_owner(l->key.uid) : BOARD_OWNER_NONE;

	for (; l != NULL; l = lease_next_at(t, key->proto, key->local.port, l))
		if (board_owner(l->key.uid) != owner)
			return BOARD_OWNER_SEVERAL;
	return owner;
}

/* Raw channels are asked for by programs that know of vjd. */
static void post_on_board(struct vjd *d, const struct lease_key *key)
{
	if (key->proto != CTL_PROTO_RAW)
		notice_board_port(d->board, key->proto == CTL_PROTO_UDP, key->local.port, owner_of(&d->leases, key));
}

static void unlink_and_free(struct lease *lease)
{
	struct app *app = lease->app;

	lease_remove(&app->d->leases, lease);
	TAILQ_REMOVE(&app->leases, lease, of_app);
	app->lease_cnt--;
	post_on_board(app->d, &lease->key);
	interfaces_lease_changed(app->d, &lease->key);
	free(lease);
}

static void tell_peers(struct app *owner, const struct ctl_msg *msg)
{
	struct channel_end *end;

	app_mark_begin(owner->d);
	app_mark(owner);
	TAILQ_FOREACH (end, &owner->channels, of_app) {
		struct app *peer = channel_peer(end);

		if (peer != NULL && app_mark(peer))
			app_post(peer, msg);
	}
}

static void tell_gone(const struct lease *lease)
{
	struct ctl_msg msg = { .type = CTL_LEASE_GONE };

	lease_describe(lease, &msg.lease);
	tell_peers(lease->app, &msg);
}

static void revoke(struct lease *lease)
{
	struct ctl_msg msg = { .type = CTL_LEASE_GONE };

	log_info(lease->app->d->cfg.log, "app %u: lease %u revoked, its socket is gone",
		 lease->app->id, lease->id);
	lease_describe(lease, &msg.lease);
	tell_peers(lease->app, &msg);
	app_post(lease->app, &msg);
	unlink_and_free(lease);
}

enum ctl_refusal lease_may(const struct app *app)
{
	return app->lease_cnt < app->d->cfg.limits.leases_max ? CTL_REFUSAL_NONE
							      : CTL_REFUSAL_QUOTA_LEASES;
}

static void fill(struct lease *lease, struct app *app, const struct ctl_lease *req,
		 const struct lease_proof *proof)
{
	*lease = (struct lease){
		.app = app,
		.flags = req->flags,
		.key = {
			.local = ctl_endpoint_get(&req->local),
			.proto = req->local.proto,
			.v6only = (req->flags & CTL_LEASE_V6ONLY) != 0,
			.uid = app->uid,
			.netns = app->netns,
		},
		.proof = *proof,
	};
	if (lease->key.proto == CTL_PROTO_RAW)
		lease->key.local.addr = ip_addr_any_v6();
}

/* Make room for @fresh: revoke what it proves to be gone. */
static enum ctl_refusal settle(struct vjd *d, const struct lease *fresh)
{
	struct lease *old;
	uint32_t cnt;

	while ((old = lease_conflict(&d->leases, fresh, &cnt)) != NULL) {
		if (lease_contest(old, fresh) == LEASE_TAKEN)
			return CTL_REFUSAL_PORT_TAKEN;
		revoke(old);
	}
	return cnt < LEASE_GROUP_MAX ? CTL_REFUSAL_NONE : CTL_REFUSAL_QUOTA_LEASES;
}

/* Who found an owner of this endpoint is to ask again: there is one more. */
static void tell_of_sharing(const struct lease *fresh)
{
	struct ctl_msg msg = { .type = CTL_LEASE_GONE };
	struct lease *old = NULL;

	lease_describe(fresh, &msg.lease);
	while ((old = lease_next_sharing(&fresh->app->d->leases, fresh, old)) != NULL)
		tell_peers(old->app, &msg);
}

/* The same of @app's, that was not to be at interfaces so far; NULL: there is none */
static struct lease *to_be_widened(const struct app *app, const struct lease *fresh)
{
	struct lease *l;

	TAILQ_FOREACH (l, &app->leases, of_app)
		if (l->flags == (fresh->flags | CTL_LEASE_LOCAL) && l->flags != fresh->flags && l->key.proto == fresh->key.proto &&
		    endpoint_eq(&l->key.local, &fresh->key.local) && l->proof.cookie == fresh->proof.cookie)
			return l;
	return NULL;
}

enum ctl_refusal lease_grant(struct app *app, const struct ctl_lease *req,
			     const struct lease_proof *proof, struct ctl_lease *ret_lease)
{
	struct vjd *d = app->d;
	enum ctl_refusal why = lease_may(app);
	struct lease *lease, *old;

	if (why != CTL_REFUSAL_NONE)
		return why;
	lease = malloc(sizeof(*lease));
	if (lease == NULL)
		return CTL_REFUSAL_RESOURCES;
	fill(lease, app, req, proof);
	old = to_be_widened(app, lease);
	if (old != NULL) {
		free(lease);
		old->flags = req->flags;
		interfaces_lease_changed(d, &old->key);
		lease_describe(old, ret_lease);
		return CTL_REFUSAL_NONE;
	}
	why = settle(d, lease);
	if (why != CTL_REFUSAL_NONE) {
		free(lease);
		return why;
	}
	if (++d->last_lease_id == 0)
		d->last_lease_id = 1;
	lease->id = d->last_lease_id;
	tell_of_sharing(lease);
	lease_insert(&d->leases, lease);
	TAILQ_INSERT_TAIL(&app->leases, lease, of_app);
	app->lease_cnt++;
	post_on_board(d, &lease->key);
	interfaces_lease_changed(d, &lease->key);
	lease_describe(lease, ret_lease);
	return CTL_REFUSAL_NONE;
}

enum ctl_refusal lease_release(struct app *app, uint32_t id, struct ctl_lease *ret_lease)
{
	struct lease *lease;

	TAILQ_FOREACH (lease, &app->leases, of_app)
		if (lease->id == id)
			break;
	if (lease == NULL)
		return CTL_REFUSAL_NO_LEASE;
	lease_describe(lease, ret_lease);
	tell_gone(lease);
	unlink_and_free(lease);
	return CTL_REFUSAL_NONE;
}

struct app *lease_other_owner(struct app *app, const struct ctl_connect *req)
{
	struct endpoint dest = ctl_endpoint_get(&req->remote);
	uint32_t cnt = 1;

	for (uint32_t i = 0; i < cnt && i < LEASE_GROUP_MAX; i++) {
		const struct lease *lease = lease_find(&app->d->leases, app->netns, req->remote.proto, &dest, app->uid,
						       req->flow + i, &cnt);

		if (lease == NULL || lease->key.uid != app->uid)
			return NULL;
		if (lease->app != app)
			return lease->app;
	}
	return NULL;
}

void lease_drop_all(struct app *app)
{
	struct lease *lease;

	while ((lease = TAILQ_FIRST(&app->leases)) != NULL)
		unlink_and_free(lease);
}

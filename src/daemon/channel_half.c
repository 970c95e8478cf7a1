/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/channel_half.h"

#include "base/bits.h"
#include "base/time.h"
#include "channel/area.h"
#include "daemon/app.h"
#include "daemon/channel_maker.h"

#include <stdlib.h>
#include <string.h>

enum { PROCESSES_PER_LOOK = 64 };

void half_table_init(struct half_table *t, uint64_t secret)
{
	for (unsigned i = 0; i < HALF_BUCKET_CNT; i++)
		LIST_INIT(&t->buckets[i]);
	TAILQ_INIT(&t->all);
	t->secret = secret;
	t->look_ns = 0;
}

static unsigned bucket_of(const struct half_table *t, const uint8_t key[static 16])
{
	uint64_t word[2], hash;

	memcpy(word, key, sizeof(word));
	hash = (word[0] ^ t->secret) * UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ hash >> 32 ^ word[1]) * (t->secret | 1);
	return (unsigned)(hash >> 54) % HALF_BUCKET_CNT;
}

static void half_insert(struct half_table *t, struct channel *ch)
{
	LIST_INSERT_HEAD(&t->buckets[bucket_of(t, ch->key)], ch, half_bucket);
	TAILQ_INSERT_TAIL(&t->all, ch, half_all);
}

void half_remove(struct half_table *t, struct channel *ch)
{
	LIST_REMOVE(ch, half_bucket);
	TAILQ_REMOVE(&t->all, ch, half_all);
}

static struct channel *half_find(const struct half_table *t, const uint8_t key[static 16])
{
	struct channel *ch;

	LIST_FOREACH (ch, &t->buckets[bucket_of(t, key)], half_bucket)
		if (memcmp(ch->key, key, sizeof(ch->key)) == 0)
			return ch;
	return NULL;
}

/* Memory of such a size is what vjd makes of such parameters. */
static bool is_sound(const struct ctl_channel *req)
{
	uint64_t bytes;

	if (vj_area_params_check(&req->params) != 0)
		return false;
	bytes = vj_area_bytes(&req->params);
	return req->area_bytes == bytes ||
	       req->area_bytes == bits_align_up(bytes, AREA_HUGE_PAGE_BYTES);
}

/* Do both ends say the same, and is it the other one? */
static bool fits(const struct channel *half, const struct app *app, const struct ctl_channel *req)
{
	return half->app[req->end] == NULL && half->app[1 - req->end]->uid == app->uid &&
	       half->proto == req->proto && half->port == req->port &&
	       half->memory_bytes == req->area_bytes &&
	       memcmp(&half->params, &req->params, sizeof(req->params)) == 0;
}

static enum ctl_refusal check_quotas(const struct app *app, const struct ctl_channel *req)
{
	const struct vjd_limits *limits = &app->d->cfg.limits;

	if (app->channel_cnt >= limits->channels_max)
		return CTL_REFUSAL_QUOTA_CHANNELS;
	if (req->end == 0 && app->user->memory_bytes + req->area_bytes > vjd_memory_max(app->d, app->uid))
		return CTL_REFUSAL_QUOTA_MEMORY;
	return CTL_REFUSAL_NONE;
}

static struct channel *half_new(struct vjd *d, const struct ctl_channel *req)
{
	struct channel *ch = calloc(1, sizeof(*ch));

	if (ch == NULL)
		return NULL;
	ch->id = channel_next_id(d);
	ch->proto = req->proto;
	ch->port = req->port;
	ch->params = req->params;
	ch->memory_bytes = req->area_bytes;
	ch->half_pid = req->peer_pid;
	memcpy(ch->key, req->key, sizeof(ch->key));
	if (TAILQ_EMPTY(&d->halves.all))
		d->halves.look_ns = d->now_ns + NS_PER_SEC;
	half_insert(&d->halves, ch);
	return ch;
}

enum ctl_refusal half_hold(struct app *app, const struct ctl_channel *req,
			   struct ctl_channel *ret_channel)
{
	struct vjd *d = app->d;
	struct channel *ch = half_find(&d->halves, req->key);
	enum ctl_refusal why = check_quotas(app, req);

	if (!is_sound(req) || (ch != NULL && !fits(ch, app, req)))
		return CTL_REFUSAL_NO_CHANNEL;
	if (ch == NULL && d->ops->process_ended(req->peer_pid))
		return CTL_REFUSAL_NO_CHANNEL;
	if (why != CTL_REFUSAL_NONE)
		return why;
	if (ch != NULL)
		half_remove(&d->halves, ch);
	else
		ch = half_new(d, req);
	if (ch == NULL)
		return CTL_REFUSAL_RESOURCES;
	channel_join(ch, req->end, app);
	channel_describe(ch, req->end, ret_channel);
	log_debug(d->cfg.log, "channel %u: app %u has end %u of an earlier vjd's", ch->id, app->id,
		  req->end);
	return CTL_REFUSAL_NONE;
}

uint64_t half_deadline_ns(const struct vjd *d)
{
	return TAILQ_EMPTY(&d->halves.all) ? TIME_NEVER : d->halves.look_ns;
}

void half_look(struct vjd *d)
{
	struct half_table *t = &d->halves;

	if (d->now_ns < half_deadline_ns(d))
		return;
	t->look_ns = d->now_ns + NS_PER_SEC;
	for (unsigned i = 0; i < PROCESSES_PER_LOOK && !TAILQ_EMPTY(&t->all); i++) {
		struct channel *ch = TAILQ_FIRST(&t->all);
		struct app *app = ch->app[0] != NULL ? ch->app[0] : ch->app[1];
		uint32_t id = ch->id;

		TAILQ_REMOVE(&t->all, ch, half_all);
		TAILQ_INSERT_TAIL(&t->all, ch, half_all);
		if (!d->ops->process_ended(ch->half_pid))
			continue;
		channel_free(ch);
		channel_tell_gone(app, id, VJ_CHANNEL_ERR_PEER_GONE);
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/lease.h"

#include <errno.h>
#include <stdlib.h>

enum lease_fit lease_fit(const struct lease_key *key, uint64_t netns, uint8_t proto,
			 const struct endpoint *dest)
{
	if (key->proto != proto || key->local.port != dest->port)
		return LEASE_FIT_NONE;
	if (proto == CTL_PROTO_RAW)
		return LEASE_FIT_EXACT;
	if (key->netns != netns)
		return LEASE_FIT_NONE;
	if (!ip_addr_is_any(&key->local.addr))
		return ip_addr_eq(&key->local.addr, &dest->addr) ? LEASE_FIT_EXACT : LEASE_FIT_NONE;
	if (ip_addr_is_v4(&key->local.addr) == ip_addr_is_v4(&dest->addr))
		return LEASE_FIT_WILDCARD;
	return ip_addr_is_v4(&dest->addr) && !key->v6only ? LEASE_FIT_DUAL_STACK : LEASE_FIT_NONE;
}

/* Does a wildcard @any get what is sent to the address of @other? */
static bool any_covers(const struct lease_key *any, const struct lease_key *other)
{
	bool any_v4 = ip_addr_is_v4(&any->local.addr), other_v4 = ip_addr_is_v4(&other->local.addr);

	return any_v4 == other_v4 || (!any_v4 && !any->v6only);
}

bool lease_overlap(const struct lease_key *a, const struct lease_key *b)
{
	bool a_any, b_any;

	if (a->proto != b->proto || a->local.port != b->local.port)
		return false;
	if (a->proto == CTL_PROTO_RAW)
		return true;
	if (a->netns != b->netns)
		return false;
	a_any = ip_addr_is_any(&a->local.addr);
	b_any = ip_addr_is_any(&b->local.addr);
	if (!a_any && !b_any)
		return ip_addr_eq(&a->local.addr, &b->local.addr);
	return (a_any && any_covers(a, b)) || (b_any && any_covers(b, a));
}

/*
 * The kernel lets two sockets be bound where they overlap if
 *	both have SO_REUSEPORT and are of the same user, or
 *	both have SO_REUSEADDR and, for TCP, none of them listens while the second binds,
 * and lets one of two such TCP sockets listen.
 *
 * The newcomer's options are not believed here: it may have bound beside the older one with an
 * option that it has cleared since. The older one's count as they were when it proved its port. So
 * the older lease is expired if its socket admitted no second one, or if the newcomer listens: two
 * can't, except in a reuse-port group.
 */
enum lease_verdict lease_contest(const struct lease *old, const struct lease *fresh)
{
	bool same_uid = old->key.uid == fresh->key.uid;

	if (old->key.proto == CTL_PROTO_RAW)
		return LEASE_TAKEN;
	/* one socket in several processes, as prefork servers do */
	if (old->proof.cookie == fresh->proof.cookie)
		return LEASE_SHARED;
	if ((old->flags & fresh->flags & CTL_LEASE_REUSEPORT) != 0 && same_uid)
		return LEASE_SHARED;
	if (old->proof.reuseport && same_uid)
		return LEASE_TAKEN;
	if (fresh->proof.listening)
		return LEASE_EXPIRED;
	return old->proof.reuseaddr ? LEASE_TAKEN : LEASE_EXPIRED;
}

int lease_table_init(struct lease_table *t)
{
	t->cnt = 0;
	t->buckets = calloc(LEASE_BUCKET_CNT, sizeof(*t->buckets));
	return t->buckets == NULL ? -ENOMEM : 0;
}

void lease_table_fini(struct lease_table *t)
{
	free(t->buckets);
	t->buckets = NULL;
}

/*
 * Protocols are kept apart by a shift that is no power of two's neighbour; a port has one bucket
 * whatever its address.
 */
static struct lease_bucket *bucket_of(const struct lease_table *t, uint8_t proto, uint16_t port)
{
	return &t->buckets[(port + proto * 521u) % LEASE_BUCKET_CNT];
}

void lease_insert(struct lease_table *t, struct lease *lease)
{
	LIST_INSERT_HEAD(&bucket_of(t, lease->key.proto, lease->key.local.port)->leases, lease,
			 bucket);
	t->cnt++;
}

void lease_remove(struct lease_table *t, struct lease *lease)
{
	LIST_REMOVE(lease, bucket);
	t->cnt--;
}

struct lease *lease_conflict(const struct lease_table *t, const struct lease *fresh,
			     uint32_t *ret_cnt)
{
	struct lease *l, *found = NULL;
	uint32_t cnt = 0;

	LIST_FOREACH (l, &bucket_of(t, fresh->key.proto, fresh->key.local.port)->leases, bucket) {
		cnt += l->key.proto == fresh->key.proto &&
		       l->key.local.port == fresh->key.local.port;
		if (found == NULL && l->app != fresh->app && lease_overlap(&l->key, &fresh->key) &&
		    lease_contest(l, fresh) != LEASE_SHARED)
			found = l;
	}
	*ret_cnt = cnt;
	return found;
}

struct lease *lease_next_sharing(const struct lease_table *t, const struct lease *fresh,
				 const struct lease *after)
{
	struct lease *l = after != NULL ? LIST_NEXT(after, bucket) :
					  LIST_FIRST(&bucket_of(t, fresh->key.proto, fresh->key.local.port)->leases);

	while (l != NULL && (l->app == fresh->app || !lease_overlap(&l->key, &fresh->key)))
		l = LIST_NEXT(l, bucket);
	return l;
}

struct lease *lease_next_copy(const struct lease_table *t, const struct lease *lease, const struct lease *after)
{
	struct lease *l = LIST_NEXT(after != NULL ? after : lease, bucket);

	for (;; l = LIST_NEXT(l, bucket)) {
		if (l == NULL)
			l = LIST_FIRST(&bucket_of(t, lease->key.proto, lease->key.local.port)->leases);
		if (l == lease)
			return NULL;
		if (l->proof.cookie == lease->proof.cookie && l->app != lease->app && l->key.uid == lease->key.uid && lease_overlap(&l->key, &lease->key))
			return l;
	}
}

struct lease *lease_find(struct lease_table *t, uint64_t netns, uint8_t proto,
			 const struct endpoint *dest, uint32_t uid, uint32_t flow,
			 uint32_t *ret_cnt)
{
	struct lease_bucket *b = bucket_of(t, proto, dest->port);
	enum lease_fit fit, best = LEASE_FIT_NONE;
	struct lease *l, *any = NULL;
	uint32_t cnt = 0, pick;

	LIST_FOREACH (l, &b->leases, bucket) {
		fit = lease_fit(&l->key, netns, proto, dest);
		if (fit == LEASE_FIT_NONE || fit < best)
			continue;
		if (fit > best)
			cnt = 0;
		best = fit;
		any = l;
		cnt += l->key.uid == uid;
	}
	*ret_cnt = cnt;
	if (cnt == 0)
		return any;
	pick = flow % cnt;
	LIST_FOREACH (l, &b->leases, bucket)
		if (l->key.uid == uid && lease_fit(&l->key, netns, proto, dest) == best &&
		    pick-- == 0)
			return l;
	return NULL;
}

const struct lease *lease_next_at(const struct lease_table *t, uint8_t proto, uint16_t port, const struct lease *after)
{
	const struct lease *l = after != NULL ? LIST_NEXT(after, bucket) : LIST_FIRST(&bucket_of(t, proto, port)->leases);

	while (l != NULL && (l->key.proto != proto || l->key.local.port != port))
		l = LIST_NEXT(l, bucket);
	return l;
}

bool lease_port_in_use(const struct lease_table *t, uint8_t proto, uint16_t port)
{
	const struct lease *l;

	LIST_FOREACH (l, &bucket_of(t, proto, port)->leases, bucket)
		if (l->key.proto == proto && l->key.local.port == port)
			return true;
	return false;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_own6.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/if_state.h"
#include "daemon/own6_id.h"
#include "daemon/own6_sock.h"
#include "daemon/own6_whole.h"
#include "lan/own6.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOPBACK_IFINDEX = 1, FRAMES_PER_RUN = 64 };

#define LINGER_US (5 * US_PER_SEC) /* as long as peers are asked where they stand, and longer */
#define LOOK_US US_PER_SEC	   /* what the kernel has is asked again */
#define LOOK_PAUSE_US (50 * US_PER_MS) /* at least, whatever applications do with their leases */
#define CALM_US (10 * US_PER_SEC)     /* between two times that one is whole: each may cost a MAC address in quarantine */
#define LEND_US (20 * US_PER_SEC) /* who was told an application's MAC address may remember it: said again, to its claim */

/* Of an address, in the place of its slot. */
struct own6_place {
	int group_fd;	    /* member of its group; -1 */
	uint64_t who;	    /* user and program */
	uint64_t linger_us; /* its application has ended: it goes then; 0: it lives */
	uint64_t calm_us;   /* not whole before */
	bool whole;	    /* in the map */
};

struct if_own6 {
	struct interfaces *s;
	struct iface *i;
	struct own6 core;
	struct own6_sock sock;
	struct own6_place places[OWN6_MAX];
	struct own6_id id;
	uint64_t who; /* for whom one is being taken */
	uint64_t look_us, looked_us;
};

static uint64_t now_us(const struct if_own6 *own6)
{
	return own6->s->d->now_ns / NS_PER_US;
}

static struct own6_place *place_of(struct if_own6 *own6, uint32_t nr)
{
	const struct own6_slot *slot = own6_find(&own6->core, nr);

	return slot != NULL ? &own6->places[slot - own6->core.slots] : NULL;
}

/* NULL: it doesn't live any more. */
static struct if_chan *chan_by_nr(const struct if_own6 *own6, uint32_t nr)
{
	struct if_chan *c;

	TAILQ_FOREACH (c, &own6->i->chans, entry)
		if (c->rec.nr == nr)
			return c;
	return NULL;
}

static void look_at(struct if_own6 *own6, uint64_t us)
{
	own6->look_us = min_u64(own6->look_us, max_u64(us, own6->looked_us + LOOK_PAUSE_US));
}

/* ---- which addresses */

static uint64_t who_is(const struct if_own6 *own6, const struct if_chan *c)
{
	return own6_id_program(&own6->id, c->rec.uid, c->app);
}

static uint64_t on_draw(void *arg, uint32_t nr, uint32_t number)
{
	struct if_own6 *own6 = arg;
	struct own6_place *p = place_of(own6, nr);

	if (number == 0)
		p->who = own6->who;
	return own6_id_draw(&own6->id, &own6->core.prefix.addr, p->who, number);
}

static bool on_is_taken(void *arg, const struct ip_addr *addr)
{
	const struct if_own6 *own6 = arg;

	return host_image_has(host_watch_image(own6->s->host), addr);
}

/* ---- out */

static void on_send(void *arg, const struct nd_msg *msg)
{
	struct if_own6 *own6 = arg;
	uint8_t frame[ND_FRAME_MAX];

	own6_sock_send(&own6->sock, frame, nd_build(frame, msg));
}

static uint64_t on_random(void *arg)
{
	struct if_own6 *own6 = arg;
	uint64_t bits;

	own6->s->d->ops->random(&bits, sizeof(bits));
	return bits;
}

static void log_addr(const struct if_own6 *own6, uint32_t nr, const struct ip_addr *addr, const char *what)
{
	char text[IP_ADDR_TEXT_BYTES];

	log_info(own6->s->d->cfg.log, "%s: channel %u %s %s", own6->i->name, nr, what, ip_addr_format(addr, text));
}

/* ---- the map */

static struct if_ports ports_of(const struct if_own6 *own6)
{
	return iface_ports(own6->s, own6->i);
}

/* Return: it is there, and says so now */
static bool map_set(const struct if_own6 *own6, const struct ip_addr *addr, uint32_t nr)
{
	const struct policy_addr key = { .addr = *addr };

	return bpf_map_update_elem(own6->i->dispatch.map_fds[IF_MAP_ADDRS], &key, &nr, BPF_EXIST) == 0;
}

static bool map_is(const struct if_own6 *own6, const struct ip_addr *addr, uint32_t nr)
{
	const struct policy_addr key = { .addr = *addr };
	uint32_t is;

	return bpf_map_lookup_elem(own6->i->dispatch.map_fds[IF_MAP_ADDRS], &key, &is) == 0 && is == nr;
}

/* Owners of "any" stand under each address that is no application's. */
static void set_whole(const struct if_own6 *own6, struct own6_place *p, uint32_t nr, const struct ip_addr *addr, bool whole)
{
	struct if_ports ports = ports_of(own6);

	if (p->whole == whole || !map_set(own6, addr, whole ? nr : 0))
		return;
	p->whole = whole;
	if (!whole)
		p->calm_us = now_us(own6) + CALM_US;
	if_ports_sync_addrs(&ports);
	log_addr(own6, nr, addr, whole ? "serves all of" : "shares with the kernel");
}

/* ---- what own6 says */

static void on_begun(void *arg, uint32_t nr, const struct ip_addr *addr)
{
	struct if_own6 *own6 = arg;
	struct own6_place *p = place_of(own6, nr);

	p->group_fd = own6_sock_join(own6->i->ifindex, addr);
	p->whole = false;
}

static void on_assigned(void *arg, uint32_t nr, const struct ip_addr *addr)
{
	struct if_own6 *own6 = arg;
	struct if_chan *c = chan_by_nr(own6, nr);
	int r = rtnl_addr(&own6->s->place.here, LOOPBACK_IFINDEX, addr, true);

	if (r < 0) { /* without IPv6 at `lo`, say: nothing is to come to where nobody is */
		log_error(own6->s->d->cfg.log, "%s: channel %u can't have its address: %s", own6->i->name, nr, strerror(-r));
		place_of(own6, nr)->linger_us = now_us(own6);
		return;
	}
	r = c != NULL ? if_chan_own(&own6->s->place, c, addr) : 0;
	if (r < 0)
		log_error(own6->s->d->cfg.log, "%s: channel %u won't keep its address over a restart of vjd: %s", own6->i->name, nr, strerror(-r));
	log_addr(own6, nr, addr, "has");
	look_at(own6, now_us(own6) + LOOK_PAUSE_US); /* the kernel has to tell us that it has it */
}

static void on_ended(void *arg, uint32_t nr, const struct ip_addr *addr)
{
	struct if_own6 *own6 = arg;
	const struct policy_addr key = { .addr = *addr };
	const struct ip_addr none = ip_addr_any_v6();
	struct own6_place *p = place_of(own6, nr);
	struct if_chan *c = chan_by_nr(own6, nr);

	bpf_map_delete_elem(own6->i->dispatch.map_fds[IF_MAP_ADDRS], &key);
	rtnl_addr(&own6->s->place.here, LOOPBACK_IFINDEX, addr, false);
	if (p->group_fd >= 0)
		close(p->group_fd);
	if (p->whole)
		if_lan_take_back(own6->i->lan, nr);
	*p = (struct own6_place){ .group_fd = -1, .who = p->who };
	if (c != NULL)
		if_chan_own(&own6->s->place, c, &none);
	log_addr(own6, nr, addr, "no longer has");
}

static const struct own6_ops own6_ops = { on_send, on_random, on_draw, on_is_taken, on_begun, on_assigned, on_ended };

/* ---- whose it is */

static bool look(struct if_own6 *own6, const struct own6_slot *slot, struct own6_place *p)
{
	const struct if_chan *c = chan_by_nr(own6, slot->owner);
	struct mac_addr mac = own6->core.canonical;
	bool again = false, whole;

	if (slot->state != OWN6_OURS)
		return false;
	whole = c != NULL && p->linger_us == 0 && own6_is_whole(own6->s, own6->i, c, &slot->addr, map_is(own6, &slot->addr, slot->owner), &again);
	if (whole && !p->whole && p->calm_us > now_us(own6)) {
		look_at(own6, p->calm_us);
		whole = false;
	}
	set_whole(own6, p, slot->owner, &slot->addr, whole);
	again |= p->whole != whole; /* the kernel hasn't said yet that it has the address */
	/* if others may not be told of the one that it has, we hear of it when that changes */
	if (p->whole && if_lan_lend(own6->i->lan, slot->owner, &mac))
		look_at(own6, now_us(own6) + LEND_US);
	if (!p->whole && !mac_addr_eq(&slot->mac, &own6->core.canonical))
		if_lan_take_back(own6->i->lan, slot->owner);
	own6_move(&own6->core, slot->owner, &mac, now_us(own6));
	return again;
}

static void look_all(struct if_own6 *own6)
{
	bool again = false;

	own6->look_us = TIME_NEVER;
	own6->looked_us = now_us(own6);
	for (unsigned int k = 0; k < OWN6_MAX; k++)
		again |= look(own6, &own6->core.slots[k], &own6->places[k]);
	if (again)
		look_at(own6, now_us(own6) + LOOK_US);
}

void if_own6_changed(struct if_own6 *own6)
{
	if (own6 == NULL)
		return;
	memcpy(own6->core.canonical.bytes, own6->i->mac, sizeof(own6->core.canonical.bytes));
	look_at(own6, now_us(own6));
}

/* ---- channels */

static bool may_have_one(const struct if_own6 *own6, const struct if_chan *new)
{
	const struct policy_rule *rule = policy_of(own6->s->d->policy, new->rec.uid);
	uint32_t left = rule != NULL ? rule->addresses_max : 0;
	const struct if_chan *c;

	TAILQ_FOREACH (c, &own6->i->chans, entry)
		if (c != new && c->rec.uid == new->rec.uid && left > 0 && own6_find(&own6->core, c->rec.nr) != NULL)
			left--;
	/* the host table has room for the host's own */
	return left > 0 && host_watch_image(own6->s->host)->addr_cnt < HOST_ADDR_MAX - OWN6_MAX / 2;
}

/* Of those of the same program that has ended: the one that was drawn first. 0: none */
static uint32_t lingering(const struct if_own6 *own6, uint64_t who)
{
	const struct own6_slot *first = NULL;

	for (unsigned int k = 0; k < OWN6_MAX; k++) {
		const struct own6_slot *slot = &own6->core.slots[k];

		if (own6->places[k].linger_us != 0 && own6->places[k].who == who && (first == NULL || slot->number < first->number))
			first = slot;
	}
	return first != NULL ? first->owner : 0;
}

/*
 * The same program is there again: it has its address at once, as another would have to be drawn while the kernel still has this one.
 * Return: it does
 */
static bool take_over(struct if_own6 *own6, struct if_chan *c)
{
	uint32_t from = lingering(own6, own6->who);
	struct own6_place *p;

	if (from == 0 || own6_hand(&own6->core, from, c->rec.nr) < 0)
		return false;
	p = place_of(own6, c->rec.nr);
	*p = (struct own6_place){ .group_fd = p->group_fd, .who = p->who };
	on_assigned(own6, c->rec.nr, &own6_find(&own6->core, c->rec.nr)->addr);
	return true;
}

static void adopt(struct if_own6 *own6, const struct if_chan *c)
{
	struct own6_place *p;

	if (!ip_prefix_has(&own6->core.prefix, &c->rec.own) ||
	    own6_adopt(&own6->core, c->rec.nr, &c->rec.own, now_us(own6)) < 0) {
		rtnl_addr(&own6->s->place.here, LOOPBACK_IFINDEX, &c->rec.own, false);
		return;
	}
	p = place_of(own6, c->rec.nr);
	p->who = who_is(own6, c);
	p->whole = map_is(own6, &c->rec.own, c->rec.nr);
	rtnl_addr(&own6->s->place.here, LOOPBACK_IFINDEX, &c->rec.own, true);
}

void if_own6_chan_begin(struct if_own6 *own6, struct if_chan *c)
{
	if (own6 == NULL)
		return;
	look_at(own6, now_us(own6));
	if (own6_find(&own6->core, c->rec.nr) != NULL) {
		place_of(own6, c->rec.nr)->who = who_is(own6, c);
		return;
	}
	if (!ip_addr_is_any(&c->rec.own)) {
		adopt(own6, c);
		return;
	}
	own6->who = who_is(own6, c);
	if (may_have_one(own6, c) && !take_over(own6, c) && own6_take(&own6->core, c->rec.nr, now_us(own6)) == -ENOSPC)
		log_info(own6->s->d->cfg.log, "%s: channel %u gets no address of its own: none is left", own6->i->name, c->rec.nr);
}

void if_own6_chan_end(struct if_own6 *own6, uint32_t nr)
{
	const struct own6_slot *slot = own6 != NULL ? own6_find(&own6->core, nr) : NULL;

	if (slot == NULL)
		return;
	if (slot->state != OWN6_OURS) {
		own6_release(&own6->core, nr, now_us(own6));
		return;
	}
	place_of(own6, nr)->linger_us = now_us(own6) + LINGER_US;
	set_whole(own6, place_of(own6, nr), nr, &slot->addr, false);
	own6_move(&own6->core, nr, &own6->core.canonical, now_us(own6));
	own6_run(&own6->core, now_us(own6)); /* at once: its peers will be asked where they stand, and are to answer there */
}

void if_own6_sweep(struct if_own6 *own6)
{
	const struct host_image *image;

	if (own6 == NULL)
		return;
	image = host_watch_image(own6->s->host);
	for (uint32_t a = 0; a < image->addr_cnt; a++) {
		const struct host_addr *at = &image->addrs[a];
		bool used = false;

		if (at->ifindex != LOOPBACK_IFINDEX || !ip_prefix_has(&own6->core.prefix, &at->addr))
			continue;
		for (unsigned int k = 0; k < OWN6_MAX; k++)
			used |= own6->core.slots[k].owner != 0 && ip_addr_eq(&own6->core.slots[k].addr, &at->addr);
		if (!used)
			rtnl_addr(&own6->s->place.here, LOOPBACK_IFINDEX, &at->addr, false);
	}
}

/* ---- progress */

void if_own6_run(struct if_own6 *own6, uint64_t now_ns)
{
	uint64_t us = now_ns / NS_PER_US;
	uint8_t frame[OWN6_SOCK_FRAME_MAX];
	struct nd_msg msg;
	size_t len;

	for (unsigned int k = 0; k < FRAMES_PER_RUN && (len = own6_sock_read(&own6->sock, frame, us)) > 0; k++)
		if (nd_parse(frame, len, &msg))
			own6_rx(&own6->core, &msg, us);
	for (unsigned int k = 0; k < OWN6_MAX; k++)
		if (own6->places[k].linger_us != 0 && own6->places[k].linger_us <= us)
			own6_release(&own6->core, own6->core.slots[k].owner, us);
	if (own6->look_us <= us)
		look_all(own6);
	own6_run(&own6->core, us);
}

uint64_t if_own6_deadline_ns(const struct if_own6 *own6)
{
	uint64_t us = min_u64(own6_deadline_us(&own6->core), min_u64(own6->look_us, own6_sock_deadline_us(&own6->sock)));

	for (unsigned int k = 0; k < OWN6_MAX; k++)
		if (own6->places[k].linger_us != 0)
			us = min_u64(us, own6->places[k].linger_us);
	return time_mul_sat(us, NS_PER_US);
}

int if_own6_fd(const struct if_own6 *own6)
{
	return own6->sock.epoll_fd;
}

/* ---- shown */

const struct ip_prefix *if_own6_prefix(const struct if_own6 *own6)
{
	return own6 != NULL ? &own6->core.prefix : NULL;
}

bool if_own6_addr(const struct if_own6 *own6, uint32_t nr, struct ip_addr *ret_addr)
{
	const struct own6_slot *slot = own6 != NULL ? own6_find(&own6->core, nr) : NULL;

	if (slot == NULL || slot->state != OWN6_OURS)
		return false;
	*ret_addr = slot->addr;
	return true;
}

_Static_assert((int)IF_OWN6_ENTRIES == (int)OWN6_MAX, "a place for each");

bool if_own6_entry(const struct if_own6 *own6, uint32_t pos, struct ctl_mac *ret)
{
	const struct own6_slot *slot;
	const struct if_chan *c;

	if (own6 == NULL)
		return false;
	slot = &own6->core.slots[pos];
	if (slot->state == OWN6_FREE)
		return false;
	c = chan_by_nr(own6, slot->owner);
	*ret = (struct ctl_mac){
		.ifindex = own6->i->ifindex,
		.app_id = c != NULL && c->app != NULL ? c->app->id : 0,
		.kind = slot->state == OWN6_OURS ? CTL_MAC_ADDRESS : CTL_MAC_ADDRESS_TRIED,
		.age_ms = time_sub_sat(now_us(own6), slot->since_us) / US_PER_MS,
	};
	memcpy(ret->mac, slot->mac.bytes, sizeof(ret->mac));
	memcpy(ret->canonical, own6->core.canonical.bytes, sizeof(ret->canonical));
	memcpy(ret->addr, slot->addr.bytes, sizeof(ret->addr));
	ctl_name_set(ret->name, own6->i->name);
	return true;
}

uint64_t if_own6_counter(const struct if_own6 *own6, uint32_t pos, const char **ret_name)
{
	static const struct {
		const char *name;
		size_t at;
	} counters[IF_OWN6_COUNTERS] = {
#define C(name) { #name, offsetof(struct own6_stats, name) }
		C(assigned), C(conflicts), C(defended), C(answered), C(announced), C(limited),
#undef C
	};
	uint64_t value = 0;

	*ret_name = counters[pos].name;
	if (own6 != NULL)
		memcpy(&value, (const uint8_t *)&own6->core.stats + counters[pos].at, sizeof(value));
	return value;
}

/* ---- birth and death */

_Static_assert((int)CTL_PREFIX_LEN_MIN == (int)OWN6_PREFIX_LEN_MIN && (int)CTL_PREFIX_LEN_MAX == (int)OWN6_PREFIX_LEN_MAX,
	       "what ctl_prefix_fault() lets pass");

int if_own6_new(struct interfaces *s, struct iface *i, const struct ip_prefix *prefix, struct if_own6 **ret_own6)
{
	struct if_own6 *own6;
	int r;

	own6 = calloc(1, sizeof(*own6));
	if (own6 == NULL)
		return -ENOMEM;
	own6->s = s;
	own6->i = i;
	for (unsigned int k = 0; k < OWN6_MAX; k++)
		own6->places[k].group_fd = -1;
	r = own6_sock_open(i->ifindex, prefix, &own6->sock);
	if (r < 0) {
		free(own6);
		return r;
	}
	own6_id_init(&own6->id, s->d->ops->random);
	own6->look_us = TIME_NEVER;
	own6->core = (struct own6){ .ops = &own6_ops, .arg = own6, .prefix = *prefix };
	memcpy(own6->core.canonical.bytes, i->mac, sizeof(own6->core.canonical.bytes));
	own6_init(&own6->core);
	*ret_own6 = own6;
	return 0;
}

void if_own6_free(struct if_own6 *own6, bool serve_on)
{
	if (own6 == NULL)
		return;
	for (unsigned int k = 0; k < OWN6_MAX; k++) {
		if (!serve_on || own6->places[k].linger_us != 0)
			own6_release(&own6->core, own6->core.slots[k].owner, now_us(own6));
		if (own6->places[k].group_fd >= 0)
			close(own6->places[k].group_fd);
	}
	own6_sock_close(&own6->sock);
	free(own6);
}

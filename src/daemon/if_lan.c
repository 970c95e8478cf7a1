// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_lan.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/if_ask.h"
#include "daemon/if_lan_id.h"
#include "daemon/if_ports.h"
#include "daemon/if_state.h"
#include "daemon/kernel_ports.h"
#include "daemon/lan_end.h"
#include "lan/owner.h"
#include "lan/resolver.h"
#include "wire/ip.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = 2048,	   /* addresses claimed or in quarantine at a time */
	CONTESTED_MAX = 256,
	TOLD_ADDRS_MAX = 16, /* of the host, that are named when something is announced or released */
	TEACH_BYTES = 60,
	TEACH_SUBTYPE = 0x4c,
};

#define QUARANTINE_US (OWNER_LIFETIME_MS * US_PER_MS + OWNER_ON_THE_WAY_US)
#define TEACH_US US_PER_SEC
#define TEACH_ROUND_US (150 * US_PER_SEC) /* of all addresses: switches forget after 300 s */

/* A port that a living application has given up: connections it accepted there are still its own. */
struct contested {
	struct policy_port key;
	uint32_t nr; /* 0: free */
	bool all; /* any port: it has given up too many */
};

struct if_lan {
	struct interfaces *s;
	struct iface *i;
	struct lan_end end;
	struct claims claims;
	struct owner owner;
	struct if_ask *ask;
	struct claim_slot slots[SLOTS];
	uint32_t buckets[SLOTS];
	struct contested contested[CONTESTED_MAX];
	bool one_mac; /* the device takes its own address only: the canonical one is answered */
	uint8_t said_reach; /* of owner.reach, in the log */
	bool contested_full; /* one was not written down: nothing is answered for ports until an application with one has gone */
	uint64_t teach_us;
	uint32_t teach_at;
};

static uint64_t now_us(const struct if_lan *lan)
{
	return lan->s->d->now_ns / NS_PER_US;
}

static int map_of(const struct if_lan *lan, enum if_map map)
{
	return lan->i->dispatch.map_fds[map];
}

/* NULL: it doesn't live any more. */
static const struct if_chan *chan_by_nr(const struct if_lan *lan, uint32_t nr)
{
	const struct if_chan *c;

	TAILQ_FOREACH (c, &lan->i->chans, entry)
		if (c->rec.nr == nr)
			return c;
	return NULL;
}

/* ---- out */

/* Switches learn where an address is from what comes from it, and its application sends nothing from there. */
static void teach(struct if_lan *lan, const struct mac_addr *mac)
{
	const struct eth_fields eth = { .dst = lan_broadcast(), .src = *mac, .type = lan->end.codec.e2_type };
	uint8_t frame[TEACH_BYTES] = { 0 };

	frame[eth_build(frame, &eth)] = TEACH_SUBTYPE;
	lan_end_send(&lan->end, frame, sizeof(frame));
}

static bool is_defended(const struct if_lan *lan, const struct claim_slot *slot)
{
	return slot->defended_us != 0 && now_us(lan) < slot->defended_us + CLAIM_DEFEND_US;
}

/*
 * All within TEACH_ROUND_US, not all at once. One that another host had claimed as well each time: until that one has given it up, and what it
 * had under way has come, switches may learn it there again.
 */
static void teach_some(struct if_lan *lan)
{
	uint32_t cnt = SLOTS / (TEACH_ROUND_US / TEACH_US) + 1;

	if (now_us(lan) < lan->teach_us)
		return;
	lan->teach_us = now_us(lan) + TEACH_US;
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct claim_slot *slot = &lan->slots[(lan->teach_at + i) % SLOTS];

		if (slot->state == CLAIM_CLAIMED && slot->owner != 0 && (i < cnt || is_defended(lan, slot)))
			teach(lan, &slot->mac);
	}
	lan->teach_at = (lan->teach_at + cnt) % SLOTS;
}

/* ---- addresses */

enum { MACS_QUARANTINE = 0 };

static void macs_set(const struct if_lan *lan, const struct mac_addr *mac, uint32_t nr)
{
	const struct policy_mac key = { .mac = *mac };

	bpf_map_update_elem(map_of(lan, IF_MAP_MACS), &key, &nr, BPF_ANY);
}

static void macs_forget(const struct if_lan *lan, const struct mac_addr *mac)
{
	const struct policy_mac key = { .mac = *mac };

	bpf_map_delete_elem(map_of(lan, IF_MAP_MACS), &key);
	rtnl_filter(&lan->s->place.here, lan->i->ifindex, mac, false);
}

/* Nobody sends to @mac any more, if he hears it. */
static void tell_released(struct if_lan *lan, const struct mac_addr *mac)
{
	const struct host_image *image = host_watch_image(lan->s->host);
	unsigned int told = 0;

	for (uint32_t a = 0; a < image->addr_cnt && told < TOLD_ADDRS_MAX; a++) {
		struct parp_endpoint all = owner_everything(&image->addrs[a].addr);

		if (image->addrs[a].ifindex != lan->i->ifindex || ip_addr_is_link_local(&all.addr))
			continue;
		owner_tell(&lan->owner, PARP_RELEASE, mac, &all);
		told++;
	}
}

static bool same_family(const struct ip_addr *a, const struct ip_addr *b)
{
	return ip_addr_is_v4(a) == ip_addr_is_v4(b);
}

/* At each address that the port is bound to. */
static void tell_port(struct if_lan *lan, uint8_t type, const struct mac_addr *mac, const struct policy_port *key)
{
	const struct host_image *image = host_watch_image(lan->s->host);
	uint16_t port = be16_get(key->port);
	unsigned int told = 0;

	for (uint32_t a = 0; a < image->addr_cnt && told < TOLD_ADDRS_MAX; a++) {
		struct parp_endpoint ep = { image->addrs[a].addr, port, port, key->proto, 0 };
		bool bound = ip_addr_is_any(&key->addr) ? same_family(&ep.addr, &key->addr) : ip_addr_eq(&ep.addr, &key->addr);

		if (image->addrs[a].ifindex != lan->i->ifindex || !bound || ip_addr_is_link_local(&ep.addr))
			continue;
		owner_tell(&lan->owner, type, mac, &ep);
		told++;
	}
}

static bool is_alone(const struct policy_owner *owner, uint32_t nr)
{
	return owner->cnt == 1 && owner->apps[0] == nr;
}

static void announce_port(struct if_lan *lan, uint32_t nr, const struct mac_addr *mac, const struct policy_port *key)
{
	struct policy_owner owner;

	if (bpf_map_lookup_elem(map_of(lan, IF_MAP_PORTS), key, &owner) == 0 && is_alone(&owner, nr) &&
	    (owner.flags & POLICY_OWNER_REPEATED) == 0)
		tell_port(lan, PARP_ANNOUNCE, mac, key);
}

/*
 * Whoever was told "canonical" asks again now. What others say on the LAN brings this about as often as they like: the work is
 * that of one application's leases, not of all that are in the map.
 */
static void announce_ports(struct if_lan *lan, uint32_t nr, const struct mac_addr *mac)
{
	const struct if_chan *c = chan_by_nr(lan, nr);
	struct policy_port keys[IF_PORTS_KEYS_MAX];
	const struct lease *l;

	if (c == NULL || c->app == NULL)
		return;
	TAILQ_FOREACH (l, &c->app->leases, of_app) {
		unsigned int cnt = if_ports_keys(&l->key, lan->s->d->cfg.netns, keys);

		for (unsigned int k = 0; k < cnt; k++)
			announce_port(lan, nr, mac, &keys[k]);
	}
}

static void log_mac(const struct if_lan *lan, uint32_t nr, const struct mac_addr *mac, const char *what)
{
	char text[MAC_ADDR_TEXT_BYTES];

	log_info(lan->s->d->cfg.log, "%s: channel %u %s %s", lan->i->name, nr, what, mac_addr_format(mac, text));
}

static void on_claimed(void *arg, uint32_t nr, const struct mac_addr *mac)
{
	struct if_lan *lan = arg;
	int r = rtnl_filter(&lan->s->place.here, lan->i->ifindex, mac, true);

	/* a device without a filter, which takes everything, says that it can't */
	if (r < 0 && r != -EEXIST && r != -EOPNOTSUPP) {
		log_error(lan->s->d->cfg.log, "%s: does not take another MAC address, so none is told: %s", lan->i->name, strerror(-r));
		lan->one_mac = true;
		return;
	}
	macs_set(lan, mac, nr);
	teach(lan, mac);
	announce_ports(lan, nr, mac);
	log_mac(lan, nr, mac, "has");
	if_own6_changed(lan->i->own6);
}

static void on_lost(void *arg, uint32_t nr, const struct mac_addr *mac)
{
	struct if_lan *lan = arg;

	tell_released(lan, mac);
	log_mac(lan, nr, mac, "has lost, to another host,");
	if_own6_changed(lan->i->own6);
}

static void on_ended(void *arg, const struct mac_addr *mac)
{
	macs_forget(arg, mac);
}

/* Else what is sent there would go to the other until its turn in teach_some(). */
static void on_defended(void *arg, const struct mac_addr *mac)
{
	teach(arg, mac);
}

static const struct claim_ops claim_ops = { on_claimed, on_lost, on_ended, on_defended };

/* Back to dispatch by port. */
static void release(struct if_lan *lan, uint32_t nr)
{
	const struct claim_slot *slot = claims_find(&lan->claims, nr);

	if (slot != NULL && slot->given_us > now_us(lan)) {
		macs_set(lan, &slot->mac, MACS_QUARANTINE);
		tell_released(lan, &slot->mac);
	} else if (slot != NULL) {
		macs_forget(lan, &slot->mac);
	}
	claims_release(&lan->claims, nr, now_us(lan));
}

/* ---- ports */

static bool is_contested(const struct if_lan *lan, const struct policy_port *key, uint32_t nr)
{
	for (unsigned int k = 0; k < CONTESTED_MAX; k++) {
		const struct contested *c = &lan->contested[k];

		if (c->nr != 0 && c->nr != nr && (c->all || memcmp(&c->key, key, sizeof(*key)) == 0))
			return true;
	}
	return lan->contested_full;
}

static unsigned int contested_by(const struct if_lan *lan, uint32_t nr)
{
	unsigned int cnt = 0;

	for (unsigned int k = 0; k < CONTESTED_MAX; k++)
		cnt += lan->contested[k].nr == nr;
	return cnt;
}

static void contest_end(struct if_lan *lan, uint32_t nr)
{
	for (unsigned int k = 0; k < CONTESTED_MAX; k++)
		if (lan->contested[k].nr == nr)
			lan->contested[k].nr = 0;
	lan->contested_full &= contested_by(lan, 0) < CONTESTED_MAX;
}

/* No room: whoever has left most ports may have flows at any port. Return: that made some */
static bool contest_at_large(struct if_lan *lan)
{
	unsigned int most = 0, cnt;
	uint32_t nr = 0;

	for (unsigned int k = 0; k < CONTESTED_MAX; k++) {
		cnt = contested_by(lan, lan->contested[k].nr);
		if (cnt > most) {
			most = cnt;
			nr = lan->contested[k].nr;
		}
	}
	if (most < 2)
		return false;
	contest_end(lan, nr);
	for (unsigned int k = 0; k < CONTESTED_MAX; k++)
		if (lan->contested[k].nr == 0) {
			lan->contested[k] = (struct contested){ .nr = nr, .all = true };
			break;
		}
	return true;
}

static struct contested *contest_room(struct if_lan *lan)
{
	for (unsigned int k = 0; k < CONTESTED_MAX; k++)
		if (lan->contested[k].nr == 0)
			return &lan->contested[k];
	return NULL;
}

static void contest(struct if_lan *lan, const struct policy_port *key, uint32_t nr)
{
	struct contested *c;

	for (unsigned int k = 0; k < CONTESTED_MAX; k++) {
		c = &lan->contested[k];
		if (c->nr == nr && (c->all || memcmp(&c->key, key, sizeof(*key)) == 0))
			return;
	}
	c = contest_room(lan);
	if (c == NULL && contest_at_large(lan))
		c = contest_room(lan);
	if (c != NULL)
		*c = (struct contested){ .key = *key, .nr = nr };
	else
		lan->contested_full = true;
}

static bool owner_at(const struct if_lan *lan, const struct policy_port *key, struct policy_owner *ret)
{
	return bpf_map_lookup_elem(map_of(lan, IF_MAP_PORTS), key, ret) == 0 && ret->cnt > 0;
}

/*
 * What dispatch would do with a packet that begins a flow there.
 * @ret_any: somebody has it. Return: the number of the one application; 0: not one, or another one may have flows there
 */
static uint32_t alone_at(const struct if_lan *lan, const struct policy_port *key, bool *ret_any)
{
	struct policy_port any = *key;
	struct policy_owner owner;

	any.addr = ip_addr_is_v4(&key->addr) ? ip_addr_any_v4() : ip_addr_any_v6();
	*ret_any = owner_at(lan, key, &owner) || owner_at(lan, &any, &owner);
	if (!*ret_any || owner.cnt != 1)
		return 0;
	return is_contested(lan, key, owner.apps[0]) || is_contested(lan, &any, owner.apps[0]) ? 0 : owner.apps[0];
}

static void range_of_block(uint16_t port, struct owner_range *ret)
{
	ret->lo = port / POLICY_BLOCK_PORTS * POLICY_BLOCK_PORTS;
	ret->hi = (uint16_t)(ret->lo + POLICY_BLOCK_PORTS - 1);
}

/* A block in which no application has a port, as those of the kernel's own clients: none of them need be asked for again. */
static bool is_block_nobodys(const struct if_lan *lan, const struct policy_port *asked)
{
	struct policy_port key = *asked;
	struct owner_range block;
	bool any = false;

	range_of_block(be16_get(asked->port), &block);
	for (uint32_t port = max_u32(block.lo, 1); port <= block.hi && !any; port++) {
		key.port = be16((uint16_t)port);
		alone_at(lan, &key, &any);
	}
	return !any && block.lo > 0;
}

static enum owner_has on_find(void *arg, const struct parp_endpoint *asked, struct owner_range *ret)
{
	const struct if_lan *lan = arg;
	const struct policy_addr addr = { .addr = asked->addr };
	struct policy_port key = { .addr = asked->addr, .port = be16(asked->port_lo), .proto = asked->proto };
	uint32_t one, idx, nr;
	bool any;

	if (bpf_map_lookup_elem(map_of(lan, IF_MAP_ADDRS), &addr, &one) != 0)
		return OWNER_NOT_HERE;
	if (asked->proto != IP_PROTO_TCP && asked->proto != IP_PROTO_UDP)
		return OWNER_CANONICAL;
	if (lan->one_mac)
		return OWNER_CANONICAL;
	nr = alone_at(lan, &key, &any);
	if (nr != 0) {
		ret->owner = nr;
		return OWNER_APPLICATION;
	}
	idx = policy_block_idx(asked->proto == IP_PROTO_UDP, asked->port_lo);
	if (any || bpf_map_lookup_elem(map_of(lan, IF_MAP_BLOCKS), &idx, &nr) != 0)
		return OWNER_CANONICAL;
	if (nr == 0 && !is_block_nobodys(lan, &key))
		return OWNER_CANONICAL;
	range_of_block(asked->port_lo, ret);
	ret->owner = nr;
	return nr != 0 ? OWNER_APPLICATION : OWNER_CANONICAL;
}

/*
 * A server's first connections are the kernel's, and so are those from before a lease: by port dispatch tells them from the application's, by
 * address it would not. Not known counts as shared.
 */
static bool on_shared(void *arg, const struct parp_endpoint *asked)
{
	bool any = true;

	(void)arg;
	return asked->proto == IP_PROTO_TCP && (kernel_ports_connected(asked->port_lo, &any) < 0 || any);
}

static const struct owner_ops owner_ops = { on_find, on_shared };

void if_lan_take_back(struct if_lan *lan, uint32_t nr)
{
	const struct claim_slot *slot = lan != NULL ? claims_find(&lan->claims, nr) : NULL;

	if (slot == NULL || slot->given_us <= now_us(lan) || chan_by_nr(lan, nr) == NULL)
		return;
	release(lan, nr);
	claims_take(&lan->claims, nr, now_us(lan));
}

bool if_lan_lend(struct if_lan *lan, uint32_t nr, struct mac_addr *ret_mac)
{
	const struct claim_slot *slot = lan != NULL ? claims_find(&lan->claims, nr) : NULL;

	if (slot == NULL || lan->one_mac || lan->owner.reach == OWNER_BLOCKED)
		return false;
	claims_given(&lan->claims, &slot->mac, now_us(lan) + QUARANTINE_US);
	*ret_mac = slot->mac;
	return true;
}

/* docs/parp.md 5: whoever still sends to its old address must not reach it with what is another's now. */
static void port_left(struct if_lan *lan, const struct policy_port *key, uint32_t nr)
{
	if (chan_by_nr(lan, nr) == NULL)
		return;
	contest(lan, key, nr);
	if_lan_take_back(lan, nr);
}

static bool has(const struct policy_owner *owner, uint32_t nr)
{
	for (uint32_t k = 0; k < owner->cnt; k++)
		if (owner->apps[k] == nr)
			return true;
	return false;
}

void if_lan_port_changed(struct if_lan *lan, const struct policy_port *key, const struct policy_owner *was,
			 const struct policy_owner *now)
{
	const struct claim_slot *slot;

	if (lan == NULL || (was->cnt == now->cnt && memcmp(was->apps, now->apps, sizeof(now->apps)) == 0))
		return;
	for (uint32_t k = 0; k < was->cnt; k++)
		if (!has(now, was->apps[k]))
			port_left(lan, key, was->apps[k]);
	slot = claims_find(&lan->claims, now->cnt == 1 ? now->apps[0] : was->cnt == 1 ? was->apps[0] : 0);
	if (slot == NULL || slot->owner == 0)
		return;
	/* joined by others, who are to have their part of new flows */
	tell_port(lan, now->cnt == 1 ? PARP_ANNOUNCE : PARP_RELEASE, &slot->mac, key);
}

/* ---- channels */

static bool may_have_one(const struct if_lan *lan, uint32_t nr, uint32_t uid)
{
	const struct policy_rule *rule = policy_of(lan->s->d->policy, uid);
	const struct if_chan *c;
	uint32_t cnt = 0;

	TAILQ_FOREACH (c, &lan->i->chans, entry)
		cnt += c->rec.uid == uid && c->rec.nr != nr;
	return rule == NULL || cnt < rule->macs_max;
}

void if_lan_chan_begin(struct if_lan *lan, uint32_t nr, uint32_t uid)
{
	int r;

	if (lan == NULL || lan->one_mac || !may_have_one(lan, nr, uid))
		return;
	r = claims_take(&lan->claims, nr, now_us(lan));
	if (r == -ENOSPC)
		log_info(lan->s->d->cfg.log, "%s: channel %u gets no MAC address of its own: there are %d already", lan->i->name,
			 nr, SLOTS);
}

void if_lan_chan_end(struct if_lan *lan, uint32_t nr)
{
	if (lan == NULL)
		return;
	contest_end(lan, nr);
	release(lan, nr);
}

void if_lan_sweep(struct if_lan *lan)
{
	for (uint32_t k = 0; lan != NULL && k < SLOTS; k++) {
		const struct claim_slot *slot = &lan->slots[k];

		if (slot->state == CLAIM_CLAIMED && slot->owner != 0 && chan_by_nr(lan, slot->owner) == NULL)
			release(lan, slot->owner);
	}
}

enum ctl_macs if_lan_macs(const struct if_lan *lan)
{
	static const uint8_t macs[] = { [OWNER_UNTRIED] = CTL_MACS_UNTRIED, [OWNER_REACHED] = CTL_MACS_REACHED,
					[OWNER_BLOCKED] = CTL_MACS_BLOCKED };

	if (lan == NULL)
		return CTL_MACS_OFF;
	return lan->one_mac ? CTL_MACS_ONE : (enum ctl_macs)macs[lan->owner.reach];
}

bool if_lan_mac(const struct if_lan *lan, uint32_t nr, struct mac_addr *ret_mac)
{
	const struct claim_slot *slot = lan != NULL ? claims_find(&lan->claims, nr) : NULL;

	if (slot != NULL)
		*ret_mac = slot->mac;
	return slot != NULL;
}

/* ---- progress */

/* Each takes what is its own. */
static void heard(void *arg, const struct parp_msg *msg, uint64_t now)
{
	struct if_lan *lan = arg;

	owner_rx(&lan->owner, msg, now);
	claims_rx(&lan->claims, msg, now);
	if_ask_rx(lan->ask, msg, now);
}

static void log_reach(struct if_lan *lan)
{
	if (lan->owner.reach == lan->said_reach)
		return;
	lan->said_reach = lan->owner.reach;
	if_own6_changed(lan->i->own6);
	if (lan->owner.reach == OWNER_BLOCKED)
		log_info(lan->s->d->cfg.log, "%s: nothing sent to applications' MAC addresses arrives: others are told to use its own",
			 lan->i->name);
	else if (lan->owner.reach == OWNER_REACHED)
		log_info(lan->s->d->cfg.log, "%s: applications are reached at their MAC addresses", lan->i->name);
}

void if_lan_run(struct if_lan *lan, uint64_t now_ns)
{
	uint64_t us = now_ns / NS_PER_US;

	lan_end_hear(&lan->end, us, heard, lan);
	claims_run(&lan->claims, us);
	owner_run(&lan->owner, us);
	if_ask_run(lan->ask, us);
	log_reach(lan);
	teach_some(lan);
}

uint64_t if_lan_deadline_ns(const struct if_lan *lan)
{
	uint64_t us = min_u64(claims_deadline_us(&lan->claims), owner_deadline_us(&lan->owner));

	us = min_u64(us, min_u64(lan_end_deadline_us(&lan->end), if_ask_deadline_us(lan->ask)));
	if (lan->claims.cnt[CLAIM_CLAIMED] > lan->claims.pool_cnt)
		us = min_u64(us, lan->teach_us);
	return time_mul_sat(us, NS_PER_US);
}

int if_lan_fd(const struct if_lan *lan)
{
	return lan_end_fd(&lan->end);
}

void if_lan_follow(struct if_lan *lan)
{
	if (lan != NULL)
		lan_end_follow(&lan->end, host_watch_image(lan->s->host), lan->i->mac);
}

/* ---- shown */

struct if_ask *if_lan_ask(struct if_lan *lan)
{
	return lan->ask;
}

static bool describe_slot(const struct if_lan *lan, const struct claim_slot *slot, struct ctl_mac *ret)
{
	static const uint8_t kinds[CLAIM_STATE_CNT] = {
		[CLAIM_WAIT] = CTL_MAC_CLAIMING,
		[CLAIM_PROBE] = CTL_MAC_CLAIMING,
		[CLAIM_CLAIMED] = CTL_MAC_CLAIMED,
		[CLAIM_QUARANTINE] = CTL_MAC_QUARANTINE,
	};
	const struct if_chan *c = NULL;

	if (slot->state == CLAIM_FREE)
		return false;
	ret->kind = kinds[slot->state];
	memcpy(ret->mac, slot->mac.bytes, sizeof(ret->mac));
	memcpy(ret->canonical, lan->i->mac, sizeof(ret->canonical));
	ret->age_ms = time_sub_sat(now_us(lan), slot->since_us) / US_PER_MS;
	if (slot->state == CLAIM_QUARANTINE)
		ret->left_ms = time_sub_sat(slot->due_us, now_us(lan)) / US_PER_MS;
	if (slot->state != CLAIM_QUARANTINE)
		c = chan_by_nr(lan, slot->owner);
	if (c != NULL && c->app != NULL)
		ret->app_id = c->app->id;
	return true;
}

bool if_lan_entry(const struct if_lan *lan, uint32_t pos, struct ctl_mac *ret, bool *ret_end)
{
	bool found;

	*ret = (struct ctl_mac){ .ifindex = lan->i->ifindex };
	*ret_end = false;
	if (pos < SLOTS)
		found = describe_slot(lan, &lan->slots[pos], ret);
	else
		found = if_ask_entry(lan->ask, pos - SLOTS, now_us(lan), ret, ret_end);
	ctl_name_set(ret->name, lan->i->name);
	return found;
}

/* What is counted besides what was heard. */
static const struct {
	const char *where, *name;
	uint8_t of; /* index of @stats */
	size_t at;
} counters[] = {
#define CLAIMS(name) { "claims", #name, 0, offsetof(struct claim_stats, name) }
	CLAIMS(claims), CLAIMS(objections), CLAIMS(conflicts_won), CLAIMS(conflicts_lost), CLAIMS(defended), CLAIMS(limited),
#undef CLAIMS
#define OWNER(name) { "owner", #name, 1, offsetof(struct owner_stats, name) }
	OWNER(asked), OWNER(replies), OWNER(negs), OWNER(limited), OWNER(announced), OWNER(released), OWNER(dropped),
	OWNER(reached), OWNER(blocked),
#undef OWNER
};
_Static_assert(LAN_END_COUNTERS + IF_ASK_COUNTERS + ARRAY_SIZE(counters) == IF_LAN_COUNTERS, "each has its place");

uint64_t if_lan_counter(const struct if_lan *lan, uint32_t pos, const char **ret_where, const char **ret_name)
{
	const void *stats[] = { &lan->claims.stats, &lan->owner.stats };
	uint64_t value;

	if (pos < LAN_END_COUNTERS) {
		*ret_where = "parp";
		return lan_end_counter(&lan->end, pos, ret_name);
	}
	pos -= LAN_END_COUNTERS;
	if (pos < IF_ASK_COUNTERS) {
		*ret_where = "resolver";
		return if_ask_counter(lan->ask, pos, ret_name);
	}
	pos -= IF_ASK_COUNTERS;
	*ret_where = counters[pos].where;
	*ret_name = counters[pos].name;
	memcpy(&value, (const uint8_t *)stats[counters[pos].of] + counters[pos].at, sizeof(value));
	return value;
}

/* ---- birth and death */

/* What an earlier vjd has claimed: by a channel that will be stated, or in quarantine. */
static void adopt(struct if_lan *lan)
{
	int fd = map_of(lan, IF_MAP_MACS);
	struct policy_mac key, next;
	uint32_t nr;

	for (int more = bpf_map_get_next_key(fd, NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(fd, &key, &next);
		if (bpf_map_lookup_elem(fd, &key, &nr) == 0 && claims_adopt(&lan->claims, nr, &key.mac, now_us(lan)) < 0)
			macs_forget(lan, &key.mac);
	}
}

static void be_somebody(struct if_lan *lan)
{
	struct parp_host_id fresh;
	uint32_t starts;

	lan->s->d->ops->random(&fresh, sizeof(fresh));
	if (if_lan_id(lan->s->place.dir, &fresh, &lan->end.host.id, &starts) < 0)
		log_error(lan->s->d->cfg.log, "%s: this host's id on the LAN can't be kept", lan->i->name);
	lan->end.host.gen = starts << 16;
}

/* What applications send is looked up by gate. */
static int ask_begin(struct if_lan *lan)
{
	const struct learned_fds maps = { map_of(lan, IF_MAP_LEARNED_HOSTS), map_of(lan, IF_MAP_LEARNED), map_of(lan, IF_MAP_ASKED),
					  map_of(lan, IF_MAP_MISSES) };
	const struct if_ask_config cfg = { .rtnl = &lan->s->place.here, .ifindex = lan->i->ifindex, .name = lan->i->name,
					   .entry_max = IF_LEARNED_MAX, .maps = &maps };

	return lan_end_ask(&lan->end, cfg, &lan->ask);
}

int if_lan_new(struct interfaces *s, struct iface *i, struct if_lan **ret_lan)
{
	const struct vjd_lan_config *cfg = &s->d->cfg.lan;
	struct if_lan *lan = calloc(1, sizeof(*lan));
	int r;

	if (lan == NULL)
		return -ENOMEM;
	lan->s = s;
	lan->i = i;
	lan->one_mac = if_lan_is_wireless(i->name, i->ifindex);
	r = lan_end_open(s->d, i->ifindex, LAN_ASKER_CHANNELS, &lan->end);
	if (r < 0) {
		free(lan);
		return r;
	}
	be_somebody(lan);
	if_lan_follow(lan);
	lan->claims = (struct claims){
		.host = &lan->end.host,
		.ops = &claim_ops,
		.arg = lan,
		.timing = cfg->rfc ? &claim_timing_rfc : &claim_timing_fast,
		.pool_want = lan->one_mac ? 0 : cfg->pool,
		.mac_bits = CLAIM_MAC_BITS,
		.quarantine_us = QUARANTINE_US,
	};
	claims_init(&lan->claims, lan->slots, lan->buckets, SLOTS, now_us(lan));
	lan->owner = (struct owner){
		.host = &lan->end.host, .claims = &lan->claims, .ops = &owner_ops, .arg = lan, .lifetime_ms = OWNER_LIFETIME_MS
	};
	owner_init(&lan->owner);
	r = ask_begin(lan);
	if (r < 0) {
		if_lan_free(lan, true);
		return r;
	}
	adopt(lan);
	*ret_lan = lan;
	return 0;
}

void if_lan_free(struct if_lan *lan, bool serve_on)
{
	if (lan == NULL)
		return;
	if (!serve_on) {
		/* the last words: not limited, since nobody is there to say them later */
		lan_limit_init(&lan->end.host.own, 0, 1);
		owner_run(&lan->owner, now_us(lan));
		for (uint32_t k = 0; k < SLOTS; k++)
			if (lan->slots[k].state == CLAIM_QUARANTINE)
				macs_forget(lan, &lan->slots[k].mac);
	}
	if_ask_free(lan->ask);
	lan_end_close(&lan->end);
	free(lan);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "lan/own6.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

/* ---- places */

static struct own6_slot *find_owner(struct own6 *o, uint32_t owner)
{
	for (unsigned int i = 0; i < OWN6_MAX; i++)
		if (o->slots[i].owner == owner)
			return &o->slots[i];
	return NULL;
}

static struct own6_slot *find_addr(struct own6 *o, const struct ip_addr *addr)
{
	for (unsigned int i = 0; i < OWN6_MAX; i++)
		if (o->slots[i].owner != 0 && ip_addr_eq(&o->slots[i].addr, addr))
			return &o->slots[i];
	return NULL;
}

static void set_state(struct own6 *o, struct own6_slot *s, enum own6_state state, uint64_t due_us, uint64_t now_us)
{
	o->cnt[s->state]--;
	o->cnt[state]++;
	s->state = (uint8_t)state;
	s->sent = 0;
	s->since_us = now_us;
	s->due_us = due_us;
	o->due_us = min_u64(o->due_us, due_us);
}

static void slot_put(struct own6 *o, struct own6_slot *s, uint64_t now_us)
{
	set_state(o, s, OWN6_FREE, TIME_NEVER, now_us);
	*s = (struct own6_slot){ .state = OWN6_FREE, .due_us = TIME_NEVER };
}

/* ---- drawing */

static struct ip_addr addr_of(const struct ip_prefix *p, uint64_t bits)
{
	unsigned int host_bits = 128u - p->len;
	uint64_t mask = host_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << host_bits) - 1;
	struct ip_addr addr = p->addr;

	store_be64(addr.bytes + 8, (load_be64(p->addr.bytes + 8) & ~mask) | (bits & mask));
	return addr;
}

/* Of all routers of the prefix (RFC 4291 2.6.1); of anycast to others (RFC 2526), which are the last 128 of 64 bits, or of fewer. */
static bool is_reserved(const struct own6 *o, const struct ip_addr *addr)
{
	uint64_t mask = o->prefix.len == 64 ? UINT64_MAX : (UINT64_C(1) << (128 - o->prefix.len)) - 1;
	uint64_t id = load_be64(addr->bytes + 8) & mask;

	return id == 0 || (o->prefix.len == 64 ? id >> 7 == UINT64_C(0xfdffffffffffff80) >> 7 : id >> 7 == mask >> 7 && mask > 255);
}

/* The next one of @s's owner. Return: false: nothing is left */
static bool draw(struct own6 *o, struct own6_slot *s)
{
	for (unsigned int i = 0; i < OWN6_DRAWS_MAX; i++) {
		struct ip_addr addr = addr_of(&o->prefix, o->ops->draw(o->arg, s->owner, s->number++));

		if (is_reserved(o, &addr) || find_addr(o, &addr) != NULL || o->ops->is_taken(o->arg, &addr))
			continue;
		s->addr = addr;
		return true;
	}
	return false;
}

/* Return: false: nothing is left, and @s is free */
static bool begin(struct own6 *o, struct own6_slot *s, uint64_t now_us)
{
	uint64_t wait_us = s->conflicts < OWN6_CONFLICTS_MAX ? OWN6_WAIT_US : OWN6_SLOW_US;
	uint64_t nonce = o->ops->random(o->arg);

	s->addr = ip_addr_any_v6();
	if (!draw(o, s)) {
		slot_put(o, s, now_us);
		return false;
	}
	s->mac = o->canonical;
	s->defended_us = 0;
	memcpy(s->nonce, &nonce, sizeof(s->nonce));
	set_state(o, s, OWN6_WAIT, now_us + wait_us + o->ops->random(o->arg) % OWN6_JITTER_US, now_us);
	o->ops->begun(o->arg, s->owner, &s->addr);
	return true;
}

static void draw_again(struct own6 *o, struct own6_slot *s, uint64_t now_us)
{
	o->stats.conflicts++;
	if (s->conflicts < OWN6_CONFLICTS_MAX)
		s->conflicts++;
	o->ops->ended(o->arg, s->owner, &s->addr);
	begin(o, s, now_us);
}

/* ---- saying */

static struct ip_addr all_nodes(void)
{
	return (struct ip_addr){ .bytes = { 0xff, 0x02, [15] = 1 } };
}

/* RFC 4862 5.4.2: from nowhere */
static void solicit(const struct own6 *o, const struct own6_slot *s)
{
	struct nd_msg msg = {
		.eth_src = o->canonical,
		.src = ip_addr_any_v6(),
		.dst = nd_group(&s->addr),
		.target = s->addr,
		.type = ND_SOLICIT,
		.has_nonce = true,
	};

	msg.eth_dst = nd_group_mac(&msg.dst);
	memcpy(msg.nonce, s->nonce, sizeof(msg.nonce));
	o->ops->send(o->arg, &msg);
}

/* @to NULL: to all, whoever asked from nowhere included */
static void advertise(const struct own6 *o, const struct own6_slot *s, const struct nd_msg *to)
{
	struct nd_msg msg = {
		.eth_src = o->canonical,
		.src = s->addr,
		.dst = to != NULL ? to->src : all_nodes(),
		.target = s->addr,
		.type = ND_ADVERT,
		.has_mac = true,
		.flags = ND_FLAG_OVERRIDE | (to != NULL ? ND_FLAG_SOLICITED : 0),
		.mac = s->mac,
	};

	msg.eth_dst = to == NULL ? nd_group_mac(&msg.dst) : to->has_mac ? to->mac : to->eth_src;
	o->ops->send(o->arg, &msg);
}

/* ---- time */

static void step(struct own6 *o, struct own6_slot *s, uint64_t now_us)
{
	if (s->due_us > now_us)
		return;
	if (s->state == OWN6_PROBE && s->sent == OWN6_PROBE_NUM) {
		set_state(o, s, OWN6_OURS, now_us, now_us);
		s->conflicts = 0;
		o->stats.assigned++;
		o->ops->assigned(o->arg, s->owner, &s->addr);
	}
	if (!lan_limit_take(&o->limit, now_us)) {
		o->stats.limited++;
		s->due_us = lan_limit_at(&o->limit);
		return;
	}
	if (s->state == OWN6_WAIT)
		set_state(o, s, OWN6_PROBE, now_us, now_us);
	s->sent++;
	s->due_us = now_us + OWN6_RETRANS_US;
	if (s->state == OWN6_PROBE) {
		solicit(o, s);
		return;
	}
	advertise(o, s, NULL);
	o->stats.announced++;
	if (s->sent == OWN6_ANNOUNCE_NUM)
		s->due_us = TIME_NEVER;
}

void own6_run(struct own6 *o, uint64_t now_us)
{
	if (now_us < o->due_us)
		return;
	for (unsigned int i = 0; i < OWN6_MAX; i++)
		step(o, &o->slots[i], now_us);
	o->due_us = TIME_NEVER;
	for (unsigned int i = 0; i < OWN6_MAX; i++)
		o->due_us = min_u64(o->due_us, o->slots[i].due_us);
}

uint64_t own6_deadline_us(const struct own6 *o)
{
	return o->due_us;
}

/* ---- what others say */

static void contradict(struct own6 *o, struct own6_slot *s, uint64_t now_us)
{
	if (s->defended_us != 0 && now_us - s->defended_us < OWN6_DEFEND_US) {
		draw_again(o, s, now_us);
		return;
	}
	s->defended_us = now_us;
	o->stats.defended++;
	advertise(o, s, NULL);
}

/* Somebody else does, while nobody has it yet: both have to look for another (RFC 4862 5.4.3), if it isn't our own word coming back. */
static void tried_too(struct own6 *o, struct own6_slot *s, const struct nd_msg *msg, uint64_t now_us)
{
	if (!msg->has_nonce || memcmp(msg->nonce, s->nonce, sizeof(s->nonce)) != 0)
		draw_again(o, s, now_us);
}

void own6_rx(struct own6 *o, const struct nd_msg *msg, uint64_t now_us)
{
	struct own6_slot *s = find_addr(o, &msg->target);

	if (s == NULL)
		return;
	if (msg->type == ND_ADVERT) {
		/* our own may come back from a switch that has just learned better */
		if (msg->has_mac && (mac_addr_eq(&msg->mac, &s->mac) || mac_addr_eq(&msg->mac, &o->canonical)))
			return;
		if (s->state == OWN6_OURS)
			contradict(o, s, now_us);
		else
			draw_again(o, s, now_us);
		return;
	}
	if (s->state != OWN6_OURS) {
		if (ip_addr_is_any(&msg->src))
			tried_too(o, s, msg, now_us);
	} else if (!lan_limit_take(&o->limit, now_us)) {
		o->stats.limited++;
	} else if (ip_addr_is_any(&msg->src)) {
		o->stats.defended++;
		advertise(o, s, NULL);
	} else {
		o->stats.answered++;
		advertise(o, s, msg);
	}
}

/* ---- owners */

int own6_take(struct own6 *o, uint32_t owner, uint64_t now_us)
{
	struct own6_slot *s;

	VJ_ASSERT(owner != 0);
	if (find_owner(o, owner) != NULL)
		return -EEXIST;
	s = find_owner(o, 0);
	if (s == NULL)
		return -ENOSPC;
	s->owner = owner;
	return begin(o, s, now_us) ? 0 : -ENOSPC;
}

int own6_adopt(struct own6 *o, uint32_t owner, const struct ip_addr *addr, uint64_t now_us)
{
	struct own6_slot *s;

	VJ_ASSERT(owner != 0);
	if (find_owner(o, owner) != NULL || find_addr(o, addr) != NULL)
		return -EEXIST;
	s = find_owner(o, 0);
	if (s == NULL)
		return -ENOSPC;
	s->owner = owner;
	s->addr = *addr;
	s->mac = o->canonical;
	set_state(o, s, OWN6_OURS, now_us, now_us);
	o->ops->begun(o->arg, owner, addr);
	return 0;
}

void own6_release(struct own6 *o, uint32_t owner, uint64_t now_us)
{
	struct own6_slot *s = owner != 0 ? find_owner(o, owner) : NULL;

	if (s == NULL)
		return;
	o->ops->ended(o->arg, owner, &s->addr);
	slot_put(o, s, now_us);
}

int own6_hand(struct own6 *o, uint32_t from, uint32_t to)
{
	struct own6_slot *s = from != 0 ? find_owner(o, from) : NULL;

	VJ_ASSERT(to != 0);
	if (s == NULL || s->state != OWN6_OURS)
		return -ENOENT;
	if (find_owner(o, to) != NULL)
		return -EEXIST;
	s->owner = to;
	return 0;
}

void own6_move(struct own6 *o, uint32_t owner, const struct mac_addr *mac, uint64_t now_us)
{
	struct own6_slot *s = find_owner(o, owner);

	if (s == NULL || mac_addr_eq(&s->mac, mac))
		return;
	s->mac = *mac;
	if (s->state != OWN6_OURS)
		return;
	s->sent = 0;
	s->due_us = now_us;
	o->due_us = min_u64(o->due_us, now_us);
}

const struct own6_slot *own6_find(const struct own6 *o, uint32_t owner)
{
	for (unsigned int i = 0; owner != 0 && i < OWN6_MAX; i++)
		if (o->slots[i].owner == owner)
			return &o->slots[i];
	return NULL;
}

void own6_init(struct own6 *o)
{
	VJ_ASSERT(o->prefix.len >= OWN6_PREFIX_LEN_MIN && o->prefix.len <= OWN6_PREFIX_LEN_MAX);
	memset(o->slots, 0, sizeof(o->slots));
	memset(o->cnt, 0, sizeof(o->cnt));
	o->cnt[OWN6_FREE] = OWN6_MAX;
	for (unsigned int i = 0; i < OWN6_MAX; i++)
		o->slots[i].due_us = TIME_NEVER;
	lan_limit_init(&o->limit, OWN6_PER_SECOND, OWN6_BURST);
	o->due_us = TIME_NEVER;
	o->stats = (struct own6_stats){ .assigned = 0 };
}

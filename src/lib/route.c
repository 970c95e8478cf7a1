// SPDX-License-Identifier: BSD-2-Clause
/* route.c - which link leads to an endpoint, and which port to use there */
#include "base/time.h"
#include "channel/sys.h"
#include "lib/link.h"
#include "lib/priv.h"
#include "lib/stopped.h"
#include "stack/tcp_move.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { PORTS_ASK_MIN = 256 };

/*
 * A client of a kernel's server that connects thousands of times a second must not ask vjd each time. So the answer that
 * nobody is there counts for a moment once it was given MISSES_MIN times in a row; the first few connections ask,
 * because a server that has just been started is to be found.
 */
enum { MISSES_MIN = 4 };
#define MISS_NS (50 * NS_PER_MS)

static struct route *route_slot(struct vj *vj, uint8_t proto, const struct endpoint *remote, uint32_t owner)
{
	uint64_t hash = load_u64(remote->addr.bytes) ^ load_u64(remote->addr.bytes + 8) ^ remote->port ^
			((uint64_t)proto << 32) ^ ((uint64_t)owner << 40);

	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return &vj->routes[(hash >> 58) % ROUTE_CNT];
}

static bool route_is(const struct route *r, uint8_t proto, const struct endpoint *remote, uint32_t owner)
{
	return r->proto == proto && r->owner == owner && endpoint_eq(&r->remote, remote);
}

void route_forget_all(struct vj *vj)
{
	for (unsigned i = 0; i < ROUTE_CNT; i++)
		vj->routes[i].proto = 0;
}

void route_forget(struct vj *vj, uint8_t proto, const struct endpoint *remote)
{
	struct route *r = route_slot(vj, proto, remote, ROUTE_ALL);

	if (!route_is(r, proto, remote, ROUTE_ALL))
		return;
	for (uint32_t i = 0; i < r->owners; i++) {
		struct route *one = route_slot(vj, proto, remote, i);

		if (route_is(one, proto, remote, i))
			one->proto = 0;
	}
	r->proto = 0;
}

void route_forget_link(struct vj *vj, const struct vj_link *link)
{
	for (unsigned i = 0; i < ROUTE_CNT; i++)
		if (vj->routes[i].link == link)
			vj->routes[i].proto = 0;
}

/* vjd's CONNECTED: a new channel with its descriptors, or the number of one we hold. */
static int route_link(struct vj *vj, const struct ctl_channel *channel, const int fds[CTL_FDS_MAX],
		      struct vj_link **ret_link)
{
	if (fds[CTL_FD_AREA] >= 0)
		return link_open(vj, channel, fds, ret_link);
	/* The peer asked first, and its CHANNEL event may have come just before the reply. */
	*ret_link = link_by_channel_id(vj, channel->id);
	if (!*ret_link) {
		control_poll(vj, false);
		*ret_link = link_by_channel_id(vj, channel->id);
	}
	return *ret_link ? 0 : -EHOSTUNREACH;
}

static void ports_add(struct ports *p, uint8_t proto, uint16_t first, uint16_t cnt)
{
	p->blocks[p->block_cnt] = (struct port_block){ .first = first, .cnt = cnt, .proto = proto };
	p->cursor_block = p->block_cnt++;
	p->cursor = 0;
}

/* How many own an endpoint, and have they copies of one listening socket? */
struct owners {
	uint32_t cnt;
	bool copied, instead; /* as in struct ctl_channel */
};

static int route_ask(struct vj *vj, uint8_t proto, const struct endpoint *remote, uint32_t flow,
		     struct vj_link **ret_link, struct owners *ret_owners)
{
	/* Who connects for the first time needs ports as well: two answers to one question. */
	uint16_t ports = proto == CTL_PROTO_TCP && !vj->ports.block_cnt ? PORTS_ASK_MIN : 0;
	struct ctl_endpoint to = { .port = remote->port, .proto = proto };
	struct ctl_channel channel;
	int err, fds[CTL_FDS_MAX];

	if (!vj->ctl)
		return -ENOTCONN;
	memcpy(to.addr, remote->addr.bytes, sizeof(to.addr));
	err = control_done(vj, ctl_client_connect_flow(vj->ctl, &to, flow, ports, &channel, fds));
	if (err)
		return err;
	if (ports && channel.ports_cnt)
		ports_add(&vj->ports, proto, channel.ports_first, channel.ports_cnt);
	*ret_owners = (struct owners){ max_u32(channel.owners, 1), channel.copied, channel.instead };
	return route_link(vj, &channel, fds, ret_link);
}

/* One to ourselves is two links, of which either will do. */
static struct vj_link *link_there(const struct vj *vj, uint32_t app_id, int32_t pid)
{
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_link *link = vj->links[i];

		if (!link->raw && !link->ifl && !link->dead && link->said.peer_pid == pid && link->said.peer_app_id == app_id)
			return link;
	}
	return NULL;
}

int route_join(struct vj *vj, uint32_t app_id, int32_t pid, struct vj_link **ret_link)
{
	struct vj_link *link = link_there(vj, app_id, pid);
	struct ctl_channel channel;
	int err, fds[CTL_FDS_MAX];

	if (link) {
		*ret_link = link;
		return 0;
	}
	if (!vj->ctl)
		return -ENOTCONN;
	err = control_done(vj, ctl_client_join(vj->ctl, app_id, pid, &channel, fds));
	return err ? err : route_link(vj, &channel, fds, ret_link);
}

/*
 * The link of the interface by which the kernel would send.
 * Return: 0; -EHOSTUNREACH: none, or it is an address of this host; -ENETUNREACH: one of ours perhaps, as the kernel decides for each flow
 */
static int route_by_interface(const struct vj *vj, const struct ip_addr *addr, struct vj_link **ret_link)
{
	int err = -EHOSTUNREACH;

	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_link *link = vj->links[i];
		enum iflink_way way = link->dead || link->leaving ? IFLINK_NO_WAY : link->kind->leads_to(link, addr, NULL);

		if (way == IFLINK_WAY) {
			*ret_link = link;
			return 0;
		}
		if (way == IFLINK_PERHAPS)
			err = -ENETUNREACH;
	}
	return err;
}

static bool route_is_current(const struct route *r)
{
	return !r->link || !r->table_seq || r->table_seq == r->link->kind->routes_seq(r->link);
}

static void route_remember_interface(struct vj *vj, uint8_t proto, const struct endpoint *remote, struct vj_link *link)
{
	*route_slot(vj, proto, remote, ROUTE_ALL) = (struct route){
		.remote = *remote, .proto = proto, .owner = ROUTE_ALL, .owners = 1, .link = link,
		.table_seq = link->kind->routes_seq(link),
	};
}

/*
 * Not on this host, says vjd. The first time that this happens we may have no channel at any interface yet; and as long as one is owed, nobody
 * knows whether it leads there.
 */
static int route_out(struct vj *vj, uint8_t proto, const struct endpoint *remote, struct vj_link **ret_link)
{
	int err, late;

	if (proto == CTL_PROTO_RAW || ip_addr_is_loopback(&remote->addr))
		return -EHOSTUNREACH;
	late = control_want_interfaces(vj);
	err = route_by_interface(vj, &remote->addr, ret_link);
	if (!err)
		route_remember_interface(vj, proto, remote, *ret_link);
	return err == -EHOSTUNREACH && late ? late : err;
}

/* vjd has said how many there are, and made a channel to that which @flow chooses, or to another in its place for now. */
static void route_remember_owners(struct vj *vj, uint8_t proto, const struct endpoint *remote, uint32_t flow,
				  struct owners said, struct vj_link *link)
{
	uint32_t owners = said.cnt;
	struct route *all = route_slot(vj, proto, remote, ROUTE_ALL), *one;
	uint32_t begun = route_is(all, proto, remote, ROUTE_ALL) ? all->begun : 1;

	/* one has come or gone: what was known by number may be another's now */
	if (route_is(all, proto, remote, ROUTE_ALL) && all->owners != owners)
		route_forget(vj, proto, remote);
	*all = (struct route){ .remote = *remote, .proto = proto, .owner = ROUTE_ALL, .owners = owners, .copied = said.copied, .begun = begun };
	if (owners == 1) {
		all->link = link;
		return;
	}
	one = route_slot(vj, proto, remote, flow % owners);
	if (one != all && !said.instead) /* else it has to be asked for each time */
		*one = (struct route){ .remote = *remote, .proto = proto, .owner = flow % owners, .link = link };
}

/* Return: 0: ask; else the answer that was given lately. */
static int route_missed(struct vj *vj, uint8_t proto, const struct endpoint *remote)
{
	const struct route *miss = route_slot(vj, proto, remote, ROUTE_MISS);

	if (!route_is(miss, proto, remote, ROUTE_MISS) || miss->owners < MISSES_MIN)
		return 0;
	return lib_clock_ns() - miss->asked_ns < MISS_NS ? miss->err : 0;
}

static void route_remember_miss(struct vj *vj, uint8_t proto, const struct endpoint *remote, int err)
{
	struct route *miss = route_slot(vj, proto, remote, ROUTE_MISS);
	uint64_t now_ns = lib_clock_ns();

	if (!route_is(miss, proto, remote, ROUTE_MISS) || now_ns - miss->asked_ns >= 2 * MISS_NS)
		*miss = (struct route){ .remote = *remote, .proto = proto, .owner = ROUTE_MISS };
	miss->owners = min_u32(miss->owners + 1, MISSES_MIN);
	miss->err = (int8_t)err;
	miss->asked_ns = now_ns;
}

/* The first of @links, of which there are @cnt, by which the program holds no connection. Some are NULL then. Return: NULL: none */
static struct vj_link *link_not_held(const struct vj *vj, struct vj_link *links[], uint32_t cnt)
{
	struct tcp_id id = { 0 };
	uint32_t free = cnt;

	while (free && tcp_next(vj->stack, &id)) {
		struct link_id on = tcp_link(vj->stack, id);
		bool owned = tcp_is_owned(vj->stack, id);

		for (uint32_t i = 0; i < cnt && owned; i++) {
			if (!links[i] || links[i]->stack_id.v != on.v)
				continue;
			links[i] = NULL;
			free--;
		}
	}
	for (uint32_t i = 0; i < cnt; i++)
		if (links[i])
			return links[i];
	return NULL;
}

/*
 * A channel costs what it wins over some dozens of messages, and of a program that makes one connection after the other, each over before the next
 * begins, only the first few are known: it may end after them. So such a one has a channel more for every SPARING connections. Those that are held at the
 * same time go to different owners from the first one on, as each may be busy.
 */
enum { SPARING = 4 };

static bool route_spares(struct vj *vj, const struct route *all, uint32_t flow, struct vj_link **ret_link)
{
	struct vj_link *links[ROUTE_CNT], *spared;
	uint32_t known = 0;

	for (uint32_t i = 0; i < min_u32(all->owners, ROUTE_CNT); i++) {
		const struct route *one = route_slot(vj, all->proto, &all->remote, (flow + i) % all->owners);

		if (route_is(one, all->proto, &all->remote, (flow + i) % all->owners))
			links[known++] = one->link;
	}
	spared = all->begun > SPARING * known ? NULL : link_not_held(vj, links, known);
	if (!spared)
		return false;
	*ret_link = spared;
	return true;
}

/*
 * To spread connections over the owners of an endpoint they must be known one by one: vjd says how many there are, and
 * @flow modulo that chooses, here and there. When one comes or goes vjd says so, and all routes are asked for anew.
 */
static int route_choose(struct vj *vj, uint8_t proto, const struct endpoint *remote, uint32_t flow, bool spares, struct vj_link **ret_link)
{
	struct route *all = route_slot(vj, proto, remote, ROUTE_ALL), *one;
	struct owners owners = { 0 };
	struct vj_link *link;
	uint32_t owner;
	int err;

	if (route_is(all, proto, remote, ROUTE_ALL) && likely(route_is_current(all))) {
		owner = flow % all->owners;
		one = all->owners == 1 ? all : route_slot(vj, proto, remote, owner); /* may be the place of @all: asked for each time */
		all->begun++;
		if (all->owners == 1 || route_is(one, proto, remote, owner)) {
			*ret_link = one->link;
			return 0;
		}
		if (spares && route_spares(vj, all, flow, ret_link))
			return 0;
	}
	if (vj->ifl_cnt && proto != CTL_PROTO_RAW && !route_by_interface(vj, &remote->addr, &link)) {
		route_remember_interface(vj, proto, remote, link);
		*ret_link = link;
		return 0;
	}
	err = route_missed(vj, proto, remote);
	if (err)
		return err;
	err = route_ask(vj, proto, remote, flow, &link, &owners);
	if (err == -EHOSTUNREACH)
		err = route_out(vj, proto, remote, &link);
	else if (!err)
		route_remember_owners(vj, proto, remote, flow, owners, link);
	if (err == -EHOSTUNREACH || err == -EACCES || err == -ENETUNREACH)
		route_remember_miss(vj, proto, remote, err);
	if (!err)
		*ret_link = link;
	return err;
}

/* Whose calls others take may come to wait for a process that is stopped; and those that do are kept from the next ones. */
static void route_mind_stopped(struct vj *vj, const struct endpoint *remote, uint32_t flow, struct vj_link **link)
{
	const struct route *all = route_slot(vj, CTL_PROTO_TCP, remote, ROUTE_ALL);

	if (!route_is(all, CTL_PROTO_TCP, remote, ROUTE_ALL) || !all->copied)
		return;
	stopped_watch(vj);
	if (link_stands_still(*link))
		(void)route_other(vj, remote, flow, *link, link);
}

int route_find(struct vj *vj, uint8_t proto, const struct endpoint *remote, uint32_t flow, struct vj_link **ret_link)
{
	int err = route_choose(vj, proto, remote, flow, proto == CTL_PROTO_TCP, ret_link);

	if (!err && proto == CTL_PROTO_TCP && !(*ret_link)->ifl)
		route_mind_stopped(vj, remote, flow, ret_link);
	return err;
}

bool route_is_one(struct vj *vj, const struct endpoint *remote)
{
	const struct route *all = route_slot(vj, CTL_PROTO_TCP, remote, ROUTE_ALL);

	return route_is(all, CTL_PROTO_TCP, remote, ROUTE_ALL) && !all->copied;
}

bool route_other(struct vj *vj, const struct endpoint *remote, uint32_t flow, const struct vj_link *than, struct vj_link **ret_link)
{
	const struct route *all = route_slot(vj, CTL_PROTO_TCP, remote, ROUTE_ALL);
	struct vj_link *link;

	for (uint32_t i = 0, cnt = 1; i < cnt; i++) {
		if (route_choose(vj, CTL_PROTO_TCP, remote, flow + i, false, &link))
			return false;
		cnt = route_is(all, CTL_PROTO_TCP, remote, ROUTE_ALL) && all->copied ? min_u32(all->owners, ROUTE_CNT) : 1;
		if (link == than || link->ifl || link->dead || link_is_stopped(link))
			continue;
		*ret_link = link;
		return true;
	}
	return false;
}

static unsigned ports_total(const struct ports *p, uint8_t proto)
{
	unsigned total = 0;

	for (unsigned i = 0; i < p->block_cnt; i++)
		if (p->blocks[i].proto == proto)
			total += p->blocks[i].cnt;
	return total;
}

/* Another block from vjd: as much again as there is. */
static int ports_more(struct vj *vj, uint8_t proto)
{
	struct ports *p = &vj->ports;
	uint16_t want = (uint16_t)min_u32(max_u32(ports_total(p, proto), PORTS_ASK_MIN), CTL_PORTS_MAX);
	uint16_t first, cnt;
	int err;

	if (!vj->ctl)
		return -ENOTCONN;
	if (p->block_cnt == PORT_BLOCK_CNT)
		return -EADDRNOTAVAIL;
	err = control_done(vj, ctl_client_ports(vj->ctl, (enum ctl_proto)proto, 0, want, &first, &cnt));
	if (err)
		return err;
	if (!cnt)
		return -EADDRNOTAVAIL;
	ports_add(p, proto, first, cnt);
	return 0;
}

/* ---- ports of connections that have become the kernel's (to_kernel.h). Whoever has the block next, vjd sees that the kernel is in it. */

void ports_to_kernel(struct vj *vj, uint16_t port)
{
	vj->ports.kernels[port / 64] |= UINT64_C(1) << port % 64;
}

/* Without SO_REUSEADDR a port can't be bound as long as the kernel has any connection there, in TIME_WAIT, too. */
static bool is_bound(int family, uint16_t port)
{
	struct endpoint any = { .addr = family == AF_INET ? ip_addr_any_v4() : ip_addr_any_v6(), .port = port };
	int fd = sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0, on = 1;
	struct sockaddr_storage addr;

	if (fd < 0)
		return fd != -EAFNOSUPPORT; /* can't be told: another port is as good */
	if (family == AF_INET6)
		err = sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	addr_to_sockaddr(&any, &addr);
	if (!err)
		err = sys_bind(fd, (struct sockaddr *)&addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	sys_close(fd);
	return err == -EADDRINUSE;
}

bool ports_are_kernels(struct vj *vj, uint16_t port)
{
	uint64_t *word = &vj->ports.kernels[port / 64], bit = UINT64_C(1) << port % 64;

	if (likely(!(*word & bit)))
		return false;
	if (is_bound(AF_INET, port) || is_bound(AF_INET6, port))
		return true;
	*word &= ~bit;
	return false;
}

/* ---- vjd is back */

void ports_lost(struct vj *vj)
{
	for (unsigned i = 0; i < vj->ports.block_cnt; i++)
		vj->ports.blocks[i].unstated = true;
}

/* Return: it is to be kept */
static bool block_restate(struct vj *vj, struct port_block *b)
{
	int err;

	if (!b->unstated || !vj->ctl || ctl_client_is_behind(vj->ctl))
		return true;
	err = control_done(vj, ctl_client_ports(vj->ctl, (enum ctl_proto)b->proto, b->first, b->cnt, &b->first, &b->cnt));
	b->unstated = err == -ENOTCONN;
	return b->unstated || (!err && b->cnt);
}

bool ports_restate(struct vj *vj)
{
	struct ports *p = &vj->ports;
	unsigned kept = 0;
	bool all = true;

	for (unsigned i = 0; i < p->block_cnt; i++) {
		struct port_block b = p->blocks[i];

		if (!block_restate(vj, &b))
			continue;
		all &= !b.unstated;
		p->blocks[kept++] = b;
	}
	p->block_cnt = kept;
	p->cursor_block = 0;
	p->cursor = 0;
	return all;
}

/*
 * Round robin through our blocks, so that a port rests as long as possible before it is used again. Only after every one of
 * them has been tried in vain for one connection is another block asked for.
 */
int ports_next(struct vj *vj, uint8_t proto, unsigned tries, uint16_t *ret_port)
{
	struct ports *p = &vj->ports;
	const struct port_block *b;

	if (tries >= ports_total(p, proto)) {
		int err = ports_more(vj, proto);

		if (err)
			return err;
	}
	while (p->cursor_block >= p->block_cnt || p->blocks[p->cursor_block].proto != proto ||
	       p->cursor >= p->blocks[p->cursor_block].cnt) {
		p->cursor = 0;
		p->cursor_block = p->cursor_block + 1 < p->block_cnt ? p->cursor_block + 1 : 0;
	}
	b = &p->blocks[p->cursor_block];
	*ret_port = (uint16_t)(b->first + p->cursor++);
	return 0;
}

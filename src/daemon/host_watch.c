// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/host_watch.h"

#include "base/time.h"
#include "channel/sys.h"
#include "daemon/if_name.h"
#include "daemon/rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HOST_WATCH_PAUSE_NS (20 * NS_PER_MS)

enum {
	EVENTS_BYTES = 65536,
	EVENTS_ROOM_BYTES = 4 << 20, /* what the kernel may keep for us while we do something else */
	DUMP_TRIES = 5,
	ATTACHED_MAX = HOST_INTERFACE_MAX,
	TOLD_MAX = 64,
};

struct host_watch {
	const struct host_watch_ops *ops;
	void *arg;
	struct rtnl rtnl;
	struct mnl_socket *events;
	int table_fd;
	struct host_table *table;
	struct host_image image;   /* as published, or more recent */
	unsigned neighbour_cnt;
	bool reread, reread_neighbours; /* wanted */
	bool neighbours_changed;	/* not published yet */
	/* Neighbours of which is to be told, once the table has them: who is told looks there. */
	struct host_neighbour told[TOLD_MAX];
	unsigned told_cnt;
	uint64_t pause_until_ns;
	uint32_t attached[ATTACHED_MAX];
	bool unjudged[ATTACHED_MAX]; /* of the interface in @attached */
};

/* ---- attributes: as many as we look at, bounds checked by libmnl */

enum { ATTR_MAX = 64 };

struct attrs {
	const struct nlattr *at[ATTR_MAX];
};

static int keep_attr(const struct nlattr *attr, void *arg)
{
	struct attrs *attrs = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type < ATTR_MAX)
		attrs->at[type] = attr;
	return MNL_CB_OK;
}

static void attrs_of(const struct nlmsghdr *nlh, unsigned header_bytes, struct attrs *ret)
{
	*ret = (struct attrs){ { NULL } };
	mnl_attr_parse(nlh, header_bytes, keep_attr, ret);
}

static bool get_addr(const struct nlattr *attr, uint8_t family, struct ip_addr *ret)
{
	const uint8_t *p = attr != NULL ? mnl_attr_get_payload(attr) : NULL;
	struct be32 v4;

	if (p == NULL || mnl_attr_get_payload_len(attr) < (family == AF_INET ? 4 : 16))
		return false;
	if (family == AF_INET) {
		memcpy(&v4, p, sizeof(v4));
		*ret = ip_addr_from_v4(v4);
	} else {
		*ret = ip_addr_from_v6(p);
	}
	return true;
}

static bool get_u32(const struct nlattr *attr, uint32_t *ret)
{
	if (attr == NULL || mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = mnl_attr_get_u32(attr);
	return true;
}

static bool family_ok(uint8_t family)
{
	return family == AF_INET || family == AF_INET6;
}

/* ---- interfaces, addresses, routes: one message of a dump, into @image */

struct dump {
	struct host_image *image;
};

/* A link of vjd's own making */
static bool is_ours(const struct attrs *a)
{
	return a->at[IFLA_IFNAME] != NULL && if_name_is_ours(mnl_attr_get_str(a->at[IFLA_IFNAME]));
}

static int take_link(const struct nlmsghdr *nlh, void *arg)
{
	struct host_image *im = ((struct dump *)arg)->image;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct host_interface *ifc = &im->interfaces[im->interface_cnt];
	struct attrs a;

	attrs_of(nlh, sizeof(*ifi), &a);
	if (is_ours(&a))
		return MNL_CB_OK;
	if (im->interface_cnt == HOST_INTERFACE_MAX) {
		im->flags |= HOST_TABLE_TRUNCATED;
		return MNL_CB_OK;
	}
	*ifc = (struct host_interface){ .ifindex = (uint32_t)ifi->ifi_index };
	get_u32(a.at[IFLA_MTU], &ifc->mtu);
	if ((ifi->ifi_flags & IFF_UP) != 0 && (ifi->ifi_flags & IFF_RUNNING) != 0)
		ifc->flags |= HOST_IF_UP;
	if (ifi->ifi_type == ARPHRD_ETHER && a.at[IFLA_ADDRESS] != NULL &&
	    mnl_attr_get_payload_len(a.at[IFLA_ADDRESS]) == sizeof(ifc->mac))
		memcpy(ifc->mac, mnl_attr_get_payload(a.at[IFLA_ADDRESS]), sizeof(ifc->mac));
	if (a.at[IFLA_IFNAME] != NULL)
		strncpy(ifc->name, mnl_attr_get_str(a.at[IFLA_IFNAME]), sizeof(ifc->name) - 1);
	im->interface_cnt++;
	return MNL_CB_OK;
}

static int take_addr(const struct nlmsghdr *nlh, void *arg)
{
	struct host_image *im = ((struct dump *)arg)->image;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct host_addr *to = &im->addrs[im->addr_cnt];
	uint32_t flags = ifa->ifa_flags;
	struct ip_addr addr;
	struct attrs a;

	attrs_of(nlh, sizeof(*ifa), &a);
	/* point-to-point: IFA_ADDRESS is the other end's */
	if (!family_ok(ifa->ifa_family) ||
	    !get_addr(a.at[a.at[IFA_LOCAL] != NULL ? IFA_LOCAL : IFA_ADDRESS], ifa->ifa_family, &addr))
		return MNL_CB_OK;
	if (im->addr_cnt == HOST_ADDR_MAX) {
		im->flags |= HOST_TABLE_TRUNCATED;
		return MNL_CB_OK;
	}
	get_u32(a.at[IFA_FLAGS], &flags);
	*to = (struct host_addr){
		.addr = addr,
		.ifindex = ifa->ifa_index,
		.prefix_len = (uint8_t)min_u32(ifa->ifa_prefixlen + (ifa->ifa_family == AF_INET ? 96u : 0u), 128),
	};
	if ((flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)) == 0)
		to->flags = HOST_ADDR_USABLE;
	im->addr_cnt++;
	return MNL_CB_OK;
}

static uint32_t route_mtu(const struct nlattr *metrics)
{
	struct attrs a = { { NULL } };
	uint32_t mtu = 0;

	if (metrics != NULL)
		mnl_attr_parse_nested(metrics, keep_attr, &a);
	get_u32(a.at[RTAX_MTU], &mtu);
	return mtu;
}

/* 172.16.0.0/12 by way of an IPv6 neighbour (RFC 5549). */
static void gateway_of_other_family(const struct nlattr *via, struct host_prefix *p)
{
	const struct rtvia *v = via != NULL ? mnl_attr_get_payload(via) : NULL;

	if (v != NULL && mnl_attr_get_payload_len(via) >= sizeof(*v) + 16 && v->rtvia_family == AF_INET6)
		p->gateway = ip_addr_from_v6(v->rtvia_addr);
}

static bool is_wanted(const struct rtmsg *rtm, const struct attrs *a)
{
	uint32_t table = rtm->rtm_table;

	get_u32(a->at[RTA_TABLE], &table);
	return family_ok(rtm->rtm_family) && table == RT_TABLE_MAIN && (rtm->rtm_flags & RTM_F_CLONED) == 0 &&
	       rtm->rtm_tos == 0 && rtm->rtm_src_len == 0 && (rtm->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0;
}

static void add_route(struct host_image *im, const struct host_prefix *p)
{
	if (im->route_cnt == HOST_ROUTE_MAX)
		im->flags |= HOST_TABLE_TRUNCATED;
	else
		im->routes[im->route_cnt++] = *p;
}

static bool is_whole(const struct rtnexthop *nh, size_t left)
{
	return left >= sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) && nh->rtnh_len <= left;
}

/* An entry for each of several hops. Of one, which the kernel may write so, too: as any other route. */
static void add_hops(struct host_image *im, const struct nlattr *multipath, uint8_t family, struct host_prefix p)
{
	const uint8_t *at = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);
	const struct rtnexthop *nh;

	for (nh = (const void *)at; is_whole(nh, left); nh = (const void *)at) {
		size_t step = min_u64(RTNH_ALIGN(nh->rtnh_len), left);
		struct attrs a = { { NULL } };

		if (step < left)
			p.flags = HOST_PREFIX_SEVERAL;
		p.gateway = (struct ip_addr){ .bytes = { 0 } };
		p.ifindex = (uint32_t)nh->rtnh_ifindex;
		mnl_attr_parse_payload(nh + 1, nh->rtnh_len - sizeof(*nh), keep_attr, &a);
		get_addr(a.at[RTA_GATEWAY], family, &p.gateway);
		gateway_of_other_family(a.at[RTA_VIA], &p);
		/* one that is down is no way, but may be one again without a word */
		add_route(im, &p);
		at += step;
		left -= step;
	}
}

static int take_route(const struct nlmsghdr *nlh, void *arg)
{
	struct host_image *im = ((struct dump *)arg)->image;
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	uint8_t family = rtm->rtm_family;
	struct host_prefix p = { .metric = 0 };
	struct attrs a;

	attrs_of(nlh, sizeof(*rtm), &a);
	if (!is_wanted(rtm, &a))
		return MNL_CB_OK;
	p.dest = family == AF_INET ? ip_addr_any_v4() : ip_addr_any_v6();
	get_addr(a.at[RTA_DST], family, &p.dest);
	get_addr(a.at[RTA_GATEWAY], family, &p.gateway);
	get_addr(a.at[RTA_PREFSRC], family, &p.source);
	get_u32(a.at[RTA_PRIORITY], &p.metric);
	get_u32(a.at[RTA_OIF], &p.ifindex);
	p.mtu = route_mtu(a.at[RTA_METRICS]);
	p.prefix_len = (uint8_t)min_u32(rtm->rtm_dst_len + (family == AF_INET ? 96u : 0u), 128);
	gateway_of_other_family(a.at[RTA_VIA], &p);
	if (rtm->rtm_type != RTN_UNICAST)
		p.ifindex = 0;
	if (a.at[RTA_MULTIPATH] != NULL)
		add_hops(im, a.at[RTA_MULTIPATH], family, p);
	else
		add_route(im, &p);
	return MNL_CB_OK;
}

/* Any destination, any source, whatever the packet: its table, or 0 */
static uint32_t table_of_all(const struct nlmsghdr *nlh, const struct fib_rule_hdr *rule)
{
	/* what says where a rule is, not whom it is for (FRA_TABLE, which FR_ACT_TO_TBL looks into; FRA_SUPPRESS_* hold nothing if -1) */
	static const uint8_t harmless[] = { FRA_PRIORITY, FRA_TABLE, FRA_PROTOCOL, FRA_SUPPRESS_PREFIXLEN, FRA_SUPPRESS_IFGROUP };
	uint32_t table = rule->table, none;
	struct attrs a;

	attrs_of(nlh, sizeof(*rule), &a);
	get_u32(a.at[FRA_TABLE], &table);
	if (rule->action != FR_ACT_TO_TBL || rule->dst_len != 0 || rule->src_len != 0 || rule->tos != 0 || rule->flags != 0 ||
	    (get_u32(a.at[FRA_SUPPRESS_PREFIXLEN], &none) && none != UINT32_MAX))
		return 0;
	for (unsigned i = 0; i < ATTR_MAX; i++)
		if (a.at[i] != NULL && memchr(harmless, (int)i, sizeof(harmless)) == NULL)
			return 0;
	return table;
}

/* Those that every host has; others are those of multicast routing. */
static int take_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	uint32_t table = family_ok(rule->family) ? table_of_all(nlh, rule) : RT_TABLE_MAIN;

	if (table != RT_TABLE_LOCAL && table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT)
		((struct dump *)arg)->image->flags |= HOST_TABLE_RULES;
	return MNL_CB_OK;
}

/* Longest prefix first; of one prefix the least metric. IPv4 and IPv6 don't meet: a mapped prefix has 96 bits more. */
static int route_order(const void *va, const void *vb)
{
	const struct host_prefix *a = va, *b = vb;
	int dest = memcmp(a->dest.bytes, b->dest.bytes, sizeof(a->dest.bytes));

	if (a->prefix_len != b->prefix_len)
		return a->prefix_len > b->prefix_len ? -1 : 1;
	if (dest != 0)
		return dest;
	return a->metric < b->metric ? -1 : a->metric > b->metric;
}

/*
 * Of IPv6 the kernel writes routes without a gateway, as fe80::/64 at each interface, and those of router advertisements one by one,
 * though they have one prefix and metric: it goes by the interface that is asked for, and by what it knows of the routers.
 */
static void sort_routes(struct host_image *im)
{
	qsort(im->routes, im->route_cnt, sizeof(im->routes[0]), route_order);
	for (uint32_t i = 1; i < im->route_cnt; i++) {
		if (route_order(&im->routes[i - 1], &im->routes[i]) != 0)
			continue;
		im->routes[i - 1].flags |= HOST_PREFIX_SEVERAL;
		im->routes[i].flags |= HOST_PREFIX_SEVERAL;
	}
}

static void mark_attached(const struct host_watch *w, struct host_image *im)
{
	for (uint32_t i = 0; i < im->interface_cnt; i++) {
		struct host_interface *ifc = &im->interfaces[i];

		ifc->flags &= ~(uint32_t)(HOST_IF_ATTACHED | HOST_IF_UNJUDGED);
		for (unsigned k = 0; k < ATTACHED_MAX; k++)
			if (w->attached[k] == ifc->ifindex)
				ifc->flags |= w->unjudged[k] ? HOST_IF_ATTACHED | HOST_IF_UNJUDGED : HOST_IF_ATTACHED;
	}
}

static int dump_all(struct host_watch *w, struct dump *d)
{
	int r = rtnl_dump(&w->rtnl, RTM_GETLINK, AF_UNSPEC, take_link, d);

	if (r == 0)
		r = rtnl_dump(&w->rtnl, RTM_GETADDR, AF_UNSPEC, take_addr, d);
	if (r == 0)
		r = rtnl_dump(&w->rtnl, RTM_GETROUTE, AF_INET, take_route, d);
	if (r == 0)
		r = rtnl_dump(&w->rtnl, RTM_GETROUTE, AF_INET6, take_route, d);
	if (r == 0)
		r = rtnl_dump(&w->rtnl, RTM_GETRULE, AF_UNSPEC, take_rule, d);
	return r;
}

/* All but the neighbours. */
static int read_tables(struct host_watch *w)
{
	struct host_image *im = malloc(sizeof(*im));
	int r = -EAGAIN;

	if (im == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		struct dump d = { .image = im };

		im->interface_cnt = im->addr_cnt = im->route_cnt = im->flags = 0;
		r = dump_all(w, &d);
	}
	if (r == 0) {
		sort_routes(im);
		mark_attached(w, im);
		memcpy(&w->image, im, offsetof(struct host_image, neighbours));
	}
	free(im);
	return r;
}

/* ---- neighbours */

static enum host_neighbour_state state_of(uint16_t nud)
{
	if ((nud & (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP)) != 0)
		return HOST_NEIGHBOUR_REACHABLE;
	if ((nud & (NUD_STALE | NUD_DELAY | NUD_PROBE)) != 0)
		return HOST_NEIGHBOUR_STALE;
	if ((nud & NUD_INCOMPLETE) != 0)
		return HOST_NEIGHBOUR_ASKED;
	return (nud & NUD_FAILED) != 0 ? HOST_NEIGHBOUR_FAILED : HOST_NEIGHBOUR_NONE;
}

/* Return: the slot of this neighbour, or the empty one at which the search ends */
static struct host_neighbour *find_slot(struct host_image *im, uint32_t ifindex, const struct ip_addr *addr)
{
	unsigned slot = host_neighbour_slot(ifindex, addr);

	while (im->neighbours[slot].state != HOST_NEIGHBOUR_NONE &&
	       (im->neighbours[slot].ifindex != ifindex || !ip_addr_eq(&im->neighbours[slot].addr, addr)))
		slot = (slot + 1) % HOST_NEIGHBOUR_MAX;
	return &im->neighbours[slot];
}

/* Knuth's algorithm R: those behind that would no longer be found move up. */
static void remove_slot(struct host_image *im, unsigned hole)
{
	unsigned i = hole;

	for (;;) {
		unsigned home;

		i = (i + 1) % HOST_NEIGHBOUR_MAX;
		if (im->neighbours[i].state == HOST_NEIGHBOUR_NONE)
			break;
		home = host_neighbour_slot(im->neighbours[i].ifindex, &im->neighbours[i].addr);
		if ((i + HOST_NEIGHBOUR_MAX - home) % HOST_NEIGHBOUR_MAX < (i + HOST_NEIGHBOUR_MAX - hole) % HOST_NEIGHBOUR_MAX)
			continue;
		im->neighbours[hole] = im->neighbours[i];
		hole = i;
	}
	im->neighbours[hole] = (struct host_neighbour){ 0 };
}

static void set_neighbour(struct host_watch *w, const struct host_neighbour *n)
{
	struct host_neighbour *slot = find_slot(&w->image, n->ifindex, &n->addr);
	bool known = slot->state != HOST_NEIGHBOUR_NONE;

	if (memcmp(slot, n, sizeof(*n)) == 0)
		return;
	w->neighbours_changed |= known || n->state != HOST_NEIGHBOUR_NONE;
	if (n->state == HOST_NEIGHBOUR_NONE) {
		if (known)
			remove_slot(&w->image, (unsigned)(slot - w->image.neighbours));
		w->neighbour_cnt -= known;
		return;
	}
	if (!known && w->neighbour_cnt >= HOST_NEIGHBOUR_MAX / 2)
		return;
	w->neighbour_cnt += !known;
	*slot = *n;
}

/* Return: false: none that we follow */
static bool parse_neighbour(const struct nlmsghdr *nlh, struct host_neighbour *ret)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct attrs a;

	*ret = (struct host_neighbour){ .ifindex = (uint32_t)ndm->ndm_ifindex };
	attrs_of(nlh, sizeof(*ndm), &a);
	if (!family_ok(ndm->ndm_family) || (ndm->ndm_flags & NTF_PROXY) != 0 ||
	    !get_addr(a.at[NDA_DST], ndm->ndm_family, &ret->addr) || ip_addr_is_multicast(&ret->addr))
		return false;
	if (nlh->nlmsg_type != RTM_DELNEIGH)
		ret->state = (uint8_t)state_of(ndm->ndm_state);
	if (ret->state < HOST_NEIGHBOUR_STALE)
		return true;
	if (a.at[NDA_LLADDR] == NULL || mnl_attr_get_payload_len(a.at[NDA_LLADDR]) != sizeof(ret->mac))
		return false;
	memcpy(ret->mac, mnl_attr_get_payload(a.at[NDA_LLADDR]), sizeof(ret->mac));
	return true;
}

static int take_neighbour(const struct nlmsghdr *nlh, void *arg)
{
	struct host_neighbour n;

	if (parse_neighbour(nlh, &n))
		set_neighbour(arg, &n);
	return MNL_CB_OK;
}

static int read_neighbours(struct host_watch *w)
{
	int r = -EAGAIN;

	for (unsigned i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		memset(w->image.neighbours, 0, sizeof(w->image.neighbours));
		w->neighbour_cnt = 0;
		r = rtnl_dump(&w->rtnl, RTM_GETNEIGH, AF_UNSPEC, take_neighbour, w);
	}
	return r;
}

/* ---- events */

static void publish(struct host_watch *w)
{
	unsigned cnt = w->told_cnt;

	w->neighbours_changed = false;
	w->told_cnt = 0;
	host_table_publish(w->table, &w->image);
	for (unsigned i = 0; i < cnt; i++)
		w->ops->neighbour(w->arg, w->told[i].ifindex, &w->told[i].addr, (enum host_neighbour_state)w->told[i].state);
}

/* News that the table has nothing of */
static bool is_beside(const struct nlmsghdr *nlh)
{
	struct attrs a;

	if (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK)
		return false;
	attrs_of(nlh, sizeof(struct ifinfomsg), &a);
	return is_ours(&a);
}

static int take_event(const struct nlmsghdr *nlh, void *arg)
{
	struct host_watch *w = arg;
	struct host_neighbour n;

	if (is_beside(nlh))
		return MNL_CB_OK;
	if (nlh->nlmsg_type != RTM_NEWNEIGH && nlh->nlmsg_type != RTM_DELNEIGH) {
		w->reread = true;
		return MNL_CB_OK;
	}
	if (!parse_neighbour(nlh, &n))
		return MNL_CB_OK;
	set_neighbour(w, &n);
	if (n.state != HOST_NEIGHBOUR_FAILED && n.state < HOST_NEIGHBOUR_STALE)
		return MNL_CB_OK;
	if (w->told_cnt == TOLD_MAX)
		publish(w);
	w->told[w->told_cnt++] = n;
	return MNL_CB_OK;
}

static void read_events(struct host_watch *w)
{
	char buf[EVENTS_BYTES];

	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(w->events), buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS) {
			w->reread = w->reread_neighbours = true;
			continue;
		}
		if (n < 0)
			return;
		mnl_cb_run(buf, (size_t)n, 0, 0, take_event, w);
	}
}

void host_watch_run(struct host_watch *w, uint64_t now_ns)
{
	bool changed = false;

	read_events(w);
	if (w->reread && now_ns >= w->pause_until_ns) {
		w->pause_until_ns = now_ns + HOST_WATCH_PAUSE_NS;
		w->reread = false;
		if (w->reread_neighbours && read_neighbours(w) == 0)
			w->reread_neighbours = false;
		changed = read_tables(w) == 0;
		/* no memory, or changing faster than it can be read: again after the pause */
		w->reread |= !changed || w->reread_neighbours;
	}
	if (changed || w->neighbours_changed || w->told_cnt > 0)
		publish(w);
	if (changed)
		w->ops->changed(w->arg);
}

void host_watch_reread(struct host_watch *w, uint64_t now_ns)
{
	w->reread = true;
	w->pause_until_ns = 0;
	host_watch_run(w, now_ns);
}

uint64_t host_watch_deadline_ns(const struct host_watch *w)
{
	return w->reread ? w->pause_until_ns : TIME_NEVER;
}

/* ---- birth and death */

/* Ours is the only mapping for writing that there will ever be. */
static int table_new(struct host_watch *w)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

	w->table_fd = memfd_create("vj-host", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (w->table_fd < 0 || ftruncate(w->table_fd, (off_t)sizeof(*w->table)) != 0)
		return -errno;
	w->table = mmap(NULL, sizeof(*w->table), PROT_READ | PROT_WRITE, MAP_SHARED, w->table_fd, 0);
	if (w->table == MAP_FAILED) {
		w->table = NULL;
		return -errno;
	}
	if (fcntl(w->table_fd, F_ADD_SEALS, seals) != 0)
		return -errno;
	host_table_init(w->table);
	return 0;
}

static int open_events(struct host_watch *w)
{
	static const int groups[] = {
		RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_TC,
	};
	int room = EVENTS_ROOM_BYTES;

	w->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (w->events == NULL || mnl_socket_bind(w->events, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	setsockopt(mnl_socket_get_fd(w->events), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		if (mnl_socket_setsockopt(w->events, NETLINK_ADD_MEMBERSHIP, (void *)(uintptr_t)&groups[i],
					  sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

int host_watch_new(const struct host_watch_ops *ops, void *arg, struct host_watch **ret_watch)
{
	struct host_watch *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL)
		return -ENOMEM;
	w->ops = ops;
	w->arg = arg;
	w->table_fd = -1;
	r = table_new(w);
	if (r == 0)
		r = rtnl_open(&w->rtnl);
	/* first the events, then what is there: what changes in between is read twice, and nothing missed */
	if (r == 0)
		r = open_events(w);
	if (r == 0)
		r = read_neighbours(w);
	if (r == 0)
		r = read_tables(w);
	if (r < 0) {
		host_watch_free(w);
		return r;
	}
	host_table_publish(w->table, &w->image);
	*ret_watch = w;
	return 0;
}

void host_watch_free(struct host_watch *w)
{
	if (w == NULL)
		return;
	rtnl_close(&w->rtnl);
	if (w->events != NULL)
		mnl_socket_close(w->events);
	if (w->table != NULL)
		munmap(w->table, sizeof(*w->table));
	if (w->table_fd >= 0)
		close(w->table_fd);
	free(w);
}

int host_watch_fd(const struct host_watch *w)
{
	return mnl_socket_get_fd(w->events);
}

int host_watch_table_fd(const struct host_watch *w)
{
	return w->table_fd;
}

const struct host_table *host_watch_table(const struct host_watch *w)
{
	return w->table;
}

const struct host_image *host_watch_image(const struct host_watch *w)
{
	return &w->image;
}

const struct host_interface *host_watch_find(const struct host_watch *w, const char *name, uint32_t ifindex)
{
	for (uint32_t i = 0; i < w->image.interface_cnt; i++) {
		const struct host_interface *ifc = &w->image.interfaces[i];

		if (name != NULL ? strcmp(ifc->name, name) == 0 : ifc->ifindex == ifindex)
			return ifc;
	}
	return NULL;
}

void host_watch_attach(struct host_watch *w, uint32_t ifindex, bool attached)
{
	uint32_t from = attached ? 0 : ifindex;

	for (unsigned k = 0; k < ATTACHED_MAX; k++)
		if (w->attached[k] == from) {
			w->attached[k] = attached ? ifindex : 0;
			w->unjudged[k] = false;
			break;
		}
	mark_attached(w, &w->image);
	host_table_publish(w->table, &w->image);
}

bool host_watch_judged(struct host_watch *w, uint32_t ifindex, bool judged)
{
	bool news = false;

	for (unsigned k = 0; k < ATTACHED_MAX; k++)
		if (w->attached[k] == ifindex && w->unjudged[k] == judged) {
			w->unjudged[k] = !judged;
			news = true;
		}
	/* a new generation makes every application look up its routes anew: only if there is something to see */
	if (news) {
		mark_attached(w, &w->image);
		host_table_publish(w->table, &w->image);
	}
	return news;
}

int host_watch_resolve(struct host_watch *w, uint32_t ifindex, const struct ip_addr *addr)
{
	return rtnl_neighbour_use(&w->rtnl, ifindex, addr);
}

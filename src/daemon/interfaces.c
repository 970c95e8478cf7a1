// SPDX-License-Identifier: BSD-2-Clause
/* interfaces.c - attaching and detaching, following the host, and progress */
#include "daemon/interfaces.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/firewall.h"
#include "daemon/if_ask.h"
#include "daemon/if_claim.h"
#include "daemon/if_hops.h"
#include "daemon/if_lan_id.h"
#include "daemon/if_reset.h"
#include "daemon/if_state.h"
#include "daemon/if_ways.h"
#include "daemon/netns.h"
#include "daemon/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS_PER_RUN = 64 };

#define HOPS_PAUSE_NS NS_PER_SEC /* then all neighbours are looked at */

/* ---- lists */

struct iface *iface_by_index(const struct interfaces *s, uint32_t ifindex)
{
	struct iface *i;

	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (i->ifindex == ifindex)
			return i;
	return NULL;
}

/* Does the host table say all of how the kernel routes? */
static bool is_exact(const struct interfaces *s)
{
	return (host_watch_image(s->host)->flags & (HOST_TABLE_RULES | HOST_TABLE_TRUNCATED)) == 0;
}

struct if_ports iface_ports(const struct interfaces *s, const struct iface *i)
{
	return (struct if_ports){
		.dispatch = &i->dispatch,
		.chans = &i->chans,
		.lan = i->lan,
		.policy = s->d->policy,
		.netns = s->d->cfg.netns,
		.exact = is_exact(s) && !i->leave.on,
		.firewall = s->d->firewall,
		.name = i->name,
		.ifindex = i->ifindex,
		.image = s->host != NULL ? host_watch_image(s->host) : NULL,
	};
}

void iface_describe(const struct iface *i, struct ctl_interface *ret)
{
	const struct ip_prefix *prefix = if_own6_prefix(i->own6);

	*ret = (struct ctl_interface){
		.ifindex = i->ifindex,
		.mtu = i->mtu,
		.flags = (i->dispatch.hook == IF_HOOK_TC ? CTL_INTERFACE_TC : 0u) | (is_exact(i->s) ? 0u : CTL_INTERFACE_RULES),
	};
	ret->macs = (uint8_t)if_lan_macs(i->lan);
	if (prefix != NULL) {
		memcpy(ret->addr, prefix->addr.bytes, sizeof(ret->addr));
		ret->prefix_len = prefix->len;
	}
	memcpy(ret->mac, i->mac, sizeof(ret->mac));
	ctl_name_set(ret->name, i->name);
}

uint32_t interfaces_cnt(const struct vjd *d)
{
	uint32_t cnt = 0;
	struct iface *i;

	if (d->interfaces != NULL)
		TAILQ_FOREACH (i, &d->interfaces->ifaces, entry)
			cnt++;
	return cnt;
}

enum ctl_refusal iface_refusal(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		return CTL_REFUSAL_NO_PRIVILEGE;
	case EBUSY:
		return CTL_REFUSAL_XDP_BUSY;
	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
	case EFBIG: /* of memory that is a file: RLIMIT_FSIZE */
		return CTL_REFUSAL_RESOURCES;
	case ENODEV:
		return CTL_REFUSAL_NO_INTERFACE;
	case EMEDIUMTYPE:
		return CTL_REFUSAL_NO_ETHERNET;
	case EUCLEAN:
		return CTL_REFUSAL_PINS;
	default:
		return CTL_REFUSAL_NO_SUPPORT;
	}
}

/* ---- telling applications */

static void news(struct app *app, const struct iface *i, uint32_t flags)
{
	struct ctl_msg msg = { .type = CTL_INTERFACE_NEWS };
	const struct if_chan *c;

	if (app->observer || app->netns != app->d->cfg.netns)
		return;
	iface_describe(i, &msg.interface);
	/* its devices may not have been able to follow */
	if ((c = chan_of(i, app)) != NULL)
		msg.interface.mtu = c->rec.mtu;
	msg.interface.flags |= flags | (i->leave.on ? CTL_INTERFACE_LEAVING : 0u);
	app_post(app, &msg);
}

void interfaces_tell(struct app *app)
{
	struct iface *i;

	if (app->d->interfaces != NULL)
		TAILQ_FOREACH (i, &app->d->interfaces->ifaces, entry)
			news(app, i, 0);
}

void iface_tell(struct interfaces *s, const struct iface *i, uint32_t flags)
{
	struct app *app;

	TAILQ_FOREACH (app, &s->d->apps, all)
		news(app, i, flags);
}

/* ---- neighbours: where gate lets applications send to */

static void hops_sync(struct interfaces *s)
{
	const struct iface *i;

	s->hops_at_ns = 0;
	TAILQ_FOREACH (i, &s->ifaces, entry)
		if_hops_sync(&i->dispatch, host_watch_image(s->host), i->lan != NULL);
}

static void follow_hop(struct interfaces *s, const struct iface *i, const struct ip_addr *addr)
{
	struct mac_addr mac;

	if (host_table_neighbour(host_watch_table(s->host), i->ifindex, addr, mac.bytes) >= HOST_NEIGHBOUR_STALE)
		if_hops_add(&i->dispatch, &mac, i->lan != NULL);
	if (s->hops_at_ns == 0)
		s->hops_at_ns = s->d->now_ns + HOPS_PAUSE_NS;
}

/* ---- following the host */

static void follow_ways(struct interfaces *s, const struct iface *i)
{
	int r = if_ways_sync(&i->dispatch, host_watch_image(s->host));

	if (r < 0)
		log_error(s->d->cfg.log, "%s: can't be told all routes: %s", i->name, strerror(-r));
}

/* For the next vjd: the name; and the prefix, if there is one. */
static void iface_record(const struct interfaces *s, const struct iface *i, bool is_there)
{
	const struct ip_prefix *prefix = if_own6_prefix(i->own6);
	char path[160], text[IP_ADDR_TEXT_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/if-%s", s->place.dir, i->name);
	if (!is_there) {
		unlink(path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (prefix != NULL)
		dprintf(fd, "%s/%u", ip_addr_format(&prefix->addr, text), prefix->len);
	close(fd);
}

/* Rules of the firewall and of the policy are written for names. */
static void follow_name(struct interfaces *s, struct iface *i, const char name[static 16])
{
	log_info(s->d->cfg.log, "%s: is %s now", i->name, name);
	iface_record(s, i, false);
	memcpy(i->name, name, sizeof(i->name));
	iface_record(s, i, true);
	if (s->d->firewall != NULL)
		firewall_install(s->d->firewall, &i->dispatch, i->name, false);
	iface_sync(s, i);
	iface_tell(s, i, 0);
}

/* Somebody has taken dispatch away, or put a program of his own in its place. */
static void follow_hook(const struct interfaces *s, struct iface *i)
{
	bool was_lost = i->hook_lost;
	int r;

	i->hook_lost = false;
	r = if_dispatch_keep(&i->dispatch);
	if (r > 0)
		log_info(s->d->cfg.log, "%s: what was pinned below " IF_PIN_DIR " was lost: pinned again", i->name);
	if (if_dispatch_holds(&i->dispatch))
		return;
	r = if_dispatch_move(&i->dispatch);
	i->hook_lost = r < 0;
	if (r == 0)
		log_info(s->d->cfg.log, "%s: dispatch was removed or replaced: attached again, at tc", i->name);
	else if (!was_lost && r != -ENODEV) /* the interface itself is gone, which is said next */
		log_error(s->d->cfg.log, "%s: dispatch was removed, and can't be attached again, which is tried at each change of the host: %s",
			  i->name, strerror(-r));
}

void chan_follow(struct interfaces *s, const struct iface *i, struct if_chan *c)
{
	if (if_chan_follow(&s->place, &i->dispatch, c, i->mtu, i->mac) < 0)
		log_error(s->d->cfg.log, "%s: channel %u can't have the MTU %u", i->name, c->rec.nr, i->mtu);
}

static void follow(struct interfaces *s, struct iface *i, const struct host_interface *now)
{
	struct if_ports p = iface_ports(s, i);
	struct if_chan *c;

	follow_hook(s, i);
	follow_ways(s, i);
	if (strcmp(i->name, now->name) != 0)
		follow_name(s, i, now->name);
	if (if_ports_addrs_differ(&p)) {
		iface_sync(s, i);
		if_ports_sync_addrs(&p);
	}
	if_lan_follow(i->lan);
	if (memcmp(i->mac, now->mac, sizeof(i->mac)) == 0 && i->mtu == now->mtu)
		return;
	memcpy(i->mac, now->mac, sizeof(i->mac));
	i->mtu = now->mtu;
	if_dispatch_set_mac(&i->dispatch, i->mac);
	if_lan_follow(i->lan);
	if_own6_changed(i->own6);
	TAILQ_FOREACH (c, &i->chans, entry)
		chan_follow(s, i, c);
	iface_frames(i);
	iface_spare(s, i);
	iface_tell(s, i, 0);
}

/* Rules of routing have come or gone: ports are the kernel's while it may answer by ways that applications don't know. */
static void follow_rules(struct interfaces *s)
{
	if (s->inexact == !is_exact(s))
		return;
	s->inexact = !s->inexact;
	log_info(s->d->cfg.log, s->inexact ? "the host has rules of routing, or more routes than fit: ports are left to the kernel" :
					     "the host routes by its main table again: ports are given to channels");
	interfaces_policy_changed(s->d);
}

static void host_changed(void *arg)
{
	struct interfaces *s = arg;
	struct iface *i, *next;

	gateways_follow(s);
	follow_rules(s);
	hops_sync(s);
	for (i = TAILQ_FIRST(&s->ifaces); i != NULL; i = next) {
		const struct host_interface *now = host_watch_find(s->host, NULL, i->ifindex);

		next = TAILQ_NEXT(i, entry);
		if (now != NULL) {
			follow(s, i, now);
			continue;
		}
		log_info(s->d->cfg.log, "%s: is no more", i->name);
		iface_end(s, i);
	}
	if_claim_settle(s);
}

static void host_neighbour(void *arg, uint32_t ifindex, const struct ip_addr *addr, enum host_neighbour_state state)
{
	struct iface *i = iface_by_index(arg, ifindex);
	struct gateway *g = gateway_by_index(arg, ifindex);

	if (i != NULL)
		follow_hop(arg, i, addr);
	if (i != NULL && i->lan != NULL)
		if_ask_neighbour(if_lan_ask(i->lan), addr);
	if (g != NULL)
		if_ask_neighbour(gateway_ask(g), addr);
	resolve_done(arg, ifindex, addr, state == HOST_NEIGHBOUR_FAILED);
}

static const struct host_watch_ops host_ops = { .changed = host_changed, .neighbour = host_neighbour };

/* ---- getting ready: what only a vjd with interfaces needs */

static int open_there(void *arg)
{
	return rtnl_open(arg);
}

static void netns_path(const struct interfaces *s, char path[static 128])
{
	snprintf(path, 128, "%s/netns", s->place.dir);
}

/* @ret_found: an earlier vjd has left the namespace, perhaps with channels */
static int open_place(struct interfaces *s, bool *ret_found)
{
	char path[128];
	int r;

	netns_path(s, path);
	*ret_found = access(path, F_OK) == 0;
	if (mkdir(s->place.dir, 0700) != 0 && errno != EEXIST)
		return -errno;
	r = s->place.netns_fd = netns_open(path);
	if (r < 0)
		return r;
	return netns_do(s->place.netns_fd, open_there, &s->place.there);
}

static void close_place(struct interfaces *s)
{
	rtnl_close(&s->place.there);
	if (s->place.netns_fd >= 0)
		close(s->place.netns_fd);
	s->place.netns_fd = -1;
}

static void forget_place(const struct interfaces *s)
{
	char path[128];

	netns_path(s, path);
	netns_forget(path);
	if_lan_id_forget(s->place.dir);
	rmdir(s->place.dir);
}

int interfaces_follow_host(struct interfaces *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	int r;

	if (s->host != NULL)
		return 0;
	r = rtnl_open(&s->place.here);
	if (r == 0)
		r = host_watch_new(&host_ops, s, &s->host);
	if (r < 0) {
		rtnl_close(&s->place.here);
		return r;
	}
	epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, host_watch_fd(s->host), &e);
	return 0;
}

int interfaces_find_host(struct interfaces *s, const char *name, const struct host_interface **ret)
{
	static const uint8_t none[6];
	const struct host_interface *found;

	host_watch_run(s->host, s->d->now_ns);
	found = host_watch_find(s->host, name, 0);
	if (found == NULL && if_nametoindex(name) != 0) { /* it may have come since the last reading */
		host_watch_reread(s->host, s->d->now_ns);
		found = host_watch_find(s->host, name, 0);
	}
	if (found == NULL && if_nametoindex(name) != 0)
		log_error(s->d->cfg.log, "%s: the host has more interfaces than vjd knows: %u", name, HOST_INTERFACE_MAX);
	if (found == NULL)
		return -ENODEV;
	if (memcmp(found->mac, none, sizeof(none)) == 0)
		return -EMEDIUMTYPE;
	*ret = found;
	return 0;
}

static int get_ready(struct interfaces *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	bool found = true;
	int r;

	if (s->ready)
		return 0;
	r = interfaces_follow_host(s);
	if (r == 0)
		r = open_place(s, &found);
	if (r == 0)
		r = if_maker_new(s->place.netns_fd, s->place.dir, &s->maker);
	if (r < 0) {
		if_maker_free(s->maker);
		s->maker = NULL;
		close_place(s);
		if (!found)
			forget_place(s);
		return r;
	}
	epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, if_maker_fd(s->maker), &e);
	s->ready = true;
	s->swept = if_chan_sweep(&s->place);
	if (s->swept > 0)
		log_info(s->d->cfg.log, "%u pairs of devices removed that an earlier vjd had left, and nothing tells of", s->swept);
	return 0;
}

/* ---- attach and detach */

static int iface_new(struct interfaces *s, const struct host_interface *from, bool at_tc, struct iface **ret_iface)
{
	struct iface *i = calloc(1, sizeof(*i));
	int r;

	if (i == NULL)
		return -ENOMEM;
	i->s = s;
	i->ifindex = from->ifindex;
	i->mtu = from->mtu;
	memcpy(i->mac, from->mac, sizeof(i->mac));
	memcpy(i->name, from->name, sizeof(i->name));
	TAILQ_INIT(&i->chans);
	r = if_dispatch_attach(i->ifindex, i->mac, at_tc, &i->dispatch);
	if (r < 0) {
		free(i);
		return r;
	}
	follow_ways(s, i);
	if (s->d->firewall != NULL)
		firewall_install(s->d->firewall, &i->dispatch, i->name, true);
	if (s->swept > 0)
		if_reset_dead(&i->dispatch, i->dispatch.map_fds[IF_MAP_FLOWS]);
	TAILQ_INSERT_TAIL(&s->ifaces, i, entry);
	*ret_iface = i;
	return 0;
}

/* Without it the interface serves all the same. */
static void lan_begin(struct interfaces *s, struct iface *i)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &s->lan_tag };
	int r = s->d->cfg.lan.off ? 0 : if_lan_new(s, i, &i->lan);

	if (r < 0)
		log_error(s->d->cfg.log, "%s: applications get no MAC addresses: %s", i->name, strerror(-r));
	if (i->lan != NULL)
		epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, if_lan_fd(i->lan), &e);
}

/* Return: 0; -EADDRNOTAVAIL: there is another prefix, or some of this at another interface; other negative errno: none is given, and the interface serves all the same */
static int own6_begin(struct interfaces *s, struct iface *i, const struct ip_prefix *prefix)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = &s->lan_tag };
	const struct ip_prefix *has = if_own6_prefix(i->own6);
	const struct iface *other;
	struct if_chan *c;
	int r;

	if (prefix == NULL)
		return 0;
	if (has != NULL)
		return has->len == prefix->len && ip_prefix_has(has, &prefix->addr) ? 0 : -EADDRNOTAVAIL;
	TAILQ_FOREACH (other, &s->ifaces, entry) {
		has = if_own6_prefix(other->own6);
		if (has != NULL && (ip_prefix_has(has, &prefix->addr) || ip_prefix_has(prefix, &has->addr)))
			return -EADDRNOTAVAIL;
	}
	r = if_own6_new(s, i, prefix, &i->own6);
	if (r < 0)
		return r;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, if_own6_fd(i->own6), &e);
	TAILQ_FOREACH (c, &i->chans, entry)
		if_own6_chan_begin(i->own6, c);
	return 0;
}

/* Return: 0; negative errno: it isn't attached. */
static int attach_new(struct interfaces *s, const struct host_interface *from, bool at_tc, const struct ip_prefix *prefix,
		      struct iface **ret_iface)
{
	struct if_ports p;
	int r = iface_new(s, from, at_tc, ret_iface);

	if (r < 0)
		return r;
	r = own6_begin(s, *ret_iface, prefix);
	p = iface_ports(s, *ret_iface);
	if_ports_sync_addrs(&p);
	lan_begin(s, *ret_iface);
	hops_sync(s);
	if (!s->adopting)
		iface_spare(s, *ret_iface);
	host_watch_attach(s->host, from->ifindex, true);
	if (r == 0)
		return 0;
	if (s->adopting) { /* its channels are in use */
		log_error(s->d->cfg.log, "%s: applications get no IPv6 addresses: %s", from->name, strerror(-r));
		return 0;
	}
	iface_end(s, *ret_iface);
	*ret_iface = NULL;
	return r;
}

/* Return: 0; negative errno: what was asked for isn't so, and *@ret_iface is NULL, or attached before and as it was. */
static int attach(struct interfaces *s, const char *name, bool at_tc, const struct ip_prefix *prefix, struct iface **ret_iface)
{
	const struct host_interface *from;
	int r = prefix == NULL || ctl_prefix_fault(prefix) == NULL ? get_ready(s) : -EADDRNOTAVAIL;

	*ret_iface = NULL;
	if (r < 0)
		return r;
	r = interfaces_find_host(s, name, &from);
	if (r < 0)
		return r;
	*ret_iface = iface_by_index(s, from->ifindex);
	if (*ret_iface != NULL && (*ret_iface)->leave.on) {
		leave_end(s, *ret_iface);
		*ret_iface = NULL;
	}
	if (*ret_iface == NULL)
		r = attach_new(s, from, at_tc, prefix, ret_iface);
	else
		r = own6_begin(s, *ret_iface, prefix);
	if (r == 0 && at_tc)
		r = if_dispatch_move(&(*ret_iface)->dispatch);
	if (*ret_iface != NULL)
		iface_record(s, *ret_iface, true);
	return r;
}

/* Without those that are about to be detached */
static uint32_t staying_cnt(const struct vjd *d)
{
	const struct iface *i;
	uint32_t cnt = 0;

	if (d->interfaces != NULL)
		TAILQ_FOREACH (i, &d->interfaces->ifaces, entry)
			cnt += !i->leave.on;
	return cnt;
}

enum ctl_refusal interfaces_attach(struct vjd *d, const char *name, bool at_tc, const struct ip_prefix *prefix,
				   struct ctl_interface *ret_interface)
{
	struct interfaces *s = d->interfaces;
	uint32_t before = staying_cnt(d);
	enum ctl_refusal why;
	struct iface *i;
	int r;

	if (s == NULL)
		return d->cfg.uid != 0 ? CTL_REFUSAL_NO_PRIVILEGE : CTL_REFUSAL_NO_SUPPORT;
	why = if_claim(s, name);
	if (why != CTL_REFUSAL_NONE)
		return why;
	r = attach(s, name, at_tc, prefix, &i);
	if_claim_done(s);
	if (r == -EADDRNOTAVAIL)
		return CTL_REFUSAL_PREFIX;
	if (r < 0) {
		log_error(d->cfg.log, "%s: %s: %s", name, i != NULL ? "attached as before" : "not attached", strerror(-r));
		return iface_refusal(r);
	}
	iface_describe(i, ret_interface);
	if (staying_cnt(d) > before) {
		log_info(d->cfg.log, "%s: attached%s", name, i->dispatch.hook == IF_HOOK_TC ? ", at tc" : "");
		iface_tell(s, i, 0);
	}
	return CTL_REFUSAL_NONE;
}

void iface_end(struct interfaces *s, struct iface *i)
{
	struct if_chan *c;
	struct ctl_msg reply;
	struct app *asker = leave_asker(i, &reply);

	/* first of all, so that no peer's SYN goes to a channel that ends: it would be asked again a second later */
	if_dispatch_unhook(&i->dispatch);
	iface_tell(s, i, CTL_INTERFACE_GONE);
	iface_part(s, i);
	while ((c = TAILQ_FIRST(&i->chans)) != NULL)
		chan_end(s, i, c);
	if_own6_free(i->own6, false);
	i->own6 = NULL;
	if_lan_free(i->lan, false);
	TAILQ_REMOVE(&s->ifaces, i, entry);
	if_dispatch_remove(&i->dispatch);
	host_watch_attach(s->host, i->ifindex, false);
	iface_record(s, i, false);
	free(i);
	leave_answer(asker, &reply);
}

static bool is_left(const char *name)
{
	int fd = if_hook_left(if_nametoindex(name));

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* It isn't attached; but an earlier vjd may have left something there, which goes as if it were. */
static enum ctl_refusal take_left(struct interfaces *s, const char *name, struct iface **ret_iface)
{
	enum ctl_refusal why = is_left(name) ? if_claim(s, name) : CTL_REFUSAL_NO_INTERFACE;
	int r;

	if (why != CTL_REFUSAL_NONE)
		return why;
	r = attach(s, name, false, NULL, ret_iface);
	if_claim_done(s);
	if (r == 0)
		log_info(s->d->cfg.log, "%s: an earlier vjd has left a program there: taken over, to be removed", name);
	return r == 0 ? CTL_REFUSAL_NONE : iface_refusal(r);
}

enum ctl_refusal interfaces_detach(struct app *app, uint32_t seq, const char *name)
{
	struct interfaces *s = app->d->interfaces;
	struct ctl_msg reply;
	struct app *before;
	enum ctl_refusal why;
	struct iface *i;

	if (s == NULL)
		return CTL_REFUSAL_NO_INTERFACE;
	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (strcmp(i->name, name) == 0)
			break;
	if (i == NULL) {
		why = take_left(s, name, &i);
		if (why != CTL_REFUSAL_NONE)
			return why;
	}
	if (!i->leave.on) {
		leave_begin(s, i, app, seq);
		return CTL_REFUSAL_NONE;
	}
	/* who asks once more doesn't want to wait */
	before = leave_asker(i, &reply);
	i->leave.asker = app;
	i->leave.seq = seq;
	leave_end(s, i);
	leave_answer(before, &reply);
	return CTL_REFUSAL_NONE;
}

/* ---- progress */

void interfaces_run(struct vjd *d)
{
	struct interfaces *s = d->interfaces;
	struct epoll_event events[EVENTS_PER_RUN];
	struct iface *i;
	struct if_chan *c;
	int n;

	if (s == NULL || s->host == NULL)
		return;
	n = epoll_wait(s->epoll_fd, events, EVENTS_PER_RUN, 0);
	for (int k = 0; k < n; k++)
		if (events[k].data.ptr != NULL && events[k].data.ptr != &s->lan_tag)
			spill_run(((struct if_chan *)events[k].data.ptr)->spill, d->now_ns);
	TAILQ_FOREACH (i, &s->ifaces, entry)
		TAILQ_FOREACH (c, &i->chans, entry)
			if (spill_deadline_ns(c->spill) <= d->now_ns)
				spill_run(c->spill, d->now_ns);
	TAILQ_FOREACH (i, &s->ifaces, entry) {
		if (i->lan != NULL)
			if_lan_run(i->lan, d->now_ns);
		if (i->own6 != NULL)
			if_own6_run(i->own6, d->now_ns);
	}
	leaves_run(s);
	gateways_run(s);
	resolve_expire(s);
	works_finish(s);
	host_watch_run(s->host, d->now_ns);
	if (s->hops_at_ns != 0 && d->now_ns >= s->hops_at_ns)
		hops_sync(s);
	if (s->adopt_until_ns != 0 && d->now_ns >= s->adopt_until_ns)
		adopt_end(s);
	if (s->judging)
		ifaces_judge(s);
	if (s->judge_at_ns != 0 && d->now_ns >= s->judge_at_ns)
		ifaces_judge_anew(s);
	/* not while some may still come and state theirs */
	if (s->reserve_again && s->adopt_until_ns == 0)
		s->reserve_again = blocks_reserve(s) < 0;
}

uint64_t interfaces_deadline_ns(const struct vjd *d)
{
	struct interfaces *s = d->interfaces;
	uint64_t deadline_ns;
	struct iface *i;
	struct if_chan *c;

	if (s == NULL || s->host == NULL)
		return TIME_NEVER;
	deadline_ns = min_u64(host_watch_deadline_ns(s->host), resolve_expire(s));
	deadline_ns = min_u64(deadline_ns, gateways_deadline_ns(s));
	deadline_ns = min_u64(deadline_ns, leaves_deadline_ns(s));
	if (s->adopt_until_ns != 0)
		deadline_ns = min_u64(deadline_ns, s->adopt_until_ns);
	if (s->hops_at_ns != 0)
		deadline_ns = min_u64(deadline_ns, s->hops_at_ns);
	if (s->judging)
		return 0;
	if (s->judge_at_ns != 0)
		deadline_ns = min_u64(deadline_ns, s->judge_at_ns);
	TAILQ_FOREACH (i, &s->ifaces, entry) {
		if (i->lan != NULL)
			deadline_ns = min_u64(deadline_ns, if_lan_deadline_ns(i->lan));
		if (i->own6 != NULL)
			deadline_ns = min_u64(deadline_ns, if_own6_deadline_ns(i->own6));
		TAILQ_FOREACH (c, &i->chans, entry)
			deadline_ns = min_u64(deadline_ns, spill_deadline_ns(c->spill));
	}
	return deadline_ns;
}

/* ---- birth and death */

int interfaces_new(struct vjd *d, const char *dir, int *ret_fd)
{
	struct interfaces *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->d = d;
	s->place.netns_fd = s->place.packet_fd = -1;
	if (snprintf(s->place.dir, sizeof(s->place.dir), "%s", dir) >= (int)sizeof(s->place.dir)) {
		free(s);
		return -ENAMETOOLONG;
	}
	TAILQ_INIT(&s->ifaces);
	TAILQ_INIT(&s->resolves);
	TAILQ_INIT(&s->under_way);
	/* Numbers of channels that are gone may still stand in the kernel's maps: none is used twice. */
	d->ops->random(&s->last_nr, sizeof(s->last_nr));
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0) {
		free(s);
		return -errno;
	}
	d->interfaces = s;
	adopt_begin(s);
	*ret_fd = s->epoll_fd;
	return 0;
}

static void leave_nothing(struct interfaces *s)
{
	struct iface *i;

	blocks_reserve(s);
	while ((i = TAILQ_FIRST(&s->ifaces)) != NULL)
		iface_end(s, i);
	works_finish(s);
	if_maker_free(s->maker);
	s->maker = NULL;
	forget_place(s);
}

static void let_serve_on(struct interfaces *s)
{
	struct if_chan *c;
	struct iface *i;

	while ((i = TAILQ_FIRST(&s->ifaces)) != NULL) {
		TAILQ_REMOVE(&s->ifaces, i, entry);
		iface_part(s, i);
		while ((c = TAILQ_FIRST(&i->chans)) != NULL) {
			TAILQ_REMOVE(&i->chans, c, entry);
			if_chan_close(c);
		}
		if_own6_free(i->own6, true);
		if_lan_free(i->lan, true);
		if_dispatch_close(&i->dispatch);
		free(i);
	}
	works_finish(s);
}

static bool any_channel(const struct interfaces *s)
{
	const struct iface *i;

	TAILQ_FOREACH (i, &s->ifaces, entry)
		if (!TAILQ_EMPTY(&i->chans))
			return true;
	return false;
}

void interfaces_free(struct vjd *d)
{
	struct interfaces *s = d->interfaces;

	if (s == NULL)
		return;
	if (s->ready && !any_channel(s))
		leave_nothing(s);
	else
		let_serve_on(s);
	if_maker_free(s->maker);
	gateways_free(s);
	host_watch_free(s->host);
	close_place(s);
	rtnl_close(&s->place.here);
	if_claim_drop(s);
	close(s->epoll_fd);
	d->interfaces = NULL;
	free(s);
}

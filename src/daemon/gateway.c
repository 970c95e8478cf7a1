// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/gateway.h"

#include "base/time.h"
#include "daemon/gateway_prog.h"
#include "daemon/if_lan_id.h"
#include "daemon/if_bpf.h"
#include "daemon/lan_sock.h"
#include "daemon/vjd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	FRAMES_PER_RUN = 64,
	E2_SCALE = 20, /* times as much may be asked where nobody counts ARP */
};

struct gateway {
	struct vjd *d;
	uint32_t ifindex, mtu;
	char name[16];
	struct gateway_prog prog;
	struct parp_config codec;
	struct lan_host host;
	struct lan_sock sock;
	struct if_ask *ask;
	int epoll_fd;
	uint64_t heard[PARP_ERR_CNT];
};

/* ---- what is said and heard */

static void on_send(void *arg, const struct parp_msg *msg)
{
	struct gateway *g = arg;
	uint8_t frame[PARP_FRAME_MAX];
	size_t len = parp_build(frame, &g->codec, msg);

	if (len > 0)
		lan_sock_send(&g->sock, frame, len);
}

static uint64_t on_random(void *arg)
{
	struct gateway *g = arg;
	uint64_t bits;

	g->d->ops->random(&bits, sizeof(bits));
	return bits;
}

static const struct lan_ops lan_ops = { on_send, on_random };

static void rx(struct gateway *g, const uint8_t *frame, size_t len, uint64_t now_us)
{
	struct parp_msg msg;
	enum parp_err err = parp_parse(frame, len, &g->codec, &msg);

	g->heard[err]++;
	if (err == PARP_ERR_OK)
		if_ask_rx(g->ask, &msg, now_us);
}

void gateway_run(struct gateway *g, uint64_t now_ns)
{
	uint8_t frame[PARP_FRAME_MAX];
	uint64_t us = now_ns / NS_PER_US;
	size_t len;

	for (unsigned k = 0; k < FRAMES_PER_RUN; k++) {
		len = lan_sock_read(&g->sock, frame, sizeof(frame), us);
		if (len == 0)
			break;
		rx(g, frame, len, us);
	}
	if_ask_run(g->ask, us);
}

uint64_t gateway_deadline_ns(const struct gateway *g)
{
	return time_mul_sat(min_u64(lan_sock_deadline_us(&g->sock), if_ask_deadline_us(g->ask)), NS_PER_US);
}

int gateway_fd(const struct gateway *g)
{
	return g->epoll_fd;
}

/* ---- following the host */

static void follow_addresses(struct gateway *g, const struct host_image *image)
{
	g->host.link_local = ip_addr_any_v6();
	for (uint32_t a = 0; a < image->addr_cnt; a++)
		if (image->addrs[a].ifindex == g->ifindex && ip_addr_is_link_local(&image->addrs[a].addr) &&
		    !ip_addr_is_v4(&image->addrs[a].addr))
			g->host.link_local = image->addrs[a].addr;
}

static void follow_prog(const struct gateway *g)
{
	int r = gateway_prog_holds(&g->prog) ? 1 : gateway_prog_again(&g->prog);

	if (r < 0)
		log_error(g->d->cfg.log, "%s: the gateway's filter was removed, and can't be attached again: %s", g->name,
			  strerror(-r));
	else if (r == 0)
		log_info(g->d->cfg.log, "%s: the gateway's filter was removed: attached again", g->name);
}

static void take(struct gateway *g, const struct host_watch *host, const struct host_interface *now)
{
	g->mtu = now->mtu;
	memcpy(g->name, now->name, sizeof(g->name));
	memcpy(g->host.canonical.bytes, now->mac, sizeof(g->host.canonical.bytes));
	follow_addresses(g, host_watch_image(host));
}

void gateway_follow(struct gateway *g, const struct host_watch *host, const struct host_interface *now)
{
	take(g, host, now);
	follow_prog(g);
}

/* ---- shown */

void gateway_describe(const struct gateway *g, struct ctl_interface *ret)
{
	*ret = (struct ctl_interface){ .ifindex = g->ifindex, .mtu = g->mtu, .flags = CTL_INTERFACE_GATEWAY };
	memcpy(ret->mac, g->host.canonical.bytes, sizeof(ret->mac));
	ctl_name_set(ret->name, g->name);
}

struct if_ask *gateway_ask(struct gateway *g)
{
	return g->ask;
}

uint32_t gateway_ifindex(const struct gateway *g)
{
	return g->ifindex;
}

const char *gateway_name(const struct gateway *g)
{
	return g->name;
}

uint64_t gateway_counter(const struct gateway *g, uint32_t pos, const char **ret_where, const char **ret_name)
{
	if (pos < POLICY_REASON_CNT) {
		*ret_where = "gateway";
		*ret_name = policy_reason_word((enum policy_reason)pos);
		return if_counter_read(g->prog.counters_fd, (enum policy_reason)pos);
	}
	pos -= POLICY_REASON_CNT;
	if (pos < PARP_ERR_CNT) {
		*ret_where = "parp";
		*ret_name = parp_err_name((enum parp_err)pos);
		return g->heard[pos];
	}
	*ret_where = "resolver";
	return if_ask_counter(g->ask, pos - PARP_ERR_CNT, ret_name);
}

/* ---- birth and death */

static void be_somebody(struct gateway *g)
{
	const struct vjd_lan_config *cfg = &g->d->cfg.lan;
	const struct vjd_gateway_config *own = &g->d->cfg.gateway;

	g->host.ops = &lan_ops;
	g->host.arg = g;
	g->host.encoding = cfg->e2 ? PARP_E2 : PARP_E1;
	lan_host_init(&g->host, cfg->e2 ? E2_SCALE : 1);
	if (own->rate > 0)
		lan_limit_init(&g->host.own, own->rate, own->rate);
	g->d->ops->random(&g->host.id, sizeof(g->host.id));
	g->codec = if_lan_codec(cfg);
}

static int watch(const struct gateway *g, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };

	return epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

static int begin(struct gateway *g, struct rtnl *rtnl)
{
	const struct if_ask_config ask = {
		.rtnl = rtnl,
		.ifindex = g->ifindex,
		.name = g->name,
		.host = &g->host,
		.entry_max = g->d->cfg.gateway.entry_max,
		.maps = &g->prog.maps,
	};
	int r = if_ask_new(&ask, &g->ask);

	if (r == 0)
		r = watch(g, g->sock.epoll_fd);
	return r == 0 ? watch(g, if_ask_fd(g->ask)) : r;
}

int gateway_new(struct vjd *d, struct rtnl *rtnl, const struct host_watch *host, const struct host_interface *at,
		struct gateway **ret_gateway)
{
	struct gateway *g = calloc(1, sizeof(*g));
	int r;

	if (g == NULL)
		return -ENOMEM;
	g->d = d;
	g->ifindex = at->ifindex;
	take(g, host, at);
	be_somebody(g);
	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = g->epoll_fd >= 0 ? 0 : -errno;
	if (r < 0)
		goto err_free;
	r = lan_sock_open(g->ifindex, &g->codec, &g->sock);
	if (r < 0)
		goto err_epoll;
	r = gateway_prog_attach(g->ifindex, d->cfg.gateway.entry_max, &g->prog);
	if (r < 0)
		goto err_sock;
	r = begin(g, rtnl);
	if (r < 0) {
		gateway_free(g);
		return r;
	}
	*ret_gateway = g;
	return 0;

err_sock:
	lan_sock_close(&g->sock);
err_epoll:
	close(g->epoll_fd);
err_free:
	free(g);
	return r;
}

void gateway_free(struct gateway *g)
{
	gateway_prog_remove(&g->prog);
	if_ask_free(g->ask);
	lan_sock_close(&g->sock);
	close(g->epoll_fd);
	free(g);
}

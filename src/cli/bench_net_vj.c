// SPDX-License-Identifier: BSD-2-Clause
/* bench_net.h over vj.h: a connection's index is the cookie of its events. */
#include "cli/bench_net.h"

#include <vj/vj.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_MAX = 256, SETUP_MS = 30000, BACKLOG = 65535 };
#define POLL_NS INT64_C(1000000000)
#define LISTENER_COOKIE UINT64_MAX

struct vj_net {
	struct vj *vj;
	struct vj_listener listener;
	struct vj_conn *conns;
	bool *open;
	uint32_t up;	/* connections made */
	bool swept;	/* events that came while connecting are made up for once */
	uint32_t sweep; /* how far */
	bool full;	/* all have been accepted that will be */
	struct vj_event evs[EVENTS_MAX];
};

static int failed(struct net *net, const char *what, int rc)
{
	net->failed = what;
	return rc;
}

static int vjnet_open(struct net *net)
{
	const struct bench_ctx *ctx = net->peer->ctx;
	struct vj_options opts = VJ_OPTIONS_INIT;
	struct vj_net *v = calloc(1, sizeof(*v));
	int rc;

	net->priv = v;
	net->spins = ctx->busy;
	if (v == NULL)
		return failed(net, "memory", -ENOMEM);
	v->swept = true; /* until all were connected at once */
	v->conns = calloc(net->cnt, sizeof(*v->conns));
	v->open = calloc(net->cnt, sizeof(*v->open));
	if (v->conns == NULL || v->open == NULL)
		return failed(net, "memory", -ENOMEM);
	opts.name = "vj bench";
	opts.socket_path = ctx->socket;
	opts.spin_us = (int32_t)ctx->o->spin_us;
	rc = vj_open(&opts, &v->vj);
	return rc < 0 ? failed(net, "vj_open", rc) : 0;
}

static void vjnet_hang_up(struct net *net, uint32_t conn)
{
	struct vj_net *v = net->priv;

	if (v->open[conn])
		vj_conn_close(v->vj, v->conns[conn]);
	v->open[conn] = false;
}

static void vjnet_close(struct net *net)
{
	struct vj_net *v = net->priv;

	for (uint32_t i = 0; i < net->cnt; i++)
		vjnet_hang_up(net, i);
	vj_drain(v->vj, 1000);
	vj_close(v->vj);
	free(v->conns);
	free(v->open);
	free(v);
}

static int vjnet_listen(struct net *net, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct vj_net *v = net->priv;
	struct sockaddr_storage where;
	int rc = vj_listen(v->vj, (struct sockaddr *)&addr, sizeof(addr), BACKLOG, 0, -1,
			   LISTENER_COOKIE, &v->listener);

	if (rc < 0)
		return failed(net, "vj_listen", rc);
	vj_listener_addr(v->vj, v->listener, &where);
	*ret_port = ntohs(((struct sockaddr_in *)&where)->sin_port);
	return 0;
}

static int vjnet_take(struct net *net, uint32_t conn)
{
	struct vj_net *v = net->priv;
	int rc = vj_accept(v->vj, v->listener, conn, &v->conns[conn]);

	if (rc < 0)
		return rc == -EAGAIN ? rc : failed(net, "vj_accept", rc);
	v->open[conn] = true;
	rc = vj_conn_option_set(v->vj, v->conns[conn], VJ_OPT_NODELAY, 1);
	return rc < 0 ? failed(net, "VJ_OPT_NODELAY", rc) : 0;
}

static int vjnet_accept(struct net *net)
{
	uint64_t late_ns = bench_now_ns() + SETUP_MS * UINT64_C(1000000);
	struct vj_net *v = net->priv;

	while (v->up < net->cnt) {
		int n = vj_poll(v->vj, v->evs, EVENTS_MAX, POLL_NS), rc = 0;

		if (n < 0 && n != -EINTR)
			return failed(net, "vj_poll", n);
		while (rc == 0 && v->up < net->cnt) {
			rc = vjnet_take(net, v->up);
			v->up += rc == 0;
		}
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		if (bench_now_ns() > late_ns)
			return failed(net, "accepting", -ETIMEDOUT);
	}
	v->full = true;
	v->swept = false;
	return 0;
}

static int vjnet_dial(struct net *net, uint32_t conn, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct vj_net *v = net->priv;
	int rc = vj_connect(v->vj, (struct sockaddr *)&addr, sizeof(addr), NULL, 0, conn, &v->conns[conn]);

	if (rc < 0)
		return failed(net, "vj_connect", rc);
	v->open[conn] = true;
	rc = vj_conn_option_set(v->vj, v->conns[conn], VJ_OPT_NODELAY, 1);
	return rc < 0 ? failed(net, "VJ_OPT_NODELAY", rc) : 0;
}

static int vjnet_connect(struct net *net, uint16_t port)
{
	uint64_t late_ns = bench_now_ns() + SETUP_MS * UINT64_C(1000000);
	struct vj_net *v = net->priv;

	for (uint32_t i = 0; i < net->cnt; i++) {
		int rc = vjnet_dial(net, i, port);

		if (rc < 0)
			return rc;
	}
	while (v->up < net->cnt) {
		int n = vj_poll(v->vj, v->evs, EVENTS_MAX, POLL_NS);

		if (n < 0 && n != -EINTR)
			return failed(net, "vj_poll", n);
		for (int i = 0; i < n; i++) {
			if (v->evs[i].events & VJ_EV_ERROR)
				return failed(net, "connecting",
					      -vj_error(v->vj, v->evs[i].conn, true));
			v->up += (v->evs[i].events & VJ_EV_CONNECTED) != 0;
		}
		if (bench_now_ns() > late_ns)
			return failed(net, "connecting", -ETIMEDOUT);
	}
	v->swept = false;
	return 0;
}

static int sweep(struct net *net, uint32_t *ret_conns, unsigned n)
{
	struct vj_net *v = net->priv;
	unsigned cnt = 0;

	while (cnt < n && v->sweep < net->cnt)
		ret_conns[cnt++] = v->sweep++;
	v->swept = v->sweep == net->cnt;
	return (int)cnt;
}

static int vjnet_poll(struct net *net, uint32_t *ret_conns, unsigned n)
{
	struct vj_net *v = net->priv;
	int got, cnt = 0;

	if (!v->swept)
		return sweep(net, ret_conns, n);
	got = vj_poll(v->vj, v->evs, min_u32(n, EVENTS_MAX),
		      net->peer->ctx->busy ? 0 : net->wait_ms * INT64_C(1000000));
	if (got < 0)
		return got == -EINTR ? 0 : failed(net, "vj_poll", got);
	for (int i = 0; i < got; i++) {
		if (v->evs[i].obj == VJ_OBJ_CONN && v->open[v->evs[i].cookie])
			ret_conns[cnt++] = (uint32_t)v->evs[i].cookie;
		else if (v->evs[i].obj == VJ_OBJ_LISTENER && !v->full)
			ret_conns[cnt++] = NET_LISTENER;
	}
	return cnt;
}

static ssize_t vjnet_recv(struct net *net, uint32_t conn, void *buf, size_t len)
{
	struct vj_net *v = net->priv;

	return vj_recv(v->vj, v->conns[conn], buf, len, false);
}

static ssize_t vjnet_send(struct net *net, uint32_t conn, const void *buf, size_t len)
{
	struct vj_net *v = net->priv;

	return vj_send(v->vj, v->conns[conn], buf, len, 0);
}

static int vjnet_buffer(struct net *net, uint32_t conn, uint8_t **ret_data, size_t *ret_room)
{
	struct vj_net *v = net->priv;

	return vj_send_buffer(v->vj, v->conns[conn], ret_data, ret_room);
}

static int vjnet_commit(struct net *net, uint32_t conn, size_t len)
{
	struct vj_net *v = net->priv;

	return vj_send_commit(v->vj, v->conns[conn], len, VJ_SEND_MORE);
}

static ssize_t vjnet_borrow(struct net *net, uint32_t conn, const uint8_t **ret_data)
{
	struct vj_net *v = net->priv;

	return vj_recv_borrow(v->vj, v->conns[conn], ret_data);
}

static void vjnet_give_back(struct net *net, uint32_t conn, size_t len)
{
	struct vj_net *v = net->priv;

	vj_recv_return(v->vj, v->conns[conn], len);
}

const struct net_ops net_vj = {
	.open = vjnet_open,
	.close = vjnet_close,
	.listen = vjnet_listen,
	.accept = vjnet_accept,
	.connect = vjnet_connect,
	.poll = vjnet_poll,
	.recv = vjnet_recv,
	.send = vjnet_send,
	.hang_up = vjnet_hang_up,
	.take = vjnet_take,
	.dial = vjnet_dial,
	.buffer = vjnet_buffer,
	.commit = vjnet_commit,
	.borrow = vjnet_borrow,
	.give_back = vjnet_give_back,
};

// SPDX-License-Identifier: BSD-2-Clause
/* bench_many.h over vj.h */
#include "cli/bench_many.h"

#include <vj/vj.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { BACKLOG = 65535 };

struct vj_many {
	struct vj *vj;
	struct vj_listener listener;
	struct vj_event evs[MANY_EVENTS_MAX];
};

static int failed(struct many *m, const char *what, int rc)
{
	m->failed = what;
	return rc;
}

static int vjm_open(struct many *m)
{
	struct vj_options opts = VJ_OPTIONS_INIT;
	struct vj_many *v = calloc(1, sizeof(*v));
	int rc;

	m->priv = v;
	if (v == NULL)
		return failed(m, "memory", -ENOMEM);
	opts.name = "vj bench";
	opts.socket_path = m->peer->ctx->socket;
	opts.spin_us = (int32_t)m->peer->ctx->o->spin_us;
	rc = vj_open(&opts, &v->vj);
	return rc < 0 ? failed(m, "vj_open", rc) : 0;
}

static void vjm_close(struct many *m)
{
	struct vj_many *v = m->priv;

	vj_close(v->vj);
	free(v);
}

static int vjm_listen(struct many *m, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct vj_many *v = m->priv;
	struct sockaddr_storage where;
	int rc = vj_listen(v->vj, (struct sockaddr *)&addr, sizeof(addr), BACKLOG, 0, -1, 0, &v->listener);

	if (rc < 0)
		return failed(m, "vj_listen", rc);
	vj_listener_addr(v->vj, v->listener, &where);
	*ret_port = ntohs(((struct sockaddr_in *)&where)->sin_port);
	return 0;
}

static int vjm_accept(struct many *m)
{
	struct vj_many *v = m->priv;
	struct vj_conn conn;
	int cnt = 0, rc;

	while ((rc = vj_accept(v->vj, v->listener, 0, &conn)) == 0)
		cnt++;
	return rc == -EAGAIN ? cnt : failed(m, "vj_accept", rc);
}

static int vjm_connect(struct many *m, uint16_t port, uint32_t idx, uint32_t *ret_conn)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(m->source) };
	struct vj_many *v = m->priv;
	struct vj_conn conn;
	int rc = vj_connect(v->vj, (struct sockaddr *)&to, sizeof(to), (struct sockaddr *)&from, sizeof(from), idx,
			    &conn);

	if (rc < 0)
		return failed(m, "vj_connect", rc);
	*ret_conn = conn.v;
	return 0;
}

static uint32_t what_of(const struct vj_event *ev)
{
	if (ev->obj == VJ_OBJ_LISTENER)
		return MANY_ACCEPT;
	return ((ev->events & VJ_EV_CONNECTED) != 0 ? MANY_CONNECTED : 0u) |
	       ((ev->events & (VJ_EV_READABLE | VJ_EV_EOF)) != 0 ? MANY_READABLE : 0u) |
	       ((ev->events & VJ_EV_ERROR) != 0 ? MANY_FAILED : 0u);
}

static int vjm_poll(struct many *m, struct many_event *ev, unsigned n)
{
	struct vj_many *v = m->priv;
	int got = vj_poll(v->vj, v->evs, min_u32(n, MANY_EVENTS_MAX), m->wait_ms * INT64_C(1000000));

	if (got < 0)
		return got == -EINTR ? 0 : failed(m, "vj_poll", got);
	for (int i = 0; i < got; i++)
		ev[i] = (struct many_event){
			.what = what_of(&v->evs[i]), .conn = v->evs[i].conn.v, .idx = (uint32_t)v->evs[i].cookie
		};
	return got;
}

static void vjm_soon(struct many *m, uint32_t conn)
{
	vj_conn_soon(((struct vj_many *)m->priv)->vj, (struct vj_conn){ conn });
}

static ssize_t vjm_recv(struct many *m, uint32_t conn, void *buf, size_t len)
{
	return vj_recv(((struct vj_many *)m->priv)->vj, (struct vj_conn){ conn }, buf, len, false);
}

static ssize_t vjm_send(struct many *m, uint32_t conn, const void *buf, size_t len)
{
	return vj_send(((struct vj_many *)m->priv)->vj, (struct vj_conn){ conn }, buf, len, 0);
}

static void vjm_hang_up(struct many *m, uint32_t conn)
{
	vj_conn_close(((struct vj_many *)m->priv)->vj, (struct vj_conn){ conn });
}

static void vjm_left(struct many *m, uint64_t *ret_conns, uint64_t *ret_resets)
{
	struct vj_stats st = { .sz = sizeof(st) };

	vj_stats(((struct vj_many *)m->priv)->vj, &st);
	*ret_conns = st.tcp_conns;
	*ret_resets = st.tcp_resets_rx + st.tcp_resets_tx;
}

const struct many_ops many_vj = {
	.open = vjm_open,
	.close = vjm_close,
	.listen = vjm_listen,
	.accept = vjm_accept,
	.connect = vjm_connect,
	.poll = vjm_poll,
	.soon = vjm_soon,
	.recv = vjm_recv,
	.send = vjm_send,
	.hang_up = vjm_hang_up,
	.left = vjm_left,
};

// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench cps: connections that are made, carry one message there and back, and are closed, so many at a time. The
 * client closes first, as most do. Counted is what has come to an end: the answer was compared with the message, and
 * the connection closed.
 */
#include "cli/bench_lwip.h"
#include "cli/bench_net.h"
#include "cli/cmd.h"

#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READY_MAX = 256, LATE_S = 10 };

/* ---- server -------------------------------------------------------------------------------------------------------- */

/* A connection has one message. It may come in parts (lwIP has segments of 536 bytes), each of which is sent back. */
struct greeter {
	struct net net;
	uint32_t *free; /* indices nobody has */
	uint32_t free_cnt;
	bool waiting; /* somebody may be there to be accepted */
	uint8_t buf[BENCH_CPS_BYTES_MAX];
};

static void greeter_hang_up(struct greeter *g, uint32_t conn)
{
	g->net.ops->hang_up(&g->net, conn);
	g->free[g->free_cnt++] = conn;
}

static void greet(struct greeter *g, uint32_t conn)
{
	ssize_t n = g->net.ops->recv(&g->net, conn, g->buf, sizeof(g->buf));

	if (n == -EAGAIN)
		return;
	if (n <= 0 || g->net.ops->send(&g->net, conn, g->buf, (size_t)n) != n)
		greeter_hang_up(g, conn);
}

static int accept_all(struct greeter *g)
{
	while (g->waiting && g->free_cnt > 0) {
		uint32_t conn = g->free[g->free_cnt - 1];
		int rc = g->net.ops->take(&g->net, conn);

		g->waiting = rc == 0;
		if (rc < 0)
			return rc == -EAGAIN ? 0 : rc;
		g->free_cnt--;
		greet(g, conn); /* its message may have come first */
	}
	return 0;
}

static int greet_all(struct greeter *g)
{
	uint32_t ready[READY_MAX];
	int rc = 0;

	while (rc == 0 && atomic_load_explicit(&g->net.peer->shm->stop, memory_order_relaxed) == 0) {
		int n = g->net.ops->poll(&g->net, ready, READY_MAX);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			if (ready[i] == NET_LISTENER)
				g->waiting = true;
			else
				greet(g, ready[i]);
		}
		rc = accept_all(g);
	}
	return rc;
}

static int server(struct bench_peer *peer, const struct net_ops *ops)
{
	struct greeter *g = calloc(1, sizeof(*g));
	uint16_t port = 0;
	int rc;

	if (g == NULL)
		return bench_fail(peer, "server", ENOMEM);
	/* more than the client has at a time: its new ones come before its old ones have been closed here */
	g->net = (struct net){ .ops = ops, .peer = peer, .cnt = 4 * peer->ctx->conns, .wait_ms = NET_WAIT_MS };
	g->free = calloc(g->net.cnt, sizeof(*g->free));
	rc = g->free == NULL ? -ENOMEM : ops->open(&g->net);
	while (rc == 0 && g->free_cnt < g->net.cnt) {
		g->free[g->free_cnt] = g->free_cnt;
		g->free_cnt++;
	}
	if (rc == 0)
		rc = ops->listen(&g->net, &port);
	if (rc == 0) {
		atomic_store(&peer->shm->server_ready, port);
		rc = greet_all(g);
	}
	return rc < 0 ? bench_net_fail(&g->net, rc) : EXIT_OK;
}

/* ---- client -------------------------------------------------------------------------------------------------------- */

struct visit {
	uint64_t began_ns, id;
	size_t got; /* bytes of the answer */
	bool told;  /* the message was sent */
};

struct visitor {
	struct net net;
	struct visit *visits;
	uint16_t port;
	size_t bytes;
	uint64_t next_id, done;
	uint8_t out[BENCH_CPS_BYTES_MAX], in[BENCH_CPS_BYTES_MAX];
};

static void message(struct visitor *v, uint64_t id)
{
	for (size_t i = 0; i + 8 <= v->bytes; i += 8)
		store_u64(v->out + i, id * UINT64_C(0x9e3779b97f4a7c15) + i);
}

/* Sends the message as soon as the connection takes it. Return: 0; negative errno. */
static int visit_tell(struct visitor *v, uint32_t conn)
{
	ssize_t n;

	message(v, v->visits[conn].id);
	n = v->net.ops->send(&v->net, conn, v->out, v->bytes);
	v->visits[conn].told = n == (ssize_t)v->bytes;
	if (v->visits[conn].told || n == -EAGAIN || n == -ENOTCONN)
		return 0;
	return n < 0 ? (int)n : -EMSGSIZE;
}

static int visit_begin(struct visitor *v, uint32_t conn, uint64_t now_ns)
{
	int rc;

	v->visits[conn] = (struct visit){ .began_ns = now_ns, .id = v->next_id++ };
	rc = v->net.ops->dial(&v->net, conn, v->port);
	return rc < 0 ? rc : visit_tell(v, conn);
}

/* Return: 1: over and well; 0: not yet; negative errno. */
static int visit_go_on(struct visitor *v, uint32_t conn)
{
	struct visit *visit = &v->visits[conn];
	ssize_t n;

	if (!visit->told)
		return visit_tell(v, conn);
	n = v->net.ops->recv(&v->net, conn, v->in, sizeof(v->in));
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	message(v, visit->id);
	if ((size_t)n > v->bytes - visit->got || memcmp(v->in, v->out + visit->got, (size_t)n) != 0)
		return -EBADMSG;
	visit->got += (size_t)n;
	if (visit->got < v->bytes)
		return 0;
	v->net.ops->hang_up(&v->net, conn);
	return 1;
}

static int visit_round(struct visitor *v, struct hist *hist, uint64_t *ret_now_ns)
{
	uint32_t ready[READY_MAX];
	int n = v->net.ops->poll(&v->net, ready, READY_MAX), rc = 0;

	*ret_now_ns = bench_now_ns();
	for (int i = 0; i < n && rc == 0; i++) {
		rc = visit_go_on(v, ready[i]);
		if (rc <= 0)
			continue;
		hist_add(hist, *ret_now_ns - v->visits[ready[i]].began_ns);
		v->done++;
		rc = visit_begin(v, ready[i], *ret_now_ns);
	}
	return n < 0 ? n : rc;
}

/* Until @end_ns, and longer if none came to its end until then. */
static int visit_until(struct visitor *v, uint64_t end_ns, struct bench_sample *sample)
{
	uint64_t start_ns = bench_now_ns(), now_ns = start_ns, late_ns = end_ns + LATE_S * NS_PER_SEC;
	int rc = 0;

	v->done = 0;
	while ((now_ns < end_ns || (v->done == 0 && now_ns < late_ns)) && rc == 0)
		rc = visit_round(v, &sample->hist, &now_ns);
	sample->ops = v->done;
	sample->seconds = (double)(now_ns - start_ns) * 1e-9;
	if (rc == 0 && v->done == 0) {
		v->net.failed = "no connection came to its end";
		rc = -ETIMEDOUT;
	}
	return rc;
}

static int visit_all(struct visitor *v)
{
	struct bench_sample *sample = &v->net.peer->shm->sample;
	uint64_t seconds_ns = (uint64_t)(v->net.peer->seconds * 1e9);
	int rc = 0;

	for (uint32_t i = 0; i < v->net.cnt && rc == 0; i++)
		rc = visit_begin(v, i, bench_now_ns());
	if (rc == 0) /* to warm up */
		rc = visit_until(v, bench_now_ns() + seconds_ns / 10, sample);
	memset(sample, 0, sizeof(*sample));
	if (rc == 0)
		rc = visit_until(v, bench_now_ns() + seconds_ns, sample);
	if (rc == -EBADMSG)
		v->net.failed = "an answer differs from its message";
	return rc;
}

static int client(struct bench_peer *peer, const struct net_ops *ops)
{
	struct visitor *v = calloc(1, sizeof(*v));
	int rc;

	if (v == NULL)
		return bench_fail(peer, "client", ENOMEM);
	v->net = (struct net){ .ops = ops, .peer = peer, .cnt = peer->ctx->conns, .wait_ms = NET_WAIT_MS };
	v->bytes = (size_t)peer->ctx->o->bytes;
	v->visits = calloc(v->net.cnt, sizeof(*v->visits));
	v->port = bench_net_port(peer);
	rc = v->visits == NULL ? -ENOMEM : ops->open(&v->net);
	if (rc == 0)
		rc = visit_all(v);
	return rc < 0 ? bench_net_fail(&v->net, rc) : EXIT_OK;
}

/* ---- the benchmark ------------------------------------------------------------------------------------------------- */

static int server_vj(struct bench_peer *peer)
{
	return server(peer, &net_vj);
}

static int client_vj(struct bench_peer *peer)
{
	return client(peer, &net_vj);
}

static int server_kernel(struct bench_peer *peer)
{
	return server(peer, &net_kernel);
}

static int client_kernel(struct bench_peer *peer)
{
	return client(peer, &net_kernel);
}

static int server_lwip(struct bench_peer *peer)
{
	return server(peer, bench_lwip_net());
}

static int client_lwip(struct bench_peer *peer)
{
	return client(peer, bench_lwip_net());
}

#define KERNEL_WAY(way, text)                                                \
	{                                                                    \
		.how = text, .measure = bench_pair, .server = server_kernel, \
		.client = client_kernel, .nr = way                           \
	}

int bench_cps(struct bench_ctx *ctx)
{
	char title[112];
	struct bench_case c = {
		.name = "cps",
		.title = title,
		.unit = "connections per second",
		.value = bench_rate,
		.latency = true,
		.vj[0] = { .how = ctx->busy ? "direct channel, pinned, polling" : "direct channel, pinned, sleeping",
			.measure = bench_pair,
			.server = server_vj,
			.client = client_vj,
			.with_vjd = true },
		.kernel = { KERNEL_WAY(NET_EPOLL, "loopback TCP, pinned, TCP_NODELAY, epoll batches, sleeping"),
			    KERNEL_WAY(NET_EPOLL_SPIN, "loopback TCP, pinned, TCP_NODELAY, epoll batches, spinning") },
		.others = { { .name = "unix",
			      .ways = { KERNEL_WAY(NET_UNIX + NET_EPOLL, "AF_UNIX SOCK_STREAM, pinned, epoll batches, sleeping"),
					KERNEL_WAY(NET_UNIX + NET_EPOLL_SPIN,
						   "AF_UNIX SOCK_STREAM, pinned, epoll batches, spinning") } } },
	};

	c.kernel_cnt = c.others[0].way_cnt = ctx->busy ? 2 : 1;
	c.others[1] = bench_lwip_rival(server_lwip, client_lwip);
	c.other_cnt = 2;
	c.kernel[0].ordinary = true;
	ctx->conns = bench_connections(ctx->o, BENCH_CONNS);
	snprintf(title, sizeof(title), "TCP connections made, used for %lld B there and back, and closed, %u at a time",
		 (long long)ctx->o->bytes, ctx->conns);
	c.extra = json_pack("{s:i, s:i}", "bytes", (int)ctx->o->bytes, "connections", (int)ctx->conns);
	return bench_compare(ctx, &c);
}

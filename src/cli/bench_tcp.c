// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench rtt and rpc: an echo server, and a client that keeps one request outstanding on each of
 * its connections. With one connection the time of each round trip is the result, with many their
 * number per second.
 *
 * Every answer is compared with its request, which differs from message to message.
 */
#include "cli/bench_lwip.h"
#include "cli/bench_net.h"
#include "cli/cmd.h"

#include "base/time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDLE_CLOCK = 64, READY_MAX = 256, ECHO_BYTES = 65536, ANSWER_MAX_S = 10 };

/* ---- server ---- */

/* What could not be sent back at once; only then is it more than an index. */
struct owed {
	uint8_t *bytes;
	size_t len;
};

struct echo {
	struct net net;
	struct owed *owed;
	uint32_t owing, open;
	uint8_t buf[ECHO_BYTES];
};

static ssize_t pay(struct echo *e, uint32_t conn)
{
	struct owed *o = &e->owed[conn];
	ssize_t n = e->net.ops->send(&e->net, conn, o->bytes, o->len);

	if (n < 0)
		return n == -EAGAIN ? 0 : n;
	o->len -= (size_t)n;
	memmove(o->bytes, o->bytes + n, o->len);
	e->owing -= o->len == 0;
	return n;
}

static int echo_back(struct echo *e, uint32_t conn, size_t len)
{
	struct owed *o = &e->owed[conn];
	ssize_t n = e->net.ops->send(&e->net, conn, e->buf, len);

	if (n < 0 && n != -EAGAIN)
		return (int)n;
	if (n == (ssize_t)len)
		return 0;
	if (n < 0)
		n = 0;
	if (o->bytes == NULL)
		o->bytes = malloc(ECHO_BYTES);
	if (o->bytes == NULL)
		return -ENOMEM;
	o->len = len - (size_t)n;
	memcpy(o->bytes, e->buf + n, o->len);
	e->owing++;
	return 0;
}

static void server_hang_up(struct echo *e, uint32_t conn)
{
	e->net.ops->hang_up(&e->net, conn);
	e->owing -= e->owed[conn].len > 0;
	e->owed[conn].len = 0;
	e->open--;
}

/*
 * Sends back all that came. While something is owed, nothing more is read: TCP then holds the
 * client back.
 */
static void serve(struct echo *e, uint32_t conn)
{
	ssize_t n;

	if (e->owed[conn].len > 0 && pay(e, conn) < 0) {
		server_hang_up(e, conn);
		return;
	}
	while (e->owed[conn].len == 0) {
		n = e->net.ops->recv(&e->net, conn, e->buf, sizeof(e->buf));
		if (n == -EAGAIN)
			return;
		if (n <= 0 || echo_back(e, conn, (size_t)n) < 0) {
			server_hang_up(e, conn);
			return;
		}
		if (n < (ssize_t)sizeof(e->buf))
			return;
	}
}

int bench_net_fail(struct net *net, int rc)
{
	return bench_fail(net->peer, net->failed != NULL ? net->failed : "net", rc);
}

uint16_t bench_net_port(struct bench_peer *peer)
{
	uint32_t port;

	while ((port = atomic_load(&peer->shm->server_ready)) == 0)
		usleep(100);
	return (uint16_t)port;
}

static int echo_loop(struct echo *e)
{
	uint32_t ready[READY_MAX];

	while (e->open > 0 &&
	       atomic_load_explicit(&e->net.peer->shm->stop, memory_order_relaxed) == 0) {
		int n = e->net.ops->poll(&e->net, ready, READY_MAX);

		if (n < 0)
			return bench_net_fail(&e->net, n);
		for (int i = 0; i < n; i++)
			serve(e, ready[i]);
		for (uint32_t i = 0; e->owing > 0 && i < e->net.cnt; i++)
			if (e->owed[i].len > 0)
				serve(e, i);
	}
	return EXIT_OK;
}

int bench_echo_server(struct bench_peer *peer, const struct net_ops *ops)
{
	struct echo *e = calloc(1, sizeof(*e));
	uint16_t port = 0;
	int rc;

	if (e == NULL)
		return bench_fail(peer, "server", ENOMEM);
	e->net = (struct net){ .ops = ops, .peer = peer, .cnt = peer->ctx->conns };
	e->net.wait_ms = peer->idle ? INT_MAX : NET_WAIT_MS;
	e->open = e->net.cnt;
	e->owed = calloc(e->net.cnt, sizeof(*e->owed));
	rc = e->owed == NULL ? -ENOMEM : ops->open(&e->net);
	if (rc == 0)
		rc = ops->listen(&e->net, &port);
	if (rc < 0)
		return bench_net_fail(&e->net, rc);
	atomic_store(&peer->shm->server_ready, port);
	rc = ops->accept(&e->net);
	if (rc < 0)
		return bench_net_fail(&e->net, rc);
	rc = echo_loop(e);
	ops->close(&e->net);
	return rc;
}

/* ---- client ---- */

struct call {
	uint64_t sent_ns;
	uint64_t id;
	size_t got, sent; /* bytes of the answer that came, of the request that left */
};

struct caller {
	struct net net;
	struct call *calls;
	size_t bytes;
	uint64_t next_id, done;
	uint32_t unsent; /* requests that did not leave whole */
	uint32_t idle;	 /* looks that found nothing */
	uint8_t out[BENCH_BYTES_MAX], in[BENCH_BYTES_MAX];
};

/* The request with number @id: its number in every word. */
static void request_write(struct caller *c, uint64_t id)
{
	for (size_t i = 0; i + 8 <= c->bytes; i += 8)
		store_u64(c->out + i, id + i);
}

static bool answer_check(const struct caller *c, const struct call *call, size_t at, size_t len)
{
	if (at == 0 && len == c->bytes) { /* whole, as nearly always */
		uint64_t wrong = 0;

		for (size_t i = 0; i + 8 <= len; i += 8)
			wrong |= load_u64(c->in + i) ^ (call->id + i);
		return wrong == 0;
	}
	for (size_t i = 0; i < len; i++) {
		uint64_t word = call->id + ((at + i) & ~(size_t)7);
		uint8_t want[8];

		memcpy(want, &word, sizeof(want));
		if (at + i < (c->bytes & ~(size_t)7) && c->in[i] != want[(at + i) & 7])
			return false;
	}
	return true;
}

/*
 * Sends what is left of a request. Returns 0, also when the channel was full, or a negative errno.
 */
static int call_push(struct caller *c, uint32_t conn)
{
	struct call *call = &c->calls[conn];
	ssize_t n;

	request_write(c, call->id);
	n = c->net.ops->send(&c->net, conn, c->out + call->sent, c->bytes - call->sent);
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	call->sent += (size_t)n;
	return 0;
}

static int call_start(struct caller *c, uint32_t conn, uint64_t now_ns)
{
	int rc;

	c->calls[conn] = (struct call){ .sent_ns = now_ns, .id = c->next_id++ };
	rc = call_push(c, conn);
	c->unsent += c->calls[conn].sent < c->bytes;
	return rc;
}

static int push_unsent(struct caller *c)
{
	int rc = 0;

	for (uint32_t i = 0; i < c->net.cnt && c->unsent > 0 && rc == 0; i++) {
		if (c->calls[i].sent == c->bytes)
			continue;
		rc = call_push(c, i);
		c->unsent -= c->calls[i].sent == c->bytes;
	}
	return rc;
}

/* Takes what came on @conn. Returns 1: the answer is whole; 0: not yet; negative errno. */
static int call_collect(struct caller *c, uint32_t conn)
{
	struct call *call = &c->calls[conn];
	ssize_t n = c->net.ops->recv(&c->net, conn, c->in, c->bytes - call->got);

	if (n <= 0)
		return n == -EAGAIN ? 0 : n == 0 ? -ECONNRESET : (int)n;
	if (!answer_check(c, call, call->got, (size_t)n))
		return -EBADMSG;
	call->got += (size_t)n;
	return call->got == c->bytes;
}

/* Found nothing: is it time to look at the clock? Always after a wait, which may have been long. */
static bool clock_due(struct caller *c)
{
	return !c->net.spins || ++c->idle % IDLE_CLOCK == 0;
}

/*
 * One look at the connections. The clock is read once for all that are ready, so the cost of
 * reading it does not count, and now and then when nothing is: an answer that comes while the clock
 * is read would look as if it had travelled longer. With one connection it is read behind recv(),
 * where a way may have slept. *@ret_now_ns stays as it was if the clock was not read.
 */
static int call_round(struct caller *c, struct hist *hist, uint64_t *ret_now_ns, bool again)
{
	bool lone = c->net.cnt == 1;
	uint32_t ready[READY_MAX];
	int n, rc = 0;

	n = c->net.ops->poll(&c->net, ready, READY_MAX);
	if (n == 0 ? clock_due(c) : !lone)
		*ret_now_ns = bench_now_ns();
	for (int i = 0; i < n && rc >= 0; i++) {
		rc = call_collect(c, ready[i]);
		if (lone && (rc != 0 || clock_due(c)))
			*ret_now_ns = bench_now_ns();
		if (rc <= 0)
			continue;
		hist_add(hist, *ret_now_ns - c->calls[ready[i]].sent_ns);
		c->done++;
		if (again)
			rc = call_start(c, ready[i], *ret_now_ns);
	}
	if (rc >= 0 && c->unsent > 0)
		rc = push_unsent(c);
	return n < 0 ? n : rc < 0 ? rc : 0;
}

/* Calls until @end_ns, and longer if there was no answer until then; counts into @sample. */
static int call_until(struct caller *c, uint64_t end_ns, struct bench_sample *sample)
{
	uint64_t start_ns = bench_now_ns(), now_ns = start_ns,
		 late_ns = end_ns + ANSWER_MAX_S * NS_PER_SEC;
	int rc = 0;

	c->done = 0;
	while ((now_ns < end_ns || (c->done == 0 && now_ns < late_ns)) && rc == 0)
		rc = call_round(c, &sample->hist, &now_ns, true);
	sample->ops = c->done;
	sample->seconds = (double)(now_ns - start_ns) * 1e-9;
	if (rc == 0 && c->done == 0) {
		c->net.failed = "no answer came";
		rc = -ETIMEDOUT;
	}
	return rc;
}

static int client_run(struct caller *c)
{
	struct bench_sample *sample = &c->net.peer->shm->sample;
	uint64_t seconds_ns = (uint64_t)(c->net.peer->seconds * 1e9), now_ns = bench_now_ns();
	int rc = 0;

	for (uint32_t i = 0; i < c->net.cnt && rc == 0; i++)
		rc = call_start(c, i, now_ns);
	/* warm up for a tenth of the time, on what will be thrown away */
	if (rc == 0)
		rc = call_until(c, now_ns + seconds_ns / 10, sample);
	memset(sample, 0, sizeof(*sample));
	if (rc == 0)
		rc = call_until(c, bench_now_ns() + seconds_ns, sample);
	if (rc == -EBADMSG)
		c->net.failed = "an answer differs from its request";
	return rc;
}

/* A caller with all its connections; NULL, having noted why. */
static struct caller *caller_new(struct bench_peer *peer, const struct net_ops *ops)
{
	struct caller *c = calloc(1, sizeof(*c));
	uint16_t port;
	int rc;

	if (c == NULL) {
		bench_fail(peer, "client", ENOMEM);
		return NULL;
	}
	c->net = (struct net){
		.ops = ops, .peer = peer, .cnt = peer->ctx->conns, .wait_ms = NET_WAIT_MS
	};
	c->bytes = (size_t)peer->ctx->o->bytes;
	c->calls = calloc(c->net.cnt, sizeof(*c->calls));
	port = bench_net_port(peer);
	rc = c->calls == NULL ? -ENOMEM : ops->open(&c->net);
	if (rc == 0)
		rc = ops->connect(&c->net, port);
	if (rc == 0)
		return c;
	bench_net_fail(&c->net, rc);
	return NULL;
}

int bench_call_client(struct bench_peer *peer, const struct net_ops *ops)
{
	struct caller *c = caller_new(peer, ops);
	int rc;

	if (c == NULL)
		return EXIT_FAILED;
	rc = client_run(c);
	if (rc < 0)
		return bench_net_fail(&c->net, rc);
	ops->close(&c->net);
	return EXIT_OK;
}

int bench_idle_client(struct bench_peer *peer, const struct net_ops *ops)
{
	struct caller *c = caller_new(peer, ops);
	uint64_t now_ns = bench_now_ns();
	int rc = 0;

	if (c == NULL)
		return EXIT_FAILED;
	for (uint32_t i = 0; i < c->net.cnt && rc == 0; i++)
		rc = call_start(c, i, bench_now_ns());
	while (c->done < c->net.cnt && rc == 0)
		rc = call_round(c, &peer->shm->sample.hist, &now_ns, false);
	if (rc < 0)
		return bench_net_fail(&c->net, rc);
	atomic_store(&peer->shm->clients_ready, 1);
	c->net.wait_ms = INT_MAX;
	for (;;)
		call_round(c, &peer->shm->sample.hist, &now_ns, false);
}

/* ---- the benchmarks ---- */

static int server_vj(struct bench_peer *peer)
{
	return bench_echo_server(peer, &net_vj);
}

static int client_vj(struct bench_peer *peer)
{
	return bench_call_client(peer, &net_vj);
}

static int server_kernel(struct bench_peer *peer)
{
	return bench_echo_server(peer, &net_kernel);
}

static int client_kernel(struct bench_peer *peer)
{
	return bench_call_client(peer, &net_kernel);
}

static int server_lwip(struct bench_peer *peer)
{
	return bench_echo_server(peer, bench_lwip_net());
}

static int client_lwip(struct bench_peer *peer)
{
	return bench_call_client(peer, bench_lwip_net());
}

#define KERNEL_WAY(way, text)                                                \
	{                                                                    \
		.how = text, .measure = bench_pair, .server = server_kernel, \
		.client = client_kernel, .nr = way                           \
	}
#define KERNEL_TEXT "loopback TCP, pinned, TCP_NODELAY, SO_BUSY_POLL, "

#define UNIX_TEXT "AF_UNIX SOCK_STREAM, pinned, "

/* Of the kernel's ways, which end with one without a name, those that do with so many connections, and spin only where that is wanted. Return: how many. */
static unsigned choose_ways(const struct bench_ctx *ctx, const struct bench_way all[static BENCH_WAYS_MAX],
			    struct bench_way ret_ways[static BENCH_WAYS_MAX])
{
	unsigned cnt = 0;

	for (size_t i = 0; i < BENCH_WAYS_MAX && all[i].how != NULL; i++) {
		int nr = all[i].nr & ~NET_UNIX;
		bool spins = nr == NET_RECV_SPIN || nr == NET_EPOLL_SPIN;

		if ((nr == NET_RECV_BLOCK && ctx->conns > 1) || (spins && !ctx->busy))
			continue;
		ret_ways[cnt] = all[i];
		ret_ways[cnt++].ordinary = nr == (ctx->conns > 1 ? NET_EPOLL : NET_RECV_BLOCK);
	}
	return cnt;
}

static int compare_tcp(struct bench_ctx *ctx, struct bench_case *c)
{
	static const struct bench_way tcp[BENCH_WAYS_MAX] = {
		KERNEL_WAY(NET_RECV_BLOCK, KERNEL_TEXT "blocking recv"),
		KERNEL_WAY(NET_EPOLL, KERNEL_TEXT "epoll batches, sleeping"),
		KERNEL_WAY(NET_RECV_SPIN, KERNEL_TEXT "spinning on recv"),
		KERNEL_WAY(NET_EPOLL_SPIN, KERNEL_TEXT "epoll batches, spinning"),
	}, un[BENCH_WAYS_MAX] = {
		KERNEL_WAY(NET_UNIX + NET_RECV_BLOCK, UNIX_TEXT "blocking recv"),
		KERNEL_WAY(NET_UNIX + NET_EPOLL, UNIX_TEXT "epoll batches, sleeping"),
		KERNEL_WAY(NET_UNIX + NET_RECV_SPIN, UNIX_TEXT "spinning on recv"),
		KERNEL_WAY(NET_UNIX + NET_EPOLL_SPIN, UNIX_TEXT "epoll batches, spinning"),
	};

	c->kernel_cnt = choose_ways(ctx, tcp, c->kernel);
	c->others[0].name = "unix";
	c->others[0].way_cnt = choose_ways(ctx, un, c->others[0].ways);
	c->others[1] = bench_lwip_rival(server_lwip, client_lwip);
	c->other_cnt = 2;
	c->vj[0] = (struct bench_way){
		.how = ctx->busy ? "direct channel, pinned, TCP_NODELAY, polling"
				 : "direct channel, pinned, TCP_NODELAY, sleeping",
		.measure = bench_pair,
		.server = server_vj,
		.client = client_vj,
		.with_vjd = true
	};
	c->latency = true;
	c->extra = json_pack("{s:i, s:i}", "bytes", (int)ctx->o->bytes, "connections",
			     (int)ctx->conns);
	return bench_compare(ctx, c);
}

int bench_rtt(struct bench_ctx *ctx)
{
	char title[96];
	struct bench_case c = { .name = "rtt",
				.title = title,
				.unit = "seconds",
				.lower_is_better = true,
				.value = bench_median_s };

	ctx->conns = 1;
	snprintf(title, sizeof(title), "round trip of %lld B over TCP, one connection, median",
		 (long long)ctx->o->bytes);
	return compare_tcp(ctx, &c);
}

int bench_rpc(struct bench_ctx *ctx)
{
	char title[96];
	struct bench_case c = {
		.name = "rpc", .title = title, .unit = "requests per second", .value = bench_rate
	};

	ctx->conns = bench_connections(ctx->o, BENCH_CONNS);
	snprintf(title, sizeof(title),
		 "requests of %lld B over TCP, one outstanding on each of %u connections",
		 (long long)ctx->o->bytes, ctx->conns);
	return compare_tcp(ctx, &c);
}

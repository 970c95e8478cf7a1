// SPDX-License-Identifier: BSD-2-Clause
/* The server of vj bench c10m: sends back what it gets, and knows nothing of its connections but what events say. */
#include "cli/bench_c10m.h"
#include "cli/cmd.h"

#include "base/time.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { OVER_MAX_S = 30 };

struct server {
	struct many many;
	struct c10m_shared *sh;
	uint32_t accepted, closed;
	uint8_t buf[BENCH_C10M_BYTES_MAX];
};

static int fail(struct server *srv, int rc)
{
	return bench_fail(srv->many.peer, srv->many.failed != NULL ? srv->many.failed : "server", rc);
}

/* One message is outstanding on a connection at most, so there is always room for the answer. */
static int serve(struct server *srv, uint32_t conn)
{
	const struct many_ops *ops = srv->many.ops;
	ssize_t n, sent;

	for (;;) {
		n = ops->recv(&srv->many, conn, srv->buf, sizeof(srv->buf));
		if (n == -EAGAIN)
			return 0;
		if (n <= 0) {
			ops->hang_up(&srv->many, conn);
			srv->closed++;
			srv->many.failed = "server: a connection";
			return (int)n;
		}
		sent = ops->send(&srv->many, conn, srv->buf, (size_t)n);
		if (sent != n) {
			srv->many.failed = "server: an answer was not taken whole";
			return sent < 0 ? (int)sent : -EMSGSIZE;
		}
		if (n < (ssize_t)sizeof(srv->buf))
			return 0;
	}
}

static int server_turn(struct server *srv)
{
	struct many_event ev[MANY_EVENTS_MAX];
	int n = srv->many.ops->poll(&srv->many, ev, MANY_EVENTS_MAX), rc = n < 0 ? n : 0;

	for (int i = 0; i < n && rc >= 0; i++) {
		if ((ev[i].what & MANY_ACCEPT) != 0) {
			rc = srv->many.ops->accept(&srv->many);
			srv->accepted += rc > 0 ? (uint32_t)rc : 0;
		} else if ((ev[i].what & (MANY_READABLE | MANY_FAILED)) != 0) {
			rc = serve(srv, ev[i].conn);
		}
	}
	atomic_store_explicit(&srv->sh->closed, srv->closed, memory_order_relaxed);
	if (rc >= 0 && atomic_load_explicit(&srv->sh->measure, memory_order_acquire) !=
			       atomic_load_explicit(&srv->sh->measured, memory_order_relaxed)) {
		bench_memory_read(&srv->sh->server.open);
		atomic_store_explicit(&srv->sh->measured, 1, memory_order_release);
	}
	return rc;
}

/* What was closed last takes a moment to be over at both ends; longer, where the client gets little of a processor. */
static int server_linger(struct server *srv)
{
	uint64_t late_ns = 0, before = UINT64_MAX;
	int rc = 0;

	srv->many.wait_ms = MANY_WAIT_END_MS; /* the end of a closed connection is no event */
	while (srv->many.ops->left != NULL && rc >= 0) {
		srv->many.ops->left(&srv->many, &srv->sh->server.left, &srv->sh->server.resets);
		if (srv->sh->server.left != before)
			late_ns = bench_now_ns() + OVER_MAX_S * NS_PER_SEC;
		before = srv->sh->server.left;
		if (before == 0 || bench_now_ns() > late_ns)
			break;
		rc = server_turn(srv);
	}
	atomic_store_explicit(&srv->sh->over, 1, memory_order_release);
	/* the client looks at it, and may still have a last word for us */
	while (rc >= 0 && atomic_load(&srv->many.peer->shm->stop) == 0)
		rc = server_turn(srv);
	return rc;
}

int c10m_server(struct bench_peer *peer, const struct many_ops *ops, struct c10m_shared *sh)
{
	struct server srv = { .many = { .ops = ops, .peer = peer }, .sh = sh };
	uint16_t port = 0;
	int rc;

	srv.many.wait_ms = peer->ctx->busy ? 0 : MANY_WAIT_MS;
	rc = ops->open(&srv.many);

	if (rc == 0)
		rc = ops->listen(&srv.many, &port);
	if (rc < 0)
		return fail(&srv, rc);
	bench_memory_read(&sh->server.before);
	atomic_store(&peer->shm->server_ready, port);
	while (rc >= 0 && srv.closed < sh->conns && atomic_load_explicit(&peer->shm->stop, memory_order_relaxed) == 0)
		rc = server_turn(&srv);
	if (rc >= 0)
		rc = server_linger(&srv);
	if (rc < 0)
		return fail(&srv, rc);
	ops->close(&srv.many);
	return EXIT_OK;
}

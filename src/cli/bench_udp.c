// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench udp: a sender that sends as fast as it can, and a receiver that counts. Word j of datagram i is i + j: the
 * receiver sees what was damaged, overtaken or sent twice. Datagrams that came are the result, those that were sent
 * stand beside it: the kernel drops what its receiver has no time for.
 */
#include "cli/bench_dgram.h"
#include "cli/cmd.h"

#include <vj/vj.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLOCK_EVERY = 64 };

/* ---- over vj.h ----------------------------------------------------------------------------------------------------- */

struct vj_dgram {
	struct vj *vj;
	struct vj_udp udp;
	struct sockaddr_in to;
	struct vj_udp_msg msgs[DGRAM_BATCH_MAX];
	struct vj_event evs[4];
};

static int failed(struct dgram *d, const char *what, int rc)
{
	d->failed = what;
	return rc;
}

static int vjdgram_open(struct dgram *d)
{
	const struct bench_ctx *ctx = d->peer->ctx;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct vj_options opts = VJ_OPTIONS_INIT;
	struct vj_dgram *v = calloc(1, sizeof(*v));
	int rc;

	d->priv = v;
	if (v == NULL)
		return failed(d, "memory", -ENOMEM);
	for (unsigned i = 0; i < d->batch; i++)
		v->msgs[i] = (struct vj_udp_msg){ .data = d->mem + i * d->bytes, .len = (uint32_t)d->bytes };
	opts.name = "vj bench";
	opts.socket_path = ctx->socket;
	opts.spin_us = (int32_t)ctx->o->spin_us;
	rc = vj_open(&opts, &v->vj);
	if (rc < 0)
		return failed(d, "vj_open", rc);
	rc = vj_udp_open(v->vj, (struct sockaddr *)&any, sizeof(any), 0, -1, 0, &v->udp);
	return rc < 0 ? failed(d, "vj_udp_open", rc) : 0;
}

static void vjdgram_close(struct dgram *d)
{
	struct vj_dgram *v = d->priv;

	vj_close(v->vj);
	free(v);
}

static int vjdgram_bind(struct dgram *d, uint16_t *ret_port)
{
	struct vj_dgram *v = d->priv;
	struct sockaddr_storage where;

	vj_udp_addr(v->vj, v->udp, &where);
	*ret_port = ntohs(((struct sockaddr_in *)&where)->sin_port);
	return 0;
}

static int vjdgram_connect(struct dgram *d, uint16_t port)
{
	struct vj_dgram *v = d->priv;

	v->to = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return 0;
}

static int64_t patience_ns(const struct dgram *d)
{
	return d->peer->ctx->busy ? 0 : 100 * INT64_C(1000000);
}

static int vjdgram_send(struct dgram *d, unsigned n)
{
	struct vj_dgram *v = d->priv;
	int sent = vj_udp_send_batch(v->vj, v->udp, (struct sockaddr *)&v->to, sizeof(v->to), v->msgs, n);

	if (sent == -EAGAIN) {
		vj_poll(v->vj, v->evs, ARRAY_SIZE(v->evs), patience_ns(d));
		return 0;
	}
	return sent < 0 ? failed(d, "vj_udp_send_batch", sent) : sent;
}

static int vjdgram_recv(struct dgram *d)
{
	struct vj_dgram *v = d->priv;
	int n = vj_udp_recv_batch(v->vj, v->udp, v->msgs, d->batch);

	if (n == -EAGAIN) {
		vj_poll(v->vj, v->evs, ARRAY_SIZE(v->evs), patience_ns(d));
		return 0;
	}
	if (n < 0)
		return failed(d, "vj_udp_recv_batch", n);
	for (int i = 0; i < n; i++)
		if (v->msgs[i].bytes != d->bytes)
			return failed(d, "a datagram came with another length", -EBADMSG);
	return n;
}

const struct dgram_ops dgram_vj = {
	.open = vjdgram_open,
	.close = vjdgram_close,
	.bind = vjdgram_bind,
	.connect = vjdgram_connect,
	.send = vjdgram_send,
	.recv = vjdgram_recv,
};

/* ---- receiver and sender ------------------------------------------------------------------------------------------- */

static int dgram_fail(struct dgram *d, int rc)
{
	return bench_fail(d->peer, d->failed != NULL ? d->failed : "datagrams", rc);
}

static int dgram_open(struct bench_peer *peer, const struct dgram_ops *ops, struct dgram *ret_d)
{
	const struct bench_options *o = peer->ctx->o;

	*ret_d = (struct dgram){ .ops = ops, .peer = peer, .batch = (unsigned)o->batch, .bytes = (size_t)o->bytes };
	ret_d->mem = calloc(ret_d->batch, ret_d->bytes);
	return ret_d->mem == NULL ? -ENOMEM : ops->open(ret_d);
}

/* Words of the datagram at @at, less what they should be by its first; *ret_seq is its number. */
static uint64_t dgram_error(const uint8_t *at, size_t bytes, uint64_t *ret_seq)
{
	uint64_t first = load_u64(at), error = 0;

	for (size_t i = 8; i + 8 <= bytes; i += 8)
		error |= load_u64(at + i) ^ (first + i / 8);
	*ret_seq = first;
	return error;
}

/* Return: 0; -EBADMSG: one is damaged or comes before another that left earlier. */
static int check(struct dgram *d, unsigned n, uint64_t *next_seq)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t seq, error = dgram_error(d->mem + i * d->bytes, d->bytes, &seq);

		if (error != 0 || seq < *next_seq)
			return failed(d, error != 0 ? "a datagram came damaged" : "a datagram came late or twice", -EBADMSG);
		*next_seq = seq + 1;
	}
	return 0;
}

/*
 * Counts between the first and the last look at the clock, which is taken now and then, so that neither the start of the sender
 * nor what comes after its end is in it.
 */
static int receive(struct dgram *d)
{
	struct bench_sample *sample = &d->peer->shm->sample;
	uint64_t start_ns = 0, start_cnt = 0, next_seq = 0, cnt = 0;
	bool stopped = false;

	for (unsigned round = 0;; round++) {
		int n = d->ops->recv(d), rc;

		if (n < 0)
			return n;
		if (n == 0) {
			if (stopped)
				return 0;
			stopped = atomic_load(&d->peer->shm->stop) != 0; /* one more look at what came before that */
			round--;
			continue;
		}
		rc = check(d, (unsigned)n, &next_seq);
		if (rc < 0)
			return rc;
		cnt += (unsigned)n;
		if (round % CLOCK_EVERY != 0)
			continue;
		if (start_ns == 0) {
			start_ns = bench_now_ns();
			start_cnt = cnt;
			continue;
		}
		sample->ops = cnt - start_cnt;
		sample->seconds = (double)(bench_now_ns() - start_ns) * 1e-9;
	}
}

static int receiver(struct bench_peer *peer, const struct dgram_ops *ops)
{
	struct dgram d;
	uint16_t port = 0;
	int rc = dgram_open(peer, ops, &d);

	if (rc == 0)
		rc = ops->bind(&d, &port);
	if (rc == 0) {
		atomic_store(&peer->shm->server_ready, port);
		rc = receive(&d);
	}
	if (rc < 0)
		return dgram_fail(&d, rc);
	ops->close(&d);
	free(d.mem);
	return EXIT_OK;
}

static void write_batch(struct dgram *d, uint64_t seq)
{
	const size_t bytes = d->bytes;
	uint8_t *at = d->mem;

	for (const uint64_t end = seq + d->batch; seq < end; seq++, at += bytes)
		for (size_t j = 0; j + 8 <= bytes; j += 8)
			store_u64(at + j, seq + j / 8);
}

/* Until @end_ns; what does not leave is sent again with the next. */
static int send_until(struct dgram *d, uint64_t end_ns, uint64_t *ret_sent)
{
	uint64_t seq = 0;

	for (unsigned round = 0; round % CLOCK_EVERY != 0 || bench_now_ns() < end_ns; round++) {
		int n;

		write_batch(d, seq);
		n = d->ops->send(d, d->batch);
		if (n < 0)
			return n;
		seq += (unsigned)n;
	}
	*ret_sent = seq;
	return 0;
}

static int sender(struct bench_peer *peer, const struct dgram_ops *ops)
{
	uint64_t start_ns, sent = 0;
	struct dgram d;
	uint32_t port;
	int rc = dgram_open(peer, ops, &d);

	while ((port = atomic_load(&peer->shm->server_ready)) == 0)
		usleep(100);
	if (rc == 0)
		rc = ops->connect(&d, (uint16_t)port);
	start_ns = bench_now_ns();
	if (rc == 0)
		rc = send_until(&d, start_ns + (uint64_t)(peer->seconds * 1e9), &sent);
	if (rc < 0)
		return dgram_fail(&d, rc);
	peer->shm->sample.parts[0] = (double)sent / ((double)(bench_now_ns() - start_ns) * 1e-9);
	ops->close(&d);
	free(d.mem);
	return EXIT_OK;
}

/* ---- the benchmark ------------------------------------------------------------------------------------------------- */

static int server_vj(struct bench_peer *peer)
{
	return receiver(peer, &dgram_vj);
}

static int client_vj(struct bench_peer *peer)
{
	return sender(peer, &dgram_vj);
}

static int server_kernel(struct bench_peer *peer)
{
	return receiver(peer, &dgram_kernel);
}

static int client_kernel(struct bench_peer *peer)
{
	return sender(peer, &dgram_kernel);
}

#define KERNEL_WAY(way, text)                                                    \
	{                                                                        \
		.how = text, .measure = bench_pair, .server = server_kernel, \
		.client = client_kernel, .nr = way                               \
	}

int bench_udp(struct bench_ctx *ctx)
{
	char title[96];
	struct bench_case c = {
		.name = "udp",
		.title = title,
		.unit = "datagrams per second",
		.value = bench_rate,
		.parts = { "sent" },
		.vj[0] = { .how = ctx->busy ? "direct channel, pinned, polling, batches" : "direct channel, pinned, batches",
			.measure = bench_pair,
			.server = server_vj,
			.client = client_vj,
			.with_vjd = true },
		.kernel = { KERNEL_WAY(DGRAM_BLOCK, "loopback UDP, pinned, sendmmsg and recvmmsg, sleeping"),
			    KERNEL_WAY(DGRAM_SPIN, "loopback UDP, pinned, sendmmsg and recvmmsg, spinning"),
			    KERNEL_WAY(DGRAM_OFFLOAD, "loopback UDP, pinned, UDP_SEGMENT and UDP_GRO, spinning") },
		.kernel_cnt = 3,
		.others = { { .name = "unix",
			      .ways = { KERNEL_WAY(DGRAM_UNIX, "AF_UNIX SOCK_DGRAM, pinned, sendmmsg and recvmmsg, sleeping"),
					KERNEL_WAY(DGRAM_UNIX_SPIN,
						   "AF_UNIX SOCK_DGRAM, pinned, sendmmsg and recvmmsg, spinning") },
			      .way_cnt = 2 } },
		.other_cnt = 1,
	};

	if (!ctx->busy) { /* nor does the kernel's side spin */
		c.kernel[1] = (struct bench_way)KERNEL_WAY(DGRAM_OFFLOAD, "loopback UDP, pinned, UDP_SEGMENT and UDP_GRO, sleeping");
		c.kernel_cnt = 2;
		c.others[0].way_cnt = 1;
	}
	c.kernel[0].ordinary = true;
	snprintf(title, sizeof(title), "datagrams of %lld B that come, one sender, one receiver, batches of %lld",
		 (long long)ctx->o->bytes, (long long)ctx->o->batch);
	c.extra = json_pack("{s:i, s:i}", "bytes", (int)ctx->o->bytes, "batch", (int)ctx->o->batch);
	return bench_compare(ctx, &c);
}

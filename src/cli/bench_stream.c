// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench stream: bits per second on one TCP connection, in two ways.
 *
 * By copy: pieces of COPY_BYTES from a buffer of the sender's into one of the receiver's. In the channel's own memory: the sender
 * writes every word where the receiver, who borrows it there, reads every word. Word i of the stream is i (by copy: modulo
 * the words of the buffer, which is written once); who borrows has seen all of them, who copies looks at the first
 * and the last of each piece that came. The kernel copies in either case.
 */
#include "cli/bench_lwip.h"
#include "cli/bench_net.h"
#include "cli/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_BYTES = 256 << 10, CLOCK_EVERY = 64, READY_MAX = 4, LINE = VJ_CACHELINE };

struct stream {
	struct net net;
	uint64_t pos; /* bytes of the stream behind us */
	uint8_t *buf; /* COPY_BYTES */
};

/* ---- words --------------------------------------------------------------------------------------------------------- */

/*
 * A cache line at a time, in registers of 16 bytes: a program that takes ten cycles for each line would be measured here, and not
 * what brings the lines.
 */
typedef uint64_t two_words __attribute__((vector_size(16), aligned(8), may_alias));

static void words_write(uint8_t *at, size_t bytes, uint64_t first)
{
	two_words words = { first, first + 1 };

	for (; bytes >= LINE; bytes -= LINE, at += LINE, first += LINE / 8, words += LINE / 8) {
		two_words *line = (two_words *)(void *)at;

		line[0] = words;
		line[1] = words + 2;
		line[2] = words + 4;
		line[3] = words + 6;
	}
	for (size_t i = 0; i < bytes / 8; i++)
		store_u64(at + 8 * i, first + i);
}

static uint64_t words_error(const uint8_t *at, size_t bytes, uint64_t first)
{
	two_words words = { first, first + 1 }, errors = { 0 };
	uint64_t error = 0;

	for (; bytes >= LINE; bytes -= LINE, at += LINE, first += LINE / 8, words += LINE / 8) {
		const two_words *line = (const two_words *)(const void *)at;

		errors |= (line[0] ^ words) | (line[1] ^ (words + 2)) | (line[2] ^ (words + 4)) | (line[3] ^ (words + 6));
	}
	for (size_t i = 0; i < bytes / 8; i++)
		error |= load_u64(at + 8 * i) ^ (first + i);
	return error | errors[0] | errors[1];
}

/* Is the first or the last whole word of what came, at this place of the stream, another than it should be? */
static bool piece_is_wrong(const uint8_t *at, size_t len, uint64_t pos)
{
	size_t first = (size_t)-pos & 7, last;

	if (len < first + 8)
		return false;
	last = first + (len - first - 8) / 8 * 8;
	return load_u64(at + first) != (pos + first) / 8 % (COPY_BYTES / 8) ||
	       load_u64(at + last) != (pos + last) / 8 % (COPY_BYTES / 8);
}

/* ---- one step: bytes that moved, 0: none at the moment; negative errno ---------------------------------------------- */

static ssize_t copy_send(struct stream *st)
{
	size_t at = st->pos % COPY_BYTES;

	return st->net.ops->send(&st->net, 0, st->buf + at, COPY_BYTES - at);
}

static ssize_t copy_recv(struct stream *st)
{
	ssize_t n = st->net.ops->recv(&st->net, 0, st->buf, COPY_BYTES);

	return n > 0 && piece_is_wrong(st->buf, (size_t)n, st->pos) ? -EBADMSG : n;
}

static ssize_t place_send(struct stream *st)
{
	uint8_t *data;
	size_t room;
	int rc = st->net.ops->buffer(&st->net, 0, &data, &room);

	if (rc < 0)
		return rc;
	room &= ~(size_t)7;
	words_write(data, room, st->pos / 8);
	rc = st->net.ops->commit(&st->net, 0, room);
	return rc < 0 ? rc : room == 0 ? -EAGAIN : (ssize_t)room;
}

static ssize_t place_recv(struct stream *st)
{
	const uint8_t *data;
	ssize_t n = st->net.ops->borrow(&st->net, 0, &data);

	if (n <= 0)
		return n;
	if (n % 8 != 0 || words_error(data, (size_t)n, st->pos / 8) != 0)
		return -EBADMSG;
	st->net.ops->give_back(&st->net, 0, (size_t)n);
	return n;
}

/* ---- receiver and sender ------------------------------------------------------------------------------------------- */

static int stream_open(struct stream *st, struct bench_peer *peer, const struct net_ops *ops)
{
	*st = (struct stream){ .net = { .ops = ops, .peer = peer, .cnt = 1, .wait_ms = NET_WAIT_MS } };
	st->buf = malloc(COPY_BYTES);
	if (st->buf == NULL)
		return -ENOMEM;
	words_write(st->buf, COPY_BYTES, 0);
	return ops->open(&st->net);
}

/* Nothing could be done: wait until it may be, as long as that takes in this way. */
static int stream_wait(struct stream *st)
{
	uint32_t ready[READY_MAX];
	int n = st->net.ops->poll(&st->net, ready, READY_MAX);

	return n < 0 ? n : 0;
}

/* Until the sender closes. Counts between its first and last look at the clock. */
static int stream_recv(struct stream *st, ssize_t (*step)(struct stream *st))
{
	struct bench_sample *sample = &st->net.peer->shm->sample;
	uint64_t start_ns = 0, start_pos = 0;
	unsigned steps = 0;

	for (;;) {
		ssize_t n = step(st);

		if (n == 0)
			return 0;
		if (n == -EAGAIN)
			n = stream_wait(st);
		if (n < 0)
			return (int)n;
		if (n == 0)
			continue;
		st->pos += (uint64_t)n;
		if (steps++ % CLOCK_EVERY != 0)
			continue;
		if (start_ns == 0) {
			start_ns = bench_now_ns();
			start_pos = st->pos;
			continue;
		}
		sample->ops = 8 * (st->pos - start_pos);
		sample->seconds = (double)(bench_now_ns() - start_ns) * 1e-9;
	}
}

static int receiver(struct bench_peer *peer, const struct net_ops *ops, ssize_t (*step)(struct stream *st))
{
	struct stream st;
	uint16_t port = 0;
	int rc = stream_open(&st, peer, ops);

	if (rc == 0)
		rc = ops->listen(&st.net, &port);
	if (rc == 0) {
		atomic_store(&peer->shm->server_ready, port);
		rc = ops->accept(&st.net);
	}
	if (rc == 0)
		rc = stream_recv(&st, step);
	if (rc == -EBADMSG)
		st.net.failed = "what came differs from what was sent";
	if (rc < 0)
		return bench_net_fail(&st.net, rc);
	ops->close(&st.net);
	return EXIT_OK;
}

static int stream_send(struct stream *st, ssize_t (*step)(struct stream *st), uint64_t end_ns)
{
	for (unsigned steps = 0; steps % CLOCK_EVERY != 0 || bench_now_ns() < end_ns; steps++) {
		ssize_t n = step(st);

		if (n == -EAGAIN)
			n = stream_wait(st);
		if (n < 0)
			return (int)n;
		st->pos += (uint64_t)n;
	}
	return 0;
}

static int sender(struct bench_peer *peer, const struct net_ops *ops, ssize_t (*step)(struct stream *st))
{
	struct stream st;
	int rc = stream_open(&st, peer, ops);
	uint16_t port = bench_net_port(peer);

	if (rc == 0)
		rc = ops->connect(&st.net, port);
	if (rc == 0)
		rc = stream_send(&st, step, bench_now_ns() + (uint64_t)(peer->seconds * 1e9));
	if (rc < 0)
		return bench_net_fail(&st.net, rc);
	ops->close(&st.net);
	return EXIT_OK;
}

/* ---- the benchmark ------------------------------------------------------------------------------------------------- */

static int copy_server_vj(struct bench_peer *peer)
{
	return receiver(peer, &net_vj, copy_recv);
}

static int copy_client_vj(struct bench_peer *peer)
{
	return sender(peer, &net_vj, copy_send);
}

static int place_server_vj(struct bench_peer *peer)
{
	return receiver(peer, &net_vj, place_recv);
}

static int place_client_vj(struct bench_peer *peer)
{
	return sender(peer, &net_vj, place_send);
}

static int server_kernel(struct bench_peer *peer)
{
	return receiver(peer, &net_kernel, copy_recv);
}

static int client_kernel(struct bench_peer *peer)
{
	return sender(peer, &net_kernel, copy_send);
}

static int server_lwip(struct bench_peer *peer)
{
	return receiver(peer, bench_lwip_net(), copy_recv);
}

static int client_lwip(struct bench_peer *peer)
{
	return sender(peer, bench_lwip_net(), copy_send);
}

#define KERNEL_WAY(way, text)                                                \
	{                                                                    \
		.how = text, .measure = bench_pair, .server = server_kernel, \
		.client = client_kernel, .nr = way                           \
	}

static int compare(struct bench_ctx *ctx, const char *name, const char *title, const struct bench_way *vj)
{
	struct bench_case c = {
		.name = name,
		.title = title,
		.unit = "bits per second",
		.value = bench_rate,
		.vj[0] = *vj,
		.kernel = { KERNEL_WAY(NET_RECV_BLOCK, "loopback TCP, pinned, pieces of 256 KiB, blocking"),
			    KERNEL_WAY(NET_RECV_SPIN, "loopback TCP, pinned, pieces of 256 KiB, spinning") },
		.others = { { .name = "unix",
			      .ways = { KERNEL_WAY(NET_UNIX + NET_RECV_BLOCK,
						   "AF_UNIX SOCK_STREAM, pinned, pieces of 256 KiB, blocking"),
					KERNEL_WAY(NET_UNIX + NET_RECV_SPIN,
						   "AF_UNIX SOCK_STREAM, pinned, pieces of 256 KiB, spinning") } } },
	};

	c.kernel_cnt = c.others[0].way_cnt = ctx->busy ? 2 : 1;
	c.others[1] = bench_lwip_rival(server_lwip, client_lwip);
	c.other_cnt = 2;
	c.kernel[0].ordinary = true;
	return bench_compare(ctx, &c);
}

int bench_stream(struct bench_ctx *ctx)
{
	static const struct bench_way copy = { .how = "direct channel, pinned, pieces of 256 KiB",
					       .measure = bench_pair,
					       .server = copy_server_vj,
					       .client = copy_client_vj,
					       .with_vjd = true },
				      place = { .how = "direct channel, pinned, written and read in the channel's memory",
						.measure = bench_pair,
						.server = place_server_vj,
						.client = place_client_vj,
						.with_vjd = true };
	int rc;

	ctx->conns = 1;
	rc = compare(ctx, "stream", "one TCP connection, by copy", &copy);
	return rc < 0 ? rc :
			compare(ctx, "stream-borrowed", "one TCP connection, every word written and read in place", &place);
}

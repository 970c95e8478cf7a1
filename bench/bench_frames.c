// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench channel: frames a second through the rings alone (/bench/bench_channel.c), beside the
 * nearest thing that the kernel has between two processes: datagrams over a Unix socket pair, with
 * sendmmsg() and recvmmsg() in the same batches. All write and read every byte.
 *
 * DPDK's ring carries pointers; two of them, one with free frames and one with full ones, do what a channel does for
 * frames in one direction. Nobody checks there what the other process writes.
 */
#include "bench/bench_channel.h"
#include "bench/rte_ring.h"
#include "channel/area_map.h"
#include "cli/bench.h"
#include "cli/bench_plugin.h"
#include "cli/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH_MAX = 256, WORDS_MAX = BENCH_CHANNEL_BYTES_MAX / 8 };

static int pair[2] = { -1, -1 };

struct mmsg_batch {
	struct mmsghdr msgs[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	uint64_t words[BATCH_MAX][WORDS_MAX];
};

static struct mmsg_batch *batch_new(const struct bench_options *o)
{
	struct mmsg_batch *b = calloc(1, sizeof(*b));

	for (int64_t i = 0; b != NULL && i < o->batch; i++) {
		b->iov[i] = (struct iovec){ .iov_base = b->words[i], .iov_len = (size_t)o->bytes };
		b->msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
	}
	return b;
}

/* The consumer: word j of frame i is i + j, as in the channel's own loop. */
static int unix_server(struct bench_peer *peer)
{
	const struct bench_options *o = peer->ctx->o;
	struct mmsg_batch *b = batch_new(o);
	uint64_t seq = 0, words = (uint64_t)o->bytes / 8;

	close(pair[0]);
	if (b == NULL)
		return bench_fail(peer, "consumer", ENOMEM);
	atomic_store(&peer->shm->server_ready, 1);
	for (;;) {
		int n = recvmmsg(pair[1], b->msgs, (unsigned)o->batch, MSG_WAITFORONE, NULL);

		if (n < 0 && errno != EINTR)
			return bench_fail(peer, "recvmmsg", errno);
		for (int i = 0; i < n; i++, seq++) {
			uint64_t sum = 0;

			/* end of file (SEQPACKET), or the empty datagram that means it */
			if (b->msgs[i].msg_len == 0)
				return EXIT_OK;
			for (uint64_t j = 0; j < words; j++)
				sum += b->words[i][j];
			if (sum != seq * words + words * (words - 1) / 2)
				return bench_fail(peer, "a frame came damaged", EBADMSG);
		}
	}
}

static int unix_client(struct bench_peer *peer)
{
	const struct bench_options *o = peer->ctx->o;
	struct mmsg_batch *b = batch_new(o);
	uint64_t seq = 0, words = (uint64_t)o->bytes / 8, start_ns, end_ns, now_ns;

	close(pair[1]);
	if (b == NULL)
		return bench_fail(peer, "producer", ENOMEM);
	while (atomic_load(&peer->shm->server_ready) == 0)
		usleep(100);
	start_ns = now_ns = bench_now_ns();
	end_ns = start_ns + (uint64_t)(peer->seconds * 1e9);
	while (now_ns < end_ns) {
		int n;

		for (int64_t i = 0; i < o->batch; i++)
			for (uint64_t j = 0; j < words; j++)
				b->words[i][j] = seq + (uint64_t)i + j;
		n = sendmmsg(pair[0], b->msgs, (unsigned)o->batch, 0);
		if (n < 0)
			return bench_fail(peer, "sendmmsg", errno);
		seq += (uint64_t)n;
		now_ns = bench_now_ns();
	}
	peer->shm->sample.ops = seq;
	peer->shm->sample.seconds = (double)(now_ns - start_ns) * 1e-9;
	send(pair[0], "", 0, 0);
	return EXIT_OK;
}

static int measure_unix(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
			struct bench_sample *ret_sample)
{
	int rc;

	if (socketpair(AF_UNIX, way->nr | SOCK_CLOEXEC, 0, pair) < 0) {
		complain("bench: socketpair: %m");
		return -errno;
	}
	rc = bench_pair(ctx, way, seconds, ret_sample);
	close(pair[0]);
	close(pair[1]);
	return rc;
}

static int run_frames(struct bench_ctx *ctx, double seconds, const struct bench_pipe *pipe, void *at,
		      struct bench_sample *ret_sample)
{
	struct bench_channel_opts opts = BENCH_CHANNEL_OPTS_INIT;
	struct bench_channel_result result;
	int rc;

	opts.frame_len = (uint32_t)ctx->o->bytes;
	opts.batch = (uint32_t)ctx->o->batch;
	opts.duration_ms = (uint32_t)(seconds * 1000) + 1;
	opts.run_cnt = 1;
	opts.cpus[0] = ctx->cpu_client;
	opts.cpus[1] = ctx->cpu_server;
	opts.pipe = pipe;
	opts.pipe_at = at;
	rc = bench_channel_run(&opts, &result);
	if (rc < 0) {
		complain("bench: channel: %s",
			 rc == -EPROTO ? "a frame was lost or damaged" : strerror(-rc));
		return rc;
	}
	ret_sample->seconds = 1;
	ret_sample->ops = (uint64_t)result.frames_per_s;
	return 0;
}

static int measure_channel(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
			   struct bench_sample *ret_sample)
{
	(void)way;
	return run_frames(ctx, seconds, NULL, NULL, ret_sample);
}

/* ---- DPDK's ring ---- */

enum {
	RTE_FRAMES = 4096,
	RTE_STRIDE = 2048 + 320, /* of a packet of a DPDK pool: with headers, so that frames begin in different cache sets */
};

static const struct bench_rte_ring *rte;

struct rte_rings {
	void *free, *full;
	uint32_t frame_len; /* of all; a pointer says nothing of it */
};

static unsigned rte_out(void *ring, struct vj_buf *bufs, unsigned n)
{
	void *ptrs[BATCH_MAX];

	n = rte->take(ring, ptrs, n);
	for (unsigned i = 0; i < n; i++)
		bufs[i].data = ptrs[i];
	return n;
}

static void rte_in(void *ring, const struct vj_buf *bufs, unsigned n)
{
	void *ptrs[BATCH_MAX];

	for (unsigned i = 0; i < n; i++)
		ptrs[i] = bufs[i].data;
	rte->put(ring, ptrs, n); /* there is room for all that exist */
}

static unsigned rte_get(void *at, struct vj_buf *bufs, unsigned n)
{
	return rte_out(((struct rte_rings *)at)->free, bufs, n);
}

static void rte_put(void *at, const struct vj_buf *bufs, unsigned n)
{
	rte_in(((struct rte_rings *)at)->full, bufs, n);
}

static unsigned rte_take(void *at, struct vj_buf *bufs, unsigned n)
{
	const struct rte_rings *r = at;

	n = rte_out(r->full, bufs, n);
	for (unsigned i = 0; i < n; i++)
		bufs[i].len = r->frame_len;
	return n;
}

static void rte_give(void *at, const struct vj_buf *bufs, unsigned n)
{
	rte_in(((struct rte_rings *)at)->free, bufs, n);
}

static const struct bench_pipe rte_pipe = { .get = rte_get, .put = rte_put, .take = rte_take, .give = rte_give };

/* Rings and frames in @mem, all frames free. Return: 0; -ENOMEM: not enough; errors of rte_ring_init(). */
static int rte_set_up(struct rte_rings *r, uint8_t *mem, size_t bytes)
{
	size_t ring_bytes = (rte->bytes(2 * RTE_FRAMES) + VJ_CACHELINE - 1) / VJ_CACHELINE * VJ_CACHELINE;
	int rc;

	if (2 * ring_bytes + (size_t)RTE_FRAMES * RTE_STRIDE > bytes)
		return -ENOMEM;
	r->free = mem;
	r->full = mem + ring_bytes;
	rc = rte->init(r->free, 2 * RTE_FRAMES);
	if (rc == 0)
		rc = rte->init(r->full, 2 * RTE_FRAMES);
	for (unsigned i = 0; i < RTE_FRAMES && rc == 0; i++) {
		struct vj_buf buf = { .data = mem + 2 * ring_bytes + (size_t)i * RTE_STRIDE };

		rte_in(r->free, &buf, 1);
	}
	return rc;
}

/* In the same memory, with the same pages under it, as a channel. */
static int measure_rte(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
		       struct bench_sample *ret_sample)
{
	struct bench_channel_opts opts = BENCH_CHANNEL_OPTS_INIT;
	struct rte_rings r = { .frame_len = (uint32_t)ctx->o->bytes };
	struct area_mapping map;
	int fd, rc;

	(void)way;
	rc = area_create("vj-bench", &opts.params, AREA_PAGES_HUGETLB, &fd, &map);
	if (rc < 0)
		return rc;
	madvise(map.mem, map.bytes, MADV_DOFORK); /* both processes have it at one address, as pointers in rings need */
	rc = rte_set_up(&r, map.mem, map.bytes);
	if (rc == 0)
		rc = run_frames(ctx, seconds, &rte_pipe, &r, ret_sample);
	else
		complain("bench: rte_ring: %s", strerror(-rc));
	area_unmap(&map);
	close(fd);
	return rc;
}

static const char *rte_missing(void)
{
	return plugin_find(INSTALL_BENCH_RTE_RING, "bench_rte_ring", "libdpdk-dev", (const void **)&rte);
}

int bench_channel(struct bench_ctx *ctx)
{
	char title[96];
	struct bench_case c = {
		.name = "channel",
		.title = title,
		.unit = "frames per second",
		.value = bench_rate,
		.vj[0] = { .how = "bare rings", .measure = measure_channel },
		.kernel = { { .how = "AF_UNIX SOCK_SEQPACKET, sendmmsg and recvmmsg",
			      .measure = measure_unix,
			      .server = unix_server,
			      .client = unix_client,
			      .nr = SOCK_SEQPACKET },
			    { .how = "AF_UNIX SOCK_DGRAM, sendmmsg and recvmmsg",
			      .measure = measure_unix,
			      .server = unix_server,
			      .client = unix_client,
			      .nr = SOCK_DGRAM } },
		.kernel_cnt = 2,
		.others = { { .name = "rte_ring",
			      .ways = { { .how = "two rte_rings of pointers, one producer, one consumer, no checks",
					  .measure = measure_rte } },
			      .way_cnt = 1,
			      .missing = rte_missing } },
		.other_cnt = 1,
	};

	snprintf(title, sizeof(title), "%lld B frames, one producer, one consumer, batches of %lld",
		 (long long)ctx->o->bytes, (long long)ctx->o->batch);
	c.extra = json_pack("{s:i, s:i}", "bytes", (int)ctx->o->bytes, "batch", (int)ctx->o->batch);
	return bench_compare(ctx, &c);
}

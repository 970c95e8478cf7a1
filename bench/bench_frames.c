// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench channel: frames a second through the rings alone (/bench/bench_channel.c), beside the
 * nearest thing that the kernel has between two processes: datagrams over a Unix socket pair, with
 * sendmmsg() and recvmmsg() in the same batches. Both write and read every byte.
 */
#include "bench/bench_channel.h"
#include "cli/bench.h"
#include "cli/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH_MAX = 256, WORDS_MAX = 512 };

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

static int measure_channel(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
			   struct bench_sample *ret_sample)
{
	struct bench_channel_opts opts = BENCH_CHANNEL_OPTS_INIT;
	struct bench_channel_result result;
	int rc;

	(void)way;
	opts.frame_len = (uint32_t)ctx->o->bytes;
	opts.batch = (uint32_t)ctx->o->batch;
	opts.duration_ms = (uint32_t)(seconds * 1000) + 1;
	opts.run_cnt = 1;
	opts.cpus[0] = ctx->cpu_client;
	opts.cpus[1] = ctx->cpu_server;
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

bool bench_channel_bytes_ok(int64_t bytes)
{
	if (bytes % 8 == 0 && bytes <= WORDS_MAX * 8 - 512)
		return true;
	complain("bench: channel: --bytes takes a number from 8 to %d that 8 divides, not %lld", WORDS_MAX * 8 - 512,
		 (long long)bytes);
	return false;
}

int bench_channel(struct bench_ctx *ctx)
{
	char title[96];
	struct bench_case c = {
		.name = "channel",
		.title = title,
		.unit = "frames per second",
		.value = bench_rate,
		.vj = { .how = "bare rings", .measure = measure_channel },
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
	};

	snprintf(title, sizeof(title), "%lld B frames, one producer, one consumer, batches of %lld",
		 (long long)ctx->o->bytes, (long long)ctx->o->batch);
	c.extra = json_pack("{s:i, s:i}", "bytes", (int)ctx->o->bytes, "batch", (int)ctx->o->batch);
	return bench_compare(ctx, &c);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_channel.h - how many frames a second pass through a channel between two processes
 *
 * The producer takes frames with vj_channel_tx_get(), writes every byte, queues and publishes; the consumer
 * takes them with vj_channel_rx(), reads every byte, checks the sum, and gives the frames back. Everything by the
 * public interface, over a sealed area as vjd makes it, each process on a CPU of its own where there are two.
 */
#ifndef VJ_BENCH_CHANNEL_H
#define VJ_BENCH_CHANNEL_H

#include <vj/channel.h>

/* What frames go through, if not a channel. All of these take and return numbers of frames, and wait for nothing. */
struct bench_pipe {
	unsigned (*get)(void *at, struct vj_buf *bufs, unsigned n); /* free frames, to write in */
	void (*put)(void *at, const struct vj_buf *bufs, unsigned n);
	unsigned (*take)(void *at, struct vj_buf *bufs, unsigned n); /* frames that came */
	void (*give)(void *at, const struct vj_buf *bufs, unsigned n);
};

struct bench_channel_opts {
	struct vj_area_params params;
	uint32_t frame_len;   /* bytes written and read per frame; multiple of 8, <= vj_channel_room() */
	uint32_t batch;	      /* frames per call, 1..256 */
	uint32_t duration_ms; /* of one run */
	uint32_t run_cnt;     /* runs, 1..BENCH_CHANNEL_RUNS_MAX; the result is their median */
	int cpus[2];	      /* producer's and consumer's CPU; -1: choose */
	const struct bench_pipe *pipe; /* NULL: a channel */
	void *pipe_at;		       /* shared by both processes at this address; with one run only */
};
#define BENCH_CHANNEL_RUNS_MAX 64

/*
 * 4096 frames of 2048 bytes: a deep ring lets the lines of a frame leave the writer's first-level cache before they
 * are asked for, which makes 10 to 15 % against VJ_AREA_PARAMS_DEFAULT.
 */
/* clang-format off */
#define BENCH_CHANNEL_OPTS_INIT                                                                    \
	{                                                                                          \
		.params = { .frame_bytes = 2048, .frame_cnt = 4096, .ring_cnt = 4096 },            \
		.frame_len = 64, .batch = 64, .duration_ms = 500, .run_cnt = 5, .cpus = { -1, -1 } \
	}
/* clang-format on */

struct bench_channel_result {
	double frames_per_s;	 /* median of the runs */
	double frames_per_s_min; /* slowest and fastest run: how noisy the machine was */
	double frames_per_s_max;
	uint64_t frames;   /* passed in all runs, each of them checked */
	uint64_t wakes;	   /* doorbells rung in all runs */
	const char *pages; /* kind of memory pages */
};

/*
 * Run. Forks a consumer; do not call with other threads running that hold locks.
 * Return: 0; -EINVAL: options out of range; -ENOMEM, -EMFILE, -EAGAIN: no resources; -EPROTO: a frame was lost
 * or damaged (a bug).
 */
int bench_channel_run(const struct bench_channel_opts *opts,
		      struct bench_channel_result *ret_result);

#endif

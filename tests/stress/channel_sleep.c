// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two ends that do little but sleep and wake each other: is any wake-up lost, any frame lost, damaged or out of order?
 *
 *	channel_sleep procs SECONDS    two processes over a sealed memfd, doorbells and epoll as in real life
 *	channel_sleep threads SECONDS  two threads over one mapping, for ThreadSanitizer, which sees no other process
 *	channel_sleep lossy SECONDS    as procs, but passes only if a wake-up is lost: for the build with
 *	                               VJ_TEST_NO_FENCE, which shows that this test would notice
 *
 * End 0 sends bursts, of one frame up to more than there are frames, and waits until end 1 has sent all of them back;
 * both sleep whenever there is nothing to do, for frames to read or, when frames to send in are short, for these too.
 * Half of the time each end has a processor of its own, which is where hand-shakes meet; half of the time they share
 * one, which gives many more sleeps a second.
 *
 * A sleeper that is not woken for seconds looks at its rings. If there is something, a wake-up was lost: failure.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vj/channel.h>

#include "base/prng.h"
#include "base/time.h"
#include "channel/area_map.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "tests/stress/stress.h"

/* So long may a wake-up take on a machine that is busy with other things, and keeps one end from ringing for what it has published. */
#define WAKE_MS 6000
#define FRAME_CNT 8u
#define BURST_MAX 20u
#define LEN_MIN 16u
#define LEN_MAX 1400u
#define SPIN_MAX 300u

static const struct vj_area_params params = { .frame_bytes = 2048,
					      .frame_cnt = FRAME_CNT,
					      .ring_cnt = FRAME_CNT };

/* Shared by the two ends besides the channel. */
struct common {
	_Atomic uint32_t finish; /* end 0 is through */
	_Atomic uint32_t failed;
	_Atomic uint32_t lost;	    /* failed by a lost wake-up */
	_Atomic uint64_t sleeps[2]; /* armed, and went to sleep */
	_Atomic uint64_t misses[2]; /* armed, and found work at the last moment */
	_Atomic uint64_t frames;    /* checked, both ends together */
};

struct end {
	unsigned int which;
	int bells[2];
	int cpus[2]; /* of end 0 and 1 in the first half */
	uint32_t seconds;
	struct common *common;
	struct vj_channel *ch;
	int set;
	struct prng prng;
	uint64_t sent, received; /* frames */
	bool shared_cpu;	 /* second half: both on one processor */
	unsigned int vain;	 /* waits in a row that ended by time, with nothing on our side */
};

static void fail(struct end *end, const char *what)
{
	fprintf(stderr, "end %u: %s (sent %" PRIu64 ", received %" PRIu64 ", channel: %s)\n",
		end->which, what, end->sent, end->received,
		vj_channel_error_text(vj_channel_error(end->ch)));
	atomic_store(&end->common->failed, 1);
	bell_ring(end->bells[!end->which]);
}

static bool over(struct end *end)
{
	return atomic_load(&end->common->finish) || atomic_load(&end->common->failed);
}

/* Frame number `seq`, the same in both directions: its length and each byte follow from the number. */
static uint32_t frame_len(uint64_t seq)
{
	return LEN_MIN + (uint32_t)(seq * 37 % (LEN_MAX - LEN_MIN));
}

static void frame_write(struct vj_buf *buf, uint64_t seq)
{
	buf->len = frame_len(seq);
	memset(buf->data, (int)(seq & 0xff), buf->len);
	memcpy(buf->data, &seq, sizeof(seq));
}

static bool frame_right(const struct vj_buf *buf, uint64_t seq)
{
	uint64_t got;

	memcpy(&got, buf->data, sizeof(got));
	return got == seq && buf->len == frame_len(seq) && buf->data[sizeof(seq)] == (seq & 0xff) &&
	       buf->data[buf->len - 1] == (seq & 0xff);
}

static void end_receive(struct end *end)
{
	struct vj_buf bufs[FRAME_CNT];
	unsigned int n =
		vj_channel_rx(end->ch, bufs, 1 + (unsigned int)prng_below(&end->prng, FRAME_CNT));

	for (unsigned int i = 0; i < n; i++) {
		if (!frame_right(&bufs[i], end->received++))
			fail(end, "wrong frame");
	}
	vj_channel_rx_free(end->ch, bufs, n);
	atomic_fetch_add_explicit(&end->common->frames, n, memory_order_relaxed);
}

/* Up to `n` frames, as many as can be had. */
static void end_send(struct end *end, uint64_t n)
{
	struct vj_buf bufs[FRAME_CNT];
	unsigned int got =
		vj_channel_tx_get(end->ch, bufs, n < FRAME_CNT ? (unsigned int)n : FRAME_CNT);

	for (unsigned int i = 0; i < got; i++)
		frame_write(&bufs[i], end->sent++);
	vj_channel_tx_put(end->ch, bufs, got);
	vj_channel_tx_publish(end->ch);
}

/*
 * The wait was in vain: was there something all the time? If not, the other end may be about to find the same of itself;
 * it has until our second wait ends.
 */
static void end_woken_by_nobody(struct end *end, bool want_tx)
{
	if (over(end))
		return;
	if (vj_channel_rx_ready(end->ch) || (want_tx && vj_channel_tx_ready(end->ch))) {
		atomic_store(&end->common->lost, 1);
		fail(end, "lost a wake-up: asleep on a ring that is not empty");
	} else if (++end->vain > 1 && !atomic_load(&end->common->lost)) {
		fail(end, "the other end does not answer");
	}
}

static void end_sleep(struct end *end, bool want_tx)
{
	/* Arming just when the other publishes is what we are here for. */
	if (!end->shared_cpu) {
		for (uint64_t spins = prng_below(&end->prng, SPIN_MAX); spins > 0; spins--)
			stress_relax();
	}
	if (!vj_channel_arm(end->ch, want_tx)) {
		atomic_fetch_add_explicit(&end->common->misses[end->which], 1,
					  memory_order_relaxed);
		return;
	}
	atomic_fetch_add_explicit(&end->common->sleeps[end->which], 1, memory_order_relaxed);
	if (bell_set_wait(end->set, WAKE_MS) == 0)
		end_woken_by_nobody(end, want_tx);
	else
		end->vain = 0;
	vj_channel_disarm(end->ch);
}

/* One burst there and back. */
static void master_round(struct end *end)
{
	uint64_t until = end->sent + 1 +
			 prng_below(&end->prng, prng_chance(&end->prng, 1, 4) ? BURST_MAX : 2);

	while (end->received < until && !over(end)) {
		uint64_t received = end->received, sent = end->sent;

		end_receive(end);
		if (end->sent < until)
			end_send(end, prng_range(&end->prng, 1, until - end->sent));
		if (vj_channel_error(end->ch))
			fail(end, "channel closed");
		if (end->received == received && end->sent == sent)
			end_sleep(end, end->sent < until);
	}
}

static void master_run(struct end *end)
{
	uint64_t start_ns = sys_clock_ns(), half_ns = end->seconds * NS_PER_SEC / 2;

	while (!over(end) && sys_clock_ns() - start_ns < 2 * half_ns) {
		if (!end->shared_cpu && sys_clock_ns() - start_ns > half_ns) {
			end->shared_cpu = true;
			stress_pin(end->cpus[1]);
		}
		master_round(end);
	}
	atomic_store(&end->common->finish, 1);
	bell_ring(end->bells[1]);
}

/* Sends back as many as it has received. */
static void echo_run(struct end *end)
{
	while (!over(end)) {
		uint64_t received = end->received, sent = end->sent;

		end_receive(end);
		if (end->sent < end->received)
			end_send(end, end->received - end->sent);
		if (vj_channel_error(end->ch))
			fail(end, "channel closed");
		if (end->received == received && end->sent == sent)
			end_sleep(end, end->sent < end->received);
	}
}

/* Both processes, or both threads, come here. */
static void end_run(struct end *end, struct area_mapping *map)
{
	struct vj_channel_options opts = VJ_CHANNEL_OPTIONS_INIT;

	opts.area = map->mem;
	opts.area_bytes = map->bytes;
	opts.params = params;
	opts.end = end->which;
	opts.wake_fd = end->bells[!end->which];
	end->set = bell_set_new();
	if (end->set < 0 || bell_set_add(end->set, end->bells[end->which], 0) < 0 ||
	    vj_channel_attach(&opts, &end->ch) < 0) {
		atomic_store(&end->common->failed, 1);
		return;
	}
	prng_seed(&end->prng, end->which);
	stress_pin(end->cpus[end->which]);
	if (end->which == 0)
		master_run(end);
	else
		echo_run(end);
	vj_channel_detach(end->ch);
	sys_close(end->set);
}

static void process_run(struct end *end, int area_fd)
{
	struct area_mapping map;

	if (area_map(area_fd, &params, &map) < 0) {
		atomic_store(&end->common->failed, 1);
		return;
	}
	end_run(end, &map);
	area_unmap(&map);
}

static void run_procs(struct end ends[2], int area_fd)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		process_run(&ends[1], area_fd);
		_exit(0);
	}
	process_run(&ends[0], area_fd);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		atomic_store(&ends[0].common->failed, 1);
}

struct thread_arg {
	struct end *end;
	struct area_mapping *map;
};

static void *thread_run(void *arg)
{
	struct thread_arg *t = arg;

	end_run(t->end, t->map);
	return NULL;
}

static void run_threads(struct end ends[2], struct area_mapping *map)
{
	struct thread_arg arg = { .end = &ends[1], .map = map };
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_run, &arg) != 0) {
		atomic_store(&ends[0].common->failed, 1);
		return;
	}
	end_run(&ends[0], map);
	pthread_join(thread, NULL);
}

static int verdict(struct common *common, bool lossy, bool one_cpu, uint64_t sleeps)
{
	if (lossy && one_cpu) {
		printf("skipped: one processor, on which nothing is reordered\n");
		return STRESS_SKIP;
	}
	if (lossy)
		return common->lost ? STRESS_PASS : STRESS_FAIL;
	if (!common->failed && sleeps == 0) {
		printf("nothing has slept: nothing is proved\n");
		return STRESS_FAIL;
	}
	return common->failed ? STRESS_FAIL : STRESS_PASS;
}

int main(int argc, char **argv)
{
	struct common *common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct end ends[2] = { { .which = 0 }, { .which = 1 } };
	int bells[2] = { bell_new(), bell_new() }, area_fd = -1;
	struct area_mapping map;
	uint64_t start_ns = sys_clock_ns(), sleeps, frames;

	if (argc != 3 || common == MAP_FAILED || bells[0] < 0 || bells[1] < 0 ||
	    area_create("vj-stress", &params, AREA_PAGES_SMALL, &area_fd, &map) < 0)
		return STRESS_FAIL;
	for (unsigned int i = 0; i < 2; i++) {
		memcpy(ends[i].bells, bells, sizeof(bells));
		ends[i].cpus[0] = stress_cpu(0);
		ends[i].cpus[1] = stress_cpu(1) < 0 ? stress_cpu(0) : stress_cpu(1);
		ends[i].seconds = (uint32_t)strtoul(argv[2], NULL, 10);
		ends[i].common = common;
	}
	if (strcmp(argv[1], "threads") == 0)
		run_threads(ends, &map);
	else
		run_procs(ends, area_fd);

	sleeps = common->sleeps[0] + common->sleeps[1];
	frames = common->frames;
	printf("%" PRIu64 " sleeps, %" PRIu64 " times work was found at the last look, %" PRIu64
	       " frames checked, in %.1f s\n",
	       sleeps, common->misses[0] + common->misses[1], frames,
	       (double)(sys_clock_ns() - start_ns) / (double)NS_PER_SEC);
	return verdict(common, strcmp(argv[1], "lossy") == 0, ends[0].cpus[0] == ends[0].cpus[1],
		       sleeps);
}

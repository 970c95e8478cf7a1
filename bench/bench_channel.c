// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_channel.c - the channel alone, at full speed; see bench_channel.h
 *
 * Word j of frame i is i + j, so the consumer knows what to find without being told. Both sides spin for a
 * while when they have nothing to do and then sleep by the channel's own hand-shake, so the benchmark also ends
 * in sensible time where two processes share one CPU.
 */
#include "bench/bench_channel.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "base/types.h"
#include "channel/area_map.h"
#include "channel/bell.h"
#include "channel/sys.h"

#define BATCH_MAX 256u
#define SPIN_MAX 2000u
/* How often a sleeper looks whether the other process still lives. */
#define SLEEP_MS 100
/* 64 bytes, the frame that everybody measures with. */
#define FRAME_WORDS_USUAL 8u
/* Bursts between two looks at the clock. */
#define CLOCK_EVERY 256u

/* Shared by the two processes: start line and finish. */
struct bench_shared {
	_Atomic uint32_t ready; /* processes at the start line */
	_Atomic uint32_t done;	/* producer is through; `sent` is valid */
	_Atomic uint64_t sent;
	uint64_t received, start_ns, end_ns, wakes; /* by the consumer, read after it has ended */
};

/* How bursts are written and read: as wide as this machine can. */
struct frame_ops {
	void (*write)(struct vj_buf *bufs, unsigned int n, uint32_t words, uint64_t seq);
	uint64_t (*error)(const struct vj_buf *bufs, unsigned int n, uint32_t words, uint64_t seq);
};

/* One process's half of a run. */
struct bench_end {
	const struct bench_channel_opts *opts;
	struct frame_ops ops;
	struct bench_shared *shared;
	const struct bench_pipe *pipe;
	void *at;		/* of the pipe: this end */
	struct vj_channel *ch;	/* the same, where it is a channel; NULL: who waits spins */
	int bells; /* set that holds our doorbell */
	pid_t other;
	bool one_cpu;
	unsigned int idle;
};

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

static void cpu_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	/* Where it is refused the scheduler chooses; the figure is then noisier, not wrong. */
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* The `nth` CPU that we may run on, -1 if there are not so many. */
static int cpu_nth(int nth)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET((size_t)cpu, &set) && nth-- == 0)
			return cpu;
	}
	return -1;
}

/* Nothing to do: spin, and after a while sleep. `want_tx`: it is free frames that we wait for. */
static void bench_idle(struct bench_end *end, bool want_tx)
{
	if (!end->one_cpu && (end->ch == NULL || end->idle++ < SPIN_MAX)) {
		cpu_relax();
		return;
	}
	end->idle = 0;
	if (end->ch == NULL) {
		sched_yield();
		return;
	}
	if (!vj_channel_arm(end->ch, want_tx))
		return;
	(void)bell_set_wait(end->bells, SLEEP_MS);
	vj_channel_disarm(end->ch);
}

/*
 * Writing and reading whole bursts. A frame of the usual size has a constant number of words, of which the compiler makes
 * a few wide moves; how wide, and so how many entries of the processor's store buffer a frame takes, is worth 10 %.
 */
VJ_INLINE void words_write(uint64_t *word, uint32_t words, uint64_t seq)
{
	for (uint32_t j = 0; j < words; j++)
		word[j] = seq + j;
}

VJ_INLINE uint64_t words_sum(const uint64_t *word, uint32_t words)
{
	uint64_t sum = 0;

	for (uint32_t j = 0; j < words; j++)
		sum += word[j];
	return sum;
}

VJ_INLINE void frames_write_body(struct vj_buf *bufs, unsigned int n, uint32_t words, uint64_t seq)
{
	for (unsigned int i = 0; i < n; i++) {
		uint64_t *word = (uint64_t *)(void *)bufs[i].data;

		if (words == FRAME_WORDS_USUAL)
			words_write(word, FRAME_WORDS_USUAL, seq + i);
		else
			words_write(word, words, seq + i);
		bufs[i].len = words * 8;
	}
}

/* What is there, less what frames_write() writes: 0 if all is well. */
VJ_INLINE uint64_t frames_error_body(const struct vj_buf *bufs, unsigned int n, uint32_t words,
				     uint64_t seq)
{
	const uint64_t steps = (uint64_t)words * (words - 1) / 2;
	uint64_t error = 0;

	for (unsigned int i = 0; i < n; i++) {
		const uint64_t *word = (const uint64_t *)(const void *)bufs[i].data;
		uint64_t want = (seq + i) * words + steps;

		if (words == FRAME_WORDS_USUAL)
			error |= words_sum(word, FRAME_WORDS_USUAL) - want;
		else
			error |= words_sum(word, words) - want;
		error |= bufs[i].len ^ words * 8;
	}
	return error;
}

static void frames_write_plain(struct vj_buf *bufs, unsigned int n, uint32_t words, uint64_t seq)
{
	frames_write_body(bufs, n, words, seq);
}

static uint64_t frames_error_plain(const struct vj_buf *bufs, unsigned int n, uint32_t words,
				   uint64_t seq)
{
	return frames_error_body(bufs, n, words, seq);
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))

static AVX2 void frames_write_avx2(struct vj_buf *bufs, unsigned int n, uint32_t words,
				   uint64_t seq)
{
	frames_write_body(bufs, n, words, seq);
}

static AVX2 uint64_t frames_error_avx2(const struct vj_buf *bufs, unsigned int n, uint32_t words,
				       uint64_t seq)
{
	return frames_error_body(bufs, n, words, seq);
}
#endif

static struct frame_ops frame_ops_choose(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return (struct frame_ops){ frames_write_avx2, frames_error_avx2 };
#endif
	return (struct frame_ops){ frames_write_plain, frames_error_plain };
}

/* ---- what the frames go through ---- */

static unsigned int channel_get(void *at, struct vj_buf *bufs, unsigned int n)
{
	return vj_channel_tx_get(at, bufs, n);
}

static void channel_put(void *at, const struct vj_buf *bufs, unsigned int n)
{
	vj_channel_tx_put(at, bufs, n);
	vj_channel_tx_publish(at);
}

static unsigned int channel_take(void *at, struct vj_buf *bufs, unsigned int n)
{
	return vj_channel_rx(at, bufs, n);
}

static void channel_give(void *at, const struct vj_buf *bufs, unsigned int n)
{
	vj_channel_rx_free(at, bufs, n);
}

static const struct bench_pipe channel_pipe = {
	.get = channel_get, .put = channel_put, .take = channel_take, .give = channel_give
};

static bool is_closed(const struct bench_end *end)
{
	return end->ch != NULL && vj_channel_error(end->ch);
}

static uint64_t produce_burst(struct bench_end *end, uint64_t seq)
{
	struct vj_buf bufs[BATCH_MAX];
	unsigned int n = end->pipe->get(end->at, bufs, end->opts->batch);

	if (n == 0) {
		bench_idle(end, true);
		return 0;
	}
	end->ops.write(bufs, n, end->opts->frame_len / 8, seq);
	end->pipe->put(end->at, bufs, n);
	end->idle = 0;
	return n;
}

static int bench_produce(struct bench_end *end)
{
	uint64_t seq = 0, deadline_ns = sys_clock_ns() + end->opts->duration_ms * NS_PER_MS;
	bool gone = false;

	for (uint32_t burst = 1;; burst++) {
		seq += produce_burst(end, seq);
		if (burst % CLOCK_EVERY == 0 || end->one_cpu) {
			if (sys_clock_ns() > deadline_ns)
				break;
			gone = kill(end->other, 0) < 0;
		}
		if (gone || is_closed(end))
			return -EPROTO;
	}
	atomic_store(&end->shared->sent, seq);
	atomic_store(&end->shared->done, 1);
	return 0;
}

static int bench_consume(struct bench_end *end)
{
	uint32_t words = end->opts->frame_len / 8;
	struct bench_shared *shared = end->shared;
	struct vj_buf bufs[BATCH_MAX];
	uint64_t seq = 0, error = 0;

	shared->start_ns = sys_clock_ns();
	for (;;) {
		unsigned int n = end->pipe->take(end->at, bufs, end->opts->batch);

		if (n == 0) {
			if (atomic_load(&shared->done) && seq == atomic_load(&shared->sent))
				break;
			if (is_closed(end))
				return -EPROTO;
			bench_idle(end, false);
			continue;
		}
		error |= end->ops.error(bufs, n, words, seq);
		end->pipe->give(end->at, bufs, n);
		seq += n;
		end->idle = 0;
	}
	shared->end_ns = sys_clock_ns();
	shared->received = seq;
	return error ? -EPROTO : 0;
}

/* Wait for the other, and run. */
static int bench_end_go(struct bench_end *end, unsigned int which)
{
	atomic_fetch_add(&end->shared->ready, 1);
	while (atomic_load(&end->shared->ready) < 2 && kill(end->other, 0) == 0)
		sched_yield();
	return which == 0 ? bench_produce(end) : bench_consume(end);
}

/* Map, attach, run. In both processes; returns what the process found. */
static int bench_channel_end(struct bench_end *end, unsigned int which, int area_fd, const int bells[2])
{
	struct vj_channel_options copts = VJ_CHANNEL_OPTIONS_INIT;
	struct vj_channel_stats stats;
	struct area_mapping map;
	int err;

	err = area_map(area_fd, &end->opts->params, &map);
	if (err < 0)
		return err;
	copts.area = map.mem;
	copts.area_bytes = map.bytes;
	copts.params = end->opts->params;
	copts.end = which;
	copts.wake_fd = bells[!which];
	end->bells = bell_set_new();
	err = end->bells < 0 ? end->bells : bell_set_add(end->bells, bells[which], 0);
	if (err == 0)
		err = vj_channel_attach(&copts, &end->ch);
	if (err < 0)
		goto out;
	vj_channel_rx_more(end->ch, end->opts->params.frame_cnt);
	end->pipe = &channel_pipe;
	end->at = end->ch;
	err = bench_end_go(end, which);
	vj_channel_stats(end->ch, &stats);
	end->shared->wakes += which == 1 ? stats.wakes_sent : 0;
	vj_channel_detach(end->ch);
out:
	if (end->bells >= 0)
		sys_close(end->bells);
	area_unmap(&map);
	return err;
}

static int bench_end_run(struct bench_end *end, unsigned int which, int area_fd, const int bells[2])
{
	cpu_pin(end->opts->cpus[which]);
	if (end->opts->pipe == NULL)
		return bench_channel_end(end, which, area_fd, bells);
	end->pipe = end->opts->pipe;
	end->at = end->opts->pipe_at;
	return bench_end_go(end, which);
}

static int bench_fork_run(const struct bench_channel_opts *opts, struct bench_shared *shared,
			  int area_fd, const int bells[2])
{
	struct bench_end end = { .opts = opts, .ops = frame_ops_choose(), .shared = shared };
	int status = 0, err;
	pid_t child;

	end.one_cpu = opts->cpus[0] == opts->cpus[1];
	end.other = getpid();
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(bench_end_run(&end, 1, area_fd, bells) < 0);
	}
	end.other = child;
	err = bench_end_run(&end, 0, area_fd, bells);
	if (err < 0)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (err == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		err = -EPROTO;
	return err;
}

/* One run: new memory, new doorbells, new consumer. */
static int bench_run_once(const struct bench_channel_opts *opts, double *ret_frames_per_s,
			  struct bench_channel_result *result)
{
	struct bench_shared *shared;
	struct area_mapping map;
	int bells[2], area_fd, err;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	err = area_create("vj-bench", &opts->params, AREA_PAGES_HUGETLB, &area_fd, &map);
	if (err < 0)
		goto out_shared;
	result->pages = area_pages_text(map.pages);
	area_unmap(&map);
	bells[0] = bell_new();
	bells[1] = bell_new();
	err = bells[0] < 0 || bells[1] < 0 ? -EMFILE : bench_fork_run(opts, shared, area_fd, bells);
	if (err == 0) {
		*ret_frames_per_s = (double)shared->received * (double)NS_PER_SEC /
				    (double)(shared->end_ns - shared->start_ns);
		result->frames += shared->received;
		result->wakes += shared->wakes;
	}
	for (unsigned int i = 0; i < 2; i++) {
		if (bells[i] >= 0)
			sys_close(bells[i]);
	}
	sys_close(area_fd);
out_shared:
	munmap(shared, sizeof(*shared));
	return err;
}

static int bench_opts_check(struct bench_channel_opts *opts)
{
	if (vj_area_params_check(&opts->params) < 0 || opts->frame_len < 8 ||
	    opts->frame_len % 8 != 0 || opts->frame_len > opts->params.frame_bytes - 512 ||
	    opts->batch < 1 || opts->batch > BATCH_MAX || opts->run_cnt < 1 ||
	    opts->run_cnt > BENCH_CHANNEL_RUNS_MAX || opts->duration_ms < 1)
		return -EINVAL;
	if (opts->cpus[0] < 0)
		opts->cpus[0] = cpu_nth(0);
	if (opts->cpus[1] < 0)
		opts->cpus[1] = cpu_nth(1) < 0 ? opts->cpus[0] : cpu_nth(1);
	return 0;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int bench_channel_run(const struct bench_channel_opts *opts,
		      struct bench_channel_result *ret_result)
{
	struct bench_channel_result result = { .frames = 0 };
	struct bench_channel_opts checked = *opts;
	double rates[BENCH_CHANNEL_RUNS_MAX];
	cpu_set_t before;
	bool pinned;
	int err;

	err = bench_opts_check(&checked);
	if (err < 0)
		return err;
	pinned = sched_getaffinity(0, sizeof(before), &before) == 0;
	for (uint32_t i = 0; i < checked.run_cnt && err == 0; i++)
		err = bench_run_once(&checked, &rates[i], &result);
	if (pinned)
		(void)sched_setaffinity(0, sizeof(before), &before);
	if (err < 0)
		return err;
	qsort(rates, checked.run_cnt, sizeof(rates[0]), cmp_double);
	result.frames_per_s = rates[checked.run_cnt / 2];
	result.frames_per_s_min = rates[0];
	result.frames_per_s_max = rates[checked.run_cnt - 1];
	*ret_result = result;
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench idle: what connected applications cost while nothing happens. Server, client and vjd are
 * left alone, and the processor time that the three used is read before and after. 0 is expected:
 * all of them sleep in epoll_wait().
 */
#include "cli/bench_net.h"
#include "cli/cmd.h"

#include "base/time.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* until the timers of what was last said have run out */
enum { SETTLE_MS = 1500, CONNECT_MAX_S = 20 };

static double cpu_seconds(pid_t pid)
{
	struct timespec ts = { 0 };
	clockid_t clock;

	if (pid > 0 && clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Sleeps whole; an interrupt ends it. */
static void sleep_s(double seconds)
{
	uint64_t end_ns = bench_now_ns() + (uint64_t)(seconds * 1e9);

	while (bench_now_ns() < end_ns && bench_interrupted() == 0)
		usleep(10000);
}

static int wait_connected(const struct bench_shm *shm)
{
	uint64_t late_ns = bench_now_ns() + CONNECT_MAX_S * NS_PER_SEC;

	while (atomic_load(&shm->clients_ready) == 0) {
		if (shm->error[0] != '\0') {
			complain("bench: %s", shm->error);
			return -ECHILD;
		}
		if (bench_interrupted() != 0)
			return -EINTR;
		if (bench_now_ns() > late_ns) {
			complain("bench: the idle connections were not made in %d s",
				 CONNECT_MAX_S);
			return -ETIMEDOUT;
		}
		usleep(1000);
	}
	return 0;
}

static int measure_idle(struct bench_peer *peer, const struct bench_way *way)
{
	struct bench_sample *sample = &peer->shm->sample;
	pid_t pids[3] = { 0 };
	double cpu_s = 0;
	uint64_t start_ns;
	int rc;

	pids[0] = bench_fork();
	if (pids[0] == 0)
		_exit(way->server(peer));
	pids[1] = bench_fork();
	if (pids[1] == 0)
		_exit(way->client(peer));
	pids[2] = peer->ctx->vjd;
	rc = pids[0] < 0 || pids[1] < 0 ? -EAGAIN : wait_connected(peer->shm);
	sleep_s(SETTLE_MS * 1e-3);
	start_ns = bench_now_ns();
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
		cpu_s -= cpu_seconds(pids[i]);
	if (rc == 0)
		sleep_s(peer->seconds);
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
		cpu_s += cpu_seconds(pids[i]);
	sample->cpu_s =
		cpu_s > 1e-9 ? cpu_s
			     : 0; /* the clocks have nanoseconds, the sum has rounding errors */
	sample->seconds = (double)(bench_now_ns() - start_ns) * 1e-9;
	for (unsigned i = 0; i < 2; i++)
		if (pids[i] > 0)
			bench_wait(pids[i], 0);
	return rc;
}

static int measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
		   struct bench_sample *ret_sample)
{
	struct bench_peer peer = { .ctx = ctx, .way = way->nr, .seconds = seconds, .idle = true };

	return bench_around(&peer, way, measure_idle, ret_sample);
}

static double cpu_part(const struct bench_sample *s)
{
	return s->seconds > 0 ? s->cpu_s / s->seconds : 0;
}

static int server_vj(struct bench_peer *peer)
{
	return bench_echo_server(peer, &net_vj);
}

static int client_vj(struct bench_peer *peer)
{
	return bench_idle_client(peer, &net_vj);
}

static int server_kernel(struct bench_peer *peer)
{
	return bench_echo_server(peer, &net_kernel);
}

static int client_kernel(struct bench_peer *peer)
{
	return bench_idle_client(peer, &net_kernel);
}

int bench_idle(struct bench_ctx *ctx)
{
	bool busy = ctx->busy;
	char title[96];
	struct bench_case c = {
		.name = "idle",
		.title = title,
		.unit = "CPU seconds per second",
		.lower_is_better = true,
		.value = cpu_part,
		.vj[0] = { .how = "server, client and vjd, asleep",
			.measure = measure,
			.server = server_vj,
			.client = client_vj,
			.with_vjd = true },
		.kernel = { { .how = "loopback TCP, asleep in epoll_wait",
			      .measure = measure,
			      .server = server_kernel,
			      .client = client_kernel,
			      .nr = NET_EPOLL } },
		.kernel_cnt = 1,
	};
	int rc;

	ctx->conns = bench_connections(ctx->o, BENCH_CONNS);
	ctx->busy = false;
	snprintf(title, sizeof(title), "processor time of %u idle connections, both ends",
		 ctx->conns);
	c.extra = json_pack("{s:i}", "connections", (int)ctx->conns);
	rc = bench_compare(ctx, &c);
	ctx->busy = busy;
	return rc;
}

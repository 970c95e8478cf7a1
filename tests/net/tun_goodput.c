// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much gets through a wire that loses, between kernels and between a kernel and us
 *
 *	tun_goodput [SECONDS [RUNS [LOSS_PPM [RTT_MS [MBITS]]]]]	default 10 2 10000 50 100
 *
 * One connection from side 0 to side 1 over the same wire with the same losses by number of frame:
 * the kernel on both sides, our stack to the kernel, the kernel to our stack, and, in virtual time,
 * ours on both sides. CUBIC everywhere. Time is real for the first three: run it on an idle machine.
 * The last line has the medians: one connection's luck with losses differs more than stacks do.
 */
#include "stack/tcp.h"
#include "tests/net/tun.h"
#include "tests/sim/flows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 2000
#define WAYS 4
#define RUNS_MAX 99
#define BUF_BYTES ((uint32_t)6 << 20) /* Linux's largest, by default */

struct way {
	struct two_stacks sim;
	struct tun *tuns[2]; /* NULL: our stack */
	struct tcp_id conn[2];
	int sock[2], kernel_listener;
	struct listener_id listener;
	uint64_t got;
};

static struct tun tun[2];
static int sockets[2][2]; /* [side][0]: to connect, [1]: to listen; in each one's namespace */
static uint32_t seconds = 10, runs = 2;

static void way_open(struct way *w, uint16_t port)
{
	struct endpoint local = w->sim.side[0].addr, remote = w->sim.side[1].addr;

	local.port = (uint16_t)(port + 1000);
	remote.port = port;
	w->sock[0] = w->sock[1] = -1;
	if (w->tuns[1] != NULL) {
		w->kernel_listener = sockets[1][1];
	} else {
		VJ_ASSERT(tcp_listen(w->sim.side[1].s, &remote, false, 5, 0, &w->listener) == 0);
		w->kernel_listener = -1;
	}
	if (w->tuns[0] != NULL) {
		w->sock[0] = sockets[0][0];
		tun_socket_connect(w->sock[0], 1, false, port);
	} else {
		struct side *a = &w->sim.side[0];

		VJ_ASSERT(tcp_connect(a->s, a->link, &local, &remote, 0, &w->conn[0]) == 0);
	}
}

static void way_send(struct way *w)
{
	static uint8_t buf[65536];
	size_t n;

	if (w->tuns[0] != NULL)
		while (send(w->sock[0], buf, sizeof(buf), MSG_NOSIGNAL) > 0)
			;
	else
		while (tcp_send(w->sim.side[0].s, w->conn[0], buf, sizeof(buf), 0, &n) == 0)
			;
}

static void way_receive(struct way *w)
{
	static uint8_t buf[65536];
	struct stack *s = w->sim.side[1].s;
	size_t n;
	ssize_t len;

	if (w->tuns[1] == NULL) {
		if (w->conn[1].v == 0)
			(void)tcp_accept(s, w->listener, 0, &w->conn[1]);
		while (w->conn[1].v != 0 &&
		       tcp_recv(s, w->conn[1], buf, sizeof(buf), false, &n) == 0)
			w->got += n;
		return;
	}
	if (w->sock[1] < 0)
		w->sock[1] = accept4(w->kernel_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (w->sock[1] >= 0 && (len = recv(w->sock[1], buf, sizeof(buf), 0)) > 0)
		w->got += (uint64_t)len;
}

static double way_run(const struct wire_config *wire, uint64_t seed, bool kernel0, bool kernel1)
{
	static struct way w;
	const struct outside *const outside[2] = { kernel0 ? &tun[0].outside : NULL,
						   kernel1 ? &tun[1].outside : NULL };
	const struct stack_config limits = {
		.conns_max = 10,
		.mem_bytes_max = 64 << 20,
		.sndbuf_bytes = BUF_BYTES,
		.rcvbuf_bytes = BUF_BYTES,
	};
	uint64_t end_us;

	memset(&w, 0, sizeof(w));
	w.tuns[0] = kernel0 ? &tun[0] : NULL;
	w.tuns[1] = kernel1 ? &tun[1] : NULL;
	two_stacks_init_outside(&w.sim, wire, seed, false, &limits, outside);
	way_open(&w, PORT);
	tun_start(&w.sim);
	for (end_us = w.sim.now_us + seconds * US_PER_SEC; w.sim.now_us < end_us;) {
		const int fds[2] = { w.sock[1], w.kernel_listener };

		way_send(&w);
		way_receive(&w);
		tun_pump(&w.sim, w.tuns, fds);
	}
	return (double)w.got * 8 / 1e6 / seconds;
}

/* In a process of its own: what a kernel's connection leaves behind disturbs nobody. */
static double way_apart(const struct wire_config *wire, uint64_t seed, bool kernel0, bool kernel1)
{
	double mbits = 0;
	int fds[2];
	pid_t pid;

	VJ_ASSERT(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		for (unsigned int i = 0; i < 2; i++) {
			const char *missing = tun_open(&tun[i], i);

			if (missing != NULL) {
				fprintf(stderr, "needs %s: %s\n", missing, strerror(errno));
				_exit(1);
			}
			sockets[i][0] = tun_socket(i, false, 0);
			sockets[i][1] = tun_socket(i, false, PORT);
			VJ_ASSERT(listen(sockets[i][1], 5) == 0);
		}
		mbits = way_run(wire, seed, kernel0, kernel1);
		_exit(write(fds[1], &mbits, sizeof(mbits)) == sizeof(mbits) ? 0 : 1);
	}
	close(fds[1]);
	VJ_ASSERT(read(fds[0], &mbits, sizeof(mbits)) == sizeof(mbits));
	close(fds[0]);
	return mbits;
}

static double virtual_run(const struct wire_config *wire, uint64_t seed)
{
	struct flows flows = {
		.wire = *wire,
		.until_us = seconds * US_PER_SEC,
		.cnt = 1,
	};

	flows_run(&flows, seed);
	return flows.kbits[0] / 1e3;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, uint32_t cnt)
{
	qsort(values, cnt, sizeof(values[0]), by_size);
	return cnt % 2 != 0 ? values[cnt / 2] : (values[cnt / 2 - 1] + values[cnt / 2]) / 2;
}

int main(int argc, char **argv)
{
	static double got[WAYS][RUNS_MAX];
	uint32_t arg[5] = { 10, 2, 10000, 50, 100 };
	struct wire_config wire;

	for (int i = 1; i < argc && i <= 5; i++)
		arg[i - 1] = (uint32_t)strtoul(argv[i], NULL, 10);
	seconds = arg[0];
	runs = max_u32(min_u32(arg[1], RUNS_MAX), 1);
	wire = (struct wire_config){
		.delay_us = arg[3] * 500,
		.loss_ppm = arg[2],
		.bits_per_s = arg[4] * UINT64_C(1000000),
		.queue_frames = arg[3] * arg[4] * 1000 / 8 / 1538,
	};
	printf("%u s, %u Mbit/s, RTT %u ms, loss %u ppm; goodput in Mbit/s\n"
	       "run  kernel-kernel  ours-kernel  kernel-ours  ours-ours (virtual time)\n",
	       seconds, arg[4], arg[3], arg[2]);
	for (uint32_t i = 0; i < runs; i++) {
		double now[WAYS] = {
			way_apart(&wire, 1 + i, true, true),
			way_apart(&wire, 1 + i, false, true),
			way_apart(&wire, 1 + i, true, false),
			virtual_run(&wire, 1 + i),
		};

		printf("%3u %14.2f %12.2f %12.2f %12.2f\n", 1 + i, now[0], now[1], now[2], now[3]);
		fflush(stdout);
		for (unsigned int k = 0; k < WAYS; k++)
			got[k][i] = now[k];
	}
	printf("med %14.2f %12.2f %12.2f %12.2f\n", median(got[0], runs), median(got[1], runs),
	       median(got[2], runs), median(got[3], runs));
	return 0;
}

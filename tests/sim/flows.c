// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/flows.h"

#include "stack/tcp.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#define PORT 80
#define PORT_FIRST 1000
#define MSS 1448		   /* 1500 - 20 - 20 - 12 */
#define FRAME (1514 + 24)	   /* with preamble, check sequence and gap */
#define BUF_BYTES ((uint32_t)6 << 20) /* Linux's largest, by default */

static uint64_t segments;
static double cpu_s;

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct run {
	struct two_stacks sim;
	struct listener_id listener;
	struct tcp_id from[FLOWS_MAX], to[FLOWS_MAX];
	uint64_t got[FLOWS_MAX];
};

static void open_all(struct run *r, const struct flows *flows)
{
	struct side *a = &r->sim.side[0];
	struct endpoint local = a->addr, remote = r->sim.side[1].addr;

	remote.port = PORT;
	VJ_ASSERT(tcp_listen(r->sim.side[1].s, &remote, false, FLOWS_MAX, 0, &r->listener) == 0);
	for (uint32_t i = 0; i < flows->cnt; i++) {
		local.port = (uint16_t)(PORT_FIRST + i);
		r->sim.extra_delay_us[i] = flows->flow[i].extra_rtt_us / 2;
		VJ_ASSERT(tcp_connect(a->s, a->link, &local, &remote, 0, &r->from[i]) == 0);
		VJ_ASSERT(tcp_option_set(a->s, r->from[i], TCP_OPT_CONGESTION,
					 flows->flow[i].cc) == 0);
	}
}

static void accept_all(struct run *r)
{
	struct endpoint local, remote;
	struct tcp_id id;

	while (tcp_accept(r->sim.side[1].s, r->listener, 0, &id) == 0) {
		tcp_endpoints(r->sim.side[1].s, id, &local, &remote);
		r->to[remote.port - PORT_FIRST] = id;
	}
}

static void move_data(struct run *r, const struct flows *flows)
{
	static uint8_t buf[65536];
	struct stack_event ev[16];
	size_t n;

	accept_all(r);
	for (uint32_t i = 0; i < flows->cnt; i++) {
		while (tcp_send(r->sim.side[0].s, r->from[i], buf, sizeof(buf), 0, &n) == 0)
			;
		while (r->to[i].v != 0 &&
		       tcp_recv(r->sim.side[1].s, r->to[i], buf, sizeof(buf), false, &n) == 0)
			r->got[i] += n;
	}
	for (unsigned int side = 0; side < 2; side++)
		while (stack_events(r->sim.side[side].s, ev, 16) != 0)
			;
}

static void close_all(struct run *r, const struct flows *flows)
{
	uint64_t end_us = r->sim.now_us + US_PER_SEC;

	for (uint32_t i = 0; i < flows->cnt; i++) {
		tcp_abort(r->sim.side[0].s, r->from[i]);
		if (r->to[i].v != 0)
			tcp_abort(r->sim.side[1].s, r->to[i]);
	}
	tcp_unlisten(r->sim.side[1].s, r->listener);
	while (two_stacks_step(&r->sim, end_us))
		;
	segments += r->sim.wire[0].sent + r->sim.wire[1].sent;
	two_stacks_fini(&r->sim);
}

void flows_run(struct flows *flows, uint64_t seed)
{
	static struct run r;
	const struct stack_config limits = {
		.conns_max = 10,
		.mem_bytes_max = 64 << 20,
		.sndbuf_bytes = BUF_BYTES,
		.rcvbuf_bytes = BUF_BYTES,
	};
	uint64_t before[FLOWS_MAX], start_us;
	double start_s = cpu_seconds();

	memset(&r, 0, sizeof(r));
	two_stacks_init(&r.sim, &flows->wire, seed, false, &limits);
	start_us = r.sim.now_us;
	open_all(&r, flows);
	while (two_stacks_step(&r.sim, start_us + flows->from_us))
		move_data(&r, flows);
	memcpy(before, r.got, sizeof(before));
	while (two_stacks_step(&r.sim, start_us + flows->until_us))
		move_data(&r, flows);
	for (uint32_t i = 0; i < flows->cnt; i++)
		flows->kbits[i] = (uint32_t)((r.got[i] - before[i]) * 8000 /
					     (flows->until_us - flows->from_us));
	close_all(&r, flows);
	cpu_s += cpu_seconds() - start_s;
}

void flows_print_speed(void)
{
	printf("%" PRIu64 " segments in %.1f s of CPU time: %.0f a second\n", segments, cpu_s,
	       (double)segments / cpu_s);
}

uint32_t flows_line_kbits(uint64_t bits_per_s)
{
	return (uint32_t)(bits_per_s * MSS / FRAME / 1000);
}

double flows_reno_kbits(double rtt_s, double loss)
{
	return MSS * 8 / 1000.0 / rtt_s * sqrt(1.5 / loss);
}

double flows_cubic_kbits(double rtt_s, double loss)
{
	double x = rtt_s / loss;
	double window = 1.054 * sqrt(x) * sqrt(sqrt(x));

	return fmax(MSS * 8 / 1000.0 * window / rtt_s, flows_reno_kbits(rtt_s, loss));
}

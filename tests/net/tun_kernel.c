// SPDX-License-Identifier: BSD-2-Clause
/*
 * Against the kernel's TCP, over a wire that loses, reorders, repeats and damages
 *
 * The kernel has one end of the wire through a TUN device (tun.h), src/stack the other. Both
 * families, each side once the one that connects, both send several MiB at a time and each compares
 * every byte that it gets; then both close. Paths become smaller meanwhile. Needs root, for the namespace and the device.
 */
#include "stack/tcp.h"
#include "tests/net/tun.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_OURS 1000
#define PORT_KERNEL 2000
#define SECONDS_MAX 120

struct wire_case {
	const char *name;
	uint32_t bytes;
	struct wire_config wire;
	/*
	 * From a sixteenth of it on: what a path carries, from us and from the kernel; 0: all. Less each
	 * time: the kernel remembers, and lets its MSS option say so.
	 */
	uint32_t path_mtu[2];
	enum router_kind router;
};

static const struct wire_case cases[] = {
	{ "clean", 8 << 20, { .delay_us = 500 }, { 0, 0 }, ROUTER_TELLS },
	{ "bad",
	  2 << 20,
	  { .delay_us = 3000,
	    .jitter_us = 1000,
	    .loss_ppm = 10000,
	    .reorder_ppm = 10000,
	    .dup_ppm = 5000,
	    .corrupt_ppm = 2000 },
	  { 0, 0 },
	  ROUTER_TELLS },
	{ "bursts, short queue",
	  2 << 20,
	  { .delay_us = 2000,
	    .bits_per_s = 100000000,
	    .queue_frames = 50,
	    .mark_frames = 20,
	    .bad_enter_ppm = 1000,
	    .bad_leave_ppm = 200000,
	    .bad_loss_ppm = 500000 },
	  { 0, 0 },
	  ROUTER_TELLS },
	{ "path of 1300",
	  8 << 20,
	  { .delay_us = 500, .bits_per_s = 200000000, .queue_frames = 100 },
	  { 1300, 1300 },
	  ROUTER_TELLS },
	/* The kernel does not look for one unless it is told to. */
	{ "black hole",
	  8 << 20,
	  { .delay_us = 500, .bits_per_s = 200000000, .queue_frames = 100 },
	  { 1285, 0 },
	  ROUTER_SILENT },
};

struct meeting {
	struct two_stacks sim;
	struct tun *tun;
	struct listener_id listener;
	struct tcp_id ours;
	int kernel, kernel_listener; /* -1: none */
	uint32_t bytes;
	uint32_t sent[2], got[2]; /* 0: we, 1: the kernel */
	bool shut[2], eof[2];
};

static const uint32_t keys[2] = { 3, 4 }; /* of what each sends */

static void fail(const struct meeting *m, const char *what)
{
	fprintf(stderr, "at %.6f s: %s; errno %d; sent %u and %u of %u, got %u and %u\n",
		(double)m->sim.now_us / 1e6, what, errno, m->sent[0], m->sent[1], m->bytes,
		m->got[0], m->got[1]);
	abort();
}

static void check(struct meeting *m, unsigned int side, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != watch_stream_byte(keys[1 - side], m->got[side] + (uint32_t)i))
			fail(m, side == 0 ? "we got a wrong byte" : "the kernel got a wrong byte");
	m->got[side] += (uint32_t)len;
	m->eof[side] = len == 0;
	if (len == 0 && m->got[side] != m->bytes)
		fail(m, "end of file too early");
}

static size_t fill(const struct meeting *m, unsigned int side, uint8_t *buf, size_t len)
{
	len = min_size(len, m->bytes - m->sent[side]);
	for (size_t i = 0; i < len; i++)
		buf[i] = watch_stream_byte(keys[side], m->sent[side] + (uint32_t)i);
	return len;
}

static void ours_turn(struct meeting *m)
{
	static uint8_t buf[65536];
	struct stack *s = m->sim.side[0].s;
	struct stack_event ev[8];
	size_t n;

	while (stack_events(s, ev, 8) != 0)
		;
	if (m->ours.v == 0 && tcp_accept(s, m->listener, 0, &m->ours) != 0)
		return;
	if (tcp_error(s, m->ours, false) != 0)
		fail(m, "our connection failed");
	if ((tcp_ready(s, m->ours) & (STACK_EV_CONNECTED | STACK_EV_EOF)) == 0)
		return;
	while (m->sent[0] < m->bytes &&
	       tcp_send(s, m->ours, buf, fill(m, 0, buf, sizeof(buf)), 0, &n) == 0)
		m->sent[0] += (uint32_t)n;
	if (m->sent[0] == m->bytes && !m->shut[0])
		m->shut[0] = tcp_shutdown(s, m->ours) == 0;
	while (!m->eof[0] && tcp_recv(s, m->ours, buf, sizeof(buf), false, &n) == 0)
		check(m, 0, buf, n);
}

static void kernel_turn(struct meeting *m)
{
	static uint8_t buf[65536];
	ssize_t n;

	if (m->kernel < 0)
		m->kernel = accept4(m->kernel_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (m->kernel < 0)
		return;
	while (m->sent[1] < m->bytes &&
	       (n = send(m->kernel, buf, fill(m, 1, buf, sizeof(buf)), MSG_NOSIGNAL)) > 0)
		m->sent[1] += (uint32_t)n;
	if (m->sent[1] == m->bytes && !m->shut[1])
		m->shut[1] = shutdown(m->kernel, SHUT_WR) == 0;
	while (!m->eof[1] && (n = recv(m->kernel, buf, sizeof(buf), 0)) >= 0)
		check(m, 1, buf, (size_t)n);
	if (!m->eof[1] && errno != EAGAIN && errno != ENOTCONN)
		fail(m, "the kernel's connection failed");
}

static void open_both(struct meeting *m, bool v6, bool we_connect)
{
	struct side *a = &m->sim.side[0];
	struct endpoint local = a->addr, remote = m->sim.side[1].addr;

	local.port = PORT_OURS;
	remote.port = PORT_KERNEL;
	m->kernel = m->kernel_listener = -1;
	if (we_connect) {
		m->kernel_listener = tun_socket(1, v6, PORT_KERNEL);
		VJ_ASSERT(listen(m->kernel_listener, 5) == 0);
		VJ_ASSERT(tcp_connect(a->s, a->link, &local, &remote, 0, &m->ours) == 0);
	} else {
		VJ_ASSERT(tcp_listen(a->s, &local, false, 5, 0, &m->listener) == 0);
		m->kernel = tun_socket(1, v6, 0);
		tun_socket_connect(m->kernel, 0, v6, PORT_OURS);
	}
}

/* What is left at the end: the connection that may linger, the listener, and packets on the way */
static void close_both(struct meeting *m, bool we_connect)
{
	struct stack *s = m->sim.side[0].s;

	close(m->kernel);
	if (m->kernel_listener >= 0)
		close(m->kernel_listener);
	tcp_close(s, m->ours);
	if (!we_connect)
		tcp_unlisten(s, m->listener);
	/* TIME_WAIT is virtual again. */
	for (uint64_t end_us = m->sim.now_us + 200 * US_PER_SEC; two_stacks_step(&m->sim, end_us);)
		;
	two_stacks_fini(&m->sim);
}

static void meet(struct tun *tun, const struct wire_case *c, bool v6, bool we_connect)
{
	const struct outside *const outside[2] = { [1] = &tun->outside };
	const struct stack_config limits = { .conns_max = 10, .mem_bytes_max = 64 << 20 };
	struct tun *const tuns[2] = { [1] = tun };
	static struct meeting m;
	bool shrunk = false;
	uint64_t start_us;

	memset(&m, 0, sizeof(m));
	m.bytes = c->bytes;
	two_stacks_init_outside(&m.sim, &c->wire, 1, v6, &limits, outside);
	m.sim.walk = true;
	open_both(&m, v6, we_connect);
	start_us = m.sim.now_us;
	tun_start(&m.sim);
	while (!m.eof[0] || !m.eof[1]) {
		const int fds[2] = { m.kernel, m.kernel_listener };

		ours_turn(&m);
		kernel_turn(&m);
		tun_pump(&m.sim, tuns, fds);
		for (unsigned int i = 0; !shrunk && m.got[1] > m.bytes / 16 && i < 2; i++)
			if (c->path_mtu[i] != 0)
				two_stacks_path(&m.sim, i, c->path_mtu[i] - (we_connect ? 5 : 0),
						c->router);
		shrunk = m.got[1] > m.bytes / 16;
		if (m.sim.now_us > start_us + SECONDS_MAX * US_PER_SEC)
			fail(&m, "it takes too long");
	}
	printf("%-20s %s, %-13s: %u bytes each way in %.2f s, %" PRIu64 " frames, %" PRIu64
	       " lost\n",
	       c->name, v6 ? "IPv6" : "IPv4", we_connect ? "we connect" : "kernel connects", m.bytes,
	       (double)(m.sim.now_us - start_us) / 1e6, m.sim.wire[0].sent + m.sim.wire[1].sent,
	       m.sim.wire[0].lost + m.sim.wire[1].lost);
	fflush(stdout);
	for (unsigned int i = 0; i < 2; i++)
		if (c->path_mtu[i] != 0 && m.sim.wire[i].router.too_big == 0)
			fail(&m, "the path was never too small");
	close_both(&m, we_connect);
}

int main(void)
{
	static struct tun tun;
	const char *missing = tun_open(&tun, 1);

	if (missing != NULL) {
		printf("needs %s, which this machine does not give: %s\n", missing, strerror(errno));
		return 77;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned int how = 0; how < 4; how++)
			meet(&tun, &cases[i], how % 2 != 0, how / 2 != 0);
	return 0;
}

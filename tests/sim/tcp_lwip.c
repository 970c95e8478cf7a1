// SPDX-License-Identifier: BSD-2-Clause
/*
 * Against a stack that somebody else wrote: lwIP (lwip_side.h), over a bad wire in virtual time
 *
 * lwIP has neither SACK nor timestamps and windows of 64 KiB, so this is our side without them.
 * Both families, each side once the one that connects, both send; every byte is compared.
 */
#include "stack/tcp.h"
#include "tests/sim/lwip_side.h"
#include "tests/sim/seeds.h"
#include "tests/sim/two_stacks.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEEDS 200
#define STREAM_MAX 200000
#define PORT_OURS 1000
#define PORT_LWIP 80
#define TIME_LIMIT_US (7200 * US_PER_SEC)

struct meeting {
	struct two_stacks sim;
	struct lwip_side lwip;
	struct listener_id listener;
	struct tcp_id ours;
	uint64_t seed;
	uint32_t key[2]; /* of what each sends; 0: we, 1: lwIP */
	uint32_t to_send[2], sent[2], got[2];
	uint32_t unread; /* of got[1], what lwIP's program has yet to read */
	bool ours_shut, ours_eof, lwip_shut;
};

static void fail(const struct meeting *m, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 " at %.6f s: %s; sent %u %u of %u %u, got %u %u\n", m->seed,
		(double)m->sim.now_us / 1e6, what, m->sent[0], m->sent[1], m->to_send[0],
		m->to_send[1], m->got[0], m->got[1]);
	abort();
}

/* Side @side has received. */
static void check(struct meeting *m, unsigned int side, const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (data[i] != watch_stream_byte(m->key[1 - side], m->got[side] + i))
			fail(m, side == 0 ? "we received a wrong byte" : "lwIP received a wrong byte");
	m->got[side] += len;
}

static uint32_t fill(const struct meeting *m, unsigned int side, uint8_t *buf, uint32_t len)
{
	len = min_u32(len, m->to_send[side] - m->sent[side]);
	for (uint32_t i = 0; i < len; i++)
		buf[i] = watch_stream_byte(m->key[side], m->sent[side] + i);
	return len;
}

/* ---- lwIP's end of the wire ------------------------------------------------------------------ */

static void lwip_sends(void *arg, const void *packet, uint32_t len)
{
	struct meeting *m = arg;
	uint8_t frame[65536] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

	frame[12] = (*(const uint8_t *)packet >> 4) == 4 ? 0x08 : 0x86;
	frame[13] = (*(const uint8_t *)packet >> 4) == 4 ? 0x00 : 0xdd;
	memcpy(frame + 14, packet, len);
	two_stacks_send(&m->sim, 1, frame, len + 14);
}

static void lwip_received(void *arg, const uint8_t *data, uint32_t len)
{
	struct meeting *m = arg;

	check(m, 1, data, len);
	m->unread += len;
}

static void outside_deliver(void *arg, const uint8_t *frame, uint32_t len)
{
	(void)arg;
	lwip_input(frame + 14, len - 14);
}

static void outside_run(void *arg, uint64_t now_us)
{
	(void)arg;
	lwip_run(now_us);
}

static uint64_t outside_deadline(void *arg)
{
	(void)arg;
	return lwip_deadline_us();
}

/* ---- both programs --------------------------------------------------------------------------- */

static void ours_turn(struct meeting *m)
{
	static uint8_t buf[20000];
	struct stack *s = m->sim.side[0].s;
	size_t n = 0;
	int err;

	if (m->ours.v == 0 && tcp_accept(s, m->listener, 0, &m->ours) != 0)
		return;
	if (tcp_error(s, m->ours, false) != 0)
		fail(m, "our connection failed");
	if ((tcp_ready(s, m->ours) & (STACK_EV_CONNECTED | STACK_EV_EOF)) == 0)
		return;
	if (m->sent[0] < m->to_send[0]) {
		err = tcp_send(s, m->ours, buf, fill(m, 0, buf, sizeof(buf)), 0, &n);
		m->sent[0] += err == 0 ? (uint32_t)n : 0;
	} else if (!m->ours_shut && prng_chance(&m->sim.prng, 1, 3)) {
		m->ours_shut = tcp_shutdown(s, m->ours) == 0;
	}
	while (!m->ours_eof &&
	       tcp_recv(s, m->ours, buf, 1 + prng_below(&m->sim.prng, sizeof(buf)), false, &n) == 0) {
		check(m, 0, buf, (uint32_t)n);
		m->ours_eof = n == 0;
	}
}

static void lwip_turn(struct meeting *m)
{
	uint8_t buf[8000];
	uint32_t n = (uint32_t)prng_below(&m->sim.prng, m->unread + 1);

	if (m->lwip.failed && !(m->ours_eof && m->lwip.eof))
		fail(m, "lwIP's connection failed");
	lwip_consumed(n);
	m->unread -= n;
	if (m->sent[1] < m->to_send[1])
		m->sent[1] += lwip_send(buf, fill(m, 1, buf, sizeof(buf)));
	else if (m->lwip.connected && !m->lwip_shut && prng_chance(&m->sim.prng, 1, 3))
		m->lwip_shut = lwip_shutdown();
}

static struct wire_config draw_wire(struct prng *prng)
{
	struct wire_config wire = {
		.delay_us = 100 + prng_below(prng, 30000),
		.jitter_us = prng_below(prng, 3000),
		.loss_ppm = prng_chance(prng, 1, 3) ? 0 : (uint32_t)prng_below(prng, 50000),
		.dup_ppm = prng_chance(prng, 1, 2) ? 0 : (uint32_t)prng_below(prng, 20000),
		.reorder_ppm = prng_chance(prng, 1, 2) ? 0 : (uint32_t)prng_below(prng, 50000),
		.corrupt_ppm = prng_chance(prng, 1, 2) ? 0 : (uint32_t)prng_below(prng, 5000),
	};

	if (prng_chance(prng, 1, 2)) {
		wire.bits_per_s = prng_range(prng, 1000000, 100000000);
		wire.queue_frames = 10 + (uint32_t)prng_below(prng, 100);
	}
	return wire;
}

/* ---- a meeting ------------------------------------------------------------------------------- */

static const struct outside lwip_outside = {
	.deliver = outside_deliver,
	.run = outside_run,
	.deadline = outside_deadline,
};

static void open_both(struct meeting *m, bool we_connect)
{
	struct side *a = &m->sim.side[0];
	struct endpoint local = a->addr, remote = m->sim.side[1].addr;

	local.port = PORT_OURS;
	remote.port = PORT_LWIP;
	if (we_connect) {
		VJ_ASSERT(lwip_listen(PORT_LWIP));
		VJ_ASSERT(tcp_connect(a->s, a->link, &local, &remote, 0, &m->ours) == 0);
	} else {
		VJ_ASSERT(tcp_listen(a->s, &local, false, 5, 0, &m->listener) == 0);
		VJ_ASSERT(lwip_connect(PORT_OURS));
	}
}

static uint64_t meet(uint64_t seed, bool trace)
{
	static const struct outside *const outside[2] = { [1] = &lwip_outside };
	const struct stack_config limits = { .conns_max = 10, .mem_bytes_max = 64 << 20 };
	static struct meeting m;
	struct wire_config wire;
	struct prng prng;

	prng_seed(&prng, seed);
	wire = draw_wire(&prng);
	m.seed = seed;
	two_stacks_init_outside(&m.sim, &wire, seed, seed % 2 != 0, &limits, outside);
	m.sim.walk = true;
	m.sim.watch.trace = trace;
	m.lwip = (struct lwip_side){ .output = lwip_sends, .received = lwip_received, .arg = &m };
	VJ_ASSERT(lwip_start(&m.lwip, seed % 2 != 0, (uint32_t)seed));
	lwip_run(m.sim.now_us);
	for (unsigned int i = 0; i < 2; i++) {
		m.key[i] = prng_u32(&prng);
		m.to_send[i] = (uint32_t)prng_below(&prng, STREAM_MAX);
	}
	open_both(&m, seed % 4 < 2);
	while (!(m.ours_eof && m.lwip.eof && m.got[0] == m.to_send[1] && m.got[1] == m.to_send[0])) {
		uint64_t until_us = m.sim.now_us + prng_below(&prng, 5000);

		ours_turn(&m);
		lwip_turn(&m);
		while (two_stacks_step(&m.sim, until_us))
			;
		if (m.sim.now_us > TIME_LIMIT_US)
			fail(&m, "no end after hours");
	}
	return m.sim.wire[0].sent + m.sim.wire[1].sent;
}

/* In a process of its own, since lwIP has globals. What has crossed the wire comes by a pipe. */
static uint64_t meet_apart(uint64_t seed, bool trace)
{
	uint64_t frames = 0;
	int fds[2], status;
	pid_t pid;

	fflush(stdout);
	VJ_ASSERT(pipe(fds) == 0);
	pid = fork();
	VJ_ASSERT(pid >= 0);
	if (pid == 0) {
		frames = meet(seed, trace);
		fflush(stdout);
		_exit(write(fds[1], &frames, sizeof(frames)) == sizeof(frames) ? 0 : 1);
	}
	close(fds[1]);
	if (read(fds[0], &frames, sizeof(frames)) != sizeof(frames))
		frames = 0;
	close(fds[0]);
	waitpid(pid, &status, 0);
	VJ_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return frames;
}

int main(int argc, char **argv)
{
	if (!lwip_load()) {
		printf("liblwip.so.0 cannot be loaded\n");
		return 77;
	}
	return seeds_main(argc, argv, SEEDS, meet_apart);
}

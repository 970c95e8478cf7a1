// SPDX-License-Identifier: BSD-2-Clause
/*
 * Many connections between two stacks, over a bad wire or a direct channel that is short of frames
 *
 * Both programs write, read, shut down, close and abort at random, all from one seed. Every byte is
 * compared, every connection must end, and at the end nothing may be left: no connection, buffer or
 * frame.
 *
 *	tcp_soak [SEED [CNT]]		the seeds to run; default 1 and 12
 */
#include "stack/tcp.h"
#include "tests/sim/two_stacks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define CONNS 12
#define STREAM_MAX 300000
#define PORT 80
#define TIME_LIMIT_US (3600 * US_PER_SEC)

/* One end of one connection, as its program sees it */
struct end {
	struct tcp_id id;
	bool open; /* the program holds the id */
	bool connected;
	bool failed; /* an error was reported */
	bool shut;   /* sent FIN */
	bool eof;
	uint32_t sent, to_send;
	uint32_t got;
	uint32_t key; /* of the stream that it reads */
	struct end *peer;
};

struct soak {
	struct two_stacks sim;
	struct listener_id listener;
	struct end end[2][CONNS]; /* side 0 connects */
	bool may_fail;		  /* some programs abort */
	uint64_t seed;
	unsigned int opened;
};

static uint8_t stream_byte(uint32_t key, uint32_t off)
{
	return (uint8_t)((off * 2654435761u ^ key * 40503u) >> 13);
}

static void fail(const struct soak *k, const struct end *e, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 ", connection %td of side %d at %.6f s: %s\n", k->seed,
		(e - &k->end[0][0]) % CONNS, e >= k->end[1], (double)k->sim.now_us / 1e6, what);
	abort();
}

static void check(const struct soak *k, const struct end *e, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != stream_byte(e->key, e->got + (uint32_t)i))
			fail(k, e, "wrong byte");
}

/* The end of it for this program, by close or, sometimes, abort */
static void end_close(struct soak *k, unsigned int side, struct end *e, bool abort_it)
{
	struct stack *s = k->sim.side[side].s;

	if (abort_it) {
		e->failed = true;
		tcp_abort(s, e->id);
	} else {
		tcp_close(s, e->id);
	}
	e->open = false;
}

static void end_failed(struct soak *k, struct end *e, int err)
{
	if (!k->may_fail || (err != ECONNRESET && err != EPIPE))
		fail(k, e, strerror(err));
	e->failed = true;
}

static void end_write(struct soak *k, unsigned int side, struct end *e)
{
	static uint8_t buf[65536];
	struct stack *s = k->sim.side[side].s;
	struct prng *prng = &k->sim.prng;
	uint32_t key = e->peer->key;

	while (e->sent < e->to_send && !e->shut && !e->failed) {
		uint32_t len =
			1 + (uint32_t)prng_below(prng, prng_chance(prng, 1, 4) ? sizeof(buf) : 600);
		size_t n = 0;
		int err;

		len = min_u32(len, e->to_send - e->sent);
		for (uint32_t i = 0; i < len; i++)
			buf[i] = stream_byte(key, e->sent + i);
		if (prng_chance(prng, 1, 3)) {
			uint8_t *data;
			size_t room;

			err = tcp_send_frame(s, e->id, &data, &room);
			if (err == 0) {
				n = min_size(len, room);
				if (prng_chance(prng, 1, 20))
					n = 0;
				memcpy(data, buf, n);
				err = tcp_send_frame_done(s, e->id, n);
				if (err != 0)
					n = 0;
			}
		} else {
			err = tcp_send(s, e->id, buf, len,
				       prng_chance(prng, 1, 8) ? TCP_SEND_MORE : 0, &n);
		}
		if (err != 0 && err != -EAGAIN && err != -ENOMEM)
			end_failed(k, e, -err);
		e->sent += (uint32_t)n;
		if (err != 0 || prng_chance(prng, 1, 4))
			return;
	}
}

static void end_read(struct soak *k, unsigned int side, struct end *e)
{
	static uint8_t buf[65536];
	struct stack *s = k->sim.side[side].s;
	struct prng *prng = &k->sim.prng;

	while (!e->eof && !e->failed) {
		size_t want = 1 + (size_t)prng_below(prng, sizeof(buf)), n = 0;
		const uint8_t *data = buf;
		int err;

		if (prng_chance(prng, 1, 3)) {
			err = tcp_recv_borrow(s, e->id, &data, &n);
			n = min_size(n, want);
			if (err == 0)
				check(k, e, data, n);
			if (err == 0 && n != 0)
				tcp_recv_return(s, e->id, n);
		} else {
			err = tcp_recv(s, e->id, buf, want, false, &n);
			if (err == 0)
				check(k, e, buf, n);
		}
		if (err == -EAGAIN)
			return;
		if (err != 0) {
			end_failed(k, e, -err);
			return;
		}
		e->eof = n == 0;
		e->got += (uint32_t)n;
		if (prng_chance(prng, 1, 6))
			return;
	}
	if (e->eof && e->got != e->peer->to_send && !k->may_fail)
		fail(k, e, "end of file too early");
}

/* A program that has got and sent everything closes; now and then one gives up before. */
static void end_turn(struct soak *k, unsigned int side, struct end *e)
{
	struct prng *prng = &k->sim.prng;
	struct stack *s = k->sim.side[side].s;

	if (!e->open || prng_chance(prng, 1, 3))
		return;
	if ((tcp_ready(s, e->id) & (STACK_EV_CONNECTED | STACK_EV_ERROR | STACK_EV_EOF)) == 0)
		return;
	end_write(k, side, e);
	end_read(k, side, e);
	if (e->failed) {
		end_close(k, side, e, false);
		return;
	}
	if (e->sent == e->to_send && !e->shut && prng_chance(prng, 1, 2)) {
		if (tcp_shutdown(s, e->id) == 0)
			e->shut = true;
	}
	if (e->eof && e->sent == e->to_send)
		end_close(k, side, e, false);
	else if (k->may_fail && prng_chance(prng, 1, 300))
		end_close(k, side, e, prng_chance(prng, 1, 2));
}

static void open_one(struct soak *k)
{
	struct side *a = &k->sim.side[0], *b = &k->sim.side[1];
	struct endpoint local = a->addr, remote = b->addr;
	struct end *e = &k->end[0][k->opened];

	local.port = (uint16_t)(1000 + k->opened);
	remote.port = PORT;
	VJ_ASSERT(tcp_connect(a->s, a->link, &local, &remote, k->opened, &e->id) == 0);
	if (prng_chance(&k->sim.prng, 1, 2))
		VJ_ASSERT(tcp_option_set(a->s, e->id, TCP_OPT_NODELAY, 1) == 0);
	if (prng_chance(&k->sim.prng, 1, 3))
		VJ_ASSERT(tcp_option_set(a->s, e->id, TCP_OPT_RCVBUF, 3000) == 0);
	if (prng_chance(&k->sim.prng, 1, 3))
		VJ_ASSERT(tcp_option_set(a->s, e->id, TCP_OPT_CONGESTION, 1) == 0);
	e->open = true;
	k->opened++;
}

static void accept_all(struct soak *k)
{
	struct side *b = &k->sim.side[1];
	struct endpoint local, remote;
	struct tcp_id id;

	while (tcp_accept(b->s, k->listener, 0, &id) == 0) {
		struct end *e;

		tcp_endpoints(b->s, id, &local, &remote);
		e = &k->end[1][remote.port - 1000];
		VJ_ASSERT(!e->connected);
		e->id = id;
		e->open = e->connected = true;
	}
}

static bool all_ended(const struct soak *k)
{
	if (k->opened < CONNS)
		return false;
	for (unsigned int i = 0; i < CONNS; i++) {
		const struct end *a = &k->end[0][i], *b = &k->end[1][i];

		if (a->open || b->open || (!b->connected && !a->failed && !k->may_fail))
			return false;
		if (!k->may_fail && (a->got != b->to_send || b->got != a->to_send))
			fail(k, a, "ended, and bytes are missing");
	}
	return true;
}

static void drain_events(struct stack *s)
{
	struct stack_event ev[16];

	while (stack_events(s, ev, 16) != 0)
		;
}

static void soak_init(struct soak *k, const struct wire_config *wire, uint64_t seed, bool may_fail)
{
	const struct stack_config limits = { .conns_max = 100,
					     .mem_bytes_max = 64 << 20,
					     .sndbuf_bytes = 50000,
					     .rcvbuf_bytes = 40000 };
	struct endpoint local;

	memset(k, 0, sizeof(*k));
	k->seed = seed;
	k->may_fail = may_fail;
	two_stacks_init(&k->sim, wire, seed, seed % 2 != 0, &limits);
	local = k->sim.side[1].addr;
	local.port = PORT;
	VJ_ASSERT(tcp_listen(k->sim.side[1].s, &local, false, 5, 0, &k->listener) == 0);
	for (unsigned int side = 0; side < 2; side++)
		for (unsigned int i = 0; i < CONNS; i++) {
			struct end *e = &k->end[side][i];

			e->peer = &k->end[1 - side][i];
			e->key = (uint32_t)prng_u64(&k->sim.prng);
			e->to_send = (uint32_t)prng_below(
				&k->sim.prng, prng_chance(&k->sim.prng, 1, 3) ? STREAM_MAX : 3000);
		}
}

static void soak_run(const char *name, const struct wire_config *wire, uint64_t seed, bool may_fail)
{
	static struct soak k;

	soak_init(&k, wire, seed, may_fail);
	while (!all_ended(&k)) {
		uint64_t pause_us =
			prng_below(&k.sim.prng, prng_chance(&k.sim.prng, 1, 4) ? 300000 : 3000);
		uint64_t until_us = k.sim.now_us + pause_us;

		if (k.opened < CONNS && prng_chance(&k.sim.prng, 1, 5))
			open_one(&k);
		accept_all(&k);
		for (unsigned int side = 0; side < 2; side++)
			for (unsigned int i = 0; i < CONNS; i++)
				end_turn(&k, side, &k.end[side][i]);
		while (two_stacks_step(&k.sim, until_us))
			;
		for (unsigned int side = 0; side < 2; side++) {
			drain_events(k.sim.side[side].s);
			tcp_sanity_all(k.sim.side[side].s);
		}
		if (k.sim.now_us > TIME_LIMIT_US)
			for (unsigned int i = 0; i < 2 * CONNS; i++)
				if (k.end[i / CONNS][i % CONNS].open)
					fail(&k, &k.end[i / CONNS][i % CONNS],
					     "no end after an hour");
	}
	printf("%-12s seed %4" PRIu64 "  %8.3f s, %7" PRIu64 " frames, %5" PRIu64 " lost\n", name,
	       seed, (double)k.sim.now_us / 1e6, k.sim.wire[0].sent + k.sim.wire[1].sent,
	       k.sim.wire[0].lost + k.sim.wire[1].lost);
	fflush(stdout);
	tcp_unlisten(k.sim.side[1].s, k.listener);
	/* TIME_WAIT, orphans, and embryos whose peers gave up */
	for (uint64_t end_us = k.sim.now_us + 2000 * US_PER_SEC; two_stacks_step(&k.sim, end_us);)
		;
	two_stacks_fini(&k.sim);
}

static const struct wire_config bad_wire = {
	.delay_us = 5000,
	.jitter_us = 1000,
	.loss_ppm = 30000,
	.dup_ppm = 20000,
	.reorder_ppm = 20000,
	.corrupt_ppm = 10000,
};
static const struct wire_config worse_wire = {
	.delay_us = 20000,
	.jitter_us = 20000,
	.loss_ppm = 200000,
	.dup_ppm = 50000,
	.reorder_ppm = 100000,
	.corrupt_ppm = 20000,
	.bits_per_s = 10000000,
	.queue_frames = 20,
};
static const struct wire_config short_wire = {
	.delay_us = 100,
	.loss_ppm = 10000,
	.frames_max = 3,
	.rx_hold_max = 2,
};
static const struct wire_config direct = {
	.delay_us = 1,
	.frames_max = 8,
	.frame_bytes = 2048,
	.mtu = 65535,
	.flags = LINK_NO_LOSS | LINK_NO_CSUM,
};
static const struct wire_config direct_short = {
	.delay_us = 3,
	.jitter_us = 50,
	.frames_max = 1,
	.frame_bytes = 4096,
	.mtu = 4000,
	.flags = LINK_NO_LOSS | LINK_NO_CSUM,
};

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t cnt = argc > 2 ? strtoull(argv[2], NULL, 10) : 12;

	for (uint64_t seed = first; seed < first + cnt; seed++) {
		bool may_fail = seed % 3 == 0;

		soak_run("bad", &bad_wire, seed, may_fail);
		soak_run("worse", &worse_wire, seed, may_fail);
		soak_run("short", &short_wire, seed, may_fail);
		soak_run("direct", &direct, seed, may_fail);
		soak_run("direct_short", &direct_short, seed, may_fail);
	}
	return 0;
}

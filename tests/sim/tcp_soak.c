// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections between two stacks, over a bad wire or a direct channel that is short of frames
 *
 * Both programs write, read, shut down, close and abort at random. The wire, the options and all
 * that the programs do come from one seed. Every byte is compared, every segment is watched
 * (watch.h), both stacks are walked after every step (walk.h), every connection must end, and at
 * the end nothing may be left: no connection, buffer or frame.
 *
 * How seeds are run and replayed: seeds.h.
 */
#include "stack/tcp.h"
#include "tests/sim/seeds.h"
#include "tests/sim/two_stacks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define SEEDS 3000
#define CONNS 12
#define STREAM_MAX 300000
#define PORT 80
#define PORT_FIRST 1000
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
	bool fastopen;		  /* data in SYNs */
	bool paths;		  /* change their MTU */
	bool may_be_silent;	  /* ... and routers may not say so */
	bool v6;
	uint64_t seed;
	unsigned int conns; /* of CONNS, that this seed makes */
	unsigned int opened;
};

static void fail(const struct soak *k, const struct end *e, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 ", connection %td of side %d at %.6f s: %s\n", k->seed,
		(e - &k->end[0][0]) % CONNS, e >= k->end[1], (double)k->sim.now_us / 1e6, what);
	abort();
}

static void check(const struct soak *k, const struct end *e, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != watch_stream_byte(e->key, e->got + (uint32_t)i))
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
	/* Seven SYNs or their answers in a row may well be lost. */
	if (err == ETIMEDOUT && !e->connected) {
		e->failed = true;
		return;
	}
	/* Refused: its Fast Open was accepted and aborted, and only the reset has arrived. */
	if (!k->may_fail || (err != ECONNRESET && err != EPIPE &&
			     !(err == ECONNREFUSED && k->fastopen && !e->connected)))
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
			buf[i] = watch_stream_byte(key, e->sent + i);
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
	e->connected |= (tcp_ready(s, e->id) & STACK_EV_CONNECTED) != 0;
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

/* RFC 7413: the first connection gets a cookie, those after it send data with their SYN. */
static void open_with_data(struct soak *k, struct end *e, const struct endpoint *local,
			   const struct endpoint *remote)
{
	struct side *a = &k->sim.side[0];
	uint8_t buf[2000];
	size_t n;

	for (uint32_t i = 0; i < sizeof(buf); i++)
		buf[i] = watch_stream_byte(e->peer->key, i);
	VJ_ASSERT(tcp_connect_data(a->s, a->link, local, remote, NULL, 0, buf,
				   min_size(sizeof(buf), e->to_send), k->opened, &n, &e->id) == 0);
	e->sent = (uint32_t)n;
}

static void open_one(struct soak *k)
{
	struct side *a = &k->sim.side[0], *b = &k->sim.side[1];
	struct endpoint local = a->addr, remote = b->addr;
	struct end *e = &k->end[0][k->opened];

	local.port = (uint16_t)(PORT_FIRST + k->opened);
	remote.port = PORT;
	if (k->fastopen) {
		open_with_data(k, e, &local, &remote);
	} else {
		VJ_ASSERT(tcp_connect(a->s, a->link, &local, &remote, k->opened, &e->id) == 0);
	}
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
		e = &k->end[1][remote.port - PORT_FIRST];
		if (k->fastopen && e->connected) {
			/* RFC 7413 2.1: a SYN that came again after the first was forgotten */
			tcp_abort(b->s, id);
			continue;
		}
		VJ_ASSERT(!e->connected);
		e->id = id;
		e->open = e->connected = true;
	}
}

static bool all_ended(const struct soak *k)
{
	if (k->opened < k->conns)
		return false;
	for (unsigned int i = 0; i < k->conns; i++) {
		const struct end *a = &k->end[0][i], *b = &k->end[1][i];

		if (a->open || b->open || (!b->connected && !a->failed && !k->may_fail))
			return false;
		if (!k->may_fail && b->connected &&
		    (a->got != b->to_send || b->got != a->to_send))
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

/* ---- what a seed means ----------------------------------------------------------------------- */

/* In ppm: often none, else up to @max, small ones more often */
static uint32_t draw_ppm(struct prng *prng, uint32_t max)
{
	uint32_t ppm = prng_chance(prng, 1, 2) ? 0 : 1 + (uint32_t)prng_below(prng, max);

	return prng_chance(prng, 1, 2) ? ppm : ppm / 10;
}

static struct wire_config draw_lossy(struct prng *prng)
{
	struct wire_config wire = {
		.delay_us = prng_below(prng, prng_chance(prng, 1, 3) ? 100000 : 5000),
		.jitter_us = prng_below(prng, prng_chance(prng, 1, 2) ? 20000 : 100),
		.loss_ppm = draw_ppm(prng, 200000),
		.dup_ppm = draw_ppm(prng, 50000),
		.reorder_ppm = draw_ppm(prng, 200000),
		.corrupt_ppm = draw_ppm(prng, 20000),
	};

	if (prng_chance(prng, 1, 3)) {
		wire.bad_enter_ppm = 1 + (uint32_t)prng_below(prng, 30000);
		wire.bad_leave_ppm = 50000 + (uint32_t)prng_below(prng, 500000);
		wire.bad_loss_ppm = 200000 + (uint32_t)prng_below(prng, 800001);
	}
	if (prng_chance(prng, 1, 2)) {
		wire.bits_per_s = prng_range(prng, 1000000, 100000000);
		wire.queue_frames = 3 + (uint32_t)prng_below(prng, 100);
		if (prng_chance(prng, 1, 2))
			wire.mark_frames = 1 + wire.queue_frames / 4;
	}
	if (prng_chance(prng, 1, 8)) {
		wire.frames_max = 3;
		wire.rx_hold_max = 2;
	}
	if (prng_chance(prng, 1, 4))
		wire.mtu = 1280 + (uint32_t)prng_below(prng, 8000);
	return wire;
}

static struct wire_config draw_direct(struct prng *prng)
{
	struct wire_config wire = {
		.delay_us = 1 + prng_below(prng, 3),
		.jitter_us = prng_below(prng, 50),
		.frames_max = 1 + (uint32_t)prng_below(prng, 8),
		.frame_bytes = prng_chance(prng, 1, 2) ? 2048 : 4096,
		.flags = LINK_NO_LOSS | LINK_NO_CSUM,
	};

	wire.mtu = wire.frame_bytes == 2048 ? 65535 : 4000;
	return wire;
}

static void draw_streams(struct soak *k)
{
	struct prng *prng = &k->sim.prng;
	uint32_t max = prng_chance(prng, 1, 4) ? STREAM_MAX : 50000;

	k->conns = prng_chance(prng, 1, 10) ? CONNS : 1 + (unsigned int)prng_below(prng, 4);
	for (unsigned int side = 0; side < 2; side++)
		for (unsigned int i = 0; i < k->conns; i++) {
			struct end *e = &k->end[side][i];

			e->peer = &k->end[1 - side][i];
			e->key = prng_u32(prng);
			e->to_send = (uint32_t)prng_below(
				prng, prng_chance(prng, 1, 3) ? max : max / 10 + 1);
			watch_stream(&k->sim.watch, (uint16_t)(PORT_FIRST + i), PORT, 1 - side,
				     e->key);
		}
}

/*
 * Who is told nothing, and is not to search, does not get through. Black holes take timeouts, and so does
 * bad luck: there must be more than the few that a closed connection has until it is given up.
 */
static void draw_paths(struct soak *k, const struct wire_config *wire)
{
	struct prng *prng = &k->sim.prng;
	struct tcp_settings set = {
		.mtu_probing = (uint8_t)prng_below(prng, STACK_MTU_PROBE_OFF + 1),
		.orphan_retries = TCP_RETRIES,
	};

	k->paths = (wire->flags & LINK_NO_LOSS) == 0 && prng_chance(prng, 1, 3);
	k->may_be_silent = set.mtu_probing != STACK_MTU_PROBE_OFF;
	for (unsigned int side = 0; side < 2; side++)
		tcp_settings_set(k->sim.side[side].s, &set);
}

static void soak_init(struct soak *k, uint64_t seed, bool trace)
{
	struct stack_config limits = { .conns_max = 100, .mem_bytes_max = 64 << 20 };
	struct endpoint local;
	struct prng prng;
	struct wire_config wire;

	memset(k, 0, sizeof(*k));
	k->seed = seed;
	prng_seed(&prng, ~seed);
	k->may_fail = prng_chance(&prng, 1, 3);
	wire = prng_chance(&prng, 1, 5) ? draw_direct(&prng) : draw_lossy(&prng);
	limits.sndbuf_bytes = 4000 + (uint32_t)prng_below(&prng, 100000);
	limits.rcvbuf_bytes = 4000 + (uint32_t)prng_below(&prng, 100000);
	k->v6 = prng_chance(&prng, 1, 2);
	two_stacks_init(&k->sim, &wire, seed, k->v6, &limits);
	k->sim.watch.trace = trace;
	k->sim.walk = true;
	local = k->sim.side[1].addr;
	local.port = PORT;
	VJ_ASSERT(tcp_listen(k->sim.side[1].s, &local, false, 5, 0, &k->listener) == 0);
	k->fastopen = prng_chance(&prng, 1, 4);
	if (k->fastopen)
		VJ_ASSERT(tcp_listener_option_set(k->sim.side[1].s, k->listener,
						  TCP_OPT_FASTOPEN_MAX, 5) == 0);
	draw_streams(k);
	draw_paths(k, &wire);
}

/* Now and then the path of one direction becomes another. */
static void change_path(struct soak *k)
{
	struct prng *prng = &k->sim.prng;
	unsigned int from = (unsigned int)prng_below(prng, 2);
	uint32_t link = k->sim.wire[from].cfg.mtu;
	/* IPv4: less than what anybody should have to send, too */
	uint32_t least = k->v6 ? 1280 : prng_chance(prng, 1, 4) ? 296 : 552;
	uint32_t mtu = least + (uint32_t)prng_below(prng, link - least + 1);
	enum router_kind kind = (enum router_kind)prng_below(prng, ROUTER_KINDS);

	if (kind == ROUTER_SILENT && !k->may_be_silent)
		kind = ROUTER_TELLS;
	two_stacks_path(&k->sim, from, prng_chance(prng, 1, 4) ? 0 : mtu, kind);
}

/* Both programs have their turn, then time goes on a little. */
static void soak_round(struct soak *k)
{
	struct prng *prng = &k->sim.prng;
	uint64_t pause_us = prng_below(prng, prng_chance(prng, 1, 4) ? 300000 : 3000);
	uint64_t until_us = k->sim.now_us + pause_us;

	if (k->opened < k->conns && prng_chance(prng, 1, 5))
		open_one(k);
	if (k->paths && prng_chance(prng, 1, 20))
		change_path(k);
	accept_all(k);
	for (unsigned int side = 0; side < 2; side++)
		for (unsigned int i = 0; i < k->conns; i++)
			end_turn(k, side, &k->end[side][i]);
	while (two_stacks_step(&k->sim, until_us))
		;
	for (unsigned int side = 0; side < 2; side++)
		drain_events(k->sim.side[side].s);
	if (k->sim.now_us <= TIME_LIMIT_US)
		return;
	for (unsigned int i = 0; i < 2 * CONNS; i++)
		if (k->end[i / CONNS][i % CONNS].open)
			fail(k, &k->end[i / CONNS][i % CONNS], "no end after hours");
}

static uint64_t soak_run(uint64_t seed, bool trace)
{
	static struct soak k;

	soak_init(&k, seed, trace);
	while (!all_ended(&k))
		soak_round(&k);
	tcp_unlisten(k.sim.side[1].s, k.listener);
	/* TIME_WAIT, orphans, and embryos whose peers gave up */
	for (uint64_t end_us = k.sim.now_us + 2000 * US_PER_SEC; two_stacks_step(&k.sim, end_us);)
		;
	two_stacks_fini(&k.sim);
	return k.sim.wire[0].sent + k.sim.wire[1].sent;
}

int main(int argc, char **argv)
{
	return seeds_main(argc, argv, SEEDS, soak_run);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Datagrams between two stacks, in fragments and whole, over paths that change
 *
 * Sockets of both sides send to each other datagrams of any size, in any mode, over a bad wire with routers,
 * or over a direct channel. Each that arrives must be one that was sent to there, whole and unharmed; none
 * may be refused that the mode allows; on a wire that loses nothing all must arrive that no router dropped
 * and that found room. Both stacks are walked after every step. In the end the wire is good and the routers
 * tell: then each socket must get through after a few attempts. Nothing may be left, fragments included.
 *
 * How seeds are run and replayed: seeds.h.
 */
#include "stack/udp.h"
#include "tests/sim/seeds.h"
#include "tests/sim/two_stacks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define SEEDS 1000
#define SOCKS 3
#define DGRAMS 400 /* of one socket, at most */
#define HEAD 16u   /* bytes that say which one it is */
#define BURST 8    /* datagrams of one call, at most */
#define BURST_BYTES 1600u
#define PORT_FIRST 1000
#define ATTEMPTS 12 /* a router of before RFC 1191 leads down step by step */

struct sent {
	uint32_t len;
	uint32_t got; /* times */
};

struct sock {
	struct udp_id u;
	struct endpoint addr;
	uint32_t key;
	bool connected; /* to the same number of the other side */
	enum udp_mtu_mode mode;
	uint32_t cnt; /* datagrams sent */
	struct sent sent[DGRAMS];
};

struct soak {
	struct two_stacks sim;
	struct sock sock[2][SOCKS];
	uint64_t seed;
	bool v6, direct, paths;
	bool safe; /* nothing but routers loses frames */
	bool trace;
};

static void fail(const struct soak *k, const struct sock *sock, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 ", port %u at %.6f s: %s\n", k->seed, sock->addr.port,
		(double)k->sim.now_us / 1e6, what);
	abort();
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static uint8_t dgram_byte(uint32_t key, uint32_t n, uint32_t off)
{
	return watch_stream_byte(key ^ n * 2654435761u, off);
}

static void dgram_make(const struct sock *sock, uint32_t n, uint8_t *buf, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		buf[i] = dgram_byte(sock->key, n, i);
	if (len >= HEAD) {
		store_be32(buf, sock->key);
		store_be32(buf + 4, n);
		store_be32(buf + 8, len);
	}
}

static struct sock *sock_of(struct soak *k, unsigned int side, uint16_t port)
{
	uint32_t i = port - PORT_FIRST - side * 100u;

	return i < SOCKS ? &k->sock[side][i] : NULL;
}

/* Bits that are not as they were sent. The checksum sees one, always, but not two that make up for each other. */
static bool is_harmed(const struct soak *k, const struct sock *sock, uint32_t n, const uint8_t *buf, size_t len)
{
	unsigned int bits = 0;

	for (uint32_t i = HEAD; i < len; i++)
		bits += (unsigned int)__builtin_popcount(buf[i] ^ dgram_byte(sock->key, n, i));
	return bits != 0 && (bits == 1 || k->safe);
}

/* What came to a socket of @side */
static void dgram_check(struct soak *k, unsigned int side, const struct sock *to,
			const struct endpoint *from, const uint8_t *buf, size_t len)
{
	struct sock *sock = sock_of(k, 1 - side, from->port);
	uint32_t n = len >= HEAD ? load_be32(buf + 4) : DGRAMS;

	if (sock == NULL || !ip_addr_eq(&sock->addr.addr, &from->addr))
		fail(k, to, "from nobody");
	if (n >= sock->cnt || load_be32(buf) != sock->key)
		fail(k, to, "a datagram that was not sent");
	if (sock->sent[n].len != len)
		fail(k, to, "a datagram of another length");
	if (is_harmed(k, sock, n, buf, len))
		fail(k, to, "wrong bits");
	if (sock->sent[n].got++ != 0 && k->sim.wire[1 - side].cfg.dup_ppm == 0)
		fail(k, to, "twice");
}

/* An error of ICMP's is one that the socket could have. */
static bool is_icmp_error(const struct soak *k, const struct sock *sock, int err)
{
	return err == -EMSGSIZE && k->paths && sock->connected && sock->mode != UDP_MTU_DONT &&
	       sock->mode != UDP_MTU_INTERFACE && sock->mode != UDP_MTU_OMIT;
}

static void sock_read(struct soak *k, unsigned int side, struct sock *sock)
{
	static uint8_t buf[65536];
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;
	size_t len;
	int err;

	while ((err = udp_recv(k->sim.side[side].s, sock->u, buf, sizeof(buf), false, &len, &from, &to,
			       &link)) != -EAGAIN) {
		if (err == 0)
			dgram_check(k, side, sock, &from, buf, len);
		else if (!is_icmp_error(k, sock, err))
			fail(k, sock, "an error that nobody made");
	}
}

/* What the program must be told about a datagram of @len bytes, apart from a lack of frames */
static int expected(const struct soak *k, unsigned int side, const struct sock *sock, uint32_t len,
		    const struct ip_addr *dst)
{
	uint32_t most = udp_path_mtu(k->sim.side[side].s, sock->u, k->sim.side[side].link, dst);
	uint32_t hdrs = k->v6 ? 48 : 28;
	bool refuses = sock->mode == UDP_MTU_DO || sock->mode == UDP_MTU_PROBE ||
		       sock->mode == UDP_MTU_INTERFACE;

	return !k->direct && refuses && len + hdrs > most ? -EMSGSIZE : 0;
}

/* One datagram to @peer. Return: it left. */
static bool sock_send(struct soak *k, unsigned int side, struct sock *sock, const struct sock *peer,
		      uint32_t len)
{
	static uint8_t buf[65536];
	struct side *at = &k->sim.side[side];
	int pending = udp_error(at->s, sock->u), want, err;

	if (pending != 0 && !is_icmp_error(k, sock, -pending))
		fail(k, sock, "an error that nobody made");
	if (sock->cnt == DGRAMS)
		return false;
	dgram_make(sock, sock->cnt, buf, len);
	want = expected(k, side, sock, len, &peer->addr.addr);
	err = udp_send(at->s, sock->u, at->link, &sock->addr.addr, &peer->addr, buf, len);
	if (k->trace)
		printf("%.6f %u > %u: %u bytes, mode %d: %d\n", (double)k->sim.now_us / 1e6,
		       sock->addr.port, peer->addr.port, len, (int)sock->mode, err);
	if ((err == -EAGAIN || err == -ENOBUFS) && k->sim.wire[side].cfg.frames_max != 0)
		return false;
	if (err != want)
		fail(k, sock, err == 0 ? "not refused" : strerror(-err));
	if (err != 0)
		return false;
	sock->sent[sock->cnt++] = (struct sent){ .len = len };
	return true;
}

/* Several in one call, which may leave in one packet */
static void sock_send_burst(struct soak *k, unsigned int side, struct sock *sock, const struct sock *peer)
{
	static uint8_t buf[BURST][BURST_BYTES];
	struct side *at = &k->sim.side[side];
	struct prng *prng = &k->sim.prng;
	unsigned int n = min_u32(2 + (uint32_t)prng_below(prng, BURST - 1), DGRAMS - sock->cnt), sent = 0;
	struct udp_piece pieces[BURST];
	int err;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = HEAD + (uint32_t)prng_below(prng, prng_chance(prng, 1, 4) ? BURST_BYTES - HEAD : 100);

		dgram_make(sock, sock->cnt + i, buf[i], len);
		pieces[i] = (struct udp_piece){ buf[i], len };
	}
	err = udp_send_burst(at->s, sock->u, at->link, &sock->addr.addr, &peer->addr, pieces, n, &sent);
	if (k->trace)
		printf("%.6f %u > %u: %u of %u datagrams: %d\n", (double)k->sim.now_us / 1e6, sock->addr.port,
		       peer->addr.port, sent, n, err);
	if ((sent < n) != (err != 0) || (err != 0 && err != -EAGAIN && err != -ENOBUFS))
		fail(k, sock, "a burst that did not end as it says");
	for (unsigned int i = 0; i < sent; i++)
		sock->sent[sock->cnt++] = (struct sent){ .len = (uint32_t)pieces[i].len };
}

/* ---- what a seed means ----------------------------------------------------------------------- */

static struct wire_config draw_wire(struct soak *k, struct prng *prng)
{
	struct wire_config wire = {
		.delay_us = prng_below(prng, 50000),
		.jitter_us = prng_below(prng, 10000),
	};

	k->direct = prng_chance(prng, 1, 5);
	k->safe = k->direct || prng_chance(prng, 1, 2);
	if (k->direct) {
		wire.delay_us = 1 + prng_below(prng, 3);
		wire.frames_max = 20 + (uint32_t)prng_below(prng, 100);
		wire.frame_bytes = prng_chance(prng, 1, 2) ? 2048 : 4096;
		wire.mtu = wire.frame_bytes == 2048 ? 65535 : 4000;
		wire.flags = LINK_NO_LOSS | LINK_NO_CSUM | LINK_TRAINS;
		return wire;
	}
	if (!k->safe) {
		wire.loss_ppm = (uint32_t)prng_below(prng, 50000);
		wire.corrupt_ppm = (uint32_t)prng_below(prng, 20000);
		wire.dup_ppm = (uint32_t)prng_below(prng, 50000);
	}
	if (prng_chance(prng, 1, 2))
		wire.reorder_ppm = (uint32_t)prng_below(prng, 300000);
	if (prng_chance(prng, 1, 3))
		wire.mtu = 1280 + (uint32_t)prng_below(prng, 8000);
	k->paths = prng_chance(prng, 2, 3);
	return wire;
}

static void open_socks(struct soak *k)
{
	struct prng *prng = &k->sim.prng;

	for (unsigned int i = 0; i < 2 * SOCKS; i++) {
		unsigned int side = i / SOCKS;
		struct sock *sock = &k->sock[side][i % SOCKS];
		struct stack *s = k->sim.side[side].s;

		sock->addr = k->sim.side[side].addr;
		sock->addr.port = (uint16_t)(PORT_FIRST + side * 100 + i % SOCKS);
		sock->key = prng_u32(prng);
		sock->mode = prng_chance(prng, 1, 2) ? UDP_MTU_WANT
						     : (enum udp_mtu_mode)prng_below(prng, UDP_MTU_OMIT + 1);
		VJ_ASSERT(udp_open(s, &sock->addr, 0, 0, &sock->u) == 0);
		udp_mtu_mode_set(s, sock->u, !k->v6, sock->mode);
	}
	for (unsigned int i = 0; i < 2 * SOCKS; i++) {
		struct sock *sock = &k->sock[i / SOCKS][i % SOCKS];

		sock->connected = prng_chance(prng, 1, 3);
		if (sock->connected)
			udp_connect(k->sim.side[i / SOCKS].s, sock->u,
				    &k->sock[1 - i / SOCKS][i % SOCKS].addr);
	}
}

static void soak_init(struct soak *k, uint64_t seed, bool trace)
{
	struct stack_config limits = { .conns_max = 10, .mem_bytes_max = 64 << 20 };
	struct wire_config wire;
	struct prng prng;

	memset(k, 0, sizeof(*k));
	k->seed = seed;
	k->trace = trace;
	prng_seed(&prng, ~seed);
	wire = draw_wire(k, &prng);
	k->v6 = prng_chance(&prng, 1, 2);
	limits.rcvbuf_bytes = 70000 + (uint32_t)prng_below(&prng, 400000);
	two_stacks_init(&k->sim, &wire, seed, k->v6, &limits);
	k->sim.walk = true;
	open_socks(k);
}

/* ---- running --------------------------------------------------------------------------------- */

static void run(struct soak *k, uint64_t us)
{
	struct stack_event ev[16];

	for (uint64_t end_us = k->sim.now_us + us; two_stacks_step(&k->sim, end_us);)
		;
	for (unsigned int side = 0; side < 2; side++)
		while (stack_events(k->sim.side[side].s, ev, 16) != 0)
			;
}

static void change_path(struct soak *k, bool tells)
{
	struct prng *prng = &k->sim.prng;
	unsigned int from = (unsigned int)prng_below(prng, 2);
	uint32_t least = k->v6 ? 1280 : prng_chance(prng, 1, 3) ? 296 : 552;
	uint32_t mtu = least + (uint32_t)prng_below(prng, k->sim.wire[from].cfg.mtu - least + 1);

	two_stacks_path(&k->sim, from, prng_chance(prng, 1, 4) ? 0 : mtu,
			(enum router_kind)prng_below(prng, tells ? ROUTER_SILENT : ROUTER_KINDS));
}

static uint32_t draw_len(struct soak *k)
{
	struct prng *prng = &k->sim.prng;
	uint32_t mtu = k->sim.wire[0].cfg.mtu;

	if (prng_chance(prng, 1, 2))
		return HEAD + (uint32_t)prng_below(prng, 1500);
	if (prng_chance(prng, 1, 3)) /* around what just fits */
		return mtu - 60 + (uint32_t)prng_below(prng, mtu < 60000 ? 60 : 1);
	return HEAD + (uint32_t)prng_below(prng, (k->v6 ? 65527 : 65507) - HEAD + 1);
}

static void soak_round(struct soak *k)
{
	struct prng *prng = &k->sim.prng;

	if (k->paths && prng_chance(prng, 1, 10))
		change_path(k, false);
	for (unsigned int i = 0; i < 2 * SOCKS; i++) {
		unsigned int side = i / SOCKS;
		struct sock *sock = &k->sock[side][i % SOCKS];
		unsigned int to = sock->connected ? i % SOCKS : (unsigned int)prng_below(prng, SOCKS);
		struct sock *peer = &k->sock[1 - side][to];

		if (peer->connected && peer != &k->sock[1 - side][i % SOCKS])
			continue; /* it would not be taken */
		for (uint32_t n = (uint32_t)prng_below(prng, 4); n > 0; n--)
			sock_send(k, side, sock, peer, draw_len(k));
		if (k->direct && prng_chance(prng, 1, 2))
			sock_send_burst(k, side, sock, peer);
	}
	run(k, prng_below(prng, prng_chance(prng, 1, 5) ? 2000000 : 20000));
	for (unsigned int i = 0; i < 2 * SOCKS; i++)
		if (!prng_chance(prng, 1, 3))
			sock_read(k, i / SOCKS, &k->sock[i / SOCKS][i % SOCKS]);
}

/* Once what was under way has arrived. */
static void read_all(struct soak *k)
{
	run(k, 1000000);
	for (unsigned int i = 0; i < 2 * SOCKS; i++)
		sock_read(k, i / SOCKS, &k->sock[i / SOCKS][i % SOCKS]);
}

/* A safe wire: every datagram is here, or somebody says that it dropped one. */
static void check_all_there(const struct soak *k)
{
	for (unsigned int side = 0; k->safe && side < 2; side++) {
		uint64_t missing = 0, excused = k->sim.wire[side].router.too_big;
		const struct stack *to = k->sim.side[1 - side].s;

		for (unsigned int i = 0; i < SOCKS; i++)
			for (uint32_t n = 0; n < k->sock[side][i].cnt; n++)
				missing += k->sock[side][i].sent[n].got == 0;
		/* a train counts once */
		excused += to->stats.drops[STACK_DROP_UDP_FULL] * (k->direct ? BURST : 1) + to->stats.drops[STACK_DROP_FRAG_MEMORY] +
			   to->stats.drops[STACK_DROP_FRAG_TINY]; /* too many, that is */
		if (missing > excused)
			fail(k, &k->sock[side][0], "datagrams are missing");
	}
}

/* The wire is good now, and routers tell: all get through. */
static void exam(struct soak *k)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct wire_config *cfg = &k->sim.wire[i].cfg;

		cfg->loss_ppm = cfg->corrupt_ppm = cfg->bad_enter_ppm = 0;
	}
	if (k->paths)
		change_path(k, true);
	for (unsigned int side = 0; k->paths && side < 2; side++)
		if (k->sim.wire[side].router.kind == ROUTER_SILENT)
			two_stacks_path(&k->sim, side, k->v6 ? 1280 : 600, ROUTER_TELLS);
	for (unsigned int i = 0; i < 2 * SOCKS; i++) {
		unsigned int side = i / SOCKS;
		struct sock *sock = &k->sock[side][i % SOCKS], *peer = &k->sock[1 - side][i % SOCKS];
		uint32_t len = prng_chance(&k->sim.prng, 1, 2) ? 1200 : 20000, last = sock->cnt;
		bool got = false;

		if (sock->mode == UDP_MTU_PROBE || sock->mode == UDP_MTU_INTERFACE ||
		    sock->mode == UDP_MTU_OMIT)
			continue; /* they do as they like, and routers drop it */
		for (unsigned int n = 0; n < ATTEMPTS && !got && last < DGRAMS; n++) {
			bool left = sock_send(k, side, sock, peer, len);

			read_all(k);
			if (!left && sock->mode == UDP_MTU_DO)
				len = 200; /* that was too much, and it knows */
			got = left && sock->sent[sock->cnt - 1].got != 0;
			last = sock->cnt;
		}
		if (!got && last < DGRAMS)
			fail(k, sock, "does not get through");
	}
}

static uint64_t soak_run(uint64_t seed, bool trace)
{
	static struct soak k;

	soak_init(&k, seed, trace);
	for (unsigned int rounds = 5 + (unsigned int)prng_below(&k.sim.prng, 60); rounds > 0; rounds--)
		soak_round(&k);
	read_all(&k);
	check_all_there(&k);
	run(&k, 61 * US_PER_SEC); /* pieces of what never got whole take room until then */
	exam(&k);
	check_all_there(&k);
	run(&k, 61 * US_PER_SEC);
	for (unsigned int side = 0; side < 2; side++) {
		struct stack *s = k.sim.side[side].s;

		VJ_ASSERT_OP(s->reass.bytes, ==, 0u);
		VJ_ASSERT_OP(s->reass.dgrams.used + s->reass.frags.used, ==, 0u);
		for (unsigned int i = 0; i < SOCKS; i++)
			udp_close(s, k.sock[side][i].u);
	}
	two_stacks_fini(&k.sim);
	return k.sim.wire[0].sent + k.sim.wire[1].sent;
}

int main(int argc, char **argv)
{
	return seeds_main(argc, argv, SEEDS, soak_run);
}

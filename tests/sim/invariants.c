// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each check of watch.h, walk.h and two_stacks_fini() can fail
 *
 * A short good conversation is played, by hand for the watch and by two stacks for the rest; then
 * one thing is made wrong. The process that does it must die, and name the rule that was broken;
 * without the fault it must not.
 */
#include "stack/tcp_mtu.h"
#include "stack/udp.h"
#include "tests/sim/two_stacks.h"
#include "tests/sim/walk.h"
#include "tests/sim/watch.h"
#include "wire/eth.h"
#include "wire/ip4.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- segments by hand ------------------------------------------------------------------------ */

enum { ISS_0 = 0xfffffff0u, ISS_1 = 5000, KEY = 7, MSS = 150 };

static struct watch watch;
static uint64_t now_us = 1000000;
static uint32_t ts[2] = { 100, 900 };

struct segment {
	unsigned int side;
	uint32_t seq, ack; /* from the SYNs */
	uint8_t flags;
	uint16_t window;
	uint16_t len;
	uint32_t sack[2];
	int ts_val, ts_ecr; /* added to what is right */
	bool lost, wrong_bytes;
};

static void play(const struct segment *g)
{
	static const uint32_t iss[2] = { ISS_0, ISS_1 };
	uint8_t frame[2000] = { [12] = 0x08, [13] = 0 }, *p = frame + ETH_HDR_BYTES + 20;
	struct tcp_fields fields = {
		.seq = iss[g->side] + g->seq,
		.ack = iss[1 - g->side] + g->ack,
		.src_port = g->side == 0 ? 1000 : 80,
		.dst_port = g->side == 0 ? 80 : 1000,
		.flags = g->flags,
		.window = g->window,
	};
	struct tcp_opts opts = {
		.present = TCP_HAS_TS,
		.ts_val = ts[g->side] + (uint32_t)g->ts_val,
		.ts_ecr = (g->flags & TCP_ACK) != 0 ? ts[1 - g->side] + (uint32_t)g->ts_ecr : 0,
	};
	struct ip4_fields ip = { .proto = IP_PROTO_TCP, .ttl = 64 };
	uint32_t len;

	if ((g->flags & TCP_SYN) != 0) {
		opts.present |= TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_SACK_PERMITTED;
		opts.mss = MSS;
		opts.wscale = 2;
	}
	if (g->sack[1] != 0) {
		opts.present |= TCP_HAS_SACK;
		opts.sack_cnt = 1;
		opts.sack[0] = (struct tcp_sack){ iss[1 - g->side] + g->sack[0],
						  iss[1 - g->side] + g->sack[1] };
	}
	len = (uint32_t)tcp_build(p, &fields, &opts);
	for (uint32_t i = 0; i < g->len; i++)
		p[len + i] = (uint8_t)(watch_stream_byte(KEY, g->seq - 1 + i) + g->wrong_bytes);
	ip.payload_len = (uint16_t)(len + g->len);
	ip4_build(frame + ETH_HDR_BYTES, &ip);
	watch_sent(&watch, g->side, frame, ETH_HDR_BYTES + 20u + len + g->len);
	if (!g->lost)
		watch_arrived(&watch, g->side, frame, ETH_HDR_BYTES + 20u + len + g->len);
}

#define FROM_0 .side = 0, .ack = 1, .window = 250
#define FROM_1 .side = 1, .seq = 1, .flags = TCP_ACK

/* 1..101 acknowledged, 101..201 lost, 201..301 ahead of the hole; 501 is the edge */
static const struct segment good[] = {
	{ .side = 0, .flags = TCP_SYN, .window = 1000 },
	{ .side = 1, .flags = TCP_SYN | TCP_ACK, .ack = 1, .window = 400 },
	{ FROM_0, .flags = TCP_ACK, .seq = 1, .len = 100 },
	{ FROM_1, .ack = 101, .window = 100 },
	{ FROM_0, .flags = TCP_ACK, .seq = 101, .len = 100, .lost = true },
	{ FROM_0, .flags = TCP_ACK, .seq = 201, .len = 100 },
	{ FROM_1, .ack = 101, .window = 100, .sack = { 201, 301 } },
	{ FROM_0, .flags = TCP_ACK, .seq = 101, .len = 50, .lost = true },
};

struct wire_fault {
	const char *rule;
	struct segment segment[2];
};

static const struct wire_fault wire_faults[] = {
	{ "HOLE", { { FROM_0, .flags = TCP_ACK, .seq = 302, .len = 10 } } },
	{ "WINDOW",
	  { { FROM_0, .flags = TCP_ACK, .seq = 301, .len = 140 },
	    { FROM_0, .flags = TCP_ACK, .seq = 441, .len = 61 } } },
	{ "FIN",
	  { { FROM_0, .flags = TCP_ACK | TCP_FIN, .seq = 301 },
	    { FROM_0, .flags = TCP_ACK, .seq = 301, .len = 1 } } },
	{ "FIN",
	  { { FROM_0, .flags = TCP_ACK | TCP_FIN, .seq = 301 },
	    { FROM_0, .flags = TCP_ACK | TCP_FIN, .seq = 201 } } },
	{ "MSS", { { FROM_0, .flags = TCP_ACK, .seq = 301, .len = MSS + 1 } } },
	{ "BYTES", { { FROM_0, .flags = TCP_ACK, .seq = 101, .len = 9, .wrong_bytes = true } } },
	{ "ACK", { { FROM_1, .ack = 102, .window = 100 } } },
	{ "ACK", { { FROM_1, .ack = 100, .window = 110 } } },
	{ "EDGE", { { FROM_1, .ack = 101, .window = 99 } } },
	{ "SACK", { { FROM_1, .ack = 101, .window = 100, .sack = { 200, 301 } } } },
	{ "SACK", { { FROM_1, .ack = 101, .window = 100, .sack = { 201, 302 } } } },
	{ "SACK", { { FROM_1, .ack = 101, .window = 100, .sack = { 201, 201 } } } },
	{ "TS", { { FROM_1, .ack = 101, .window = 100, .ts_val = -1 } } },
	{ "TS", { { FROM_1, .ack = 101, .window = 100, .ts_ecr = 1 } } },
};

static void play_wire(const struct wire_fault *fault)
{
	watch_init(&watch, &now_us);
	watch_stream(&watch, 1000, 80, 0, KEY);
	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++)
		play(&good[i]);
	for (unsigned int i = 0; fault != NULL && i < 2; i++)
		if (fault->segment[i].flags != 0)
			play(&fault->segment[i]);
	watch_fini(&watch);
}

/* ---- two stacks ------------------------------------------------------------------------------ */

static struct two_stacks sim;
static struct tcp_id conn[2];

static struct tcb *block(unsigned int side)
{
	return conn_at(sim.side[side].s, conn[side].v).t;
}

static void run(uint64_t us)
{
	for (uint64_t end_us = sim.now_us + us; two_stacks_step(&sim, end_us);)
		;
}

/* Side 0 has sent, side 1 has not read: queues, buffers, timers and kept frames are all in use. */
static void open_stacks(void)
{
	const struct wire_config wire = { .delay_us = 10000, .loss_mask = { [0] = 1 << 4 } };
	static uint8_t buf[30000];
	struct endpoint local, remote;
	struct listener_id listener;
	size_t n;

	two_stacks_init(&sim, &wire, 1, false, NULL);
	local = sim.side[0].addr;
	remote = sim.side[1].addr;
	local.port = 1000;
	remote.port = 80;
	VJ_ASSERT(tcp_listen(sim.side[1].s, &remote, false, 5, 0, &listener) == 0);
	VJ_ASSERT(tcp_connect(sim.side[0].s, sim.side[0].link, &local, &remote, 0, &conn[0]) == 0);
	run(50000);
	VJ_ASSERT(tcp_accept(sim.side[1].s, listener, 0, &conn[1]) == 0);
	VJ_ASSERT(tcp_send(sim.side[0].s, conn[0], buf, sizeof(buf), 0, &n) == 0);
	run(15000);
	tcp_unlisten(sim.side[1].s, listener);
	VJ_ASSERT(tcb_has(block(1), TF_OOO));
	VJ_ASSERT_OP(sim.side[1].rx.rx_out, !=, 0u);
	sim.walk = true;
	run(100);
}

static void close_stacks(void)
{
	tcp_abort(sim.side[0].s, conn[0]);
	tcp_abort(sim.side[1].s, conn[1]);
	run(100000);
	two_stacks_fini(&sim);
}

static void fault_memory(void)
{
	sim.side[0].s->mem.bytes += 4096;
}
static void fault_leak(void)
{
	struct bufq q = { 0 };

	VJ_ASSERT(bufq_append(&sim.side[1].s->bufs, &q, "lost", 4) == 0);
}
static void fault_queue(void)
{
	block(0)->sndq.bytes++;
}
static void fault_frames(void)
{
	sim.side[1].rx.rx_out++;
}
static void fault_snd_nxt(void)
{
	block(0)->snd_nxt = block(0)->snd_una - 1;
}
static void fault_rcv_adv(void)
{
	block(1)->rcv_adv = block(1)->rcv_nxt - 1;
}
static void fault_no_timer(void)
{
	tcp_timer_stop(sim.side[0].s, conn_at(sim.side[0].s, conn[0].v));
}
static void fault_late_wheel(void)
{
	wheel_arm(&sim.side[0].s->wheel, ref_tcp(conn[0].v), sim.now_us + 100 * US_PER_SEC);
}
static void fault_late_timer(void)
{
	block(0)->rtx_due_ms += 3600000;
}
static void fault_spin(void)
{
	/* As a stack that always wants to run at once would make it */
	for (unsigned int i = 0; i < 2000; i++)
		two_stacks_step(&sim, sim.now_us);
}
/* A sender that does not hear what a router says */
static void fault_deaf(void)
{
	static uint8_t buf[30000];

	two_stacks_path(&sim, 0, 600, ROUTER_TELLS);
	for (unsigned int i = 0; i < 100; i++) {
		struct tcp_mtu *m;
		size_t n;

		(void)tcp_send(sim.side[0].s, conn[0], buf, sizeof(buf), 0, &n);
		while (tcp_recv(sim.side[1].s, conn[1], buf, sizeof(buf), false, &n) == 0)
			;
		run(50000);
		m = tcb_mtu(sim.side[0].s, block(0));
		if (m == NULL)
			continue;
		m->path = 1500;
		block(0)->mss = m->mss_max;
	}
}

/* Datagrams of which side 1 gets some whole, and of some only a part */
static void send_datagrams(struct udp_id *ret_to)
{
	static const uint8_t buf[5000];
	struct endpoint from = sim.side[0].addr, to = sim.side[1].addr;
	struct udp_id u;

	from.port = 1000;
	to.port = 80;
	VJ_ASSERT(udp_open(sim.side[0].s, &from, 0, 0, &u) == 0);
	VJ_ASSERT(udp_open(sim.side[1].s, &to, 0, 0, ret_to) == 0);
	sim.wire[0].cfg.loss_ppm = 100000;
	for (unsigned int i = 0; i < 30; i++)
		VJ_ASSERT(udp_send(sim.side[0].s, u, sim.side[0].link, &from.addr, &to, buf,
				   sizeof(buf)) == 0);
	run(20000);
}
static void fault_reass_bytes(void)
{
	struct udp_id u;

	send_datagrams(&u);
	sim.side[1].s->reass.bytes++;
}
static void fault_reass_order(void)
{
	struct stack *s = sim.side[1].s;
	const struct reass_dgram *d;
	struct reass_frag *frag;
	struct udp_id u;

	send_datagrams(&u);
	d = pool_at(&s->reass.dgrams, ref_id(s->reass.age.head));
	frag = pool_at(&s->reass.frags, d->first);
	frag->off += 9000;
}
static void fault_udp(void)
{
	struct udp_sock *sock;
	struct udp_id u;

	send_datagrams(&u);
	sock = pool_at(&sim.side[1].s->udp->socks, u.v);
	VJ_ASSERT(sock->head != 0);
	sock->queued_bytes = 1;
}
static void fault_left(void)
{
	two_stacks_fini(&sim);
}

static const struct {
	const char *rule;
	void (*make)(void);
} stack_faults[] = {
	{ "MEMORY", fault_memory },
	{ "BUFFERS", fault_leak },
	{ "BUFFERS", fault_queue },
	{ "BUFFERS", fault_frames },
	{ "flight", fault_snd_nxt },
	{ "rcv_adv", fault_rcv_adv },
	{ "TF_RTX_TIMER", fault_no_timer },
	{ "STUCK", fault_late_wheel },
	{ "STUCK", fault_late_timer },
	{ "idle_steps", fault_spin },
	{ "MTU", fault_deaf },
	{ "REASSEMBLY", fault_reass_bytes },
	{ "REASSEMBLY", fault_reass_order },
	{ "UDP", fault_udp },
	{ "left on side", fault_left },
};

/* ---- each in a process ----------------------------------------------------------------------- */

static void child_run(int wire_fault, int stack_fault)
{
	const struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	if (wire_fault >= 0) {
		play_wire(&wire_faults[wire_fault]);
		return;
	}
	open_stacks();
	stack_faults[stack_fault].make();
	for (unsigned int i = 0; i < 2; i++)
		walk_stack(sim.side[i].s, sim.side[i].mem.bytes, sim.side[i].rx.rx_out);
}

/* Return: the fault was noticed, by its name. */
static bool noticed(const char *rule, int wire_fault, int stack_fault)
{
	char text[4096];
	size_t len = 0;
	int fds[2], status;
	pid_t pid;

	fflush(stdout);
	VJ_ASSERT(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 2);
		child_run(wire_fault, stack_fault);
		_exit(0);
	}
	close(fds[1]);
	for (ssize_t n; (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0;)
		len += (size_t)n;
	text[len] = 0;
	close(fds[0]);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, rule) == NULL) {
		printf("not noticed: %s, fault %d of the wire, %d of the stack: %s\n", rule,
		       wire_fault, stack_fault, text);
		return false;
	}
	return true;
}

int main(void)
{
	bool all = true;

	play_wire(NULL);
	open_stacks();
	close_stacks();
	for (unsigned int i = 0; i < ARRAY_SIZE(wire_faults); i++)
		all = noticed(wire_faults[i].rule, (int)i, -1) && all;
	for (unsigned int i = 0; i < ARRAY_SIZE(stack_faults); i++)
		all = noticed(stack_faults[i].rule, -1, (int)i) && all;
	return all ? 0 : 1;
}

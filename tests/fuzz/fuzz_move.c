// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_move.c - hostile frames about connections that move (lib/move.c), between calls of the program and of the other half (deed*.c), which is
 * played here
 *
 * The input is a program of steps. Two peers have a few connections each, between endpoints that both know, and know each other's tokens, which no
 * peer does. After each step everything that must hold of the connections is checked, and that what waits to be said is counted where it must be.
 */
#include "lib/move.c"

#include "lib/deed.h"
#include "tests/sim/fake_link.h"

/* stack/tcp.h, which has another `struct ports` than lib/priv.h */
void tcp_sanity_all(struct stack *s);

enum { PEERS = 2, CONNS = 4, STEPS = 400, MTU = 1500, KIND_MAX = MOVE_KIND_CNT + 1 };

static struct run {
	const uint8_t *in;
	size_t left;
	struct vj vj;
	struct fake_mem mem;
	struct fake_link drv[PEERS];
	struct vj_link link[PEERS], *links[PEERS];
	unsigned frames[PEERS]; /* to say something in */
	struct tcp_id conn[CONNS]; /* 0: the program has none */
	bool ours_first; /* deed_is_leaving() */
} run;

static uint8_t next_u8(void)
{
	if (!run.left)
		return 0;
	run.left--;
	return *run.in++;
}

/* ---- the rest of lib/ -------------------------------------------------------------------------------------------- */

bool link_send(struct vj_link *link, const void *data, uint32_t len)
{
	unsigned *frames = &run.frames[link - run.link];
	struct move_frame f;

	VJ_ASSERT_OP(len, ==, (uint32_t)(ETH_HDR_BYTES + sizeof(f)));
	if (!*frames)
		return false;
	--*frames;
	memcpy(&f, (const uint8_t *)data + ETH_HDR_BYTES, sizeof(f));
	VJ_ASSERT(f.magic == MOVE_MAGIC && f.kind != 0 && f.kind < MOVE_KIND_CNT);
	return true;
}

void lib_log(const struct vj *vj, int level, const char *fmt, ...)
{
	(void)vj;
	(void)level;
	(void)fmt;
}

int vj_conn_info(const struct vj *vj, struct vj_conn c, struct vj_conn_info *ret_info)
{
	(void)tcp_is_over(vj->stack, (struct tcp_id){ c.v });
	ret_info->unsent_bytes = 0;
	return 0;
}

void route_forget_link(struct vj *vj, const struct vj_link *link)
{
	(void)vj;
	(void)link;
}

bool deed_is_leaving(const struct vj *vj, struct tcp_id id)
{
	(void)vj;
	VJ_ASSERT(id.v != 0);
	return run.ours_first;
}

void deed_postpone(struct vj *vj, struct tcp_id id)
{
	(void)vj;
	VJ_ASSERT(id.v != 0);
}

/* It goes to another process; unless nobody of ours has asked for that */
void deed_left(struct vj *vj, struct tcp_id id, const struct vj_link *link, const struct move_frame *said)
{
	(void)link;
	if (!said->app_id)
		tcp_fail(vj->stack, id, ECONNRESET);
}

void link_publish_dirty(struct vj *vj)
{
	(void)vj;
}

void link_show(struct vj_link *link)
{
	(void)link;
}

void link_rx_all(struct vj_link *link)
{
	(void)link;
}

bool link_peer_has_ended(struct vj_link *link)
{
	return run.frames[link - run.link] % 2;
}

bool control_poll(struct vj *vj, bool spared)
{
	(void)spared;
	(void)vj;
	return false;
}

uint64_t lib_clock_ns(void)
{
	return run.vj.now_ns;
}

/* stopped.h */
bool link_is_stopped(struct vj_link *link)
{
	return link == run.link;
}

void stopped_poll(struct vj *vj)
{
	(void)vj;
}

void deed_poll(struct vj *vj, bool spared)
{
	(void)vj;
	(void)spared;
}

bool deed_busy(const struct vj *vj)
{
	(void)vj;
	return false;
}

uint64_t deed_pump_ns(const struct vj *vj)
{
	(void)vj;
	return UINT64_MAX;
}

uint64_t deed_offered_ns(const struct vj *vj)
{
	(void)vj;
	return UINT64_MAX;
}

void deed_forget_all(struct vj *vj)
{
	(void)vj;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static struct endpoint local_of(unsigned i)
{
	return (struct endpoint){ .addr = ip_addr_from_v4(be32(0x7f000001)), .port = (uint16_t)(4000 + i % CONNS) };
}

static struct endpoint remote_of(unsigned i)
{
	return (struct endpoint){ .addr = ip_addr_from_v4(be32(0x7f000001)), .port = (uint16_t)(5000 + i % CONNS) };
}

static void token_of(unsigned i, uint8_t ret_token[MOVE_TOKEN_BYTES])
{
	memset(ret_token, 0, MOVE_TOKEN_BYTES);
	ret_token[i % 3] = 1;
}

/* Of peer @i % PEERS */
static void conn_open(unsigned i)
{
	struct endpoint local = local_of(i), remote = remote_of(i);
	struct tcp_parcel p = { .bytes = sizeof(p), .state = TCP_ESTABLISHED, .local_port = local.port, .remote_port = remote.port,
				.rcv_nxt = 1, .rcv_acked = 1, .rcv_adv = 65536, .snd_una = 1, .snd_nxt = 1, .snd_wnd = 65535, .mss = 1000 };

	i %= CONNS;
	if (run.conn[i].v)
		return;
	memcpy(p.local, local.addr.bytes, sizeof(p.local));
	memcpy(p.remote, remote.addr.bytes, sizeof(p.remote));
	if (tcp_import(run.vj.stack, run.link[i % PEERS].stack_id, &p, sizeof(p), i + 1, &run.conn[i]))
		run.conn[i].v = 0;
}

/* What a peer may write, whole or not */
static void step_frame(void)
{
	uint8_t bytes[ETH_HDR_BYTES + sizeof(struct move_frame)] = { 0 };
	unsigned peer = next_u8() % PEERS, what = next_u8(), i = next_u8();
	struct endpoint local = local_of(i), remote = remote_of(i >> 4 ? i : i + 1);
	struct move_frame f = { .magic = MOVE_MAGIC, .kind = what % KIND_MAX, .local_port = remote.port, .remote_port = local.port, .app_id = what >> 4 };

	token_of(what >> 4, f.token);
	memcpy(f.local, remote.addr.bytes, sizeof(f.local));
	memcpy(f.remote, local.addr.bytes, sizeof(f.remote));
	f.remote[3] = i == 255;
	memcpy(bytes + ETH_HDR_BYTES, &f, sizeof(f));
	move_input(&run.link[peer], bytes, i == 254 ? ETH_HDR_BYTES : (uint32_t)sizeof(bytes));
}

static void step_program(unsigned i)
{
	struct tcp_id *c = &run.conn[i % CONNS];
	static uint8_t bytes[3000];
	size_t len;

	if (!c->v) {
		conn_open(i);
		return;
	}
	switch (next_u8() % 8) {
	case 0:
		tcp_close(run.vj.stack, *c);
		c->v = 0;
		break;
	case 1:
		tcp_abort(run.vj.stack, *c);
		c->v = 0;
		break;
	case 2:
		(void)tcp_shutdown(run.vj.stack, *c);
		break;
	case 3:
		(void)tcp_recv(run.vj.stack, *c, bytes, sizeof(bytes), false, &len);
		break;
	default:
		(void)tcp_send(run.vj.stack, *c, bytes, 1 + next_u8() * 10u, 0, &len);
	}
}

/* The other half: one arrives here, one leaves, what waits is looked at or taken */
static void step_deed(unsigned i)
{
	struct tcp_id *c = &run.conn[i % CONNS], id;
	struct vj_link *link = c->v ? move_link_of(&run.vj, *c) : NULL;
	uint8_t token[MOVE_TOKEN_BYTES];
	unsigned what = next_u8();

	token_of(what >> 4, token);
	switch (what % 8) {
	case 0:
		if (link && !tcp_hold(run.vj.stack, *c))
			move_arrived(&run.vj, link, token, what & 8 ? run.vj.now_ns : 0, *c);
		break;
	case 1:
		if (link && !tcp_hold(run.vj.stack, *c))
			move_leave(&run.vj, link, token, *c);
		if (link && (what & 8))
			(void)move_given(&run.vj, *c, token);
		break;
	case 2:
		move_transit_stay(&run.vj, token, what & 8);
		break;
	case 3:
		(void)move_transit_has_news(&run.vj, token);
		break;
	case 4: /* to another process */
		if (move_transit_take(&run.vj, token, &id))
			break;
		for (i = 0; i < CONNS; i++)
			if (run.conn[i].v == id.v)
				run.conn[i].v = 0;
		if (!tcp_is_over(run.vj.stack, id)) {
			uint8_t *buf = malloc(tcp_export_bytes(run.vj.stack, id));

			VJ_ASSERT(buf != NULL);
			tcp_export(run.vj.stack, id, buf);
			free(buf);
		}
		tcp_forget(run.vj.stack, id);
		break;
	default:
		(void)move_yielded(&run.vj, move_yield(&run.vj, &(struct endpoint){ .port = 53 }));
	}
}

static void peer_open(unsigned i)
{
	const struct link_config cfg = fake_link_config(&run.drv[i], MTU, LINK_NO_CSUM | LINK_NO_LOSS);

	run.link[i] = (struct vj_link){ .vj = &run.vj };
	run.link[i].said.end = i & 1;
	VJ_ASSERT_OP(stack_link_add(run.vj.stack, &cfg, &run.link[i].stack_id), ==, 0);
}

static void step_world(unsigned what)
{
	unsigned peer = what >> 7;

	switch (what >> 3 & 7) {
	case 0:
		move_link_gone(&run.vj, &run.link[peer]);
		stack_link_del(run.vj.stack, run.link[peer].stack_id, ECONNRESET);
		peer_open(peer);
		break;
	case 1:
		run.ours_first = !run.ours_first;
		break;
	case 2:
	case 3:
		run.vj.now_ns += next_u8() * UINT64_C(100000000);
		break;
	default:
		run.frames[peer] = what >> 3 & 3;
	}
	(void)move_deadline_us(&run.vj);
	if (run.vj.now_ns >= run.vj.move_ns)
		move_poll(&run.vj);
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

static void check(void)
{
	unsigned unsaid[PEERS] = { 0 };

	tcp_sanity_all(run.vj.stack);
	for (const struct saying *s = run.vj.moves ? run.vj.moves->sayings : NULL; s; s = s->next)
		unsaid[s->link - run.link]++;
	for (unsigned i = 0; i < PEERS; i++) {
		VJ_ASSERT_OP(unsaid[i], ==, run.link[i].unsaid);
		fake_link_drain(&run.drv[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct stack_config cfg = fake_stack_config(&run.mem);
	struct stack_event ev;

	memset(&run, 0, sizeof(run));
	run.in = data;
	run.left = len;
	run.vj.now_ns = 1;
	run.vj.links = run.links;
	run.vj.link_cnt = PEERS;
	VJ_ASSERT_OP(stack_create(&cfg, 0, &run.vj.stack), ==, 0);
	for (unsigned i = 0; i < PEERS; i++) {
		run.links[i] = &run.link[i];
		fake_link_init(&run.drv[i], MTU);
		peer_open(i);
	}
	for (unsigned i = 0; i < CONNS; i++)
		conn_open(i);
	for (unsigned i = 0; i < STEPS && run.left; i++) {
		uint8_t op = next_u8();

		if (op < 128)
			step_frame();
		else if (op < 176)
			step_program(op);
		else if (op < 216)
			step_deed(op);
		else
			step_world(next_u8());
		stack_now(run.vj.stack, run.vj.now_ns / 1000);
		stack_run(run.vj.stack);
		while (stack_events(run.vj.stack, &ev, 1))
			;
		check();
	}
	move_forget_all(&run.vj);
	stack_destroy(run.vj.stack);
	for (unsigned i = 0; i < PEERS; i++)
		fake_link_drain(&run.drv[i]);
	VJ_ASSERT_OP(run.mem.bytes, ==, (size_t)0);
	return 0;
}

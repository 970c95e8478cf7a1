// SPDX-License-Identifier: BSD-2-Clause
/*
 * moves.c - connections that go from one application to another, and those who lie about it
 *
 * As in native.c, applications live in one process and are pumped in turn. a serves, b is its client, c and d take over what
 * a and b have.
 */
#include "base/time.h"
#include "channel/sys.h"
#include "lib/move.h"
#include "lib/own_fd.h"
#include "stack/tcp_move.h"

#include "moves.h" /* behind whatever calls a parameter a */

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct vj *a, *b, *c, *d;
static struct vj_listener l;
static struct vj_conn at_a, at_b;
static unsigned left_cnt, stayed_cnt, in_kernel_cnt;

/* ---- the world ------------------------------------------------------------------------------------------------- */

static void on_leaves(uint64_t cookie, struct deed_note *ret_note)
{
	ret_note->resets = 0;
	memset(ret_note->bytes, (int)cookie, sizeof(ret_note->bytes));
	left_cnt++;
}

static void on_stays(uint64_t cookie)
{
	(void)cookie;
	stayed_cnt++;
}

static void on_pumped(uint64_t cookie)
{
	(void)cookie;
}

static bool is_waited(uint64_t cookie)
{
	(void)cookie;
	return true;
}

static void on_in_kernel(uint64_t cookie, const struct deed_note *note, int fd, enum report_why why)
{
	(void)cookie;
	(void)note;
	(void)fd;
	(void)why;
	in_kernel_cnt++;
}

struct vj *app_open(const char *name)
{
	static const struct deed_hooks hooks = { .leaves = on_leaves, .stays = on_stays, .pumped = on_pumped, .waited = is_waited,
						  .in_kernel = on_in_kernel };
	struct vj_options o = VJ_OPTIONS_INIT;
	struct vj *vj;

	o.name = name;
	o.socket_path = socket_path;
	assert_int_equal(vj_open(&o, &vj), 0);
	deed_hooks_set(vj, &hooks);
	return vj;
}

void pump(void)
{
	struct vj *all[] = { a, b, c, d };
	struct vj_event ev[16];

	for (unsigned i = 0; i < 4; i++) {
		if (!all[i])
			continue;
		all[i]->move_ns = 0; /* at once, not in a millisecond */
		vj_process(all[i]);
		deed_let_go(all[i]);
		(void)vj_events(all[i], ev, 16);
	}
}

static void connect_pair(bool v6)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *to = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = v6 ? sizeof(in6) : sizeof(in);
	struct sockaddr_storage bound;

	assert_int_equal(vj_listen(a, to, len, 16, 0, -1, 1, &l), 0);
	vj_listener_addr(a, l, &bound);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&bound, len, NULL, 0, 2, &at_b), 0);
	PUMP_UNTIL(vj_listener_ready(a, l) && (vj_ready(b, at_b) & VJ_EV_CONNECTED));
	assert_int_equal(vj_accept(a, l, 3, &at_a), 0);
}

static int setup(bool v6)
{
	a = app_open("a");
	b = app_open("b");
	c = app_open("c");
	d = app_open("d");
	left_cnt = stayed_cnt = in_kernel_cnt = 0;
	connect_pair(v6);
	return 0;
}

static int setup_v4(void **state)
{
	(void)state;
	return setup(false);
}

static int setup_v6(void **state)
{
	(void)state;
	return setup(true);
}

static int teardown(void **state)
{
	(void)state;
	vj_close(a);
	vj_close(b);
	vj_close(c);
	vj_close(d);
	return 0;
}

/* @len bytes go from one end to the other. */
static void check_way(struct vj *from, struct vj_conn out, struct vj *to, struct vj_conn in, size_t len)
{
	static uint8_t seed;
	uint8_t buf[4096];
	size_t sent = 0, got = 0;

	seed++;
	PUMP_UNTIL(({
		if (sent < len) {
			size_t n = len - sent < sizeof(buf) ? len - sent : sizeof(buf);
			ssize_t r;

			for (size_t i = 0; i < n; i++)
				buf[i] = (uint8_t)(seed + (sent + i) * 7 / 3);
			r = vj_send(from, out, buf, n, 0);
			assert_true(r > 0 || r == -EAGAIN);
			sent += r > 0 ? (size_t)r : 0;
		}
		ssize_t r = vj_recv(to, in, buf, sizeof(buf), false);

		assert_true(r > 0 || r == -EAGAIN);
		for (ssize_t i = 0; i < r; i++)
			assert_int_equal(buf[i], (uint8_t)(seed + (got + (size_t)i) * 7 / 3));
		got += r > 0 ? (size_t)r : 0;
		got == len;
	}));
}

static void check_both(struct vj *x, struct vj_conn cx, struct vj *y, struct vj_conn cy)
{
	check_way(x, cx, y, cy, 100);
	check_way(y, cy, x, cx, 100000);
}

/* Return: what deed_take() says at last. */
static int take(struct vj *vj, int answer, uint64_t cookie, struct vj_conn *ret_c)
{
	struct deed_note note;
	int r = -EAGAIN, socket = -1;

	PUMP_UNTIL((r = deed_take(vj, answer, cookie, &note, ret_c, &socket)) != -EAGAIN);
	own_fd_close(answer);
	return r;
}

static struct vj_conn claim(struct vj *vj, int token, uint64_t cookie)
{
	struct vj_conn conn;
	int answer;

	assert_int_equal(deed_claim(token, &answer), 0);
	assert_int_equal(take(vj, answer, cookie, &conn), 0);
	return conn;
}

/* ---- moves ----------------------------------------------------------------------------------------------------- */

static void there_and_back(void **state)
{
	struct deed_names names;
	struct vj_conn at_c;
	int token;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_true(deed_names(token, &names));
	check_both(a, at_a, b, at_b);
	for (int i = 0; i < 20; i++) {
		/* under way, in both directions, when it leaves */
		assert_int_equal(vj_send(b, at_b, "under way", 9, 0), 9);
		assert_int_equal(vj_send(a, at_a, "back too", 8, 0), 8);
		at_c = claim(c, token, 4);
		PUMP_UNTIL(vj_ready(c, at_c) & VJ_EV_READABLE);
		assert_int_equal(vj_recv(c, at_c, (char[16]){ 0 }, 16, false), 9);
		assert_int_equal(vj_recv(b, at_b, (char[16]){ 0 }, 16, false), 8);
		check_both(c, at_c, b, at_b);
		at_a = claim(a, token, 3);
		check_both(a, at_a, b, at_b);
	}
	assert_int_equal(left_cnt, 40);
	close(token);
}

static void both_ends_at_once(void **state)
{
	int tokens[2], answers[2], r[2], socket;
	struct vj_conn at_c, at_d;
	struct deed_note note;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &tokens[0]), 0);
	assert_int_equal(deed_make(b, at_b, 2, false, false, &tokens[1]), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(deed_claim(tokens[0], &answers[0]), 0);
		assert_int_equal(deed_claim(tokens[1], &answers[1]), 0);
		if (i % 2) { /* both MOVEs are under way before either is seen */
			struct deed *of_a = deed_of(a, (struct tcp_id){ at_a.v }), *of_b = deed_of(b, (struct tcp_id){ at_b.v });

			of_a->came_ns = of_b->came_ns = 0; /* long ago */
			a->move_ns = b->move_ns = 0;
			vj_process(a);
			vj_process(b);
			deed_let_go(a);
			deed_let_go(b);
			assert_true(of_a->state == DEED_LEAVING && of_b->state == DEED_LEAVING);
		}
		r[0] = r[1] = -EAGAIN; /* one may have to wait for the other */
		PUMP_UNTIL(({
			if (r[0] == -EAGAIN)
				r[0] = deed_take(i % 4 < 2 ? c : a, answers[0], 4, &note, &at_c, &socket);
			if (r[1] == -EAGAIN)
				r[1] = deed_take(d, answers[1], 5, &note, &at_d, &socket);
			r[0] != -EAGAIN && r[1] != -EAGAIN;
		}));
		assert_true(!r[0] && !r[1]);
		own_fd_close(answers[0]);
		own_fd_close(answers[1]);
		check_both(i % 4 < 2 ? c : a, at_c, d, at_d);
		at_b = claim(b, tokens[1], 2);
		at_a = claim(a, tokens[0], 3);
		check_both(a, at_a, b, at_b);
	}
	assert_int_equal(left_cnt - stayed_cnt, 80); /* told once, though one end has begun twice */
	close(tokens[0]);
	close(tokens[1]);
}

/* Who asked is gone when the answer comes: it stays, and the next one gets it. */
static void claimer_vanishes(void **state)
{
	int token, answer;
	struct vj_conn at_c;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_int_equal(deed_claim(token, &answer), 0);
	own_fd_close(answer);
	PUMP_UNTIL(stayed_cnt == 1);
	check_both(a, at_a, b, at_b);
	at_c = claim(c, token, 4);
	check_both(c, at_c, b, at_b);
	close(token);
}

/* It had it, and was killed before it could say so: the holder has it again, for whoever claims it next. */
static void claimer_killed(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct vj_conn at_c;
	int token;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(deed_claim(token, &pfd.fd), 0);
		PUMP_UNTIL(poll(&pfd, 1, 0) == 1);
		own_fd_close(pfd.fd);
	}
	at_c = claim(c, token, 5);
	check_both(c, at_c, b, at_b);
	vj_conn_close(b, at_b);
	PUMP_UNTIL(vj_ready(c, at_c) & VJ_EV_EOF);
	close(token);
}

/* Its peer resets it before it has seen that it is to move: who takes it asks vjd for nobody, and keeps what he has there. */
static void peer_resets_meanwhile(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct vj_listener at_vjd;
	struct vj_conn at_c;
	int token, answer;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_int_equal(deed_claim(token, &answer), 0);
	a->move_ns = 0;
	vj_process(a);
	deed_let_go(a); /* b is asked */
	assert_true(deed_is_leaving(a, (struct tcp_id){ at_a.v }));
	vj_conn_abort(b, at_b);
	link_publish_all(b);
	assert_int_equal(take(c, answer, 4, &at_c), 0);
	assert_true(vj_ready(c, at_c) & VJ_EV_ERROR);
	assert_int_equal(vj_listen(c, (struct sockaddr *)&in, sizeof(in), 16, 0, -1, 1, &at_vjd), 0);
	close(token);
}

/* The peer says that it has left while vjd is away: it is known by the number that it had, and found by its process. */
static void moves_without_vjd(void **state)
{
	struct vj_conn at_c;
	int token, answer;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	vjd_kill(SIGKILL);
	PUMP_UNTIL(!b->ctl);
	assert_int_equal(deed_claim(token, &answer), 0);
	for (int i = 0; i < 20; i++)
		pump();
	vjd_start();
	while (!a->ctl || !c->ctl || !d->ctl) {
		vj_process(a);
		vj_process(c);
		vj_process(d);
	}
	PUMP_UNTIL(b->ctl); /* the last of this process is who is found by it */
	assert_int_equal(take(c, answer, 4, &at_c), 0);
	check_both(c, at_c, b, at_b);
	close(token);
}

/*
 * Its peer resets it and connects anew, from the same port to the same address, and that one moves, too, before who has the first one has looked
 * what came.
 */
static void same_addresses_again(void **state)
{
	struct vj_conn first, at_c = { 0 };
	struct sockaddr_storage local, remote;
	struct deed_note note;
	int token, answer, socket, r = -EAGAIN;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	first = claim(c, token, 4);
	check_both(c, first, b, at_b);
	close(token);
	vj_conn_addrs(b, at_b, &local, &remote);
	vj_conn_abort(b, at_b);
	assert_int_equal(vj_connect(b, (struct sockaddr *)&remote, sizeof(remote), (struct sockaddr *)&local, sizeof(local), 2, &at_b), 0);
	for (int i = 0; i < 100 && vj_accept(a, l, 3, &at_a); i++) {
		vj_process(b);
		vj_process(a);
	}
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_int_equal(deed_claim(token, &answer), 0);
	for (int i = 0; i < 1000 && r == -EAGAIN; i++) {
		a->move_ns = 0;
		vj_process(a);
		deed_let_go(a);
		vj_process(b);
		r = deed_take(c, answer, 5, &note, &at_c, &socket);
	}
	assert_int_equal(r, 0);
	own_fd_close(answer);
	check_both(c, at_c, b, at_b);
	close(token);
}

/* Two share an endpoint, each behind a channel of its own. More connections than a block has ports: none begins at the same port as another. */
static void no_port_twice(void **state)
{
	enum { CONNS = 600 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static bool used[65536];
	struct vj_listener at[2];
	struct sockaddr_storage bound, local;
	struct vj_conn conn;

	(void)state;
	memset(used, 0, sizeof(used));
	assert_int_equal(vj_listen(c, (struct sockaddr *)&in, sizeof(in), CONNS, VJ_LISTEN_REUSEPORT, -1, 5, &at[0]), 0);
	vj_listener_addr(c, at[0], &bound);
	assert_int_equal(vj_listen(d, (struct sockaddr *)&bound, sizeof(in), CONNS, VJ_LISTEN_REUSEPORT, -1, 5, &at[1]), 0);
	for (int i = 0; i < CONNS; i++) {
		uint16_t port;

		assert_int_equal(vj_connect(b, (struct sockaddr *)&bound, sizeof(in), NULL, 0, 6, &conn), 0);
		vj_conn_addrs(b, conn, &local, NULL);
		port = ((struct sockaddr_in *)&local)->sin_port;
		assert_false(used[port]);
		used[port] = true;
		pump();
	}
	assert_true(vj_listener_ready(c, at[0]) && vj_listener_ready(d, at[1]));
}

/* A connection of an application with itself, which another one had meanwhile */
static void with_itself(void **state)
{
	struct vj_conn out, in, at_c;
	struct sockaddr_storage bound;
	int token;

	(void)state;
	vj_listener_addr(a, l, &bound);
	assert_int_equal(vj_connect(a, (struct sockaddr *)&bound, sizeof(bound), NULL, 0, 2, &out), 0);
	PUMP_UNTIL(vj_listener_ready(a, l) && (vj_ready(a, out) & VJ_EV_CONNECTED));
	assert_int_equal(vj_accept(a, l, 4, &in), 0);
	for (int i = 0; i < 2; i++) {
		struct vj_conn *moved = i ? &in : &out, stays = i ? out : in;

		assert_int_equal(deed_make(a, *moved, 5, false, false, &token), 0);
		at_c = claim(c, token, 6);
		check_both(c, at_c, a, stays);
		*moved = claim(a, token, 7);
		check_both(a, *moved, a, stays);
		close(token);
	}
}

void look_until_left(struct deed *deed)
{
	deed->again_ns = UINT64_MAX; /* no further */
	PUMP_UNTIL(deed->state == DEED_LEFT);
}

/* ---- kept ------------------------------------------------------------------------------------------------------ */

/* Not a deed, but something with a descriptor */
static int eventfd_or_socket(int nr)
{
	return nr % 2 ? sys_eventfd(0, 0) : sys_socket(AF_UNIX, SOCK_STREAM, 0);
}

/* By who gave it: he has it again. */
static void called_off(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct deed_msg msg = { .magic = DEED_MAGIC, .kind = i / 2 ? DEED_WATCHED : DEED_PARCEL };
		int fds[] = { eventfd_or_socket(0), memfd_create("parcel", 0) }, pair[2];

		assert_int_equal(deed_pair(SOCK_SEQPACKET, pair), 0);
		assert_int_equal(deed_msg_send(pair[0], &msg, fds, 2), 0);
		if (i % 2)
			assert_int_equal(send(pair[0], "", 1, 0), 1);
		deed_keep(b, own_fd(pair[1]));
		assert_true(deed_any(b) == !(i % 2));
		if (deed_any(b))
			deed_free(b, b->deeds->all);
		close(pair[0]);
		close(fds[0]);
		close(fds[1]);
	}
	(void)state;
}

/* The holder goes; the peer keeps it for who comes, over a restart of vjd, too. */
static void kept_by_the_peer(void **state)
{
	struct vj_conn at_c;
	char buf[32];
	size_t got = 0;
	uint64_t run;
	int token;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_int_equal(vj_send(a, at_a, "last words", 10, 0), 10);
	assert_int_equal(vj_send(b, at_b, "unread", 6, 0), 6);
	PUMP_UNTIL(vj_ready(a, at_a) & VJ_EV_READABLE);
	for (int i = 0; i < 2000 && !left_cnt; i++) {
		deed_leave_all(a, true, 1); /* b has to do its part, and lives in the same process */
		pump();
	}
	PUMP_UNTIL(!deed_busy(a));
	vj_close(a);
	a = NULL;
	PUMP_UNTIL(vj_ready(b, at_b) & VJ_EV_READABLE);
	assert_int_equal(vj_recv(b, at_b, (char[16]){ 0 }, 16, false), 10);
	assert_int_equal(vj_send(b, at_b, " and more", 9, 0), 9);
	run = c->ctl_run;
	vjd_kill(SIGKILL);
	vjd_start();
	PUMP_UNTIL(b->ctl && c->ctl && b->ctl_run != run && c->ctl_run != run);
	at_c = claim(c, token, 4);
	/* what had waited for long while it was kept is in the token */
	PUMP_UNTIL(({
		ssize_t n = recv(token, buf + got, sizeof(buf) - got, MSG_DONTWAIT);

		if (n <= 0)
			n = vj_recv(c, at_c, buf + got, sizeof(buf) - got, false);
		got += n > 0 ? (size_t)n : 0;
		got == 15;
	}));
	assert_memory_equal(buf, "unread and more", 15);
	check_both(c, at_c, b, at_b);
	close(token);
}

/* vjd doesn't answer for a while, and passes it on then. */
static void kept_for_nobody(void **state)
{
	int token;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_false(kill(vjd_pid, SIGSTOP));
	for (int i = 0; i < 3; i++) {
		deed_leave_all(a, true, 1);
		pump();
	}
	assert_false(kill(vjd_pid, SIGCONT));
	PUMP_UNTIL(!deed_busy(a));
	vj_close(a);
	a = NULL;
	close(token);
	PUMP_UNTIL(vj_ready(b, at_b) & VJ_EV_EOF);
	assert_int_equal(vj_recv(b, at_b, (char[16]){ 0 }, 16, false), 0);
}

static void last_copy_ends_it(void **state)
{
	const struct deed_note note = { .resets = 0 };
	int token, copy;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	copy = dup(token);
	deed_close(a, at_a, &note);
	close(token);
	for (int i = 0; i < 1000; i++)
		pump();
	assert_false(vj_ready(b, at_b) & VJ_EV_EOF);
	close(copy);
	PUMP_UNTIL(vj_ready(b, at_b) & VJ_EV_EOF);
}

static void holder_killed(void **state)
{
	int token, answer;
	struct vj_conn none;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_int_equal(deed_claim(token, &answer), 0);
	vj_close(a); /* what a death looks like from outside */
	a = NULL;
	assert_int_equal(take(c, answer, 4, &none), -ECONNRESET);
	assert_int_equal(deed_claim(token, &answer), -ECONNRESET);
	PUMP_UNTIL(vj_ready(b, at_b) & VJ_EV_ERROR);
	close(token);
}

/* It had asked its peer, and given it to nobody. */
static void holder_killed_leaving(void **state)
{
	int token, answer;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	assert_int_equal(deed_claim(token, &answer), 0);
	look_until_left(deed_of(a, (struct tcp_id){ at_a.v }));
	vj_close(a);
	a = NULL;
	PUMP_UNTIL(!b->link_cnt);
	assert_true(move_deadline_us(b) <= lib_clock_ns() / 1000 + 1);
	PUMP_UNTIL(vj_ready(b, at_b) & VJ_EV_ERROR);
	own_fd_close(answer);
	close(token);
}

/* ---- lies ------------------------------------------------------------------------------------------------------ */

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11);
}

static struct vj_link *link_between(struct vj *from)
{
	assert_int_equal(from->link_cnt, 1);
	return from->links[0];
}

static void frame_put(struct vj *from, const struct move_frame *f, uint32_t cut)
{
	uint8_t bytes[14 + sizeof(*f) + 64] = { 0 };
	struct vj_link *link = link_between(from);

	memcpy(bytes, link->said.peer_mac, 6);
	memcpy(bytes + 6, link->mac, 6);
	bytes[12] = 0x88;
	bytes[13] = 0xb5;
	memcpy(bytes + 14, f, sizeof(*f));
	PUMP_UNTIL(link_send(link, bytes, cut));
	link_publish_all(from);
}

static struct move_frame frame_of_conn(struct vj *vj, struct vj_conn conn, uint32_t kind)
{
	struct move_frame f = { .magic = MOVE_MAGIC, .kind = kind };
	struct endpoint local, remote;

	tcp_endpoints(vj->stack, (struct tcp_id){ conn.v }, &local, &remote);
	memcpy(f.local, local.addr.bytes, 16);
	memcpy(f.remote, remote.addr.bytes, 16);
	f.local_port = local.port;
	f.remote_port = remote.port;
	for (unsigned i = 0; i < sizeof(f.token); i++)
		f.token[i] = (uint8_t)rnd();
	return f;
}

/* Return: a socket of the kernel's that listens at the address of that end */
static int kernel_listens_at(struct vj *vj, struct vj_conn conn)
{
	struct sockaddr_storage at;
	struct endpoint local, remote;
	int fd, on = 1;

	tcp_endpoints(vj->stack, (struct tcp_id){ conn.v }, &local, &remote);
	addr_to_sockaddr(&local, &at);
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_false(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	assert_false(bind(fd, (struct sockaddr *)&at, sizeof(struct sockaddr_in6)));
	assert_false(listen(fd, 8));
	return fd;
}

/* A client sends the server, which did not ask for it, to whoever listens where the client was: it stays where it is, and is reset. */
static void forged_queue(void **state)
{
	int fd = kernel_listens_at(b, at_b);

	(void)state;
	vj_conn_cookie(b, at_b, 0);
	deed_offer_one(b, (struct tcp_id){ at_b.v }, DEED_OFFER_QUEUE);
	PUMP_UNTIL(vj_ready(a, at_a) & VJ_EV_ERROR);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(in_kernel_cnt, 0);
	close(fd);
}

/* b takes its own connection off the channel, and comes back with another token, and then with the right one. */
static void forged_tokens(void **state)
{
	struct move_frame move = frame_of_conn(b, at_b, MOVE_LEAVE), arrived;
	struct tcp_id id = { at_b.v };

	(void)state;
	assert_int_equal(vj_send(a, at_a, "x", 1, 0), 1);
	frame_put(b, &move, 14 + sizeof(move));
	PUMP_UNTIL(!move_link_of(a, (struct tcp_id){ at_a.v }));
	assert_int_equal(vj_send(a, at_a, "y", 1, 0), 1); /* a's program writes on */
	arrived = move;
	arrived.kind = MOVE_ARRIVED;
	arrived.token[5] ^= 1;
	frame_put(b, &arrived, 14 + sizeof(move));
	for (int i = 0; i < 100; i++)
		pump();
	assert_null(move_link_of(a, (struct tcp_id){ at_a.v }));
	/* the answer to that was that b's is gone, and b believes it */
	assert_true(tcp_is_over(b->stack, id));
	arrived.token[5] ^= 1;
	frame_put(b, &arrived, 14 + sizeof(move));
	PUMP_UNTIL(vj_ready(a, at_a) & VJ_EV_ERROR); /* there is nobody to talk to */
	vj_conn_close(b, at_b);
	vj_close(a);
	a = NULL;
}

/* Anything at all in such frames: a lives, and so do its connections with others. */
static void forged_frames(void **state)
{
	struct vj_conn at_c, from_c;
	struct sockaddr_storage bound;

	(void)state;
	vj_listener_addr(a, l, &bound);
	assert_int_equal(vj_connect(c, (struct sockaddr *)&bound, sizeof(bound), NULL, 0, 2, &at_c), 0);
	PUMP_UNTIL(vj_listener_ready(a, l));
	assert_int_equal(vj_accept(a, l, 4, &from_c), 0);
	for (unsigned i = 0; i < 20000; i++) {
		/* of the link's own connection, of the other link's, of none */
		struct move_frame f = rnd() % 4 ? frame_of_conn(c, at_c, rnd() % 8) : frame_of_conn(b, at_b, rnd() % 8);
		uint8_t *bytes = (uint8_t *)&f;
		uint32_t cut = rnd() % 8 ? 14 + sizeof(f) : 14 + rnd() % (uint32_t)(sizeof(f) + 64);

		if (tcp_is_over(b->stack, (struct tcp_id){ at_b.v }))
			f.kind = rnd() % 8;
		for (uint32_t n = rnd() % 4; n; n--)
			bytes[rnd() % sizeof(f)] ^= (uint8_t)rnd();
		frame_put(b, &f, cut);
		if (i % 16 == 0)
			pump();
	}
	check_both(a, from_c, c, at_c);
}

/* One message, with descriptors, which are closed here */
static void send_with_fds(int fd, const void *bytes, size_t len, const int *fds, unsigned cnt)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(cnt * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(cnt * sizeof(int)) };

	memcpy(CMSG_DATA(&control.head), fds, cnt * sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), (ssize_t)len);
	while (cnt--)
		close(fds[cnt]);
}

/* What is put into a token is no claim; what is no parcel does not open. */
static void forged_messages(void **state)
{
	struct vj_conn conn;
	size_t sent, got = 0;
	int token, pair[2];
	uint8_t bytes[256];

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, true, &token), 0);
	/* what has a descriptor with it is a message */
	for (int i = 0; i < 500; i++) {
		int fds[] = { eventfd_or_socket(i) };

		for (unsigned n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)rnd();
		if (i & 1)
			memcpy(bytes, &(uint32_t){ 0x64656564 }, 4);
		send_with_fds(token, bytes, i % 3 ? 64 : 1 + rnd() % 64, fds, 1);
		if (i % 20 == 0)
			pump();
	}
	check_both(a, at_a, b, at_b);
	/* without one it is data, and more than the peer has room for waits */
	for (sent = 0; sent < 8000000;) {
		ssize_t n = write(token, bytes + 4, sizeof(bytes) - 4);

		pump();
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	assert_true(sent > 200000 && sent < 8000000); /* its send buffer grows while the window stays shut */
	PUMP_UNTIL(({
		uint8_t buf[4096];
		ssize_t n = vj_recv(b, at_b, buf, sizeof(buf), false);

		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], bytes[4 + (got + (size_t)i) % (sizeof(bytes) - 4)]);
		got += n > 0 ? (size_t)n : 0;
		got == sent;
	}));
	at_a = claim(a, token, 3);
	check_both(a, at_a, b, at_b);

	for (int i = 0; i < 200; i++) {
		uint32_t head[16] = { 0x64656564, 2 };
		int fds[2] = { eventfd_or_socket(i), memfd_create("x", 0) };

		for (unsigned n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)rnd();
		assert_true(write(fds[1], bytes, rnd() % sizeof(bytes)) >= 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		send_with_fds(pair[0], head, sizeof(head), fds, 2);
		close(pair[0]);
		assert_int_equal(take(c, own_fd(pair[1]), 9, &conn), -ECONNRESET);
	}
	close(token);
}

/* shutdown() in both directions comes behind what others have written, which waits for room at the peer. */
static void shut_behind_others(void **state)
{
	static uint8_t bytes[50000];
	ssize_t n = -EAGAIN;
	int token;

	(void)state;
	assert_int_equal(deed_make(a, at_a, 3, false, false, &token), 0);
	PUMP_UNTIL(({
		(void)send(token, bytes, sizeof(bytes), MSG_DONTWAIT);
		pump();
		deed_of(a, (struct tcp_id){ at_a.v })->raw != NULL;
	}));
	assert_int_equal(deed_shutdown(a, at_a), 0);
	deed_shut_read(a, at_a);
	PUMP_UNTIL((n = vj_recv(b, at_b, bytes, sizeof(bytes), false)) == 0);
	assert_int_equal(vj_send(b, at_b, "nobody reads it", 15, 0), 15);
	PUMP_UNTIL(vj_ready(b, at_b) & VJ_EV_ERROR);
	assert_int_equal(vj_error(b, at_b, true), EPIPE);
	close(token);
}

#define ONCE(fn) cmocka_unit_test_setup_teardown(fn, setup_v4, teardown)
#define BOTH(fn)                                                                \
	cmocka_unit_test_setup_teardown(fn, setup_v4, teardown),                \
		{ #fn " (IPv6)", fn, setup_v6, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(there_and_back), BOTH(both_ends_at_once), BOTH(claimer_vanishes), BOTH(claimer_killed), BOTH(kept_by_the_peer),
		BOTH(peer_resets_meanwhile), BOTH(moves_without_vjd), BOTH(same_addresses_again), ONCE(no_port_twice),
		BOTH(kept_for_nobody), BOTH(last_copy_ends_it), BOTH(holder_killed), BOTH(holder_killed_leaving), BOTH(forged_tokens),
		BOTH(forged_frames), BOTH(forged_messages), BOTH(forged_queue), BOTH(shut_behind_others),
		BOTH(with_itself), ONCE(offered_in_vain), ONCE(offered_by_nobody), ONCE(offered_by_the_stopped), ONCE(offered_by_the_dead), ONCE(arrives_too_late), ONCE(arrives_unseen),
		ONCE(another_clock), ONCE(called_off),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (!vjd_begin())
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	vjd_end();
	return failed;
}

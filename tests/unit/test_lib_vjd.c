// SPDX-License-Identifier: BSD-2-Clause
/*
 * The library at a vjd of ours, that counts what it is asked and says what a real one says seldom: what is remembered of the
 * answers, and of the interfaces that are offered.
 */
#include "channel/sys.h"
#include "control/packet.h"
#include "lib/priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

struct fake {
	char dir[32], path[64];
	int listener;
	pthread_t thread;
	_Atomic int fd;		     /* of the application */
	_Atomic unsigned hellos, asked; /* HELLO, CONNECT so far */
	_Atomic unsigned wanted;     /* INTERFACE so far */
	_Atomic uint32_t late;	     /* the last one that was not answered */
	_Atomic bool slow;	     /* INTERFACE is not answered */
	_Atomic bool silent;	     /* nor CONNECT and LEASE; @late, too */
	_Atomic unsigned leased, released; /* so far */
	_Atomic uint32_t refusal;    /* the answer to CONNECT */
};

static struct fake fake;
static struct vj *app;

/* ---- vjd ------------------------------------------------------------------------------------------------------- */

static void say(const struct ctl_msg *msg)
{
	struct ctl_packet p;

	ctl_packet_send(&p, msg, NULL, 0);
	if (sendmsg(fake.fd, &p.hdr, MSG_NOSIGNAL) < 0)
		abort();
}

static void refuse(uint32_t seq, enum ctl_type type, uint32_t refusal)
{
	struct ctl_msg msg = { .type = CTL_REFUSED, .seq = seq };

	msg.refused = (struct ctl_refused){ .refusal = refusal, .request = (uint32_t)type, .version = CTL_VERSION };
	say(&msg);
}

static void answer(const struct ctl_msg *req)
{
	struct ctl_msg msg = { .seq = req->seq };

	switch (req->type) {
	case CTL_HELLO:
		msg.type = CTL_WELCOME;
		msg.welcome = (struct ctl_welcome){ .version = CTL_VERSION, .app_id = 1, .mac = { 2 }, .run = ++fake.hellos };
		break;
	case CTL_CONNECT:
		fake.late = req->seq;
		fake.asked++;
		if (!fake.silent)
			refuse(req->seq, CTL_CONNECT, fake.refusal);
		return;
	case CTL_INTERFACE:
		fake.wanted++;
		if (fake.slow)
			fake.late = req->seq;
		else
			refuse(req->seq, CTL_INTERFACE, CTL_REFUSAL_POLICY);
		return;
	case CTL_LEASE:
		fake.late = req->seq;
		fake.leased++;
		if (fake.silent)
			return;
		msg.type = CTL_LEASED;
		msg.lease = req->lease;
		msg.lease.id = 1;
		break;
	case CTL_RELEASE:
		fake.released++;
		if (fake.silent)
			return;
		msg.type = CTL_RELEASED;
		msg.lease = req->lease;
		msg.lease.local = (struct ctl_endpoint){ .proto = CTL_PROTO_TCP, .port = 1 };
		break;
	default:
		abort();
	}
	say(&msg);
}

static void *fake_main(void *arg)
{
	int fds[CTL_PACKET_FDS_ROOM];
	struct ctl_packet p;
	struct ctl_msg msg;
	unsigned fd_cnt;
	ssize_t n;

	(void)arg;
	for (;;) {
		int fd = accept(fake.listener, NULL, NULL);

		if (fd < 0)
			break;
		fake.fd = fd;
		for (;;) {
			ctl_packet_recv(&p);
			n = recvmsg(fd, &p.hdr, 0);
			if (n <= 0)
				break;
			if (ctl_packet_check(&p, (size_t)n, CTL_FROM_CLIENT, &msg, fds, &fd_cnt) != CTL_REFUSAL_NONE)
				abort();
			while (fd_cnt)
				close(fds[--fd_cnt]);
			answer(&msg);
		}
		close(fd);
	}
	return NULL;
}

static int setup(void **state)
{
	struct vj_options o = VJ_OPTIONS_INIT;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)state;
	fake = (struct fake){ .dir = "/tmp/vj-fake-XXXXXX", .refusal = CTL_REFUSAL_NO_OWNER };
	assert_non_null(mkdtemp(fake.dir));
	snprintf(fake.path, sizeof(fake.path), "%s/vjd.sock", fake.dir);
	memcpy(sun.sun_path, fake.path, sizeof(fake.path));
	fake.listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(fake.listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fake.listener, 4), 0);
	assert_int_equal(pthread_create(&fake.thread, NULL, fake_main, NULL), 0);
	o.socket_path = fake.path;
	assert_int_equal(vj_open(&o, &app), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vj_close(app);
	shutdown(fake.listener, SHUT_RDWR);
	pthread_join(fake.thread, NULL);
	close(fake.listener);
	unlink(fake.path);
	rmdir(fake.dir);
	return 0;
}

/* ---- nobody is there ------------------------------------------------------------------------------------------- */

static struct sockaddr_storage address(int family, uint16_t port)
{
	struct sockaddr_storage ss = { 0 };

	if (family == AF_INET)
		*(struct sockaddr_in *)&ss = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
		};
	else
		*(struct sockaddr_in6 *)&ss = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback
		};
	return ss;
}

/* How often is vjd asked when somebody tries @cnt times to reach @port? */
static unsigned asks(unsigned cnt, int family, uint16_t port, int err)
{
	struct sockaddr_storage to = address(family, port);
	unsigned before = fake.asked;

	for (unsigned i = 0; i < cnt; i++)
		assert_int_equal(vj_udp_reach(app, (struct sockaddr *)&to, sizeof(to)), err);
	return fake.asked - before;
}

/* As if it were so long ago. */
static void time_passes(uint64_t ms)
{
	for (unsigned i = 0; i < ROUTE_CNT; i++)
		app->routes[i].asked_ns -= ms * MS;
}

/* The same within moments; where that takes this machine too long it proves nothing, and is done again. */
static void check_remembered(int family, uint16_t port, int err)
{
	uint64_t begin_ns;
	unsigned asked;

	do {
		begin_ns = lib_clock_ns();
		asked = asks(4, family, port, err);
		asked = asks(100, family, port, err);
	} while (lib_clock_ns() - begin_ns > 40 * MS);
	assert_int_equal(asked, 0);
}

static void check_misses(int family, int err)
{
	struct ctl_msg gone = { .type = CTL_LEASE_GONE };
	struct sockaddr_storage at = address(family, 0), to = address(family, 4000);
	struct vj_listener l;
	unsigned before;

	assert_int_equal(asks(4, family, 4000, err), 4); /* a server that has just been started is to be found */
	check_remembered(family, 4000, err);
	before = fake.asked; /* of this endpoint, and of no other */
	assert_int_equal(vj_connect(app, (struct sockaddr *)&to, sizeof(to), NULL, 0, 1, &(struct vj_conn){ 0 }), err);
	assert_int_equal(fake.asked - before, 1);
	assert_int_equal(asks(1, family, 4001, err), 1);

	check_remembered(family, 4002, err);
	time_passes(50);
	assert_int_equal(asks(1, family, 4002, err), 1); /* whoever came since then is found */
	check_remembered(family, 4002, err);
	time_passes(100);
	assert_int_equal(asks(4, family, 4002, err), 4); /* it begins anew */

	check_remembered(family, 4003, err);
	gone.lease = (struct ctl_lease){ .id = 5, .local = { .proto = CTL_PROTO_TCP, .port = 1 } };
	say(&gone);
	app->ctl_next_ns = 0;
	vj_process(app);
	assert_int_equal(asks(1, family, 4003, err), 1);

	check_remembered(family, 4003, err);
	assert_int_equal(vj_listen(app, (struct sockaddr *)&at, sizeof(at), 1, 0, -1, 1, &l), 0);
	assert_int_equal(asks(1, family, 4003, err), 1); /* it may be ours */
	vj_unlisten(app, l);
}

static void misses(void **state)
{
	(void)state;
	check_misses(AF_INET, -EHOSTUNREACH);
	check_misses(AF_INET6, -EHOSTUNREACH);
}

static void refusals(void **state)
{
	(void)state;
	fake.refusal = CTL_REFUSAL_OTHER_USER;
	check_misses(AF_INET, -EACCES);
	check_misses(AF_INET6, -EACCES);
}

/* What vjd lacks for a moment says nothing of the endpoint. */
static void shortages(void **state)
{
	(void)state;
	fake.refusal = CTL_REFUSAL_RESOURCES;
	assert_int_equal(asks(20, AF_INET, 4000, -ENOMEM), 20);
}

/* ---- offers ---------------------------------------------------------------------------------------------------- */

static void news(uint32_t ifindex, uint32_t flags, uint32_t mtu)
{
	struct ctl_msg msg = { .type = CTL_INTERFACE_NEWS };

	msg.interface.ifindex = ifindex;
	msg.interface.flags = flags;
	msg.interface.mtu = mtu;
	say(&msg);
	app->ctl_next_ns = 0;
	vj_process(app);
}

/* Whatever else vjd says of an interface, it is one; and when it is gone, none of it is left. */
static void offers(void **state)
{
	(void)state;
	assert_false(vj_has_interface(app));
	news(7, 0, 1500);
	assert_true(vj_has_interface(app));
	for (uint32_t i = 0; i < 2 * OFFERED_MAX; i++)
		news(7, 0, 1400 + i);
	news(8, 0, 1500);
	news(7, CTL_INTERFACE_GONE, 1500);
	assert_true(vj_has_interface(app));
	news(8, CTL_INTERFACE_GONE, 1500);
	assert_false(vj_has_interface(app));
	for (uint32_t i = 0; i < 2 * OFFERED_MAX; i++)
		news(10 + i, 0, 1500); /* too many */
	for (uint32_t i = 0; i < 2 * OFFERED_MAX; i++)
		news(10 + i, CTL_INTERFACE_GONE, 1500);
	assert_false(vj_has_interface(app));
}

/*
 * A vjd that takes too long to make a channel has not said that nobody is there. It is waited for once; then connections are
 * the kernel's, at once, and it is not asked a second time before it has answered.
 */
static void slow_offers(void **state)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(4000), .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(4000), .sin6_addr.s6_addr = { 0x20, 1, 0xd, 0xb8 } };
	struct vj_conn c;

	(void)state;
	fake.slow = true;
	news(7, 0, 1500);
	ctl_client_timeout_set(app->ctl, 100);
	for (unsigned i = 0; i < 6; i++) {
		if (i % 2)
			assert_int_equal(vj_connect(app, (struct sockaddr *)&v6, sizeof(v6), NULL, 0, 1, &c), -ETIMEDOUT);
		else
			assert_int_equal(vj_connect(app, (struct sockaddr *)&v4, sizeof(v4), NULL, 0, 1, &c), -ETIMEDOUT);
		ctl_client_timeout_set(app->ctl, CTL_CLIENT_TIMEOUT_MS);
	}
	assert_int_equal(fake.wanted, 1);
	assert_int_equal(fake.asked, 6); /* somebody of this host may have come */
	news(8, 0, 1500);
	assert_int_equal(fake.wanted, 1);
	assert_true(vj_has_interface(app));

	fake.slow = false;
	refuse(fake.late, CTL_INTERFACE, CTL_REFUSAL_POLICY); /* too late for who asked: they are asked for again, both */
	do {
		app->ctl_next_ns = 0;
		vj_process(app);
	} while (fake.wanted < 3);
	assert_false(vj_has_interface(app));
	assert_int_equal(vj_connect(app, (struct sockaddr *)&v4, sizeof(v4), NULL, 0, 1, &c), -EHOSTUNREACH);
	assert_int_equal(vj_connect(app, (struct sockaddr *)&v6, sizeof(v6), NULL, 0, 1, &c), -EHOSTUNREACH);
	assert_int_equal(fake.wanted, 3);
}

/* A new vjd may offer others. */
static void offers_of_the_dead(void **state)
{
	(void)state;
	news(7, 0, 1500);
	assert_true(vj_has_interface(app));
	shutdown(fake.fd, SHUT_RDWR);
	while (fake.hellos < 2) {
		app->ctl_next_ns = 0;
		vj_process(app);
	}
	assert_non_null(app->ctl);
	assert_false(vj_has_interface(app));
}

static uint64_t clock_ms(void)
{
	return sys_clock_ns() / MS;
}

/* One that has stopped is waited for once; what it said at last is undone, and then it is asked as before. */
static void silent(void **state)
{
	struct sockaddr_storage a = address(AF_INET, 4000), b = address(AF_INET6, 4001);
	uint64_t begun_ms = clock_ms();
	struct vj_listener l;
	struct vj_conn c;

	(void)state;
	fake.silent = true;
	assert_int_equal(vj_connect(app, (struct sockaddr *)&a, sizeof(a), NULL, 0, 1, &c), -ETIMEDOUT);
	assert_true(clock_ms() - begun_ms >= CTL_CLIENT_TIMEOUT_MS);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(vj_connect(app, (struct sockaddr *)(i % 2 ? &a : &b), sizeof(a), NULL, 0, 1, &c), -ETIMEDOUT);
		assert_int_equal(vj_listen(app, (struct sockaddr *)&b, sizeof(b), 1, 0, -1, 1, &l), -ETIMEDOUT);
	}
	assert_int_equal(fake.asked, 1);
	assert_int_equal(fake.leased, 0);
	fake.silent = false;
	refuse(fake.late, CTL_CONNECT, CTL_REFUSAL_NO_OWNER);
	assert_int_equal(vj_connect(app, (struct sockaddr *)&a, sizeof(a), NULL, 0, 1, &c), -EHOSTUNREACH);
	assert_int_equal(fake.asked, 2);
	assert_int_equal(vj_listen(app, (struct sockaddr *)&b, sizeof(b), 1, 0, -1, 1, &l), 0);
	vj_unlisten(app, l);
}

static void look_again(void)
{
	app->ctl_next_ns = 0;
	vj_process(app);
	usleep(1000);
}

/* A port that a vjd which was restarted, or slow, has not given back comes by itself, later; also to a program that only sleeps. */
static void late_leases(void **state)
{
	struct sockaddr_storage a = address(AF_INET, 0);
	struct ctl_msg late = { .type = CTL_LEASED };
	struct vj_listener l;
	int64_t timeout_ns;

	(void)state;
	assert_int_equal(vj_listen(app, (struct sockaddr *)&a, sizeof(a), 1, 0, -1, 1, &l), 0);
	assert_int_equal(fake.leased, 1);
	fake.silent = true;
	shutdown(fake.fd, SHUT_RDWR);
	while (fake.leased < 2) /* said anew to the next vjd, and not answered */
		look_again();
	assert_non_null(app->ctl);
	assert_int_equal(app->leases[0].id, 0);
	while (app->ctl_pause.s < 4) /* and not asked for again as long as vjd owes that */
		look_again();
	assert_int_equal(fake.leased, 2);
	app->ctl_next_ns = sys_clock_ns();
	assert_true(vj_arm(app, &timeout_ns));
	assert_in_range(timeout_ns, 0, 4 * 1000 * MS);
	vj_disarm(app);
	fake.silent = false;
	late.seq = fake.late;
	late.lease = (struct ctl_lease){ .id = 7, .local = { .proto = CTL_PROTO_TCP, .port = app->leases[0].local.port } };
	late.lease.local.addr[10] = late.lease.local.addr[11] = 0xff;
	say(&late);
	while (!app->leases[0].id)
		look_again();
	assert_int_equal(app->leases[0].id, 1);
	assert_int_equal(fake.leased, 3);
	assert_int_equal(fake.released, 1); /* the one that came too late */
	assert_int_equal(app->ctl_pause.s, 0);
	vj_unlisten(app, l);
}

int main(void)
{
#define FAKE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		FAKE_TEST(misses), FAKE_TEST(refusals), FAKE_TEST(shortages), FAKE_TEST(offers), FAKE_TEST(slow_offers),
		FAKE_TEST(offers_of_the_dead), FAKE_TEST(silent), FAKE_TEST(late_leases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

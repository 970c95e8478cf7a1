// SPDX-License-Identifier: BSD-2-Clause
/* What vjd's board is taken to say (lib/board.c), and for how long. The test is vjd. */
#include "base/time.h"
#include "channel/sys.h"
#include "lib/board.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PORT = 4711, LOOKS = 16, KEPT_MS = 100, SAID_MS = 10 };

static char dir[32], socket_path[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/vj-board-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/vjd.sock", dir);
	snprintf(path, sizeof(path), "%s%s", socket_path, BOARD_SUFFIX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void put(int fd, const void *bytes, size_t len, size_t at)
{
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), (ssize_t)len);
}

/* A vjd begins, in the place of another one perhaps. */
static void board_new(const struct board_head *head, uint32_t owner)
{
	char begun[128];
	int fd;

	snprintf(begun, sizeof(begun), "%s.new", path);
	fd = open(begun, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(struct board)), 0);
	put(fd, head, sizeof(*head), 0);
	put(fd, &owner, sizeof(owner), board_owner_at(false, PORT));
	close(fd);
	assert_int_equal(rename(begun, path), 0);
}

static const struct board_head loopback_only = { .magic = BOARD_MAGIC, .version = BOARD_VERSION };

/* The one that is there writes it. */
static void owner_is(bool udp, uint16_t port, uint32_t owner)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	put(fd, &owner, sizeof(owner), board_owner_at(udp, port));
	close(fd);
}

static enum board_says look(struct board_kept *k, in_addr_t addr, uint16_t port, bool udp)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr) };

	return board_look(k, socket_path, (struct sockaddr *)&to, sizeof(to), udp);
}

static enum board_says look_once(in_addr_t addr, uint16_t port, bool udp)
{
	struct board_kept k = { 0 };
	enum board_says says = look(&k, addr, port, udp);

	assert_int_equal(k.until_ns, 0); /* nothing stays open */
	assert_int_equal(k.said.until_ns, 0);
	return says;
}

static void says(void **state)
{
	struct board_head head = loopback_only;
	uint32_t mine = board_owner(geteuid());

	(void)state;
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_ASK); /* there is none */
	board_new(&head, BOARD_OWNER_NONE);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	assert_int_equal(look_once(INADDR_LOOPBACK + (1 << 24), PORT, false), BOARD_NOBODY); /* no interface leads there */
	owner_is(false, PORT, mine);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_ASK);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, true), BOARD_NOBODY);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT + 1, false), BOARD_NOBODY);
	owner_is(true, PORT + 1, BOARD_OWNER_SEVERAL);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT + 1, true), BOARD_ASK);
	head.interfaces = 1;
	board_new(&head, BOARD_OWNER_NONE);
	assert_int_equal(look_once(INADDR_LOOPBACK + (1 << 24), PORT, false), BOARD_ASK);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	head.version++;
	board_new(&head, BOARD_OWNER_NONE);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_ASK);
}

static enum board_says look6(const char *text, uint16_t port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET6, text, &to.sin6_addr), 1);
	return board_look(&(struct board_kept){ 0 }, socket_path, (struct sockaddr *)&to, sizeof(to), false);
}

/* Loopback is no interface's, in either family. */
static void says_of_ipv6(void **state)
{
	struct board_head head = loopback_only;

	(void)state;
	head.interfaces = 1;
	board_new(&head, BOARD_OWNER_NONE);
	assert_int_equal(look6("::1", PORT), BOARD_NOBODY);
	assert_int_equal(look6("::ffff:127.0.0.2", PORT), BOARD_NOBODY);
	assert_int_equal(look6("::ffff:128.0.0.1", PORT), BOARD_ASK);
	assert_int_equal(look6("2001:db8::1", PORT), BOARD_ASK);
}

/* Another user's, unless that may be our own number, seen from where vjd is. */
static void says_of_others(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	board_new(&loopback_only, board_owner(geteuid() + 1));
	pid = fork();
	if (!pid)
		_exit(!unshare(CLONE_NEWUSER) && look_once(INADDR_LOOPBACK, PORT, false) != BOARD_ASK);
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	if (!system("grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map"))
		assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_OTHERS);
}

static void brief_until(uint64_t until_ns)
{
	char name[CTL_NAME_MAX];
	struct board_brief e = { .until_ns = until_ns };
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ctl_name_set(name, program_invocation_short_name);
	e.key = board_key(geteuid(), getppid(), name);
	put(fd, &e, sizeof(e), board_brief_at(e.key));
	close(fd);
}

/* A time that is over, or none of vjd's, is not waited for; and only TCP has first connections. */
static void says_of_brief(void **state)
{
	uint64_t now_ns = sys_clock_ns();

	(void)state;
	board_new(&loopback_only, BOARD_OWNER_SEVERAL);
	owner_is(true, PORT, BOARD_OWNER_SEVERAL);
	brief_until(now_ns + (BOARD_REST_MAX_S - 1) * NS_PER_SEC);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_BRIEF);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, true), BOARD_ASK);
	brief_until(now_ns + 100 * BOARD_REST_MAX_S * NS_PER_SEC);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_ASK);
	brief_until(now_ns);
	assert_int_equal(look_once(INADDR_LOOPBACK, PORT, false), BOARD_ASK);
}

/* One that has looked often. Its board is open. */
static void look_often(struct board_kept *k)
{
	uint64_t now_ns = sys_clock_ns();

	*k = (struct board_kept){ 0 };
	for (int i = 0; i < LOOKS; i++) {
		assert_int_equal(look(k, INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
		assert_int_equal(k->until_ns, 0);
	}
	assert_int_equal(look(k, INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	assert_in_range(k->until_ns, now_ns, sys_clock_ns() + KEPT_MS * NS_PER_MS);
	assert_in_range(k->said.until_ns, now_ns, sys_clock_ns() + SAID_MS * NS_PER_MS);
	assert_true(fcntl(k->fd, F_GETFD) >= 0);
}

/* What a vjd that began meanwhile writes is read when the time of the old one's board is over. */
static void kept(void **state)
{
	struct board_kept k;
	int fd;

	(void)state;
	board_new(&loopback_only, BOARD_OWNER_NONE);
	look_often(&k);
	board_new(&loopback_only, BOARD_OWNER_SEVERAL);
	k.until_ns = k.said.until_ns = UINT64_MAX;
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, true), BOARD_NOBODY); /* of the old one, too */
	assert_int_equal(k.until_ns, UINT64_MAX);
	k.until_ns = 1;
	k.said.until_ns = 0;
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_ASK);
	assert_in_range(k.until_ns, 2, sys_clock_ns() + KEPT_MS * NS_PER_MS);
	assert_true(k.said.until_ns == 0); /* vjd is asked each time */
	fd = k.fd;
	k.said.until_ns = 1;
	board_let_go(&k);
	assert_true(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	assert_true(k.until_ns == 0 && k.said.until_ns == 0);
}

/* What was just said is not read again, and is about that port alone. */
static void said(void **state)
{
	struct board_kept k;

	(void)state;
	board_new(&loopback_only, BOARD_OWNER_NONE);
	look_often(&k);
	k.until_ns = k.said.until_ns = UINT64_MAX;
	owner_is(false, PORT, BOARD_OWNER_SEVERAL);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	owner_is(true, PORT, BOARD_OWNER_SEVERAL);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, true), BOARD_ASK);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_ASK); /* forgotten by then */
	owner_is(false, PORT, BOARD_OWNER_NONE);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	owner_is(false, PORT + 1, BOARD_OWNER_SEVERAL);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT + 1, false), BOARD_ASK);
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_NOBODY);
	owner_is(false, PORT, BOARD_OWNER_SEVERAL);
	k.said.until_ns = 1; /* its time is over */
	assert_int_equal(look(&k, INADDR_LOOPBACK, PORT, false), BOARD_ASK);
	board_let_go(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(says), cmocka_unit_test(says_of_ipv6), cmocka_unit_test(says_of_others),
					    cmocka_unit_test(says_of_brief), cmocka_unit_test(kept), cmocka_unit_test(said) };

	return cmocka_run_group_tests(tests, setup, teardown);
}

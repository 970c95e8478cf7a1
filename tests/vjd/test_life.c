/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lives and deaths: of clients, of a private vjd, of a service.
 */
#include "vjd_proc.h"

#include "daemon/options.h"
#include "lib/ctl_look.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY_CONNECTS = 10000 };

/* ---- of clients */

/*
 * A process that offers RAW port 3, says so, and waits to be killed; with @helper, its child holds
 * the socket too, until *ret_hold is closed.
 */
static pid_t start_owner(const struct vjd_proc *v, bool helper, int *ret_hold)
{
	int fds[2], hold[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct ctl_client *c;

		close(hold[1]);
		if (ctl_client_open(v->path, "owner", 0, &c) != 0)
			_exit(1);
		offer_raw(c, 3);
		if (helper && fork() == 0) {
			close(fds[0]);
			close(fds[1]);
			(void)!read(hold[0], &byte, 1);
			_exit(0);
		}
		(void)!write(fds[1], "r", 1);
		pause();
		_exit(0);
	}
	close(fds[1]);
	close(hold[0]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	*ret_hold = hold[1];
	return pid;
}

static void killed_owner(bool helper)
{
	struct ctl_client *c;
	struct vjd_proc v;
	struct ctl_msg msg;
	uint64_t killed_ms;
	uint32_t id;
	pid_t pid;
	int hold;

	vjd_start(&v, "");
	c = client_open(&v, "x");
	pid = start_owner(&v, helper, &hold);
	assert_int_equal(connect_raw(c, 3, &id), 0);
	killed_ms = now_ms();
	assert_int_equal(kill(pid, SIGKILL), 0);
	msg = event_wait(c, CTL_PEER_GONE);
	printf("told of a kill -9 after %llu ms\n", (unsigned long long)(now_ms() - killed_ms));
	assert_int_equal(msg.close.channel_id, id);
	assert_int_equal(connect_raw(c, 3, &id), -EHOSTUNREACH);
	assert_int_equal(daemon_status(&v).apps, 1);
	assert_int_equal(daemon_status(&v).leases, 0);
	waitpid(pid, NULL, 0);
	close(hold);
	ctl_client_close(c);
	vjd_stop(&v);
}

static void a_killed_client_is_noticed(void **state)
{
	(void)state;
	killed_owner(false);
}

static void a_child_that_holds_the_socket_hides_no_death(void **state)
{
	(void)state;
	killed_owner(true);
}

static void a_killed_vjd_is_noticed(void **state)
{
	int fds[CTL_FDS_MAX], status;
	struct ctl_client *c;
	struct vjd_proc v;
	struct ctl_msg msg;
	uint32_t id;

	(void)state;
	vjd_start(&v, "");
	c = client_open(&v, "x");
	offer_raw(c, 3);
	assert_int_equal(connect_raw(c, 3, &id), 0);
	kill(v.pid, SIGKILL);
	waitpid(v.pid, &status, 0);
	/* what it had said still counts */
	assert_int_equal(ctl_client_event(c, &msg, fds), 1);
	assert_int_equal(msg.type, CTL_CHANNEL);
	fds_close(fds, 3);
	assert_int_equal(ctl_client_event(c, &msg, fds), -ENOTCONN);
	assert_int_equal(connect_raw(c, 3, &id), -ENOTCONN);
	assert_int_equal(ctl_client_channel_close(c, id, VJ_CHANNEL_ERR_CLOSED), -ENOTCONN);
	ctl_client_close(c);
	vjd_clean(&v);
}

/* Ten thousand channels made and closed: nothing is left of them. */
static void nothing_leaks(void **state)
{
	unsigned connects = vjd_sanitized ? MANY_CONNECTS / 10 : MANY_CONNECTS;
	unsigned fd_cnt, rss_kib, rss_after_kib;
	struct ctl_client *a, *b;
	struct vjd_proc v;
	uint64_t start_ms;
	uint32_t id;

	(void)state;
	vjd_start(&v, "--frames 8 --frame-bytes 2048");
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	offer_raw(b, 3);
	fd_cnt = vjd_fd_cnt(&v);
	rss_kib = vjd_rss_kib(&v);
	start_ms = now_ms();
	for (unsigned i = 0; i < connects; i++) {
		assert_int_equal(connect_raw(a, 3, &id), 0);
		event_wait(b, CTL_CHANNEL);
		ctl_client_channel_close(i % 2 ? a : b, id, VJ_CHANNEL_ERR_CLOSED);
		event_wait(i % 2 ? b : a, CTL_PEER_GONE);
	}
	printf("%u channels made and closed in %llu ms\n", connects,
	       (unsigned long long)(now_ms() - start_ms));
	vjd_expect_fds(&v, fd_cnt);
	rss_after_kib = vjd_rss_kib(&v);
	printf("RSS %u KiB, then %u KiB\n", rss_kib, rss_after_kib);
	if (!vjd_sanitized)
		assert_true(rss_after_kib < rss_kib + 1024);
	assert_int_equal(daemon_status(&v).channels, 0);
	ctl_client_close(a);
	ctl_client_close(b);
	vjd_stop(&v);
}

static void many_come_and_go(void **state)
{
	unsigned connects = vjd_sanitized ? MANY_CONNECTS / 10 : MANY_CONNECTS;
	unsigned fd_cnt, rss_kib;
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "--idle-exit 60");
	fd_cnt = vjd_fd_cnt(&v);
	for (unsigned i = 0; i < 100; i++)
		ctl_client_close(client_open(&v, "x"));
	rss_kib = vjd_rss_kib(&v);
	for (unsigned i = 0; i < connects; i++)
		ctl_client_close(client_open(&v, "x"));
	vjd_expect_fds(&v, fd_cnt);
	if (!vjd_sanitized)
		assert_true(vjd_rss_kib(&v) < rss_kib + 1024);
	vjd_stop(&v);
}

/* In a process of its own. Return: its id, once the lease is there */
static pid_t owner_apart(const struct vjd_proc *v, const struct ctl_endpoint *ep, int fd)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct ctl_client *c;
		uint32_t id;

		if (ctl_client_open(v->path, "owner", 0, &c) || ctl_client_lease(c, ep, 0, fd, &id) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* @owners applications own @ep. Return: how often @not was chosen, each once; *ret_instead, *ret_copied: how often it was said */
static unsigned chosen(struct ctl_client *c, const struct ctl_endpoint *ep, unsigned owners, pid_t not, unsigned *ret_instead, unsigned *ret_copied)
{
	unsigned cnt = 0;

	*ret_instead = *ret_copied = 0;
	for (uint32_t i = 0; i < owners; i++) {
		struct ctl_channel ch;
		int fds[CTL_FDS_MAX];

		assert_int_equal(ctl_client_connect_flow(c, ep, UINT32_MAX - i, 0, &ch, fds), 0);
		if (fds[0] >= 0)
			fds_close(fds, 3);
		assert_int_equal(ch.owners, owners);
		cnt += ch.peer_pid == not;
		*ret_instead += ch.instead;
		*ret_copied += ch.copied;
	}
	return cnt;
}

/* Who has a copy of its listening socket, and runs, is named in the place of one that is stopped. */
static void a_copy_takes_the_place_of_one_that_is_stopped(void **state)
{
	int fd = bound_socket("127.0.0.1:0", CTL_PROTO_TCP, true), on = 1, status;
	struct ctl_endpoint ep = name_of(fd, CTL_PROTO_TCP);
	struct ctl_client *owner, *peer;
	unsigned instead, copied;
	struct vjd_proc v;
	uint32_t id;
	pid_t pid;

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	vjd_start(&v, "");
	pid = owner_apart(&v, &ep, fd);
	owner = client_open(&v, "owner");
	peer = client_open(&v, "peer");
	assert_int_equal(ctl_client_lease(owner, &ep, CTL_LEASE_REUSEPORT, fd, &id), 0);
	assert_int_equal(ctl_client_lease(owner, &ep, CTL_LEASE_REUSEPORT, fd, &id), 0); /* twice, and no copy of his own */
	assert_int_equal(chosen(peer, &ep, 3, pid, &instead, &copied), 1);
	assert_int_equal(instead, 0);
	assert_int_equal(copied, 3);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	sleep_ms(50); /* for a moment it is taken to run on */
	assert_int_equal(chosen(peer, &ep, 3, pid, &instead, &copied), 0);
	assert_int_equal(instead, 1);
	assert_int_equal(copied, 3);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	vjd_expect_apps(&v, 2);
	(void)chosen(peer, &ep, 2, pid, &instead, &copied);
	assert_int_equal(copied, 0);
	close(fd);
	ctl_client_close(owner);
	ctl_client_close(peer);
	vjd_stop(&v);
}

/* ---- of a private vjd */

static void leaves_after_the_last_application(void **state)
{
	struct ctl_client *a, *b, *observer;
	struct vjd_proc v;
	uint64_t closed_ms;

	(void)state;
	vjd_start(&v, "--first-exit 600");
	observer = client_open_flags(&v, "o", CTL_HELLO_OBSERVER);
	a = client_open(&v, "a");
	b = client_open(&v, "b");
	ctl_client_close(a);
	sleep_ms(2500);
	assert_int_equal(waitpid(v.pid, NULL, WNOHANG), 0); /* b keeps it */
	closed_ms = now_ms();
	ctl_client_close(b);
	vjd_wait_exit(&v, EVENTUALLY_MS); /* the observer doesn't */
	assert_true(now_ms() - closed_ms >= 1900);
	ctl_client_close(observer);
}

/* Who comes when all have gone, or go just now, to start a program gives that as much time as the first had. */
static void waits_for_whoever_comes(void **state)
{
	struct ctl_client *observer = NULL;
	struct vjd_proc v;

	(void)state;
	for (int i = 0; i < 10 && !observer; i++) {
		vjd_start(&v, "--idle-exit 1 --first-exit 600");
		ctl_client_close(client_open(&v, "gone"));
		if (ctl_client_open(v.path, "vj run", CTL_HELLO_OBSERVER, &observer) < 0) /* too late: it has left */
			vjd_wait_exit(&v, EVENTUALLY_MS);
	}
	assert_non_null(observer);
	ctl_client_close(observer);
	sleep_ms(2000);
	ctl_client_close(client_open(&v, "started"));
	vjd_wait_exit(&v, EVENTUALLY_MS);
}

/* Who has seen one that is about to leave, without a word to it, finds it there. */
static void stays_for_who_has_looked(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < 30; i++) {
		char path[CTL_PATH_BYTES];
		struct vjd_proc v;

		vjd_start(&v, "--idle-exit 0 --first-exit 1");
		ctl_client_close(client_open(&v, "gone"));
		if (ctl_look(v.path, path)) {
			assert_string_equal(path, v.path);
			sleep_ms(5); /* it would have left */
			ctl_client_close(client_open(&v, "started"));
			seen++;
		}
		vjd_wait_exit(&v, EVENTUALLY_MS);
	}
	printf("%u of 30 seen before they left\n", seen);
	assert_int_not_equal(seen, 0);
}

static void leaves_when_nobody_comes(void **state)
{
	struct vjd_proc v;

	(void)state;
	vjd_start(&v, "--first-exit 1 --idle-exit 600");
	vjd_wait_exit(&v, EVENTUALLY_MS);
}

/*
 * Clients come all the time while it tries to leave: each is served by this one or finds none, and
 * none hangs.
 */
static void leaving_loses_nobody(void **state)
{
	unsigned served = 0, missed = 0, late = 0;
	struct vjd_proc v;
	int r;

	(void)state;
	vjd_start(&v, "--idle-exit 0 --first-exit 1");
	for (;;) {
		struct ctl_client *c;

		r = ctl_client_open(v.path, "x", 0, &c);
		if (r == -ETIMEDOUT && late++ < 3) /* the machine may be busy */
			continue;
		if (r < 0)
			break;
		served++;
		ctl_client_close(c);
	}
	assert_true(r == -ENOENT || r == -ECONNREFUSED);
	missed++;
	printf("%u served before it left\n", served);
	assert_true(served > 0 && missed > 0);
	vjd_wait_exit(&v, EVENTUALLY_MS);
}

static void terminated_cleanly(void **state)
{
	struct vjd_proc v;
	struct stat st;

	(void)state;
	vjd_start(&v, "");
	assert_int_equal(stat(v.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(kill(v.pid, SIGHUP), 0); /* ignored */
	sleep_ms(50);
	assert_int_equal(daemon_status(&v).apps, 0);
	assert_int_equal(kill(v.pid, SIGINT), 0);
	vjd_wait_exit(&v, EVENTUALLY_MS);
}

/* What another run left behind. */
static void takes_over_a_dead_socket(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct vjd_proc v, dead;

	(void)state;
	vjd_start(&dead, "");
	kill(dead.pid, SIGKILL);
	waitpid(dead.pid, NULL, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", dead.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	vjd_start(&v, "");
	assert_int_equal(rename(dead.path, v.path), 0);
	vjd_stop(&v);
	vjd_clean(&dead);
}

/* ---- starting: run to the end, with the environment of a user who has nothing else */

struct start {
	char dir[64];
	char xdg[128];
	char path[160];
};

static void start_dir(struct start *s)
{
	snprintf(s->dir, sizeof(s->dir), "/tmp/vjd-start-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->xdg, sizeof(s->xdg), "XDG_RUNTIME_DIR=%s", s->dir);
	snprintf(s->path, sizeof(s->path), "%s/vjchan/vjd.sock", s->dir);
}

static void start_clean(const struct start *s)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", s->dir);
	assert_int_equal(system(cmd), 0);
}

/* `vjd --private ...`, with what it prints to standard error. Return: pid */
static pid_t spawn(const struct start *s, const char *option, const char *value, int err_fd)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char *env[] = { (char *)s->xdg, (char *)"ASAN_OPTIONS=detect_leaks=0", NULL };

		dup2(err_fd, STDERR_FILENO);
		execle(vjd_program, vjd_program, "--private", option, value, (char *)NULL, env);
		_exit(127);
	}
	return pid;
}

static int exit_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Of a process that isn't our child; it may stay a zombie for long. */
static void wait_for_end(pid_t pid)
{
	struct pollfd pfd = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (pfd.fd < 0)
		return;
	assert_int_equal(poll(&pfd, 1, 2 * EVENTUALLY_MS), 1);
	close(pfd.fd);
}

/* Five at once: all say that it is done, and one is there. */
static void a_start_race_has_one_winner(void **state)
{
	struct ctl_client *clients[5];
	char why[CTL_CLIENT_WHY_BYTES];
	pid_t pids[5], vjd_pid = 0;
	struct ctl_daemon d;
	struct vjd_proc v;
	struct start s;

	(void)state;
	for (int round = 0; round < 5; round++) {
		start_dir(&s);
		for (int i = 0; i < 5; i++)
			pids[i] = spawn(&s, "--idle-exit", "60", STDERR_FILENO);
		for (int i = 0; i < 5; i++) {
			assert_int_equal(exit_status(pids[i]), 0);
			if (ctl_client_open_why(s.path, "x", 0, &clients[i], why) != 0)
				fail_msg("%s", why);
		}
		snprintf(v.path, sizeof(v.path), "%.95s", s.path);
		d = daemon_status(&v);
		assert_int_equal(d.apps, 5); /* all at the same one */
		vjd_pid = d.pid;
		for (int i = 0; i < 5; i++) {
			assert_int_not_equal(pids[i], vjd_pid); /* it has detached */
			ctl_client_close(clients[i]);
		}
		assert_int_equal(kill(vjd_pid, SIGTERM), 0);
		wait_for_end(vjd_pid);
		assert_int_equal(access(s.path, F_OK), -1);
		start_clean(&s);
	}
}

/* As `vj run` does: a byte when ready, and no child of ours is left to surprise the program. */
static void detaches_and_says_ready(void **state)
{
	char number[16], byte, lock[200], name[128];
	int ready[2], held, err[2];
	struct ctl_daemon d;
	struct vjd_proc v;
	struct start s;
	struct stat st;
	pid_t pid;

	(void)state;
	start_dir(&s);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(err), 0);
	snprintf(lock, sizeof(lock), "%s/held", s.dir);
	held = open(lock, O_RDWR | O_CREAT, 0600);
	assert_int_equal(flock(held, LOCK_EX), 0);
	snprintf(number, sizeof(number), "%d", ready[1]);
	pid = spawn(&s, "--ready-fd", number, err[1]);
	close(ready[1]);
	close(err[1]);
	close(held);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	assert_int_equal(exit_status(pid), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	/* it holds nothing of ours: standard error is closed, the lock is free */
	assert_int_equal(read(err[0], &byte, 1), 0);
	held = open(lock, O_RDWR);
	assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);

	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(name, sizeof(name), "%s/vjchan", s.dir);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(v.path, sizeof(v.path), "%.95s", s.path);
	d = daemon_status(&v);
	assert_int_equal(getsid(d.pid), getsid(d.pid));
	assert_int_not_equal(getsid(d.pid), getsid(0));
	assert_int_equal(kill(d.pid, SIGTERM), 0);
	wait_for_end(d.pid);
	assert_int_equal(access(s.path, F_OK), -1);
	close(held);
	close(ready[0]);
	close(err[0]);
	start_clean(&s);
}

/* It must end with 1, and say @text. */
static void expect_failure(const struct start *s, const char *option, const char *value, int status,
			   const char *text)
{
	char said[512] = "";
	size_t len = 0;
	int err[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(err), 0);
	pid = spawn(s, option, value, err[1]);
	close(err[1]);
	while (len < sizeof(said) - 1 && (n = read(err[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	close(err[0]);
	assert_int_equal(exit_status(pid), status);
	if (strstr(said, text) == NULL)
		fail_msg("wanted '%s', got '%s'", text, said);
}

static void bad_directories_are_not_used(void **state)
{
	char name[128], sock[160];
	struct start s;

	(void)state;
	start_dir(&s);
	snprintf(name, sizeof(name), "%s/vjchan", s.dir);
	snprintf(sock, sizeof(sock), "%s/sock", s.dir);

	/* a regular file where the socket should be isn't deleted */
	close(open(sock, O_WRONLY | O_CREAT, 0600));
	expect_failure(&s, "--socket", sock, 1, "something else is there");
	assert_int_equal(access(sock, F_OK), 0);

	snprintf(sock, sizeof(sock), "%s/nowhere/sock", s.dir);
	expect_failure(&s, "--socket", sock, 1, "No such file or directory");
	start_clean(&s);
}

/*
 * With XDG_RUNTIME_DIR unfit the next path is taken, so what was refused shows by where the socket
 * is: VJ_SOCKET and the like can't be used here, because only private paths are checked.
 */
static void unfit_runtime_dirs_are_passed_over(void **state)
{
	char name[128], target[128];
	struct ctl_client *c;
	struct start s;
	pid_t pid;

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		start_dir(&s);
		snprintf(name, sizeof(name), "%s/vjchan", s.dir);
		snprintf(target, sizeof(target), "%s/target", s.dir);
		if (kind == 0) { /* others may enter */
			assert_int_equal(mkdir(name, 0700), 0);
			assert_int_equal(chmod(name, 0755), 0);
		} else if (kind == 1) { /* a symbolic link */
			assert_int_equal(mkdir(target, 0700), 0);
			assert_int_equal(symlink(target, name), 0);
		} else { /* others may replace it */
			assert_int_equal(chmod(s.dir, 0777), 0);
		}
		pid = spawn(&s, "--idle-exit", "0", STDERR_FILENO);
		exit_status(pid);
		assert_int_equal(access(s.path, F_OK), -1);
		assert_int_equal(access(target, F_OK), kind == 1 ? 0 : -1);
		start_clean(&s);
		/* it may serve in /tmp now: let it leave */
		snprintf(name, sizeof(name), "/tmp/vjchan-%u/vjd.sock", geteuid());
		if (ctl_client_open(name, "x", 0, &c) == 0)
			ctl_client_close(c);
	}
}

static void bad_options_are_named(void **state)
{
	struct start s;

	(void)state;
	start_dir(&s);
	expect_failure(&s, "--bogus", NULL, 2, "unknown option '--bogus'");
	expect_failure(&s, "--private=1", NULL, 2, "--private takes no value");
	expect_failure(&s, "--idle-exit", "soon", 2, "--idle-exit wants a number");
	expect_failure(&s, "--idle-exit", NULL, 2, "--idle-exit wants SECONDS");
	expect_failure(&s, "--frames", "1000", 2, "powers of two");
	expect_failure(&s, "--frames", "-2", 2, "wants a number from 2 to 65536");
	expect_failure(&s, "--parp", "e3", 2, "--parp wants e1|e2|off, not 'e3'");
	expect_failure(&s, "--parp", "e1|e2", 2, "--parp wants e1|e2|off, not 'e1|e2'");
	expect_failure(&s, "--parp=of", NULL, 2, "not 'of'");
	expect_failure(&s, "--mac-timing", "slow", 2, "--mac-timing wants fast|rfc, not 'slow'");
	expect_failure(&s, "--mac-timing", NULL, 2, "--mac-timing wants fast|rfc");
	expect_failure(&s, "--mac-pool", "257", 2, "wants a number from 0 to 256");
	expect_failure(&s, "--socket=", NULL, 2, "--socket wants PATH");
	expect_failure(&s, "surplus", NULL, 2, "unexpected 'surplus'");
	start_clean(&s);
}

/* argv[2] is man/vjd.8.in */
static const char *manual_path;

/* "name" as troff wants it written */
static void expect_in_manual(const char *manual, const char *name)
{
	char text[64] = "\\-\\-";
	size_t len = strlen(text);

	for (; *name != '\0'; name++) {
		if (*name == '-')
			text[len++] = '\\';
		text[len++] = *name;
	}
	text[len] = '\0';
	if (strstr(manual, text) == NULL)
		fail_msg("%s isn't in the manual", text);
}

static void every_option_is_in_the_manual(void **state)
{
	static char manual[1 << 16];
	FILE *f;

	(void)state;
	if (manual_path == NULL)
		skip();
	f = fopen(manual_path, "r");
	assert_non_null(f);
	assert_in_range(fread(manual, 1, sizeof(manual) - 1, f), 1, sizeof(manual) - 2);
	fclose(f);
#define X(name, ...) expect_in_manual(manual, name);
	OPTIONS(X)
#undef X
}

static void a_service_keeps_its_place(void **state)
{
	char *args[] = { (char *)vjd_program, (char *)"--socket", NULL, NULL };
	struct vjd_proc v;
	struct stat st;
	pid_t pid;

	(void)state;
	vjd_start_as(&v, true, "");
	assert_int_equal(stat(v.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	args[2] = v.path;
	pid = fork();
	if (pid == 0) {
		(void)!freopen("/dev/null", "w", stderr);
		execv(vjd_program, args);
		_exit(127);
	}
	assert_int_equal(exit_status(pid), 1);
	/* the first one is as before, and doesn't leave for want of applications */
	ctl_client_close(client_open(&v, "x"));
	sleep_ms(2500);
	assert_int_equal(daemon_status(&v).private_mode, 0);
	vjd_stop(&v);
}

/* More connections than descriptors: those too many are turned away, vjd neither spins nor dies. */
static void too_many_connections_are_turned_away(void **state)
{
	enum { CNT = 150 };
	struct rlimit old, few;
	struct ctl_client *c[CNT];
	unsigned served = 0;
	struct vjd_proc v;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){ 164, old.rlim_max };
	vjd_start(&v, "--idle-exit 60");
	/* vjd has raised its own, and counts by that: let accept() itself meet the limit */
	assert_int_equal(prlimit(v.pid, RLIMIT_NOFILE, &few, NULL), 0);
	for (unsigned i = 0; i < CNT; i++) {
		c[i] = NULL;
		served += ctl_client_open(v.path, "x", 0, &c[i]) == 0;
	}
	printf("%u of %u served\n", served, CNT);
	assert_in_range(served, 50, 160);
	assert_true(served < CNT);
	for (unsigned i = 0; i < CNT; i++)
		ctl_client_close(c[i]);
	/* there is room again when vjd has noticed */
	for (uint64_t end_ms = now_ms() + EVENTUALLY_MS; ctl_client_open(v.path, "x", 0, &c[0]) < 0;) {
		assert_true(now_ms() < end_ms);
		sleep_ms(10);
	}
	ctl_client_close(c[0]);
	vjd_stop(&v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_takes_the_place_of_one_that_is_stopped),
		cmocka_unit_test(a_killed_client_is_noticed),
		cmocka_unit_test(a_child_that_holds_the_socket_hides_no_death),
		cmocka_unit_test(a_killed_vjd_is_noticed),
		cmocka_unit_test(nothing_leaks),
		cmocka_unit_test(many_come_and_go),
		cmocka_unit_test(leaves_after_the_last_application),
		cmocka_unit_test(waits_for_whoever_comes),
		cmocka_unit_test(stays_for_who_has_looked),
		cmocka_unit_test(leaves_when_nobody_comes),
		cmocka_unit_test(leaving_loses_nobody),
		cmocka_unit_test(terminated_cleanly),
		cmocka_unit_test(takes_over_a_dead_socket),
		cmocka_unit_test(a_start_race_has_one_winner),
		cmocka_unit_test(detaches_and_says_ready),
		cmocka_unit_test(bad_directories_are_not_used),
		cmocka_unit_test(unfit_runtime_dirs_are_passed_over),
		cmocka_unit_test(bad_options_are_named),
		cmocka_unit_test(every_option_is_in_the_manual),
		cmocka_unit_test(a_service_keeps_its_place),
		cmocka_unit_test(too_many_connections_are_turned_away),
	};

	vjd_test_init(argc, argv);
	manual_path = argc > 2 ? argv[2] : NULL;
	setvbuf(stdout, NULL, _IONBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's descriptors in a program that has used up its own, and memory for others that it fills, where files may not be large */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/own_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT = 4096 };

/* Under the limits, in a process of its own. Return: its exit status; -1: a signal ended it */
static int under(rlim_t soft, rlim_t hard, int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit lim = { soft, hard };

		_exit(setrlimit(RLIMIT_FSIZE, &lim) == 0 ? fn() : 99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int fill(size_t bytes)
{
	static uint8_t buf[2 * LIMIT];
	int fd = memfd_create("test", MFD_CLOEXEC), err;

	memset(buf, 0x5a, sizeof(buf));
	err = own_fd_write(fd, buf, bytes, 0);
	if (err == 0 && lseek(fd, 0, SEEK_END) != (off_t)bytes)
		err = -EIO;
	close(fd);
	return -err;
}

static int fill_little(void)
{
	return fill(LIMIT);
}

static int fill_much(void)
{
	return fill(2 * LIMIT);
}

/* One that waits already is the program's, and stays; ours doesn't. */
static int keeps_pending(void)
{
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (fill_much() != EFBIG || sigpending(&pending) != 0 || sigismember(&pending, SIGXFSZ))
		return 1;
	raise(SIGXFSZ);
	return fill_much() == EFBIG && sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) ? 0 : 2;
}

static int keeps_limit(void)
{
	struct rlimit lim;
	int err = fill_much();

	return err != 0 ? err : getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur == LIMIT && lim.rlim_max > LIMIT ? 0 : 98;
}

enum { FEW = 64, SELECT_FDS = 1024 };

/* How many there are that the program could not have made: it may have been left some */
static int beyond(void)
{
	int cnt = 0;

	for (int fd = FEW; fd < SELECT_FDS; fd++)
		cnt += fcntl(fd, F_GETFD) >= 0;
	return cnt;
}

/* Beyond the program's numbers, and its limit is as it was. Return: 0; which of these isn't so */
static int makes_beyond(void)
{
	struct rlimit lim = { 0 };
	int left = beyond(), own;

	while (dup(0) >= 0)
		;
	own = OWN_FD_MAKE(memfd_create("test", MFD_CLOEXEC));
	if (own < SELECT_FDS)
		return 1;
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur != FEW)
		return 2;
	if (beyond() != left) /* where it was made it is no more */
		return 3;
	return dup(0) < 0 && errno == EMFILE ? 0 : 4;
}

static void test_used_up(void **state)
{
	struct rlimit lim;
	int status = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	if (lim.rlim_max < 2 * SELECT_FDS)
		skip();
	lim.rlim_cur = FEW;
	pid = fork();
	if (pid == 0)
		_exit(setrlimit(RLIMIT_NOFILE, &lim) == 0 ? makes_beyond() : 99);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_limits(void **state)
{
	struct rlimit lim; /* whoever runs this may have one himself */

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
	assert_int_equal(under(LIMIT, LIMIT, fill_little), 0);
	assert_int_equal(under(LIMIT, LIMIT, fill_much), EFBIG);
	assert_int_equal(under(0, 0, fill_little), EFBIG);
	assert_int_equal(under(LIMIT, LIMIT, keeps_pending), 0);
	assert_int_equal(under(LIMIT, lim.rlim_max, keeps_limit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used_up),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

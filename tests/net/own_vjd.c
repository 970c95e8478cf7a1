// SPDX-License-Identifier: BSD-2-Clause
#include "own_vjd.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

char socket_path[64];
pid_t vjd_pid;
static char dir[] = "/tmp/vj-net-XXXXXX";

/* Of the build: "vjd", "vj" */
static void program_path(const char *name, char *ret_path, size_t bytes)
{
	const char *build = getenv("VJ_BUILD_DIR");

	snprintf(ret_path, bytes, "%s/%s", build ? build : "build", name);
}

/* It says when it serves: its socket is there before it listens. */
void vjd_start(void)
{
	char path[512], fd[16], byte;
	struct pollfd ready;
	int ends[2];

	program_path("vjd", path, sizeof(path));
	assert_int_equal(pipe(ends), 0);
	snprintf(fd, sizeof(fd), "%d", ends[1]);
	vjd_pid = fork();
	assert_true(vjd_pid >= 0);
	if (!vjd_pid) {
		execl(path, "vjd", "--private", "--foreground", "--socket", socket_path, "--idle-exit", "60", "--ready-fd", fd,
		      (char *)NULL);
		perror(path);
		_exit(127);
	}
	close(ends[1]);
	ready = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&ready, 1, PATIENT_MS), 1);
	if (read(ends[0], &byte, 1) != 1)
		fail_msg("vjd does not serve %s", socket_path);
	close(ends[0]);
}

void vjd_kill(int sig)
{
	kill(vjd_pid, sig);
	waitpid(vjd_pid, NULL, 0);
}

int vjd_begin(void)
{
	if (!mkdtemp(dir))
		return 0;
	snprintf(socket_path, sizeof(socket_path), "%s/vjd.sock", dir);
	vjd_start();
	return 1;
}

void vjd_end(void)
{
	char lock_path[64];

	vjd_kill(SIGTERM);
	unlink(socket_path);
	snprintf(lock_path, sizeof(lock_path), "%s/vjd.lock", dir);
	unlink(lock_path);
	rmdir(dir);
}

int vjd_apps(void)
{
	char path[512], words[640], line[512];
	int cnt = -1;
	FILE *f;

	program_path("vj", path, sizeof(path));
	snprintf(words, sizeof(words), "%s status --socket %s", path, socket_path);
	f = popen(words, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (cnt < 0)
			sscanf(line, "%d applications,", &cnt);
	assert_int_equal(pclose(f), 0);
	return cnt;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * vjd goes to the background by itself, and its first process ends when it listens or has failed,
 * so nothing stays behind as a child of the program that `vj run` becomes: a program that waits for
 * any child must not find one it never made.
 *
 * What vjd says on standard error is kept in a memfd and shown only if it fails: starting may be
 * tried again.
 */
#include "cli/daemon.h"

#include "base/time.h"
#include "cli/cmd.h"
#include "cli/env.h"
#include "cli/install.h"
#include "lib/ctl_look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	READY_FD = 3,
	READY_MAX_MS = 10000,
	ANSWER_MS = 1000, /* the program that is to be run can wait for vjd by itself */
	START_MS = 5000,
	RETRY_CNT = 50,	  /* another `vj run` may be starting the same vjd at this moment */
	RETRY_US = 20000,
};

struct starting {
	char vjd[PATH_MAX];
	const char *socket;
	enum daemon_life life;
	int patience_ms; /* for it to be ready */
	pid_t parent;
	int ready_rd, ready_wr; /* pipe */
	int said;		/* memfd: what vjd wrote to standard error */
};

static VJ_NORETURN void become_vjd(struct starting *s)
{
	const char *argv[12], *preload;
	char ready_fd[16];
	unsigned n = 0;
	int null;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0) /* without /dev something else that takes no text and has none: whoever reads our output waits for its end */
		null = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(s->said, STDERR_FILENO);
	dup2(s->ready_wr, READY_FD);
	snprintf(ready_fd, sizeof(ready_fd), "%d", READY_FD);
	argv[n++] = "vjd";
	argv[n++] = "--private";
	argv[n++] = "--ready-fd";
	argv[n++] = ready_fd;
	if (s->socket != NULL) {
		argv[n++] = "--socket";
		argv[n++] = s->socket;
	}
	if (s->life == DAEMON_CHILD) {
		argv[n++] = "--foreground";
		close_range(READY_FD + 1, UINT_MAX, 0);
		/* a ^C is for vj, which ends its children in its own order */
		setpgid(0, 0);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != s->parent)
			_exit(EXIT_FAILED);
	} else {
		/* a program may do a lot before its first socket */
		argv[n++] = "--first-exit";
		argv[n++] = "60";
	}
	argv[n] = NULL;
	/* we may be under vj run ourselves; vjd must not be */
	preload = getenv("LD_PRELOAD");
	if (preload != NULL && strstr(preload, "libvj-preload.so") != NULL)
		unsetenv("LD_PRELOAD");
	execv(s->vjd, (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %m\n", s->vjd);
	_exit(EXIT_CANNOT_RUN);
}

static int wait_ready(const struct starting *s)
{
	struct pollfd pfd = { .fd = s->ready_rd, .events = POLLIN };
	char c;
	int n;

	n = poll(&pfd, 1, s->patience_ms);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return read(s->ready_rd, &c, 1) == 1 ? 0 : -ECHILD;
}

static void say_failure(const struct starting *s, int err, char why[static CTL_CLIENT_WHY_BYTES])
{
	char text[CTL_CLIENT_WHY_BYTES - 64];
	const char *said;
	ssize_t n = pread(s->said, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	said = strncmp(text, "vjd: ", 5) == 0 ? text + 5 : text;
	if (err == -ETIMEDOUT)
		snprintf(why, CTL_CLIENT_WHY_BYTES, "vjd did not get ready in %d s%s%s", (s->patience_ms + 999) / 1000, said[0] != '\0' ? ": " : "", said);
	else
		snprintf(why, CTL_CLIENT_WHY_BYTES, "cannot start vjd: %s", said[0] != '\0' ? said : strerror(-err));
}

static int start(struct starting *s, pid_t *ret_pid)
{
	pid_t pid;
	int rc;

	s->parent = getpid();
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_vjd(s);
	close(s->ready_wr);
	s->ready_wr = -1;
	rc = wait_ready(s);
	if (rc < 0)
		kill(pid, SIGKILL);
	if (rc < 0 || s->life == DAEMON_DETACHED)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (rc == 0 && ret_pid != NULL)
		*ret_pid = pid;
	return rc;
}

/* @ret_why: filled if it fails */
static int daemon_try(struct starting s, pid_t *ret_pid, char ret_why[static CTL_CLIENT_WHY_BYTES])
{
	int fds[2], rc;

	s.ready_wr = -1;
	rc = install_find(INSTALL_VJD, s.vjd);
	if (rc < 0) {
		snprintf(ret_why, CTL_CLIENT_WHY_BYTES, "cannot start vjd: no %.180s", s.vjd);
		return rc;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		snprintf(ret_why, CTL_CLIENT_WHY_BYTES, "cannot start vjd: %s", strerror(errno));
		return -errno;
	}
	s.ready_rd = fds[0];
	s.ready_wr = fds[1];
	s.said = memfd_create("vjd-stderr", MFD_CLOEXEC);
	rc = s.said < 0 ? -errno : start(&s, ret_pid);
	if (rc < 0)
		say_failure(&s, rc, ret_why);
	close(s.ready_rd);
	if (s.ready_wr >= 0)
		close(s.ready_wr);
	close(s.said);
	return rc;
}

int daemon_start(const char *socket, enum daemon_life life, pid_t *ret_pid)
{
	char why[CTL_CLIENT_WHY_BYTES];
	int rc = daemon_try((struct starting){ .socket = socket, .life = life, .patience_ms = READY_MAX_MS }, ret_pid, why);

	if (rc < 0)
		complain("%s", why);
	return rc;
}

static int look(const char *socket, char ret_path[static CTL_PATH_BYTES], struct ctl_client_failure *ret_failure)
{
	return ctl_look(socket, ret_path) ? 0 : ctl_client_look(socket, "vj run", ANSWER_MS, ret_path, ret_failure);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / NS_PER_US;
}

/* Is one of our own the answer to this? */
static bool is_startable(const char *socket, int err)
{
	const char *named = socket != NULL ? socket : getenv(env_name(ENV_SOCKET));

	if (err == -ENOENT || err == -ECONNREFUSED)
		return true;
	return (named == NULL || named[0] == '\0') && (err == -EACCES || err == -EPROTO);
}

int daemon_ensure(const char *socket, char ret_path[static CTL_PATH_BYTES], struct ctl_client_failure *ret_failure)
{
	const struct starting s = { .socket = socket, .life = DAEMON_DETACHED, .patience_ms = START_MS };
	uint64_t end_us = now_us() + RETRY_CNT * RETRY_US;
	int rc = look(socket, ret_path, ret_failure), started = -EAGAIN;
	char why[CTL_CLIENT_WHY_BYTES];

	for (unsigned i = 0; is_startable(socket, rc) && (i == 0 || now_us() < end_us); i++) {
		/* the second start and later ones are for the case that somebody else's was first, and failed */
		if (started != 0 && i % 10 == 0)
			started = daemon_try(s, NULL, why);
		rc = look(socket, ret_path, ret_failure);
		if (rc < 0)
			usleep(RETRY_US);
	}
	if (is_startable(socket, rc) && started < 0)
		memcpy(ret_failure->why, why, sizeof(ret_failure->why));
	return rc;
}

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

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	READY_FD = 3,
	READY_NOTE_MS = 2000,
	READY_MAX_MS = 10000,
	RETRY_CNT = 50, /* another `vj run` may be starting the same vjd at this moment */
	RETRY_US = 20000,
};

struct starting {
	char vjd[PATH_MAX];
	const char *socket;
	enum daemon_life life;
	pid_t parent;
	int ready_rd, ready_wr; /* pipe */
	int said;		/* memfd: what vjd wrote to standard error */
};

static VJ_NORETURN void become_vjd(struct starting *s)
{
	const char *argv[12];
	char ready_fd[16];
	unsigned n = 0;
	int null;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
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
	execv(s->vjd, (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %m\n", s->vjd);
	_exit(EXIT_CANNOT_RUN);
}

static int wait_ready(const struct starting *s)
{
	struct pollfd pfd = { .fd = s->ready_rd, .events = POLLIN };
	char c;
	int n;

	n = poll(&pfd, 1, READY_NOTE_MS);
	if (n == 0) {
		complain("waiting for vjd to start ...");
		n = poll(&pfd, 1, READY_MAX_MS - READY_NOTE_MS);
	}
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return read(s->ready_rd, &c, 1) == 1 ? 0 : -ECHILD;
}

static void complain_of_start(const struct starting *s, int err)
{
	char text[1024];
	ssize_t n = pread(s->said, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	n = (ssize_t)strlen(text);
	if (err == -ETIMEDOUT)
		complain("vjd did not get ready in %d s%s%s", READY_MAX_MS / 1000,
			 n > 0 ? ": " : "", text);
	else
		complain("cannot start vjd: %s", n > 0 ? text : strerror(-err));
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

static int daemon_try(const char *socket, enum daemon_life life, pid_t *ret_pid, bool loud)
{
	struct starting s = { .socket = socket, .life = life, .ready_wr = -1 };
	int fds[2], rc;

	rc = install_find(INSTALL_VJD, s.vjd);
	if (rc < 0) {
		complain("cannot start vjd: no %s", s.vjd);
		return rc;
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	s.ready_rd = fds[0];
	s.ready_wr = fds[1];
	s.said = memfd_create("vjd-stderr", MFD_CLOEXEC);
	rc = s.said < 0 ? -errno : start(&s, ret_pid);
	if (rc < 0 && loud)
		complain_of_start(&s, rc);
	close(s.ready_rd);
	if (s.ready_wr >= 0)
		close(s.ready_wr);
	close(s.said);
	return rc;
}

int daemon_start(const char *socket, enum daemon_life life, pid_t *ret_pid)
{
	return daemon_try(socket, life, ret_pid, true);
}

static int look(const char *socket, char ret_path[static 108],
		char why[static CTL_CLIENT_WHY_BYTES])
{
	struct ctl_client *client;
	int rc = ctl_client_open_why(socket, "vj run", CTL_HELLO_OBSERVER, &client, why);

	if (rc < 0)
		return rc;
	snprintf(ret_path, 108, "%s", ctl_client_path(client));
	ctl_client_close(client);
	return 0;
}

int daemon_ensure(const char *socket, char ret_path[static 108])
{
	char why[CTL_CLIENT_WHY_BYTES];
	int rc, started = -EAGAIN;

	rc = look(socket, ret_path, why);
	for (unsigned i = 0; (rc == -ENOENT || rc == -ECONNREFUSED) && i < RETRY_CNT; i++) {
		bool last = i + 1 == RETRY_CNT;

		/*
		 * the second start and later ones are for the case that somebody else's was first,
		 * and failed
		 */
		if (started != 0 && i % 10 == 0)
			started = daemon_try(socket, DAEMON_DETACHED, NULL, false);
		rc = look(socket, ret_path, why);
		if (rc < 0 && started < 0 && last)
			started = daemon_try(socket, DAEMON_DETACHED, NULL, true);
		if (rc < 0)
			usleep(RETRY_US);
	}
	if (rc < 0)
		complain("no vjd: %s", why);
	return rc;
}

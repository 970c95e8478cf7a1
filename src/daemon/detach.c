/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_inherited(int keep)
{
	if (keep > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
	close_range(keep > STDERR_FILENO ? (unsigned)keep + 1 : STDERR_FILENO + 1, UINT_MAX, 0);
}

/* The child's word is one byte. If it dies without, its exit status says it. */
static void wait_and_exit(int fd, pid_t child)
{
	char byte;
	ssize_t n;
	int status;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_SUCCESS);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(EXIT_FAILURE);
}

int detach_start(bool stay, int ready_fd, struct detach *ret_detach)
{
	int pipe_fds[2];
	pid_t child;

	*ret_detach = (struct detach){ .parent_fd = -1, .ready_fd = ready_fd };
	if (ready_fd >= 0)
		(void)fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
	close_inherited(ready_fd);
	if (stay)
		return 0;
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		close(pipe_fds[1]);
		if (ready_fd >= 0)
			close(ready_fd);
		wait_and_exit(pipe_fds[0], child);
	}
	close(pipe_fds[0]);
	ret_detach->parent_fd = pipe_fds[1];
	setsid();
	return 0;
}

static void write_byte(int fd)
{
	ssize_t n;

	do
		n = write(fd, "r", 1);
	while (n < 0 && errno == EINTR);
	close(fd);
}

/* sd_notify(3), which is a datagram. */
static void notify_systemd(void)
{
	static const char msg[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, len);
	if (sun.sun_path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, msg, sizeof(msg) - 1, MSG_NOSIGNAL, (const struct sockaddr *)&sun,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void detach_ready(struct detach *d)
{
	if (d->parent_fd >= 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null < 0) /* without /dev something else that takes no text and has none */
			null = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
		if (null > STDERR_FILENO)
			close(null);
		write_byte(d->parent_fd);
		d->parent_fd = -1;
	}
	if (d->ready_fd >= 0)
		write_byte(d->ready_fd);
	d->ready_fd = -1;
	notify_systemd();
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * confined [epoll] - a server that is built like OpenSSH's: it could fork a process for each connection and put it in a cage. It does not; it
 * listens, says its port and descriptor, and accepts until its input ends (test_why.py). With `epoll` it waits in a set, as a program does
 * whose library has made one (nsd, by libevent).
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What confine.c looks for; never called. */
static int cage(void)
{
	return fork() || chroot("/") || setresuid(1, 1, 1) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* With @fd; made by number, so that no symbol tells of it, as in a program whose library makes it */
static int set_with(int fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	int set = (int)syscall(SYS_epoll_create1, 0);

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) ? -1 : set;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	(void)argv;

	if (argc > 2)
		return cage();
	if (bind(fd, (struct sockaddr *)&a, len) || listen(fd, 5) || getsockname(fd, (struct sockaddr *)&a, &len))
		return 1;
	if (argc > 1)
		p[1].fd = set_with(fd);
	poll(p, 2, 0);
	dprintf(STDOUT_FILENO, "%d %d\n", ntohs(a.sin_port), fd);
	while (poll(p, 2, -1) > 0 && !p[0].revents)
		accept(fd, NULL, NULL);
	return 0;
}

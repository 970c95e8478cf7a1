// SPDX-License-Identifier: BSD-2-Clause
/*
 * echo_ports.c - a server of many ports: what comes by TCP or UDP goes back
 *
 *	echo_ports FIRST COUNT
 *
 * Ports [FIRST, FIRST + COUNT), IPv4 and IPv6. "ready" is printed once all are open.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum kind { LISTENER, TCP, UDP, KIND_CNT };

static int epoll_fd;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, enum kind kind)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | (uint32_t)fd };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
		die("epoll_ctl");
}

static void open_port(int type, uint16_t port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || (type == SOCK_STREAM && listen(fd, 64) != 0))
		die("a port");
	if (type == SOCK_DGRAM) /* on channels from the first read on */
		(void)!recv(fd, &(char){ 0 }, 1, 0);
	watch(fd, type == SOCK_STREAM ? LISTENER : UDP);
}

static void serve(enum kind kind, int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char buf[2048];
	ssize_t n;

	if (kind == LISTENER) {
		fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
		if (fd >= 0)
			watch(fd, TCP);
	} else if (kind == UDP) {
		n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
		if (n >= 0)
			(void)sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	} else {
		n = read(fd, buf, sizeof(buf));
		if (n <= 0 || write(fd, buf, (size_t)n) != n)
			close(fd);
	}
}

int main(int argc, char **argv)
{
	unsigned long first = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, cnt = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct epoll_event events[64];

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned long port = first; port < first + cnt; port++) {
		open_port(SOCK_STREAM, (uint16_t)port);
		open_port(SOCK_DGRAM, (uint16_t)port);
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++)
			serve((enum kind)(events[i].data.u64 >> 32), (int)(uint32_t)events[i].data.u64);
	}
}

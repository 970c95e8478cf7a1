// SPDX-License-Identifier: BSD-2-Clause
/* calls_pair.c - a listening socket and a connection through it, as most parts of `calls` play with. See calls.c. */
#include "calls.h"
#include "kernel_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool only_ipv6;

int tcp_family(int family)
{
	return only_ipv6 && family == AF_INET ? AF_INET6 : family;
}

static void address(struct pair *p, int family, const char *text)
{
	p->addr = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET) {
		inet_pton(AF_INET, text, &((struct sockaddr_in *)&p->addr)->sin_addr);
		p->addr_len = sizeof(struct sockaddr_in);
	} else {
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&p->addr)->sin6_addr);
		p->addr_len = sizeof(struct sockaddr_in6);
	}
}

void wait_first(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	int r;

	do
		r = poll(&pfd, 1, 0);
	while (r < 0 && errno == EINTR); /* the last alarm of the part before: valgrind has handlers run later than the kernel */
	must("nobody there", r == 0);
}

void listen_on(struct pair *p, int family, const char *text)
{
	if (family != tcp_family(family)) {
		family = AF_INET6;
		text = "::1";
	}
	address(p, family, text);
	p->listener = socket(family, SOCK_STREAM, 0);
	must("socket", p->listener >= 0);
	must("bind", !bind(p->listener, (struct sockaddr *)&p->addr, p->addr_len));
	must("listen", !listen(p->listener, 16));
	wait_first(p->listener);
	must("getsockname", !getsockname(p->listener, (struct sockaddr *)&p->addr, &p->addr_len));
}

void check_conn_path(int fd)
{
	if (kernel_has_conn(fd) != on_kernel()) {
		printf("FAILED: connection is not on the %s\n", on_kernel() ? "kernel" : "channel");
		exit(1);
	}
}

void pair_open(struct pair *p, int family, const char *text)
{
	listen_on(p, family, text);
	p->client = socket(p->addr.ss_family, SOCK_STREAM, 0);
	must("connect", !connect(p->client, (struct sockaddr *)&p->addr, p->addr_len));
	p->server = accept(p->listener, NULL, NULL);
	must("accept", p->server >= 0);
	check_conn_path(p->client);
}

void pair_close(struct pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

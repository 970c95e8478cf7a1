// SPDX-License-Identifier: BSD-2-Clause
/* calls_bind.c - addresses: bound, listened to, connected to, given up; several listeners on one port. See calls.c. */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct sockaddr_in at4(uint32_t addr, uint16_t port_be)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr), .sin_port = port_be };
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	must("getsockname", !getsockname(fd, (struct sockaddr *)&a, &len));
	return a.sin6_port;
}

static int stream(int family)
{
	int fd = socket(family, SOCK_STREAM, 0);

	must("socket", fd >= 0);
	return fd;
}

/* As programs do before they accept: clients come over channels from here. */
static void wait_for_none(int listener)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	say("nobody there", poll(&pfd, 1, 0));
}

static void test_bind(void)
{
	struct sockaddr_in a = at4(INADDR_LOOPBACK, 0);
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int one = 1, fd = stream(AF_INET), other;

	title("bind");
	say("short", bind(fd, (struct sockaddr *)&a, 5));
	say("IPv6 on IPv4", bind(fd, (struct sockaddr *)&six, sizeof(six)));
	a.sin_family = AF_UNSPEC;
	say("AF_UNSPEC", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = at4(0x01020304, 0);
	say("not ours", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = at4(INADDR_LOOPBACK, 0);
	say("bind", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	say("bind again", bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_port = port_of(fd);
	other = stream(AF_INET);
	say("taken", bind(other, (struct sockaddr *)&a, sizeof(a)));
	say("listen", listen(fd, 5));
	wait_for_none(fd);
	say("SO_REUSEADDR", setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	say("listened to", bind(other, (struct sockaddr *)&a, sizeof(a)));
	say("listen again", listen(fd, 0));
	say("connect a listener", connect(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	say("free again", bind(other, (struct sockaddr *)&a, sizeof(a)));
	say("listen", listen(other, 5));
	wait_for_none(other);
	close(other);
	fd = stream(AF_INET);
	say("listen without bind", listen(fd, 5));
	say("has a port", port_of(fd) != 0);
	close(fd);
}

/* A server that starts again: its port, its connections still there */
static void test_restart(void)
{
	int one = 1, again;
	struct pair p;

	title("a server starts again");
	p.listener = stream(AF_INET);
	setsockopt(p.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	listen(p.listener, 5);
	wait_for_none(p.listener);
	p.addr_len = sizeof(p.addr);
	getsockname(p.listener, (struct sockaddr *)&p.addr, &p.addr_len);
	p.client = stream(AF_INET);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	close(p.listener);
	again = stream(AF_INET);
	setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	say("bind", bind(again, (struct sockaddr *)&p.addr, p.addr_len));
	say("listen", listen(again, 5));
	wait_for_none(again);
	write(p.client, "x", 1);
	say("the connection is there", recv(p.server, &(char){ 0 }, 1, 0));
	close(p.client);
	p.client = stream(AF_INET);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	close(p.server);
	p.server = accept(again, NULL, NULL);
	say("accept", p.server >= 0);
	p.listener = again;
	pair_close(&p);
}

/* Datagrams likewise: whoever has a socket at another address hears nothing. */
static void test_datagram_to_any(const struct sockaddr_in *from)
{
	struct sockaddr_in to = at4(INADDR_LOOPBACK, 0);
	int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	say("bind", bind(server, (struct sockaddr *)&to, sizeof(to)));
	getsockname(server, (struct sockaddr *)&to, &(socklen_t){ sizeof(to) });
	say("recv", recv(server, &c, 1, MSG_DONTWAIT));
	say("bind", bind(client, (struct sockaddr *)from, sizeof(*from)));
	to.sin_addr.s_addr = INADDR_ANY;
	for (int i = 0; i < 8; i++)
		say("to any, from another", sendto(client, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	settle();
	say("recv", recv(server, &c, 1, MSG_DONTWAIT));
	close(client);
	close(server);
}

/* From an address of IPv4 that is written as one of IPv6: "any" is IPv4's loopback, and what is IPv6's can't be called. */
static void test_connect_mapped(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, from, to, name;
	int listener = stream(AF_INET6), fd, off = 0;
	socklen_t len = sizeof(name);
	char text[INET6_ADDRSTRLEN];

	title("connect from a mapped address");
	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	say("bind", bind(listener, (struct sockaddr *)&any, sizeof(any)));
	say("listen", listen(listener, 5));
	wait_for_none(listener);
	from = any;
	inet_pton(AF_INET6, "::ffff:127.0.0.5", &from.sin6_addr);
	to = any;
	to.sin6_port = port_of(listener);
	fd = stream(AF_INET6);
	say("bind", bind(fd, (struct sockaddr *)&from, sizeof(from)));
	say("to any", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	say("getpeername", getpeername(fd, (struct sockaddr *)&name, &len));
	inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof(text));
	say_text("it", text, (long)strlen(text));
	close(fd);
	close(accept(listener, NULL, NULL));
	to.sin6_addr = in6addr_loopback;
	fd = stream(AF_INET6);
	say("bind", bind(fd, (struct sockaddr *)&from, sizeof(from)));
	say("to ::1", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
	close(listener);
}

static void test_connect(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_in any, name;
	socklen_t len = sizeof(name);
	struct pair p;
	char buf[8];
	int fd;

	title("connect");
	pair_open(&p, AF_INET, "127.0.0.1");
	any = at4(INADDR_ANY, ((struct sockaddr_in *)&p.addr)->sin_port);
	fd = stream(AF_INET);
	say("to any", connect(fd, (struct sockaddr *)&any, sizeof(any)));
	say("getpeername", getpeername(fd, (struct sockaddr *)&name, &len));
	say("is loopback", name.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
	close(fd);
	close(accept(p.listener, NULL, NULL));
	/* it means the address that the socket has, at which nobody listens */
	fd = stream(AF_INET);
	name = at4(0x7f000002, 0);
	say("bind", bind(fd, (struct sockaddr *)&name, sizeof(name)));
	say("to any, from another", connect(fd, (struct sockaddr *)&any, sizeof(any)));
	close(fd);
	test_datagram_to_any(&name);
	any.sin_port = 0;
	fd = stream(AF_INET);
	say("to port 0", connect(fd, (struct sockaddr *)&any, sizeof(any)));
	say("to nothing, fresh", connect(fd, &none, sizeof(none)));
	close(fd);
	say("to nothing, connected", connect(p.client, &none, sizeof(none)));
	settle();
	say("the peer", recv(p.server, buf, sizeof(buf), MSG_DONTWAIT));
	getsockopt(p.client, SOL_SOCKET, SO_ERROR, buf, &(socklen_t){ 4 }); /* the kernel has one, of its own reset */
	say("send", send(p.client, "x", 1, MSG_NOSIGNAL));
	say("getpeername", getpeername(p.client, (struct sockaddr *)&name, &len));
	close(p.server);
	say("connect again", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	say("send", send(p.client, "again", 5, 0));
	say("recv", recv(p.server, buf, sizeof(buf), 0));
	say("to nothing, listening", connect(p.listener, &none, sizeof(none)));
	say("accept", accept(p.listener, NULL, NULL));
	fd = stream(AF_INET);
	say("connect", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	say("listen again", listen(p.listener, 5));
	wait_for_none(p.listener);
	close(fd);
	fd = stream(AF_INET);
	p.addr_len = sizeof(p.addr);
	getsockname(p.listener, (struct sockaddr *)&p.addr, &p.addr_len);
	say("connect", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	close(fd);
	pair_close(&p);
}

/* Clients that went before they were accepted */
static void test_accept_gone(void)
{
	struct linger l = { 1, 0 };
	struct sockaddr_in name;
	socklen_t len;
	struct pair p;
	char buf[8];

	title("accepted when they have gone");
	for (int reset = 0; reset < 2; reset++) {
		listen_on(&p, AF_INET, "127.0.0.1");
		p.client = stream(AF_INET);
		say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
		send(p.client, "abc", 3, 0);
		if (reset)
			setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(p.client);
		settle();
		say_bits("listener", poll_now(p.listener, EVENTUALLY_MS));
		len = 3;
		p.server = accept(p.listener, (struct sockaddr *)&name, &len);
		say("accept", p.server >= 0);
		say("length of the name", len);
		say("recv", recv(p.server, buf, sizeof(buf), 0));
		say("recv", recv(p.server, buf, sizeof(buf), 0));
		close(p.server);
		close(p.listener);
	}
	listen_on(&p, AF_INET, "127.0.0.1");
	p.client = stream(AF_INET);
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	close(p.listener);
	settle();
	say("the listener has gone", recv(p.client, buf, sizeof(buf), 0));
	close(p.client);
}

/* Two listeners on one port: each gets some of the clients. */
static void test_reuseport(void)
{
	enum { CLIENTS = 64 };
	struct sockaddr_in a = at4(INADDR_LOOPBACK, 0);
	int one = 1, l[2], clients[CLIENTS], got[2] = { 0 };

	title("SO_REUSEPORT");
	for (int i = 0; i < 2; i++) {
		l[i] = stream(AF_INET);
		say("SO_REUSEPORT", setsockopt(l[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
		say("bind", bind(l[i], (struct sockaddr *)&a, sizeof(a)));
		a.sin_port = port_of(l[i]);
		say("listen", listen(l[i], CLIENTS));
		fcntl(l[i], F_SETFL, O_NONBLOCK);
		wait_for_none(l[i]);
	}
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = stream(AF_INET);
		must("connect", !connect(clients[i], (struct sockaddr *)&a, sizeof(a)));
	}
	for (int tries = 0; tries < 20 && got[0] + got[1] < CLIENTS; tries++) {
		settle();
		for (int i = 0; i < 2; i++)
			for (int fd; (fd = accept(l[i], NULL, NULL)) >= 0; got[i]++)
				close(fd);
	}
	say("all", got[0] + got[1]);
	say("each some", got[0] > 0 && got[1] > 0);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	close(l[0]);
	close(l[1]);
}

/* One port, two listeners: IPv4's and IPv6's */
static void test_v6only(void)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = at4(INADDR_ANY, 0), to4;
	int one = 1, zero = 0, l6 = stream(AF_INET6), l4 = stream(AF_INET), c4 = stream(AF_INET), c6 = stream(AF_INET6), value = -1;
	socklen_t len = sizeof(value);

	title("IPV6_V6ONLY");
	say("get", getsockopt(l6, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len));
	say("is", value);
	say("set", setsockopt(l6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	say("bind", bind(l6, (struct sockaddr *)&six, sizeof(six)));
	say("set when bound", setsockopt(l6, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)));
	say("listen", listen(l6, 5));
	wait_for_none(l6);
	four.sin_port = six.sin6_port = port_of(l6);
	say("connect by IPv4", connect(c4, (struct sockaddr *)&four, sizeof(four)));
	close(c4);
	c4 = stream(AF_INET);
	say("bind IPv4", bind(l4, (struct sockaddr *)&four, sizeof(four)));
	say("listen", listen(l4, 5));
	wait_for_none(l4);
	to4 = at4(INADDR_LOOPBACK, four.sin_port);
	six.sin6_addr = in6addr_loopback;
	say("connect by IPv4", connect(c4, (struct sockaddr *)&to4, sizeof(to4)));
	say("connect by IPv6", connect(c6, (struct sockaddr *)&six, sizeof(six)));
	value = accept(l4, NULL, NULL);
	write(c4, "4", 1);
	say("IPv4", recv(value, &(char){ 0 }, 1, 0));
	close(value);
	value = accept(l6, NULL, NULL);
	write(c6, "6", 1);
	say("IPv6", recv(value, &(char){ 0 }, 1, 0));
	close(value);
	close(c4);
	close(c6);
	close(l4);
	close(l6);
}

/* As rsh and its like show a server that they are root */
static void test_bindresvport(void)
{
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	int fd = stream(AF_INET), conn;
	uint16_t port_be;
	struct pair p;

	title("bindresvport");
	listen_on(&p, AF_INET, "127.0.0.1");
	wait_for_none(p.listener);
	say("bindresvport", bindresvport(fd, NULL));
	port_be = port_of(fd);
	say("privileged", port_be && ntohs(port_be) < IPPORT_RESERVED);
	say("connect", connect(fd, (struct sockaddr *)&p.addr, p.addr_len));
	conn = accept(p.listener, (struct sockaddr *)&from, &len);
	say("the same, to both", (!port_be || from.sin_port == port_be) && port_of(fd) == from.sin_port);
	close(conn);
	close(fd);
	close(p.listener);
}

/* Between two ends there is one connection. */
static void test_same_ends(void)
{
	struct sockaddr_in a = at4(INADDR_LOOPBACK, 0);
	int one = 1, fds[2];
	struct pair p;

	title("from a port that is connected there already");
	listen_on(&p, AF_INET, "127.0.0.1");
	wait_for_none(p.listener);
	for (int i = 0; i < 2; i++) {
		fds[i] = stream(AF_INET);
		setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		say("bind", bind(fds[i], (struct sockaddr *)&a, sizeof(a)));
		a.sin_port = port_of(fds[i]);
	}
	say("connect", connect(fds[0], (struct sockaddr *)&p.addr, p.addr_len));
	check_conn_path(fds[0]);
	say("the same", connect(fds[1], (struct sockaddr *)&p.addr, p.addr_len));
	close(fds[0]);
	close(fds[1]);
	close(p.listener);
}

void calls_bind(void)
{
	test_same_ends();
	test_bind();
	test_bindresvport();
	test_restart();
	test_connect();
	test_connect_mapped();
	test_accept_gone();
	test_reuseport();
	test_v6only();
}

// SPDX-License-Identifier: BSD-2-Clause
/* calls_group.c - datagrams to many, and what comes beside a datagram. See calls.c. */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int datagrams(int family, struct sockaddr_storage *ret_addr, socklen_t *ret_len)
{
	int fd = socket(family, SOCK_DGRAM, 0);

	*ret_addr = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	*ret_len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (family == AF_INET)
		((struct sockaddr_in *)ret_addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)ret_addr)->sin6_addr = in6addr_loopback;
	must("socket", fd >= 0);
	must("bind", !bind(fd, (struct sockaddr *)ret_addr, *ret_len));
	must("getsockname", !getsockname(fd, (struct sockaddr *)ret_addr, ret_len));
	must("empty", recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0); /* it reads: so it is on channels */
	return fd;
}

/* ---- to many ------------------------------------------------------------------------------------- */

static void test_multicast(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET }, group = { .sin_family = AF_INET };
	struct ip_mreq join = { .imr_interface.s_addr = htonl(INADDR_LOOPBACK) };
	struct in_addr via = { .s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(any);
	int one = 1, in[2], out = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[32];

	title("multicast");
	inet_pton(AF_INET, "239.7.7.7", &join.imr_multiaddr);
	for (int i = 0; i < 2; i++) {
		in[i] = socket(AF_INET, SOCK_DGRAM, 0);
		say("SO_REUSEADDR", setsockopt(in[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
		say("bind", bind(in[i], (struct sockaddr *)&any, sizeof(any)));
		must("getsockname", !getsockname(in[i], (struct sockaddr *)&any, &len));
		say("join", setsockopt(in[i], IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)));
	}
	say("join twice", setsockopt(in[0], IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)));
	say("IP_MULTICAST_IF", setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &via, sizeof(via)));
	say("IP_MULTICAST_LOOP", setsockopt(out, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)));
	group.sin_addr = join.imr_multiaddr;
	group.sin_port = any.sin_port;
	say("sendto", sendto(out, "to all", 6, 0, (struct sockaddr *)&group, sizeof(group)));
	settle();
	for (int i = 0; i < 2; i++)
		say("recv", recv(in[i], buf, sizeof(buf), MSG_DONTWAIT));
	say("leave", setsockopt(in[1], IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof(join)));
	say("connect", connect(out, (struct sockaddr *)&group, sizeof(group)));
	say("send", send(out, "to one", 6, 0));
	settle();
	say("recv", recv(in[0], buf, sizeof(buf), MSG_DONTWAIT));
	close(in[0]);
	close(in[1]);
	close(out);
}

static void test_multicast6(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6 }, group = { .sin6_family = AF_INET6 };
	struct ipv6_mreq join = { .ipv6mr_interface = if_nametoindex("lo") };
	socklen_t len = sizeof(any);
	int one = 1, in[2], out = socket(AF_INET6, SOCK_DGRAM, 0);
	char buf[32];

	title("multicast, IPv6");
	inet_pton(AF_INET6, "ff01::7:7", &join.ipv6mr_multiaddr);
	for (int i = 0; i < 2; i++) {
		in[i] = socket(AF_INET6, SOCK_DGRAM, 0);
		say("SO_REUSEADDR", setsockopt(in[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
		say("bind", bind(in[i], (struct sockaddr *)&any, sizeof(any)));
		must("getsockname", !getsockname(in[i], (struct sockaddr *)&any, &len));
		must("empty", recv(in[i], buf, 1, MSG_DONTWAIT) < 0);
		say("join", setsockopt(in[i], IPPROTO_IPV6, IPV6_JOIN_GROUP, &join, sizeof(join)));
	}
	say("join twice", setsockopt(in[0], IPPROTO_IPV6, IPV6_JOIN_GROUP, &join, sizeof(join)));
	say("IPV6_MULTICAST_IF", setsockopt(out, IPPROTO_IPV6, IPV6_MULTICAST_IF, &join.ipv6mr_interface, sizeof(int)));
	say("IPV6_MULTICAST_LOOP", setsockopt(out, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &one, sizeof(one)));
	group.sin6_addr = join.ipv6mr_multiaddr;
	group.sin6_port = any.sin6_port;
	say("sendto", sendto(out, "to all", 6, 0, (struct sockaddr *)&group, sizeof(group)));
	settle();
	for (int i = 0; i < 2; i++)
		say("recv", recv(in[i], buf, sizeof(buf), MSG_DONTWAIT));
	say("leave", setsockopt(in[1], IPPROTO_IPV6, IPV6_LEAVE_GROUP, &join, sizeof(join)));
	say("leave twice", setsockopt(in[1], IPPROTO_IPV6, IPV6_LEAVE_GROUP, &join, sizeof(join)));
	group.sin6_addr = in6addr_loopback;
	say("to the port itself", sendto(out, "to one", 6, 0, (struct sockaddr *)&group, sizeof(group)));
	settle();
	say("one of them", (recv(in[0], buf, sizeof(buf), MSG_DONTWAIT) == 6) + (recv(in[1], buf, sizeof(buf), MSG_DONTWAIT) == 6));
	close(in[0]);
	close(in[1]);
	close(out);
}

/* A socket that has read, and sent, on channels before it joins */
static void test_multicast_late(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET }, to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ip_mreq join = { .imr_interface.s_addr = htonl(INADDR_LOOPBACK) };
	int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
	struct in_addr via = { .s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(any);
	char buf[32];

	title("multicast, joined late");
	inet_pton(AF_INET, "239.7.7.8", &join.imr_multiaddr);
	must("bind", !bind(in, (struct sockaddr *)&any, sizeof(any)) && !getsockname(in, (struct sockaddr *)&any, &len));
	must("empty", recv(in, buf, 1, MSG_DONTWAIT) < 0);
	to.sin_port = any.sin_port;
	say("sendto", sendto(out, "before", 6, 0, (struct sockaddr *)&to, sizeof(to)));
	settle();
	say("join", setsockopt(in, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)));
	say("IP_MULTICAST_IF", setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &via, sizeof(via)));
	say("sendto", sendto(out, "one", 3, 0, (struct sockaddr *)&to, sizeof(to)));
	to.sin_addr = join.imr_multiaddr;
	say("to the group", sendto(out, "group", 5, 0, (struct sockaddr *)&to, sizeof(to)));
	settle();
	for (int i = 0; i < 4; i++)
		say_text("recv", buf, recv(in, buf, sizeof(buf), MSG_DONTWAIT));
	close(in);
	close(out);
}

static void test_broadcast(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7fffffff) }, any = { .sin_family = AF_INET };
	int one = 1, in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(any);
	char buf[32];

	title("broadcast");
	must("bind", !bind(in, (struct sockaddr *)&any, sizeof(any)));
	must("getsockname", !getsockname(in, (struct sockaddr *)&any, &len));
	to.sin_port = any.sin_port;
	say("not allowed", sendto(out, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	say("SO_BROADCAST", setsockopt(out, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	say("sendto", sendto(out, "to all", 6, 0, (struct sockaddr *)&to, sizeof(to)));
	settle();
	say("recv", recv(in, buf, sizeof(buf), MSG_DONTWAIT));
	close(in);
	close(out);
}

/* ---- beside a datagram ------------------------------------------------------------------------------ */

static void receive(int fd)
{
	char buf[64], control[256];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

	say("recvmsg", recvmsg(fd, &msg, MSG_DONTWAIT));
	printf("flags %#x control %zu\n", (unsigned)msg.msg_flags, (size_t)msg.msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		printf("level %d type %d len %zu\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
}

static void test_beside(int family)
{
	static const struct {
		const char *name;
		int level, opt;
	} options[] = { { "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP },
			{ "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS },
			{ "SO_TIMESTAMP_NEW", SOL_SOCKET, 63 },
			{ "SO_TIMESTAMPNS_NEW", SOL_SOCKET, 64 },
			{ "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO },
			{ "IP_RECVTTL", IPPROTO_IP, IP_RECVTTL },
			{ "IP_RECVTOS", IPPROTO_IP, IP_RECVTOS },
			{ "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO },
			{ "IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT } };
	struct sockaddr_storage addr, from;
	socklen_t len, from_len;
	int on = 1, off = 0;

	title(family == AF_INET ? "beside a datagram, IPv4" : "beside a datagram, IPv6");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int in = datagrams(family, &addr, &len), out = datagrams(family, &from, &from_len);

		say(options[i].name, setsockopt(in, options[i].level, options[i].opt, &on, sizeof(on)));
		say("sendto", sendto(out, "x", 1, 0, (struct sockaddr *)&addr, len));
		settle();
		receive(in);
		say("off", setsockopt(in, options[i].level, options[i].opt, &off, sizeof(off)));
		say("sendto", sendto(out, "x", 1, 0, (struct sockaddr *)&addr, len));
		settle();
		receive(in);
		close(in);
		close(out);
	}
}

/* The address to send from, and what else a control message may ask for */
static void test_send_control(void)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = { .head = { .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)) } };
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f000002) };
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct sockaddr_storage addr, from = { 0 };
	socklen_t len, from_len = sizeof(from);
	int in = datagrams(AF_INET, &addr, &len), out = socket(AF_INET, SOCK_DGRAM, 0), ttl = 7;
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_name = &addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	char buf[8];

	title("control messages with datagrams");
	must("bind", !bind(out, (struct sockaddr *)&any, sizeof(any)));
	memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
	say("from 127.0.0.2", sendmsg(out, &msg, 0));
	say("recvfrom", recvfrom(in, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len));
	say("is it", ((struct sockaddr_in *)&from)->sin_addr.s_addr == htonl(0x7f000002));
	control.head.cmsg_type = IP_TTL;
	control.head.cmsg_len = CMSG_LEN(sizeof(ttl));
	memcpy(CMSG_DATA(&control.head), &ttl, sizeof(ttl));
	msg.msg_controllen = CMSG_SPACE(sizeof(ttl));
	say("IP_TTL", sendmsg(out, &msg, 0));
	control.head.cmsg_type = 9999;
	say("unknown", sendmsg(out, &msg, 0));
	close(in);
	close(out);
}

/* RFC 3542 */
static void test_send_control6(void)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = { .head = { .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo)) } };
	struct in6_pktinfo info = { .ipi6_addr = IN6ADDR_LOOPBACK_INIT, .ipi6_ifindex = if_nametoindex("lo") };
	struct sockaddr_storage addr, from = { 0 };
	socklen_t len, from_len = sizeof(from);
	int in = datagrams(AF_INET6, &addr, &len), out = socket(AF_INET6, SOCK_DGRAM, 0), hops = 7;
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_name = &addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	char buf[8];

	title("control messages with datagrams, IPv6");
	memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
	say("from ::1", sendmsg(out, &msg, 0));
	say("recvfrom", recvfrom(in, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len));
	say("is it", IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&from)->sin6_addr));
	inet_pton(AF_INET6, "2001:db8::1", &info.ipi6_addr);
	memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
	say("from what isn't ours", sendmsg(out, &msg, 0));
	control.head.cmsg_type = IPV6_HOPLIMIT;
	control.head.cmsg_len = CMSG_LEN(sizeof(hops));
	memcpy(CMSG_DATA(&control.head), &hops, sizeof(hops));
	msg.msg_controllen = CMSG_SPACE(sizeof(hops));
	say("IPV6_HOPLIMIT", sendmsg(out, &msg, 0));
	say("recv", recv(in, buf, sizeof(buf), 0));
	close(in);
	close(out);
}

/* Completions of MSG_ZEROCOPY, and SO_TIMESTAMPING: only the kernel has these for datagrams. */
static void test_datagram_queues(int family)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int in = datagrams(family, &addr, &len), out = socket(family, SOCK_DGRAM, 0), on = 1, software = 24;
	char buf[8];

	title("zero copy and SO_TIMESTAMPING, datagrams");
	say("without SO_ZEROCOPY", sendto(out, "x", 1, MSG_ZEROCOPY, (struct sockaddr *)&addr, len));
	say("SO_ZEROCOPY", setsockopt(out, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)));
	say("send", sendto(out, "y", 1, MSG_ZEROCOPY, (struct sockaddr *)&addr, len));
	say("SO_TIMESTAMPING", setsockopt(in, SOL_SOCKET, SO_TIMESTAMPING, &software, sizeof(software)));
	settle();
	say("recv", recv(in, buf, sizeof(buf), MSG_DONTWAIT));
	receive(in);
	settle();
	say_bits("poll", poll_now(out, 0));
	say("recv ERRQUEUE", recv(out, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT));
	say("recv ERRQUEUE", recv(out, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT));
	say("send", sendto(out, "z", 1, 0, (struct sockaddr *)&addr, len));
	settle();
	receive(in);
	close(in);
	close(out);
}

/* ip(7): errors with what they are about */
static void test_recverr(void)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int on = 1, gone = datagrams(AF_INET, &addr, &len), fd = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[8];

	title("IP_RECVERR");
	close(gone);
	say("IP_RECVERR", setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)));
	say("connect", connect(fd, (struct sockaddr *)&addr, len));
	say("send", send(fd, "x", 1, 0));
	settle();
	say_bits("poll", poll_now(fd, 0));
	say("recv", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	say("recv ERRQUEUE", recv(fd, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT));
	say("recv ERRQUEUE", recv(fd, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT));
	close(fd);
}

/* UDP_SEGMENT: one call, many datagrams */
static void test_segments(void)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int in = datagrams(AF_INET, &addr, &len), out = socket(AF_INET, SOCK_DGRAM, 0), bytes = 100;
	char buf[350] = "";

	title("UDP_SEGMENT");
	say("set", setsockopt(out, IPPROTO_UDP, 103, &bytes, sizeof(bytes)));
	say("sendto", sendto(out, buf, sizeof(buf), 0, (struct sockaddr *)&addr, len));
	settle();
	for (int i = 0; i < 5; i++)
		say("recv", recv(in, buf, sizeof(buf), MSG_DONTWAIT));
	close(in);
	close(out);
}

/* recvmmsg() looks at its time between datagrams. */
static void test_mmsg_time(void)
{
	struct timespec soon = { 0, 50000000 }, bad = { 0, -1 };
	struct sockaddr_storage addr;
	socklen_t len;
	int in = datagrams(AF_INET, &addr, &len), out = socket(AF_INET, SOCK_DGRAM, 0);
	struct timeval tv = { 0, 200000 };
	char buf[3][8];
	struct iovec iov[3] = { { buf[0], 8 }, { buf[1], 8 }, { buf[2], 8 } };
	struct mmsghdr m[3];

	title("recvmmsg with a time");
	for (int i = 0; i < 3; i++)
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	say("bad", recvmmsg(in, m, 3, MSG_DONTWAIT, &bad));
	say("none", recvmmsg(in, m, 0, MSG_DONTWAIT, NULL));
	for (int i = 0; i < 3; i++)
		sendto(out, "x", 1, 0, (struct sockaddr *)&addr, len);
	settle();
	soon = (struct timespec){ 0 };
	say("no time", recvmmsg(in, m, 3, 0, &soon));
	soon.tv_sec = EVENTUALLY_MS / 1000;
	say("time enough", recvmmsg(in, m, 2, 0, &soon));
	say("less is left", soon.tv_sec < EVENTUALLY_MS / 1000);
	setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	sendto(out, "x", 1, 0, (struct sockaddr *)&addr, len);
	settle();
	soon = (struct timespec){ .tv_nsec = 100000000 };
	say("one, and SO_RCVTIMEO ends it", recvmmsg(in, m, 3, 0, &soon));
	close(in);
	close(out);
}

/* Datagrams to a port of two sockets */
static void test_reuseport(void)
{
	enum { DATAGRAMS = 64 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int one = 1, in[2], got[2] = { 0 };

	title("SO_REUSEPORT, datagrams");
	for (int i = 0; i < 2; i++) {
		in[i] = socket(AF_INET, SOCK_DGRAM, 0);
		say("SO_REUSEPORT", setsockopt(in[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
		say("bind", bind(in[i], (struct sockaddr *)&a, sizeof(a)));
		must("getsockname", !getsockname(in[i], (struct sockaddr *)&a, &len));
	}
	for (int i = 0; i < DATAGRAMS; i++) {
		int out = socket(AF_INET, SOCK_DGRAM, 0);

		sendto(out, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
		close(out);
	}
	settle();
	for (int i = 0; i < 2; i++)
		while (recv(in[i], &(char){ 0 }, 1, MSG_DONTWAIT) == 1)
			got[i]++;
	say("all", got[0] + got[1]);
	say("each some", got[0] > 0 && got[1] > 0);
	close(in[0]);
	close(in[1]);
}

/* The resolver has sockets of its own. */
static void test_getaddrinfo(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;

	title("getaddrinfo");
	say("localhost", getaddrinfo("localhost", "80", &hints, &list));
	say("something", list != NULL);
	freeaddrinfo(list);
	hints.ai_flags |= AI_NUMERICHOST;
	say("an address", getaddrinfo("::1", "80", &hints, &list));
	say("IPv6", list && list->ai_family == AF_INET6);
	freeaddrinfo(list);
}

void calls_group(void)
{
	test_multicast();
	test_multicast6();
	test_multicast_late();
	test_broadcast();
	test_beside(AF_INET);
	test_beside(AF_INET6);
	test_send_control();
	test_send_control6();
	test_datagram_queues(AF_INET);
	test_datagram_queues(AF_INET6);
	test_recverr();
	test_segments();
	test_mmsg_time();
	test_reuseport();
	test_getaddrinfo();
}

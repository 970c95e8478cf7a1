// SPDX-License-Identifier: BSD-2-Clause
/* Socket options, one by one: what may be set, what is read back, what is refused, on sockets in every state */
#include "calls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct try {
	const char *name;
	int level, opt;
	int values[6];
	int cnt;
};

#define TRY(level, opt, ...) { #opt, level, opt, { __VA_ARGS__ }, (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)) }

static const struct try tries[] = {
	TRY(IPPROTO_TCP, TCP_NODELAY, 1, -1, 0),
	TRY(IPPROTO_TCP, TCP_CORK, 1, 2, 0),
	TRY(IPPROTO_TCP, TCP_QUICKACK, 0, 1),
	TRY(IPPROTO_TCP, TCP_SYNCNT, 3, 0, 127, 128, -1),
	TRY(IPPROTO_TCP, TCP_LINGER2, 10, -5, 119, 120, 0),
	TRY(IPPROTO_TCP, TCP_DEFER_ACCEPT, 1, 5, 100, -3, 0),
	TRY(IPPROTO_TCP, TCP_WINDOW_CLAMP, 1, 70000),
	TRY(IPPROTO_TCP, TCP_USER_TIMEOUT, -1, 5000, 0),
	TRY(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, -1, 0),
	TRY(IPPROTO_TCP, TCP_SAVE_SYN, 1, 2, 3, -1, 0),
	TRY(IPPROTO_TCP, TCP_INQ, 1, 2, 0),
	TRY(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1, 2, 0),
	TRY(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 2),
	TRY(IPPROTO_TCP, TCP_REPAIR_QUEUE, 1),
	TRY(IPPROTO_TCP, TCP_KEEPIDLE, 0, 32767, 32768),
	TRY(IPPROTO_TCP, TCP_KEEPINTVL, 0, 32767, 32768),
	TRY(IPPROTO_TCP, TCP_KEEPCNT, 0, 127, 128),
	TRY(SOL_SOCKET, SO_PRIORITY, 3, 6, 0),
	TRY(SOL_SOCKET, SO_MARK, 77, 0),
	TRY(SOL_SOCKET, SO_OOBINLINE, 1, 0),
	TRY(SOL_SOCKET, SO_TIMESTAMP, 1, 0),
	TRY(SOL_SOCKET, SO_DONTROUTE, 1, 0),
	TRY(SOL_SOCKET, SO_MAX_PACING_RATE, 100000, 0, -1),
	TRY(IPPROTO_IP, IP_TOS, 16, 255, 256, 0),
	TRY(IPPROTO_IP, IP_TTL, 7, 0, 255, 256, -1),
	TRY(IPPROTO_IPV6, IPV6_TCLASS, 16, 255, 256, -2, -1),
	TRY(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7, 0, 255, 256, -2, -1),
};

static void get(const char *name, int fd, int level, int opt, socklen_t len)
{
	unsigned char bytes[512];
	socklen_t room = len;

	memset(bytes, 0xa5, sizeof(bytes));
	if (getsockopt(fd, level, opt, bytes, &len)) {
		say(name, -1);
		return;
	}
	printf("%s of %u: %u:", name, room, len);
	for (socklen_t i = 0; i < len && i < 16; i++)
		printf(" %02x", bytes[i]);
	putchar('\n');
	if (bytes[len] != 0xa5)
		printf("written beyond the end\n");
}

static void all_of(const char *who, int fd)
{
	title(who);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		const struct try *t = &tries[i];

		if (t->opt != TCP_WINDOW_CLAMP) /* goes by the buffer */
			get(t->name, fd, t->level, t->opt, sizeof(int));
		for (int v = 0; v < t->cnt; v++) {
			char text[64];

			snprintf(text, sizeof(text), "%s = %d", t->name, t->values[v]);
			say(text, setsockopt(fd, t->level, t->opt, &t->values[v], sizeof(int)));
			get(t->name, fd, t->level, t->opt, sizeof(int));
		}
		get(t->name, fd, t->level, t->opt, 1);
	}
}

/* Only where there is no connection yet */
static void before_connection(int fd)
{
	int value = 0;

	say("TCP_WINDOW_CLAMP = 0", setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &value, sizeof(value)));
	say("TCP_FASTOPEN = 0", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &value, sizeof(value)));
	value = 5;
	say("TCP_FASTOPEN = 5", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &value, sizeof(value)));
	value = -1;
	say("TCP_FASTOPEN = -1", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &value, sizeof(value)));
	value = 1;
	say("TCP_FASTOPEN_CONNECT", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &value, sizeof(value)));
	get("TCP_FASTOPEN_CONNECT", fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, sizeof(int));
	value = 0;
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &value, sizeof(value));
	say("TCP_FASTOPEN_NO_COOKIE", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &value, sizeof(value)));
	value = 70000;
	say("TCP_MAXSEG", setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value)));
	value = 87;
	say("TCP_MAXSEG", setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value)));
}

static void congestion(const char *who, int fd)
{
	static const char *const names[] = { "reno", "nosuch", "cubic", "cubic-and-so-on-for-long", "" };

	title(who);
	get("TCP_CONGESTION, the host's", fd, IPPROTO_TCP, TCP_CONGESTION, 16);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		say(names[i], setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, names[i], (socklen_t)strlen(names[i])));
		get("TCP_CONGESTION", fd, IPPROTO_TCP, TCP_CONGESTION, 16);
		get("TCP_CONGESTION", fd, IPPROTO_TCP, TCP_CONGESTION, 3);
		get("TCP_CONGESTION", fd, IPPROTO_TCP, TCP_CONGESTION, 100);
		get("TCP_CC_INFO", fd, IPPROTO_TCP, TCP_CC_INFO, 32);
	}
}

static void pacing(const char *who, int fd)
{
	unsigned long long rate = 1ULL << 33;
	unsigned int small = 4000000;

	title(who);
	say("64 bits", setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	get("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE, 8);
	get("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE, 4);
	say("32 bits", setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &small, sizeof(small)));
	get("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE, 8);
	small = ~0u;
	say("no limit", setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &small, sizeof(small)));
	get("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE, 8);
	get("SO_MAX_PACING_RATE", fd, SOL_SOCKET, SO_MAX_PACING_RATE, 2);
}

/* Arguments that are none */
static void arguments(const char *who, int fd)
{
	static const int names[] = { TCP_NODELAY, TCP_CONGESTION, TCP_SYNCNT, TCP_WINDOW_CLAMP, TCP_NOTSENT_LOWAT, TCP_INFO };
	static const int names6[] = { IPV6_V6ONLY, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MTU };
	int value = 1;
	socklen_t len;

	title(who);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		say("set, short", setsockopt(fd, IPPROTO_TCP, names[i], &value, 2));
		say("set, none", setsockopt(fd, IPPROTO_TCP, names[i], &value, 0));
		say("set, length -1", setsockopt(fd, IPPROTO_TCP, names[i], &value, (socklen_t)-1));
		len = (socklen_t)-1;
		say("get, length -1", getsockopt(fd, IPPROTO_TCP, names[i], &value, &len));
		len = 0;
		say("get, length 0", getsockopt(fd, IPPROTO_TCP, names[i], &value, &len));
		printf("%u\n", len);
	}
	for (size_t i = 0; i < sizeof(names6) / sizeof(names6[0]); i++) {
		len = (socklen_t)-1;
		say("IPv6, length -1", getsockopt(fd, IPPROTO_IPV6, names6[i], &value, &len));
		printf("%u\n", len);
	}
	say("SO_LINGER, short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
	say("SO_RCVTIMEO, short", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value)));
}

/* As long as the kernel's, whatever is asked for; what does not depend on time */
static void info(const char *who, int fd)
{
	static const socklen_t lens[] = { 0, 1, 7, 8, 104, 192, 232, 500 };
	struct tcp_info i;
	socklen_t len = sizeof(i);
	int value;

	title(who);
	for (size_t n = 0; n < sizeof(lens) / sizeof(lens[0]); n++) {
		unsigned char bytes[512];

		len = lens[n];
		say("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, &len));
		printf("%u of %u\n", len, lens[n]);
	}
	len = sizeof(i);
	memset(&i, 0xa5, sizeof(i));
	say("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	value = 0;
	len = sizeof(value);
	say("TCP_MAXSEG", getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len));
	say("as large as loopback's", value > 30000);
	printf("state %u ca %u retransmits %u probes %u backoff %u unacked %u lost %u retrans %u total %u notsent %u dsack %u "
	       "seen %u\n",
	       i.tcpi_state, i.tcpi_ca_state, i.tcpi_retransmits, i.tcpi_probes, i.tcpi_backoff, i.tcpi_unacked, i.tcpi_lost,
	       i.tcpi_retrans, i.tcpi_total_retrans, i.tcpi_notsent_bytes, i.tcpi_dsack_dups,
	       i.tcpi_reord_seen);
	printf("max pacing %llx rwnd %llu sndbuf %llu\n", (unsigned long long)i.tcpi_max_pacing_rate,
	       (unsigned long long)i.tcpi_rwnd_limited, (unsigned long long)i.tcpi_sndbuf_limited);
	/* the kernel begins with what it has seen on the way to this address before: ours is not to be compared */
	say("some reordering", i.tcpi_reordering >= 3);
	say("some mss", i.tcpi_snd_mss > 500);
	say("some window", i.tcpi_snd_cwnd > 0 && i.tcpi_snd_wnd > 1000);
	say("some rto", i.tcpi_rto >= 200000);
}

/* What has passed, when all of it is acknowledged */
static void passed(const char *who, int fd)
{
	struct tcp_info i = { 0 };
	int unread = -1, unacked = -1, unsent = -1;

	for (int tried = 0; tried < EVENTUALLY_MS / 10 && unacked != 0; tried++) {
		usleep(10000);
		must("SIOCOUTQ", !ioctl(fd, SIOCOUTQ, &unacked));
	}
	title(who);
	must("TCP_INFO", !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &(socklen_t){ sizeof(i) }));
	must("SIOCINQ", !ioctl(fd, SIOCINQ, &unread));
	must("SIOCOUTQNSD", !ioctl(fd, SIOCOUTQNSD, &unsent));
	printf("state %u sent %llu acked %llu received %llu unacked %u notsent %u; unread %d unacked %d unsent %d\n", i.tcpi_state,
	       (unsigned long long)(i.tcpi_bytes_sent - i.tcpi_bytes_retrans), (unsigned long long)i.tcpi_bytes_acked,
	       (unsigned long long)i.tcpi_bytes_received, i.tcpi_unacked, i.tcpi_notsent_bytes, unread, unacked, unsent);
	printf("windows are scaled: %d\n", i.tcpi_options & TCPI_OPT_WSCALE && i.tcpi_snd_wscale && i.tcpi_rcv_wscale);
	printf("space %d threshold %d mss %d %d %d path %d\n", i.tcpi_rcv_space > 0, i.tcpi_rcv_ssthresh > 0, i.tcpi_snd_mss > 500,
	       i.tcpi_rcv_mss > 500, i.tcpi_advmss > 500, i.tcpi_pmtu > i.tcpi_snd_mss);
}

static void info_passed(int family, const char *text)
{
	static char bytes[20000];
	struct pair p;

	title(text);
	pair_open(&p, family, text);
	passed("passed, nothing: client", p.client);
	passed("passed, nothing: server", p.server);
	must("send", send(p.client, bytes, 1000, 0) == 1000);
	must("recv", recv(p.server, bytes, 400, MSG_WAITALL) == 400);
	must("send", send(p.server, bytes, sizeof(bytes), 0) == sizeof(bytes));
	passed("passed, unread: client", p.client);
	passed("passed, unread: server", p.server);
	must("recv", recv(p.client, bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes));
	must("shutdown", !shutdown(p.client, SHUT_WR));
	must("recv", recv(p.server, bytes, 601, MSG_WAITALL) == 600);
	passed("passed, one end: client", p.client);
	passed("passed, one end: server", p.server);
	must("shutdown", !shutdown(p.server, SHUT_WR));
	must("recv", !recv(p.client, bytes, 1, 0));
	passed("passed, both ends: client", p.client);
	passed("passed, both ends: server", p.server);
	pair_close(&p);
}

/* Nobody reads: probes of a closed window are spaced out, but nothing is sent again. */
static void info_window_closed(void)
{
	static char bytes[65536];
	struct tcp_info i = { 0 };
	socklen_t len = sizeof(i);
	struct pair p;

	title("information, window closed");
	pair_open(&p, AF_INET, "127.0.0.1");
	do {
		while (send(p.client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		settle();
	} while (send(p.client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
	for (int tried = 0; tried < EVENTUALLY_MS / 10 && i.tcpi_backoff == 0; tried++) {
		usleep(10000);
		must("TCP_INFO", !getsockopt(p.client, IPPROTO_TCP, TCP_INFO, &i, &len));
	}
	say("spaced out", i.tcpi_backoff > 0);
	say("retransmits", i.tcpi_retransmits);
	say("something is not sent", i.tcpi_notsent_bytes > 0);
	pair_close(&p);
}

/* ip(7), ipv6(7): how large it is differs between the kernel's loopback and a channel */
static void path_mtu(const char *who, int fd, int level, int mtu_name, int discover_name)
{
	int mtu = -1, mode;
	socklen_t len = sizeof(mtu);

	title(who);
	say("MTU", getsockopt(fd, level, mtu_name, &mtu, &len));
	printf("%u bytes\n", len);
	say("enough for the least IPv6 asks for", mtu >= 1280);
	len = 0;
	say("MTU, no room", getsockopt(fd, level, mtu_name, &mtu, &len));
	len = sizeof(mtu);
	say("MTU, no place", getsockopt(fd, level, mtu_name, NULL, &len));
	say("MTU, to be set", setsockopt(fd, level, mtu_name, &mtu, sizeof(mtu)));
	for (mode = -1; mode <= 6; mode++) {
		say("discover", setsockopt(fd, level, discover_name, &mode, sizeof(mode)));
		get("discover", fd, level, discover_name, sizeof(int));
	}
}

/* From the listener, and from before the connection */
static void inherited(void)
{
	struct pair p = { 0 };

	listen_on(&p, AF_INET, "127.0.0.1");
	say("reno", setsockopt(p.listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	p.client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("cubic", setsockopt(p.client, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
	say("connect", connect(p.client, (struct sockaddr *)&p.addr, p.addr_len));
	p.server = accept(p.listener, NULL, NULL);
	must("accept", p.server >= 0);
	get("client", p.client, IPPROTO_TCP, TCP_CONGESTION, 16);
	get("server", p.server, IPPROTO_TCP, TCP_CONGESTION, 16);
	pair_close(&p);
}

/* What is one's own and not one's neighbour's */
static void neighbours(void)
{
	unsigned long long cookie[2] = { 0 };
	int second, other, value = 3;
	socklen_t len = sizeof(cookie[0]);
	struct pair p;

	title("options of two accepted sockets");
	inherited();
	pair_open(&p, AF_INET, "127.0.0.1");
	other = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("connect", connect(other, (struct sockaddr *)&p.addr, p.addr_len));
	second = accept(p.listener, NULL, NULL);
	must("accept", second >= 0);
	say("SO_PRIORITY", setsockopt(p.server, SOL_SOCKET, SO_PRIORITY, &value, sizeof(value)));
	get("this", p.server, SOL_SOCKET, SO_PRIORITY, 4);
	get("that", second, SOL_SOCKET, SO_PRIORITY, 4);
	say("SO_COOKIE", getsockopt(p.server, SOL_SOCKET, SO_COOKIE, &cookie[0], &len));
	say("SO_COOKIE", getsockopt(second, SOL_SOCKET, SO_COOKIE, &cookie[1], &len));
	say("differ", cookie[0] != cookie[1]);
	len = sizeof(value);
	say("SO_INCOMING_CPU", getsockopt(p.server, SOL_SOCKET, SO_INCOMING_CPU, &value, &len));
	say("a processor", value >= 0);
	close(second);
	close(other);
	pair_close(&p);
}

static const struct {
	int level, opt, value, later;
} handed_on[] = { { SOL_SOCKET, SO_REUSEADDR, 1, 0 }, { SOL_SOCKET, SO_PRIORITY, 3, 5 }, { SOL_SOCKET, SO_OOBINLINE, 1, 0 }, { SOL_SOCKET, SO_BROADCAST, 1, 1 },
	{ SOL_SOCKET, SO_KEEPALIVE, 1, 1 }, { IPPROTO_TCP, TCP_LINGER2, 7, 9 }, { IPPROTO_TCP, TCP_NODELAY, 1, 0 }, { IPPROTO_TCP, TCP_INQ, 1, 0 }, { IPPROTO_IP, IP_TOS, 16, 8 },
	{ IPPROTO_IP, IP_RECVTOS, 1, 0 }, { IPPROTO_IP, IP_MULTICAST_TTL, 9, 9 }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, 0 }, { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9, 9 } };
enum { HANDED_ON = sizeof(handed_on) / sizeof(handed_on[0]) };

static void handed_on_get(const char *who, int fd)
{
	for (int i = 0; i < HANDED_ON; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s, %d %d", who, handed_on[i].level, handed_on[i].opt);
		get(text, fd, handed_on[i].level, handed_on[i].opt, sizeof(int));
	}
}

static int client_of(const struct pair *p, int *ret_client)
{
	int fd;

	*ret_client = socket(p->addr.ss_family, SOCK_STREAM, 0);
	say("connect", connect(*ret_client, (const struct sockaddr *)&p->addr, p->addr_len));
	fd = accept(p->listener, NULL, NULL);
	must("accept", fd >= 0);
	return fd;
}

/* accept() hands on what the listening socket has: also what channels know nothing of, as it is then, and beside what the connection sets itself */
static void hands_on(int family, const char *addr)
{
	int client[2], second;
	struct pair p;

	title("options that accept() hands on");
	listen_on(&p, family, addr);
	for (int i = 0; i < HANDED_ON; i++)
		say("set", setsockopt(p.listener, handed_on[i].level, handed_on[i].opt, &handed_on[i].value, sizeof(int)));
	p.server = client_of(&p, &client[0]);
	handed_on_get("first", p.server);
	for (int i = 0; i < HANDED_ON; i++)
		say("set later", setsockopt(p.listener, handed_on[i].level, handed_on[i].opt, &handed_on[i].later, sizeof(int)));
	second = client_of(&p, &client[1]);
	handed_on_get("second", second);
	say("SO_RXQ_OVFL", setsockopt(p.server, SOL_SOCKET, SO_RXQ_OVFL, &(int){ 1 }, sizeof(int)));
	handed_on_get("first again", p.server);
	close(second);
	close(client[0]);
	close(client[1]);
	close(p.server);
	close(p.listener);
}

/* A connection that is over is none to options that are only for sockets without one. */
static void over(void)
{
	struct pair p;

	title("options of a connection that is over");
	pair_open(&p, AF_INET6, "::1");
	say("SO_LINGER nowhere", setsockopt(p.client, SOL_SOCKET, SO_LINGER, NULL, sizeof(struct linger)));
	say("SO_SNDTIMEO nowhere", setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, NULL, sizeof(struct timeval)));
	say("none of SO_KEEPALIVE", getsockopt(p.client, SOL_SOCKET, SO_KEEPALIVE, NULL, &(socklen_t){ 0 }));
	say("SO_LINGER off, with a time", setsockopt(p.server, SOL_SOCKET, SO_LINGER, &(struct linger){ 0, 5 }, sizeof(struct linger)));
	get("SO_LINGER", p.server, SOL_SOCKET, SO_LINGER, sizeof(struct linger));
	say("SO_LINGER", setsockopt(p.server, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
	close(p.server);
	say_bits("is reset", poll_now(p.client, EVENTUALLY_MS));
	say("IPV6_V6ONLY", setsockopt(p.client, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int)));
	say("TCP_FASTOPEN_CONNECT", setsockopt(p.client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){ 1 }, sizeof(int)));
	say("connect", connect(p.client, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
	get("error that is left", p.client, SOL_SOCKET, SO_ERROR, sizeof(int));
	close(p.client);
	close(p.listener);
}

/* Before there is data nobody is to be woken; DEFER_ACCEPT 1 lets go after a second at the latest. */
static void deferred(void)
{
	int value = 30, client;
	struct pair p;

	title("TCP_DEFER_ACCEPT");
	listen_on(&p, AF_INET, "127.0.0.1");
	say("set", setsockopt(p.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, sizeof(value)));
	client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	say("connect", connect(client, (struct sockaddr *)&p.addr, p.addr_len));
	say_bits("before data", poll_now(p.listener, 100));
	say("send", send(client, "x", 1, 0));
	say_bits("with data", poll_now(p.listener, EVENTUALLY_MS));
	p.server = accept(p.listener, NULL, NULL);
	must("accept", p.server >= 0);
	say("recv", recv(p.server, &(char){ 0 }, 1, 0));
	close(client);
	close(p.server);
	close(p.listener);
}

/* The error of the connection before, which nobody has asked for, is no matter to one that is opened by sending. */
static void fastopen_again(struct pair *p)
{
	struct iovec iov = { "hello", 5 };
	struct msghdr to = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = &p->addr, .msg_namelen = p->addr_len };
	const struct sockaddr none = { .sa_family = AF_UNSPEC };
	int client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);

	say("listening", sendmsg(p->listener, &(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 }, MSG_FASTOPEN | MSG_NOSIGNAL));
	say("listening, to somebody", sendmsg(p->listener, &to, MSG_FASTOPEN | MSG_NOSIGNAL));
	say("listening, to nobody", sendto(p->listener, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, NULL, 0));
	must("connect", !connect(client, (struct sockaddr *)&p->addr, p->addr_len));
	close(accept(p->listener, NULL, NULL));
	for (int i = 0; i < 2; i++) {
		say("let go", connect(client, &none, sizeof(none)));
		say("without an address", send(client, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL));
		say("by sending", i ? sendmsg(client, &to, MSG_FASTOPEN | MSG_NOSIGNAL) : sendto(client, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&p->addr, p->addr_len));
		get("SO_ERROR", client, SOL_SOCKET, SO_ERROR, sizeof(int));
		p->server = accept(p->listener, NULL, NULL);
		must("accept", p->server >= 0);
		say("recv", recv(p->server, &(char[8]){ 0 }, 8, 0));
		close(p->server);
	}
	close(client);
}

/* Data that goes along with the SYN, as far as it may: the peer has it all in any case. */
static void fastopen(void)
{
	struct pair p;
	int value = 1, client;
	long n;

	title("Fast Open");
	listen_on(&p, AF_INET, "127.0.0.1");
	value = 16;
	say("TCP_FASTOPEN", setsockopt(p.listener, IPPROTO_TCP, TCP_FASTOPEN, &value, sizeof(value)));
	get("TCP_FASTOPEN", p.listener, IPPROTO_TCP, TCP_FASTOPEN, sizeof(int));
	client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	n = sendto(client, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&p.addr, p.addr_len);
	say("sendto", n);
	p.server = accept(p.listener, NULL, NULL);
	must("accept", p.server >= 0);
	say("recv", recv(p.server, &(char[8]){ 0 }, 8, 0));
	say("again", sendto(client, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&p.addr, p.addr_len));
	say("again, without an address", send(client, "hello", 5, MSG_FASTOPEN));
	close(client);
	close(p.server);
	fastopen_again(&p);
	client = socket(tcp_family(AF_INET), SOCK_STREAM, 0);
	value = 1;
	say("TCP_FASTOPEN_CONNECT", setsockopt(client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &value, sizeof(value)));
	say("connect", connect(client, (struct sockaddr *)&p.addr, p.addr_len));
	say("send", send(client, "hello", 5, 0));
	p.server = accept(p.listener, NULL, NULL);
	must("accept", p.server >= 0);
	say("recv", recv(p.server, &(char[8]){ 0 }, 8, 0));
	close(client);
	close(p.server);
	close(p.listener);
}

void calls_options(void)
{
	struct pair p;
	int fd = socket(tcp_family(AF_INET), SOCK_STREAM, 0);

	before_connection(fd);
	all_of("all options, fresh", fd);
	congestion("congestion control, fresh", fd);
	pacing("pacing, fresh", fd);
	arguments("arguments, fresh", fd);
	info("information, fresh", fd);
	close(fd);
	pair_open(&p, AF_INET, "127.0.0.1");
	all_of("all options, listening", p.listener);
	all_of("all options, connected", p.client);
	all_of("all options, accepted", p.server);
	pair_close(&p);
	pair_open(&p, AF_INET, "127.0.0.1");
	for (int tos = 0x10; tos <= 0xff; tos += 0x77) {
		say("IP_TOS", setsockopt(p.client, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
		get("SO_PRIORITY, by that", p.client, SOL_SOCKET, SO_PRIORITY, sizeof(int));
	}
	pair_close(&p);
	pair_open(&p, AF_INET6, "::1");
	congestion("congestion control, connected", p.client);
	congestion("congestion control, accepted", p.server);
	pacing("pacing, connected", p.client);
	pacing("pacing, accepted", p.server);
	arguments("arguments, connected", p.client);
	arguments("arguments, accepted", p.server);
	path_mtu("path MTU, IPv6, listening", p.listener, IPPROTO_IPV6, IPV6_MTU, IPV6_MTU_DISCOVER);
	path_mtu("path MTU, IPv6, connected", p.client, IPPROTO_IPV6, IPV6_MTU, IPV6_MTU_DISCOVER);
	path_mtu("path MTU, IPv6, accepted", p.server, IPPROTO_IPV6, IPV6_MTU, IPV6_MTU_DISCOVER);
	all_of("all options over IPv6, connected", p.client);
	all_of("all options over IPv6, accepted", p.server);
	pair_close(&p);
	pair_open(&p, AF_INET, "127.0.0.1");
	info("information, listening", p.listener);
	info("information, connected", p.client);
	info("information, accepted", p.server);
	info_window_closed();
	info_passed(AF_INET, "127.0.0.1");
	info_passed(AF_INET6, "::1");
	path_mtu("path MTU, IPv4, listening", p.listener, IPPROTO_IP, IP_MTU, IP_MTU_DISCOVER);
	path_mtu("path MTU, IPv4, connected", p.client, IPPROTO_IP, IP_MTU, IP_MTU_DISCOVER);
	path_mtu("path MTU, IPv4, accepted", p.server, IPPROTO_IP, IP_MTU, IP_MTU_DISCOVER);
	path_mtu("path MTU, IPv4, asked as IPv6", p.client, IPPROTO_IPV6, IPV6_MTU, IPV6_MTU_DISCOVER);
	pair_close(&p);
	neighbours();
	hands_on(AF_INET, "127.0.0.1");
	hands_on(AF_INET6, "::1");
	over();
	deferred();
	fastopen();
}

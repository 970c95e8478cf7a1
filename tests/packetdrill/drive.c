// SPDX-License-Identifier: BSD-2-Clause
/*
 * Plays scripts (drive.h) on libvj-packetdrill.so, loaded as packetdrill loads it
 *
 *	drive LIBRARY PLAY...		the test: says which line of which play failed
 *	drive -t LIBRARY PLAY...	prints what leaves, instead of comparing it
 *	drive -t kernel PLAY...		the same for the kernel of this machine (root): two traces, one difference
 */
#include "tests/packetdrill/drive.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define FDS_MAX 32
#define LINE_MAX_BYTES 512
#define OUT_MAX 512
#define TOLERANCE_US 4500
#define TOLERANCE_KERNEL_US 100000 /* it lives in real time, on a busy machine */
#define CALL_BYTES (1 << 20)

struct out_packet {
	long long time_us;
	char text[256];
};

/* A call, taken apart */
struct call {
	char name[24];
	char words[6][48];
	int words_cnt;
	bool has_result;
	long result;
	char error[24];
	double takes_s; /* blocking */
	/* filled when it has been made */
	long got;
	int got_errno;
	long long end_us;
};

struct play {
	struct packetdrill_interface table;
	struct drive_flow flow;
	bool trace;
	bool libc; /* the library has taken libc's place */
	long long tolerance_us;
	const char *file;
	int line;
	int fds[FDS_MAX]; /* by the script's number; 0: none */
	long long start_us, now_us; /* now_us: since start, as the play has it */
	struct out_packet out[OUT_MAX];
	unsigned int out_first, out_cnt;
	uint16_t echo_seq;
	/* the second thread */
	pthread_t second;
	struct call *blocking;
	pid_t second_tid;
	bool second_done;
	long long second_start_us;
	int failed;
};

static const struct {
	const char *name;
	int err;
} errnos[] = {
	{ "EAGAIN", EAGAIN },	      { "EINPROGRESS", EINPROGRESS },	{ "EALREADY", EALREADY },
	{ "EISCONN", EISCONN },	      { "ENOTCONN", ENOTCONN },		{ "EPIPE", EPIPE },
	{ "ECONNRESET", ECONNRESET }, { "ECONNREFUSED", ECONNREFUSED }, { "ETIMEDOUT", ETIMEDOUT },
	{ "EINVAL", EINVAL },	      { "EADDRINUSE", EADDRINUSE },	{ "EHOSTUNREACH", EHOSTUNREACH },
	{ "EBADF", EBADF },	      { "ENOPROTOOPT", ENOPROTOOPT },	{ "EFAULT", EFAULT },
	{ "EMSGSIZE", EMSGSIZE },     { "EDESTADDRREQ", EDESTADDRREQ }, { "EOPNOTSUPP", EOPNOTSUPP },
};

static void fail(struct play *p, const char *what, const char *more)
{
	fprintf(stderr, "%s:%d: (IPv%c) %s%s%s\n", p->file, p->line, p->flow.v6 ? '6' : '4', what, more != NULL ? ": " : "",
		more != NULL ? more : "");
	p->failed++;
}

static long long clock_us(struct play *p)
{
	struct timeval tv;

	p->table.gettimeofday(p->table.userdata, &tv, NULL);
	return tv.tv_sec * 1000000LL + tv.tv_usec - p->start_us;
}

static void sleep_until(struct play *p, long long until_us)
{
	long long now_us = clock_us(p);

	if (until_us > now_us)
		p->table.usleep(p->table.userdata, (useconds_t)(until_us - now_us));
}

/* ---- what leaves ----------------------------------------------------------------------------- */

/* One packet. Return: false: it is the answer to echo request @seq. */
static bool out_receive(struct play *p, uint16_t seq)
{
	static uint8_t buf[DRIVE_PACKET_MAX];
	size_t len = sizeof(buf);
	struct out_packet *out = &p->out[(p->out_first + p->out_cnt) % OUT_MAX];
	long long time_us;

	if (p->table.netdev_receive(p->table.userdata, buf, &len, &time_us) != 0 || len < 20) {
		fail(p, "nothing leaves", NULL);
		exit(1);
	}
	if (drive_is_echo(buf, len, seq))
		return false;
	/* the kernel's own on a fresh device: neighbours, routers, multicast */
	if (buf[0] >> 4 == 6 && (buf[6] == 0 || (buf[6] == 58 && buf[40] >= 130)))
		return true;
	if ((buf[0] >> 4 == 6) != p->flow.v6 || (buf[0] >> 4 == 4 && buf[9] == 2))
		return true;
	drive_format(&p->flow, buf, len, out->text, sizeof(out->text));
	out->time_us = time_us - p->start_us;
	if (p->trace)
		printf("%9.3f > %s\n", (double)out->time_us / 1e6, out->text);
	else if (p->out_cnt < OUT_MAX)
		p->out_cnt++;
	return true;
}

/* Everything that has left by now */
static void out_collect(struct play *p)
{
	uint8_t packet[128];
	uint16_t seq = ++p->echo_seq;

	if (p->table.netdev_send(p->table.userdata, packet, drive_build_echo(&p->flow, seq, packet)) != 0) {
		fail(p, "netdev_send", NULL);
		return;
	}
	while (out_receive(p, seq))
		;
}

static void out_expect(struct play *p, const char *want)
{
	struct out_packet *out;
	char more[LINE_MAX_BYTES * 2];

	if (p->trace)
		return;
	if (strcmp(want, "none") == 0) {
		sleep_until(p, p->now_us);
		out_collect(p);
		if (p->out_cnt != 0)
			fail(p, "a packet leaves that should not", p->out[p->out_first].text);
		return;
	}
	out_collect(p);
	while (p->out_cnt == 0)
		out_receive(p, 0);
	out = &p->out[p->out_first];
	snprintf(more, sizeof(more), "\n  wanted %.6f %s\n  got    %.6f %s", (double)p->now_us / 1e6, want,
		 (double)out->time_us / 1e6, out->text);
	if (!drive_match(want, out->text))
		fail(p, "another packet", more);
	else if (llabs(out->time_us - p->now_us) > p->tolerance_us)
		fail(p, "at another time", more);
	p->out_first = (p->out_first + 1) % OUT_MAX;
	p->out_cnt--;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static socklen_t address(const struct play *p, bool local, struct sockaddr_storage *ret)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const uint8_t *ip = local ? p->flow.local : p->flow.remote;
	in_port_t port = htons(local ? DRIVE_LOCAL_PORT : DRIVE_REMOTE_PORT);

	if (p->flow.v6) {
		memcpy(&in6.sin6_addr, ip, 16);
		in6.sin6_port = port;
		memcpy(ret, &in6, sizeof(in6));
		return sizeof(in6);
	}
	memcpy(&in.sin_addr, ip + 12, 4);
	in.sin_port = port;
	memcpy(ret, &in, sizeof(in));
	return sizeof(in);
}

static const struct {
	const char *name;
	int level, opt;
} options[] = {
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY },
	{ "cork", IPPROTO_TCP, TCP_CORK },
	{ "quickack", IPPROTO_TCP, TCP_QUICKACK },
	{ "maxseg", IPPROTO_TCP, TCP_MAXSEG },
	{ "keepidle", IPPROTO_TCP, TCP_KEEPIDLE },
	{ "keepintvl", IPPROTO_TCP, TCP_KEEPINTVL },
	{ "keepcnt", IPPROTO_TCP, TCP_KEEPCNT },
	{ "user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ "notsent_lowat", IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ "fastopen", IPPROTO_TCP, TCP_FASTOPEN },
	{ "fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ "syncnt", IPPROTO_TCP, TCP_SYNCNT },
	{ "linger2", IPPROTO_TCP, TCP_LINGER2 },
	{ "defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT },
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE },
	{ "reuseaddr", SOL_SOCKET, SO_REUSEADDR },
	{ "rcvbuf", SOL_SOCKET, SO_RCVBUF },
	{ "sndbuf", SOL_SOCKET, SO_SNDBUF },
	{ "rcvlowat", SOL_SOCKET, SO_RCVLOWAT },
	{ "error", SOL_SOCKET, SO_ERROR },
	{ "zerocopy", SOL_SOCKET, SO_ZEROCOPY },
};

static const struct {
	const char *name;
	int flag;
} msg_flags[] = {
	{ "peek", MSG_PEEK }, { "dontwait", MSG_DONTWAIT }, { "waitall", MSG_WAITALL }, { "trunc", MSG_TRUNC },
	{ "more", MSG_MORE }, { "zerocopy", MSG_ZEROCOPY }, { "errqueue", MSG_ERRQUEUE },
};

static int flags_of(const char *word)
{
	int flags = 0;

	for (size_t i = 0; i < sizeof(msg_flags) / sizeof(msg_flags[0]); i++)
		if (strstr(word, msg_flags[i].name) != NULL)
			flags |= msg_flags[i].flag;
	return flags;
}

static long call_option(struct play *p, int fd, const struct call *c, bool set)
{
	int value = atoi(c->words[2]);
	socklen_t len = sizeof(value);

	if (strcmp(c->words[1], "linger") == 0) {
		struct linger linger = { 1, value };

		return p->table.setsockopt(p->table.userdata, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	if (strcmp(c->words[1], "congestion") == 0)
		return p->table.setsockopt(p->table.userdata, fd, IPPROTO_TCP, TCP_CONGESTION, c->words[2],
					   (socklen_t)strlen(c->words[2]));
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		long ret;

		if (strcmp(options[i].name, c->words[1]) != 0)
			continue;
		if (set)
			return p->table.setsockopt(p->table.userdata, fd, options[i].level, options[i].opt, &value, len);
		value = 0;
		ret = p->table.getsockopt(p->table.userdata, fd, options[i].level, options[i].opt, &value, &len);
		return ret != 0 ? ret : value;
	}
	errno = ENOSYS;
	return -1;
}

static long call_socket(struct play *p, const struct call *c)
{
	int type = strstr(c->words[1], "udp") != NULL ? SOCK_DGRAM : SOCK_STREAM;
	int fd;

	if (strstr(c->words[1], "nonblock") != NULL)
		type |= SOCK_NONBLOCK;
	fd = p->table.socket(p->table.userdata, p->flow.v6 || strstr(c->words[1], "dual") != NULL ? AF_INET6 : AF_INET, type, 0);
	if (fd >= 0)
		p->fds[atoi(c->words[0])] = fd;
	return fd;
}

static uint32_t bits_of(const char *word)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} bits[] = {
		{ "in", EPOLLIN },  { "out", EPOLLOUT }, { "rdhup", EPOLLRDHUP },   { "err", EPOLLERR },
		{ "hup", EPOLLHUP }, { "et", EPOLLET },	 { "oneshot", EPOLLONESHOT },
	};
	uint32_t ret = 0;
	char copy[48], *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", word);
	for (char *one = strtok_r(copy, "|", &rest); one != NULL; one = strtok_r(NULL, "|", &rest))
		for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
			if (strcmp(one, bits[i].name) == 0)
				ret |= bits[i].bit;
	return ret;
}

/* poll and epoll_wait give the bits, 0 if the time is over */
static long call_poll(struct play *p, int fd, const struct call *c)
{
	struct pollfd pfd = { .fd = fd, .events = (short)bits_of(c->words[1]) };
	int ret = p->table.poll(p->table.userdata, &pfd, 1, atoi(c->words[2]));

	return ret > 0 ? pfd.revents : ret;
}

static long call_epoll(struct play *p, int fd, const struct call *c)
{
	struct epoll_event ev = { .events = bits_of(c->words[2]) };
	int ret;

	if (strcmp(c->name, "epoll_create") == 0) {
		ret = p->table.epoll_create(p->table.userdata, 1);
		p->fds[atoi(c->words[0])] = ret;
		return ret;
	}
	if (strcmp(c->name, "epoll_add") == 0)
		return p->table.epoll_ctl(p->table.userdata, fd, EPOLL_CTL_ADD, p->fds[atoi(c->words[1])], &ev);
	if (strcmp(c->name, "epoll_mod") == 0)
		return p->table.epoll_ctl(p->table.userdata, fd, EPOLL_CTL_MOD, p->fds[atoi(c->words[1])], &ev);
	ret = p->table.epoll_wait(p->table.userdata, fd, &ev, 1, atoi(c->words[1]));
	return ret > 0 ? (long)ev.events : ret;
}

static long call_open(struct play *p, int fd, const struct call *c)
{
	struct sockaddr_storage addr;
	socklen_t len;
	long ret;

	if (strcmp(c->name, "bind") == 0) {
		len = address(p, true, &addr);
		return p->table.bind(p->table.userdata, fd, (struct sockaddr *)&addr, len);
	}
	if (strcmp(c->name, "fastopen") == 0) {
		static char data[CALL_BYTES];

		len = address(p, false, &addr);
		return p->table.sendto(p->table.userdata, fd, data, (size_t)atoi(c->words[1]), MSG_FASTOPEN,
				       (struct sockaddr *)&addr, len);
	}
	if (strcmp(c->name, "connect") == 0) {
		len = address(p, false, &addr);
		return p->table.connect(p->table.userdata, fd, (struct sockaddr *)&addr, len);
	}
	len = sizeof(addr);
	ret = p->table.accept(p->table.userdata, fd, (struct sockaddr *)&addr, &len);
	if (ret >= 0 && c->words_cnt > 1)
		p->fds[atoi(c->words[1])] = (int)ret;
	return ret;
}

static long call_ioctl(struct play *p, int fd, const struct call *c)
{
	unsigned long request = strcmp(c->words[1], "inq") == 0	 ? SIOCINQ
				: strcmp(c->words[1], "outq") == 0 ? SIOCOUTQ
								   : SIOCOUTQNSD;
	int value = -1, ret = p->table.ioctl(p->table.userdata, fd, request, &value);

	return ret != 0 ? ret : value;
}

static long call_make(struct play *p, const struct call *c)
{
	static char buf[2][CALL_BYTES]; /* a thread's each */
	char *b = buf[c == p->blocking];
	int fd = p->fds[atoi(c->words[0]) % FDS_MAX];
	size_t len = (size_t)atoi(c->words[1]);

	if (strcmp(c->name, "socket") == 0)
		return call_socket(p, c);
	if (strcmp(c->name, "bind") == 0 || strcmp(c->name, "connect") == 0 || strcmp(c->name, "accept") == 0 ||
	    strcmp(c->name, "fastopen") == 0)
		return call_open(p, fd, c);
	if (strcmp(c->name, "listen") == 0)
		return p->table.listen(p->table.userdata, fd, (int)len);
	if (strcmp(c->name, "read") == 0)
		return p->table.recv(p->table.userdata, fd, b, len, flags_of(c->words[2]));
	if (strcmp(c->name, "write") == 0)
		return p->table.send(p->table.userdata, fd, b, len, flags_of(c->words[2]) | MSG_NOSIGNAL);
	if (strcmp(c->name, "close") == 0)
		return p->table.close(p->table.userdata, fd);
	if (strcmp(c->name, "shutdown") == 0)
		return p->table.shutdown(p->table.userdata, fd,
					 strcmp(c->words[1], "wr") == 0 ? SHUT_WR : strcmp(c->words[1], "rd") == 0 ? SHUT_RD
														     : SHUT_RDWR);
	if (strcmp(c->name, "set") == 0 || strcmp(c->name, "get") == 0)
		return call_option(p, fd, c, c->name[0] == 's');
	if (strcmp(c->name, "nonblock") == 0)
		return p->table.fcntl(p->table.userdata, fd, F_SETFL, O_RDWR | (len != 0 ? O_NONBLOCK : 0));
	if (strcmp(c->name, "ioctl") == 0)
		return call_ioctl(p, fd, c);
	if (strcmp(c->name, "poll") == 0)
		return call_poll(p, fd, c);
	if (strncmp(c->name, "epoll", 5) == 0)
		return call_epoll(p, fd, c);
	errno = ENOSYS;
	return -1;
}

static void call_check(struct play *p, const struct call *c)
{
	char more[128];
	int want_errno = 0;
	bool ok = c->has_result ? c->got == c->result : c->got >= 0;

	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++)
		if (strcmp(errnos[i].name, c->error) == 0)
			want_errno = errnos[i].err;
	if (p->trace) {
		printf("%9.3f   %s %s = %ld%s%s\n", (double)c->end_us / 1e6, c->name, c->words[0], c->got,
		       c->got < 0 ? " " : "", c->got < 0 ? strerror(c->got_errno) : "");
		return;
	}
	if (ok && (want_errno == 0 || want_errno == c->got_errno))
		return;
	snprintf(more, sizeof(more), "%s: wanted %ld %s, got %ld %s", c->name, c->has_result ? c->result : 0, c->error, c->got,
		 c->got < 0 ? strerror(c->got_errno) : "");
	fail(p, "another result", more);
}

/* ---- the second thread ----------------------------------------------------------------------- */

static void *second_thread(void *arg)
{
	struct play *p = arg;
	struct call *c = p->blocking;

	__atomic_store_n(&p->second_tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	c->got = call_make(p, c);
	c->got_errno = errno;
	c->end_us = clock_us(p);
	__atomic_store_n(&p->second_done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool second_sleeps(const struct play *p)
{
	char path[64], text[128] = "", state = 'R';
	const char *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", __atomic_load_n(&p->second_tid, __ATOMIC_SEQ_CST));
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) > 0 && (at = strrchr(text, ')')) != NULL)
		state = at[2];
	close(fd);
	return state == 'S';
}

static void second_start(struct play *p, const struct call *c)
{
	p->blocking = malloc(sizeof(*c));
	*p->blocking = *c;
	p->second_tid = 0;
	p->second_done = false;
	p->second_start_us = p->now_us;
	pthread_create(&p->second, NULL, second_thread, p);
	while (!__atomic_load_n(&p->second_done, __ATOMIC_SEQ_CST) &&
	       !(__atomic_load_n(&p->second_tid, __ATOMIC_SEQ_CST) != 0 && second_sleeps(p)))
		sched_yield();
}

/* Wait, half a minute at most, for the call that blocks to be over. */
static void second_join(struct play *p)
{
	struct call *c = p->blocking;
	char more[64];

	if (c == NULL)
		return;
	/* it may be over at a tick of a timer that comes a little later */
	for (int ms = 0; ms < 30000 && !__atomic_load_n(&p->second_done, __ATOMIC_SEQ_CST); ms++) {
		usleep(1000);
		if (ms == 50)
			p->table.usleep(p->table.userdata, TOLERANCE_US);
	}
	if (!__atomic_load_n(&p->second_done, __ATOMIC_SEQ_CST)) {
		fail(p, "a call still blocks", c->name);
		exit(1);
	}
	pthread_join(p->second, NULL);
	call_check(p, c);
	snprintf(more, sizeof(more), "%s took %.6f s", c->name, (double)(c->end_us - p->second_start_us) / 1e6);
	if (!p->trace && llabs(c->end_us - p->second_start_us - (long long)(c->takes_s * 1e6)) > p->tolerance_us)
		fail(p, "another duration", more);
	p->blocking = NULL;
	free(c);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool call_parse(char *text, struct call *c)
{
	char *rest = NULL, *word, *result = strchr(text, '=');
	char *takes = strchr(text, '@');

	memset(c, 0, sizeof(*c));
	if (takes != NULL) {
		*takes = '\0';
		c->takes_s = strtod(takes + 1, NULL);
	}
	if (result != NULL) {
		*result = '\0';
		c->has_result = sscanf(result + 1, "%ld %23s", &c->result, c->error) >= 1;
	}
	for (word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		if (c->name[0] == '\0')
			snprintf(c->name, sizeof(c->name), "%s", word);
		else if (c->words_cnt < 6)
			snprintf(c->words[c->words_cnt++], sizeof(c->words[0]), "%s", word);
	}
	return c->name[0] != '\0';
}

static void info_check(struct play *p, char *text)
{
	static const struct {
		const char *name;
		size_t off, size;
	} members[] = {
#define MEMBER(name) { #name, offsetof(struct tcp_info, tcpi_##name), sizeof(((struct tcp_info *)0)->tcpi_##name) }
		MEMBER(state),	MEMBER(ca_state), MEMBER(snd_cwnd),	 MEMBER(snd_ssthresh),	MEMBER(unacked),
		MEMBER(sacked), MEMBER(lost),	  MEMBER(retrans),	 MEMBER(total_retrans), MEMBER(rtt),
		MEMBER(rto),	MEMBER(snd_mss),  MEMBER(rttvar),	 MEMBER(options),	MEMBER(backoff),
		MEMBER(probes), MEMBER(retransmits), MEMBER(reordering),
	};
	struct tcp_info info;
	socklen_t len = sizeof(info);
	char *rest = NULL, more[96];
	int fd = p->fds[strtol(text, &text, 10) % FDS_MAX];

	/* as packetdrill itself asks: by libc */
	if (p->libc && (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || len != sizeof(info)))
		fail(p, "TCP_INFO by libc", strerror(errno));
	len = sizeof(info);
	if (p->table.getsockopt(p->table.userdata, fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || len != sizeof(info)) {
		fail(p, "TCP_INFO", strerror(errno));
		return;
	}
	for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
		char name[24];
		long want, got = -1, tolerance = 0;

		if (sscanf(word, "%23[a-z_]=%ld~%ld", name, &want, &tolerance) < 2)
			fail(p, "cannot read", word);
		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
			const uint8_t *at = (const uint8_t *)&info + members[i].off;

			if (strcmp(members[i].name, name) == 0)
				got = members[i].size == 1 ? *at : (long)*(const uint32_t *)(const void *)at;
		}
		snprintf(more, sizeof(more), "%s is %ld, not %ld", name, got, want);
		if (p->trace)
			printf("%9.3f   info %s=%ld\n", (double)p->now_us / 1e6, name, got);
		else if (labs(got - want) > tolerance)
			fail(p, "TCP_INFO", more);
	}
}

static void line_packet(struct play *p, const char *text)
{
	static uint8_t packet[DRIVE_PACKET_MAX];
	size_t len;

	if (p->trace)
		out_collect(p);
	len = drive_build(&p->flow, text, packet);
	if (p->trace)
		printf("%9.3f < %s\n", (double)p->now_us / 1e6, text);
	if (len == 0 || p->table.netdev_send(p->table.userdata, packet, len) != 0)
		fail(p, "packet not sent", text);
	out_collect(p);
}

static void line_call(struct play *p, char *text)
{
	bool blocks = text[0] == '&';
	struct call c;

	second_join(p);
	if (!call_parse(text + blocks, &c)) {
		fail(p, "cannot read", text);
		return;
	}
	if (blocks) {
		second_start(p, &c);
		out_collect(p);
		return;
	}
	errno = 0;
	c.got = call_make(p, &c);
	c.got_errno = errno;
	c.end_us = p->now_us;
	call_check(p, &c);
	out_collect(p);
}

/* $mss: what our SYN says */
static void line_expand(const struct play *p, char *text, size_t room)
{
	char *at = strstr(text, "$mss"), copy[LINE_MAX_BYTES];

	if (at == NULL)
		return;
	snprintf(copy, sizeof(copy), "%.*s%d%s", (int)(at - text), text, p->flow.v6 ? 1440 : 1460, at + 4);
	snprintf(text, room, "%s", copy);
}

static void line_play(struct play *p, char *text)
{
	char *event;
	double after = strtod(text, &event);

	while (*event == ' ')
		event++;
	p->now_us += (long long)(after * 1e6 + 0.5);
	if (event[0] == '>') {
		if (p->trace)
			sleep_until(p, p->now_us);
		out_expect(p, event + 2);
		return;
	}
	sleep_until(p, p->now_us);
	if (!p->trace) {
		out_collect(p);
		if (p->out_cnt != 0) {
			fail(p, "left before, and was not expected", p->out[p->out_first].text);
			p->out_cnt = 0;
		}
	}
	if (event[0] == '<')
		line_packet(p, event + 2);
	else if (strncmp(event, "info ", 5) == 0)
		info_check(p, event + 5);
	else if (strcmp(event, "join") == 0)
		second_join(p);
	else
		line_call(p, event);
}

/* ---- plays ----------------------------------------------------------------------------------- */

static void flow_init(struct drive_flow *flow, bool v6)
{
	*flow = (struct drive_flow){
		.v6 = v6,
		.lport = DRIVE_LOCAL_PORT,
		.rport = DRIVE_REMOTE_PORT,
		.remote_isn = 0xfffff000u,
	};
	inet_pton(AF_INET6, v6 ? "fd3d:fa7b:d17d::9" : "::ffff:192.168.3.9", flow->local);
	inet_pton(AF_INET6, v6 ? "2001:db8::1" : "::ffff:192.0.2.1", flow->remote);
}

/* Linked into the same program, for sanitizers */
extern __typeof__(packetdrill_interface_init) packetdrill_interface_init __attribute__((weak));

static int table_load(struct play *p, const char *library, const char *flags)
{
	void (*init)(const char *, struct packetdrill_interface *);
	struct drive_flow v4, v6;
	void *handle;

	if (strcmp(library, "kernel") == 0) {
		flow_init(&v4, false);
		flow_init(&v6, true);
		return drive_kernel_init(&p->table, &v4, &v6);
	}
	if (strcmp(library, "linked") == 0 && packetdrill_interface_init != NULL) {
		packetdrill_interface_init(flags, &p->table);
		return 0;
	}
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (handle == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	*(void **)&init = dlsym(handle, "packetdrill_interface_init");
	if (init == NULL)
		return -1;
	init(flags, &p->table);
	return 0;
}

static void play_lines(struct play *p, char *text)
{
	char *rest = NULL;

	for (char *line = text; line != NULL; line = rest) {
		char *end;

		rest = strchr(line, '\n');
		if (rest != NULL)
			*rest++ = '\0';
		end = strchr(line, '#');
		if (end != NULL)
			*end = '\0';
		for (end = line + strlen(line); end > line && isspace((unsigned char)end[-1]); end--)
			end[-1] = '\0';
		p->line++;
		if (line[0] == '+' && p->failed == 0) {
			char copy[LINE_MAX_BYTES];

			snprintf(copy, sizeof(copy), "%s", line);
			line_expand(p, copy, sizeof(copy));
			line_play(p, copy);
		}
	}
	second_join(p);
	out_collect(p);
	if (p->out_cnt != 0 && p->failed == 0)
		fail(p, "left at the end, and was not expected", p->out[p->out_first].text);
}

static int play_run(const char *library, const char *file, const char *text, bool v6, bool trace)
{
	struct play *p = calloc(1, sizeof(*p));
	char *copy = strdup(text), flags[256] = "sysctl=0";
	const char *at = strstr(text, "\nflags ");
	int failed;

	p->trace = trace;
	p->libc = strcmp(library, "linked") != 0 && strcmp(library, "kernel") != 0;
	p->tolerance_us = strcmp(library, "kernel") == 0 ? TOLERANCE_KERNEL_US : TOLERANCE_US;
	p->file = file;
	flow_init(&p->flow, v6);
	if (at != NULL)
		snprintf(flags, sizeof(flags), "sysctl=0,%.*s", (int)strcspn(at + 7, "\n"), at + 7);
	if (table_load(p, library, flags) != 0) {
		fprintf(stderr, "%s cannot be used\n", library);
		exit(1);
	}
	p->start_us = clock_us(p);
	play_lines(p, copy);
	for (int i = 0; trace && i < FDS_MAX; i++)
		if (p->fds[i] > 0)
			(void)p->table.close(p->table.userdata, p->fds[i]);
	p->table.free(p->table.userdata);
	failed = p->failed;
	free(copy);
	free(p);
	return failed;
}

static char *file_read(const char *file)
{
	static char text[1 << 16];
	FILE *in = fopen(file, "r");
	size_t len;

	if (in == NULL) {
		perror(file);
		exit(1);
	}
	len = fread(text, 1, sizeof(text) - 1, in);
	text[len] = '\0';
	fclose(in);
	return text;
}

int main(int argc, char **argv)
{
	bool trace = argc > 1 && strcmp(argv[1], "-t") == 0;
	int failed = 0, runs = 0;

	if (argc < 3 + trace) {
		fprintf(stderr, "usage: drive [-t] LIBRARY|kernel PLAY...\n");
		return 2;
	}
	for (int i = 2 + trace; i < argc; i++) {
		const char *text = file_read(argv[i]);

		if (strstr(text, "\nipv6\n") == NULL) {
			failed += play_run(argv[1 + trace], argv[i], text, false, trace);
			runs++;
		}
		if (strstr(text, "\nipv4\n") == NULL && !trace) {
			failed += play_run(argv[1 + trace], argv[i], text, true, trace);
			runs++;
		}
	}
	if (!trace)
		printf("%d plays, %d failed\n", runs, failed);
	return failed != 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* differ_options.c - socket options as `differ_calls` draws them */
#include "differ.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

/* Of <linux/in6.h>, which does not go with <netinet/in.h> */
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#define IPV6_FLOWINFO_SEND 33
#endif

/* What of an option is not compared, or not drawn: `why` */
enum mask {
	MASK_NONE = 0,
	MASK_VALUE = 1, /* its value differs by design or by chance */
	MASK_SET = 2,	/* it is not set: it would change what is by design, or time */
	MASK_BOTH = MASK_VALUE | MASK_SET,
	MASK_SET_TCP = 4, /* not set of TCP sockets */
};

struct option {
	int level, name;
	const char *text;
	enum mask mask;
	const char *why;
	int values[4]; /* besides 0 and 1 */
};

#define OPTION(level, name, ...) { level, name, #name, __VA_ARGS__ }
#define PLAIN MASK_NONE, NULL

static const char buffers[] = "a channel's buffers are its own, in size";
static const char chance[] = "is another each time";
static const char numbers[] = "what the kernel measures of its own packets";
static const char waits[] = "calls that find nothing would wait for ever";
static const char times[] = "takes time, or gives times";
static const char stamps[] = "a segment has a time if anybody of this machine wanted times when it came";
static const char packets[] = "is about the kernel's packets";

static const struct option options[] = {
	OPTION(SOL_SOCKET, SO_ERROR, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ERROR, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ERROR, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_TYPE, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_PROTOCOL, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_DOMAIN, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ACCEPTCONN, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_DEBUG, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_KEEPALIVE, PLAIN, { 2, -1 }),
	OPTION(SOL_SOCKET, SO_REUSEADDR, PLAIN, { 2, -1 }),
	OPTION(SOL_SOCKET, SO_REUSEPORT, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_BROADCAST, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_OOBINLINE, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_LINGER, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_LINGER, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVTIMEO, MASK_SET, waits, { 0 }),
	OPTION(SOL_SOCKET, SO_SNDTIMEO, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVBUF, MASK_BOTH, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_SNDBUF, MASK_BOTH, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVBUFFORCE, MASK_BOTH, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_SNDBUFFORCE, MASK_BOTH, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVLOWAT, PLAIN, { 5, 100, -1 }),
	OPTION(SOL_SOCKET, SO_SNDLOWAT, PLAIN, { 5 }),
	OPTION(SOL_SOCKET, SO_PRIORITY, PLAIN, { 5, 7, -1 }),
	OPTION(SOL_SOCKET, SO_TIMESTAMP, MASK_SET_TCP, stamps, { 2 }),
	OPTION(SOL_SOCKET, SO_TIMESTAMPNS, MASK_SET_TCP, stamps, { 2 }),
	OPTION(SOL_SOCKET, SO_TIMESTAMPING, MASK_SET, times, { 0 }),
	OPTION(SOL_SOCKET, SO_BINDTODEVICE, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_BINDTOIFINDEX, PLAIN, { -1 }),
	OPTION(SOL_SOCKET, SO_MARK, PLAIN, { 5 }),
	OPTION(SOL_SOCKET, SO_DONTROUTE, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PASSCRED, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PASSSEC, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PEERCRED, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_PEERSEC, MASK_VALUE, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_PEERGROUPS, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_NO_CHECK, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_RXQ_OVFL, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_WIFI_STATUS, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_NOFCS, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PEEK_OFF, MASK_BOTH, "of TCP it is refused, as before Linux 6.9", { 0 }),
	OPTION(SOL_SOCKET, SO_INCOMING_CPU, MASK_BOTH, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_INCOMING_NAPI_ID, MASK_BOTH, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_COOKIE, MASK_BOTH, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_MEMINFO, MASK_BOTH, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_BUSY_POLL, PLAIN, { 50, -1 }),
	OPTION(SOL_SOCKET, SO_PREFER_BUSY_POLL, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_BUSY_POLL_BUDGET, PLAIN, { 8, -1, 70000 }),
	OPTION(SOL_SOCKET, SO_SELECT_ERR_QUEUE, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_LOCK_FILTER, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ATTACH_FILTER, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_DETACH_FILTER, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ATTACH_BPF, PLAIN, { -1 }),
	OPTION(SOL_SOCKET, SO_ZEROCOPY, PLAIN, { 2, -1 }),
	OPTION(SOL_SOCKET, SO_TXTIME, PLAIN, { -1 }),
	OPTION(SOL_SOCKET, SO_MAX_PACING_RATE, MASK_SET, times, { 0 }),
	OPTION(SOL_SOCKET, SO_RESERVE_MEM, MASK_BOTH, buffers, { 0 }),
	OPTION(IPPROTO_TCP, TCP_NODELAY, PLAIN, { 2, -1 }),
	OPTION(IPPROTO_TCP, TCP_CORK, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_MAXSEG, MASK_VALUE, "a channel's segments are larger", { 500, 1400, 87, 100000 }),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE, PLAIN, { 10, 32767, 32768, -1 }),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL, PLAIN, { 10, 32767, 32768, -1 }),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT, PLAIN, { 10, 127, 128, -1 }),
	OPTION(IPPROTO_TCP, TCP_SYNCNT, PLAIN, { 10, 127, 128, -1 }),
	OPTION(IPPROTO_TCP, TCP_LINGER2, PLAIN, { 10, 1000, -1 }),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT, MASK_SET, times, { 0 }),
	OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP, MASK_BOTH, buffers, { 0 }),
	OPTION(IPPROTO_TCP, TCP_INFO, MASK_VALUE, numbers, { 0 }),
	OPTION(IPPROTO_TCP, TCP_QUICKACK, MASK_VALUE, "changes by itself", { 2 }),
	OPTION(IPPROTO_TCP, TCP_CONGESTION, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, PLAIN, { 1000, -1 }),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN, PLAIN, { 10, -1 }),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, MASK_SET, times, { 0 }),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN_KEY, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, PLAIN, { 100000, -1 }),
	OPTION(IPPROTO_TCP, TCP_INQ, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_TIMESTAMP, MASK_BOTH, chance, { 0 }),
	OPTION(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_THIN_DUPACK, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_SAVE_SYN, MASK_SET, packets, { 0 }),
	OPTION(IPPROTO_TCP, TCP_SAVED_SYN, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_ULP, MASK_SET, "is what a module makes of it", { 0 }),
	OPTION(IPPROTO_TCP, TCP_REPAIR, MASK_SET, packets, { 0 }),
	OPTION(IPPROTO_TCP, TCP_REPAIR_QUEUE, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_REPAIR_OPTIONS, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_QUEUE_SEQ, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_MD5SIG, MASK_SET, packets, { 0 }),
	OPTION(IPPROTO_IP, IP_TOS, PLAIN, { 16, 255, 256, -1 }),
	OPTION(IPPROTO_IP, IP_TTL, PLAIN, { 5, 255, 256, -1 }),
	OPTION(IPPROTO_IP, IP_HDRINCL, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_ROUTER_ALERT, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER, PLAIN, { 2, 3, 5, 6 }),
	OPTION(IPPROTO_IP, IP_RECVTOS, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RECVTTL, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RECVOPTS, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RETOPTS, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_PKTINFO, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RECVERR, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_FREEBIND, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_TRANSPARENT, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_NODEFRAG, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_CHECKSUM, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RECVFRAGSIZE, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MULTICAST_TTL, PLAIN, { 5, 256, -1 }),
	OPTION(IPPROTO_IP, IP_MULTICAST_LOOP, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MULTICAST_ALL, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MULTICAST_IF, PLAIN, { -1 }),
	OPTION(IPPROTO_IP, IP_ADD_MEMBERSHIP, PLAIN, { -1 }),
	OPTION(IPPROTO_IP, IP_DROP_MEMBERSHIP, PLAIN, { -1 }),
	OPTION(IPPROTO_IP, IP_MTU, MASK_BOTH, "the largest packet of a channel", { 0 }),
	OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MINTTL, PLAIN, { 5, 256 }),
	OPTION(IPPROTO_IP, IP_RECVORIGDSTADDR, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_UNICAST_IF, PLAIN, { 16777216, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS, PLAIN, { 16, 255, 256, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, PLAIN, { 5, 255, 256, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, PLAIN, { 5, 256, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_ALL, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_IF, MASK_VALUE, "of an accepted connection, where its SYN came in", { 99, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_2292PKTINFO, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_2292HOPLIMIT, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVRTHDR, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVHOPOPTS, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVDSTOPTS, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVPATHMTU, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, PLAIN, { 2, 3, 5, 6 }),
	OPTION(IPPROTO_IPV6, IPV6_MTU, MASK_BOTH, "the largest packet of a channel", { 0 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_DONTFRAG, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_FLOWINFO, MASK_SET, chance, { 0 }),
	OPTION(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_MINHOPCOUNT, PLAIN, { 5, 256 }),
	OPTION(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, PLAIN, { 2, 4 }),
	OPTION(IPPROTO_IPV6, IPV6_FREEBIND, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_TRANSPARENT, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_IF, PLAIN, { 16777216, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_PKTINFO, PLAIN, { 0 }),
	OPTION(IPPROTO_IPV6, IPV6_RTHDR, PLAIN, { 0 }),
	OPTION(IPPROTO_UDP, UDP_CORK, PLAIN, { 2 }),
	OPTION(IPPROTO_UDP, UDP_SEGMENT, PLAIN, { 100, 70000 }),
	OPTION(IPPROTO_UDP, UDP_GRO, PLAIN, { 2 }),
	OPTION(IPPROTO_UDP, UDP_ENCAP, MASK_SET, packets, { 0 }),
	OPTION(IPPROTO_UDP, UDP_NO_CHECK6_TX, MASK_SET, packets, { 2 }),
	OPTION(IPPROTO_UDP, UDP_NO_CHECK6_RX, PLAIN, { 2 }),
	OPTION(77, 9999, PLAIN, { 5 }),
	OPTION(SOL_SOCKET, 9999, PLAIN, { 5 }),
	OPTION(IPPROTO_TCP, 9999, PLAIN, { 5 }),
	OPTION(IPPROTO_IP, 9999, PLAIN, { 5 }),
	OPTION(IPPROTO_IPV6, 9999, PLAIN, { 5 }),
	OPTION(IPPROTO_UDP, 9999, PLAIN, { 5 }),
};

/* One that is of this socket's kind, with few exceptions */
static const struct option *option_of(uint32_t word, const struct slot *s)
{
	for (unsigned i = 0; i < COUNT(options); i++) {
		const struct option *o = &options[((word & 0xffff) + i) % COUNT(options)];

		if (o->level == SOL_SOCKET || (word >> 16) % 16 == 0 || (o->level == IPPROTO_TCP && s->kind == KIND_TCP) || (o->level == IPPROTO_UDP && s->kind == KIND_UDP) ||
		    (o->level == IPPROTO_IPV6 && s->family == AF_INET6) || (o->level == IPPROTO_IP && (s->family == AF_INET || (word >> 20) % 2)))
			return o;
	}
	return &options[0];
}

/* Return: the length that fits */
static socklen_t value_make(const struct option *o, uint32_t word, void *ret_value)
{
	static const char *const congestions[] = { "reno", "cubic", "", "nobody" };
	int value = word % 2 ? (int)(word / 2 % 2) : PICK(word / 2, o->values);

	if (o->level == SOL_SOCKET && o->name == SO_LINGER) {
		memcpy(ret_value, &(struct linger){ value, (int)(word / 64 % 2) }, sizeof(struct linger));
		put(" {%d, %u}", value, word / 64 % 2);
		return sizeof(struct linger);
	}
	if (o->level == SOL_SOCKET && o->name == SO_SNDTIMEO) {
		struct timeval tv = PICK(word, ((const struct timeval[]){ { 5, 0 }, { 0, 0 }, { 1, 1000000 }, { 0, -1 }, { 9, 123456 } }));

		memcpy(ret_value, &tv, sizeof(tv));
		put(" %ld.%ld", (long)tv.tv_sec, (long)tv.tv_usec);
		return sizeof(tv);
	}
	if ((o->level == SOL_SOCKET && o->name == SO_BINDTODEVICE) || (o->level == IPPROTO_TCP && o->name == TCP_CONGESTION)) {
		const char *text = o->level == SOL_SOCKET ? PICK(word, ((const char *const[]){ "lo", "", "none" })) : PICK(word, congestions);

		strcpy(ret_value, text);
		put(" '%s'", text);
		return (socklen_t)strlen(text);
	}
	memcpy(ret_value, &value, sizeof(value));
	put(" %d", value);
	return sizeof(value);
}

/* Options by which a datagram comes with more than its bytes */
static bool adds_control(const struct option *o)
{
	return o->level == IPPROTO_IP || o->level == IPPROTO_IPV6;
}

/* Is it not to be set? Then why; else NULL. */
static const char *why_not_set(const struct option *o, const struct slot *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	if ((o->mask & MASK_SET) || ((o->mask & MASK_SET_TCP) && s->kind == KIND_TCP))
		return o->why;
	if (s->kind == KIND_UDP && adds_control(o) && poll(&p, 1, 0) == 1 && p.revents & POLLIN)
		return "what has come over channels before comes without";
	return NULL;
}

/*
 * A connection that moves to another process takes along what libvj goes by; what the kernel alone keeps of a socket stays behind
 * (docs/programs.md).
 */
static bool moves(const struct option *o)
{
	static const int socket[] = { SO_ERROR, SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ACCEPTCONN, SO_KEEPALIVE, SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT };
	static const int tcp[] = { TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT };

	for (size_t i = 0; i < COUNT(socket) && o->level == SOL_SOCKET; i++)
		if (socket[i] == o->name)
			return true;
	for (size_t i = 0; i < COUNT(tcp) && o->level == IPPROTO_TCP; i++)
		if (tcp[i] == o->name)
			return true;
	return false;
}

/*
 * Of what accept() returned: how far its SYN could have come from. After connect(AF_UNSPEC) it is a new socket, where nobody can set that of a
 * stream.
 */
static bool is_hops(const struct option *o)
{
	return o->level == IPPROTO_IP ? o->name == IP_MULTICAST_TTL : o->level == IPPROTO_IPV6 && o->name == IPV6_MULTICAST_HOPS;
}

static bool is_compared(const struct option *o, const struct slot *s)
{
	if ((o->mask & MASK_VALUE) || (s->renewed && is_hops(o)))
		return false;
	return s->kind != KIND_TCP || !s->copied || moves(o);
}

static void read_back(const struct option *o, const struct slot *s, socklen_t len, bool nowhere)
{
	uint8_t value[512];
	int r = getsockopt(s->fd, o->level, o->name, nowhere ? NULL : value, &len);

	put_result(r);
	if (r)
		return;
	put(" len %u:", len);
	for (socklen_t i = 0; i < len && i < sizeof(value) && !nowhere && is_compared(o, s); i++)
		put("%02x", value[i]);
}

void run_setsockopt(const struct step *st, int slot)
{
	static const uint16_t odd_lens[] = { 0, 1, 2, 3, 8, 16, (uint16_t)-1, 40, 4096, 128 };
	const struct option *o = option_of(st->w[1], &slots[slot]);
	const char *why = why_not_set(o, &slots[slot]);
	_Alignas(8) char value[8192] = { 0 };
	socklen_t len;

	put(" %s", o->text);
	if (why)
		return put(": not set, %s", why);
	len = value_make(o, st->w[2], value);
	if (st->w[3] % 4 == 0)
		len = (socklen_t)(int16_t)PICK(st->w[3] / 4, odd_lens);
	put(" len %d%s", (int)len, st->w[4] % 32 ? "" : " nowhere");
	put_result(setsockopt(slots[slot].fd, o->level, o->name, st->w[4] % 32 ? value : NULL, len));
	if (st->w[5] % 2 == 0)
		return;
	put(" now");
	read_back(o, &slots[slot], 64, false);
}

void run_getsockopt(const struct step *st, int slot)
{
	const struct option *o = option_of(st->w[1], &slots[slot]);
	socklen_t len = PICK(st->w[2], ((const socklen_t[]){ 4, 4, 4, 4, 8, 16, 256, 0, 1, 2, 3, (socklen_t)-1 }));

	put(" %s len %d", o->text, (int)len);
	if (st->w[4] % 32 == 0) {
		put(" of nowhere");
		return put_result(getsockopt(slots[slot].fd, o->level, o->name, &(uint8_t[8]){ 0 }, NULL));
	}
	put("%s", st->w[3] % 32 ? "" : " nowhere");
	read_back(o, &slots[slot], len, st->w[3] % 32 == 0);
}

void run_options(const struct step *st, int slot)
{
	struct slot *s = &slots[slot];

	(void)st;
	for (size_t i = 0; i < COUNT(options); i++) {
		const struct option *o = &options[i];
		bool of_it = o->level == SOL_SOCKET || o->level == (s->kind == KIND_TCP ? IPPROTO_TCP : IPPROTO_UDP) ||
			     o->level == (s->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6);
		uint8_t value[16];
		socklen_t len = sizeof(value);

		if (!of_it || o->name == SO_ERROR || !is_compared(o, s))
			continue;
		if (getsockopt(s->fd, o->level, o->name, value, &len))
			continue;
		put(" %d=", o->name);
		while (len && !value[len - 1])
			len--;
		for (socklen_t at = 0; at < len; at++)
			put("%02x", value[at]);
	}
}

// SPDX-License-Identifier: BSD-2-Clause
/* differ_options.c - socket options as `differ_calls` draws them */
#include "differ.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>

/* What of an option is not compared, or not drawn */
enum mask {
	MASK_NONE,
	MASK_VALUE, /* its value differs by design or by chance: `why` */
	MASK_SET,   /* nor is it set: it would change what is by design, or time */
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

static const struct option options[] = {
	OPTION(SOL_SOCKET, SO_ERROR, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ERROR, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ERROR, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_TYPE, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_PROTOCOL, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_DOMAIN, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_ACCEPTCONN, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_KEEPALIVE, PLAIN, { 2, -1 }),
	OPTION(SOL_SOCKET, SO_REUSEADDR, PLAIN, { 2, -1 }),
	OPTION(SOL_SOCKET, SO_REUSEPORT, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_BROADCAST, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_OOBINLINE, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_LINGER, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVTIMEO, MASK_SET, waits, { 0 }),
	OPTION(SOL_SOCKET, SO_SNDTIMEO, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVBUF, MASK_SET, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_SNDBUF, MASK_SET, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_RCVLOWAT, PLAIN, { 5, 100, -1 }),
	OPTION(SOL_SOCKET, SO_SNDLOWAT, PLAIN, { 5 }),
	OPTION(SOL_SOCKET, SO_PRIORITY, PLAIN, { 5, 7, -1 }),
	OPTION(SOL_SOCKET, SO_TIMESTAMP, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_TIMESTAMPNS, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_BINDTODEVICE, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_DONTROUTE, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PASSCRED, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PEERCRED, PLAIN, { 0 }),
	OPTION(SOL_SOCKET, SO_NO_CHECK, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_RXQ_OVFL, PLAIN, { 2 }),
	OPTION(SOL_SOCKET, SO_PEEK_OFF, MASK_SET, "of TCP it is refused, as before Linux 6.9", { 0 }),
	OPTION(SOL_SOCKET, SO_INCOMING_CPU, MASK_SET, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_INCOMING_NAPI_ID, MASK_SET, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_COOKIE, MASK_SET, chance, { 0 }),
	OPTION(SOL_SOCKET, SO_MEMINFO, MASK_SET, buffers, { 0 }),
	OPTION(SOL_SOCKET, SO_BUSY_POLL, PLAIN, { 50, -1 }),
	OPTION(SOL_SOCKET, SO_LOCK_FILTER, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_NODELAY, PLAIN, { 2, -1 }),
	OPTION(IPPROTO_TCP, TCP_CORK, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_MAXSEG, MASK_VALUE, "a channel's segments are larger", { 500, 1400, 87, 100000 }),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE, PLAIN, { 10, 32767, 32768, -1 }),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL, PLAIN, { 10, 32767, 32768, -1 }),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT, PLAIN, { 10, 127, 128, -1 }),
	OPTION(IPPROTO_TCP, TCP_SYNCNT, PLAIN, { 10, 127, 128, -1 }),
	OPTION(IPPROTO_TCP, TCP_LINGER2, PLAIN, { 10, 1000, -1 }),
	OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP, MASK_SET, buffers, { 0 }),
	OPTION(IPPROTO_TCP, TCP_INFO, MASK_VALUE, numbers, { 0 }),
	OPTION(IPPROTO_TCP, TCP_QUICKACK, MASK_VALUE, "changes by itself", { 2 }),
	OPTION(IPPROTO_TCP, TCP_CONGESTION, PLAIN, { 0 }),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, PLAIN, { 1000, -1 }),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN, PLAIN, { 10 }),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, PLAIN, { 100000, -1 }),
	OPTION(IPPROTO_TCP, TCP_INQ, PLAIN, { 2 }),
	OPTION(IPPROTO_TCP, TCP_TIMESTAMP, MASK_SET, chance, { 0 }),
	OPTION(IPPROTO_IP, IP_TOS, PLAIN, { 16, 255, 256, -1 }),
	OPTION(IPPROTO_IP, IP_TTL, PLAIN, { 5, 255, 256, -1 }),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER, PLAIN, { 2, 3, 5, 6 }),
	OPTION(IPPROTO_IP, IP_RECVTOS, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RECVTTL, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_PKTINFO, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_RECVERR, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_FREEBIND, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MULTICAST_TTL, PLAIN, { 5, 256, -1 }),
	OPTION(IPPROTO_IP, IP_MULTICAST_LOOP, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MTU, MASK_SET, "the largest packet of a channel", { 0 }),
	OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, PLAIN, { 2 }),
	OPTION(IPPROTO_IP, IP_MINTTL, PLAIN, { 5, 256 }),
	OPTION(IPPROTO_IP, IP_RECVORIGDSTADDR, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS, PLAIN, { 16, 255, 256, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, PLAIN, { 5, 255, 256, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, PLAIN, { 5, 256, -1 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, PLAIN, { 2, 3, 5, 6 }),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR, PLAIN, { 2 }),
	OPTION(IPPROTO_IPV6, IPV6_DONTFRAG, PLAIN, { 2 }),
	OPTION(IPPROTO_UDP, UDP_CORK, PLAIN, { 2 }),
	OPTION(IPPROTO_UDP, UDP_SEGMENT, PLAIN, { 100, 70000 }),
	OPTION(IPPROTO_UDP, UDP_GRO, PLAIN, { 2 }),
	OPTION(77, 9999, PLAIN, { 5 }),
	OPTION(SOL_SOCKET, 9999, PLAIN, { 5 }),
	OPTION(IPPROTO_TCP, 9999, PLAIN, { 5 }),
};

/* One that is of this socket's kind, with few exceptions */
static const struct option *option_of(uint32_t word, const struct slot *s)
{
	for (unsigned i = 0; i < COUNT(options); i++) {
		const struct option *o = &options[(word + i) % COUNT(options)];

		if (o->level == SOL_SOCKET || word / 128 % 8 == 0 || (o->level == IPPROTO_TCP && s->kind == KIND_TCP) || (o->level == IPPROTO_UDP && s->kind == KIND_UDP) ||
		    (o->level == IPPROTO_IPV6 && s->family == AF_INET6) || (o->level == IPPROTO_IP && (s->family == AF_INET || word / 1024 % 2)))
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

void run_setsockopt(const struct step *st, int slot)
{
	const struct option *o = option_of(st->w[1], &slots[slot]);
	_Alignas(8) char value[64] = { 0 };
	socklen_t len;

	put(" %s", o->text);
	if (o->mask == MASK_SET)
		return put(": not set, %s", o->why);
	len = value_make(o, st->w[2], value);
	if (st->w[3] % 4 == 0)
		len = PICK(st->w[3] / 4, ((const socklen_t[]){ 0, 1, 2, 3, 8, 16, (socklen_t)-1, 40 }));
	put(" len %d%s", (int)len, st->w[4] % 32 ? "" : " nowhere");
	put_result(setsockopt(slots[slot].fd, o->level, o->name, st->w[4] % 32 ? value : NULL, len));
}

void run_getsockopt(const struct step *st, int slot)
{
	const struct option *o = option_of(st->w[1], &slots[slot]);
	uint8_t value[512];
	socklen_t len = PICK(st->w[2], ((const socklen_t[]){ 4, 4, 4, 4, 8, 16, 256, 0, 1, 2, 3, (socklen_t)-1 }));
	int r;

	put(" %s len %d%s", o->text, (int)len, st->w[3] % 32 ? "" : " nowhere");
	r = getsockopt(slots[slot].fd, o->level, o->name, st->w[3] % 32 ? value : NULL, &len);
	put_result(r);
	if (r)
		return;
	put(" len %u:", len);
	for (socklen_t i = 0; i < len && i < sizeof(value) && o->mask == MASK_NONE; i++)
		put("%02x", value[i]);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * dest.c - which way datagrams to an address go
 *
 * Whom a destination belongs to is remembered for ASK_AGAIN_MS in one table for the process. A
 * datagram that comes in says it, too: who uses the kernel is answered through the kernel, who uses
 * a channel through that. So a server does not ask about those whom it answers; the route to one on
 * a channel is asked for once, since an address in a datagram proves nothing.
 *
 * A server is on channels when it has read its first datagram (dgram.c), and that may have been ours. So who was found to be the kernel's is asked
 * about again soon, and then later and later; what comes from there in the meantime says nothing new.
 *
 * It is remembered, too, whether those who send there have a socket for each question (dgram.c).
 */
#include "sock/board.h"
#include "sock/ctx.h"
#include "sock/dest.h"
#include "sock/dgram.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/stream.h"

#include "base/time.h"
#include "lib/pause.h"
#include "lib/report.h"

#include <netinet/in.h>
#include <string.h>

enum {
	ASK_AGAIN_MS = 1000,
	ASK_SOON_MS = 1,
	ASKS_SOON = 10, /* times two each time: then it is ASK_AGAIN_MS */
	SILENT_S = 1,
	FEW_MIN = 3, /* sockets in a row */
	DEST_CNT = 1024, /* power of two */
};

struct dest {
	uint8_t addr[16]; /* IPv4 in IPv6 form */
	uint16_t port_be; /* 0: entry not in use */
	bool on_channel;
	uint8_t asks; /* how many in a row said that it isn't; 0: a datagram did */
	uint8_t few;  /* sockets in a row that were put on channels to send there, and carried few datagrams; FEW_MIN: or more */
	uint64_t asked_ns;
};
static struct dest *dests; /* DEST_CNT; there since the first UDP socket */

bool dests_begin(void)
{
	if (!dests)
		dests = pages_get(DEST_CNT * sizeof(*dests));
	return dests != NULL;
}

/* Return: false: not an address of this family, the kernel says so better. */
static bool dest_key(const struct sock *s, const struct sockaddr *sa, socklen_t len,
		     struct dest *ret_key)
{
	*ret_key = (struct dest){ .port_be = 0 };
	if (s->family == AF_INET && len >= sizeof(struct sockaddr_in) &&
	    sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		ret_key->addr[10] = ret_key->addr[11] = 0xff;
		memcpy(&ret_key->addr[12], &in.sin_addr, 4);
		ret_key->port_be = in.sin_port;
	} else if (s->family == AF_INET6 && len >= sizeof(struct sockaddr_in6) &&
		   sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(ret_key->addr, &in6.sin6_addr, 16);
		if (!s->dgram->v6only || !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			ret_key->port_be = in6.sin6_port;
	}
	return ret_key->port_be != 0;
}

static bool dest_is(const struct dest *d, const struct dest *key)
{
	return d->port_be == key->port_be && memcmp(d->addr, key->addr, sizeof(key->addr)) == 0;
}

/* There are two: who is met once, as a client's port is, does not take the place of a server that is asked all the time. */
static struct dest *dest_slot(const struct dest *key)
{
	uint32_t words[4], hash = key->port_be;
	struct dest *d;

	memcpy(words, key->addr, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		hash = (hash ^ words[i]) * 2654435761u;
	d = &dests[(hash >> 16) % (DEST_CNT / 2) * 2];
	if (dest_is(d, key))
		return d;
	return dest_is(d + 1, key) || !d[1].port_be || d[1].asked_ns < d->asked_ns ? d + 1 : d;
}

/* What is known of @key, at its place from now on */
static void dest_set(struct dest *d, struct dest *key)
{
	key->few = dest_is(d, key) ? d->few : 0;
	*d = *key;
}

void dest_learn(const struct sock *s, const struct sockaddr *sa, socklen_t len, bool on_channel)
{
	struct dest key, *d;

	if (!dest_key(s, sa, len, &key))
		return;
	d = dest_slot(&key);
	if (!on_channel && dest_is(d, &key) && (d->on_channel || d->asks))
		return; /* it was full, or so, and the channel is there; or we are asking, and what is answered often would never be asked about again */
	key.on_channel = on_channel;
	key.asked_ns = sys_clock_ns();
	dest_set(d, &key);
}

void dest_forget(const struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct dest key;

	if (dest_key(s, sa, len, &key) && dest_is(dest_slot(&key), &key))
		dest_slot(&key)->port_be = 0;
}

void dests_forget(void)
{
	for (size_t i = 0; dests && i < DEST_CNT; i++)
		dests[i].port_be = 0;
}

/* A daemon that does not answer costs 2 s when it is asked, and little as long as it hasn't caught up. */
static struct pause silent;

static bool dest_ask(const struct sockaddr *sa, socklen_t len)
{
	int err = vj_udp_reach(sock.vj, sa, len);

	if (err == -ETIMEDOUT)
		pause_longer(&silent, sys_clock_ns(), SILENT_S);
	else
		silent = (struct pause){ 0 };
	return !err;
}

/* Is it time to ask about @d? */
static bool is_old(const struct dest *d, uint64_t now_ns)
{
	uint64_t ms = d->asks ? min_u32((uint32_t)ASK_SOON_MS << (d->asks - 1), ASK_AGAIN_MS) : ASK_AGAIN_MS;

	return now_ns - d->asked_ns >= ms * NS_PER_MS;
}

bool dest_on_channel(const struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct dest key, *d;
	uint64_t now_ns;

	if (!dest_key(s, sa, len, &key))
		return false;
	d = dest_slot(&key);
	if (dest_is(d, &key) && d->on_channel && s->dgram->open)
		return true;
	now_ns = sys_clock_ns();
	if (dest_is(d, &key) && !is_old(d, now_ns))
		return d->on_channel;
	key.asks = dest_is(d, &key) ? d->asks : 0;
	key.asked_ns = now_ns;
	key.on_channel = now_ns >= silent.until_ns && board_says(sa, len, true) == REPORT_WHY_NONE && sock_addr_is_ours(s, sa, len) && !ctx_get() &&
			 dest_ask(sa, len);
	if (!key.on_channel && key.asks <= ASKS_SOON)
		key.asks++;
	dest_set(d, &key);
	return d->on_channel;
}

uint16_t dest_nr(const struct sock *s, const struct sockaddr *sa, socklen_t len)
{
	struct dest key;

	return dest_key(s, sa, len, &key) ? (uint16_t)(dest_slot(&key) - dests + 1) : 1;
}

bool dest_has_few(uint16_t nr)
{
	return dests[nr - 1].few >= FEW_MIN;
}

/* The place may be another's by now: that one's first sockets are the kernel's for a moment. */
void dest_carried(uint16_t nr, bool few)
{
	struct dest *d = &dests[nr - 1];

	d->few = few ? (uint8_t)min_u32(d->few + 1u, FEW_MIN) : 0;
}

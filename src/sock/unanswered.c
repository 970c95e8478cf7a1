// SPDX-License-Identifier: BSD-2-Clause
/*
 * unanswered.c - peers that don't answer over an interface channel
 *
 * An answer that comes back by another interface than the question left by (asymmetric routes) meets the kernel there, which knows no
 * such connection and resets it. From here that looks as a SYN that was lost. So a connection that nobody has answered in a second
 * (RFC 6298 5.7) goes on as the kernel's, which takes answers wherever they come: nothing has been said on it, nothing is lost, and a SYN
 * that was merely lost has cost what it costs anyway. When that happens twice to a peer, and nothing else in between, its next connections are the
 * kernel's at once, for two seconds, and for twice as long each time that one was tried in vain again, a minute at most: it may be that this process
 * did not run, or the peer's.
 */
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/unanswered.h"

#include "base/time.h"
#include "lib/pause.h"

#include <netinet/in.h>
#include <string.h>

enum { TIMES = 2, MUTE_S = 2 };
/* After this nothing is known of it. */
#define FORGOTTEN_NS (PAUSE_MAX_S * NS_PER_SEC)

static void key_of(const struct sockaddr *addr, uint8_t ret_key[static 16])
{
	memset(ret_key, 0, 16);
	if (addr->sa_family == AF_INET6) {
		memcpy(ret_key, &((const struct sockaddr_in6 *)addr)->sin6_addr, 16);
		return;
	}
	ret_key[10] = ret_key[11] = 0xff;
	memcpy(ret_key + 12, &((const struct sockaddr_in *)addr)->sin_addr, 4);
}

static struct mute *find(const struct sockaddr *addr)
{
	uint8_t key[16];

	key_of(addr, key);
	for (unsigned i = 0; i < MUTE_CNT; i++)
		if (sock.mutes[i].times && !memcmp(sock.mutes[i].addr, key, sizeof(key)))
			return &sock.mutes[i];
	return NULL;
}

static void drop(struct mute *m)
{
	m->times = 0;
	sock.mute_cnt--;
}

/* Return: a free one; if there is none, that which is over first */
static struct mute *place(void)
{
	struct mute *oldest = &sock.mutes[0];

	for (unsigned i = 0; i < MUTE_CNT; i++) {
		if (!sock.mutes[i].times)
			return &sock.mutes[i];
		if (sock.mutes[i].pause.until_ns < oldest->pause.until_ns)
			oldest = &sock.mutes[i];
	}
	drop(oldest);
	return oldest;
}

void mute_note(const struct sock *s)
{
	struct sockaddr_storage remote;
	struct mute *m;
	uint64_t now_ns = sys_clock_ns();

	vj_conn_addrs(sock.vj, s->conn, NULL, &remote);
	m = find((const struct sockaddr *)&remote);
	if (!m) {
		m = place();
		key_of((const struct sockaddr *)&remote, m->addr);
		m->pause = (struct pause){ .until_ns = now_ns };
		sock.mute_cnt++;
	}
	m->times++;
	/* those that were begun before say nothing new */
	if (m->times >= TIMES && now_ns >= m->pause.until_ns)
		pause_longer(&m->pause, now_ns, MUTE_S);
}

void mute_has_answered(const struct sock *s)
{
	struct sockaddr_storage remote;
	struct mute *m;

	vj_conn_addrs(sock.vj, s->conn, NULL, &remote);
	m = find((const struct sockaddr *)&remote);
	if (m)
		drop(m);
}

bool mute_is(const struct sockaddr *addr, socklen_t len)
{
	uint64_t now_ns;
	struct mute *m;

	if (len < (addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)))
		return false;
	m = find(addr);
	now_ns = m ? sys_clock_ns() : 0;
	if (m && now_ns >= m->pause.until_ns + FORGOTTEN_NS) {
		drop(m);
		return false;
	}
	return m && m->times >= TIMES && now_ns < m->pause.until_ns;
}

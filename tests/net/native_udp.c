// SPDX-License-Identifier: BSD-2-Clause
/* native_udp.c - datagrams of the native API */
#include "native.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static void udp_family(int family)
{
	struct sockaddr_storage any = address(family, 0), at, from;
	static uint8_t msg[3000], got[4000], large[70000], large_got[70000];
	struct vj_udp ua, ub;
	ssize_t r;

	assert_int_equal(vj_udp_open(a, (struct sockaddr *)&any, address_len(family), 0, -1, 1, &ua), 0);
	assert_int_equal(vj_udp_open(b, (struct sockaddr *)&any, address_len(family), 0, -1, 2, &ub), 0);
	vj_udp_addr(a, ua, &at);
	for (size_t n = 0; n <= sizeof(msg); n += 500) {
		for (size_t i = 0; i < n; i++)
			msg[i] = pattern(i + n);
		assert_int_equal(vj_udp_send(b, ub, (struct sockaddr *)&at, address_len(family), msg, n), 0);
		PUMP_UNTIL((r = vj_udp_recv(a, ua, got, sizeof(got), false, &from, NULL)) != -EAGAIN);
		assert_int_equal(r, n);
		assert_memory_equal(msg, got, n);
		assert_int_equal(vj_udp_send(a, ua, (struct sockaddr *)&from, address_len(family), got, n), 0);
		PUMP_UNTIL((r = vj_udp_recv(b, ub, got, sizeof(got), false, NULL, NULL)) != -EAGAIN);
		assert_int_equal(r, n);
	}
	/* Larger than a frame: in several, whatever the program thinks about fragments on paths */
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = pattern(i);
	assert_int_equal(vj_udp_send(b, ub, (struct sockaddr *)&at, address_len(family), large, 65507), 0);
	PUMP_UNTIL((r = vj_udp_recv(a, ua, large_got, sizeof(large_got), false, &from, NULL)) != -EAGAIN);
	assert_int_equal(r, 65507);
	assert_memory_equal(large, large_got, 65507);
	assert_int_equal(vj_udp_mtu_discover(b, ub, family, 6), -EINVAL);
	assert_int_equal(vj_udp_mtu_discover(b, ub, AF_UNIX, IP_PMTUDISC_DO), -EINVAL);
	assert_int_equal(vj_udp_mtu_discover(b, ub, family, IP_PMTUDISC_DO), 0);
	assert_int_equal(vj_udp_send(b, ub, (struct sockaddr *)&at, address_len(family), large, 5000), 0);
	PUMP_UNTIL((r = vj_udp_recv(a, ua, large_got, sizeof(large_got), false, &from, NULL)) != -EAGAIN);
	assert_int_equal(r, 5000);
	assert_int_equal(vj_udp_send(b, ub, (struct sockaddr *)&at, address_len(family), large, 70000), -EMSGSIZE);
	vj_udp_close(a, ua);
	vj_udp_close(b, ub);
}

/* Batches: lengths of all kinds, senders told or not, buffers that are too small, more than the channel takes at once. */
static void udp_batch_family(int family)
{
	enum { N = 40, BYTES = 4096 };
	struct sockaddr_storage any = address(family, 0), at, from[N];
	static uint8_t sent[N][BYTES], got[N][BYTES];
	struct vj_udp_msg out[N], in[N];
	struct vj_udp ua, ub;
	unsigned cnt = 0;
	int n;

	assert_int_equal(vj_udp_open(a, (struct sockaddr *)&any, address_len(family), 0, -1, 1, &ua), 0);
	assert_int_equal(vj_udp_open(b, (struct sockaddr *)&any, address_len(family), 0, -1, 2, &ub), 0);
	vj_udp_addr(a, ua, &at);
	assert_int_equal(vj_udp_recv_batch(a, ua, in, N), -EAGAIN);
	for (unsigned i = 0; i < N; i++) {
		out[i] = (struct vj_udp_msg){ .data = sent[i], .len = i * i % 3000 };
		in[i] = (struct vj_udp_msg){ .data = got[i], .len = i % 4 == 3 ? 10 : BYTES, .from = i % 2 ? &from[i] : NULL };
		for (unsigned j = 0; j < out[i].len; j++)
			sent[i][j] = pattern(i + j);
	}
	assert_int_equal(vj_udp_send_batch(b, ub, (struct sockaddr *)&at, address_len(family), out, N), N);
	for (; cnt < N; cnt += (unsigned)n)
		PUMP_UNTIL((n = vj_udp_recv_batch(a, ua, in + cnt, N - cnt)) > 0);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(in[i].bytes, out[i].len);
		assert_memory_equal(got[i], sent[i], in[i].len < in[i].bytes ? in[i].len : in[i].bytes);
		assert_true(!in[i].from || in[i].from->ss_family == family);
	}
	/* the second is too much for any datagram: the first leaves, then it is told */
	out[1].len = 70000;
	assert_int_equal(vj_udp_send_batch(b, ub, (struct sockaddr *)&at, address_len(family), out, 2), 1);
	assert_int_equal(vj_udp_send_batch(b, ub, (struct sockaddr *)&at, address_len(family), out + 1, 1), -EMSGSIZE);
	/* nobody reads: the channel is full some time, and says so when nothing more leaves */
	for (cnt = 0; (n = vj_udp_send_batch(b, ub, (struct sockaddr *)&at, address_len(family), out + 2, N - 2)) > 0 && cnt < 100;)
		cnt++;
	assert_int_equal(n, -EAGAIN);
	vj_udp_close(a, ua);
	vj_udp_close(b, ub);
	pump();
}

/* Who reads one at a time, and lets the library work before each, loses little: what it has no time for stays in the channel. */
static void udp_flood_family(int family)
{
	struct sockaddr_storage any = address(family, 0), at;
	static uint8_t msg[30000], got[30000];
	unsigned sent = 0, received = 0;
	struct vj_udp ua, ub;

	assert_int_equal(vj_udp_open(a, (struct sockaddr *)&any, address_len(family), 0, -1, 1, &ua), 0);
	assert_int_equal(vj_udp_open(b, (struct sockaddr *)&any, address_len(family), 0, -1, 2, &ub), 0);
	vj_udp_addr(a, ua, &at);
	for (int round = 0; round < 500; round++) {
		vj_process(b);
		while (vj_udp_send(b, ub, (struct sockaddr *)&at, address_len(family), msg, sizeof(msg)) == 0)
			sent++;
		vj_process(b);
		vj_process(a);
		received += vj_udp_recv(a, ua, got, sizeof(got), false, NULL, NULL) == sizeof(got);
	}
	for (int empty = 0; empty < 100; empty++) {
		vj_process(a);
		while (vj_udp_recv(a, ua, got, sizeof(got), false, NULL, NULL) >= 0) {
			received++;
			empty = 0;
		}
	}
	assert_true(sent > 500);
#ifndef __SANITIZE_ADDRESS__ /* a round of that takes longer than a crowd is believed in */
	assert_true(received >= sent / 2);
#endif
	vj_udp_close(a, ua);
	vj_udp_close(b, ub);
}

void test_udp(void **state)
{
	(void)state;
	udp_family(AF_INET);
	udp_family(AF_INET6);
	udp_batch_family(AF_INET);
	udp_batch_family(AF_INET6);
	udp_flood_family(AF_INET);
	udp_flood_family(AF_INET6);
}

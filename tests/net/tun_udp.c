// SPDX-License-Identifier: BSD-2-Clause
/*
 * Datagrams between src/stack and the kernel over a TUN device, whole and in fragments
 *
 * Each side puts together what the other has taken apart. Then a router on the way carries less: both have to
 * hear what it says, and what both make of the path afterwards is compared. Needs root, for the namespace and
 * the device.
 */
#include "base/time.h"
#include "stack/stack.h"
#include "tests/net/tun.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_OURS 1000
#define PORT_KERNEL 2000
#define PATH_MTU 1300
#define WAIT_US 1000000
#define ATTEMPTS 3

static const uint32_t sizes[] = { 1, 1200, 1400, 1452, 1453, 1472, 1473, 2000, 9000, 32768, 65507 };

struct talk {
	struct two_stacks sim;
	struct tun *tun;
	struct udp_id ours;
	struct endpoint at[2]; /* us, the kernel */
	int kernel;
	bool v6;
};

static uint8_t sent[65536], got[65536];

static void fail(const struct talk *t, uint32_t len, const char *what)
{
	fprintf(stderr, "%s, %u bytes: %s; errno %d\n", t->v6 ? "IPv6" : "IPv4", len, what, errno);
	abort();
}

static void fill(uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sent[i] = watch_stream_byte(len, i);
}

/* A datagram of another size that we had given up: machines are slow at times. */
static bool is_late(ssize_t n, uint32_t len)
{
	if (n == (ssize_t)len)
		return false;
	for (ssize_t i = 0; i < n; i++)
		if (got[i] != watch_stream_byte((uint32_t)n, (uint32_t)i))
			return false;
	return true;
}

/* Return: the length of what has come to us, or to the kernel; -1: nothing in time. */
static ssize_t receive(struct talk *t, uint32_t want, bool to_us)
{
	struct tun *const tuns[2] = { [1] = t->tun };
	const int fds[2] = { t->kernel, -1 };
	uint64_t end_us = t->sim.now_us + WAIT_US;
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;

	while (t->sim.now_us < end_us) {
		ssize_t n = -1;
		size_t len;

		if (!to_us)
			n = recv(t->kernel, got, sizeof(got), 0);
		else if (udp_recv(t->sim.side[0].s, t->ours, got, sizeof(got), false, &len, &from, &to,
				  &link) == 0)
			n = (ssize_t)len;
		if (n >= 0 && !is_late(n, want))
			return n;
		tun_pump(&t->sim, tuns, fds);
	}
	return -1;
}

/* Return: it arrived. */
static bool exchange(struct talk *t, uint32_t len, bool to_us)
{
	struct side *a = &t->sim.side[0];
	ssize_t n;

	fill(len);
	if (to_us)
		n = send(t->kernel, sent, len, 0) == (ssize_t)len ? 0 : -errno;
	else
		n = udp_send(a->s, t->ours, a->link, &t->at[0].addr, &t->at[1], sent, len);
	/* What ICMP said about the one before, once */
	if (n == -EMSGSIZE)
		return false;
	if (n != 0)
		fail(t, len, to_us ? "the kernel did not send" : "we did not send");
	n = receive(t, len, to_us);
	if (n >= 0 && ((uint32_t)n != len || memcmp(sent, got, len) != 0))
		fail(t, len, to_us ? "we got something else" : "the kernel got something else");
	return n >= 0;
}

static uint32_t kernel_mtu(const struct talk *t)
{
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	VJ_ASSERT(getsockopt(t->kernel, t->v6 ? IPPROTO_IPV6 : IPPROTO_IP, t->v6 ? IPV6_MTU : IP_MTU, &mtu,
			     &len) == 0);
	return (uint32_t)mtu;
}

static void compare_mtu(const struct talk *t, uint32_t want)
{
	const struct side *a = &t->sim.side[0];
	uint32_t ours = udp_path_mtu(a->s, t->ours, a->link, &t->at[1].addr);

	if (ours != want || kernel_mtu(t) != want) {
		fprintf(stderr, "path MTU: ours is %u, the kernel's %u\n", ours, kernel_mtu(t));
		fail(t, 0, "not what the path carries");
	}
}

static void talk(struct tun *tun, bool v6)
{
	const struct outside *const outside[2] = { [1] = &tun->outside };
	const struct wire_config wire = { .delay_us = 200 };
	static struct talk t;

	memset(&t, 0, sizeof(t));
	t.tun = tun;
	t.v6 = v6;
	two_stacks_init_outside(&t.sim, &wire, 1, v6, NULL, outside);
	t.sim.walk = true;
	for (unsigned int i = 0; i < 2; i++)
		t.at[i] = t.sim.side[i].addr;
	t.at[0].port = PORT_OURS;
	t.at[1].port = PORT_KERNEL;
	VJ_ASSERT(udp_open(t.sim.side[0].s, &t.at[0], 0, 0, &t.ours) == 0);
	t.kernel = tun_udp_socket(1, v6, PORT_KERNEL);
	tun_socket_connect(t.kernel, 0, v6, PORT_OURS);
	tun_start(&t.sim);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(sizes); i++)
		if (!exchange(&t, sizes[i / 2], i % 2 != 0))
			fail(&t, sizes[i / 2], i % 2 != 0 ? "we got nothing" : "the kernel got nothing");
	compare_mtu(&t, 1500);
	for (unsigned int i = 0; i < 2; i++)
		two_stacks_path(&t.sim, i, PATH_MTU, ROUTER_TELLS);
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		unsigned int tries = 0;

		while (!exchange(&t, sizes[i / 2], i % 2 != 0))
			if (++tries == ATTEMPTS)
				fail(&t, sizes[i / 2], "does not get through");
	}
	compare_mtu(&t, PATH_MTU);
	printf("%s: %zu sizes, both ways, over 1500 and %u bytes\n", v6 ? "IPv6" : "IPv4", ARRAY_SIZE(sizes),
	       (unsigned int)PATH_MTU);
	close(t.kernel);
	udp_close(t.sim.side[0].s, t.ours);
	for (uint64_t end_us = t.sim.now_us + 100 * US_PER_SEC; two_stacks_step(&t.sim, end_us);)
		;
	two_stacks_fini(&t.sim);
}

int main(void)
{
	static struct tun tun;
	const char *missing = tun_open(&tun, 1);

	if (missing != NULL) {
		printf("needs %s, which this machine does not give: %s\n", missing, strerror(errno));
		return 77;
	}
	talk(&tun, false);
	talk(&tun, true);
	return 0;
}

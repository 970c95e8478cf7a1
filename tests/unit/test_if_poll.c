// SPDX-License-Identifier: BSD-2-Clause
/* The poll of a device by who receives from it (daemon/if_poll.h), in a network namespace of the test's own. Needs root. */
#include "daemon/if_poll.h"
#include "daemon/rtnl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Frames that come at once have come within SOON_MS on the slowest machine, and before those that are deferred for long. */
enum { SOON_MS = 30000, TYPE = 0x88b6 /* IEEE 802 local experimental */ };
static const uint32_t long_ns = UINT32_MAX, short_ns = 1000000000;

static uint32_t host, app; /* the two ends */
static int sends, hears, netns;

static int packet_socket(uint32_t ifindex, uint16_t type)
{
	const struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = be16(type).raw, .sll_ifindex = (int)ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void send_one(void)
{
	static const uint8_t frame[60] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, TYPE >> 8, TYPE & 0xff };

	assert_int_equal(send(sends, frame, sizeof(frame), 0), sizeof(frame));
}

/* How many come within @ms? One that is there ends the wait. */
static unsigned heard(int ms)
{
	struct pollfd pfd = { .fd = hears, .events = POLLIN };
	uint8_t frame[128];
	unsigned cnt = 0;

	poll(&pfd, 1, ms);
	while (recv(hears, frame, sizeof(frame), 0) > 0)
		cnt++;
	return cnt;
}

static void attach_pass(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", insns, ARRAY_SIZE(insns), NULL);

	assert_true(prog >= 0);
	assert_int_equal(bpf_xdp_attach((int)app, prog, XDP_FLAGS_DRV_MODE, NULL), 0);
	close(prog);
}

static void poll_once(const struct if_poll *p)
{
	uint8_t byte;

	assert_int_equal(recv(p->fd, &byte, sizeof(byte), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The kernel polls when nobody has for long_ns: where that passes before we look, once more. */
static void frames_wait(const struct if_poll *p)
{
	for (int tries = 0; tries < 10; tries++) {
		uint64_t begin_ns = clock_ns();

		poll_once(p);
		send_one();
		if (heard(100) == 0)
			return;
		assert_true(clock_ns() - begin_ns >= long_ns);
	}
	fail_msg("too slow a machine");
}

/* While somebody polls, frames wait for that; without anybody they come at once, and so they do again after the end of it. */
static void frames_wait_for_who_polls(void **state)
{
	struct if_poll p;
	int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	uint64_t begin_ns = clock_ns();
	int r;

	(void)state;
	do /* on a machine that has other things to do its probes come too late */
		r = if_poll_open(netns, packet, host, app, &p);
	while (r == -ETIMEDOUT && clock_ns() - begin_ns < SOON_MS * UINT64_C(1000000));
	close(packet);
	if (r == -EOPNOTSUPP || r == -ENOENT) {
		printf("skipped: this kernel has no NAPI_SET\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_not_equal(p.napi_id, 0);
	attach_pass();
	assert_int_equal(if_poll_ready(netns, app), 0);
	heard(20);

	send_one();
	assert_int_equal(heard(SOON_MS), 1);

	assert_int_equal(if_poll_set(netns, p.napi_id, long_ns), 0);
	send_one(); /* the last one by the kernel's own poll */
	assert_int_equal(heard(SOON_MS), 1);
	frames_wait(&p);
	poll_once(&p);
	assert_int_equal(heard(0), 1);
	/* nobody polls any more: late, but not never */
	assert_int_equal(if_poll_set(netns, p.napi_id, short_ns), 0);
	poll_once(&p);
	send_one();
	assert_int_equal(heard(SOON_MS), 1);

	assert_int_equal(if_poll_set(netns, p.napi_id, 0), 0);
	poll_once(&p);
	for (unsigned i = 0; i < 3; i++) {
		send_one();
		assert_int_equal(heard(SOON_MS), 1);
	}
	close(p.fd);
}

/* The socket is the device's for good. */
static void it_reaches_no_other_device(void **state)
{
	struct if_poll p;

	(void)state;
	assert_int_equal(if_poll_open(netns, -1, host, 99999, &p), -ENXIO);
	assert_int_equal(p.fd, -1);
	assert_int_equal(p.napi_id, 0);
}

static int make_devices(void)
{
	struct rtnl nl;

	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0 || rtnl_open(&nl) != 0 || rtnl_veth_new(&nl, "a", "b", netns, 1500) != 0)
		return -1;
	host = if_nametoindex("a");
	app = if_nametoindex("b");
	if (rtnl_link_up(&nl, host) != 0 || rtnl_link_up(&nl, app) != 0)
		return -1;
	rtnl_close(&nl);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	if (make_devices() != 0)
		return -1;
	sends = packet_socket(host, 0);
	hears = packet_socket(app, TYPE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reaches_no_other_device),
		cmocka_unit_test(frames_wait_for_who_polls),
	};

	if (unshare(CLONE_NEWNET) != 0) {
		printf("skipped: no network namespace of its own\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}

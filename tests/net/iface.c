// SPDX-License-Identifier: BSD-2-Clause
/*
 * The data plane of an interface channel, on a veth wire: dispatch, deliver, gate and the afxdp driver, with the kernel's
 * sockets at the other end (iface_world.h). Needs root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/types.h"
#include "tests/net/iface_world.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/udp.h"

enum { PORT = 7000, PORT_OTHER = 7001, PORT_KERNEL = 7002, PORT_TCP = 7003, CLIENT_PORT = 5000, WAIT_MS = IFACE_PATIENT_S * 1000, FRAMES = 256 };

static struct iface_world world;
static uint32_t next_id = 1;

/* ---- an application ------------------------------------------------------------------------------------------------ */

struct app {
	struct iface_app iface;
	struct afxdp *xdp;
	struct vj_channel *ch;
};

static void app_open(struct app *a, uint32_t frame_bytes, uint32_t frame_cnt, uint32_t spill_max)
{
	iface_app_open(&world, &a->iface, next_id++, frame_bytes, frame_cnt, spill_max);
	assert_int_equal(afxdp_open(&a->iface.params, &a->xdp), 0);
	a->ch = afxdp_channel(a->xdp);
}

static void app_close(struct app *a)
{
	afxdp_close(a->xdp);
	iface_app_close(&world, &a->iface);
}

static void app_port(const struct app *a, bool v6, uint16_t port)
{
	struct ip_addr addr = iface_addr(IFACE_HOST, v6);

	iface_port(&world, &addr, IP_PROTO_UDP, port, a->iface.id, false);
}

/* One frame; waits for it, asleep. */
static struct vj_buf app_rx(struct app *a)
{
	struct pollfd pfd = { .fd = a->iface.params.xsk_fd, .events = POLLIN };
	struct vj_buf buf = { 0 };

	for (;;) {
		if (vj_channel_rx(a->ch, &buf, 1))
			return buf;
		assert_int_equal(vj_channel_error(a->ch), VJ_CHANNEL_ERR_NONE);
		if (vj_channel_arm(a->ch, false))
			assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		vj_channel_disarm(a->ch);
	}
}

static bool app_rx_nothing(struct app *a)
{
	struct vj_buf buf;

	return !vj_channel_rx(a->ch, &buf, 1);
}

static void app_free(struct app *a, const struct vj_buf *buf)
{
	vj_channel_rx_free(a->ch, buf, 1);
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

struct sent {
	struct mac_addr src_mac, dst_mac;
	struct ip_addr src, dst;
	uint16_t src_port, dst_port;
	uint16_t eth_type; /* 0: that of the addresses */
	uint32_t payload_len;
	bool more_frags;
	uint8_t proto;
};

/* What a well-behaved application sends to the client. */
static struct sent sent_default(bool v6)
{
	return (struct sent){
		.src_mac = world.host_mac,
		.dst_mac = world.client_mac,
		.src = iface_addr(IFACE_HOST, v6),
		.dst = iface_addr(IFACE_CLIENT, v6),
		.src_port = PORT,
		.dst_port = CLIENT_PORT,
		.payload_len = 32,
		.proto = IP_PROTO_UDP,
	};
}

static uint32_t frame_build(uint8_t *data, const struct sent *s)
{
	bool v4 = ip_addr_is_v4(&s->src);
	uint16_t udp_len = (uint16_t)(UDP_HDR_BYTES + s->payload_len);
	struct eth_fields eth = { .dst = s->dst_mac, .src = s->src_mac, .type = v4 ? ETH_TYPE_IP4 : ETH_TYPE_IP6 };
	uint8_t *udp;

	if (s->eth_type)
		eth.type = s->eth_type;
	data += eth_build(data, &eth);
	if (v4) {
		struct ip4_fields ip = { .src = ip_addr_v4(&s->src), .dst = ip_addr_v4(&s->dst), .payload_len = udp_len,
					 .ttl = 64, .proto = s->proto, .more_frags = s->more_frags };

		udp = data + ip4_build(data, &ip);
		ip4_csum_fill(data);
	} else {
		struct ip6_fields ip = { .src = s->src, .dst = s->dst, .payload_len = udp_len, .proto = s->proto,
					 .hop_limit = 64, .has_frag_hdr = s->more_frags, .more_frags = s->more_frags };

		udp = data + ip6_build(data, &ip);
	}
	store_be16(udp, s->src_port);
	store_be16(udp + 2, s->dst_port);
	store_be16(udp + 4, udp_len);
	store_be16(udp + 6, 0);
	memset(udp + UDP_HDR_BYTES, 'v', s->payload_len);
	store_u16(udp + 6, csum_finish_udp(csum_add(csum_pseudo_addr(&s->src, &s->dst, IP_PROTO_UDP, udp_len),
						    csum_bytes(udp, udp_len))).raw);
	return (uint32_t)(udp - data) + ETH_HDR_BYTES + udp_len;
}

static void app_send(struct app *a, const struct sent *s)
{
	struct vj_buf buf;

	assert_int_equal(vj_channel_tx_get(a->ch, &buf, 1), 1);
	buf.len = frame_build(buf.data, s);
	vj_channel_tx_put(a->ch, &buf, 1);
	vj_channel_tx_publish(a->ch);
	while (!afxdp_flush(a->xdp))
		;
}

/* The payload of a UDP datagram as the client sent it. */
static const char *udp_text(const struct vj_buf *buf, bool v6)
{
	return (const char *)buf->data + ETH_HDR_BYTES + (v6 ? IP6_HDR_BYTES : IP4_HDR_BYTES) + UDP_HDR_BYTES;
}

/* What was sent is where it goes to, or dropped. */
static void settle(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
}

static bool client_hears(int fd, uint32_t len)
{
	char buf[2048];

	return recv(fd, buf, sizeof(buf), 0) == (ssize_t)len;
}

static bool client_hears_nothing(int fd)
{
	char buf[2048];

	settle();
	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT) < 0;
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */

/* Both families, both sizes of frame, there and back, more often than there are frames, asleep in between. */
static void test_there_and_back(void **state)
{
	static const uint32_t sizes[] = { 2048, 4096 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct sent s = sent_default(i & 1);
		struct app a;
		int fd;

		app_open(&a, sizes[i / 2], 16, 0);
		app_port(&a, i & 1, PORT);
		fd = iface_client_udp(&world, i & 1, CLIENT_PORT, PORT);
		for (unsigned n = 0; n < 100; n++) {
			char text[32];
			struct vj_buf buf;

			snprintf(text, sizeof(text), "number %u", n);
			assert_int_equal(send(fd, text, sizeof(text), 0), sizeof(text));
			buf = app_rx(&a);
			assert_string_equal(udp_text(&buf, i & 1), text);
			app_free(&a, &buf);
			s.payload_len = n;
			app_send(&a, &s);
			assert_true(client_hears(fd, n));
		}
		assert_int_equal(iface_deliver_count(&a.iface, POLICY_DELIVERED), 100);
		assert_int_equal(iface_gate_count(&world, &a.iface, POLICY_SENT), 100);
		close(fd);
		app_close(&a);
	}
}

/* One publication of more frames than the kernel takes in a call. */
static void test_burst(void **state)
{
	struct sent s = sent_default(false);
	struct vj_buf bufs[100];
	struct afxdp_stats st;
	struct app a;
	int fd;

	(void)state;
	app_open(&a, 4096, FRAMES, 0);
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	assert_int_equal(vj_channel_tx_get(a.ch, bufs, 100), 100);
	for (unsigned i = 0; i < 100; i++) {
		s.payload_len = i;
		bufs[i].len = frame_build(bufs[i].data, &s);
	}
	vj_channel_tx_put(a.ch, bufs, 100);
	vj_channel_tx_publish(a.ch);
	assert_true(afxdp_flush(a.xdp));
	for (unsigned i = 0; i < 100; i++)
		assert_true(client_hears(fd, i));
	assert_int_equal(afxdp_stats(a.xdp, &st), 0);
	assert_in_range(st.tx_calls, 4, 8);
	close(fd);
	app_close(&a);
}

/* While the device is down frames wait, and nobody is told to call again and again; they go with the first after it. */
static void test_device_down(void **state)
{
	struct sent s = sent_default(false);
	struct app a;
	int fd;

	(void)state;
	app_open(&a, 4096, 64, 0);
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	iface_enter(world.apps_ns);
	iface_run("ip link set app%ua down", a.iface.id);
	iface_enter(world.host_ns);
	for (unsigned i = 0; i < 3; i++) {
		s.payload_len = i;
		app_send(&a, &s);
	}
	assert_true(client_hears_nothing(fd));
	iface_enter(world.apps_ns);
	iface_run("ip link set app%ua up", a.iface.id);
	iface_enter(world.host_ns);
	settle();
	s.payload_len = 3;
	app_send(&a, &s);
	for (unsigned i = 0; i < 4; i++)
		assert_true(client_hears(fd, i));
	assert_int_equal(vj_channel_error(a.ch), VJ_CHANNEL_ERR_NONE);
	close(fd);
	app_close(&a);
}

/* ---- spilling: vjd's part is played by a packet socket on each end of the device ------------------------------------- */

static int packet_socket(int ns, uint32_t ifindex)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				    .sll_ifindex = (int)ifindex };
	int fd;

	iface_enter(ns);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	iface_enter(world.host_ns);
	return fd;
}

/* Behind the outer header. */
static void give_back(int fd, const uint8_t *bytes, size_t len)
{
	uint8_t frame[2048] = { 2, 0, 0, 0, 0, 0 };

	store_be16(frame + 12, POLICY_GIVE_BACK_TYPE);
	memcpy(frame + POLICY_GIVE_BACK_BYTES, bytes, len);
	assert_int_equal(send(fd, frame, len + POLICY_GIVE_BACK_BYTES, 0), (ssize_t)(len + POLICY_GIVE_BACK_BYTES));
}

static void expect_numbers(struct app *a, uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n < to; n++) {
		struct vj_buf buf = app_rx(a);

		assert_int_equal(load_u32(udp_text(&buf, false)), n);
		app_free(a, &buf);
	}
}

static void client_numbers(int fd, uint32_t from, uint32_t to)
{
	for (uint32_t n = from; n < to; n++)
		assert_int_equal(send(fd, &n, sizeof(n), 0), sizeof(n));
	settle();
}

static void expect_spilling(const struct app *a, uint32_t sticky, uint32_t returned)
{
	struct policy_deliver_state st;

	iface_deliver_state(&a->iface, &st);
	assert_int_equal(st.sticky, sticky);
	assert_int_equal(st.returned, returned);
}

/* More than there are free frames: the rest goes to vjd, up to the quota, and comes back in order. */
static void test_spill(void **state)
{
	struct afxdp_stats xst;
	uint8_t frame[2048];
	struct app a;
	int fd, taker, giver;
	uint32_t spilled;

	(void)state;
	app_open(&a, 4096, 64, 40); /* 32 to receive in */
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	taker = packet_socket(world.apps_ns, a.iface.app_ifindex);
	giver = packet_socket(world.host_ns, a.iface.host_ifindex);
	client_numbers(fd, 0, 100);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_DELIVERED), 32);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILLED), 40);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILL_FULL), 28);
	expect_numbers(&a, 0, 32);
	/* Frames are free again, but what comes now must not overtake what was spilled. */
	client_numbers(fd, 100, 101);
	assert_true(app_rx_nothing(&a));
	for (spilled = 0; spilled < 40; spilled++) {
		ssize_t len = recv(taker, frame, sizeof(frame), 0);

		assert_true(len > 0);
		give_back(giver, frame, (size_t)len);
		expect_numbers(&a, 32 + spilled, 33 + spilled);
	}
	/* Something was dropped, so all is until vjd has said that it holds nothing, though the quota has room again. */
	client_numbers(fd, 101, 102);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILLED), 40);
	give_back(giver, (uint8_t *)&spilled, sizeof(spilled));
	settle();
	expect_spilling(&a, 0, 40);
	iface_deliver_flood(&a.iface, 0); /* as if that were long ago */
	client_numbers(fd, 102, 135); /* the last one finds no free frame */
	expect_numbers(&a, 102, 134);
	/* Nothing was dropped: one more is spilled meanwhile, so vjd's mark comes too early and changes nothing. */
	client_numbers(fd, 135, 136);
	spilled++;
	give_back(giver, (uint8_t *)&spilled, sizeof(spilled));
	settle();
	expect_spilling(&a, 1, 40);
	for (unsigned i = 0; i < 2; i++)
		give_back(giver, frame, (size_t)recv(taker, frame, sizeof(frame), 0));
	spilled++;
	give_back(giver, (uint8_t *)&spilled, sizeof(spilled));
	client_numbers(fd, 136, 140);
	expect_numbers(&a, 134, 140);
	expect_spilling(&a, 0, 42);
	/* Never left to the kernel's own judgment. */
	assert_int_equal(afxdp_stats(a.xdp, &xst), 0);
	assert_int_equal(xst.rx_fill_empty + xst.rx_ring_full + xst.rx_dropped, 0);
	close(fd);
	close(taker);
	close(giver);
	app_close(&a);
}

/* Who takes frames, but was too slow lately, has a ring that overflows; who has stopped taking any has a quota again. */
static void test_spill_flood(void **state)
{
	const struct timespec stopped = { .tv_nsec = 2 * POLICY_FLOOD_NS };
	const uint64_t later_ns = UINT64_MAX / 2;
	struct policy_deliver_state st;
	struct app a;
	int fd;

	(void)state;
	app_open(&a, 4096, 64, 8); /* 32 to receive in */
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	client_numbers(fd, 0, 32);
	iface_deliver_flood(&a.iface, later_ns);
	client_numbers(fd, 32, 34);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILL_FULL), 2);
	expect_spilling(&a, 0, 0);
	/* it goes on, and is overtaken again: that is a flood still */
	expect_numbers(&a, 0, 16);
	client_numbers(fd, 34, 50);
	iface_deliver_state(&a.iface, &st);
	assert_true(st.flood_ns == later_ns);
	client_numbers(fd, 50, 51);
	iface_deliver_state(&a.iface, &st);
	assert_true(st.flood_ns < later_ns);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILL_FULL), 3);
	/* it has stopped */
	nanosleep(&stopped, NULL);
	client_numbers(fd, 51, 52);
	expect_spilling(&a, 1, 0);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILLED), 1);
	expect_numbers(&a, 16, 32);
	expect_numbers(&a, 34, 50);
	close(fd);
	app_close(&a);
}

/* Whoever gave back what was spilled is dead: frames are free, and what comes goes there soon, without him. The next one puts the count right. */
static void test_spill_alone(void **state)
{
	const struct timespec silence = { .tv_nsec = 2 * POLICY_SPILL_SILENCE_NS };
	struct app a;
	uint32_t spilled;
	int fd, giver;

	(void)state;
	app_open(&a, 4096, 64, 8); /* 32 to receive in */
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	client_numbers(fd, 0, 39);
	nanosleep(&silence, NULL);
	/* no credit: however long it lasts, he that gives back can't */
	client_numbers(fd, 39, 40);
	expect_spilling(&a, 1, 0);
	expect_numbers(&a, 0, 32);
	client_numbers(fd, 40, 41);
	assert_true(app_rx_nothing(&a));
	nanosleep(&silence, NULL);
	client_numbers(fd, 41, 60);
	expect_numbers(&a, 41, 60);
	expect_spilling(&a, 0, 0);
	giver = packet_socket(world.host_ns, a.iface.host_ifindex);
	spilled = (uint32_t)iface_deliver_count(&a.iface, POLICY_SPILLED);
	assert_int_equal(spilled, 8);
	give_back(giver, (uint8_t *)&spilled, sizeof(spilled));
	settle();
	expect_spilling(&a, 0, spilled);
	/* and there is room for as many as ever */
	client_numbers(fd, 60, 60 + 32 + 8);
	assert_int_equal(iface_deliver_count(&a.iface, POLICY_SPILLED), 16);
	expect_numbers(&a, 60, 92);
	close(fd);
	close(giver);
	app_close(&a);
}

/* A lie about credit costs the liar: what the ring has no room for is dropped, and the count of it is the kernel's. */
static void test_credit_lies(void **state)
{
	struct policy_deliver_state st;
	struct app a;
	int fd;

	(void)state;
	app_open(&a, 4096, 64, 0);
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	iface_credit_set(&a.iface, 0x80000000u);
	client_numbers(fd, 0, 40);
	iface_deliver_state(&a.iface, &st);
	assert_in_range(st.given, 0, 32);
	close(fd);
	app_close(&a);
}

/* ---- gate ---------------------------------------------------------------------------------------------------------- */

struct refusal {
	enum policy_reason reason;
	void (*change)(struct sent *s);
};

static void other_mac(struct sent *s) { s->src_mac.bytes[5] ^= 1; }
static void to_all(struct sent *s) { memset(s->dst_mac.bytes, 0xff, 6); }
static void arp(struct sent *s) { s->eth_type = ETH_TYPE_ARP; }
static void given_back(struct sent *s) { s->eth_type = POLICY_GIVE_BACK_TYPE; }
static void too_long(struct sent *s) { s->payload_len = IFACE_MTU - UDP_HDR_BYTES - IP4_HDR_BYTES + 1; }
static void other_addr(struct sent *s) { s->src.bytes[15]++; }
static void other_port(struct sent *s) { s->src_port = PORT_OTHER; }
static void fragment(struct sent *s) { s->proto = IP_PROTO_TCP; s->more_frags = true; }
static void icmp(struct sent *s) { s->proto = IP_PROTO_ICMP; }
static void to_this_host(struct sent *s) { s->dst = s->src; }

static const struct refusal refusals[] = {
	{ POLICY_GATE_SRC_MAC, other_mac },   { POLICY_GATE_DST_MAC, to_all },	{ POLICY_GATE_TYPE, arp },
	{ POLICY_GATE_TYPE, given_back },     { POLICY_GATE_LEN, too_long },	{ POLICY_GATE_SRC_ADDR, other_addr },
	{ POLICY_GATE_SRC_PORT, other_port }, { POLICY_GATE_FRAG, fragment },	{ POLICY_GATE_PROTO, icmp },
	{ POLICY_GATE_LOCAL, to_this_host },
};

static void test_gate(void **state)
{
	struct app a, other;

	(void)state;
	app_open(&a, 4096, 64, 0);
	app_open(&other, 4096, 64, 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct sent s = sent_default(v6);
		int fd = iface_client_udp(&world, v6, CLIENT_PORT, PORT);

		app_port(&a, v6, PORT);
		app_port(&other, v6, PORT_OTHER);
		for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
			uint64_t before = iface_gate_count(&world, &a.iface, refusals[i].reason);
			struct sent bad = s;

			if (v6 && refusals[i].change == fragment)
				continue; /* an extension header: refused as such */
			refusals[i].change(&bad);
			app_send(&a, &bad);
			for (int k = 0; k < 1000 && iface_gate_count(&world, &a.iface, refusals[i].reason) == before; k++)
				nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
			assert_int_equal(iface_gate_count(&world, &a.iface, refusals[i].reason), before + 1);
		}
		assert_true(client_hears_nothing(fd));
		app_send(&a, &s);
		assert_true(client_hears(fd, s.payload_len));
		/* To another application of this host */
		s.dst = s.src;
		s.dst_port = PORT_OTHER;
		app_send(&a, &s);
		{
			struct vj_buf buf = app_rx(&other);

			assert_memory_equal(udp_text(&buf, v6), "vvvv", 4);
			app_free(&other, &buf);
		}
		close(fd);
	}
	app_close(&a);
	app_close(&other);
}

/* ---- whose it is --------------------------------------------------------------------------------------------------- */

/* A socket of the host's kernel, on a port that no application has. */
static void kernel_hears(bool v6)
{
	int from = iface_client_udp(&world, v6, CLIENT_PORT, PORT_KERNEL);
	int fd = iface_host_udp(PORT_KERNEL);
	char text[8] = "";

	assert_int_equal(send(from, "kernel", 7, 0), 7);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 7);
	assert_string_equal(text, "kernel");
	close(fd);
	close(from);
}

/* What is nobody's is the kernel's; and so is what was an application's that has died. */
static void test_kernel_keeps_its_own(void **state)
{
	struct app a;
	char c = 'x';
	int fd;

	(void)state;
	app_open(&a, 4096, 64, 0);
	app_port(&a, false, PORT);
	kernel_hears(false);
	kernel_hears(true);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	assert_int_equal(send(fd, &c, 1, 0), 1);
	app_rx(&a);
	app_close(&a);
	assert_int_equal(send(fd, &c, 1, 0), 1);
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
}

/* A connection that the kernel had before the port was leased goes on; a new one begins with the application. */
static void kernel_connection_stays(bool v6)
{
	const struct timeval second = { .tv_sec = 1 };
	struct ip_addr addr = iface_addr(IFACE_HOST, v6);
	int listener = iface_tcp(&world, IFACE_HOST, v6, PORT_TCP), client = iface_tcp(&world, IFACE_CLIENT, v6, 0), fd;
	char text[8] = "";
	struct vj_buf buf;
	struct app a;

	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(iface_connect(client, v6, PORT_TCP), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	app_open(&a, 4096, 64, 0);
	iface_port(&world, &addr, IP_PROTO_TCP, PORT_TCP, a.iface.id, false);
	assert_int_equal(send(client, "before", 7, 0), 7);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 7);
	assert_int_equal(send(fd, text, 7, 0), 7);
	assert_int_equal(recv(client, text, sizeof(text), 0), 7);
	assert_string_equal(text, "before");
	assert_true(app_rx_nothing(&a));
	close(client);
	close(fd);
	client = iface_tcp(&world, IFACE_CLIENT, v6, 0);
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	assert_int_equal(iface_connect(client, v6, PORT_TCP), -1); /* nobody answers: it times out */
	buf = app_rx(&a);
	assert_in_range(buf.len, ETH_HDR_BYTES + 40, 100); /* its SYN */
	close(client);
	close(listener);
	app_close(&a);
}

static void test_kernel_connection_stays(void **state)
{
	(void)state;
	kernel_connection_stays(false);
	kernel_connection_stays(true);
}

/* Garbage in the rings of one application is nothing to the other. */
static void test_ring_garbage(void **state)
{
	struct sent s = sent_default(false);
	struct app a, bad;
	int fd;

	(void)state;
	app_open(&a, 4096, 64, 0);
	app_open(&bad, 4096, 64, 0);
	app_port(&a, false, PORT);
	fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	iface_garbage(&bad.iface);
	app_send(&a, &s);
	assert_true(client_hears(fd, s.payload_len));
	assert_int_equal(send(fd, "hello", 6, 0), 6);
	{
		struct vj_buf buf = app_rx(&a);

		assert_string_equal(udp_text(&buf, false), "hello");
	}
	close(fd);
	app_close(&a);
	app_close(&bad);
}

static int setup(void **state)
{
	(void)state;
	iface_dispatch(&world);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	iface_world_close(&world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_burst),
		cmocka_unit_test(test_device_down),
		cmocka_unit_test(test_spill),	       cmocka_unit_test(test_spill_alone),
		cmocka_unit_test(test_spill_flood),
		cmocka_unit_test(test_credit_lies),
		cmocka_unit_test(test_gate),	       cmocka_unit_test(test_kernel_keeps_its_own),
		cmocka_unit_test(test_kernel_connection_stays),
		cmocka_unit_test(test_ring_garbage),
	};
	const char *missing = iface_world_open(&world);

	if (missing) {
		printf("skipped: no %s here: %s\n", missing, strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}

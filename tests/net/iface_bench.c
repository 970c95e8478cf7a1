// SPDX-License-Identifier: BSD-2-Clause
/*
 * Datagrams a second from a kernel sender, over the same wire, into: a kernel socket; a bare AF_XDP socket on the wire's
 * end, whose program only redirects and whose loop only gives frames back; the same behind a hop into an application's
 * device; a channel with the stack on it. No test: it measures.
 *
 * Sender and receiver have a processor each. What the kernel does for a received frame, it does on the sender's (veth), so
 * the rate is that of sending and receiving together.
 *
 * usage: iface_bench [seconds of each, 2] [rounds, 3] [segments]
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "driver/afxdp.h"
#include "stack/stack.h"
#include "tests/net/iface_world.h"
#include "wire/ip.h"

#ifndef SOL_UDP
#define SOL_UDP 17
#endif

enum { PORT = 7000, CLIENT_PORT = 5000, PAYLOAD = 64, BATCH = 64, FREE_BATCH = 16, FRAMES = 4096, CPU_SENDER = 0, CPU_RECEIVER = 1 };

static struct iface_world world;
static atomic_bool stop;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static cpu_set_t only(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return set;
}

/* ---- sender -------------------------------------------------------------------------------------------------------- */

static bool segments; /* the kernel cuts a datagram for each call into BATCH (UDP_SEGMENT): they come in batches */

static void *sender(void *arg)
{
	static char payload[PAYLOAD * BATCH];
	int fd = *(int *)arg, each = PAYLOAD;
	struct iovec iov = { payload, PAYLOAD };
	struct mmsghdr msgs[BATCH] = { 0 };

	for (unsigned i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	if (segments)
		VJ_ASSERT_OP(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof(each)), ==, 0);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		if (segments)
			send(fd, payload, sizeof(payload), 0);
		else
			sendmmsg(fd, msgs, BATCH, 0);
	}
	return NULL;
}

/* ---- receivers: each takes what there is and says how many --------------------------------------------------------- */

struct receiver {
	unsigned (*take)(struct receiver *r);
	int fd; /* kernel */
	struct afxdp *xdp;
	struct stack *stack;
	struct link_id link;
	struct udp_id udp;
	struct vj_buf freed[FREE_BATCH];
	unsigned freed_cnt;
};

static unsigned kernel_take(struct receiver *r)
{
	static char payloads[BATCH][PAYLOAD];
	static struct iovec iovs[BATCH];
	static struct mmsghdr msgs[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){ payloads[i], PAYLOAD };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(r->fd, msgs, BATCH, MSG_DONTWAIT, NULL);
	return n > 0 ? (unsigned)n : 0;
}

static unsigned bare_take(struct receiver *r)
{
	struct vj_channel *ch = afxdp_channel(r->xdp);
	struct vj_buf bufs[BATCH];
	unsigned n = vj_channel_rx(ch, bufs, BATCH);

	vj_channel_rx_free(ch, bufs, n);
	return n;
}

static bool no_tx_get(void *drv, struct link_frame *ret_frame)
{
	(void)drv, (void)ret_frame;
	return false;
}

static void no_tx(void *drv, const struct link_frame *frame)
{
	(void)drv, (void)frame;
}

/* Together, as src/lib does it. */
static void rx_free(void *drv, const struct link_frame *frame)
{
	struct receiver *r = drv;

	r->freed[r->freed_cnt++] =
		(struct vj_buf){ .data = frame->data, .len = frame->len, .room = frame->room, .addr = frame->token };
	if (r->freed_cnt < FREE_BATCH)
		return;
	vj_channel_rx_free(afxdp_channel(r->xdp), r->freed, r->freed_cnt);
	r->freed_cnt = 0;
}

static unsigned channel_take(struct receiver *r)
{
	struct link_frame frames[BATCH];
	struct vj_buf bufs[BATCH];
	unsigned n, got = 0;
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;
	char buf[PAYLOAD];
	size_t len;

	n = vj_channel_rx(afxdp_channel(r->xdp), bufs, BATCH);
	if (!n)
		return 0;
	for (unsigned i = 0; i < n; i++)
		frames[i] = (struct link_frame){ bufs[i].data, bufs[i].len, bufs[i].room, bufs[i].addr };
	stack_now(r->stack, now_ns() / 1000);
	stack_rx(r->stack, r->link, frames, n);
	while (udp_recv(r->stack, r->udp, buf, sizeof(buf), false, &len, &from, &to, &link) == 0)
		got += len == PAYLOAD;
	return got;
}

/* ---- measuring ----------------------------------------------------------------------------------------------------- */

static double measure(struct receiver *r, double seconds)
{
	int fd = iface_client_udp(&world, false, CLIENT_PORT, PORT);
	uint64_t start, got = 0;
	cpu_set_t cpus = only(CPU_SENDER);
	pthread_attr_t attr;
	pthread_t thread;
	double rate;

	atomic_store(&stop, false);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	pthread_create(&thread, &attr, sender, &fd);
	for (start = now_ns(); now_ns() - start < 200000000;)
		r->take(r);
	for (start = now_ns(); now_ns() - start < (uint64_t)(seconds * 1e9);)
		for (unsigned i = 0; i < 16; i++)
			got += r->take(r);
	rate = (double)got * 1e9 / (double)(now_ns() - start);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	close(fd);
	return rate;
}

/* ---- the four ----------------------------------------------------------------------------------------------------- */

static double kernel_measure(double seconds)
{
	struct receiver r = { .take = kernel_take, .fd = iface_host_udp(PORT) };
	double rate = measure(&r, seconds);

	close(r.fd);
	return rate;
}

/* A program that redirects everything by the first entry of a map, which leads to `target`. */
static void attach_bare(uint32_t ifindex, enum bpf_map_type type, uint32_t target)
{
	uint32_t zero = 0;
	int map = bpf_map_create(type, "bare", 4, 4, 1, NULL), prog;
	const struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "bare", "GPL", insns, ARRAY_SIZE(insns), NULL);
	VJ_ASSERT(map >= 0 && prog >= 0);
	VJ_ASSERT_OP(bpf_map_update_elem(map, &zero, &target, BPF_ANY), ==, 0);
	VJ_ASSERT_OP(bpf_xdp_attach((int)ifindex, prog, XDP_FLAGS_DRV_MODE, NULL), ==, 0);
	close(prog);
	close(map);
}

/* On the wire's own end. */
static double bare_measure(double seconds)
{
	struct afxdp_params params = iface_socket(world.ifindex, 4096, FRAMES);
	struct receiver r = { .take = bare_take };
	double rate;

	attach_bare(world.ifindex, BPF_MAP_TYPE_XSKMAP, (uint32_t)params.xsk_fd);
	VJ_ASSERT_OP(afxdp_open(&params, &r.xdp), ==, 0);
	rate = measure(&r, seconds);
	afxdp_close(r.xdp);
	bpf_xdp_detach((int)world.ifindex, XDP_FLAGS_DRV_MODE, NULL);
	close(params.xsk_fd);
	close(params.umem_fd);
	return rate;
}

/* At the end of an application's device, as a channel is, but with programs that decide nothing. */
static double hop_measure(double seconds)
{
	struct receiver r = { .take = bare_take };
	struct iface_app app;
	double rate;

	iface_dispatch(&world);
	iface_app_open(&world, &app, 1, 4096, FRAMES, 0);
	attach_bare(world.ifindex, BPF_MAP_TYPE_DEVMAP, app.host_ifindex);
	iface_enter(world.apps_ns);
	attach_bare(app.app_ifindex, BPF_MAP_TYPE_XSKMAP, (uint32_t)app.params.xsk_fd);
	iface_enter(world.host_ns);
	VJ_ASSERT_OP(afxdp_open(&app.params, &r.xdp), ==, 0);
	rate = measure(&r, seconds);
	afxdp_close(r.xdp);
	iface_app_close(&world, &app);
	iface_dispatch_off(&world);
	return rate;
}

static void *mem_get(void *arg, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	return p == MAP_FAILED ? NULL : p;
}

static void mem_put(void *arg, void *p, size_t bytes)
{
	(void)arg;
	munmap(p, bytes);
}

static double channel_measure(double seconds)
{
	static const struct link_ops ops = { .tx_get = no_tx_get, .tx_put = no_tx, .tx_unget = no_tx, .rx_free = rx_free };
	struct stack_config cfg = { .conns_max = 16, .mem_bytes_max = 64 << 20, .mem_get = mem_get, .mem_put = mem_put };
	struct receiver r = { .take = channel_take };
	struct link_config link = { .ops = &ops, .drv = &r, .mtu = IFACE_MTU, .rx_hold_max = FRAMES / 4 };
	struct ip_addr any = ip_addr_any_v4();
	struct endpoint local = { .port = PORT };
	struct iface_app app;
	double rate;

	iface_dispatch(&world);
	iface_app_open(&world, &app, 1, 4096, FRAMES, 0);
	iface_port(&world, &any, IP_PROTO_UDP, PORT, 1, false);
	VJ_ASSERT_OP(afxdp_open(&app.params, &r.xdp), ==, 0);
	VJ_ASSERT_OP(stack_create(&cfg, now_ns() / 1000, &r.stack), ==, 0);
	memcpy(link.mac, world.host_mac.bytes, 6);
	memcpy(link.peer_mac, world.client_mac.bytes, 6);
	VJ_ASSERT_OP(stack_link_add(r.stack, &link, &r.link), ==, 0);
	VJ_ASSERT_OP(udp_open(r.stack, &local, 0, 0, &r.udp), ==, 0);
	rate = measure(&r, seconds);
	stack_link_del(r.stack, r.link, ENETDOWN);
	stack_destroy(r.stack);
	afxdp_close(r.xdp);
	iface_app_close(&world, &app);
	iface_dispatch_off(&world);
	return rate;
}

int main(int argc, char **argv)
{
	static double (*const ways[])(double seconds) = { kernel_measure, bare_measure, hop_measure, channel_measure };
	double seconds = argc > 1 ? atof(argv[1]) : 2;
	int rounds = argc > 2 ? atoi(argv[2]) : 3;
	cpu_set_t cpus = only(CPU_RECEIVER);
	const char *missing = iface_world_open(&world);

	if (missing) {
		fprintf(stderr, "no %s here: %s\n", missing, strerror(errno));
		return 1;
	}
	segments = argc > 3 && strcmp(argv[3], "segments") == 0;
	sched_setaffinity(0, sizeof(cpus), &cpus);
	printf("UDP datagrams of %d bytes a second\n"
	       "  kernel socket    bare AF_XDP  behind a hop       channel   of bare    of hop  of kernel\n", PAYLOAD);
	for (int i = 0; i < rounds; i++) {
		double rate[4];

		for (unsigned k = 0; k < 4; k++)
			rate[k] = ways[k](seconds);
		printf("%15.0f%15.0f%14.0f%14.0f%10.2f%10.2f%11.2f\n", rate[0], rate[1], rate[2], rate[3],
		       rate[3] / rate[1], rate[3] / rate[2], rate[3] / rate[0]);
		fflush(stdout);
	}
	iface_world_close(&world);
	return 0;
}

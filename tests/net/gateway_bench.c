// SPDX-License-Identifier: BSD-2-Clause
/*
 * gateway_bench.c - what a gateway's program costs a router: packets a second with it and without, in turns
 *
 *	                     ┌─ lan ──> lan_far      a gateway
 *	in_far ──> in  router                           both drop, as early as the kernel can
 *	                     └─ plain ──> plain_far  none
 *
 * The kernel itself makes the frames, and sends them from `in_far` (BPF_F_TEST_XDP_LIVE_FRAMES); the far ends drop them in their
 * drivers. All of it in one thread, whose own processor time is what counts, so what else the machine does matters little. Nearly all that
 * is measured is what a router does, receive, route, send, and no benchmark makes the program look cheaper. The map is filled as vjd
 * would fill it. What is not a hit is counted by the program, and fails the run.
 *
 * gateway_bench [PAIRS [FRAMES]]. Needs root; makes network namespaces of its own.
 */
#include "policy/learned.h"
#include "wire/checksum.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* bpftool writes it so */
#include "bpf/vj_gateway.skel.h"
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	PAIRS = 101,
	PAIRS_MAX = 2001,
	FRAMES = 8192,
	FRAME_BYTES = 60,
	HOSTS = 16, /* each with all its ports: a million */
	PORT = 7000,
	OFF_TTL = 14 + 8, /* of the protocol and the checksum, behind it, too */
	OFF_PORT = 14 + 20 + 2,
	OFF_SPARE = 14 + 20 + 8, /* payload */
};

static const struct mac_addr in_mac = { { 0x02, 0, 0, 0, 0, 0x01 } }, canonical = { { 0x02, 0, 0, 0, 0, 0x02 } },
			     app_mac = { { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc } };

static struct vj_gateway *gateway;
static int in_far_index, lan_index;

/* Where a run's frames go. */
struct side {
	const char *device;
	uint32_t addr;
	uint8_t frame[FRAME_BYTES];
	int source; /* the program that makes them */
};
static struct side sides[] = { { .device = "plain", .addr = 0x0a030002 }, { .device = "lan", .addr = 0x0a020002 } };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "gateway_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void sh(const char *cmd)
{
	must(system(cmd) == 0, cmd);
}

/* ---- the router */

static int load(const struct bpf_insn *insns, size_t cnt)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "bench", "GPL", insns, cnt, NULL);

	must(fd >= 0, "an XDP program");
	return fd;
}

static int load_drop(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(insns, ARRAY_SIZE(insns));
}

/*
 * The kernel takes frames again that have come back to it, as forwarding has left them: what that changes is written anew. @spread: each to
 * a port at random
 */
static int load_source(const uint8_t *frame, bool spread)
{
	int32_t mac_lo, ttl_to_csum;
	int16_t mac_hi;

	memcpy(&mac_lo, frame, sizeof(mac_lo));
	memcpy(&mac_hi, frame + sizeof(mac_lo), sizeof(mac_hi));
	memcpy(&ttl_to_csum, frame + OFF_TTL, sizeof(ttl_to_csum));
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32 },
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_6, .off = offsetof(struct xdp_md, data) },
		{ .code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_6, .off = offsetof(struct xdp_md, data_end) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_2 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_4, .imm = FRAME_BYTES },
		{ .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_3, .off = 4 },
		{ .code = BPF_ST | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .imm = mac_lo },
		{ .code = BPF_ST | BPF_H | BPF_MEM, .dst_reg = BPF_REG_2, .off = sizeof(mac_lo), .imm = mac_hi },
		{ .code = BPF_ST | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .off = OFF_TTL, .imm = ttl_to_csum },
		{ .code = BPF_STX | BPF_H | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_0, .off = spread ? OFF_PORT : OFF_SPARE },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_TX },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load(insns, ARRAY_SIZE(insns));
}

/* The far end is in a namespace of its own, which goes with this process. */
static void make_router(void)
{
	int drop;

	must(unshare(CLONE_NEWNET) == 0, "network namespaces");
	/* nothing else is to leave there */
	sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
	sh("for d in in lan plain; do ip link add $d type veth peer name ${d}_far; done");
	sh("ip link set in address 02:00:00:00:00:01; for d in lan plain; do ip link set ${d}_far address 02:00:00:00:00:02; done");
	sh("for d in in lan plain; do ip link set $d up; ip link set ${d}_far up; done");
	/* the NAPI without which a veth takes no frames of XDP */
	sh("ethtool -K in gro on >/dev/null && ethtool -K in_far gro on >/dev/null");
	sh("ip addr add 10.1.0.1/24 dev in && ip addr add 10.2.0.1/24 dev lan && ip addr add 10.3.0.1/24 dev plain");
	sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0");
	sh("ip neigh replace 10.2.0.2 lladdr 02:00:00:00:00:02 dev lan nud permanent");
	sh("ip neigh replace 10.3.0.2 lladdr 02:00:00:00:00:02 dev plain nud permanent");
	in_far_index = (int)if_nametoindex("in_far");
	lan_index = (int)if_nametoindex("lan");
	drop = load_drop();
	must(bpf_xdp_attach((int)if_nametoindex("lan_far"), drop, XDP_FLAGS_DRV_MODE, NULL) == 0, "XDP at lan_far");
	must(bpf_xdp_attach((int)if_nametoindex("plain_far"), drop, XDP_FLAGS_DRV_MODE, NULL) == 0, "XDP at plain_far");
	close(drop);
}

static void make_frame(struct side *s)
{
	const struct eth_hdr eth = { .dst = in_mac, .src = { { 0x02, 0, 0, 0, 0, 0x09 } }, .type = be16(ETH_TYPE_IP4) };
	struct ip4_hdr ip = {
		.version_words = 0x45,
		.total_len = be16(FRAME_BYTES - sizeof(eth)),
		.ttl = 64,
		.proto = IP_PROTO_UDP,
		.src = be32(0x0a010002),
		.dst = be32(s->addr),
	};
	const struct be16 ports[2] = { be16(9000), be16(PORT) }, len = be16(FRAME_BYTES - sizeof(eth) - sizeof(ip));

	ip.csum = csum_finish(csum_bytes(&ip, sizeof(ip)));
	memcpy(s->frame, &eth, sizeof(eth));
	memcpy(s->frame + sizeof(eth), &ip, sizeof(ip));
	memcpy(s->frame + sizeof(eth) + sizeof(ip), ports, sizeof(ports));
	memcpy(s->frame + sizeof(eth) + sizeof(ip) + sizeof(ports), &len, sizeof(len)); /* no checksum */
}

/* ---- the gateway */

static struct ip_addr host_addr(uint32_t nr)
{
	return ip_addr_from_v4(be32(0x0a020002 + nr));
}

static void learn(uint32_t host, uint32_t port, const struct mac_addr *mac)
{
	const struct policy_learned value = { .until_ns = UINT64_MAX, .refresh_ns = UINT64_MAX, .mac = *mac, .canonical = canonical };
	const struct policy_learned_key key = { .addr = host_addr(host), .port = be16((uint16_t)port), .proto = IP_PROTO_UDP };

	must(bpf_map_update_elem(bpf_map__fd(gateway->maps.learned), &key, &value, BPF_ANY) == 0, "an entry");
}

static void host_is(uint32_t nr, const struct policy_learned_host *host)
{
	const struct ip_addr addr = host_addr(nr);

	must(bpf_map_update_elem(bpf_map__fd(gateway->maps.learned_hosts), &addr, host, BPF_ANY) == 0, "a host");
}

static void load_gateway(void)
{
	gateway = vj_gateway__open_and_load();
	must(gateway != NULL, "the gateway's program");
}

static void know_one(void)
{
	load_gateway();
	learn(0, PORT, &app_mac);
}

static void know_a_million(void)
{
	load_gateway();
	for (uint32_t nr = 0; nr < HOSTS; nr++)
		for (uint32_t port = 0; port < 65536; port++)
			learn(nr, port, &app_mac);
}

static void know_silent(void)
{
	const struct policy_learned_host host = { .quiet_ns = UINT64_MAX };

	load_gateway();
	host_is(0, &host);
}

static void attach(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = lan_index, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(gateway->progs.vj_gateway), .handle = 1, .priority = 65000,
		    .flags = BPF_TC_F_REPLACE);
	int r = bpf_tc_hook_create(&hook);

	must((r == 0 || r == -EEXIST) && bpf_tc_attach(&hook, &opts) == 0, "the filter");
}

static uint64_t counted(enum policy_reason reason)
{
	uint64_t values[256], sum = 0;
	uint32_t key = (uint32_t)reason;

	must(libbpf_num_possible_cpus() <= 256, "that many processors");
	must(bpf_map_lookup_elem(bpf_map__fd(gateway->maps.counters), &key, values) == 0, "a counter");
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += values[i];
	return sum;
}

/* ---- measuring */

#define BEST 0.9

static uint64_t sent_by(const struct side *s)
{
	unsigned long long packets = 0;
	char line[512], *at;
	FILE *f = fopen("/proc/self/net/dev", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		at = strchr(line, ':');
		if (at != NULL && strncmp(at - strlen(s->device), s->device, strlen(s->device)) == 0)
			sscanf(at + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &packets);
	}
	if (f != NULL)
		fclose(f);
	return packets;
}

/* Return: packets a second */
static double run(struct side *s, uint32_t frames)
{
	struct xdp_md ctx = { .data_end = FRAME_BYTES, .ingress_ifindex = (uint32_t)in_far_index };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = s->frame, .data_size_in = FRAME_BYTES, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		    .repeat = (int)frames, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	uint64_t before = sent_by(s);
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	must(bpf_prog_test_run_opts(s->source, &opts) == 0, "live frames");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	if (sent_by(s) - before != frames) {
		fprintf(stderr, "gateway_bench: of %u frames %llu left\n", frames, (unsigned long long)(sent_by(s) - before));
		exit(1);
	}
	return frames / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* What a part of the runs reached. Others on the machine only make a run slower: the upper parts say what the router can do. */
static double quantile(const double *values, unsigned cnt, double part)
{
	double sorted[PAIRS_MAX];

	memcpy(sorted, values, cnt * sizeof(*values));
	qsort(sorted, cnt, sizeof(*sorted), by_size);
	return sorted[(unsigned)((cnt - 1) * part)];
}

/* In turns, and each turn the other way round: what the machine does meanwhile meets both. */
static void compare(const char *what, void (*know)(void), bool spread, enum policy_reason all_are, unsigned pairs, uint32_t frames)
{
	double with[PAIRS_MAX], without[PAIRS_MAX], ratio[PAIRS_MAX];
	uint64_t before;

	know();
	attach();
	for (unsigned k = 0; k < ARRAY_SIZE(sides); k++) {
		sides[k].source = load_source(sides[k].frame, spread);
		run(&sides[k], frames);
	}
	before = counted(all_are);
	for (unsigned i = 0; i < pairs; i++)
		for (unsigned k = 0; k < 2; k++) {
			bool on = (k ^ i) & 1;

			(on ? with : without)[i] = run(&sides[on], frames);
		}
	must(counted(all_are) - before == (uint64_t)pairs * frames, "all of one kind");
	for (unsigned i = 0; i < pairs; i++)
		ratio[i] = with[i] / without[i];
	printf("%-44s %7.0f k/s %7.0f k/s %7.1f ns %7.3f %7.3f\n", what, quantile(without, pairs, BEST) / 1e3,
	       quantile(with, pairs, BEST) / 1e3, 1e9 / quantile(with, pairs, BEST) - 1e9 / quantile(without, pairs, BEST),
	       quantile(with, pairs, BEST) / quantile(without, pairs, BEST), quantile(ratio, pairs, 0.5));
	for (unsigned k = 0; k < ARRAY_SIZE(sides); k++)
		close(sides[k].source);
	vj_gateway__destroy(gateway);
}

int main(int argc, char **argv)
{
	unsigned pairs = argc > 1 ? min_u32((uint32_t)atoi(argv[1]), PAIRS_MAX) : PAIRS;
	uint32_t frames = argc > 2 ? (uint32_t)atoi(argv[2]) : FRAMES;
	cpu_set_t one;

	if (geteuid() != 0 || pairs == 0) {
		fputs("gateway_bench [PAIRS [FRAMES]], as root\n", stderr);
		return geteuid() != 0 ? 77 : 2;
	}
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	setpriority(PRIO_PROCESS, 0, -20);
	libbpf_set_print(NULL);
	make_router();
	for (unsigned k = 0; k < ARRAY_SIZE(sides); k++)
		make_frame(&sides[k]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%-44s %11s %11s %10s %7s %7s\n%-44s %11s %11s %10s %7s %7s\n", "UDP, 60 B, one processor", "forwarding", "gateway", "cost",
	       "ratio", "ratio", "", "9th decile", "9th decile", "of it", "of it", "median");
	compare("one port known, all to it", know_one, false, POLICY_HOP_APP, pairs, frames);
	compare("2^20 ports known, all to one", know_a_million, false, POLICY_HOP_APP, pairs, frames);
	compare("2^20 ports known, to 2^16 of them at random", know_a_million, true, POLICY_HOP_APP, pairs, frames);
	compare("a host that does not answer for ports", know_silent, false, POLICY_HOP_QUIET, pairs, frames);
	return 0;
}

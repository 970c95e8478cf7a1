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
 * The last line is of a stream of TCP, whose segments the kernel joins as it receives them (GRO), and takes apart again behind the program.
 *
 * gateway_bench [PAIRS [FRAMES [filter]]]: as a link of tcx where the kernel has them; filter: as one of tc in any case. Needs root; makes
 * network namespaces of its own.
 */
#include "policy/learned.h"
#include "wire/checksum.h"
#include "wire/tcp.h"

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
	TCP_FRAME_BYTES = 1514,
	HOSTS = 16, /* each with all its ports: a million */
	PORT = 7000,
	OFF_TTL = 14 + 8, /* of the protocol and the checksum, behind it, too */
	OFF_PORT = 14 + 20 + 2,
	OFF_SPARE = 14 + 20 + 8, /* payload */
	OFF_SEQ = 14 + 20 + 4,
	OFF_TCP_SPARE = 14 + 20 + 20,
	STREAM_BATCH = 64, /* more than that overruns a veth, which is given all segments of an aggregate at once */
	STREAM_FRAMES = 1024,
	TCX_EGRESS = 47, /* enum bpf_attach_type of Linux 6.6 */
};

enum traffic { TO_ONE_PORT, TO_RANDOM_PORTS, TCP_STREAM };

static const struct mac_addr in_mac = { { 0x02, 0, 0, 0, 0, 0x01 } }, canonical = { { 0x02, 0, 0, 0, 0, 0x02 } },
			     app_mac = { { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc } };

static struct vj_gateway *gateway;
static int in_far_index, lan_index;
static bool as_filter;

/* Where a run's frames go. */
struct side {
	const char *device;
	uint32_t addr;
	uint8_t frame[TCP_FRAME_BYTES];
	uint32_t frame_bytes;
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

static int next_seq_map(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "seq", sizeof(uint32_t), sizeof(uint32_t), 1, NULL);
	must(fd >= 0, "a map");
	return fd;
}

#define INSN(...) insns[cnt++] = (struct bpf_insn){ __VA_ARGS__ }

/* r0: what is written where. A stream goes on: the checksum stays right, for the number's complement stands in the payload. */
static size_t put_changes(struct bpf_insn *insns, size_t cnt, enum traffic traffic)
{
	if (traffic != TCP_STREAM) {
		INSN(.code = BPF_STX | BPF_H | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_0,
		     .off = traffic == TO_RANDOM_PORTS ? OFF_PORT : OFF_SPARE);
		return cnt;
	}
	INSN(.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = next_seq_map());
	INSN(.code = 0);
	INSN(.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1);
	INSN(.code = BPF_ALU | BPF_ADD | BPF_K, .dst_reg = BPF_REG_0, .imm = TCP_FRAME_BYTES - OFF_TCP_SPARE);
	INSN(.code = BPF_STX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_0);
	INSN(.code = BPF_ALU | BPF_END | BPF_TO_BE, .dst_reg = BPF_REG_0, .imm = 32);
	INSN(.code = BPF_STX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_0, .off = OFF_SEQ);
	INSN(.code = BPF_ALU | BPF_XOR | BPF_K, .dst_reg = BPF_REG_0, .imm = -1);
	INSN(.code = BPF_STX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_0, .off = OFF_TCP_SPARE);
	return cnt;
}

/* The kernel takes frames again that have come back to it, as forwarding has left them: what that changes is written anew. */
static int load_source(const struct side *s, enum traffic traffic)
{
	struct bpf_insn insns[32];
	int32_t mac_lo, ttl_to_csum;
	size_t cnt = 0, jump;
	int16_t mac_hi;

	memcpy(&mac_lo, s->frame, sizeof(mac_lo));
	memcpy(&mac_hi, s->frame + sizeof(mac_lo), sizeof(mac_hi));
	memcpy(&ttl_to_csum, s->frame + OFF_TTL, sizeof(ttl_to_csum));
	INSN(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1);
	INSN(.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32);
	INSN(.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_6, .off = offsetof(struct xdp_md, data));
	INSN(.code = BPF_LDX | BPF_W | BPF_MEM, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_6, .off = offsetof(struct xdp_md, data_end));
	INSN(.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_2);
	INSN(.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_4, .imm = FRAME_BYTES);
	jump = cnt;
	INSN(.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_3);
	INSN(.code = BPF_ST | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .imm = mac_lo);
	INSN(.code = BPF_ST | BPF_H | BPF_MEM, .dst_reg = BPF_REG_2, .off = sizeof(mac_lo), .imm = mac_hi);
	INSN(.code = BPF_ST | BPF_W | BPF_MEM, .dst_reg = BPF_REG_2, .off = OFF_TTL, .imm = ttl_to_csum);
	cnt = put_changes(insns, cnt, traffic);
	insns[jump].off = (int16_t)(cnt - jump - 1);
	INSN(.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_TX);
	INSN(.code = BPF_JMP | BPF_EXIT);
	return load(insns, cnt);
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

static void put_udp(uint8_t *udp, uint16_t bytes)
{
	const struct be16 ports[2] = { be16(9000), be16(PORT) }, len = be16(bytes);

	memcpy(udp, ports, sizeof(ports));
	memcpy(udp + sizeof(ports), &len, sizeof(len)); /* no checksum */
}

/* A segment with an acknowledgement; its number and the complement of that are in the sum. */
static void put_tcp(uint8_t *tcp, uint16_t bytes, const struct ip4_hdr *ip)
{
	struct tcp_hdr *hdr = (struct tcp_hdr *)tcp;

	memset(tcp, 0, bytes);
	hdr->src_port = be16(9000);
	hdr->dst_port = be16(PORT);
	hdr->words_reserved = sizeof(*hdr) / 4 << 4;
	hdr->flags = TCP_ACK;
	hdr->window = be16(1000);
	memset(tcp + sizeof(*hdr), 0xff, 4);
	hdr->csum = csum_finish(csum_add(csum_pseudo_v4(ip->src, ip->dst, IP_PROTO_TCP, bytes), csum_bytes(tcp, bytes)));
}

static void make_frame(struct side *s, enum traffic traffic)
{
	bool tcp = traffic == TCP_STREAM;
	const struct eth_hdr eth = { .dst = in_mac, .src = { { 0x02, 0, 0, 0, 0, 0x09 } }, .type = be16(ETH_TYPE_IP4) };
	struct ip4_hdr ip = {
		.version_words = 0x45,
		.frag = be16(tcp ? IP4_FRAG_DF : 0),
		.ttl = 64,
		.proto = tcp ? IP_PROTO_TCP : IP_PROTO_UDP,
		.src = be32(0x0a010002),
		.dst = be32(s->addr),
	};
	uint8_t *l4 = s->frame + sizeof(eth) + sizeof(ip);
	uint16_t l4_bytes;

	s->frame_bytes = tcp ? TCP_FRAME_BYTES : FRAME_BYTES;
	l4_bytes = (uint16_t)(s->frame_bytes - sizeof(eth) - sizeof(ip));
	ip.total_len = be16((uint16_t)(sizeof(ip) + l4_bytes));
	ip.csum = csum_finish(csum_bytes(&ip, sizeof(ip)));
	memcpy(s->frame, &eth, sizeof(eth));
	memcpy(s->frame + sizeof(eth), &ip, sizeof(ip));
	if (tcp)
		put_tcp(l4, l4_bytes, &ip);
	else
		put_udp(l4, l4_bytes);
}

/* ---- the gateway */

static struct ip_addr host_addr(uint32_t nr)
{
	return ip_addr_from_v4(be32(0x0a020002 + nr));
}

static void learn(uint32_t host, uint32_t port, uint8_t proto)
{
	const struct policy_learned value = { .until_ns = UINT64_MAX, .refresh_ns = UINT64_MAX, .mac = app_mac, .canonical = canonical };
	const struct policy_learned_key key = { .addr = host_addr(host), .port = be16((uint16_t)port), .proto = proto };

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
	learn(0, PORT, IP_PROTO_UDP);
	learn(0, PORT, IP_PROTO_TCP);
}

static void know_a_million(void)
{
	load_gateway();
	for (uint32_t nr = 0; nr < HOSTS; nr++)
		for (uint32_t port = 0; port < 65536; port++)
			learn(nr, port, IP_PROTO_UDP);
}

static void know_silent(void)
{
	const struct policy_learned_host host = { .quiet_ns = UINT64_MAX };

	load_gateway();
	host_is(0, &host);
}

/* Return: the link; -1: a filter */
static int attach(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = lan_index, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(gateway->progs.vj_gateway), .handle = 1, .priority = 65000,
		    .flags = BPF_TC_F_REPLACE);
	int r, link = as_filter ? -1 : bpf_link_create(opts.prog_fd, lan_index, (enum bpf_attach_type)TCX_EGRESS, NULL);

	if (link >= 0)
		return link;
	r = bpf_tc_hook_create(&hook);
	must((r == 0 || r == -EEXIST) && bpf_tc_attach(&hook, &opts) == 0, "the filter");
	return -1;
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

static void send_frames(const struct side *s, uint32_t frames)
{
	struct xdp_md ctx = { .data_end = s->frame_bytes, .ingress_ifindex = (uint32_t)in_far_index };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = s->frame, .data_size_in = s->frame_bytes, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		    .repeat = (int)frames, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

	must(bpf_prog_test_run_opts(s->source, &opts) == 0, "live frames");
}

/* Return: packets a second */
static double run(const struct side *s, uint32_t frames)
{
	uint32_t batch = s->frame_bytes == TCP_FRAME_BYTES ? STREAM_BATCH : frames;
	uint64_t before = sent_by(s);
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (uint32_t sent = 0; sent < frames; sent += batch)
		send_frames(s, min_u32(batch, frames - sent));
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
static void compare(const char *what, void (*know)(void), enum traffic traffic, enum policy_reason all_are, unsigned pairs, uint32_t frames)
{
	double with[PAIRS_MAX], without[PAIRS_MAX], ratio[PAIRS_MAX];
	uint64_t runs;
	int link;

	know();
	link = attach();
	for (unsigned k = 0; k < ARRAY_SIZE(sides); k++) {
		make_frame(&sides[k], traffic);
		sides[k].source = load_source(&sides[k], traffic);
		run(&sides[k], frames);
	}
	runs = counted(all_are);
	for (unsigned i = 0; i < pairs; i++)
		for (unsigned k = 0; k < 2; k++) {
			bool on = (k ^ i) & 1;

			(on ? with : without)[i] = run(&sides[on], frames);
		}
	runs = counted(all_are) - runs;
	must(traffic == TCP_STREAM ? runs > 0 : runs == (uint64_t)pairs * frames, "all of one kind");
	for (unsigned i = 0; i < pairs; i++)
		ratio[i] = with[i] / without[i];
	printf("%-44s %7.0f k/s %7.0f k/s %7.1f ns %7.3f %7.3f\n", what, quantile(without, pairs, BEST) / 1e3,
	       quantile(with, pairs, BEST) / 1e3, 1e9 / quantile(with, pairs, BEST) - 1e9 / quantile(without, pairs, BEST),
	       quantile(with, pairs, BEST) / quantile(without, pairs, BEST), quantile(ratio, pairs, 0.5));
	if (traffic == TCP_STREAM)
		printf("%44s %.1f segments for each run of the program\n", "", (double)pairs * frames / (double)runs);
	for (unsigned k = 0; k < ARRAY_SIZE(sides); k++)
		close(sides[k].source);
	if (link >= 0)
		close(link);
	vj_gateway__destroy(gateway);
}

static void compare_all(unsigned pairs, uint32_t frames)
{
	printf("%-44s %11s %11s %10s %7s %7s\n%-44s %11s %11s %10s %7s %7s\n", "UDP, 60 B, one processor", "forwarding", "gateway", "cost",
	       "ratio", "ratio", "", "9th decile", "9th decile", "of it", "of it", "median");
	compare("one port known, all to it", know_one, TO_ONE_PORT, POLICY_HOP_APP, pairs, frames);
	compare("2^20 ports known, all to one", know_a_million, TO_ONE_PORT, POLICY_HOP_APP, pairs, frames);
	compare("2^20 ports known, to 2^16 of them at random", know_a_million, TO_RANDOM_PORTS, POLICY_HOP_APP, pairs, frames);
	compare("a host that does not answer for ports", know_silent, TO_ONE_PORT, POLICY_HOP_QUIET, pairs, frames);
	compare("TCP, 1,514 B, one port known", know_one, TCP_STREAM, POLICY_HOP_APP, pairs, min_u32(frames, STREAM_FRAMES));
}

int main(int argc, char **argv)
{
	unsigned pairs = argc > 1 ? min_u32((uint32_t)atoi(argv[1]), PAIRS_MAX) : PAIRS;
	uint32_t frames = argc > 2 ? (uint32_t)atoi(argv[2]) : FRAMES;
	cpu_set_t one;

	as_filter = argc > 3;
	if (geteuid() != 0 || pairs == 0 || (as_filter && strcmp(argv[3], "filter") != 0)) {
		fputs("gateway_bench [PAIRS [FRAMES [filter]]], as root\n", stderr);
		return geteuid() != 0 ? 77 : 2;
	}
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	setpriority(PRIO_PROCESS, 0, -20);
	libbpf_set_print(NULL);
	make_router();
	setvbuf(stdout, NULL, _IOLBF, 0);
	compare_all(pairs, frames);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Datagrams of different flows have the same checksums: what an address and a port add to the sum is taken from IPv4's identification and
 * from the first word of the payload.
 */
#include "cli/bench_flood.h"

#include "cli/bench_bpf.h"
#include "cli/bench_hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOOD_NET4 "10.77.0."
#define FLOOD_NET6 "fd77::"

enum {
	FRAME_BYTES_MAX = 1514,
	FLOWS_OF_ADDRESS = 32,
	SOURCE_PORT = 20000,
	SOURCE_HOST4 = 100, /* last byte of the first source address */
	SOURCE_HOST6 = 0,   /* ::100 ends with 0 */
	IDENTIFICATION = 0x1000,
	PAYLOAD_WORD = 0x7000,
	SHIFT = 5, /* of FLOWS_OF_ADDRESS */
};

struct bench_flood {
	int map, prog;
	const _Atomic uint64_t *made; /* the map's value, which the program counts in */
	uint32_t bytes;
	uint8_t frame[FRAME_BYTES_MAX];
};

/* ---- the frame of flow 0 -------------------------------------------------------------------------------------------- */

/* Words as they come; ones' complement. */
static uint32_t sum_of(uint32_t sum, const void *bytes, size_t cnt)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < cnt; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Return: what the addresses add to the datagram's sum. */
static uint32_t fill_ip4(uint8_t *ret_hdr, uint32_t datagram_bytes)
{
	struct iphdr hdr = { .version = 4, .ihl = 5, .id = htons(IDENTIFICATION), .ttl = 64, .protocol = IPPROTO_UDP };

	hdr.tot_len = htons((uint16_t)(sizeof(hdr) + datagram_bytes));
	inet_pton(AF_INET, FLOOD_NET4 "100", &hdr.saddr);
	inet_pton(AF_INET, BENCH_SERVER_ADDR, &hdr.daddr);
	hdr.check = checksum(sum_of(0, &hdr, sizeof(hdr)));
	memcpy(ret_hdr, &hdr, sizeof(hdr));
	return sum_of(0, &hdr.saddr, 8);
}

static uint32_t fill_ip6(uint8_t *ret_hdr, uint32_t datagram_bytes)
{
	struct ip6_hdr hdr = { .ip6_flow = htonl(6u << 28), .ip6_plen = htons((uint16_t)datagram_bytes), .ip6_nxt = IPPROTO_UDP };

	hdr.ip6_hlim = 64;
	inet_pton(AF_INET6, FLOOD_NET6 "100", &hdr.ip6_src);
	inet_pton(AF_INET6, BENCH_SERVER_ADDR6, &hdr.ip6_dst);
	memcpy(ret_hdr, &hdr, sizeof(hdr));
	return sum_of(0, &hdr.ip6_src, 32);
}

static void fill_frame(struct bench_flood *f, const struct bench_flood_params *p, const struct ether_addr *from)
{
	uint32_t ip_bytes = p->v6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
	uint32_t datagram_bytes = (uint32_t)sizeof(struct udphdr) + p->bytes, sum;
	struct ether_header eth = { .ether_type = htons(p->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP) };
	uint8_t *ip = f->frame + sizeof(eth), *payload = ip + ip_bytes + sizeof(struct udphdr);
	struct udphdr udp = { .source = htons(SOURCE_PORT), .dest = htons(p->port), .len = htons((uint16_t)datagram_bytes) };

	memcpy(eth.ether_dhost, &p->to, ETH_ALEN);
	memcpy(eth.ether_shost, from, ETH_ALEN);
	memcpy(f->frame, &eth, sizeof(eth));
	sum = p->v6 ? fill_ip6(ip, datagram_bytes) : fill_ip4(ip, datagram_bytes);
	payload[0] = PAYLOAD_WORD >> 8;
	sum = sum_of(sum + IPPROTO_UDP + datagram_bytes, &udp, sizeof(udp));
	udp.check = checksum(sum_of(sum, payload, p->bytes));
	memcpy(ip + ip_bytes, &udp, sizeof(udp));
	f->bytes = (uint32_t)sizeof(eth) + ip_bytes + datagram_bytes;
}

/* ---- the program ---------------------------------------------------------------------------------------------------- */

#define REG(op, dst, src) { .code = BPF_ALU64 | (op) | BPF_X, .dst_reg = (dst), .src_reg = (src) }
#define IMM(op, dst, val) { .code = BPF_ALU64 | (op) | BPF_K, .dst_reg = (dst), .imm = (int32_t)(val) }
#define BE16(dst) { .code = BPF_ALU | BPF_END | BPF_TO_BE, .dst_reg = (dst), .imm = 16 }
#define LOAD(size, dst, src, at) { .code = BPF_LDX | (size) | BPF_MEM, .dst_reg = (dst), .src_reg = (src), .off = (int16_t)(at) }
#define STORE(size, dst, at, src) { .code = BPF_STX | (size) | BPF_MEM, .dst_reg = (dst), .src_reg = (src), .off = (int16_t)(at) }

/*
 * r5: where the number of frames ever made lies; r2: the frame. r0: port of the flow, r1: address of the flow, of which the frame gets
 * SOURCE_PORT + r0, SOURCE_HOST4 (6) + r1, and takes them off elsewhere.
 */
static int load_program(const struct bench_flood *f, const struct bench_flood_params *p, uint32_t ifindex)
{
	const uint32_t ip = sizeof(struct ether_header), udp = ip + (p->v6 ? 40 : 20), host = p->v6 ? ip + 23 : ip + 15;
	const struct bpf_insn insns[] = {
		LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data)),
		LOAD(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct xdp_md, data_end)),
		REG(BPF_MOV, BPF_REG_4, BPF_REG_2),
		IMM(BPF_ADD, BPF_REG_4, udp + 10),
		{ .code = BPF_JMP | BPF_JLE | BPF_X, .dst_reg = BPF_REG_4, .src_reg = BPF_REG_3, .off = 2 },
		IMM(BPF_MOV, BPF_REG_0, XDP_DROP),
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_5, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = f->map },
		{ .code = 0 },
		LOAD(BPF_DW, BPF_REG_0, BPF_REG_5, 0),
		REG(BPF_MOV, BPF_REG_1, BPF_REG_0),
		IMM(BPF_ADD, BPF_REG_1, 1),
		STORE(BPF_DW, BPF_REG_5, 0, BPF_REG_1),
		IMM(BPF_AND, BPF_REG_0, p->flows - 1),
		REG(BPF_MOV, BPF_REG_1, BPF_REG_0),
		IMM(BPF_RSH, BPF_REG_1, SHIFT),
		IMM(BPF_AND, BPF_REG_0, FLOWS_OF_ADDRESS - 1),
		/* payload: what both add */
		IMM(BPF_MOV, BPF_REG_3, PAYLOAD_WORD),
		REG(BPF_SUB, BPF_REG_3, BPF_REG_0),
		REG(BPF_SUB, BPF_REG_3, BPF_REG_1),
		BE16(BPF_REG_3),
		STORE(BPF_H, BPF_REG_2, udp + 8, BPF_REG_3),
		/* identification: what the address adds */
		IMM(BPF_MOV, BPF_REG_3, IDENTIFICATION),
		REG(BPF_SUB, BPF_REG_3, BPF_REG_1),
		BE16(BPF_REG_3),
		p->v6 ? (struct bpf_insn)IMM(BPF_MOV, BPF_REG_3, 0) : (struct bpf_insn)STORE(BPF_H, BPF_REG_2, ip + 4, BPF_REG_3),
		IMM(BPF_ADD, BPF_REG_0, SOURCE_PORT),
		BE16(BPF_REG_0),
		STORE(BPF_H, BPF_REG_2, udp, BPF_REG_0),
		IMM(BPF_ADD, BPF_REG_1, p->v6 ? SOURCE_HOST6 : SOURCE_HOST4),
		STORE(BPF_B, BPF_REG_2, host, BPF_REG_1),
		IMM(BPF_MOV, BPF_REG_1, ifindex),
		IMM(BPF_MOV, BPF_REG_2, 0),
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bench_bpf_load(insns, ARRAY_SIZE(insns));
}

/* ---- runs ------------------------------------------------------------------------------------------------------------ */

int bench_flood_mac(const char *device, struct ether_addr *ret_mac)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;
	struct ifreq req = { .ifr_flags = 0 };

	if (fd < 0)
		return -errno;
	strncpy(req.ifr_name, device, sizeof(req.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &req) < 0)
		rc = -errno;
	else
		memcpy(ret_mac, req.ifr_hwaddr.sa_data, sizeof(*ret_mac));
	close(fd);
	return rc;
}

static int open_all(struct bench_flood *f, const struct bench_flood_params *params)
{
	struct ether_addr from;
	void *made;
	int rc = bench_flood_mac(params->device, &from);

	if (rc < 0)
		return rc;
	fill_frame(f, params, &from);
	f->map = bench_bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(uint64_t), BPF_F_MMAPABLE);
	if (f->map < 0)
		return f->map;
	made = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, f->map, 0);
	if (made == MAP_FAILED)
		return -errno;
	f->made = made;
	f->prog = load_program(f, params, if_nametoindex(params->device));
	return f->prog < 0 ? f->prog : 0;
}

int bench_flood_open(const struct bench_flood_params *params, struct bench_flood **ret_flood)
{
	struct bench_flood *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->map = f->prog = -1;
	rc = open_all(f, params);
	if (rc < 0) {
		bench_flood_close(f);
		return rc;
	}
	*ret_flood = f;
	return 0;
}

void bench_flood_close(struct bench_flood *f)
{
	if (f->made != NULL)
		munmap((void *)(uintptr_t)f->made, (size_t)sysconf(_SC_PAGESIZE));
	if (f->prog >= 0)
		close(f->prog);
	if (f->map >= 0)
		close(f->map);
	free(f);
}

int bench_flood_run(struct bench_flood *f)
{
	union bpf_attr attr;
	int rc;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)f->prog;
	attr.test.data_in = (uintptr_t)f->frame;
	attr.test.data_size_in = f->bytes;
	attr.test.repeat = UINT32_MAX;
	attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	do
		rc = bench_bpf(BPF_PROG_TEST_RUN, &attr);
	while (rc == 0);
	return rc;
}

uint64_t bench_flood_made(const struct bench_flood *f)
{
	return atomic_load_explicit(f->made, memory_order_relaxed);
}

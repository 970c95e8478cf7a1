// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the programs of this directory have in common: veth pairs in namespaces of their own, XDP programs of six
 * instructions, AF_XDP sockets. Nothing of the project's is used, so that a program shows the kernel and nothing else.
 *
 * A failed expectation ends the program with 1; what this machine does not offer, with 77.
 */
#ifndef VJ_TESTS_PLATFORM_H
#define VJ_TESTS_PLATFORM_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define UNUSED_FN __attribute__((unused)) static

#define EXPECT(cond)                                                                              \
	do {                                                                                      \
		if (!(cond)) {                                                                    \
			fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", __FILE__, __LINE__, #cond, strerror(errno)); \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)

#define SKIP_UNLESS(cond, what)                                             \
	do {                                                                \
		if (!(cond)) {                                              \
			printf("skipped: no %s: %s\n", what, strerror(errno)); \
			exit(77);                                           \
		}                                                           \
	} while (0)

/* ---- namespaces and devices ---------------------------------------------------------------------------------------- */

UNUSED_FN void run(const char *cmd)
{
	int ret = system(cmd);

	if (ret != 0) {
		fprintf(stderr, "'%s' ended with %d\n", cmd, ret);
		exit(1);
	}
}

/* The pairs a0-a1 and b0-b1, up, one queue each, offloads as they come; IPv6 off, so that nobody speaks unasked. */
UNUSED_FN void devices(void)
{
	SKIP_UNLESS(unshare(CLONE_NEWNET) == 0, "network namespaces");
	run("sysctl -q -w net.ipv6.conf.default.disable_ipv6=1");
	SKIP_UNLESS(system("ip link add a0 numrxqueues 1 numtxqueues 1 type veth peer name a1 numrxqueues 1 numtxqueues 1 "
			   "2>/dev/null") == 0, "veth");
	run("ip link add b0 numrxqueues 1 numtxqueues 1 type veth peer name b1 numrxqueues 1 numtxqueues 1");
	run("for d in a0 a1 b0 b1; do ip link set $d up; done");
}

/* Time for the kernel's threads: 50 ms of it in which who wants to run does. Where this one comes late, so may they. */
UNUSED_FN void settle(void)
{
	enum { SLICE_NS = 5000000, SLICES = 10, TRIES_MAX = 400 };
	struct timespec begin, end;

	for (int left = SLICES, tries = 0; left > 0 && tries < TRIES_MAX; tries++) {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		nanosleep(&(struct timespec){ .tv_nsec = SLICE_NS }, NULL);
		clock_gettime(CLOCK_MONOTONIC, &end);
		left -= (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec < 2 * SLICE_NS;
	}
}

/* All that leaves or reaches a device, as tcpdump sees it. Also to send by. */
UNUSED_FN int tap(const char *name)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				    .sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

UNUSED_FN unsigned tap_count(int fd)
{
	uint8_t buf[2048];
	unsigned n = 0;

	settle();
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		n++;
	return n;
}

/* Frames of 60 bytes and EtherType 0x88b6 (local experimental) */
UNUSED_FN void frames_send(int fd, unsigned n)
{
	uint8_t frame[60] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb6 };

	while (n-- > 0)
		EXPECT(send(fd, frame, sizeof(frame), 0) == sizeof(frame));
	settle();
}

/* ---- BPF ----------------------------------------------------------------------------------------------------------- */

UNUSED_FN int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

UNUSED_FN int map_new(enum bpf_map_type type)
{
	union bpf_attr attr = { .map_type = type, .key_size = 4, .value_size = 4, .max_entries = 1 };
	int fd = bpf(BPF_MAP_CREATE, &attr);

	SKIP_UNLESS(fd >= 0, "right to make BPF maps");
	return fd;
}

UNUSED_FN int map_set(int map, uint32_t value)
{
	uint32_t zero = 0;
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)&zero, .value = (uintptr_t)&value };

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

UNUSED_FN int prog_new(const struct bpf_insn *insns, size_t cnt)
{
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_XDP, .insns = (uintptr_t)insns, .insn_cnt = (uint32_t)cnt,
				.license = (uintptr_t)"GPL" };
	int fd = bpf(BPF_PROG_LOAD, &attr);

	SKIP_UNLESS(fd >= 0, "right to load BPF programs");
	return fd;
}

/* An XDP program that redirects everything by entry 0 of a map, or does `otherwise` if there is none. */
UNUSED_FN int prog_redirect(int map, enum xdp_action otherwise)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = (int)otherwise },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return prog_new(insns, sizeof(insns) / sizeof(insns[0]));
}

/* Until the descriptor is closed */
UNUSED_FN int attach(const char *name, int prog)
{
	union bpf_attr attr = { .link_create = { .prog_fd = (uint32_t)prog, .target_ifindex = if_nametoindex(name),
						 .attach_type = BPF_XDP, .flags = 1u << 2 /* XDP_FLAGS_DRV_MODE */ } };
	int fd = bpf(BPF_LINK_CREATE, &attr);

	SKIP_UNLESS(fd >= 0, "XDP in the driver of veth");
	return fd;
}

/* ---- AF_XDP -------------------------------------------------------------------------------------------------------- */

enum { XSK_FRAME = 4096, XSK_FRAMES = 512 };

struct xsk {
	int fd;
	uint8_t *mem;
	uint32_t ring_cnt;
	struct xdp_mmap_offsets at;
	uint8_t *rx, *tx, *fill, *comp; /* NULL: not mapped */
};

UNUSED_FN uint32_t *word(uint8_t *ring, uint64_t offset)
{
	return (uint32_t *)(void *)(ring + offset);
}

UNUSED_FN uint32_t word_get(uint8_t *ring, uint64_t offset)
{
	return __atomic_load_n(word(ring, offset), __ATOMIC_ACQUIRE);
}

UNUSED_FN void word_set(uint8_t *ring, uint64_t offset, uint32_t value)
{
	__atomic_store_n(word(ring, offset), value, __ATOMIC_RELEASE);
}

/* Memory, and rings of @ring_cnt entries; not bound */
UNUSED_FN struct xsk xsk_new(uint32_t ring_cnt)
{
	struct xsk x = { .fd = socket(AF_XDP, SOCK_RAW, 0), .ring_cnt = ring_cnt };
	struct xdp_umem_reg reg = { .len = XSK_FRAME * XSK_FRAMES, .chunk_size = XSK_FRAME };
	socklen_t len = sizeof(x.at);

	SKIP_UNLESS(x.fd >= 0, "AF_XDP sockets");
	x.mem = mmap(NULL, reg.len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT(x.mem != MAP_FAILED);
	reg.addr = (uintptr_t)x.mem;
	EXPECT(setsockopt(x.fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) == 0);
	EXPECT(setsockopt(x.fd, SOL_XDP, XDP_UMEM_FILL_RING, &ring_cnt, sizeof(ring_cnt)) == 0);
	EXPECT(setsockopt(x.fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &ring_cnt, sizeof(ring_cnt)) == 0);
	EXPECT(setsockopt(x.fd, SOL_XDP, XDP_RX_RING, &ring_cnt, sizeof(ring_cnt)) == 0);
	EXPECT(setsockopt(x.fd, SOL_XDP, XDP_TX_RING, &ring_cnt, sizeof(ring_cnt)) == 0);
	EXPECT(getsockopt(x.fd, SOL_XDP, XDP_MMAP_OFFSETS, &x.at, &len) == 0);
	return x;
}

UNUSED_FN int xsk_bind(const struct xsk *x, const char *name, uint16_t flags)
{
	struct sockaddr_xdp addr = { .sxdp_family = AF_XDP, .sxdp_flags = flags, .sxdp_ifindex = if_nametoindex(name) };

	return bind(x->fd, (struct sockaddr *)&addr, sizeof(addr));
}

UNUSED_FN uint8_t *xsk_map_ring(const struct xsk *x, uint64_t page, uint64_t desc, size_t entry)
{
	uint8_t *ring = mmap(NULL, desc + x->ring_cnt * entry, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd, (off_t)page);

	EXPECT(ring != MAP_FAILED);
	return ring;
}

UNUSED_FN void xsk_map(struct xsk *x)
{
	x->rx = xsk_map_ring(x, XDP_PGOFF_RX_RING, x->at.rx.desc, sizeof(struct xdp_desc));
	x->tx = xsk_map_ring(x, XDP_PGOFF_TX_RING, x->at.tx.desc, sizeof(struct xdp_desc));
	x->fill = xsk_map_ring(x, XDP_UMEM_PGOFF_FILL_RING, x->at.fr.desc, sizeof(uint64_t));
	x->comp = xsk_map_ring(x, XDP_UMEM_PGOFF_COMPLETION_RING, x->at.cr.desc, sizeof(uint64_t));
}

UNUSED_FN void xsk_unmap(struct xsk *x)
{
	munmap(x->rx, x->at.rx.desc + x->ring_cnt * sizeof(struct xdp_desc));
	munmap(x->tx, x->at.tx.desc + x->ring_cnt * sizeof(struct xdp_desc));
	munmap(x->fill, x->at.fr.desc + x->ring_cnt * sizeof(uint64_t));
	munmap(x->comp, x->at.cr.desc + x->ring_cnt * sizeof(uint64_t));
}

/* The first frames, for receiving */
UNUSED_FN void xsk_fill(struct xsk *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		((uint64_t *)(void *)(x->fill + x->at.fr.desc))[i] = (uint64_t)i * XSK_FRAME;
	word_set(x->fill, x->at.fr.producer, n);
}

/* Frames of 60 bytes, from the upper half of the memory; to be sent by calls */
UNUSED_FN void xsk_queue(struct xsk *x, uint32_t n)
{
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb6 };
	uint32_t first = word_get(x->tx, x->at.tx.producer);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = (uint64_t)(XSK_FRAMES / 2 + i) * XSK_FRAME;

		memcpy(x->mem + addr, head, sizeof(head));
		((struct xdp_desc *)(void *)(x->tx + x->at.tx.desc))[(first + i) & (x->ring_cnt - 1)] =
			(struct xdp_desc){ .addr = addr, .len = 60 };
	}
	word_set(x->tx, x->at.tx.producer, first + n);
}

UNUSED_FN struct xdp_statistics xsk_stats(const struct xsk *x)
{
	struct xdp_statistics st = { 0 };
	socklen_t len = sizeof(st);

	EXPECT(getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &st, &len) == 0);
	return st;
}

#endif

// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_bare.h"

#include "cli/bench_bpf.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

enum { FRAMES = 4096, FRAME_BYTES = 2048, BATCH = 64 };

struct ring {
	_Atomic uint32_t *producer, *consumer;
	void *entries;
	void *mem;
	size_t bytes;
	uint32_t next;
};

struct bench_bare {
	int xsk, map, prog, link;
	void *frames;
	struct ring rx, fill;
};

/* ---- the program: bpf_redirect_map(map, 0, XDP_PASS), or XDP_DROP */

static int load_drop(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bench_bpf_load(insns, ARRAY_SIZE(insns));
}

static int load_redirect(int map)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bench_bpf_load(insns, ARRAY_SIZE(insns));
}

static int make_map(int xsk)
{
	uint32_t zero = 0, value = (uint32_t)xsk;
	union bpf_attr attr;
	int map, rc;

	map = bench_bpf_map(BPF_MAP_TYPE_XSKMAP, sizeof(value), 0);
	if (map < 0)
		return map;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&zero;
	attr.value = (uintptr_t)&value;
	rc = bench_bpf(BPF_MAP_UPDATE_ELEM, &attr);
	if (rc == 0)
		return map;
	close(map);
	return rc;
}

/* By a link: it ends with its descriptor. */
static int attach(int prog, uint32_t ifindex)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_ifindex = ifindex;
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = XDP_FLAGS_DRV_MODE;
	return bench_bpf(BPF_LINK_CREATE, &attr);
}

/* ---- the socket */

static int option(int fd, int name, const void *value, socklen_t bytes)
{
	return setsockopt(fd, SOL_XDP, name, value, bytes) < 0 ? -errno : 0;
}

static int map_ring(int fd, uint64_t page, const struct xdp_ring_offset *at, size_t entry_bytes, struct ring *ret)
{
	size_t bytes = at->desc + FRAMES * entry_bytes;
	uint8_t *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)page);

	if (mem == MAP_FAILED)
		return -errno;
	*ret = (struct ring){ .producer = (_Atomic uint32_t *)(void *)(mem + at->producer),
			      .consumer = (_Atomic uint32_t *)(void *)(mem + at->consumer),
			      .entries = mem + at->desc,
			      .mem = mem,
			      .bytes = bytes };
	return 0;
}

static int make_memory(struct bench_bare *b)
{
	struct xdp_umem_reg reg;

	b->frames = mmap(NULL, FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (b->frames == MAP_FAILED)
		return -errno;
	memset(&reg, 0, sizeof(reg));
	reg.addr = (uintptr_t)b->frames;
	reg.len = FRAMES * FRAME_BYTES;
	reg.chunk_size = FRAME_BYTES;
	return option(b->xsk, XDP_UMEM_REG, &reg, sizeof(reg));
}

static int make_rings(struct bench_bare *b)
{
	static const int names[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING };
	struct xdp_mmap_offsets at;
	socklen_t bytes = sizeof(at);
	int cnt = FRAMES, rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && rc == 0; i++)
		rc = option(b->xsk, names[i], &cnt, sizeof(cnt));
	if (rc == 0 && getsockopt(b->xsk, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes) < 0)
		rc = -errno;
	if (rc == 0)
		rc = map_ring(b->xsk, XDP_PGOFF_RX_RING, &at.rx, sizeof(struct xdp_desc), &b->rx);
	if (rc == 0)
		rc = map_ring(b->xsk, XDP_UMEM_PGOFF_FILL_RING, &at.fr, sizeof(uint64_t), &b->fill);
	return rc;
}

static int make_socket(struct bench_bare *b, uint32_t ifindex)
{
	struct sockaddr_xdp addr = { .sxdp_family = AF_XDP, .sxdp_ifindex = ifindex };
	int rc;

	b->xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	rc = b->xsk < 0 ? -errno : make_memory(b);
	if (rc == 0)
		rc = make_rings(b);
	if (rc < 0)
		return rc;
	for (uint64_t i = 0; i < FRAMES / 2; i++)
		((uint64_t *)b->fill.entries)[b->fill.next++] = i * FRAME_BYTES;
	atomic_store_explicit(b->fill.producer, b->fill.next, memory_order_release);
	return bind(b->xsk, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

int bench_bare_open(const char *device, bool drop, struct bench_bare **ret_bare)
{
	struct bench_bare *b = calloc(1, sizeof(*b));
	uint32_t ifindex = if_nametoindex(device);
	int rc = 0;

	if (b == NULL)
		return -ENOMEM;
	b->xsk = b->map = b->prog = b->link = -1;
	if (!drop)
		rc = make_socket(b, ifindex);
	if (rc == 0 && !drop)
		rc = b->map = make_map(b->xsk);
	if (rc >= 0)
		rc = b->prog = drop ? load_drop() : load_redirect(b->map);
	if (rc >= 0)
		rc = b->link = attach(b->prog, ifindex);
	if (rc < 0) {
		bench_bare_close(b);
		return rc;
	}
	*ret_bare = b;
	return 0;
}

void bench_bare_close(struct bench_bare *b)
{
	const int fds[] = { b->link, b->prog, b->map, b->xsk };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (b->rx.mem != NULL)
		munmap(b->rx.mem, b->rx.bytes);
	if (b->fill.mem != NULL)
		munmap(b->fill.mem, b->fill.bytes);
	if (b->frames != NULL && b->frames != MAP_FAILED)
		munmap(b->frames, FRAMES * FRAME_BYTES);
	free(b);
}

unsigned bench_bare_take(struct bench_bare *b)
{
	const struct xdp_desc *descs = b->rx.entries;
	uint64_t *fill = b->fill.entries;
	uint32_t cnt;

	cnt = min_u32(atomic_load_explicit(b->rx.producer, memory_order_acquire) - b->rx.next, BATCH);
	if (cnt == 0)
		return 0;
	for (uint32_t i = 0; i < cnt; i++)
		fill[b->fill.next++ % FRAMES] = descs[b->rx.next++ % FRAMES].addr & ~(uint64_t)(FRAME_BYTES - 1);
	atomic_store_explicit(b->rx.consumer, b->rx.next, memory_order_release);
	atomic_store_explicit(b->fill.producer, b->fill.next, memory_order_release);
	return cnt;
}

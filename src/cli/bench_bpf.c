// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_bpf.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int bench_bpf(int cmd, union bpf_attr *attr)
{
	int fd = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

int bench_bpf_load(const struct bpf_insn *insns, uint32_t cnt)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = cnt;
	attr.license = (uintptr_t)"Dual BSD/GPL";
	return bench_bpf(BPF_PROG_LOAD, &attr);
}

int bench_bpf_map(enum bpf_map_type type, uint32_t value_bytes, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = value_bytes;
	attr.max_entries = 1;
	attr.map_flags = flags;
	return bench_bpf(BPF_MAP_CREATE, &attr);
}

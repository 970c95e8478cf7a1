// SPDX-License-Identifier: BSD-2-Clause
/* bpf(2) as the benchmarks use it: short programs of XDP written by hand, and their maps. Needs root. */
#ifndef VJ_CLI_BENCH_BPF_H
#define VJ_CLI_BENCH_BPF_H

#include "base/types.h"

#include <linux/bpf.h>

/* Return: a descriptor, or what the command returns; negative errno. @attr: a whole one, zeroed but for what is said */
int bench_bpf(int cmd, union bpf_attr *attr);

/* A program of XDP. Return: its descriptor; negative errno. */
int bench_bpf_load(const struct bpf_insn *insns, uint32_t cnt);

/* A map of one value, with a key of 4 bytes. Return: its descriptor; negative errno. */
int bench_bpf_map(enum bpf_map_type type, uint32_t value_bytes, uint32_t flags);

#endif

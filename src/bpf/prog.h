/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * prog.h - what the programs have in common: how maps are declared and reached, and the counters
 */
#ifndef VJ_BPF_PROG_H
#define VJ_BPF_PROG_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "policy/classify.h"

#define BPF_MAP(name, kind, entries, key_type, value_type, flags) \
	struct {                                                  \
		__uint(type, kind);                               \
		__uint(max_entries, entries);                     \
		__uint(map_flags, flags);                         \
		__type(key, key_type);                            \
		__type(value, value_type);                        \
	} name SEC(".maps")

BPF_MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, POLICY_REASON_CNT, uint32_t, uint64_t, 0);

VJ_INLINE void count(enum policy_reason reason)
{
	uint32_t key = reason;
	uint64_t *cnt = bpf_map_lookup_elem(&counters, &key);

	if (cnt)
		++*cnt;
}

VJ_INLINE struct policy_frame frame_of(const struct xdp_md *ctx)
{
	return (struct policy_frame){ (const uint8_t *)(uintptr_t)ctx->data, (const uint8_t *)(uintptr_t)ctx->data_end };
}

#endif

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

VJ_INLINE struct policy_frame frame_of(const struct xdp_md *ctx)
{
	return (struct policy_frame){ .data = (const uint8_t *)(uintptr_t)ctx->data, .end = (const uint8_t *)(uintptr_t)ctx->data_end };
}

#endif

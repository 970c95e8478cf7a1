/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* counters.h - one counter for each reason */
#ifndef VJ_BPF_COUNTERS_H
#define VJ_BPF_COUNTERS_H

#include "bpf/prog.h"

BPF_MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, POLICY_REASON_CNT, uint32_t, uint64_t, 0);

VJ_INLINE void count(enum policy_reason reason)
{
	uint32_t key = reason;
	uint64_t *cnt = bpf_map_lookup_elem(&counters, &key);

	if (cnt)
		++*cnt;
}

#endif

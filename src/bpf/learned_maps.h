/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* learned_maps.h - the maps of a program that sends to applications of other hosts; policy/learned.h says what is in them */
#ifndef VJ_BPF_LEARNED_MAPS_H
#define VJ_BPF_LEARNED_MAPS_H

#include "bpf/prog.h"
#include "policy/learned.h"

BPF_MAP(learned_hosts, BPF_MAP_TYPE_HASH, POLICY_LEARNED_HOSTS_MAX, struct ip_addr, struct policy_learned_host, BPF_F_NO_PREALLOC);
BPF_MAP(learned, BPF_MAP_TYPE_HASH, POLICY_LEARNED_MAX, struct policy_learned_key, struct policy_learned, BPF_F_NO_PREALLOC);
BPF_MAP(asked, BPF_MAP_TYPE_LRU_HASH, POLICY_ASKED_MAX, struct policy_learned_key, uint64_t, 0);

BPF_MAP(learned_front, BPF_MAP_TYPE_PERCPU_ARRAY, 1 << POLICY_FRONT_BITS, uint32_t, struct policy_learned_front, 0);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, POLICY_MISSES_BYTES);
} misses SEC(".maps");

/* for a struct policy_learned_maps */
#define LEARNED_MAPS .hosts = &learned_hosts, .learned = &learned, .asked = &asked, .misses = &misses, .front = &learned_front

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* shared_maps.h - maps that dispatch and every gate of an interface have together; policy/maps.h says what is in them */
#ifndef VJ_BPF_SHARED_MAPS_H
#define VJ_BPF_SHARED_MAPS_H

#include "bpf/prog.h"

BPF_MAP(addrs, BPF_MAP_TYPE_HASH, POLICY_ADDRS_MAX, struct policy_addr, uint32_t, BPF_F_NO_PREALLOC);
BPF_MAP(ports, BPF_MAP_TYPE_HASH, POLICY_PORTS_MAX, struct policy_port, struct policy_owner, BPF_F_NO_PREALLOC);
BPF_MAP(blocks, BPF_MAP_TYPE_ARRAY, POLICY_BLOCKS_MAX, uint32_t, uint32_t, 0);
BPF_MAP(flows, BPF_MAP_TYPE_LRU_HASH, POLICY_FLOWS_MAX, struct policy_flow, uint32_t, 0);
BPF_MAP(devs, BPF_MAP_TYPE_DEVMAP_HASH, POLICY_APPS_MAX, uint32_t, uint32_t, 0);

/* for a struct policy_maps */
#define SHARED_MAPS .addrs = &addrs, .ports = &ports, .blocks = &blocks, .flows = &flows, .devs = &devs

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * map.h - the maps that a decision looks into, as BPF has them and as tables in memory
 *
 * The decisions take a `struct policy_maps` of constant addresses. In BPF they are those of the object's maps, and all of
 * it is inlined, so that each call of a helper has its map as a constant, as the verifier wants it. Elsewhere they are
 * `struct policy_table`: linear search, for simulation and tests.
 */
#ifndef VJ_POLICY_MAP_H
#define VJ_POLICY_MAP_H

#include "policy/maps.h"

/* By the names of maps.h. What a program has no map for is NULL, and never looked at. */
struct policy_maps {
	void *addrs, *ports, *blocks, *flows, *devs; /* keys: policy_addr, policy_port, index, policy_flow, app */
	void *macs, *frags, *hops;		     /* policy_mac, policy_frag, policy_mac */
	void *ways;				     /* policy_way */
	void *kernel; /* BPF: the program's context, for questions to the kernel's own tables; else those, key: policy_flow */
};

#ifdef __bpf__

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* Where values lie is the kernel's to say, and not seen from their types: BPF's compiler would read a MAC address in one byte by byte. */
#define policy_map_find(map, key) __builtin_assume_aligned(bpf_map_lookup_elem((map), (key)), 8)
#define policy_map_find_longest(map, key) bpf_map_lookup_elem((map), (key))
#define policy_map_set(map, key, value) bpf_map_update_elem((map), (key), (value), BPF_ANY)
#define policy_map_del(map, key) bpf_map_delete_elem((map), (key))

/* Of TCP: has the kernel a connection of its own there? A listener is none. */
VJ_INLINE bool policy_kernel_has(const struct policy_maps *m, const struct policy_flow *flow)
{
	bool v4 = ip_addr_is_v4(&flow->local);
	struct bpf_sock_tuple tuple;
	struct bpf_sock *sk;
	bool has;

	__builtin_memset(&tuple, 0, sizeof(tuple));
	if (v4) {
		tuple.ipv4.saddr = flow->remote.words[3].raw;
		tuple.ipv4.daddr = flow->local.words[3].raw;
		tuple.ipv4.sport = flow->remote_port.raw;
		tuple.ipv4.dport = flow->local_port.raw;
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &flow->remote, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &flow->local, 16);
		tuple.ipv6.sport = flow->remote_port.raw;
		tuple.ipv6.dport = flow->local_port.raw;
	}
	sk = bpf_skc_lookup_tcp(m->kernel, &tuple, v4 ? sizeof(tuple.ipv4) : sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	has = sk->state != BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return has;
}

#else

/* @mem: room for @max entries, key and value each; entries [0, cnt) are in use. All the caller's. */
struct policy_table {
	uint8_t *mem;
	uint32_t key_bytes, value_bytes;
	uint32_t cnt, max;
};

/** policy_map_find() - The value of @key in a struct policy_table, or NULL; valid until the table changes */
void *policy_map_find(const void *map, const void *key);

/** policy_map_find_longest() - The value of the longest prefix that the address in @key has; keys are struct policy_way */
void *policy_map_find_longest(const void *map, const struct policy_way *key);

/** policy_map_set() - Create or replace; a full table loses its oldest entry, as an LRU map would */
void policy_map_set(void *map, const void *key, const void *value);

/** policy_map_del() - Remove, if it is there */
void policy_map_del(void *map, const void *key);

/* As above; NULL: a kernel without connections */
VJ_INLINE bool policy_kernel_has(const struct policy_maps *m, const struct policy_flow *flow)
{
	return m->kernel && policy_map_find(m->kernel, flow);
}

#endif
#endif

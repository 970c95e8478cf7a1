// SPDX-License-Identifier: BSD-2-Clause
/* foreign.bpf.c - somebody else's XDP program: counts what it sees, and drops datagrams (IPv4) to one port, which it counts too */
#include <linux/bpf.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>

enum { SEEN, DROPPED, CNT };
enum { PORT = 7999, OFF_TYPE = 12, OFF_PROTO = 23, OFF_PORT = 36, OFF_END = 42 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} foreign_cnt SEC(".maps");

static __always_inline void count(uint32_t what)
{
	uint64_t *cnt = bpf_map_lookup_elem(&foreign_cnt, &what);

	if (cnt)
		__sync_fetch_and_add(cnt, 1);
}

SEC("xdp")
int foreign_xdp(struct xdp_md *ctx)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)ctx->data, *end = (const uint8_t *)(uintptr_t)ctx->data_end;

	count(SEEN);
	if (p + OFF_END > end || p[OFF_TYPE] != 8 || p[OFF_TYPE + 1] != 0 || p[OFF_PROTO] != 17 ||
	    (p[OFF_PORT] << 8 | p[OFF_PORT + 1]) != PORT)
		return XDP_PASS;
	count(DROPPED);
	return XDP_DROP;
}

/* Of a name that vjd's has as well. */
SEC("xdp")
int vj_dispatch(struct xdp_md *ctx)
{
	(void)ctx;
	count(SEEN);
	return XDP_PASS;
}

SEC("tc")
int foreign_tc(struct __sk_buff *skb)
{
	(void)skb;
	return -1; /* TC_ACT_UNSPEC: the next filter */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_reset.h"

#include "daemon/raw_tcp.h"
#include "wire/ip.h"

#include <bpf/bpf.h>
#include <stdlib.h>

enum {
	BATCH = 4096,
	PEERS_MAX = 16384, /* some 50 ms of vjd's time */
};

struct prodder {
	struct raw_tcp raw;
	uint32_t ifindex;
	unsigned left;
};

static void prod(struct prodder *p, const struct policy_flow *flow)
{
	const struct tcp_fields fields = {
		.src_port = be16_get(flow->local_port),
		.dst_port = be16_get(flow->remote_port),
		.flags = TCP_ACK,
	};

	if (flow->proto != IP_PROTO_TCP || p->left == 0)
		return;
	p->left--;
	raw_tcp_send(&p->raw, &flow->local, &flow->remote, p->ifindex, &fields);
}

struct flow_batch {
	struct policy_flow flows[BATCH];
	uint32_t apps[BATCH];
};

struct which {
	uint32_t nr; /* 0: all that are in no @devs_fd */
	int devs_fd;
};

static bool is_meant(const struct which *which, uint32_t nr)
{
	uint32_t ifindex;

	if (nr == 0) /* has become the kernel's */
		return false;
	return which->nr != 0 ? nr == which->nr : bpf_map_lookup_elem(which->devs_fd, &nr, &ifindex) != 0;
}

static void walk(int flows_fd, const struct which *which, struct flow_batch *b, struct prodder *p)
{
	uint32_t at, cnt;
	bool more = true;

	for (void *from = NULL; more && p->left > 0; from = &at) {
		cnt = BATCH;
		/* an error is the end; what came before it counts */
		more = bpf_map_lookup_batch(flows_fd, from, &at, b->flows, b->apps, &cnt, NULL) == 0;
		for (uint32_t i = 0; i < cnt && cnt <= BATCH; i++)
			if (is_meant(which, b->apps[i]))
				prod(p, &b->flows[i]);
	}
}

/* Another version's map may have other entries. */
static bool is_map_of_flows(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 && info.key_size == sizeof(struct policy_flow) &&
	       info.value_size == sizeof(uint32_t);
}

static void reset(uint32_t ifindex, int flows_fd, const struct which *which)
{
	struct prodder p = { .ifindex = ifindex, .left = PEERS_MAX };
	struct flow_batch *b = malloc(sizeof(*b));

	raw_tcp_open(&p.raw);
	if (b != NULL)
		walk(flows_fd, which, b, &p);
	raw_tcp_close(&p.raw);
	free(b);
}

void if_reset_peers(const struct if_dispatch *d, uint32_t nr)
{
	reset(d->ifindex, d->map_fds[IF_MAP_FLOWS], &(struct which){ .nr = nr });
}

void if_reset_dead(const struct if_dispatch *d, int flows_fd)
{
	if (is_map_of_flows(flows_fd))
		reset(d->ifindex, flows_fd, &(struct which){ .devs_fd = d->map_fds[IF_MAP_DEVS] });
}
